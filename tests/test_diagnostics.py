"""How a place in a file and what is wrong there are written, whatever the file holds."""

from __future__ import annotations

import pickle
import unicodedata
from string import Formatter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archdsl.diagnostics import (
    HOLE,
    LEAD,
    LONGEST_EXCERPT,
    LONGEST_LINE,
    MOST_ERRORS,
    ArchError,
    Diagnostic,
    Label,
    Source,
    Span,
    Use,
    printable,
    render,
    render_all,
)
from archdsl.error_index import every_kind


class Wrong(Diagnostic):
    """Something is wrong."""

    text = "{said}"
    mark = "here"

    said: str = "wrong"
    beside: tuple[Label, ...] = ()

    def others(self) -> tuple[Label, ...]:
        return self.beside


class Told(Diagnostic):
    """Something of which more or less may be known."""

    text = "{many:,} of `{names:`, `}` at {name:6}: {double}"
    mark = "it is {name}"
    mend = "did you mean `{names:` or `}`?"
    further = "first", "the first of {many}"

    name: str
    names: tuple[str, ...] = ()
    many: int = 0
    first: Span | None = None

    @property
    def double(self) -> int:
        return 2 * self.many


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


def test_holes_of_a_text_are_filled_with_what_is_known() -> None:
    source = Source("net.arch", "network n {\n")
    here, there = Span(source, 0, 7), Span(source, 8, 9)

    told = Told(here, name="abcdefgh", names=("x", "y"), many=1000, first=there)

    assert told.message() == "1,000 of `x`, `y` at abc...: 2000"
    assert told.label() == "it is abcdefgh"
    assert told.help() == "did you mean `x` or `y`?"
    assert told.others() == [Label(there, "the first of 1000")]
    assert told.but(hint="no").help() == "no"
    assert not told.but(first=here).others()  # which the carets show already


def test_where_a_hole_has_nothing_to_say_nothing_is_said() -> None:
    told = Told(name="")

    assert told.label() == told.help() == ""
    assert not told.others()
    assert told.message() == "0 of `` at : 0"


@pytest.mark.parametrize(
    "texts",
    [
        {"text": "{size}"},
        {"mark": "`{size}`"},
        {"mend": "{size:,}"},
        {"further": ("size", "")},
        {"further": ("first", "{size}")},
    ],
)
def test_a_hole_that_nothing_fills_is_found_when_its_class_is_made(
    texts: dict[str, object],
) -> None:
    with pytest.raises(TypeError, match="Unfit knows no `size`"):
        type("Unfit", (Told,), texts)


class Anything:
    """Fills any hole, however it is to be written."""

    def __getitem__(self, name: object) -> Anything:
        return self

    def __format__(self, form: str) -> str:
        return "anything"


@pytest.mark.parametrize("kind", every_kind(), ids=lambda kind: kind.code)
def test_every_template_can_be_filled(kind: type[Diagnostic]) -> None:
    name, further = kind.further

    for template in (kind.text, kind.mark, kind.mend, f"{{{name}}}", further):
        assert {*HOLE.findall(template)} == {
            hole for _, hole, _, _ in Formatter().parse(template) if hole is not None
        }
        assert "{" not in template.replace("{{", "").format_map(Anything())


def test_what_is_known_is_what_was_declared_and_stays() -> None:
    with pytest.raises(TypeError, match="Told needs `name`"):
        Told()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="Told has no size, weight"):
        Told(name="x", weight=1, size=2)  # type: ignore[call-arg]
    with pytest.raises(AttributeError, match="never changes"):
        Told(name="x").name = "y"  # type: ignore[misc]


def test_an_error_says_all_that_it_holds_and_can_be_sent_to_another_process() -> None:
    error = pickle.loads(pickle.dumps(ArchError(Wrong(said="one"), Wrong(said="two"))))

    assert str(error) == "error: one\n\nerror: two"
    assert [one.message() for one in error.diagnostics] == ["one", "two"]
