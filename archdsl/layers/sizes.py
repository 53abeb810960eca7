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

import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from math import gcd, prod
from typing import Any

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


# What an operation does with numbers. Those that are written between two are signs.
OPERATIONS: Mapping[str, Callable[..., Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
    "neg": operator.neg,
    "abs": abs,
    "floor": math.floor,
    "ceil": math.ceil,
    "round": round,
    "max": max,
    "min": min,
    "sqrt": math.sqrt,
    "log": math.log,
    "exp": math.exp,
}
HIGHEST_POWER = 1024  # that is worked out: none that a spec may ask for is higher


class Operation(Record):
    """What no polynomial says: `floor(0.5 * width)`, `max(a, b)`, or a number with a fraction.

    It is worked out as it is written, since sums of floats depend on their order.
    """

    name: str
    operands: tuple[Any, ...]  # each a formula, or a number
    floats: tuple[bool, ...]  # which of them are: 1 equals 1.0

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(str, self.operands))})"

    @property
    def depth(self) -> int:
        return 1 + max(each.depth for each in self.operands if isinstance(each, Formula))

    @property
    def whole(self) -> bool:
        """Whether it is an integer whatever the names are."""
        if self.name in ("floor", "ceil") or (self.name == "round" and len(self.operands) == 1):
            return True
        if self.name == "**" and not (isinstance(self.operands[1], int) and self.operands[1] >= 0):
            return False
        closed = self.name not in ("/", "sqrt", "log", "exp")
        return closed and all(map(is_whole, self.operands))


Atom = str | Floor | Operation
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
        several = len(terms) > 1
        self._terms = tuple(sorted(terms.items(), key=_term_order) if several else terms.items())
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
        return max((atom.depth for atom in atoms if not isinstance(atom, str)), default=0)

    @cached_property
    def names(self) -> frozenset[str]:
        """The free names it depends on."""
        return frozenset(self._names())

    @cached_property
    def whole(self) -> bool:
        """Whether it is an integer whatever the names are, which stand for integers."""
        atoms = (atom for monomial, _ in self._terms for atom in monomial)
        return all(atom.whole for atom in atoms if isinstance(atom, Operation))

    @property
    def plain(self) -> bool:
        """Whether it is a polynomial over names and floors."""
        atoms = (atom for monomial, _ in self._terms for atom in monomial)
        return not any(isinstance(atom, Operation) for atom in atoms)

    def _names(self) -> Iterator[str]:
        for monomial, _ in self._terms:
            for atom in monomial:
                if isinstance(atom, Floor):
                    yield from atom.dividend.names
                elif isinstance(atom, Operation):
                    for each in atom.operands:
                        yield from each.names if isinstance(each, Formula) else ()
                else:
                    yield atom

    @property
    def only(self) -> Atom | None:
        """The atom that it is, if it is one."""
        ((monomial, coefficient), *others) = self._terms
        alone = not others and coefficient == 1 and len(monomial) == 1
        return monomial[0] if alone else None

    def evaluate(self, values: Mapping[str, Size]) -> Size:
        """Put values in the place of names; those not given stay free.

        Raises:
            FormulaError: an operation in it can't be worked out.
        """
        if (only := self.only) is not None:  # which may be a float, of which nothing is a sum
            value: Size = _atom_value(only, values)
            return value
        total: Size = 0
        for monomial, coefficient in self._terms:
            product: Size = coefficient
            for atom in monomial:
                product = product * _atom_value(atom, values)
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

    def __floor__(self) -> Formula:
        return self if self.whole else operation("floor", self)

    def __ceil__(self) -> Formula:
        return self if self.whole else operation("ceil", self)

    def __round__(self) -> Formula:
        return self if self.whole else operation("round", self)

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


def unsaid(sign: str, left: Any, right: Any) -> Formula | None:
    """Return `left sign right` where no polynomial says it, or None where one does.

    That is so for numbers with a fraction, and for the division by what isn't known. It is for
    parameters that only what compiles leaves open, whose names have a `#`: of free sizes, analyses
    know polynomials and floors alone.
    """
    formulas = [each for each in (left, right) if isinstance(each, Formula)]
    unknown = sign in ("//", "%") and isinstance(right, Formula) and left != right
    if sign != "/" and not unknown and all(map(is_whole, (left, right))):
        return None
    if any("#" not in name for each in formulas for name in each.names):
        return None
    found = operation(sign, left, right)
    return found if isinstance(found, Formula) else None


def is_whole(value: Any) -> bool:
    """Tell whether a value, or what a formula comes to, is an integer."""
    return value.whole if isinstance(value, Formula) else isinstance(value, int)


def operation(name: str, *operands: Any) -> Any:
    """Work out an operation with numbers; with formulas it is a formula of its own.

    Raises:
        FormulaError: it can't be worked out, or is too intricate.
    """
    if any(isinstance(each, Formula) for each in operands):
        if name == "//" and (quotient := _quotient(*operands)) is not None:
            return quotient
        floats = tuple(isinstance(each, float) for each in operands)
        return Formula({(Operation(name, operands, floats),): 1})
    if name == "**" and abs(operands[1]) > HIGHEST_POWER:
        raise FormulaError("has a power that is too high")
    try:
        return OPERATIONS[name](*operands)
    except (ArithmeticError, TypeError, ValueError) as error:
        raise FormulaError(f"can't be worked out: {error}") from None


def _quotient(dividend: Any, divisor: Any) -> Formula | None:
    """Return a quotient that a polynomial says: of `size // n` where n is known, `a * b // b`."""
    if not isinstance(dividend, Formula) or not dividend.whole or not is_whole(divisor):
        return None
    found: Size | None = None
    if isinstance(divisor, Formula):
        factor = divisor.only
        if factor is not None and all(factor in monomial for monomial, _ in dividend.terms):
            found = _simplest({_without(factor, each): n for each, n in dividend.terms})
    # sizes that come in are integers, and what else has a name may stand for a float
    elif divisor and all(name.startswith(("in.", "in_")) for name in dividend.names):
        found = dividend // divisor
    return found if isinstance(found, Formula) else None


def _atom_value(atom: Atom, values: Mapping[str, Size]) -> Any:
    if isinstance(atom, str):
        return values[atom] if atom in values else Formula.named(atom)
    if isinstance(atom, Floor):
        return atom.dividend.evaluate(values) // atom.divisor
    return operation(atom.name, *(substitute(each, values) for each in atom.operands))


def _atoms(atom: Atom) -> int:
    if isinstance(atom, Operation):
        return sum(each.atoms if isinstance(each, Formula) else 1 for each in atom.operands)
    return 1 if isinstance(atom, str) else atom.dividend.atoms


def _terms(size: Size) -> Iterable[tuple[Monomial, int]]:
    return size._terms if isinstance(size, Formula) else (((), size),)


def _term_order(term: tuple[Monomial, int]) -> tuple[int, str]:
    """Put the highest powers first and the constant last, as in print."""
    return -len(term[0]), " ".join(map(str, term[0]))


def _without(factor: Atom, monomial: Monomial) -> Monomial:
    at = monomial.index(factor)
    return monomial[:at] + monomial[at + 1 :]


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
