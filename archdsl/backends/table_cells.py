"""Numbers, shapes and formulas as the text of table cells."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from archdsl.analysis.receptive_field import Extent, Fields
from archdsl.backends.formulas import Formulas
from archdsl.layers.base import Shape
from archdsl.layers.sizes import Formula, Size

NOTHING = "-"
TOO_LONG = "..."
LONGEST_CELL = 60
MOST_SHAPES = 2  # of the inputs of a block
UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


class Writer(Formulas):
    """Writes sizes and what is made of them as the cells of a table."""

    def number(self, size: Size) -> str:
        """Write a count for a cell: a dash for none, dots for a formula that is too long."""
        text = self.size(size)
        return NOTHING if size == 0 else text if len(text) <= LONGEST_CELL else TOO_LONG

    def shapes(self, several: Iterable[Shape]) -> str:
        """Write shapes one after the other, those that repeat as `2 of 64 x 35 x 35`."""
        counts: dict[str, int] = {}
        for each in several:
            text = self.shape(each)
            counts[text] = counts.get(text, 0) + 1
        parts = [f"{n} of {text}" if n > 1 else text for text, n in counts.items()]
        return f"{len(parts)} shapes" if len(parts) > MOST_SHAPES else ", ".join(parts) or NOTHING

    def receptive_field(self, fields: Fields) -> str:
        """Write the sizes of a field: `7`, or `7x1` if they differ between the axes."""
        return self._axes([field.size for field in fields])

    def stride(self, fields: Fields) -> str:
        """Write the strides of a field in the same way."""
        return self._axes([field.stride for field in fields])

    def _axes(self, extents: Iterable[Extent]) -> str:
        texts = [self._extent(each) for each in extents]
        if len(set(texts)) == 1:
            return texts[0]
        return "x".join(f"({text})" if " " in text else text for text in texts) or NOTHING

    def _extent(self, extent: Extent) -> str:
        if isinstance(extent, Formula):
            return self.length(extent)
        return NOTHING if extent is None else str(extent)


def in_bytes(size: Size, write: Writer | None = None) -> str:
    """Write bytes in the largest unit that leaves a number above 1: `103.6 MiB`."""
    if isinstance(size, Formula):
        return f"{write.size(size) if write else size} bytes"
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
