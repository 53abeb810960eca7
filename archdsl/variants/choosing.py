"""Which rows of a table are shown, and in which order: sorting and the Pareto front."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from archdsl.diagnostics import ArchError, printable
from archdsl.elaborate.wording import did_you_mean
from archdsl.layers.sizes import Formula
from archdsl.layers.strides import weight
from archdsl.records import Record
from archdsl.variants.errors import BadSweep

Row = Mapping[str, Any]
R = TypeVar("R", bound=Row)


class Wish(Record):
    """A column by which rows are compared, and whether more of it is better."""

    name: str
    more: bool


def wishes(
    option: str, text: str, columns: Collection[str], names: Mapping[str, str]
) -> list[Wish]:
    """Read `macs,-parameters`: a `-` turns the order round.

    Args:
        names: further names of columns.

    Raises:
        ArchError: there is no such column, or it is named twice.
    """
    found: list[Wish] = []
    for part in asked(option, text, columns):
        more = part.strip().startswith("-")
        name = part.strip().removeprefix("-").strip()
        name = name if name in columns else names.get(name, name)
        if name not in columns:
            reason = f"{option} names `{printable(name, 60)}`, and there is no such column"
            hint = did_you_mean(name, columns) or f"there are {', '.join(columns)}"
            raise ArchError(BadSweep(reason=reason, hint=hint))
        if any(name == one.name for one in found):
            raise ArchError(BadSweep(reason=f"{option} names `{name}` twice"))
        found.append(Wish(name, more))
    return found


def asked(option: str, text: str, known: Iterable[str]) -> list[str]:
    """Return what stands between the commas of an option.

    Raises:
        ArchError: nothing does.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.removeprefix("-").strip() for part in parts):
        lacking = f"lacks a name in `{printable(text, 60)}`" if text.strip() else "is empty"
        raise ArchError(
            BadSweep(reason=f"{option} {lacking}", hint=f"there are {', '.join(known)}")
        )
    return parts


def ordered(rows: Iterable[R], by: Sequence[Wish]) -> list[R]:
    """Sort rows; those that are equal stay as they are, and those without a value come last.

    What depends on free sizes is compared as if all of these were equal, and large.
    """
    found = list(rows)
    for wish in reversed(by):
        known = [row for row in found if row[wish.name] is not None]
        known.sort(key=lambda row: _key(row[wish.name]), reverse=wish.more)
        found = known + [row for row in found if row[wish.name] is None]
    return found


def _key(value: Any) -> tuple[int, Any]:
    if isinstance(value, Formula):
        return 0, weight(value)
    number = isinstance(value, int | float)
    return (0, value) if number else (1, str(value))


def front(rows: Iterable[R], by: Sequence[Wish]) -> list[R]:
    """Return the Pareto front: rows of which no other is better in one column and worse in none.

    Less is better, save where a wish says more. Rows without numbers there are left out.
    """
    found = list(rows)
    points: list[tuple[tuple[float, ...], int]] = []
    for number, row in enumerate(found):
        values = [row[wish.name] for wish in by]
        if all(isinstance(value, int | float) for value in values):
            signs = zip(values, by, strict=True)
            points.append((tuple(-value if wish.more else value for value, wish in signs), number))
    points.sort()
    best: list[tuple[float, ...]] = []
    chosen: list[int] = []
    for point, number in points:  # what is better in all comes before
        if (best and best[-1] == point) or not any(
            _better(other, point) for other in reversed(best)
        ):
            best.append(point)
            chosen.append(number)
    return [found[number] for number in sorted(chosen)]


def _better(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Tell whether a point is nowhere worse than another, and not the same."""
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
