"""Labels, scopes and positions: the names under which parameters are stored."""

import pytest
from shown import Stages, Wrong

BLOCK = "block B { Tanh; b: ReLU }"


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("ReLU; ReLU", ["0", "1"]),
        ("a: ReLU; ReLU", ["a", "1"]),
        ("a: B", ["a.0", "a.b"]),
        ("B; B", ["0.0", "0.b", "1.0", "1.b"]),
        ("a: { ReLU; b: { ReLU } }", ["a.0", "a.b.0"]),
        ("{ ReLU }; ReLU", ["0.0", "1"]),
        ("0: ReLU; 1: ReLU; ReLU", ["0", "1", "2"]),
        ("a.b: ReLU; a.c: ReLU", ["a.b", "a.c"]),
        ("a.0: ReLU; b.0: ReLU; a.1: ReLU; b.1: B", ["a.0", "b.0", "a.1", "b.1.0", "b.1.b"]),
        ("a: { ReLU }; a.x: ReLU", ["a.0", "a.x"]),
        ('"x{1 + 1}": ReLU', ["x2"]),
        ('for i in range(3) { "x{i}": ReLU }', ["x0", "x1", "x2"]),
        ('for i in range(2) { a."{i}": ReLU }', ["a.0", "a.1"]),
        ('"a.b": ReLU', ["a.b"]),
        ("a.0.1: ReLU", ["a.0.1"]),
        ("repeat 3 { ReLU }", ["0", "1", "2"]),
        ('"in": ReLU; "from": ReLU', ["in", "from"]),
        ("_x: ReLU; X9: ReLU; __init__: ReLU", ["_x", "X9", "__init__"]),
    ],
)
def test_names(stages: Stages, body: str, names: list[str]) -> None:
    assert [line.split()[0] for line in stages(body, BLOCK)] == names


@pytest.mark.parametrize(
    "wiring",
    [
        "in",
        "x: in",
        "from a",
        "x: from a",
        "reuse a",
        "let n = 3",
        "parameter g: [4, 1, 1]\nadd { branch {} branch { from g } }",
        "output o",
        "x: concat { branch {} branch {} }",
        "concat { branch {} branch {} }",
        "concat { branch x {} branch {} } as y",
        "residual {}",
        "if true { in }",
        "repeat 3 { in }",
    ],
)
def test_wiring_takes_no_position(stages: Stages, wiring: str) -> None:
    assert stages(f"a: ReLU\n{wiring}\nTanh")[-1].split()[0] == "1"


@pytest.mark.parametrize("stage", ["ReLU", "x: ReLU", "B", "x: B", "{ ReLU }", "x: { ReLU }"])
def test_layers_blocks_and_groups_take_a_position(stages: Stages, stage: str) -> None:
    assert stages(f"a: ReLU\n{stage}\nTanh", BLOCK)[-1].split()[0] == "2"


def test_stages_inside_wiring_are_counted_on(stages: Stages) -> None:
    body = """
    ReLU
    concat { branch { ReLU; ReLU } branch { ReLU } }
    residual { Tanh } shortcut { Tanh }
    """
    assert [line.split()[0] for line in stages(body)] == [
        "0", "1", "2", "3", "concat", "4", "5", "add"
    ]  # fmt: skip


def test_stages_inside_an_output_are_counted_on(stages: Stages) -> None:
    names = [line.split()[0] for line in stages("ReLU; output o { Tanh; Tanh }; ReLU")]
    assert names == ["0", "1", "2", "3"]


def test_label_on_wiring_opens_a_scope(stages: Stages) -> None:
    assert stages("ReLU\nb: concat { branch { Tanh } branch x { Tanh } }\nTanh") == [
        "0 ReLU(image) 4 x 8 x 8",
        "b.0 Tanh(0) 4 x 8 x 8",
        "b.x.0 Tanh(0) 4 x 8 x 8",
        "b.concat concat(b.0, b.x.0) 8 x 8 x 8",
        "1 Tanh(b.concat) 8 x 8 x 8",
    ]
    assert stages("r: residual { Tanh } shortcut { Tanh }") == [
        "r.0 Tanh(image) 4 x 8 x 8",
        "r.1 Tanh(image) 4 x 8 x 8",
        "r.add add(r.0, r.1) 4 x 8 x 8",
    ]


@pytest.mark.parametrize("hole", ["0.5", "1 / 2"])
def test_label_takes_no_fractions(wrong: Wrong, hole: str) -> None:
    (error,) = wrong(f'network n {{ input x: [4]; "a{{{hole}}}": ReLU }}')
    assert error.message() == "a hole of a label takes an integer or a string, and this is 0.5"


def test_as_names_a_result_without_a_scope(stages: Stages) -> None:
    body = (
        "mul { branch { Tanh } branch {} } as gated\nTanh\nadd { branch { from gated } branch {} }"
    )
    assert stages(body) == [
        "0 Tanh(image) 4 x 8 x 8",
        "mul mul(0, image) 4 x 8 x 8",
        "1 Tanh(mul) 4 x 8 x 8",
        "add add(mul, 1) 4 x 8 x 8",
    ]


def test_inline_puts_statements_into_the_present_scope(stages: Stages) -> None:
    others = """
    block Pair(name, out) {
      "{name}_1x1": Conv2d(out, 1)
      ReLU
    }
    """
    assert stages('a: { inline Pair("p", 2); inline Pair("q", 3); Tanh }', others) == [
        "a.p_1x1 Conv2d(image) 2 x 8 x 8",
        "a.1 ReLU(a.p_1x1) 2 x 8 x 8",
        "a.q_1x1 Conv2d(a.1) 3 x 8 x 8",
        "a.3 ReLU(a.q_1x1) 3 x 8 x 8",
        "a.4 Tanh(a.3) 3 x 8 x 8",
    ]


def test_label_on_inline_is_refused(wrong: Wrong) -> None:
    (error,) = wrong("network n { input x: [4]; a: inline B }\nblock B { ReLU }")
    assert error.code == "E0207"


def test_block_alias_opens_no_scope(stages: Stages) -> None:
    assert stages("Norm -> n: Norm", "block Norm = BatchNorm2d(eps = 0.001)") == [
        "0 BatchNorm2d(image) 4 x 8 x 8",
        "n BatchNorm2d(0) 4 x 8 x 8",
    ]


@pytest.mark.parametrize(
    "body",
    [
        "a: ReLU; a: ReLU",
        "a: ReLU; a: { ReLU }",
        "1: ReLU; ReLU",
        "a: { b: ReLU }; a.b: ReLU",
        "a: ReLU; a: in",
        "a: ReLU; concat { branch {} branch {} } as a",
        "a: ReLU; parameter a: [4, 1, 1]; add { branch {} branch { from a } }",
        "image: ReLU",
        "concat { branch a {} branch a {} }",
        "repeat 2 { a: ReLU }",
    ],
)
def test_two_stages_with_one_name_are_refused(wrong: Wrong, body: str) -> None:
    (error,) = wrong(f"network n {{ input image: [4, 8, 8]\n{body} }}")
    assert error.code == "E0203"
    assert error.others() or error.notes()


def test_clash_in_a_loop_suggests_the_index(wrong: Wrong) -> None:
    (error,) = wrong("network n { input x: [4]; for i in range(2) { a: ReLU } }")
    assert '"a{i}"' in error.help()


def test_nothing_is_added_to_a_block_from_outside(wrong: Wrong) -> None:
    (error,) = wrong("network n { input x: [4]; a: B; a.x: ReLU }\nblock B { ReLU }")
    assert error.code == "E0206"


@pytest.mark.parametrize("label", ["a-b", "ä", '""', '"a..b"', '"{1.5}"', '"{1.5}"x', "-", "a/b"])
def test_labels_are_names_integers_and_strings(wrong: Wrong, label: str) -> None:
    assert wrong(f"network n {{ input x: [4]; {label}: ReLU }}")


def test_labels_and_values_do_not_mix(stages: Stages) -> None:
    others = (
        "block B(dropout) { dropout: Dropout(dropout); let width = 2; width: Conv2d(width, 1) }"
    )
    assert [line.split()[0] for line in stages("b: B(0.5)", others)] == ["b.dropout", "b.width"]


# --- labels in quotes -----------------------------------------------------------------------

SEEN = [
    "block1-0",
    "a b",
    "\u00e9t\u00e9",
    "\u4e2d\u6587",
    "\u05d0",
    "a*",
    "[0]",
    "'",
    "<b>",
    "$",
    "\u0663",
    "@",
    "-",
    "\U0001f600",
]
UNSEEN = [
    "\u200b",
    "\u202e",
    "\u00a0",
    "\u3164",
    "\u2800",
    "\ufe0f",
    "\u00ad",
    "\u2028",
    "\x7f",
    "\ue000",
]


@pytest.mark.parametrize("label", SEEN)
def test_label_in_quotes_is_a_name_of_torch(stages: Stages, label: str) -> None:
    assert stages(
        f'"{label}": {{ "{label}": ReLU }}; from "{label}"."{label}"; from "{label}.{label}"; Tanh'
    ) == [f"{label}.{label} ReLU(image) 4 x 8 x 8", f"1 Tanh({label}.{label}) 4 x 8 x 8"]
    assert stages(f'"{label}": Conv2d(shape(image).channels, 1); reuse "{label}"')[-1] == (
        f"{label}@2 Conv2d({label}) 4 x 8 x 8"
    )


def test_quotes_backslashes_and_braces_in_labels(stages: Stages) -> None:
    body = r'"say \"x\"": ReLU; "a\\b": ReLU; "{{0}}": ReLU; from "a\\b"'
    body += '; for i in [7] { "{{{i}": Tanh };'
    assert stages(
        body + ' add { branch {} branch { from "{{0}}" } branch { from "say \\"x\\"" } }'
    ) == [
        'say "x" ReLU(image) 4 x 8 x 8',
        'a\\b ReLU(say "x") 4 x 8 x 8',
        "{0} ReLU(a\\b) 4 x 8 x 8",
        "{7 Tanh(a\\b) 4 x 8 x 8",
        'add add({7, {0}, say "x") 4 x 8 x 8',
    ]


@pytest.mark.parametrize("label", [*UNSEEN, *(f"a{each}b" for each in UNSEEN)])
def test_what_is_not_seen_is_no_label(wrong: Wrong, label: str) -> None:
    (error,) = wrong(f'network n {{ input x: [4]; "{label}": ReLU }}')
    assert error.code == "E0206"
    assert f"U+{ord(label.strip('ab') or label):04X}" in error.help()


@pytest.mark.parametrize(
    "label", [" a", "a ", "a  b", "", ".", "a.", ".a", "a..b", "e\u0301", "\u0301"]
)
def test_what_looks_like_another_label_is_none(wrong: Wrong, label: str) -> None:
    (error,) = wrong(f'network n {{ input x: [4]; "{label}": ReLU }}')
    assert error.code == "E0206"


@pytest.mark.parametrize("name", ["a b", "\u00e9", "a-b", "\uff43", "1a"])
def test_outputs_have_names_of_ascii(wrong: Wrong, name: str) -> None:
    (error,) = wrong(f'network n {{ input x: [4]; ReLU; output "{name}" }}')
    assert error.code == "E0206"


def test_references_are_proposed_as_they_are_written(wrong: Wrong) -> None:
    stages = '"block1-0": ReLU; "repeat": ReLU; "a{{": ReLU; from block1_0; ReLU'
    (error,) = wrong(f"network n {{ input x: [4]; {stages} }}")
    assert error.help() == 'in sight are "block1-0", "a{{", "repeat", x'
