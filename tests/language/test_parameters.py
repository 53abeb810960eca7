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
        assert error.code in ("E0208", "E0404", "E0201")


def test_parameter_that_is_fixed_cannot_be_given_from_outside(wrong: Wrong) -> None:
    (error,) = wrong(NETWORKS, "small", depths=[1])
    assert error.message() == "network `small` has fixed `depths`"


def test_networks_in_a_ring_are_refused(wrong: Wrong) -> None:
    (error,) = wrong("network a = b()\nnetwork b = a()", "a")
    assert error.code == "E0205"


# --- blocks that stand for a call -----------------------------------------------------------

CALLS = """
block Conv3x3(out, stride = 1) = Conv2d(out, 3, stride, padding = 1)
block Same(k: int, half = k // 2) = Conv2d(in.channels, k, padding = half)
block Wide(out) = Conv3x3(2 * out, stride = 2)
block Named(out) = Unit(out)
block Unit(out) { conv: Conv3x3(out); ReLU }
block Of(unit: block, out) = unit(out)
"""


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        ("Conv3x3(2)", ["0 Conv2d(image) 2 x 8 x 8"]),
        ("label: Conv3x3(2, 2)", ["label Conv2d(image) 2 x 4 x 4"]),
        ("Conv3x3(stride = 2, out = 2)", ["0 Conv2d(image) 2 x 4 x 4"]),
        ("Same(3)", ["0 Conv2d(image) 4 x 8 x 8"]),
        ("Wide(3)", ["0 Conv2d(image) 6 x 4 x 4"]),
        ("u: Named(3)", ["u.conv Conv2d(image) 3 x 8 x 8", "u.1 ReLU(u.conv) 3 x 8 x 8"]),
        ("inline Named(3)", ["conv Conv2d(image) 3 x 8 x 8", "1 ReLU(conv) 3 x 8 x 8"]),
        ("Of(Conv3x3, 5)", ["0 Conv2d(image) 5 x 8 x 8"]),
        ("Of(Conv3x3(stride = 2), 5)", ["0 Conv2d(image) 5 x 4 x 4"]),
        ("let c = Conv3x3(5); c; c()", ["0 Conv2d(image) 5 x 8 x 8", "1 Conv2d(0) 5 x 8 x 8"]),
    ],
)
def test_block_that_stands_for_a_call(stages: Stages, stage: str, expected: list[str]) -> None:
    assert stages(stage, CALLS) == expected


@pytest.mark.parametrize(
    ("stage", "code"),
    [
        ("Conv3x3", "E0403"),
        ("Conv3x3(1, 2, 3)", "E0403"),
        ("Conv3x3(1, padding = 0)", "E0403"),
        ("Conv3x3(1)(2)", "E0101"),
        ("Same(1.5)", "E0404"),
        ("Same(0)", "E0404"),
        ("Of(3, 5)", "E0404"),
        ("Of(Of, 5)", "E0403"),
        ("Of(Of(ReLU), 5)", "E0205"),
        ("A(1)", "E0205"),
    ],
)
def test_use_of_a_block_that_stands_for_a_call_is_checked(
    wrong: Wrong, stage: str, code: str
) -> None:
    rings = "block A(x) = B(x)\nblock B(x) = C(x)\nblock C(x) = A(x)"
    text = f"network n {{ input x: [4, 8, 8]; {stage} }}\n{CALLS}\n{rings}"
    (error,) = wrong(text)
    assert error.code == code


def test_block_that_stands_for_a_call_sees_its_parameters_alone(wrong: Wrong) -> None:
    text = "network n { input x: [4, 8, 8]; let k = 3; F(8) }\nblock F(out) = Conv2d(out, k)"
    (error,) = wrong(text)
    assert error.message() == "there is no value called `k`"


def test_without_brackets_the_rest_stays_open_and_with_them_it_is_closed(wrong: Wrong) -> None:
    (error,) = wrong("network n { input x: [4]; F(8) }\nblock F() = Linear(3)")
    assert error.code == "E0403"


def test_blocks_that_stand_for_each_other_in_a_long_row_are_refused(wrong: Wrong) -> None:
    rows = [f"block B{i}(x) = B{i + 1}(x)" for i in range(5_000)]
    last = "block B5000(x) = Linear(x)"
    text = "\n".join(["network n { input x: [4]; B0(3) }", *rows, last])
    (error,) = wrong(text)
    assert error.code == "E0001"
    assert error.message().startswith("blocks are used inside each other 65 deep")


# --- values from outside --------------------------------------------------------------------

GIVEN = """
network n(unit: block = ReLU, widths: list = [8], name: str = "a", any = 3) {
  input x: [4, 8, 8]
  unit(8)
  for w in widths { "w{w}": ReLU }
  "{name}{any}": ReLU
}
block Unit(out, groups = 1, act: block = none) {
  Conv2d(out, 3, groups = groups)
  if act != none { act }
}
block Call(out, kernel = 1) = Conv2d(out, kernel)
fn twice(n) = 2 * n
let row = [5, 6]
"""


@pytest.mark.parametrize(
    ("name", "text", "node"),
    [
        ("unit", "Unit", "0.0"),
        ("unit", "Unit(groups = 4)", "0.0"),
        ("unit", " Unit( groups=twice(2), act = LeakyReLU(0.5) ) ", "0.1"),
        ("unit", "Conv2d(kernel_size = 3)", "0"),
        ("unit", "Call(kernel = 3)", "0"),
        ("unit", "[ReLU, Call][1]", "0"),
        ("widths", "[3, twice(2)] + row", "w6"),
        ("widths", "[w for w in row if w not in [5]]", "w6"),
        ("widths", "range(3)", "w2"),
    ],
)
def test_values_from_outside_are_expressions(arch: Arch, name: str, text: str, node: str) -> None:
    """From Python as for `-p`; the text is one for a parameter that takes no string."""
    assert node in arch(GIVEN, **({"unit": "Call"} | {name: text})).nodes


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("unit", "Unti(groups = 2)", "there is no layer or block called `Unti`"),
        ("unit", "n", "there is no layer or block called `n`"),
        ("unit", "twice", "there is no layer or block called `twice`"),
        ("unit", "Unit(group = 2)", "`Unit` has no argument `group`"),
        ("unit", "Unit(groups = two)", "there is no value called `two`"),
        ("unit", "Unit(groups = 2", "unexpected end of the file"),
        ("unit", "Unit\nUnit", "unexpected end of the line"),
        ("unit", "", "unexpected end of the file"),
        ("unit", "3", "`unit` of `n` must be a layer, a block or none"),
        ("unit", "none", "`unit` is no layer or block: it is none"),
        ("unit", "in", "nothing flows here: `in` has a meaning in networks and blocks only"),
        ("widths", "5", "`widths` of `n` must be a list"),
        ("widths", "[1] * 10 ** 9", None),
        ("widths", "(" * 1000, None),
        ("widths", "[" + "1, " * 300_000 + "]", None),
        ("widths", "\x00", "unexpected character '\\x00' (U+0000)"),
    ],
)
def test_wrong_values_from_outside_are_refused(
    wrong: Wrong, name: str, text: str, said: str | None
) -> None:
    (error,) = wrong(GIVEN, **({"unit": "Call"} | {name: text}))
    assert error.code == "E0001" if said is None else error.message() == said


def test_strings_from_python_stay_strings_where_they_may(arch: Arch) -> None:
    assert "row3" in arch(GIVEN, unit="Call", name="row").nodes
    assert "arow" in arch(GIVEN, unit="Call", any="row").nodes
