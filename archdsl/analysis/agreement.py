"""What free sizes must be for the shapes of a network to agree and to be at least 1.

A size with a free name is a formula with floors, such as `2*(H//2)`. Along each remainder of the
name by a common period such a formula is a straight line, so that two values a period apart
say all about it, and the values at which two formulas are equal are found exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from functools import cache
from math import lcm, prod
from typing import NamedTuple

from archdsl.graph import CheckedGraph
from archdsl.layers.sizes import Floor, Formula, Size

LONGEST_PERIOD = 1_024
MOST_LISTED = 4
LARGEST_LEAST = 1 << 20


class Requirement(NamedTuple):
    """The values that a free size may have.

    Attributes:
        least: the smallest value that may do; no layer is left without a place from there on.
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

    @property
    def smallest(self) -> int:
        """The smallest value of all that do."""
        if self.only:
            return self.only[0]
        return min(self.least + (rest - self.least) % self.modulus for rest in self.remainders)

    def __str__(self) -> str:
        if not self.possible:
            return f"no {self.name} makes all shapes agree"
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


class Assumptions(NamedTuple):
    """What is taken for granted about the free sizes of a network.

    Attributes:
        requirements: for each free name, in the order of the inputs.
        equations: pairs of sizes that must be equal as well and were not solved, as they hold
            several names or powers of one.
    """

    requirements: Mapping[str, Requirement]
    equations: tuple[tuple[Size, Size], ...] = ()

    @property
    def possible(self) -> bool:
        """Whether any sizes are known that do, as far as the requirements go."""
        return all(each.possible for each in self.requirements.values())

    def sentences(self) -> tuple[str, ...]:
        """Return them in words: "H must be a multiple of 16"."""
        said = [str(each) for each in self.requirements.values()]
        said += [f"{left} must be equal to {right}" for left, right in self.equations]
        return tuple(text for text in said if text)


def assumptions(checked: CheckedGraph) -> Assumptions:
    """Find for which values of its free sizes the shapes of a network agree."""
    names = _free_names(checked.inputs.values())
    if not names:
        return Assumptions({})
    solvable: dict[str, list[Formula]] = {name: [] for name in names}
    periods: dict[str, int] = {}
    equations: dict[tuple[Size, Size], None] = {}
    for left, right in checked.agreements:
        difference = left - right
        if isinstance(difference, int):
            if difference:
                equations[left, right] = None
            continue
        name, *others = sorted(difference.names)
        period = lcm(periods.get(name, 1), period_of(difference))
        if others or _degree(difference) > 1 or period > LONGEST_PERIOD:
            equations[left, right] = None
        else:
            solvable[name].append(difference)
            periods[name] = period
    least = _least(checked, names)
    return Assumptions(
        {name: solve(name, solvable[name], least[name]) for name in names}, tuple(equations)
    )


def without_floors(
    size: Formula, known: Assumptions
) -> Sequence[tuple[tuple[str, ...], Fraction]] | None:
    """Write a formula without floors, where every size that is assumed makes them exact.

    With H a multiple of 16, `4*(H//2)` is `2*H`. Returns the names of each product with its
    coefficient, or None where floors remain.
    """
    moduli = {
        name: each.modulus
        for name, each in known.requirements.items()
        if each.remainders == (0,) and not each.only
    }
    scaled = size.evaluate({name: n * Formula.named(name) for name, n in moduli.items()})
    if not isinstance(scaled, Formula):
        return None
    found: list[tuple[tuple[str, ...], Fraction]] = []
    for monomial, coefficient in scaled.terms:
        names = tuple(atom for atom in monomial if isinstance(atom, str))
        if len(names) < len(monomial):
            return None
        found.append((names, Fraction(coefficient, prod(moduli.get(name, 1) for name in names))))
    return found


def without_rounding(known: Assumptions, sizes: Iterable[Size]) -> Assumptions:
    """Return stronger assumptions under which no floor is left in any of the sizes, if need be.

    They take multiples of a power of two, mostly, and are for writing formulas that people read.
    Returns `known` itself where it leaves no floors, or nothing simple would.
    """
    formulas = {size for size in sizes if isinstance(size, Formula)}
    if all(without_floors(formula, known) is not None for formula in formulas):
        return known
    period = lcm(*map(period_of, formulas), *(r.modulus for r in known.requirements.values()))
    if period > LONGEST_PERIOD:
        return known
    requirements = {
        name: each._replace(modulus=period, remainders=(0,))
        for name, each in known.requirements.items()
        if 0 in each.remainders and not each.only
    }
    return known._replace(requirements={**known.requirements, **requirements})


def solve(name: str, zeros: Iterable[Formula], least: int = 1) -> Requirement:
    """Find the values from `least` on at which all the formulas, in one name only, are zero."""
    formulas = list(dict.fromkeys(zeros))
    period = lcm(*map(period_of, formulas))
    every: list[int] = []
    only: set[int] = set()
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
        step = formula.evaluate({name: start + period}) - first
        if not isinstance(first, int) or not isinstance(step, int):
            return 0
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


def _degree(formula: Formula) -> int:
    """Return how many names are multiplied with each other at most."""
    degrees = [
        sum(_degree(atom.dividend) if isinstance(atom, Floor) else 1 for atom in monomial)
        for monomial, _ in formula.terms
    ]
    return max(degrees)


def _free_names(shapes: Iterable[Sequence[Size]]) -> tuple[str, ...]:
    """Return the free names of shapes in the order in which they are first met."""
    sizes = [size for shape in shapes for size in shape if isinstance(size, Formula)]
    return tuple(dict.fromkeys(name for size in sizes for name in sorted(size.names)))


def _least(checked: CheckedGraph, names: Sequence[str]) -> Mapping[str, int]:
    """Find the smallest value of each name for which every size of it alone is at least 1."""
    seen = {size for node in checked.nodes.values() for size in node.shape}
    formulas = [size for size in seen if isinstance(size, Formula) and len(size.names) == 1]
    return {name: _least_of(name, [f for f in formulas if name in f.names]) for name in names}


def _least_of(name: str, formulas: Sequence[Formula]) -> int:
    @cache
    def does(value: int) -> bool:
        sizes = (formula.evaluate({name: value}) for formula in formulas)
        return all(isinstance(size, int) and size >= 1 for size in sizes)

    high = 1
    while not does(high):
        high *= 2
        if high > LARGEST_LEAST:
            return 1  # sizes that shrink as the name grows: nothing simple can be said
    low = high // 2  # does not do, unless high is 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if does(middle) else (middle, high)
    return high
