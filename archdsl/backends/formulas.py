"""Sizes as people read them: thousands apart, and formulas without floors where that is right."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fractions import Fraction

from archdsl.analysis.agreement import (
    Assumptions,
    assumptions,
    without_floors,
    without_rounding,
)
from archdsl.analysis.cost import cost
from archdsl.analysis.memory import memory
from archdsl.graph import CheckedGraph
from archdsl.layers.base import Shape
from archdsl.layers.sizes import Formula, FormulaError, Size


def separated(text: str) -> str:
    """Set the thousands apart in all numbers of a text that belong to no name."""
    return re.sub(r"(?<![\w.])\d{4,}(?![\w.])", lambda match: f"{int(match[0]):,}", text)


def _decimal(value: Fraction) -> str:
    """Write a fraction as a decimal number if it has at most four places."""
    if (value * 10_000).denominator != 1:
        return f"{value.numerator:,}/{value.denominator:,}"
    whole, places = divmod(value.numerator * 10_000 // value.denominator, 10_000)
    return f"{whole:,}" + (f".{places:04}".rstrip("0") if places else "")


UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


class Formulas:
    """Writes sizes under what is assumed about the free ones."""

    def __init__(self, known: Assumptions) -> None:
        self.known = known
        self._counts: dict[Formula, str] = {}
        self._lengths: dict[Formula, str] = {}

    @property
    def condition(self) -> str:
        """For which free sizes it is right, or "" for all: `H a multiple of 8`."""
        multiples = [
            f"{each.name} a multiple of {each.modulus}"
            for each in self.known.requirements.values()
            if each.modulus > 1 and each.remainders == (0,)
        ]
        return " and ".join(multiples)

    def size(self, size: Size) -> str:
        """Write a count: thousands apart, and a formula without floors if the assumptions allow.

        Where H is a multiple of 8, `6*(H//4)` is `1.5*H`.
        """
        if not isinstance(size, Formula):
            return f"{size:,}"
        if size not in self._counts:
            self._counts[size] = _formula(size, self.known, divide=False)
        return self._counts[size]

    def length(self, size: Size) -> str:
        """Write a size of an axis; where H is a multiple of 8, `6*(H//4)` is `3*H/2`."""
        if not isinstance(size, Formula):
            return str(size)
        if size not in self._lengths:
            self._lengths[size] = _formula(size, self.known, divide=True)
        return self._lengths[size]

    def shape(self, sizes: Shape) -> str:
        """Write a shape as `64 x 35 x 35`; a tensor without axes is a `scalar`."""
        texts = map(self.length, sizes)
        return " x ".join(f"({text})" if " " in text else text for text in texts) or "scalar"


def readable(checked: CheckedGraph) -> Formulas:
    """Return what writes the sizes of a network, so that a count and a picture say the same."""
    known = assumptions(checked)
    if not known.requirements:
        return Formulas(known)
    sizes = [size for node in checked.nodes.values() for size in node.shape]
    try:
        costs = cost(checked)
        sizes += [costs.macs.training, memory(checked, costs).training]
    except FormulaError:  # nobody can write the totals, and the shapes stand by themselves
        pass
    return Formulas(without_rounding(known, sizes))


def _formula(size: Formula, known: Assumptions, divide: bool) -> str:
    terms = without_floors(size, known)
    if terms is None:
        return separated(str(size))
    text = ""
    for names, coefficient in terms:
        factors = list(names)
        value = abs(coefficient)
        below = f"/{value.denominator:,}" if divide and value.denominator > 1 else ""
        value = Fraction(value.numerator) if below else value
        if value != 1 or not names:
            factors.insert(0, _decimal(value))
        sign = "-" if coefficient < 0 else "+"
        text += (f" {sign} " if text else sign.strip("+")) + "*".join(factors) + below
    return text


def in_bytes(size: Size, write: Formulas | None = None, digits: int = 1) -> str:
    """Write bytes in the largest unit that leaves a number above 1: `103.6 MiB`."""
    if isinstance(size, Formula):
        return f"{write.size(size) if write else size} bytes"
    value, power = Fraction(size), 0
    while value >= 1024 and power < len(UNITS) - 1:
        value, power = value / 1024, power + 1
    if power == 0:
        return f"{size} bytes" if size != 1 else "1 byte"
    return f"{float(value):,.{digits}f} {UNITS[power]}"


def apart_in_bytes(sizes: Iterable[int]) -> Mapping[int, str]:
    """Write several amounts of bytes with as many digits as make those differ that do."""
    every = {*sizes}
    for digits in range(1, 4):
        found = {size: in_bytes(size, digits=digits) for size in every}
        if len({*found.values()}) == len(every):
            return found
    return {size: f"{size:,} bytes" for size in every}


def in_seconds(seconds: float) -> str:
    """Write a time in the largest unit that leaves a number above 1: `12.3 µs`."""
    if seconds == 0:
        return "0 s"
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 1:
            return f"{seconds * factor:,.1f} {unit}"
    return f"{seconds * 1e9:,.1f} ns"


def rounded(size: Size) -> str:
    """Write a number of at least a million in words: `5.71 billion`."""
    if isinstance(size, Formula):
        return ""
    for power, word in ((12, "trillion"), (9, "billion"), (6, "million")):
        if size >= 10**power:
            return f"{size / 10**power:,.2f} {word}"
    return ""
