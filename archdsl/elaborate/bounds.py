"""Between which numbers the result of an operation surely lies, from where its operands do."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

from archdsl.elaborate.operations import calculate
from archdsl.elaborate.values import NoValue

Bounds = tuple[float, float]  # integers where they are known exactly
NONE: Bounds = (-math.inf, math.inf)

GROWING: Mapping[str, Callable[[Any], float]] = {
    "floor": math.floor,
    "ceil": math.ceil,
    "round": round,
    "exp": math.exp,
    "sqrt": math.sqrt,
    "log": math.log,
}


def around(*bounds: Bounds) -> Bounds:
    """Return the bounds of what is within one of several."""
    return min(low for low, _ in bounds), max(high for _, high in bounds)


def bounds_of(sign: str, left: Bounds, right: Bounds) -> Bounds:
    """Return the bounds of `left sign right`."""
    if sign in ("/", "//", "%") and right[0] <= 0 <= right[1]:
        return NONE
    if sign == "%":
        return min(right[0], 0), max(right[1], 0)
    if sign == "**" and left[0] < 0:
        # what is not negative comes to as much as its opposite
        _, most = bounds_of(sign, (0, max(-left[0], left[1])), right)
        return -most, most
    try:
        # it only grows or falls along each operand, so that it is largest and smallest at corners
        corners: list[Any] = [calculate(sign, one, other) for one, other in product(left, right)]
    except (ArithmeticError, NoValue):
        return NONE
    known = not any(map(math.isnan, corners))  # of infinity times 0
    return (min(corners), max(corners)) if known else NONE


def bounds_of_call(name: str, given: Sequence[Bounds]) -> Bounds:
    """Return the bounds of a function of numbers."""
    if name in ("min", "max"):
        choose = min if name == "min" else max
        return choose(low for low, _ in given), choose(high for _, high in given)
    ((low, high),) = given
    if name == "abs":
        return (0 if low <= 0 <= high else min(abs(low), abs(high))), max(abs(low), abs(high))
    if name in ("sin", "cos"):
        return -1, 1
    try:
        return GROWING[name](low), GROWING[name](high)
    except (ArithmeticError, ValueError):
        return NONE
