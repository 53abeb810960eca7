"""`concat`, `add`, `mul`, `sub` and `residual`."""

import pytest
from shown import Stages, Wrong

SHAPES = [
    ("concat { branch {} branch {} }", "8 x 8 x 8"),
    ("concat { branch { Conv2d(3, 1) } branch { Conv2d(5, 1) } branch {} }", "12 x 8 x 8"),
    ("concat(dim = 1) { branch {} branch {} }", "8 x 8 x 8"),
    ("concat(dim = 2) { branch {} branch {} }", "4 x 16 x 8"),
    ("concat(2) { branch {} branch {} }", "4 x 16 x 8"),
    ("concat(dim = -1) { branch {} branch {} }", "4 x 8 x 16"),
    ("add { branch {} branch {} }", "4 x 8 x 8"),
    ("mul { branch {} branch { AdaptiveAvgPool2d(1) } }", "4 x 8 x 8"),
    ("mul { branch { AdaptiveAvgPool2d(1) } branch {} }", "4 x 8 x 8"),
    ("mul { branch {} branch { Conv2d(1, 1) } }", "4 x 8 x 8"),
    ("sub { branch {} branch { ReLU } }", "4 x 8 x 8"),
    ("concat { branch {} }", "4 x 8 x 8"),
]


@pytest.mark.parametrize(("merge", "shape"), SHAPES)
def test_shape_of_a_merge(stages: Stages, merge: str, shape: str) -> None:
    assert stages(merge)[-1].endswith(f") {shape}")


def test_each_branch_takes_what_came_before_the_merge(stages: Stages) -> None:
    assert stages("ReLU\nsub { branch { Tanh } branch {} branch { Tanh -> Tanh } }") == [
        "0 ReLU(image) 4 x 8 x 8",
        "1 Tanh(0) 4 x 8 x 8",
        "2 Tanh(0) 4 x 8 x 8",
        "3 Tanh(2) 4 x 8 x 8",
        "sub sub(1, 0, 3) 4 x 8 x 8",
    ]


def test_loops_and_conditions_stand_around_branches(stages: Stages) -> None:
    body = """
    concat {
      let widths = [2, 3]
      branch {}
      for w in widths { branch { Conv2d(w, 1) } }
      if in.channels == 4 { branch { Tanh } } else { branch { ReLU } }
      repeat 2 { branch {} }
    }
    """
    assert stages(body)[-1] == "concat concat(image, 0, 1, 2, image, image) 21 x 8 x 8"


def test_merges_nest(stages: Stages) -> None:
    body = "concat { branch { add { branch {} branch { ReLU } } } branch {} }"
    assert stages(body) == [
        "0 ReLU(image) 4 x 8 x 8",
        "add add(image, 0) 4 x 8 x 8",
        "concat concat(add, image) 8 x 8 x 8",
    ]


def test_label_in_one_branch_is_seen_in_the_next(stages: Stages) -> None:
    body = "add { branch { a: ReLU } branch { from a -> Tanh } }"
    assert stages(body)[-1] == "add add(a, 1) 4 x 8 x 8"


def test_named_branch_can_be_referred_to(stages: Stages) -> None:
    body = "add { branch b { ReLU -> Tanh } branch { from b } branch { from b.0 } }"
    assert stages(body)[-1] == "add add(b.1, b.1, b.0) 4 x 8 x 8"


def test_residual_adds_the_identity(stages: Stages) -> None:
    assert stages("residual { ReLU -> Tanh }") == [
        "0 ReLU(image) 4 x 8 x 8",
        "1 Tanh(0) 4 x 8 x 8",
        "add add(1, image) 4 x 8 x 8",
    ]


def test_shortcut_replaces_the_identity(stages: Stages) -> None:
    assert stages("residual { Conv2d(2, 1) } shortcut { Conv2d(2, 1) }")[-1] == (
        "add add(0, 1) 2 x 8 x 8"
    )


def test_empty_shortcut_is_the_identity(stages: Stages) -> None:
    assert stages("residual { ReLU } shortcut { if false { Tanh } }")[-1] == (
        "add add(0, image) 4 x 8 x 8"
    )


@pytest.mark.parametrize(
    ("stride", "last"), [(1, "add add(0, image) 4 x 8 x 8"), (2, "0 Conv2d(image) 4 x 4 x 4")]
)
def test_residual_when_the_condition_fails_is_its_body(
    stages: Stages, stride: int, last: str
) -> None:
    others = """
    block B(out, stride) {
      residual when stride == 1 and in.channels == out {
        inline C(out, stride)
      } shortcut {}
    }
    block C(out, stride) { Conv2d(out, 3, stride, padding = 1) }
    """
    assert stages(f"inline B(4, {stride})", others)[-1] == last


def test_residual_that_is_body_alone_makes_no_shortcut(stages: Stages) -> None:
    assert stages("residual when false { ReLU } shortcut { Tanh }") == ["0 ReLU(image) 4 x 8 x 8"]
    assert (
        stages("residual when false { ReLU } as r\nTanh\nadd { branch { from r } branch {} }")[-1]
        == "add add(0, 1) 4 x 8 x 8"
    )


@pytest.mark.parametrize(
    ("merge", "axes"),
    [
        ("concat { branch {} branch { MaxPool2d(2) } }", "height and width"),
        ("concat(dim = 2) { branch {} branch { Conv2d(5, (1, 3)) } }", "channels and width"),
        ("add { branch {} branch { Conv2d(3, 1) } }", "channels"),
        ("mul { branch {} branch { Flatten } }", "the number of axes"),
        ("residual { Conv2d(3, 1) }", "channels"),
        ("sub { branch {} branch { Conv2d(2, 1) } }", "channels"),
    ],
)
def test_shapes_that_disagree_are_shown_branch_by_branch(
    wrong: Wrong, merge: str, axes: str
) -> None:
    (error,) = wrong(f"network n {{ input x: [4, 8, 8]\n{merge} }}")
    assert error.code == "E0302"
    assert error.message().endswith(f"disagree in {axes}")
    assert next(iter(error.others())).text.startswith(("4 x 8 x 8", "3 x 8 x 8"))


@pytest.mark.parametrize(
    "body",
    [
        "concat {}",
        "concat { ReLU }",
        "branch { ReLU }",
        "concat { branch { from x, x } branch {} }",
        "add(dim = 1) { branch {} branch {} }",
        "concat(dim = 0) { branch {} branch {} }",
        "concat(dim = 9) { branch {} branch {} }",
        'concat(dim = "x") { branch {} branch {} }',
        "residual { branch {} }",
        "concat { repeat 0 { branch {} } }",
    ],
)
def test_merges_that_make_no_sense_are_refused(wrong: Wrong, body: str) -> None:
    assert len(wrong(f"network n {{ input x: [4, 8, 8]\n{body} }}")) == 1


def test_merge_is_called_by_its_word(wrong: Wrong) -> None:
    (error,) = wrong("network n { input x: [4]; add(dim = 1) { branch {} } }")
    assert error.message() == "`add` has no argument `dim`"
