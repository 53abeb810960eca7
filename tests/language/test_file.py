"""A file: its items, where statements end, strings, and how text is read."""

from pathlib import Path

import pytest
from shown import Arch, Stages, Value, Wrong, lines

from archdsl.pipeline import Spec

TWO = ["0 Conv2d(image) 6 x 8 x 8", "1 ReLU(0) 6 x 8 x 8"]


def test_items_stand_in_any_order(arch: Arch) -> None:
    graph = arch(
        """
        let width = double(4)
        network n { input x: [1, 4, 4]; B(width) }
        block B(out) { Conv2d(out, 1) }
        fn double(v) = 2 * v
        """
    )

    assert lines(graph) == ["x input() 1 x 4 x 4", "0.0 Conv2d(x) 8 x 4 x 4"]


@pytest.mark.parametrize(
    "body",
    [
        "Conv2d(6, 1)\nReLU",
        "Conv2d(6, 1); ReLU",
        "Conv2d(6, 1);\n;;\nReLU;",
        "Conv2d(6, 1) -> ReLU",
        "Conv2d(6, 1) ->\nReLU",
        "Conv2d(6, 1)\n\n  -> ReLU",
        "Conv2d(\n6,\n1\n)\nReLU",
        "Conv2d(6, 1,)\nReLU",
        "Conv2d(6, # a comment\n  1) # and another\n# a third\nReLU",
        "Conv2d(6, 1)\nReLU()",
        "\tConv2d ( 6,1 )\n\n\n\tReLU ( )",
        "Conv2d(6, 1)\r\nReLU\r\n",
        "Conv2d(6, [1, 1,])\nReLU",
        "Conv2d(6, (1, 1,))\nReLU",
        "Conv2d(6, kernel_size = 1)\nReLU",
    ],
)
def test_layout_is_free_where_it_ends_no_statement(stages: Stages, body: str) -> None:
    assert stages(body) == TWO


def test_closing_brace_ends_its_statement(stages: Stages) -> None:
    assert stages("{ Conv2d(6, 1) } ReLU") == [
        "0.0 Conv2d(image) 6 x 8 x 8",
        "1 ReLU(0.0) 6 x 8 x 8",
    ]
    assert stages("repeat 2 { ReLU } if true { Tanh } else { ReLU } Tanh") == [
        "0 ReLU(image) 4 x 8 x 8",
        "1 ReLU(0) 4 x 8 x 8",
        "2 Tanh(1) 4 x 8 x 8",
        "3 Tanh(2) 4 x 8 x 8",
    ]


def test_flow_goes_on_after_a_closing_brace(stages: Stages) -> None:
    assert stages("a: { ReLU } -> Tanh")[-1] == "1 Tanh(a.0) 4 x 8 x 8"
    assert stages("a: { ReLU }\n  -> Tanh")[-1] == "1 Tanh(a.0) 4 x 8 x 8"


def test_else_and_shortcut_may_begin_a_line(stages: Stages) -> None:
    assert stages("if false { ReLU }\nelse { Tanh }") == ["0 Tanh(image) 4 x 8 x 8"]
    assert stages("residual { ReLU }\nshortcut { Tanh }") == [
        "0 ReLU(image) 4 x 8 x 8",
        "1 Tanh(image) 4 x 8 x 8",
        "add add(0, 1) 4 x 8 x 8",
    ]


def test_semicolon_ends_a_statement_wherever_it_stands(wrong: Wrong) -> None:
    for body, found in (
        ("Conv2d(6; 1)", ";"),
        ("Conv2d(6, 1;)", ";"),
        ("ReLU -> ; ReLU", ";"),
        ("ReLU; -> ReLU", "->"),
        ("ReLU;\n -> ReLU", "->"),
    ):
        (error,) = wrong(f"network n {{ input x: [1, 4, 4]\n{body} }}")
        assert error.message() == f"unexpected `{found}`"


def test_crlf_and_byte_order_mark_are_read(tmp_path: Path) -> None:
    path = tmp_path / "spec.arch"
    path.write_bytes(b"\xef\xbb\xbfnetwork n {\r\n  input x: [4]\r\n  Linear(2)\r\n}\r\n")

    assert lines(Spec(str(path)).graph()) == ["x input() 4", "0 Linear(x) 2"]


def test_file_stands_for_the_network_named_like_it(tmp_path: Path) -> None:
    path = tmp_path / "first.arch"
    path.write_text("network first { input x: [4]; ReLU }\nnetwork second { input x: [4]; Tanh }\n")

    assert Spec(str(path)).graph().name == "first"
    assert Spec(f"{path}:second").graph().name == "second"


def test_file_stands_for_its_last_network_otherwise(arch: Arch) -> None:
    assert arch("network a { input x: [4]; ReLU }\nnetwork b { input x: [4]; Tanh }").name == "b"


def test_text_at_the_head_describes_a_network_or_block(arch: Arch) -> None:
    graph = arch(
        """
        network n { "A network"; input x: [4]; b: B }
        block B {
          "A block"
          ReLU
        }
        """
    )

    assert graph.description == "A network"
    assert graph.scopes["b"].description == "A block"


@pytest.mark.parametrize(
    "body", ["ReLU; 'text'", "{ 'text'; ReLU }", "repeat 2 { 'text'; ReLU }", "'a'; 'b'; ReLU"]
)
def test_text_elsewhere_is_refused(wrong: Wrong, body: str) -> None:
    body = body.replace("'", '"')
    errors = wrong(f"network n {{ input x: [4]; {body} }}\nnetwork m {{ {body} }}")
    assert {error.message() for error in errors} == {"a description can't stand here"}


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ('""', ""),
        ('"nearest"', "nearest"),
        (r'"a\nb\tc\"d\\e"', 'a\nb\tc"d\\e'),
        (r'"\\\\"', "\\\\"),
        ('"{{}}"', "{}"),
        ('"{1 + 1}"', "2"),
        ('"a{2}b{3}c"', "a2b3c"),
        ('"{{{1}}}"', "{1}"),
        ('"x{0.5}"', "x0.5"),
        ('"# no comment -> ; {{ }} //"', "# no comment -> ; { } //"),
        ('"ü"', "ü"),
        ('"{n}{n}"', "77"),
        ('"{[7, 8][-1]}"', "8"),
        ('"{f(2)}"', "4"),
    ],
)
def test_strings(value: Value, text: str, meaning: str) -> None:
    assert value(text, "let n = 7\nfn f(x) = x * x") == meaning


@pytest.mark.parametrize("text", [r'"\q"', '"{"', '"}"', '"{}"', '"{1 +}"', '"a\nb"', '"{none}"'])
def test_bad_strings_are_refused(wrong: Wrong, text: str) -> None:
    assert wrong(f"network n(it = {text}) {{ input x: [1]; Identity }}")


def test_identifiers_are_ascii(wrong: Wrong) -> None:
    (error,) = wrong("network größe { input x: [1]; Identity }")
    assert error.code == "E0102"


def test_words_of_the_language_can_be_labels_as_strings(stages: Stages, wrong: Wrong) -> None:
    assert stages('"repeat": { ReLU }') == ["repeat.0 ReLU(image) 4 x 8 x 8"]
    (error,) = wrong("network n { input x: [1]\nrepeat: ReLU }")
    assert error.help() == '`repeat` is a word of the language; as a label it is written "repeat"'


def test_word_cannot_name_a_parameter(wrong: Wrong) -> None:
    (error,) = wrong("network n(for = 2) { input x: [1]; ReLU }")
    assert "is a word of the language" in error.help()


def test_networks_named_alike_are_refused(wrong: Wrong) -> None:
    (error,) = wrong("network n { input x: [1]; ReLU }\nblock n { ReLU }")
    assert error.code == "E0203"


# --- items of one name ----------------------------------------------------------------------

ITEMS = {
    "network": "network X { input x: [4]; ReLU }",
    "network of another": "network X = Y()",
    "block": "block X(c) { ReLU }",
    "block of a call": "block X(c) = Linear(c)",
    "block that fixes": "block X = ReLU",
    "let": "let X = 3",
    "fn": "fn X(c) = c",
    "import": 'import X from "other.arch"',
    "import as": 'import Z as X from "other.arch"',
}
USES = ["", "X", "X(3)", "inline X", "Linear(X)", "Linear(X(3))", "repeat X { ReLU }"]


@pytest.mark.parametrize("second", ITEMS)
@pytest.mark.parametrize("first", ITEMS)
def test_two_items_of_one_name_are_shown_at_both_places(
    arch: Arch, wrong: Wrong, tmp_path: Path, first: str, second: str
) -> None:
    """And nothing else is said, whatever network is asked for and however the name is used."""
    (tmp_path / "other.arch").write_text("block X { ReLU }\nblock Z { ReLU }\n")
    for use in USES:
        text = f"network Y {{ input x: [4]; {use}; ReLU }}\n{ITEMS[first]}\n{ITEMS[second]}\n"
        for network in (None, "X", "Y"):
            (error,) = wrong(text, network)
            assert error.message() == "two items of this file are called `X`"
            places = [error.span, *(label.span for label in error.others())]
            assert sorted(place.line for place in places if place) == [2, 3]


def test_two_items_of_one_name_in_an_imported_file_are_said_there(
    wrong: Wrong, tmp_path: Path
) -> None:
    (tmp_path / "other.arch").write_text("block X { ReLU }\nfn X(c) = c\n")
    text = 'import X from "other.arch"\nnetwork n { input x: [4]; X(3); Linear(X) }'
    (error,) = wrong(text)
    assert error.message() == "two items of this file are called `X`"
    assert error.span is not None
    assert error.span.source.path.endswith("other.arch")
