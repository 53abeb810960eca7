"""At which values of a free size formulas in it are zero.

Along each remainder of the name by a common period, a formula with floors such as `2*(H//2)` is a
straight line, so that two values a period apart say all about it: the values at which two
formulas are equal are found exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import lcm

from archdsl.layers.sizes import Floor, Formula, Size
from archdsl.records import Record

MOST_LISTED = 4


class Requirement(Record):
    """The values that a free size may have.

    Attributes:
        least: the smallest value that may do; no layer is left without a place from there on.
        most: the largest value that may do, where an index reaches the end of a table.
        modulus, remainders: the remainders by `modulus` that do; (1, (0,)) if all do.
        only: the values that do, where there are only so many; then the others don't count.
        possible: False if no value does.
    """

    name: str
    least: int = 1
    modulus: int = 1
    remainders: tuple[int, ...] = (0,)
    only: tuple[int, ...] = ()
    possible: bool = True
    most: int | None = None

    def up_to(self, most: int) -> Requirement:
        """Return the same for values that are no larger than that."""
        only = tuple(value for value in self.only if value <= most)
        possible = self.possible and bool(only if self.only else self.smallest <= most)
        return self._replace(most=most, only=only, possible=possible)

    @property
    def smallest(self) -> int:
        """The smallest value of all that do."""
        return self.value(1)

    def value(self, start: int) -> int:
        """Return the first value from `start` on that does, or the last if there is none."""
        if self.only:
            return next((value for value in self.only if value >= start), self.only[-1])
        start = max(start, self.least)
        found = min(start + (rest - start) % self.modulus for rest in self.remainders)
        if self.most is None or found <= self.most:
            return found
        return max(self.most - (self.most - rest) % self.modulus for rest in self.remainders)

    def __str__(self) -> str:
        if not self.possible:
            table = " and keeps indices in their tables" if self.most is not None else ""
            return f"no {self.name} makes all shapes agree{table}"
        if self.only:
            return f"{self.name} must be {_listed(list(map(str, self.only)))}"
        parts: list[str] = []
        if self.remainders == (0,) and self.modulus > 1:
            parts.append(f"a multiple of {self.modulus}")
        elif self.modulus > 1:
            rests = _listed(_ranges(self.remainders))
            parts.append(f"a number that leaves {rests} when divided by {self.modulus}")
        if self.smallest > max(1, self.modulus if self.remainders == (0,) else 1):
            parts.append(f"at least {self.smallest}")
        if self.most is not None:
            parts.append(f"at most {self.most:,}")
        return f"{self.name} must be {' and '.join(parts)}" if parts else ""


def _ranges(numbers: Sequence[int]) -> list[str]:
    """Write rising numbers with those in a row as "3 to 7"."""
    ranges: list[tuple[int, int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return [f"{low} to {high}" if low < high else str(low) for low, high in ranges]


def _listed(texts: Sequence[str]) -> str:
    if len(texts) > MOST_LISTED:
        return ", ".join(texts[:MOST_LISTED]) + " or some others"
    return " or ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)


def solve(name: str, zeros: Iterable[Formula], least: int = 1) -> Requirement:
    """Find the values from `least` on at which all the formulas, in one name only, are zero."""
    formulas = list(dict.fromkeys(zeros))
    period = lcm(*map(period_of, formulas))
    every: list[int] = []
    only: set[int] = set()
    # each remainder once, from the first value that may do
    for start in range(least, least + period):
        value = _zero_along(formulas, name, start, period)
        if value is None:
            every.append(start % period)
        elif value:
            only.add(value)
    if not every:
        return Requirement(name, least, only=tuple(sorted(only)), possible=bool(only))
    modulus, remainders = _shortest(period, set(every))
    return Requirement(name, least, modulus, remainders)


def _zero_along(formulas: Iterable[Formula], name: str, start: int, period: int) -> int | None:
    """Return where, of `start`, `start + period`, ..., all formulas are zero.

    None stands for everywhere and 0 for nowhere.
    """
    found: int | None = None
    for formula in formulas:
        first = formula.evaluate({name: start})
        # a straight line along this remainder, so that one further value says all
        step = formula.evaluate({name: start + period}) - first
        if not isinstance(first, int) or not isinstance(step, int):
            return 0
        # zero all along: this formula asks nothing of the remainder
        if step == 0 and first == 0:
            continue
        steps, rest = divmod(-first, step) if step else (-1, 0)
        value = start + steps * period
        if rest or steps < 0 or found not in (None, value):
            return 0
        found = value
    return found


def _shortest(period: int, remainders: set[int]) -> tuple[int, tuple[int, ...]]:
    """Describe the same numbers by the smallest modulus that does."""
    for modulus in range(1, period + 1):
        if period % modulus:
            continue
        short = {rest % modulus for rest in remainders}
        if len(short) * (period // modulus) == len(remainders):
            return modulus, tuple(sorted(short))
    return period, tuple(sorted(remainders))


def period_of(formula: Size) -> int:
    """Return after how many steps of its names the floors of a formula repeat."""
    if isinstance(formula, int):
        return 1
    floors = (atom for monomial, _ in formula.terms for atom in monomial)
    return lcm(
        *(atom.divisor * period_of(atom.dividend) for atom in floors if isinstance(atom, Floor))
    )


def degree(formula: Formula) -> int:
    """Return how many names are multiplied with each other at most."""
    degrees = [
        sum(degree(atom.dividend) if isinstance(atom, Floor) else 1 for atom in monomial)
        for monomial, _ in formula.terms
    ]
    return max(degrees)
