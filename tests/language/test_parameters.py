"""Parameters of blocks and networks, blocks as values, and networks made of others."""

import pytest
from shown import Arch, Stages, Wrong, lines


@pytest.mark.parametrize(
    ("call", "shape"),
    [
        ("B(2)", "2 x 8 x 8"),
        ("B(out = 2)", "2 x 8 x 8"),
        ("B(2, 3)", "2 x 6 x 6"),
        ("B(2, kernel = 3)", "2 x 6 x 6"),
        ("B(kernel = 3, out = 2)", "2 x 6 x 6"),
        ("B(2, 3, double = true)", "4 x 6 x 6"),
        ("B(2,)", "2 x 8 x 8"),
    ],
)
def test_arguments_by_position_and_by_name(stages: Stages, call: str, shape: str) -> None:
    others = """
    block B(out, kernel = 1, double = false,) {
      Conv2d(2 * out if double else out, kernel)
    }
    """
    assert stages(call, others) == [f"0.0 Conv2d(image) {shape}"]


def test_default_may_use_parameters_before_it_and_what_comes_in(stages: Stages) -> None:
    others = "block B(width = 2 * in.channels, out = width + 1) { Conv2d(out, 1) }"
    assert stages("B; B(1)", others) == [
        "0.0 Conv2d(image) 9 x 8 x 8",
        "1.0 Conv2d(0.0) 2 x 8 x 8",
    ]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("int", "3"),
        ("float", "0.5"),
        ("float", "3"),
        ("bool", "true"),
        ("str", '"nearest"'),
        ("list", "[1, 2]"),
        ("list", "range(3)"),
        ("block", "ReLU"),
        ("block", "LeakyReLU(0.2)"),
        ("block", "B"),
        ("block", "B(2)"),
        ("block", "none"),
    ],
)
def test_types_that_fit(stages: Stages, kind: str, value: str) -> None:
    others = f"block A(it: {kind}) {{ ReLU }}\nblock B(x = 1) {{ ReLU }}"
    assert stages(f"A({value})", others) == ["0.0 ReLU(image) 4 x 8 x 8"]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("int", "0.5"),
        ("int", "true"),
        ("int", "none"),
        ("float", '"x"'),
        ("bool", "1"),
        ("str", "1"),
        ("list", '"abc"'),
        ("list", "3"),
        ("block", "3"),
        ("block", '"ReLU"'),
        ("width", "3"),
    ],
)
def test_types_that_do_not_fit_are_refused(wrong: Wrong, kind: str, value: str) -> None:
    text = f"network n {{ input x: [4]; A({value}) }}\nblock A(it: {kind}) {{ ReLU }}"
    (error,) = wrong(text)
    assert error.code == ("E0201" if kind == "width" else "E0404")


def test_typed_parameter_may_default_to_none(stages: Stages) -> None:
    others = "block B(out: int = none) { Conv2d(in.channels if out == none else out, 1) }"
    assert stages("B; B(2)", others)[1] == "1.0 Conv2d(0.0) 2 x 8 x 8"


def test_block_parameter_holds_a_layer_a_block_or_none(stages: Stages) -> None:
    others = """
    block Unit(act: block = ReLU, norm: block = none) {
      Conv2d(4, 1)
      if norm != none { norm }
      act
    }
    block Twice(inner: block) { inner -> inner }
    """
    assert stages("Unit; Unit(LeakyReLU(0.2), BatchNorm2d); Unit(Twice(Tanh))", others) == [
        "0.0 Conv2d(image) 4 x 8 x 8",
        "0.1 ReLU(0.0) 4 x 8 x 8",
        "1.0 Conv2d(0.1) 4 x 8 x 8",
        "1.1 BatchNorm2d(1.0) 4 x 8 x 8",
        "1.2 LeakyReLU(1.1) 4 x 8 x 8",
        "2.0 Conv2d(1.2) 4 x 8 x 8",
        "2.1.0 Tanh(2.0) 4 x 8 x 8",
        "2.1.1 Tanh(2.1.0) 4 x 8 x 8",
    ]


def test_value_of_the_file_may_be_a_stage(stages: Stages, wrong: Wrong) -> None:
    others = "let act = LeakyReLU\nlet soft = act(0.2)\nblock Soft = act(0.3)"
    assert stages("act; soft; act(0.1); Soft", others) == [
        "0 LeakyReLU(image) 4 x 8 x 8",
        "1 LeakyReLU(0) 4 x 8 x 8",
        "2 LeakyReLU(1) 4 x 8 x 8",
        "3 LeakyReLU(2) 4 x 8 x 8",
    ]
    (error,) = wrong("let w = 3\nnetwork n { input x: [4]; w }")
    assert error.message() == "`w` is no layer or block: it is the number 3"


def test_what_is_no_block_cannot_be_called(wrong: Wrong) -> None:
    (error,) = wrong("let w = 3\nnetwork n { input x: [4]; Linear(w(2)) }")
    assert error.message() == "`w` can't be called: it is the number 3"
    (error,) = wrong("network n(w = none) { input x: [4]; let a = w(2); ReLU }")
    assert not error.help()


def test_none_as_a_stage_is_refused_with_a_guard(wrong: Wrong) -> None:
    (error,) = wrong("network n(act: block = none) { input x: [4]; act }")
    assert error.help() == "guard it: `if act != none { act }`"


def test_partial_block_leaves_the_rest_open(stages: Stages) -> None:
    others = """
    block B(out, kernel, stride = 1) { Conv2d(out, kernel, stride) }
    block Wide = B(8)
    block Deep = Wide(stride = 2)
    block Norm = BatchNorm2d(eps = 0.001)
    """
    assert stages("Wide(3); Deep(1); Norm; Norm(momentum = 0.5)", others) == [
        "0.0 Conv2d(image) 8 x 6 x 6",
        "1.0 Conv2d(0.0) 8 x 3 x 3",
        "2 BatchNorm2d(1.0) 8 x 3 x 3",
        "3 BatchNorm2d(2) 8 x 3 x 3",
    ]


def test_argument_that_is_fixed_cannot_be_given_again(wrong: Wrong) -> None:
    (error,) = wrong(
        "network n { input x: [4]; Norm(eps = 1) }\nblock Norm = LayerNorm(eps = 0.001)"
    )
    assert error.code == "E0403"
    assert [label.text for label in error.others()] == ["given here"]


def test_block_in_a_list_is_a_value_too(stages: Stages) -> None:
    assert stages("for act in [ReLU, Tanh, LeakyReLU(0.5)] { act }") == [
        "0 ReLU(image) 4 x 8 x 8",
        "1 Tanh(0) 4 x 8 x 8",
        "2 LeakyReLU(1) 4 x 8 x 8",
    ]


@pytest.mark.parametrize(
    "call", ["B", "B(1, 2, 3)", "B(1, out = 2)", "B(1, width = 2)", "B(1, 2, kernel = 3)"]
)
def test_arguments_that_are_missing_or_too_many_are_refused(wrong: Wrong, call: str) -> None:
    text = (
        f"network n {{ input x: [4, 8, 8]; {call} }}\nblock B(out, kernel = 1) {{ Conv2d(out, 1) }}"
    )
    (error,) = wrong(text)
    assert error.code == "E0403"


def test_names_of_parameters_are_unique(wrong: Wrong) -> None:
    (error,) = wrong("network n(a = 1, a = 2) { input x: [4]; ReLU }")
    assert error.code == "E0203"


# --- networks -------------------------------------------------------------------------------

NETWORKS = """
network Net(unit: block, depths: list, classes: int = 1000) {
  "The family"
  input x: [4]
  for d in depths { repeat d { unit } }
  fc: Linear(classes)
}
network small = Net(ReLU, [1, 1])
network large = Net(Tanh, depths = [2]) "The large one"
network tiny = small(classes = 2)
"""


def test_network_made_of_another_leaves_the_rest_open(arch: Arch) -> None:
    assert lines(arch(NETWORKS, "small"))[1:] == [
        "0 ReLU(x) 4",
        "1 ReLU(0) 4",
        "fc Linear(1) 1000",
    ]
    assert lines(arch(NETWORKS, "small", classes=10))[-1] == "fc Linear(1) 10"
    assert lines(arch(NETWORKS, "tiny"))[-1] == "fc Linear(1) 2"
    assert lines(arch(NETWORKS, "large"))[1] == "0 Tanh(x) 4"


def test_network_made_of_another_has_its_name_and_description(arch: Arch) -> None:
    assert (arch(NETWORKS, "small").name, arch(NETWORKS, "small").description) == (
        "small",
        "The family",
    )
    assert arch(NETWORKS, "large").description == "The large one"


def test_values_given_from_outside(arch: Arch, wrong: Wrong) -> None:
    graph = arch(NETWORKS, "Net", unit="Tanh", depths=[1])
    assert lines(graph)[1] == "0 Tanh(x) 4"
    assert graph.arguments["classes"] == 1000
    for given in ({"depth": 3}, {"unit": "Tnh", "depths": [1]}, {}, {"unit": "Tanh", "depths": 3}):
        (error,) = wrong(NETWORKS, "Net", **given)
        assert error.code in ("E0208", "E0404")


def test_parameter_that_is_fixed_cannot_be_given_from_outside(wrong: Wrong) -> None:
    (error,) = wrong(NETWORKS, "small", depths=[1])
    assert error.message() == "network `small` has fixed `depths`"


def test_networks_in_a_ring_are_refused(wrong: Wrong) -> None:
    (error,) = wrong("network a = b()\nnetwork b = a()", "a")
    assert error.code == "E0205"
