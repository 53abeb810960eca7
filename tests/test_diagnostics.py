"""How a place in a file and what is wrong there are written, whatever the file holds."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archdsl.diagnostics import (
    LEAD,
    LONGEST_EXCERPT,
    LONGEST_LINE,
    MOST_ERRORS,
    Diagnostic,
    Label,
    Source,
    Span,
    Use,
    printable,
    render,
    render_all,
)


class Wrong(Diagnostic):
    """Something is wrong."""

    said: str = "wrong"
    beside: tuple[Label, ...] = ()

    def message(self) -> str:
        return self.said

    def label(self) -> str:
        return "here"

    def others(self) -> tuple[Label, ...]:
        return self.beside


def place(source: Source, text: str) -> Span:
    start = source.text.index(text)
    return Span(source, start, start + len(text))


@settings(deadline=None, derandomize=True)
@given(st.text(alphabet="ab\n\r\t", max_size=12))
def test_lines_and_positions_are_those_of_the_text(text: str) -> None:
    source = Source("x", text)
    lines = text.split("\n")

    assert [source.line(number) for number in range(1, len(lines) + 1)] == [
        line.rstrip("\r") for line in lines
    ]
    for offset in range(len(text) + 1):
        before = text[:offset].split("\n")
        assert source.position(offset) == (len(before), len(before[-1]) + 1)


@settings(deadline=None, derandomize=True)
@given(st.text(max_size=30), st.integers(3, 30))
def test_what_is_printed_can_steer_no_terminal(text: str, limit: int) -> None:
    shown = printable(text, limit)

    assert len(shown) <= limit
    assert not {unicodedata.category(one)[0] for one in shown} & {"C"}
    assert not set(shown) & {"\u2028", "\u2029"}


@pytest.mark.parametrize("letter", ["a", "é"])
@pytest.mark.parametrize(("length", "cut"), [(LONGEST_LINE, False), (LONGEST_LINE + 1, True)])
def test_long_texts_are_cut(letter: str, length: int, cut: bool) -> None:
    shown = printable(letter * length)

    assert len(shown) == LONGEST_LINE
    assert shown.endswith("...") == cut


def test_as_many_errors_are_shown_as_can_be_read() -> None:
    each = [Wrong(span=None, said=f"error {number}") for number in range(1, MOST_ERRORS + 3)]

    all_shown, some = render_all(each[:MOST_ERRORS]), render_all(each)

    assert all_shown == "\n\n".join(f"error: error {n}" for n in range(1, MOST_ERRORS + 1))
    assert some == f"{all_shown}\n\n... and 2 more errors"


@pytest.mark.parametrize(
    ("uses", "shown"),
    [
        (6, ["u0", "u1", "u2", "u3", "u4", "u5"]),
        (7, ["u0", "u1", "u2", "u3", "... 2 more uses ...", "u6"]),
        (9, ["u0", "u1", "u2", "u3", "... 4 more uses ...", "u8"]),
    ],
)
def test_a_long_way_is_told_by_its_ends(uses: int, shown: list[str]) -> None:
    source = Source("net.arch", "network n {\n")
    trail = tuple(Use(f"u{number}", Span(source, 0, 1)) for number in range(uses))

    lines = render(Wrong(span=None, trail=trail)).split("\n")[1:]

    assert lines == [
        f"  = note: {one}" if "more" in one else f"  = note: in `{one}`, used at net.arch:1:1"
        for one in shown
    ]


def test_lines_between_two_places_are_shown_or_left_out() -> None:
    source = Source("net.arch", "one\ntwo\nthree\nfour\nfive\nsix\n")
    others = tuple(Label(place(source, word), f"{word} too") for word in ("three", "six"))

    shown = render(Wrong(span=place(source, "one"), beside=others))

    assert shown.split("\n") == [
        "error: wrong",
        " --> net.arch:1:1",
        "  |",
        "1 | one",
        "  | ^^^ here",
        "2 | two",
        "3 | three",
        "  | ----- three too",
        "...",
        "6 | six",
        "  | --- six too",
    ]


def test_marks_stand_under_the_text() -> None:
    source = Source("net.arch", "\ta \x1b b\n" + "c" * (LONGEST_EXCERPT + 50))

    shown = render(Wrong(span=place(source, "b"))).split("\n")
    far = render(Wrong(span=Span(source, len(source.text) - 1, len(source.text)))).split("\n")

    assert shown[-2:] == ["1 | \ta \\x1b b", "  | \t       ^ here"]
    # of a long line the part before the place at fault
    assert far[-2:] == [f"2 | ...{'c' * LEAD}c", f"  |    {' ' * LEAD}^ here"]


def test_a_long_line_is_shown_once_for_each_place_that_is_far_from_others() -> None:
    source = Source("net.arch", "a" + "-" * 2 * LONGEST_EXCERPT + "b c" + "-" * LONGEST_EXCERPT)
    others = tuple(Label(place(source, text), f"{text} too") for text in "bc")

    shown = render(Wrong(span=place(source, "a"), beside=others)).split("\n")

    assert [line for line in shown if line.startswith("1 |")] == [
        f"1 | a{'-' * (LONGEST_EXCERPT - 1)}...",
        f"1 | ...{'-' * LEAD}b c{'-' * (LONGEST_EXCERPT - LEAD - 3)}...",
    ]
    assert [line.index("-") for line in shown if line.endswith(" too")] == [
        len("  | ...") + LEAD,
        len("  | ...") + LEAD + 2,
    ]
