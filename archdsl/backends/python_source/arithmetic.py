"""Writes formulas as Python, as the formatter does."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from archdsl.backends.python_source.names import literal
from archdsl.layers.sizes import Atom, Formula, Monomial, Operation

# How tightly an expression holds together: what is looser needs brackets in what is tighter.
SUM, QUOTIENT, PRODUCT, SIGN, POWER, ATOM = range(6)
SIGNS: Mapping[str, int] = {
    **dict.fromkeys(("+", "-"), SUM),
    **dict.fromkeys(("//", "%"), QUOTIENT),  # no tighter in Python, but for a reader
    **dict.fromkeys(("*", "/"), PRODUCT),
    "neg": SIGN,
    "**": POWER,
}
IN_MATH = ("floor", "ceil", "sqrt", "log", "exp")
PLAIN = re.compile(r"-?(?:[A-Za-z_][\w.]*|\d[\w.]*(?:e-\d+)?)")  # beside it a power has no blanks


def written(formula: Any, order: Sequence[str]) -> str:
    """Write a formula, or several as a tuple; of a sum what comes in first, by the order."""
    if isinstance(formula, tuple):
        return f"({', '.join(written(each, order) for each in formula)})"
    return _text(formula, order, SUM)


def _text(formula: Any, order: Sequence[str], least: int) -> str:
    """Write a formula as an operand of something that holds together so tightly."""
    text, holds = _loose(formula, order)
    return f"({text})" if holds < least else text


def _loose(formula: Any, order: Sequence[str]) -> tuple[str, int]:
    """Write a formula, and say how tightly it holds together."""
    if not isinstance(formula, Formula):
        return literal(formula), ATOM if formula >= 0 else SIGN
    terms = sorted(_with_remainders(formula), key=lambda term: _place(term, order))
    if len(terms) == 1 and terms[0][1] == 1 and len(terms[0][0]) == 1:
        return _atom(terms[0][0][0], order)
    text = ""
    for monomial, coefficient in terms:
        atoms = Counter(sorted(monomial, key=lambda atom: _rank((atom,), order)))
        factors = [_power(*each, order) for each in atoms.items()]
        if abs(coefficient) != 1 or not factors:
            factors.insert(0, (str(abs(coefficient)), ATOM))
        alone = len(factors) == 1
        sign = "-" if coefficient < 0 else "+"
        # `-a // 2` would be half of -a, and the formatter has brackets in `-(a**2)`
        least = POWER + 1 if alone and sign == "-" and not text else SUM if alone else SIGN
        texts = [each if holds >= least else f"({each})" for each, holds in factors]
        text += (f" {sign} " if text else sign.strip("+")) + " * ".join(texts)
    return text, SUM if len(terms) > 1 or terms[0][1] < 0 else PRODUCT


def _power(atom: Atom, exponent: int, order: Sequence[str]) -> tuple[str, int]:
    """Write a factor that comes so often."""
    if exponent == 1:
        return _atom(atom, order)
    return _operation("**", (Formula({(atom,): 1}), exponent), order)


def _atom(atom: Atom, order: Sequence[str]) -> tuple[str, int]:
    if isinstance(atom, str):
        return atom, ATOM
    if isinstance(atom, Operation):
        return _operation(atom.name, atom.operands, order)
    return _operation("//", (atom.dividend, atom.divisor), order)


def _operation(name: str, operands: Sequence[Any], order: Sequence[str]) -> tuple[str, int]:
    if name not in SIGNS:
        texts = ", ".join(_text(each, order, SUM) for each in operands)
        return f"{'math.' * (name in IN_MATH)}{name}({texts})", ATOM
    holds = SIGNS[name]
    if name == "neg":
        return f"-{_text(operands[0], order, ATOM)}", holds
    if holds == SUM:
        left, right = _text(operands[0], order, SUM), _text(operands[1], order, PRODUCT)
    elif holds == POWER:
        left, right = _text(operands[0], order, ATOM), _text(operands[1], order, SIGN)
        if PLAIN.fullmatch(left) and PLAIN.fullmatch(right):
            return f"{left}**{right}", holds
    else:
        left = _text(operands[0], order, PRODUCT if holds == PRODUCT else SIGN)
        right = _text(operands[1], order, SIGN)
    return f"{left} {name} {right}", holds


def _with_remainders(formula: Formula) -> list[tuple[Monomial, int]]:
    """Return the terms of a formula, with `n % 2` for `n - 2 * (n // 2)`."""
    terms = dict(formula.terms)
    for monomial, coefficient in formula.terms:
        floor = monomial[0] if len(monomial) == 1 else ""
        if isinstance(floor, str | Operation) or coefficient % floor.divisor:
            continue
        times = -coefficient // floor.divisor
        rest = {one: terms.get(one, 0) - times * by for one, by in floor.dividend.terms}
        if any(one and abs(left) >= abs(terms.get(one, 0)) for one, left in rest.items()):
            continue
        remainder = Operation("%", (floor.dividend, floor.divisor), (False, False))
        del terms[monomial]
        terms |= {**rest, (remainder,): times}
    return [(monomial, by) for monomial, by in terms.items() if by]


def _place(term: tuple[Monomial, int], order: Sequence[str]) -> tuple[object, ...]:
    """Put what is added first, what comes once before products, and constants last."""
    monomial, coefficient = term
    product = coefficient != 1 or len(monomial) > 1
    return (coefficient < 0, not monomial, product, coefficient != 1, _rank(monomial, order))


def _rank(monomial: Monomial, order: Sequence[str]) -> tuple[int, int, str]:
    """Put constants last, and names in their order behind what is worked out of some."""
    ranks = [
        order.index(atom)
        if isinstance(atom, str) and atom in order
        else -1
        if isinstance(atom, Operation)
        else len(order)
        for atom in monomial
    ]
    return (not monomial, min(ranks, default=0), " ".join(map(str, monomial)))
