"""Diagnostics: what is wrong, where in the source, and how to mend it."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Self, dataclass_transform

from archdsl.records import Record

MOST_ERRORS = 20
LONGEST_LINE = 500  # of a message
LONGEST_EXCERPT = 120  # of a source line
LEAD = 40  # characters of a longer line that are shown before the place at fault
CUT = "..."
HOLE = re.compile(r"(?<!{){(\w+)")  # of a template
BLUE = "1;34"
COLORS = {"error": "1;31", "warning": "1;33", "note": BLUE}


class Source:
    """One file of text, with the name that messages call it by."""

    __slots__ = ("_starts", "path", "text")

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        self._starts: list[int] = []

    def position(self, offset: int) -> tuple[int, int]:
        """Return line and column, both from 1, of a character."""
        if not self._starts:
            starts, at = [0], self.text.find("\n")
            while at >= 0:
                starts.append(at + 1)
                at = self.text.find("\n", at + 1)
            self._starts = starts  # as a whole: several threads may read one kept source
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def line(self, number: int) -> str:
        """Return the text of a line, counted from 1."""
        self.position(0)
        start = self._starts[number - 1]
        end = self.text.find("\n", start)
        return self.text[start : end if end >= 0 else None].rstrip("\r")


class Span(Record):
    """The characters of a source from `start` up to, not including, `end`."""

    source: Source
    start: int
    end: int

    @property
    def line(self) -> int:
        """The line it begins on, from 1."""
        return self.source.position(self.start)[0]

    @property
    def column(self) -> int:
        """The column it begins at, from 1, in characters."""
        return self.source.position(self.start)[1]

    def __str__(self) -> str:
        line, column = self.source.position(self.start)
        return f"{self.source.path}:{line}:{column}"

    def to(self, last: Span) -> Span:
        """Return the span from the start of this one to the end of the last."""
        return Span(self.source, self.start, last.end)


class Label(Record):
    """A place in a source, and what is to be said beside it."""

    span: Span
    text: str


class Use(Record):
    """A step of the way to a place: the use of a block, or the call of a function."""

    name: str
    span: Span


@dataclass_transform(frozen_default=True, kw_only_default=True)
class _Facts:
    """Gives its subclasses what their annotations declare, and keeps it for good.

    They are read here, and not by `dataclasses`, since making forty data classes takes a tenth of
    the time of a count that finds nothing wrong.
    """

    fields: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, kw_only: bool = True) -> None:
        """Make a kind; `kw_only` is for type checkers alone."""

    def __init__(self, *in_order: object, **facts: object) -> None:
        kind = type(self)
        facts |= zip(kind.fields, in_order, strict=False)
        for name in kind.fields:
            if name not in facts and not hasattr(kind, name):
                raise TypeError(f"{kind.__name__} needs `{name}`")
        if unknown := facts.keys() - kind.fields:
            raise TypeError(f"{kind.__name__} has no {', '.join(sorted(unknown))}")
        self.__dict__.update(facts)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a diagnostic never changes, and so `{name}` can't be set")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in vars(self).items())})"


class Diagnostic(_Facts, kw_only=False):
    """Something wrong with a spec: one subclass a kind, declared beside the stage that finds it.

    The docstring of a subclass is its entry in the error index: the first line is its title. Its
    annotations are what it knows, given by name; span and trail are given in this order as well.
    Its texts are templates: a hole `{name}` stands for what is known by that name, or a property.
    A hole may say how it is written: `{allowed:,}` as Python writes a number, `{ring: -> }` what
    stands between the items of a tuple, `{pattern:100}` how long a text may be.

    Attributes:
        code: stable name of the kind.
        text: template of what is wrong, in one line.
        mark: template of what stands beside the carets.
        mend: template of how to mend it, where no hint is given.
        further: another place to show, by the name of what is known, and a template for it.
        span: the place, or None where there is none in any file (a missing file, say).
        trail: the uses of blocks that led there, innermost first.
        hint: how to mend it, where that is known here alone.

    All but `text` say nothing where one of their holes has nothing to say.
    """

    fields: ClassVar[tuple[str, ...]] = ("span", "trail", "hint")
    code: ClassVar[str] = ""  # what is no error has none
    text: ClassVar[str] = ""
    mark: ClassVar[str] = ""
    mend: ClassVar[str] = ""
    further: ClassVar[tuple[str, str]] = ("span", "")

    span: Span | None = None
    trail: tuple[Use, ...] = ()
    hint: str = ""

    def __init_subclass__(cls, kw_only: bool = True) -> None:
        cls.fields = (*cls.fields, *cls.__annotations__)
        place, said = cls.further
        for name in HOLE.findall(f"{cls.text}{cls.mark}{cls.mend}{said}{{{place}}}"):
            if name not in cls.fields and not hasattr(cls, name):
                raise TypeError(f"{cls.__name__} knows no `{name}`, and a text has a hole for it")

    @property
    def severity(self) -> str:
        """How bad it is: "error", "warning" or "note"."""
        return "error"

    def message(self) -> str:
        """Say in one line what is wrong."""
        return self.text.format_map(_Holes(self))

    def sentence(self) -> str:
        """Say on one line, for where no place is shown, what is wrong and how to mend it."""
        told = [self.message(), *([self.help()] if self.help() else [])]
        return f"{self.severity}: {'; '.join(told)}"

    def label(self) -> str:
        """Say what stands beside the carets."""
        return self._said(self.mark)

    def others(self) -> Sequence[Label]:
        """Return further places to show."""
        name, text = self.further
        place = getattr(self, name)
        return [Label(place, self._said(text))] if place not in (None, self.span) else []

    def notes(self) -> Sequence[str]:
        """Return what else is worth knowing."""
        return ()

    def help(self) -> str:
        """Say how to mend it, where that is known."""
        return self.hint or self._said(self.mend)

    def but(self, **facts: Any) -> Self:
        """Return the same with some facts changed."""
        return type(self)(**(vars(self) | facts))

    def _said(self, template: str) -> str:
        holes = _Holes(self)
        text = template.format_map(holes)
        return "" if holes.empty else text


class _Holes:
    """What the holes of a template are filled with: what a diagnostic knows.

    Attributes:
        empty: whether a hole so far had nothing to say.
    """

    def __init__(self, owner: Diagnostic) -> None:
        self.owner = owner
        self.empty = False

    def __getitem__(self, name: str) -> _Hole:
        value = getattr(self.owner, name)
        self.empty = self.empty or value in ("", (), None)
        return _Hole(value)


class _Hole(Record):
    value: object

    def __format__(self, form: str) -> str:
        if isinstance(self.value, str) and form:
            return printable(self.value, int(form))
        if isinstance(self.value, tuple):
            return form.join(map(str, self.value))
        return format(self.value, form)


class ArchError(Exception):
    """A spec that can't be used.

    Whoever is asked for something raises it with all that is wrong. On its way there it is one
    thing that is wrong with a statement, which the rest is worked out without.
    """

    def __init__(self, *diagnostics: Diagnostic) -> None:
        super().__init__(*diagnostics)
        self.diagnostics = diagnostics

    def __str__(self) -> str:
        return render_all(self.diagnostics)


def kinds() -> Iterator[type[Diagnostic]]:
    """Yield every kind of diagnostic there is, in the order of their codes."""

    def below(kind: type[Diagnostic]) -> Iterator[type[Diagnostic]]:
        for each in kind.__subclasses__():
            if "code" in vars(each):
                yield each
            yield from below(each)

    yield from sorted(below(Diagnostic), key=lambda kind: kind.code)


def printable(text: str, limit: int = LONGEST_LINE) -> str:
    """Make text from a spec safe to print: what can steer a terminal is written as an escape.

    Control and format characters (bidirectional marks among them), surrogates and line breaks
    come out as in Python's `"\\x1b"`; what is too long is cut.
    """
    if not (text.isascii() and text.isprintable()):
        text = "".join(
            repr(character)[1:-1]
            if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
            else character
            for character in text[: limit + 1]
        )
    return text if len(text) <= limit else text[: limit - 3] + "..."


def visible(text: str) -> str:
    """Return a text to be printed without quotes, in quotes if nothing would be seen of it."""
    return text if text.strip() else f'"{text}"'


def trail_notes(trail: Sequence[Use]) -> list[str]:
    """Say how the elaboration came to a place, innermost use first."""
    notes = [f"in `{use.name}`, used at {printable(str(use.span))}" for use in trail]
    if len(notes) > 6:
        # how it began and where it ended say most
        notes[4:-1] = [f"... {len(notes) - 5} more uses ..."]
    return notes


def render_all(diagnostics: Sequence[Diagnostic], color: bool = False) -> str:
    """Format diagnostics for a terminal, the first 20 of them."""
    shown = "\n\n".join(render(diagnostic, color) for diagnostic in diagnostics[:MOST_ERRORS])
    more = len(diagnostics) - MOST_ERRORS
    return shown + (f"\n\n... and {more} more errors" if more > 0 else "")


def render(diagnostic: Diagnostic, color: bool = False) -> str:
    """Format a diagnostic for a terminal, with carets under the text at fault."""

    def paint(style: str, text: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if color and text else text

    code = f"[{diagnostic.code}]" if diagnostic.code else ""
    lines = [
        paint(COLORS[diagnostic.severity], diagnostic.severity + code)
        + paint("1", f": {printable(diagnostic.message())}")
    ]
    main = diagnostic.span
    files: dict[Source, list[Label]] = {}
    if main:
        files[main.source] = [Label(main, diagnostic.label())]
        for other in diagnostic.others():
            if other.span != main:
                files.setdefault(other.span.source, []).append(other)
    labels = [label for there in files.values() for label in there]
    margin = " " * len(str(max((label.span.line for label in labels), default=0)))
    for source, there in files.items():
        arrow = "-->" if main and source is main.source else ":::"
        lines.append(f"{margin}{paint(BLUE, arrow)} {printable(str(there[0].span))}")
        lines.append(paint(BLUE, f"{margin} |"))
        lines += _excerpt(source, there, main, margin, paint)
    tail = [("note", note) for note in (*diagnostic.notes(), *trail_notes(diagnostic.trail))]
    tail += [("help", diagnostic.help())] if diagnostic.help() else []
    if tail and main:
        lines.append(paint(BLUE, f"{margin} |"))
    for kind, text in tail:
        lines.append(f"{margin} {paint(BLUE, '=')} {paint('1', kind + ':')} {printable(text)}")
    return "\n".join(lines)


def _excerpt(
    source: Source,
    labels: Sequence[Label],
    main: Span | None,
    margin: str,
    paint: Callable[[str, str], str],
) -> Iterator[str]:
    """Yield the lines of one source that labels point at, each with its underlines below it.

    Of a long line a part is shown; if that has not all labels in it, others follow.
    """
    last = first = 0  # the line that was shown, and the column (from 0) at which it begins
    for label in sorted(labels, key=lambda label: label.span.start):
        number, column = source.position(label.span.start)
        text = source.line(number)
        end = column - 1 + label.span.end - label.span.start
        fits = end <= first + LONGEST_EXCERPT or column - 1 <= first + LEAD
        if number != last or not fits:
            if last and number == last + 2:
                yield _numbered(last + 1, source.line(last + 1), margin, paint)
            elif last and number > last + 2:
                yield paint(BLUE, "...")
            first = 0 if end <= LONGEST_EXCERPT else max(column - 1 - LEAD, 0)
            yield _numbered(number, text, margin, paint, first)
            last = number
        before = printable_excerpt(text, first, column - 1)
        under = printable_excerpt(text, first, end)
        # tabs stay, so that the marks stand under the text whatever a tab is worth
        indent = "".join("\t" if character == "\t" else " " for character in before)
        width = max(1, len(under) - len(before))
        marks = ("^" if label.span == main else "-") * width
        style = "1;31" if label.span == main else BLUE
        said = f" {printable(label.text)}" if label.text else ""
        yield f"{paint(BLUE, f'{margin} |')} {indent}{paint(style, marks + said)}"


def _numbered(
    number: int, text: str, margin: str, paint: Callable[[str, str], str], first: int = 0
) -> str:
    gutter = paint(BLUE, f"{number:>{len(margin)}} |")
    more = CUT if len(text) > first + LONGEST_EXCERPT else ""
    return f"{gutter} {printable_excerpt(text, first, len(text))}{more}".rstrip()


def printable_excerpt(text: str, first: int, end: int) -> str:
    """Make a part of a source line safe to print, with its tabs, and a mark if it is cut before."""
    part = text[first : min(end, first + LONGEST_EXCERPT)]
    return (CUT if first else "") + "\t".join(printable(each) for each in part.split("\t"))
