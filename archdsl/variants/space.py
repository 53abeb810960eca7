"""All variants of a sweep, by number: what values each has, and which are drawn at random."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod

from archdsl.diagnostics import ArchError
from archdsl.records import Record
from archdsl.variants.axes import Axis, Value
from archdsl.variants.errors import BadSweep

MOST_VARIANTS = 1_000_000  # of one sweep: more than half an hour, and than a table can show
ROUNDS = 8


class Space(Record):
    """The variants: each value of an axis with each of all others; the last changes first."""

    axes: tuple[Axis, ...]

    @property
    def size(self) -> int:
        """How many variants there are."""
        return prod(axis.length for axis in self.axes)

    def places(self, number: int) -> list[int]:
        """Return which value of each axis a variant has."""
        found = []
        for axis in reversed(self.axes):
            number, at = divmod(number, axis.length)
            found.append(at)
        return found[::-1]

    def values(self, number: int) -> dict[str, Value]:
        """Return the values of a variant, as the language has them."""
        places = zip(self.axes, self.places(number), strict=True)
        return {axis.name: axis.value(at) for axis, at in places}

    def shown(self, number: int) -> Mapping[str, Value]:
        """Return the values of a variant, as files have them."""
        places = zip(self.axes, self.places(number), strict=True)
        return {axis.name: axis.shown(at) for axis, at in places}


def require_finite(space: Space, random: int | None) -> None:
    """Refuse more variants than anybody can wait for.

    Raises:
        ArchError: there are too many.
    """
    asked = space.size if random is None else random
    if asked <= MOST_VARIANTS:
        return
    counts = " x ".join(f"{axis.length:,}" for axis in space.axes if axis.length > 1)
    are = f"{counts} = " if " x " in counts and random is None else ""
    raise ArchError(
        BadSweep(
            reason=f"this sweep has {are}{asked:,} variants, more than the {MOST_VARIANTS:,} "
            f"that one takes",
            hint="`--random 10000 --seed 1` counts a sample of them",
        )
    )


def drawn(size: int, seed: int) -> Iterator[int]:
    """Yield all numbers below a size in an order that the seed decides, without listing them.

    It is a permutation: a Feistel network over the next even power of two, of whose numbers
    those that are too large are left out. The same seed gives the same order everywhere.
    """
    from hashlib import blake2b

    half = max(1, ((size - 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    width = (half + 7) // 8
    keys = [blake2b(f"{seed}/{turn}".encode(), digest_size=32).digest() for turn in range(ROUNDS)]

    def once(number: int) -> int:
        left, right = number >> half, number & mask
        for key in keys:
            mixed = blake2b(right.to_bytes(width, "big"), digest_size=width, key=key).digest()
            left, right = right, left ^ (int.from_bytes(mixed, "big") & mask)
        return left << half | right

    for number in range(1 << 2 * half):
        found = once(number)
        if found < size:
            yield found
