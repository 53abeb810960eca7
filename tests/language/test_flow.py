"""The pipeline: what flows, and what `in` tells of it."""

import pytest
from shown import Stages, Wrong


def test_each_statement_takes_what_the_one_before_gave(stages: Stages) -> None:
    assert stages("a: ReLU\nb: Tanh -> c: Conv2d(2, 3)\nd: ReLU") == [
        "a ReLU(image) 4 x 8 x 8",
        "b Tanh(a) 4 x 8 x 8",
        "c Conv2d(b) 2 x 6 x 6",
        "d ReLU(c) 2 x 6 x 6",
    ]


def test_in_by_itself_changes_nothing(stages: Stages) -> None:
    assert stages("in\nReLU\nin -> in") == ["0 ReLU(image) 4 x 8 x 8"]


def test_label_on_in_names_the_tensor_and_nothing_else(stages: Stages) -> None:
    assert stages(
        "x0: in\nReLU\nx1: in\nTanh\nadd { branch { from x0 } branch { from x1 } branch {} }"
    ) == [
        "0 ReLU(image) 4 x 8 x 8",
        "1 Tanh(0) 4 x 8 x 8",
        "add add(image, 0, 1) 4 x 8 x 8",
    ]


@pytest.mark.parametrize(
    ("size", "asked", "answer"),
    [
        ("[4, 8, 6]", "in.channels", 4),
        ("[4, 8, 6]", "in.height", 8),
        ("[4, 8, 6]", "in.width", 6),
        ("[4, 8, 6]", "in.features", 6),
        ("[4, 8, 6]", "in.shape[0]", 4),
        ("[4, 8, 6]", "in.shape[-1]", 6),
        ("[4, 8, 6]", "len(in.shape)", 3),
        ("[4, 8, 6]", "in[0].channels", 4),
        ("[4, 8, 6]", "len(in)", 1),
        ("[5]", "in.features", 5),
        ("[4, 9]", "in.length", 9),
        ("[4, 7, 8, 6]", "in.depth", 7),
        ("[10, 5]", "in.features", 5),
        ("[4, 8, 6]", "sum(in.shape)", 18),
    ],
)
def test_in_tells_the_sizes(stages: Stages, size: str, asked: str, answer: int) -> None:
    last = stages(f"let a = {asked}\nFlatten -> Linear(a)", size=size)[-1]
    assert last == f"1 Linear(0) {answer}"


def test_in_is_the_tensor_at_that_point(stages: Stages) -> None:
    assert stages("Conv2d(2 * in.channels, 1) -> Conv2d(2 * in.channels, 1)") == [
        "0 Conv2d(image) 8 x 8 x 8",
        "1 Conv2d(0) 16 x 8 x 8",
    ]


@pytest.mark.parametrize("asked", ["in.batch", "in.height", "in[1].channels", "in.shape[3]"])
def test_sizes_that_are_not_there_are_refused(wrong: Wrong, asked: str) -> None:
    (error,) = wrong(f"network n {{ input x: [4]\nLinear({asked}) }}")
    assert error.code == "E0401"


def test_axes_are_counted_as_torch_counts_them(stages: Stages) -> None:
    assert stages("Permute([0, 2, 3, 1])", size="[4, 8, 6]") == ["0 Permute(image) 8 x 6 x 4"]
    assert stages("Flatten(2)") == ["0 Flatten(image) 4 x 64"]


def test_loop_carries_the_tensor_and_no_variable(wrong: Wrong, stages: Stages) -> None:
    (error,) = wrong(
        """
        network n {
          input x: [4]
          let w = 1
          for i in range(3) { let w = 2 * w; Linear(w) }
        }
        """
    )
    assert error.code == "E0204"
    assert "`i`" in error.help()
    assert stages("for i in range(3) { let w = 2 ** i; Linear(w) }", size="[4]") == [
        "0 Linear(image) 1",
        "1 Linear(0) 2",
        "2 Linear(1) 4",
    ]


@pytest.mark.parametrize("body", ["from x, x\nReLU", "from x, x\nConv2d(4, 1)"])
def test_stage_that_takes_one_tensor_says_how_many_come(wrong: Wrong, body: str) -> None:
    (error,) = wrong(f"network n {{ input x: [4, 8, 8]\n{body} }}")
    assert "takes one tensor, and 2 come in" in error.message()
