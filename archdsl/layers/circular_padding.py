"""Circular padding written as a look-up, for torch.export.

What `F.pad` does with `mode="circular"` torch.export follows only as if there were more than one
sample.
"""

from __future__ import annotations

from collections.abc import Sequence

Side = int | str  # how many places are added, or an expression of torch for that


def wrapped(sides: Sequence[tuple[Side, Side]]) -> str:
    """Write `{0}` with places of the other end before and after each axis after the channels.

    A negative number cuts places off, and what is left is repeated.
    """
    text = "{0}"
    for axis, (before, after) in enumerate(sides, start=2):
        first, last = (-min(side, 0) if isinstance(side, int) else 0 for side in (before, after))
        start, stop = (max(side, 0) if isinstance(side, int) else side for side in (before, after))
        kept = f"({{0}}.shape[{axis}] - {first + last})"
        places = f"torch.arange(-({start}), {kept} + {stop}, device={{0}}.device)"
        text += f".index_select({axis}, {places} % {kept} + {first})"
    return text
