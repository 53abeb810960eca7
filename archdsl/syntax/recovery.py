"""After an error in the text: where the text goes on, and which bracket an error is about.

Knows of the grammar that statements end at line breaks and `;`, and that braces stand in no other
brackets; so it works on text that can't be parsed. A part of a file is read again and again, each
time without the statement that was wrong, until nothing more is found. What is left out becomes
blank, and a brace that is missing is put in the place of a blank: so places stay what they are.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from enum import Enum

from archdsl.records import Record

# strings and comments are found first, so that what stands in them means nothing
ITEM_OR_BRACE = re.compile(
    r'"(?:\\.|[^"\\\n])*"|#[^\n]*|[{}]|^(?:network|block|fn|import|let)(?=[ \t])', re.MULTILINE
)
STRING_OR_COMMENT = re.compile(r'"(?:\\.|[^"\\\n])*"|#[^\n]*')
MARKS = re.compile(r"->|[()\[\]{};\n]")
LINE = re.compile(r"\n[ \t]*(?=\S)")  # up to what stands there
END = re.compile(r"[ \t]*\n")
INDENTATION = re.compile(r"^[ \t]*", re.MULTILINE)
HEAD = re.compile(r"\s*(?:network|block)[ \t]+[A-Za-z_]\w*", re.ASCII)
# braces in `( )` or `[ ]` of a line: they can't be meant
BRACKETED_BRACE = re.compile(r"\([^()\n]*[{}][^()\n]*\)|\[[^\[\]\n]*[{}][^\[\]\n]*\]")
NO_BRACES = str.maketrans("{}", "~~")
GOES_ON = re.compile(r"(?:else|shortcut)\b", re.ASCII)
LABEL = re.compile(r"""[\w."]+[ \t]*:""", re.ASCII)
MOST_OPEN = 256  # brackets; more than any limit allows
CLOSING = {"(": ")", "[": "]", "{": "}"}


class Fault(Enum):
    """What an error in a text is about."""

    TEXT = "what stands there"
    UNCLOSED = "a bracket that is not closed"
    SURPLUS = "a `}` too many"
    ENDS = "a line that ends too early"
    OPENING = "a line that doesn't end in `{`, though those below are set in and `}` follows"


class Found(Record):
    """An error, as far as brackets and lines tell.

    Attributes:
        at: the place of the bracket, or of what the line ends with; for others, where the parser
            stopped.
        beside: the place to show with it, or None.
    """

    fault: Fault
    at: int
    beside: int | None = None


class Brackets(Record):
    """Which brackets belong together.

    Attributes:
        partner: of each bracket that has one, both ways.
        broken: the `(` and `[` that are not closed before the next brace.
        unclosed, surplus: the braces without partner.
    """

    partner: dict[int, int]
    broken: list[int]
    unclosed: list[int]
    surplus: list[int]


def item_starts(text: str) -> Iterator[int]:
    """Yield where an item seems to begin: at its word, at the start of a line.

    A `let` may stand in a body as well; it is an item where no brace is open.
    """
    depth = 0
    for found in ITEM_OR_BRACE.finditer(text):
        word = found[0]
        if word in "{}":
            depth = max(depth + (1 if word == "{" else -1), 0)
        elif word[0] not in '"#' and (depth == 0 or word != "let"):
            depth = 0
            yield found.start()


class Part:
    """A part of a file in which something is wrong, and what of it is still to be read.

    Attributes:
        text: of the file up to its end, without what was left out. It ends in a blank, in the
            place of which a brace can be put.
        start: of the part.
        is_final: whether nothing more can be said of this part.
    """

    def __init__(self, text: str, start: int, end: int) -> None:
        self.text = text[:end] + " "
        self.start = start
        # the part without comments and strings, whose signs mean nothing
        self.signs = STRING_OR_COMMENT.sub(_harmless, text[start:end]) + " "
        self.signs = BRACKETED_BRACE.sub(lambda found: found[0].translate(NO_BRACES), self.signs)
        # the lines as they stand, which say what is further to the right
        self.lines = self.signs
        # where each line begins, and where what stands on it
        self.begins, self.firsts = array("L"), array("L")
        for line in INDENTATION.finditer(self.lines):
            self.begins.append(line.start())
            self.firsts.append(line.end())
        self.dropped: set[int] = set()  # the `{` whose head was left out
        self.added: set[int] = set()  # the braces that were put
        # where a line ended too early, and was left out: what is below may be the rest of it
        self.cut = -1
        # a function ends with a value, which can't be left out
        self.is_final = re.search(r"\bfn\b", self.signs) is not None

    def drop(self, at: int) -> Found | None:
        """Leave out the statement that stops the parser at a place.

        Returns what is wrong; None if it follows from what was left out before.
        """
        at = min(at - self.start, len(self.signs) - 1)  # it may have stopped at the end of the file
        brackets = self._brackets()
        bounds = self._bounds(brackets)
        found = (
            self._bracket(at, brackets, bounds)
            or self._brace(at, brackets, bounds)
            or self._line_end(at, bounds)
            or self._statement(at, brackets, bounds)
        )
        if found is None:
            return None
        beside = None if found.beside is None else found.beside + self.start
        return Found(found.fault, found.at + self.start, beside)

    def _brackets(self) -> Brackets:
        found = Brackets({}, [], [], [])
        opened: list[int] = []
        for mark in re.finditer(r"[()\[\]{}]", self.signs):
            at, sign = mark.start(), mark[0]
            if sign in "{}":
                while opened and self.signs[opened[-1]] != "{":
                    found.broken.append(opened.pop())
            if sign in CLOSING:
                opened.append(at)
                if len(opened) > MOST_OPEN:
                    self.is_final = True
                    return found
                continue
            depth = self._depth(opened, at, sign)
            if depth and self.signs[opened[depth - 1]] == _opening(sign):
                found.broken.extend(opened[depth:])
                del opened[depth:]
                found.partner[at] = opened.pop()
                found.partner[found.partner[at]] = at
            elif sign == "}":
                found.surplus.append(at)
        for at in opened:
            (found.unclosed if self.signs[at] == "{" else found.broken).append(at)
        found.broken.sort()
        return found

    def _depth(self, opened: list[int], at: int, sign: str) -> int:
        """Return how many brackets are open before the one that is closed at a place, and it.

        It is the innermost of its kind, but for one that stands first on its line: that closes what
        a line set in as far ends with, whatever is open on the lines between.
        """
        depth = len(opened)
        while depth and self.signs[opened[depth - 1]] not in (_opening(sign), "{"):
            depth -= 1
        if sign != "}" and self._is_first(at):
            for outer in range(depth, 0, -1):
                opening = opened[outer - 1]
                if self.signs[opening] == "{":
                    break
                if self.signs[opening] == _opening(sign) and END.match(self.signs, opening + 1):
                    return outer if self._indent(opening) == self._indent(at) else depth
        return depth

    def _bounds(self, brackets: Brackets) -> list[int]:
        """Return the signs that stand between statements: braces, `;` and line breaks."""
        bounds: list[int] = []
        depth = 0
        last, after = "{", 0  # the mark before, and where it ends
        pending: int | None = None  # a line break, which ends nothing before `->`
        for mark in MARKS.finditer(self.signs):
            at, sign = mark.start(), mark[0]
            blank = not self.signs[after:at].strip()
            if pending is not None and (sign != "\n" or not blank):
                if not (blank and sign == "->"):
                    bounds.append(pending)
                pending = None
            if sign in "{}" or (sign == ";" and depth == 0):
                bounds.append(at)
                depth = 0
            elif sign in "()[]" and at in brackets.partner:
                depth += 1 if sign in CLOSING else -1
            elif sign == "\n" and depth == 0 and not (blank and last == "->"):
                pending = at if pending is None else pending
            if sign != "\n" or not blank:
                last = sign
            after = mark.end()
        return bounds if pending is None else [*bounds, pending]

    def _bracket(self, at: int, brackets: Brackets, bounds: list[int]) -> Found | None:
        """Tell whether a bracket of an earlier line is the reason, and leave its statement out."""
        before = bisect_left(brackets.broken, at)
        if before and not re.search(r"[{}]", self.signs[brackets.broken[before - 1] : at]):
            opening = brackets.broken[before - 1]
            start, end = self._between(bounds, opening)
            if start <= at < end or (end == at and self.signs[at] in "{;"):
                return None  # on its line
            if END.match(self.signs, opening + 1):  # of several lines, and of what closes them
                self.cut = end = max(end, self._next_line(opening, len(self.signs) - 1) - 1)
        elif self._is_first(at):
            start, end = self._between(bounds, at)[0], at
            opening = max((one for one in self._around(at, brackets) if one >= start), default=-1)
            is_further = self._indent(at) > self._indent(opening)
            if opening < 0 or (is_further and not LABEL.match(self.signs, at)):
                return None  # as in a list of several lines
        else:
            return None
        self._blank(start, end)
        return Found(Fault.UNCLOSED, opening, at)

    def _brace(self, at: int, brackets: Brackets, bounds: list[int]) -> Found | None:
        """Tell whether a brace is the reason, and mend it."""
        if brackets.unclosed:
            opening, closing = self._unclosed(brackets)
            if at > opening:
                start, end = self._between(bounds, closing)
                stands_there = closing <= at and not self.signs[end:at].strip()
                if stands_there and self.signs[end] == "\n" and not self._goes_on(closing):
                    wrong = Found(Fault.TEXT, at)  # what stands in the place of the brace
                    if at >= end:
                        wrong = Found(Fault.ENDS, self._last(end))
                    self._blank(start, end)
                    self._put("}", closing)
                    return wrong
                shown = None if closing >= len(self.signs.rstrip()) else closing
                self._put("}", closing - (shown is not None))
                return Found(Fault.UNCLOSED, opening, shown)
            return None
        surplus = self._surplus(at, brackets)
        if surplus is None:
            return None
        for bound in bounds:
            if bound < surplus and self.signs[bound] == "\n" and self._begins_body(bound, brackets):
                end = self._last(bound)
                if self.signs[end] == "}":
                    surplus = end
                    break
                self._put("{", bound)
                return Found(Fault.OPENING, end)
        self._blank(surplus, surplus + 1)
        return Found(Fault.SURPLUS, surplus, brackets.partner.get(surplus))

    def _unclosed(self, brackets: Brackets) -> tuple[int, int]:
        """Return the `{` that has most likely no `}`, and before what that is missing.

        It is one inside others that is followed by a line no further to the right, else the first
        that is closed by a `}` further to the left than the line it stands on. Its `}` belongs
        before the first line that is not further to the right.
        """
        around: list[int] = []
        left: list[tuple[int, int]] = []  # closed further to the left; by where they are closed
        for mark in re.finditer(r"[{}]", self.signs):
            at = mark.start()
            if mark[0] == "}":
                around = around[:-1]
                continue
            # who sets in one body sets in all
            set_in = bool(around) and self._indent(at) > self._indent(around[-1])
            around.append(at)
            closing = brackets.partner.get(at, len(self.signs) - 1)
            if at in self.added or closing in self.added:
                continue
            place = self._next_line(at, closing)
            if set_in and place < closing and not self.signs[at + 1 : place].strip():
                return at, place
            if self._is_first(closing) and self._indent(at) > self._indent(closing):
                left.append((closing, at))
        if left:
            closing, opening = min(left)
            return opening, self._next_line(opening, closing)
        opening, last = brackets.unclosed[-1], len(self.signs) - 1
        place = self._next_line(opening, last)
        is_set_in = self.signs[opening + 1 : place].strip() != ""
        return opening, place if is_set_in else last

    def _next_line(self, opening: int, closing: int) -> int:
        """Return the first line after a brace that is not further to the right than its own."""
        for line in LINE.finditer(self.signs, opening, closing + 1):
            place = line.end()
            if self._indent(place) <= self._indent(opening):
                return place
        return closing

    def _surplus(self, at: int, brackets: Brackets) -> int | None:
        """Return the `}` before a place that is most likely one too many, if one is.

        One is too many if another has no `{`, if what is set in as in a body stands in none, or if
        there is no statement that an `else` or `shortcut` could go on with.
        """
        outside = (
            bool(brackets.surplus)
            and self.signs[at].strip() != ""
            and self._is_first(at)
            and self._indent(at) > 0
            and not self._is_inside(at, brackets)
        )
        goes_on = self._goes_on(at)
        surplus = next((one for one in brackets.surplus if one <= at), None)
        if not outside and not goes_on and surplus is None:
            return None
        outermost: int | None = None
        depth = 0
        for mark in re.finditer(r"[{}]", self.signs[: at + 1]):
            place = mark.start()
            depth += 1 if mark[0] == "{" else -1
            opening = brackets.partner.get(place)
            if (
                mark[0] == "}"
                and opening is not None
                and place not in self.added
                and "\n" in self.signs[opening:place]
                and (not self._is_first(place) or self._indent(place) > self._indent(opening))
            ):
                return place
            if mark[0] == "}" and depth == 0 and outermost is None:
                outermost = place
        if surplus is None:
            return outermost if outside else None
        more = outermost is not None and self.signs[outermost + 1 : surplus].strip()
        return outermost if more else surplus

    def _line_end(self, at: int, bounds: list[int]) -> Found | None:
        """Tell whether a line before ended too early, and leave out what leads there.

        That is said of a `->` that no stage follows, and of what is not complete before a `}`.
        """
        before = self.signs[:at].rstrip()
        if "\n" not in self.signs[len(before) : at] or before.endswith(("{", "}")):
            return None
        if before.endswith("->"):
            self._blank(len(before) - 2, len(before))  # the next line is a statement of its own
            return Found(Fault.ENDS, len(before) - 2)
        if self.signs[at] != "}" and at < len(self.signs) - 1:
            return None
        self.is_final = self.is_final or self.signs[at] != "}"
        self._blank(*self._between(bounds, at))
        return Found(Fault.ENDS, len(before) - 1)

    def _statement(self, at: int, brackets: Brackets, bounds: list[int]) -> Found | None:
        """Leave out the statement at a place; of one with a body, what stands before the body."""
        start, end = self._between(bounds, at)
        follows = start <= self.cut < at and not self.signs[start : self.cut].strip()
        # a word alone, before which a `}` was missing, stands in its place
        follows = follows or (start - 1 in self.added and len(self.signs[start:end].split()) == 1)
        if self._follows_dropped(start, brackets):
            self.is_final = self.is_final or not self.signs[start:end].strip()
            self._blank(start, end)
            return None
        # a brace that is wrong where it stands would have what follows in it, or end what is around
        if self.signs[at] == "{" and at in brackets.unclosed:
            self._blank(at, at + 1)
            brackets.unclosed.remove(at)
            end = next((bound for bound in bounds if bound > at), len(self.signs) - 1)
        if self.signs[at] == "}" and brackets.surplus and not self._is_first(at):
            self._blank(at, at + 1)
        lacks = bool(brackets.surplus) and self.signs[end] == "\n"
        opens = lacks and self._begins_body(end, brackets)
        if not self._is_inside(start, brackets):
            head = HEAD.match(self.signs, start, end)
            if head is None or head.end() > at or not (self.signs[end] == "{" or opens):
                self.is_final = True
                return None if follows else Found(Fault.TEXT, at)
            start = head.end()
        self.is_final = self.is_final or not (self.signs[start:end].strip() or opens)
        self._blank(start, end)
        if opens:
            self._put("{", end)
        elif at == end and self.signs[end] == "\n":
            self.cut = end
            follows = False  # it is wrong in itself
        self.dropped.add(end)
        return None if follows else Found(Fault.TEXT, at)

    def _goes_on(self, at: int) -> bool:
        """Tell whether a word stands at a place that a statement can go on with after `}`."""
        return GOES_ON.match(self.signs, at) is not None

    def _around(self, at: int, brackets: Brackets) -> Iterator[int]:
        """Yield the `(` and `[` that are open at a place."""
        for opening, closing in brackets.partner.items():
            if self.signs[opening] in "([" and opening < at < closing:
                yield opening

    def _is_inside(self, at: int, brackets: Brackets) -> bool:
        """Tell whether a brace is open at a place."""
        return any(opening < at for opening in brackets.unclosed) or any(
            self.signs[opening] == "{" and opening < at <= closing
            for opening, closing in brackets.partner.items()
        )

    def _follows_dropped(self, start: int, brackets: Brackets) -> bool:
        """Tell whether a place follows a body whose head was left out: `else`, `shortcut`, `as`."""
        return start > 0 and brackets.partner.get(start - 1) in self.dropped

    def _between(self, bounds: list[int], at: int) -> tuple[int, int]:
        after = bisect_left(bounds, at)
        start = bounds[after - 1] + 1 if after else 0
        return start, bounds[after] if after < len(bounds) else len(self.signs) - 1

    def _begins_body(self, at: int, brackets: Brackets) -> bool:
        """Tell whether lines below are set in, up to a `}`, though this one has no `{` for it."""
        if self.signs[self._last(at)] == "{":
            return False
        deeper = False
        for line in LINE.finditer(self.signs, at):
            place = line.end()
            if self._indent(place) <= self._indent(at):
                ends = self._indent(place) == self._indent(at) and self.signs[place] == "}"
                is_closed = brackets.partner.get(place, -1) >= self._line(at)[0]
                return deeper and ends and not is_closed
            deeper = True
        return False

    def _indent(self, at: int) -> int:
        """Return how far to the right the line of a place begins."""
        start, first = self._line(at)
        return len(self.lines[start:first].expandtabs())

    def _is_first(self, at: int) -> bool:
        """Tell whether nothing stands before a place on its line."""
        return at <= self._line(at)[1]

    def _line(self, at: int) -> tuple[int, int]:
        """Return where the line of a place begins, and where what stands on it."""
        line = bisect_right(self.begins, at) - 1
        return self.begins[line], self.firsts[line]

    def _last(self, at: int) -> int:
        """Return the last place before one at which anything stands."""
        at -= 1
        while at > 0 and self.signs[at].isspace():
            at -= 1
        return max(at, 0)

    def _blank(self, start: int, end: int) -> None:
        blank = re.sub(r"[^\n]", " ", self.signs[start:end])
        self._write(start, blank)

    def _put(self, brace: str, at: int) -> None:
        self._write(at, brace)
        self.added.add(at)

    def _write(self, at: int, written: str) -> None:
        self.signs = self.signs[:at] + written + self.signs[at + len(written) :]
        at += self.start
        self.text = self.text[:at] + written + self.text[at + len(written) :]
        if self.text[-1] != " ":
            self.signs += " "
            self.text += " "


def _harmless(found: re.Match[str]) -> str:
    length = len(found[0])
    return " " * length if found[0][0] == "#" else f'"{"_" * (length - 2)}"'


def _opening(sign: str) -> str:
    return next(opening for opening, closing in CLOSING.items() if closing == sign)
