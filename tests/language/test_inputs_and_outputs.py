"""Inputs and outputs of networks, and sizes that are left free."""

from pathlib import Path

import pytest
from shown import Arch, Wrong, lines, outputs

from archdsl.diagnostics import ArchError
from archdsl.graph import CheckedGraph
from archdsl.pipeline import Spec


def listed(graph: CheckedGraph) -> list[tuple[str, str, bool]]:
    return [(output.name, output.node, output.training_only) for output in graph.outputs]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("ReLU", [("output", "0", False)]),
        ("ReLU; output logits", [("logits", "0", False)]),
        ("ReLU; output a; Tanh", [("output", "1", False), ("a", "0", False)]),
        ("ReLU; output a; Tanh; output b", [("b", "1", False), ("a", "0", False)]),
        ("ReLU; output a { Tanh }", [("a", "1", False)]),
        ("ReLU; output a { Tanh }; output b { ReLU }", [("a", "1", False), ("b", "2", False)]),
        ("ReLU; output a { Tanh }; ReLU", [("output", "2", False), ("a", "1", False)]),
        (
            "ReLU; output aux when training { Tanh }; ReLU",
            [("output", "2", False), ("aux", "1", True)],
        ),
        ("ReLU; output aux when training { Tanh }", [("output", "0", False), ("aux", "1", True)]),
        ("ReLU; output aux when training", [("output", "0", False), ("aux", "0", True)]),
        ("ReLU; output aux when training; Tanh", [("output", "1", False), ("aux", "0", True)]),
        (
            'for i in range(2) { ReLU; output "c{i}" }; Tanh',
            [("output", "2", False), ("c0", "0", False), ("c1", "1", False)],
        ),
        ("g: { ReLU; output a }; Tanh", [("output", "1", False), ("a", "g.0", False)]),
        ("a: ReLU; output a { Tanh }", [("a", "1", False)]),
    ],
)
def test_outputs(arch: Arch, body: str, expected: list[tuple[str, str, bool]]) -> None:
    assert listed(arch(f"network n {{ input x: [4]; {body} }}")) == expected


def test_output_aside_leaves_the_flow_where_it_was(arch: Arch) -> None:
    graph = arch("network n { input x: [4]; ReLU; output o { Linear(2) }; Tanh }")
    assert lines(graph)[-1] == "2 Tanh(0) 4"


def test_nodes_of_training_outputs_are_known(arch: Arch) -> None:
    graph = arch(
        "network n { input x: [4]; a: Linear(4); output o when training { b: Linear(2) }; ReLU }"
    )
    assert graph.training_only == {"b"}


@pytest.mark.parametrize(
    "body",
    [
        "ReLU; output a; output a",
        'ReLU; output "output" { Tanh }; ReLU',
        "ReLU; output aux when testing; Tanh",
        "ReLU; output a { from x, x }",
        "ReLU; output a.b",
        "ReLU; output 0",
        'ReLU; output "0a"',
    ],
)
def test_outputs_that_make_no_sense_are_refused(wrong: Wrong, body: str) -> None:
    assert len(wrong(f"network n {{ input x: [4]; {body} }}")) == 1


def test_output_can_be_referred_to(arch: Arch) -> None:
    graph = arch("network n { input x: [4]; ReLU; output a { Tanh }; from a -> Linear(2) }")
    assert lines(graph)[-1] == "2 Linear(1) 2"


PAIR = """
block Pair {
  input a
  input b
  concat(dim = -1) { branch { from a -> Linear(3) } branch { from b -> Conv1d(1, 1) } }
}
"""

# --- inputs ---------------------------------------------------------------------------------


def test_network_takes_several_inputs(arch: Arch) -> None:
    graph = arch(
        "network n { input a: [4]; input b: [6]; concat { branch { from a } branch { from b } } }"
    )
    assert graph.inputs == {"a": (4,), "b": (6,)}
    assert lines(graph)[-1] == "concat concat(a, b) 10"


def test_all_inputs_flow_at_the_start(arch: Arch) -> None:
    graph = arch("network n { input a: [4, 8]; input b: [8, 2]; MatMul }")
    assert lines(graph)[-1] == "0 MatMul(a, b) 4 x 2"


def test_shape_of_an_input_is_an_expression(arch: Arch) -> None:
    graph = arch(
        "network n(size = 7, all = [2, 3]) { input a: [1, 2 * size]; input b: all; Pair }\n" + PAIR
    )
    assert graph.inputs == {"a": (1, 14), "b": (2, 3)}


@pytest.mark.parametrize(
    "inputs",
    [
        "input x",
        "input x[]",
        "input x: 4",
        "input x: []; Linear(2)",
        "input x: [0]",
        "input x: [-1]",
        "input x: [1.5]",
        'input x: ["a"]',
        "input x: [4]; input x: [4]",
        "input x: [3, 2 * H]",
    ],
)
def test_inputs_that_make_no_sense_are_refused(wrong: Wrong, inputs: str) -> None:
    assert wrong(f"network n {{ {inputs}\nIdentity }}")


def test_unused_inputs_and_stages_are_refused(wrong: Wrong) -> None:
    errors = wrong("network n { input a: [4]; input b: [4]; from a; c: ReLU; from a; Tanh }")
    assert [error.message() for error in errors] == [
        "the result of `b` is never used",
        "the result of `c` is never used",
    ]


# --- free sizes -----------------------------------------------------------------------------


def test_shapes_are_formulas_in_free_sizes(arch: Arch) -> None:
    graph = arch(
        """
        network n {
          input image: [3, H, W]
          Conv2d(8, 3, padding = 1)
          MaxPool2d(2)
          Conv2d(8, 3, stride = 2)
        }
        """
    )
    assert lines(graph) == [
        "image input() 3 x H x W",
        "0 Conv2d(image) 8 x H x W",
        "1 MaxPool2d(0) 8 x H//2 x W//2",
        "2 Conv2d(1) 8 x (H + 2)//4 - 1 x (W + 2)//4 - 1",
    ]


def test_free_sizes_can_be_given(arch: Arch, tmp_path: Path) -> None:
    arch("network n { input image: [3, H, W]; if in.channels == 3 { ReLU } }")
    spec = Spec(f"{tmp_path}/spec.arch")
    assert spec.graph(shapes={"image": (3, 8, "W")}).nodes["0"].shape[1] == 8


def test_size_given_for_one_input_holds_in_all(arch: Arch, tmp_path: Path) -> None:
    arch("network n { input a: [N, 4]; input b: [4, N]; MatMul }")
    spec = Spec(f"{tmp_path}/spec.arch")
    assert spec.graph(shapes={"a": (7, 4)}).inputs == {"a": (7, 4), "b": (4, 7)}
    assert spec.graph(shapes={"b": (4, 7)}).inputs == {"a": (7, 4), "b": (4, 7)}
    assert str(spec.graph(shapes={"b": (4, "M")}).inputs["a"][0]) == "M"
    with pytest.raises(ArchError, match="`N` can't be both 7 and 8"):
        spec.graph(shapes={"a": (7, 4), "b": (4, 8)})
    with pytest.raises(ArchError, match="input `a` has 2 axes, and 7 has 1"):
        spec.graph(shapes={"a": (7,)})


def test_size_free_in_two_inputs_is_one_size(arch: Arch) -> None:
    graph = arch("network n { input a: [N, 4]; input b: [4, N]; MatMul }")
    shape = graph.nodes["0"].shape
    assert shape[0] == shape[1]


def test_decision_on_a_free_size_is_refused(wrong: Wrong) -> None:
    for body in (
        "if in.height > 9 { ReLU }",
        "repeat in.width { ReLU }",
        "for i in range(in.width) { ReLU }",
        "let a = [1, 2][in.width]",
        "let a = sqrt(in.width)",
    ):
        (error,) = wrong(f"network n {{ input x: [3, H, W]; {body} }}")
        assert error.code == "E0402"
        assert (
            error.help()
            == f"give `{'H' if 'height' in body else 'W'}` a value, as in --input image=3x224x224"
        )


def test_comparisons_that_are_certain_are_decided(arch: Arch) -> None:
    graph = arch(
        """
        network n {
          input x: [3, H, W]
          if in.height == shape(x).height { a: ReLU }
          if in.height + 1 > in.height { b: ReLU }
          if 2 * in.width - in.width != in.width { c: ReLU }
        }
        """
    )
    assert list(graph.nodes) == ["x", "a", "b"]


UNET = """
block DoubleConv(out) {
  Conv2d(out, 3, padding = 1, bias = false)
  BatchNorm2d
  ReLU
  Conv2d(out, 3, padding = 1, bias = false)
  BatchNorm2d
  ReLU
}

network unet(classes = 2, base = 64) {
  input image: [3, H, W]
  enc1: DoubleConv(base)
  enc2: { MaxPool2d(2) -> DoubleConv(2 * base) }
  up1: ConvTranspose2d(base, 2, stride = 2)
  concat { branch { from enc1 } branch {} }
  dec1: DoubleConv(base)
  head: Conv2d(classes, 1)
}
"""


def test_unet_says_for_which_sizes_its_branches_agree(arch: Arch) -> None:
    graph = arch(UNET)
    assert lines(graph)[-1] == "head Conv2d(dec1.5) 2 x H x W"
    assert graph.agreements
    for left, right in graph.agreements:
        even, odd = {"H": 8, "W": 8}, {"H": 7, "W": 9}
        assert left.evaluate(even) == right.evaluate(even)  # type: ignore[union-attr]
        assert left.evaluate(odd) != right.evaluate(odd)  # type: ignore[union-attr]


@pytest.mark.parametrize(("size", "good"), [("[3, 64, 48]", True), ("[3, 65, 48]", False)])
def test_unet_with_odd_sizes_is_refused(arch: Arch, wrong: Wrong, size: str, good: bool) -> None:
    text = UNET.replace("[3, H, W]", size)
    if good:
        assert outputs(arch(text)) == {"output": "head"}
    else:
        (error,) = wrong(text)
        assert error.message() == "branches of `concat` disagree in height"
