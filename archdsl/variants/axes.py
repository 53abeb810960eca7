"""The values that a parameter takes in a sweep, as they are written: `1..6`, `0.5,0.75`."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import accumulate
from math import gcd, isfinite, lcm
from typing import Any, overload

from archdsl.diagnostics import ArchError, printable
from archdsl.elaborate.values import BlockValue
from archdsl.limits import LARGEST
from archdsl.records import Record
from archdsl.variants.errors import BadSweep

Value = Any  # of the language

NUMBER = r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?"
RANGE = re.compile(
    rf"(?P<first>{NUMBER})?\s*\.\.\s*(?P<last>{NUMBER})?(?:\s+by\s+(?P<step>{NUMBER}))?", re.ASCII
)
MOST_RANGES = 100  # of a parameter: each is compared with each
MOST_DIGITS = 40  # of a number in a range
BRACKETS = {"(": ")", "[": "]", "{": "}"}
FORMS = "`width=0.5,0.75`, `depth=1..6` or `channels=16..256 by 16`"


class Steps(Sequence[Value]):
    """Numbers at equal distances, the last included: as exact as they are written."""

    def __init__(self, first: Fraction, step: Fraction, count: int, whole: bool) -> None:
        self.first, self.step, self.number, self.whole = first, step, count, whole

    @overload
    def __getitem__(self, at: int) -> Value: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Value]: ...
    def __getitem__(self, at: int | slice) -> Value:
        if isinstance(at, slice):
            return [self[number] for number in range(self.number)[at]]
        value = self.first + range(self.number)[at] * self.step
        return int(value) if self.whole else float(value)

    def __len__(self) -> int:
        return self.number

    def has(self, value: Value) -> bool:
        """Tell whether a value is one of them; 1 and 1.0 are two."""
        if type(value) is not (int if self.whole else float) or not isfinite(value):
            return False
        at = round((Fraction(value) - self.first) / self.step)
        return 0 <= at < self.number and bool(self[at] == value)

    def common(self, other: Steps) -> Value | None:
        """Return a number that is in both, or None."""
        if self.whole != other.whole:
            return None
        numbers = (self.first, self.step, other.first, other.step)
        scale = lcm(*(number.denominator for number in numbers))
        (low, step, high), (its_low, its_step, its_high) = (
            each._ascending(scale) for each in (self, other)
        )
        divisor = gcd(step, its_step)
        if (its_low - low) % divisor:
            return None
        # the steps from `low` to where the other's steps come too, and from there to the next
        turns = its_step // divisor
        steps = (its_low - low) // divisor * pow(step // divisor, -1, turns) % turns
        found, every = low + steps * step, turns * step
        found += -((found - max(low, its_low)) // every) * every
        if found > min(high, its_high):
            return None
        return found // scale if self.whole else found / scale

    def _ascending(self, scale: int) -> tuple[int, int, int]:
        ends = sorted((self.first, self.first + (self.number - 1) * self.step))
        low, high = (int(end * scale) for end in ends)
        return low, int(abs(self.step) * scale), high


class Axis(Record):
    """A parameter with the values that it takes.

    Attributes:
        pieces: the values, one sequence after the other.
        written: how values are written that the language has no literal for, by their place.
        said: what all of them come from: the same for the same values, and for no others.
    """

    name: str
    pieces: tuple[Sequence[Value], ...]
    written: dict[int, str]
    said: str

    @property
    def length(self) -> int:
        """How many values it has."""
        return sum(map(len, self.pieces))

    def value(self, at: int) -> Value:
        """Return one of the values."""
        if len(self.pieces) == 1:
            return self.pieces[0][at]
        ends = list(accumulate(map(len, self.pieces)))
        piece = bisect_right(ends, at)
        return self.pieces[piece][at - (ends[piece - 1] if piece else 0)]

    def shown(self, at: int) -> Value:
        """Return a value as files have it: numbers and lists, and the text of a block."""
        return self.written.get(at, self.value(at))


def _wrong(name: str, reason: str, hint: str = "") -> ArchError:
    return ArchError(BadSweep(reason=f"-p {printable(name, 60)} {reason}", hint=hint))


def axis_of(name: str, text: str, parse: Callable[[str], Value], kind: str) -> Axis:
    """Read the values of a parameter.

    Args:
        parse: works out an expression of the language.
        kind: the type that the parameter is declared with, or "".

    Raises:
        ArchError: the text is wrong, or an expression in it.
    """
    parts = [part.strip() for part in _split(name, text)]
    if not text.strip():
        raise _wrong(name, "has no values", f"write {FORMS}")
    if not all(parts):
        raise _wrong(name, f"has nothing between two commas: `{printable(text, 60)}`")
    pieces: list[Sequence[Value]] = []
    written: dict[int, str] = {}
    count = 0
    for part in parts:
        if kind != "str" and (found := _range(name, part)) is not None:
            pieces.append(found)
        else:
            value = parse(part)
            if not _is_plain(value):
                written[count] = part
            if pieces and isinstance(pieces[-1], list):
                pieces[-1].append(value)
            else:
                pieces.append([value])
        count = sum(map(len, pieces))
    _require_once(name, pieces, written)
    return Axis(name, tuple(map(_frozen, pieces)), written, ",".join(parts))


def _frozen(piece: Sequence[Value]) -> Sequence[Value]:
    return tuple(piece) if isinstance(piece, list) else piece


def axis_from(name: str, values: Sequence[Value], shown: Callable[[Value], str]) -> Axis:
    """Return the axis of values that are there already; `shown` writes those without a literal."""
    if not values:
        raise _wrong(name, "has no values", f"write {FORMS}")
    if isinstance(values, range):
        first, step = values.start, values.step
        said = f"{first}..{first + step * (len(values) - 1)} by {step}"
        return Axis(name, (values,), {}, said)
    written = {at: shown(value) for at, value in enumerate(values) if not _is_plain(value)}
    _require_once(name, [values], written)
    said = ",".join(written.get(at) or repr(value) for at, value in enumerate(values))
    return Axis(name, (tuple(values),), written, said)


def _require_once(name: str, pieces: Sequence[Sequence[Value]], written: Mapping[int, str]) -> None:
    """Refuse a value that is there twice: its rows would be equal."""
    ranges: list[Steps] = []
    several: dict[object, Value] = {}
    count = 0
    for piece in pieces:
        if isinstance(piece, Steps):
            for other in ranges:
                if (common := piece.common(other)) is not None:
                    raise _wrong(name, f"has `{common}` twice, in two ranges")
            ranges.append(piece)
            if len(ranges) > MOST_RANGES:
                raise _wrong(name, f"has more than {MOST_RANGES} ranges")
        else:
            for at, value in enumerate(piece, count):
                if (key := _key(value)) in several:
                    shown = printable(written.get(at) or repr(value), 60)
                    raise _wrong(name, f"has `{shown}` twice")
                several[key] = value
        count += len(piece)
    for value in several.values():
        if any(each.has(value) for each in ranges):
            raise _wrong(name, f"has `{value!r}` twice, alone and in a range")


def _key(value: Value) -> object:
    """Return what is equal for values of which no variant differs."""
    if isinstance(value, tuple):
        return tuple(map(_key, value))
    if isinstance(value, BlockValue):
        fixed = sorted((name, _key(one)) for name, (one, _) in value.fixed.items())
        parts = (id(value.declaration), value.layer, id(value.alias), tuple(fixed))
        return (value.name, *parts)
    return type(value), value


def _is_plain(value: Value) -> bool:
    """Tell whether a value is one that JSON has as well."""
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | bool | int | float)


def _split(name: str, text: str) -> Iterator[str]:
    """Split at the commas that stand outside of brackets and strings."""
    waiting: list[str] = []
    start, at = 0, 0
    while at < len(text):
        character = text[at]
        if character == '"':
            end = re.compile(r'"(?:[^"\\]|\\.)*"').match(text, at)
            if end is None:
                raise _wrong(name, f"has a string without an end: `{printable(text[at:], 60)}`")
            at = end.end()
            continue
        if character in BRACKETS:
            waiting.append(BRACKETS[character])
        elif waiting and character == waiting[-1]:
            waiting.pop()
        elif character == "," and not waiting:
            yield text[start:at]
            start = at + 1
        at += 1
    yield text[start:]


def _range(name: str, text: str) -> Sequence[Value] | None:
    """Read `1..6` or `16..256 by 16`; None if it is something else."""
    if ".." not in text or '"' in text:
        return None
    found = RANGE.fullmatch(text)
    shown = printable(text, 60)
    if found is None:
        raise _wrong(name, f"has `{shown}`, which is no range", "a range is `1..6` or `1..9 by 2`")
    ends = found.group("first", "last", "step")
    if not ends[0] or not ends[1]:
        lacking = "a start" if not ends[0] else "an end"
        raise _wrong(name, f"has the range `{shown}` without {lacking}", "write both: `1..6`")
    if any(len(end or "") > MOST_DIGITS for end in ends):
        raise _wrong(name, f"has a number that is too long in `{shown}`")
    whole = all(re.fullmatch(r"[+-]?[0-9]+", end or "1") for end in ends)
    first, last = Fraction(ends[0]), Fraction(ends[1])
    if ends[2] is None and not whole:
        raise _wrong(name, f"has the range `{shown}` without a step", f"write `{shown} by 0.1`")
    step = Fraction(ends[2] or 1)
    if step == 0 or (last - first) * step < 0:
        way = "is 0" if step == 0 else "leads away from its end"
        raise _wrong(name, f"has the range `{shown}`, whose step {way}")
    count = (last - first) // step + 1
    if max(abs(first), abs(last)) > LARGEST or count > LARGEST:
        raise _wrong(name, f"has the range `{shown}`, which goes beyond {LARGEST:,}")
    return Steps(first, step, count, whole)
