"""Which of two sizes with free names is the larger, as far as that is certain.

A floor lies between two straight lines, `(a - n + 1)/n <= a//n <= a/n`. Put these in the place of
the floors and `1 + h` in the place of a name, and a difference none of whose coefficients is
negative can't be negative itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from archdsl.layers.sizes import Atom, Floor, Formula, FormulaError, Size
from archdsl.records import Record

MOST_PRODUCTS = 4_096  # of terms with each other: beyond, nothing is claimed

Polynomial = Mapping[tuple[str, ...], Fraction]


class Bounds(Record):
    """Polynomials between which a size lies, in how much each name is above 1."""

    lower: Polynomial
    upper: Polynomial


class _Uncertain(Exception):
    """No bounds can be given."""


def never_less(left: Size, right: Size) -> bool:
    """Tell whether `left >= right` is certain, whatever positive values the names have.

    False says that it isn't known.
    """
    try:
        difference = left - right
        if isinstance(difference, int):
            return difference >= 0
        return _is_positive(_bounds(difference).lower)
    except (FormulaError, _Uncertain):
        return False


def _is_positive(polynomial: Polynomial) -> bool:
    return all(coefficient >= 0 for coefficient in polynomial.values())


def _bounds(formula: Formula) -> Bounds:
    lower: dict[tuple[str, ...], Fraction] = {}
    upper: dict[tuple[str, ...], Fraction] = {}
    for monomial, coefficient in formula.terms:
        low, high = _product_bounds(monomial)
        # what is taken away is the least where it is the largest
        if coefficient < 0:
            low, high = high, low
        _add(lower, low, Fraction(coefficient))
        _add(upper, high, Fraction(coefficient))
    return Bounds(lower, upper)


def _product_bounds(monomial: tuple[Atom, ...]) -> Bounds:
    one: Polynomial = {(): Fraction(1)}
    low, high = Bounds(one, one)
    factors = [_atom_bounds(atom) for atom in monomial]
    if len(factors) > 1 and not all(_is_positive(factor.lower) for factor in factors):
        raise _Uncertain  # the product of two negative bounds bounds nothing
    for factor in factors:
        low, high = _multiply(low, factor.lower), _multiply(high, factor.upper)
    return Bounds(low, high)


def _atom_bounds(atom: Atom) -> Bounds:
    if isinstance(atom, str):
        name = {(): Fraction(1), (atom,): Fraction(1)}
        return Bounds(name, name)
    assert isinstance(atom, Floor)
    lower, upper = _bounds(atom.dividend)
    low: dict[tuple[str, ...], Fraction] = {}
    high: dict[tuple[str, ...], Fraction] = {}
    _add(low, lower, Fraction(1, atom.divisor))
    # a // n is at least (a - n + 1) / n
    _add(low, {(): Fraction(1)}, Fraction(1 - atom.divisor, atom.divisor))
    _add(high, upper, Fraction(1, atom.divisor))
    return Bounds(low, high)


def _add(to: dict[tuple[str, ...], Fraction], what: Polynomial, times: Fraction) -> None:
    for monomial, coefficient in what.items():
        to[monomial] = to.get(monomial, Fraction(0)) + times * coefficient


def _multiply(left: Polynomial, right: Polynomial) -> Polynomial:
    if len(left) * len(right) > MOST_PRODUCTS:
        raise _Uncertain
    product: dict[tuple[str, ...], Fraction] = {}
    for one, by in left.items():
        for other, times in right.items():
            monomial = tuple(sorted(one + other))
            product[monomial] = product.get(monomial, Fraction(0)) + by * times
    return product
