"""Numbers, shapes and formulas as the text of table cells."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction

from archdsl.analysis.agreement import Assumptions, without_floors
from archdsl.analysis.receptive_field import Extent, Fields
from archdsl.layers.base import Shape
from archdsl.layers.sizes import Formula, Size

NOTHING = "-"
MOST_SHAPES = 2  # of the inputs of a block
UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def separated(text: str) -> str:
    """Set the thousands apart in all numbers of a text that belong to no name."""
    return re.sub(r"(?<![\w.])\d{4,}(?![\w.])", lambda match: f"{int(match[0]):,}", text)


def number(size: Size, known: Assumptions) -> str:
    """Write a count: thousands apart, a dash for none, a formula as simply as may be."""
    return NOTHING if size == 0 else simplified(size, known)


def simplified(size: Size, known: Assumptions, divide: bool = False) -> str:
    """Write a size, a formula without floors where the assumed sizes leave none.

    Where H is a multiple of 8, `6*(H//4)` is `1.5*H`, or with `divide` `3*H/2`.
    """
    terms = without_floors(size, known) if isinstance(size, Formula) else None
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


def _decimal(value: Fraction) -> str:
    """Write a fraction as a decimal number if it has at most four places."""
    if (value * 10_000).denominator != 1:
        return f"{value.numerator:,}/{value.denominator:,}"
    whole, places = divmod(value.numerator * 10_000 // value.denominator, 10_000)
    return f"{whole:,}" + (f".{places:04}".rstrip("0") if places else "")


def shape(sizes: Shape, known: Assumptions) -> str:
    """Write a shape as `64 x 35 x 35`; a tensor without axes is a `scalar`."""
    texts = [
        simplified(size, known, divide=True) if isinstance(size, Formula) else str(size)
        for size in sizes
    ]
    return " x ".join(f"({text})" if " " in text else text for text in texts) or "scalar"


def shapes(several: Iterable[Shape], known: Assumptions) -> str:
    """Write shapes one after the other, those that repeat as `2 of 64 x 35 x 35`."""
    counts: dict[str, int] = {}
    for each in several:
        text = shape(each, known)
        counts[text] = counts.get(text, 0) + 1
    parts = [f"{n} of {text}" if n > 1 else text for text, n in counts.items()]
    return f"{len(parts)} shapes" if len(parts) > MOST_SHAPES else ", ".join(parts) or NOTHING


def receptive_field(fields: Fields, known: Assumptions) -> str:
    """Write the sizes of a field: `7`, or `7x1` if they differ between the axes."""
    return _axes([field.size for field in fields], known)


def stride(fields: Fields, known: Assumptions) -> str:
    """Write the strides of a field in the same way."""
    return _axes([field.stride for field in fields], known)


def _axes(extents: Iterable[Extent], known: Assumptions) -> str:
    texts = [_extent(each, known) for each in extents]
    return "x".join(texts if len(set(texts)) > 1 else texts[:1]) or NOTHING


def _extent(extent: Extent, known: Assumptions) -> str:
    if isinstance(extent, Formula):
        return simplified(extent, known, divide=True)
    return NOTHING if extent is None else str(extent)


def in_bytes(size: Size) -> str:
    """Write bytes in the largest unit that leaves a number above 1: `103.6 MiB`."""
    if isinstance(size, Formula):
        return f"{separated(str(size))} bytes"
    value, power = Fraction(size), 0
    while value >= 1024 and power < len(UNITS) - 1:
        value, power = value / 1024, power + 1
    if power == 0:
        return f"{size} bytes" if size != 1 else "1 byte"
    return f"{float(value):,.1f} {UNITS[power]}"


def rounded(size: Size) -> str:
    """Write a number of at least a million in words: `5.71 billion`."""
    if isinstance(size, Formula):
        return ""
    for power, word in ((12, "trillion"), (9, "billion"), (6, "million")):
        if size >= 10**power:
            return f"{size / 10**power:,.2f} {word}"
    return ""
