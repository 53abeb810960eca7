"""After an error the parser goes on: it reports what is wrong elsewhere, and invents nothing (D11).

Errors are put into statements of the shipped specs, each of which stands on a line of its own.
"""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from archdsl import ArchError, Limits
from archdsl.diagnostics import MOST_ERRORS, Diagnostic, Source
from archdsl.syntax.parser import Parser

SPECS = sorted((Path(__file__).parents[2] / "specs").glob("*.arch"))
TEXTS = {path.stem: path.read_text(encoding="utf-8") for path in SPECS}
TOKEN = re.compile(r'"(?:\\.|[^"\\\n])*"|#[^\n]*|\w+|->|\*\*|//|[=!<>]=|[^\s\w]')
INSERTED = [
    ")", "]", "(", "[", "=", ",,", "@", "'", '"', "&&", "?", "in in", "else", "let", "->",
]  # fmt: skip


def found_in(text: str) -> tuple[Diagnostic, ...]:
    try:
        Parser(Limits()).parse(Source("spec.arch", text))
    except ArchError as error:
        return error.diagnostics
    return ()


def lines_of(found: tuple[Diagnostic, ...]) -> list[int]:
    return [one.span.line for one in found if one.span]


def tokens(line: str) -> list[re.Match[str]]:
    return [found for found in TOKEN.finditer(line) if found[0][0] != "#"]


def statements(text: str) -> Iterator[int]:
    """Yield the numbers of lines, from 0, that hold a statement, its head, or a brace."""
    depth, begun = 0, False
    for number, line in enumerate(text.split("\n")):
        words = [found[0] for found in tokens(line)]
        depth += sum(word in "([" for word in words) - sum(word in ")]" for word in words)
        goes_on = depth > 0 or words[-1:] == ["->"]
        if words and not begun and not goes_on:
            yield number
        begun = goes_on


def partners(text: str) -> dict[int, list[int]]:
    """Return the lines of the `{` that are closed on each line, both from 0."""
    opened: list[int] = []
    closed: dict[int, list[int]] = {}
    for number, line in enumerate(text.split("\n")):
        for word in tokens(line):
            if word[0] == "{":
                opened.append(number)
            elif word[0] == "}":
                closed.setdefault(number, []).append(opened.pop())
    return closed


def with_brace_wrong(line: str) -> str:
    """Leave out the brace that a line begins or ends with, or give it one too many."""
    if line.rstrip().endswith("{") and line.strip() != "{":
        return line.rstrip()[:-1]
    if line.lstrip().startswith("}"):
        return re.sub(r"\} *", "", line, count=1)
    return f"{line} }}" if line.strip() else line


@st.composite
def wrong_specs(draw: st.DrawFn) -> tuple[str, set[int], int]:
    """Return a spec with errors, the lines (from 1) that may be shown for them, and how many."""
    text = TEXTS[draw(st.sampled_from(sorted(TEXTS)))]
    lines = text.split("\n")
    closed = partners(text)
    chosen = draw(st.lists(st.sampled_from(list(statements(text))), min_size=1, max_size=4))
    shown = {number + 1 for number in chosen}
    for number in set(chosen):
        line = lines[number]
        if number == chosen[0]:
            if line.lstrip().startswith("}"):  # the `{` is what is shown
                shown |= {opened + 1 for opened in closed.get(number, [])}
            lines[number] = with_brace_wrong(line)
        elif line.strip() not in ("{", "}"):
            token = draw(st.sampled_from(tokens(line)))
            if draw(st.booleans()) and token[0] not in "{}":
                lines[number] = line[: token.start()] + line[token.end() :].lstrip()
            else:
                at = draw(st.sampled_from([token.start(), token.end()]))
                space = " " if line[:at].strip() else ""
                word = draw(st.sampled_from(INSERTED))
                lines[number] = f"{line[:at]}{space}{word} {line[at:]}"
    return "\n".join(lines), shown, len(set(chosen))


@given(wrong=wrong_specs())
def test_errors_are_reported_where_they_are_and_none_is_invented(
    wrong: tuple[str, set[int], int],
) -> None:
    text, lines, number = wrong

    found = found_in(text)

    assert set(lines_of(found)) <= lines
    assert len(found) <= number


@st.composite
def lines_of_bodies(draw: st.DrawFn) -> tuple[str, list[int]]:
    """Return a spec and some of its lines, from 0, that are statements in bodies."""
    text = TEXTS[draw(st.sampled_from(sorted(TEXTS)))]
    items = re.split(r"^(?=network|block|fn|let|import)", text, flags=re.MULTILINE)
    inside: list[int] = []
    first = 0
    for item in items:
        if item.startswith(("network", "block")):
            inside += [first + n for n in statements(item) if item.split("\n")[n][:1] == " "]
        first += item.count("\n")
    lines = text.split("\n")
    wordy = [n for n in inside if lines[n].strip() not in ("{", "}")]
    assume(wordy)  # a file may have nothing but other names for networks
    return text, sorted(draw(st.sets(st.sampled_from(wordy), min_size=1, max_size=6)))


@given(chosen=lines_of_bodies())
def test_every_statement_that_is_wrong_is_reported(chosen: tuple[str, list[int]]) -> None:
    text, numbers = chosen
    lines = text.split("\n")
    for number in numbers:
        indent = re.match(r"[ }]*", lines[number])
        assert indent
        lines[number] = f"{indent[0]}? {lines[number][indent.end() :]}"

    assert lines_of(found_in("\n".join(lines))) == [number + 1 for number in numbers]


def body(*lines: str) -> str:
    return "\n".join(["network n {", "  input x: [4]", *(f"  {line}" for line in lines), "}"])


@pytest.mark.parametrize(
    ("lines", "shown"),
    [
        (["ReLU)", "Tanh", "Linear(4))"], [3, 5]),
        (["Linear(4", "Tanh", "Linear(4))"], [3, 5]),
        (["Linear(4", "  true)", "Linear(4))"], [4, 5]),
        (["a: Linear(4", "b: Linear(4", "c: Linear(4)"], [3, 4]),
        (["if 1 = 2 { ReLU } else { Tanh }"], [3]),
        (["if 1 = 2 {", "  ReLU", "} else {", "  Tanh)", "}"], [3, 6]),
        (["mul (2 { branch {} } as gated", "Tanh)"], [3, 4]),
        (["residual whenever { ReLU } shortcut { Tanh }", "Tanh)"], [3, 4]),
        (["ReLU ->", "let n = 3", "Tanh)"], [3, 5]),
        (["ReLU -> # to nowhere", "", "let n = 3"], [3]),
        (["a:", "b:", "ReLU"], [3, 4]),
        (["if in", ".features == 4 { ReLU }", "Tanh)"], [3, 5]),
        (["repeat", "3 { ReLU }", "Tanh)"], [3, 5]),
        (["residual when true and in.", "features == 4 { ReLU }", "Tanh)"], [3, 5]),
        (["body = ", "  ReLU", "}", "Tanh)"], [3, 6]),
        (["for i in range(4) x", "  ReLU", "}", "Tanh)"], [3, 6]),
        (["for i in [1, 2{ ]", "  ReLU", "}", "Tanh)"], [3, 6]),
        (["body: {", "  ReLU", "let", "Tanh"], [5]),
        (["body: {", "  ReLU", ")", "Tanh)"], [5, 6]),
        (["ReLU)", "body: {", "  ReLU", "not", "Tanh)"], [3, 6, 7]),
        (["if true {", "  ReLU", "else {", "  Tanh", "}"], [3]),
        (["body: {", "  ReLU", "Tanh"], [3]),
        (["body: {", "  ReLU", "Tanh", "Linear(4))"], [3, 6]),
        (["body:", "  ReLU", "}", "Linear(4))"], [3, 6]),
        (["repeat 3", "  ReLU", "}", "Linear(4))"], [3, 6]),
        (["ReLU }", "Linear(4))"], [3, 4]),
        (["ReLU", "}", "Linear(4))"], [4, 5]),
        (['"a: ReLU', "b: Linear(4))"], [3, 4]),
        (["ReLU 'a'", 'Linear("{3 +}")'], [3, 4]),
        (["# (", 'let s = "{{ ( ["', "ReLU)"], [5]),
    ],
)
def test_one_error_for_each_statement_that_is_wrong(lines: list[str], shown: list[int]) -> None:
    assert lines_of(found_in(body(*lines))) == shown


TABLE = "let table = [\n  [0, 1], [2, 3],\n  [4, 5], [6, 7],\n  [8, 9],\n]\n"


@pytest.mark.parametrize("wrong", ["", ":", "repeat", "x"])
def test_a_bracket_in_a_list_of_several_lines(wrong: str) -> None:
    """The `]` that stands first on its line belongs to the `[` of the first one."""
    for found in re.finditer(r"(?<=\d)\]", TABLE):
        text = TABLE[: found.start()] + wrong + TABLE[found.end() :]
        line = text.count("\n", 0, found.start()) + 1
        assert lines_of(found_in(text + body("ReLU)"))) == [line, 8]


@pytest.mark.parametrize("wrong", ["not", "=", "x", ""])
def test_a_list_of_several_lines_that_is_not_closed(wrong: str) -> None:
    text = TABLE.replace("\n]\n", f"\n{wrong}\n")
    assert lines_of(found_in(text + body("ReLU)"))) == [1, 8]


@pytest.mark.parametrize("wrong", ["not", "=", ","])
def test_an_item_that_ends_in_something_else_than_a_brace(wrong: str) -> None:
    text = body("ReLU)", "Tanh")[:-1] + wrong
    assert lines_of(found_in(f"{text}\n\n{body('ReLU)')}")) == [1, 3, 9]


def test_a_line_that_is_set_in_behind_an_item() -> None:
    assert lines_of(found_in(body("ReLU") + "\n m = n(4)\n" + body("ReLU)"))) == [5, 8]


REPLACED = [")", "]", "=", ",,", "@", "&&", "?", "in in", "let", "x", "if", "return", ":"]


@given(data=st.data())
def test_one_word_that_is_wrong_gives_at_most_one_error(data: st.DataObject) -> None:
    text = TEXTS[data.draw(st.sampled_from(sorted(TEXTS)))]
    words = [found for found in TOKEN.finditer(text) if found[0][0] != "#"]
    word = data.draw(st.sampled_from(words))
    # where the brace before a list of several lines is gone, its second line is told of as well
    assume(word[0] != "}" or "[\n" not in text[word.end() :])
    other = data.draw(st.sampled_from(REPLACED))

    found = lines_of(found_in(f"{text[: word.start()]} {other} {text[word.end() :]}"))

    line = text.count("\n", 0, word.start()) + 1
    opened = partners(text).get(line - 1, []) if word[0] == "}" else []
    assert len(found) <= 1
    # what follows may be right as well, until the next line
    assert set(found) <= {line, line + 1, *(number + 1 for number in opened)}


def test_what_is_not_set_in_is_not_guessed_at() -> None:
    flat = "network n {\ninput x: [4]\nbody: {\nReLU\nTanh)\n}\nLinear(3)\n"

    assert lines_of(found_in(flat)) == [1, 5]


def test_an_item_after_one_that_is_not_closed_is_read_for_itself() -> None:
    text = "network n {\n  input x: [4]\n  ReLU\n\nblock B {\n  ReLU)\n}\n"

    assert lines_of(found_in(text)) == [1, 6]


def test_items_that_stand_in_each_other_give_one_error() -> None:
    (error,) = found_in("block B {\nnetwork n { input x: [4]; ReLU }\n}\n")

    assert "don't nest" in error.help()


def test_text_that_is_no_spec_gives_one_error_an_item() -> None:
    python = "class Net(nn.Module):\n    def __init__(self):\n        self.a = (1]\n\n"

    assert lines_of(found_in(python + body("ReLU)"))) == [1, 7]


def test_no_more_errors_are_looked_for_than_are_shown() -> None:
    found = found_in(body(*["ReLU)"] * 200))

    assert lines_of(found) == list(range(3, 4 + MOST_ERRORS))


def test_what_is_read_again_counts_as_tokens() -> None:
    text = body(*["ReLU)"] * 3)
    parser = Parser(Limits())
    parser.statements.tokens_left = text.count("\n") * 3  # enough to read it once

    with pytest.raises(ArchError) as caught:
        parser.parse(Source("spec.arch", text))

    assert lines_of(caught.value.diagnostics) == [3]


@pytest.mark.parametrize(
    "text",
    ["(", "{ }", "}", "a {\n}\n", "\n", "ReLU)\n", "{\n a (\n"],
)
def test_time_is_linear_in_the_length_of_what_is_wrong(
    clocked: Callable[[Callable[[], object]], float], text: str
) -> None:
    def parsed(length: int) -> Callable[[], object]:
        return lambda: found_in(f"network n {{\n  ReLU)\n{text * (length // len(text))}}}}}")

    parsed(1_000)()
    assert clocked(parsed(20_000)) < 5 * clocked(parsed(7_000)) + 0.1


@pytest.mark.parametrize("text", ["\n", "ReLU)\n", ")"])
def test_memory_stays_small_whatever_is_wrong(text: str) -> None:
    spec = f"network n {{\n  ReLU)\n{text * (2**16 // len(text))}}}}}"
    Parser(Limits())  # what the parser itself needs is there before

    tracemalloc.start()
    try:
        found_in(spec)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert most < 2**24
