"""Sizes that may be free: integers, and formulas in the names a spec leaves open.

A formula is kept in one normal form, a polynomial over names and floors, so that two ways of
computing the same size compare equal. Rules for floors of integers make chains of strided layers
collapse, and leave no floor of what is below zero, which other languages round towards it::

    (a + k m) // m    = a // m + k
    (c - a) // m      = -((a + m - 1 - c) // m)
    (a // n + c) // m = (a + c n) // (m n)
    (g a + r) // (g m) = (a + r // g) // m        for 0 <= r < g
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from math import gcd, prod

from archdsl.records import Record

MOST_TERMS = 256  # beyond that a formula tells a reader nothing
MOST_ATOMS = 4096  # names, those in floors as well: what it takes to go through a formula
# floors are gone through by recursion
DEEPEST_FLOOR = 24


class FormulaError(ValueError):
    """Arithmetic whose result can't be written as a formula. The text completes "the size ..."."""


class Floor(Record):
    """`dividend // divisor`, which no rule could take apart further."""

    dividend: Formula
    divisor: int

    def __str__(self) -> str:
        text = str(self.dividend)
        return f"{text if text.isidentifier() else f'({text})'}//{self.divisor}"

    @property
    def depth(self) -> int:
        return 1 + self.dividend.depth


Atom = str | Floor
Monomial = tuple[Atom, ...]  # a product of atoms, sorted by their text


class Formula:
    """A size that depends on free names, such as `(H + 1)//2`.

    Arithmetic with integers and formulas gives an `int` as soon as no name is left. Formulas are
    equal when their normal forms are; they have no order, since their values are not known.
    """

    __slots__ = ("__dict__", "_hash", "_terms", "atoms")

    def __init__(self, terms: Mapping[Monomial, int]) -> None:
        self.atoms = sum(_atoms(atom) for monomial in terms for atom in monomial)
        if len(terms) > MOST_TERMS or self.atoms > MOST_ATOMS:
            raise FormulaError("depends on the free sizes in too intricate a way")
        self._terms = tuple(sorted(terms.items(), key=_term_order))
        self._hash = hash(self._terms)
        if self.depth > DEEPEST_FLOOR:
            raise FormulaError("depends on the free sizes in too intricate a way")

    @classmethod
    def named(cls, name: str) -> Formula:
        """Return the free size called `name`."""
        return cls({(name,): 1})

    @property
    def terms(self) -> tuple[tuple[Monomial, int], ...]:
        """Its monomials with their coefficients, the highest powers first."""
        return self._terms

    @cached_property
    def depth(self) -> int:
        atoms = (atom for monomial, _ in self._terms for atom in monomial)
        return max((atom.depth for atom in atoms if isinstance(atom, Floor)), default=0)

    @cached_property
    def names(self) -> frozenset[str]:
        """The free names it depends on."""
        return frozenset(self._names())

    def _names(self) -> Iterator[str]:
        for monomial, _ in self._terms:
            for atom in monomial:
                if isinstance(atom, Floor):
                    yield from atom.dividend.names
                else:
                    yield atom

    def evaluate(self, values: Mapping[str, Size]) -> Size:
        """Put values in the place of names; those not given stay free."""
        total: Size = 0
        for monomial, coefficient in self._terms:
            product: Size = coefficient
            for atom in monomial:
                if isinstance(atom, Floor):
                    product = product * (atom.dividend.evaluate(values) // atom.divisor)
                else:
                    product = product * values.get(atom, Formula.named(atom))
            total = total + product
        return total

    def __add__(self, other: Size) -> Size:
        if not isinstance(other, int | Formula):
            return NotImplemented
        terms = dict(self._terms)
        for monomial, coefficient in _terms(other):
            terms[monomial] = terms.get(monomial, 0) + coefficient
        return _simplest(terms)

    def __mul__(self, other: Size) -> Size:
        if not isinstance(other, int | Formula):
            return NotImplemented
        terms: dict[Monomial, int] = {}
        for left, by in self._terms:
            for right, times in _terms(other):
                # a name and a floor have no order of their own
                monomial = tuple(sorted(left + right, key=str))
                terms[monomial] = terms.get(monomial, 0) + by * times
        return _simplest(terms)

    def __floordiv__(self, divisor: Size) -> Size:
        if isinstance(divisor, Formula):
            if divisor == self:
                return 1
            raise FormulaError(f"cannot be divided by {divisor}, which is not known")
        if divisor < 0:
            return -self // -divisor
        if divisor == 0:
            raise ZeroDivisionError
        whole: dict[Monomial, int] = {}
        rest: dict[Monomial, int] = {}
        for monomial, coefficient in self._terms:
            # the first rule at the top of the file: whole parts leave the floor
            quotient, remainder = divmod(coefficient, divisor)
            if monomial and remainder:  # only constants are split: (3 H)//2 reads best as it is
                rest[monomial] = coefficient
            else:
                whole[monomial] = quotient
                if remainder:
                    rest[()] = remainder
        return _simplest(whole) + _floor(rest, divisor)

    def __rfloordiv__(self, dividend: int) -> Size:
        if dividend == 0:
            return 0
        raise FormulaError(f"cannot be divided by {self}, which is not known")

    def __rmod__(self, dividend: int) -> Size:
        return dividend - dividend // self * self

    def __mod__(self, divisor: Size) -> Size:
        return self - self // divisor * divisor

    def __neg__(self) -> Size:
        return self * -1

    def __sub__(self, other: Size) -> Size:
        return self + -other

    def __rsub__(self, other: int) -> Size:
        return -self + other

    __radd__ = __add__
    __rmul__ = __mul__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Formula) and self._terms == other._terms

    def __hash__(self) -> int:
        return self._hash

    def __bool__(self) -> bool:
        return True  # a size that is zero whatever the names are is the integer 0

    def __str__(self) -> str:
        text = ""
        for monomial, coefficient in self._terms:
            factors = [str(atom) for atom in monomial]
            turned = coefficient < 0 and not text  # `-H//2` is half of -H, and not -(H//2)
            if len(factors) > 1 or (factors and abs(coefficient) != 1) or turned:
                factors = [f"({factor})" if "//" in factor else factor for factor in factors]
            if abs(coefficient) != 1 or not factors:
                factors.insert(0, f"{abs(coefficient)}")
            sign = "-" if coefficient < 0 else "+"
            text += (f" {sign} " if text else sign.strip("+")) + "*".join(factors)
        return text

    def __repr__(self) -> str:
        return f"Formula({str(self)!r})"


Size = int | Formula


def _atoms(atom: Atom) -> int:
    return 1 if isinstance(atom, str) else atom.dividend.atoms


def _terms(size: Size) -> Iterable[tuple[Monomial, int]]:
    return size._terms if isinstance(size, Formula) else (((), size),)


def _term_order(term: tuple[Monomial, int]) -> tuple[int, str]:
    """Put the highest powers first and the constant last, as in print."""
    return -len(term[0]), " ".join(map(str, term[0]))


def _simplest(terms: Mapping[Monomial, int]) -> Size:
    kept = {monomial: coefficient for monomial, coefficient in terms.items() if coefficient}
    # without names it is a number again, so that comparing and counting go on with integers
    if kept.keys() <= {()}:
        return kept.get((), 0)
    return Formula(kept)


def _floor(terms: dict[Monomial, int], divisor: int) -> Size:
    """Divide terms of which no part but the constant is smaller than it must be."""
    if terms.keys() <= {()}:
        return terms.get((), 0) // divisor
    constant = terms.pop((), 0)
    if all(coefficient < 0 for coefficient in terms.values()):
        # the second rule
        turned = {monomial: -coefficient for monomial, coefficient in terms.items()}
        return -((_simplest(turned) + (divisor - 1 - constant)) // divisor)
    # the fourth rule; the constant is rounded down once, which the outer floor would do anyway
    common = gcd(divisor, *terms.values())
    terms = {monomial: coefficient // common for monomial, coefficient in terms.items()}
    constant, divisor = constant // common, divisor // common
    if divisor == 1:
        return _simplest(terms) + constant
    if len(terms) == 1:
        ((monomial, coefficient),) = terms.items()
        if coefficient == 1 and len(monomial) == 1 and isinstance(monomial[0], Floor):
            # the third rule: a floor of a floor is one floor
            inner = monomial[0]
            return (inner.dividend + constant * inner.divisor) // (divisor * inner.divisor)
    if constant:
        terms[()] = constant
    return Formula({(Floor(Formula(terms), divisor),): 1})


def substitute(size: Size, values: Mapping[str, Size]) -> Size:
    """Put values in the place of the names of a size, which may be a plain integer."""
    return size.evaluate(values) if isinstance(size, Formula) else size


def total(sizes: Iterable[Size]) -> Size:
    """Add up any number of sizes in linear time; `sum` would sort all terms at each step.

    Raises:
        FormulaError: the sum has more terms than a formula may have.
    """
    sizes = list(sizes)
    if {*map(type, sizes)} <= {int}:  # as nearly always
        return sum(sizes)
    number = 0
    terms: dict[Monomial, int] = {}
    for size in sizes:
        if isinstance(size, int):
            number += size
            continue
        for monomial, coefficient in size.terms:
            terms[monomial] = terms.get(monomial, 0) + coefficient
    return _simplest(terms) + number


Shape = tuple[Size, ...]  # of one sample, where the batch axis is implied


def numel(shape: Shape) -> Size:
    """Return how many numbers a tensor of that shape holds."""
    return prod(shape)
