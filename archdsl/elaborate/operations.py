"""Operators and functions on values, each bounded before it is computed."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

from archdsl.elaborate.values import (
    TOO_LARGE,
    BlockValue,
    NoValue,
    Tensors,
    Value,
    bounded,
    integer,
    kind_of,
    number,
    sequence,
    weight,
)
from archdsl.layers.sizes import MOST_TERMS, Formula, FormulaError, unsaid
from archdsl.layers.traced import MOST_POWER, Traced, depends
from archdsl.limits import LARGEST

MOST_DIGITS = 400  # of any number, before or after its point
COST_OF_FUNCTION = 2  # in steps, beyond that of its arguments

SEQUENCES = (tuple, range, str)
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
MEMBERSHIP = ("in", "not in")


def cost_of(sign: str, left: Value, right: Value) -> int:
    """Return how many items, characters or terms `left sign right` makes."""
    if isinstance(left, SEQUENCES) or isinstance(right, SEQUENCES):
        if sign == "+" and isinstance(left, SEQUENCES) and isinstance(right, SEQUENCES):
            return len(left) + len(right)
        if sign == "*" and isinstance(left, SEQUENCES) and isinstance(right, int):
            return len(left) * max(right, 0)
        if sign == "*" and isinstance(right, SEQUENCES) and isinstance(left, int):
            return len(right) * max(left, 0)
        return 0
    if not isinstance(left, Formula) and not isinstance(right, Formula):
        return 0
    first, second = _size_of(left), _size_of(right)
    if sign == "**" and isinstance(right, int):
        return first * min(first, MOST_TERMS) * min(max(right, 0), MOST_POWER)
    return first * second if sign == "*" else first + second


def _size_of(value: Value) -> int:
    return value.atoms + len(value.terms) if isinstance(value, Formula) else 1


def cost_of_call(name: str, values: tuple[Value, ...]) -> int:
    """Return what a call takes in steps: to go through lists, and to make one."""
    lengths = [len(value) for value in values if isinstance(value, tuple | range)]
    if name in ("len", "range") or not lengths:
        return COST_OF_FUNCTION
    if name == "zip":
        return COST_OF_FUNCTION + min(lengths) * (2 + len(lengths))
    return COST_OF_FUNCTION + sum(lengths) * (4 if name == "enumerate" else 1)


def arithmetic(sign: str, left: Value, right: Value) -> Value:
    """Work out `left sign right`. Strings and lists can be joined and repeated, as in Python.

    Raises:
        NoValue: there is no result.
    """
    if sign == "+" and isinstance(left, SEQUENCES) and isinstance(right, SEQUENCES):
        return joined(left, right)
    if sign == "*" and isinstance(left, SEQUENCES):
        return repeated(left, integer(right, "how often a list is repeated"))
    if sign == "*" and isinstance(right, SEQUENCES):
        return repeated(right, integer(left, "how often a list is repeated"))
    first, second = (
        number(left, f"what stands before `{sign}`"),
        number(right, f"what stands after `{sign}`"),
    )
    try:
        if isinstance(first, Formula) or isinstance(second, Formula):
            found = unsaid(sign, first, second)
            if found is not None:
                return found
        value = bounded(calculate(sign, first, second))
        if type(value) is float and isinstance(second, Traced):  # a float goes before it
            return depends(value, sign, first, second)
        return value
    except ZeroDivisionError:
        raise NoValue("this divides by zero") from None
    except OverflowError:
        raise NoValue(TOO_LARGE) from None
    except FormulaError as error:
        raise NoValue(f"the size {error}", names=free_names(first, second)) from None
    except TypeError:
        raise NoValue(
            f"`{sign}` can't be worked out for {kind_of(left)} and {kind_of(right)}",
            names=free_names(first, second),
        ) from None


def calculate(sign: str, left: Any, right: Any) -> Value:
    if sign == "+":
        return left + right
    if sign == "-":
        return left - right
    if sign == "*":
        return left * right
    if sign == "//":
        return left // right
    if sign == "%":
        return left % right
    if sign == "/":
        return left / right
    return power(left, right)


def power(base: Any, exponent: Any) -> Value:
    if isinstance(base, int) and isinstance(exponent, int):
        if exponent >= 0:
            # the result has about this many bits: refuse before working it out
            if abs(base) > 1 and exponent * (abs(base).bit_length() - 1) > LARGEST.bit_length():
                raise OverflowError
            return base**exponent
        return depends(float(base) ** exponent, "**", base, exponent)
    if isinstance(base, Formula) and isinstance(exponent, int) and 0 < exponent <= MOST_POWER:
        return math.prod([base] * exponent)
    result = base**exponent
    if isinstance(result, complex):
        raise NoValue("a negative number has no such power")
    return result


def joined(left: Any, right: Any) -> Value:
    if isinstance(left, str) != isinstance(right, str):
        raise NoValue(f"{kind_of(left)} and {kind_of(right)} can't be joined")
    return left + right if isinstance(left, str) else (*left, *right)


def repeated(value: Any, times: int) -> Value:
    return (tuple(value) if isinstance(value, range) else value) * times


def compare(sign: str, left: Value, right: Value) -> bool:
    """Work out a comparison. Sizes with free names compare only where the answer is certain."""
    if sign in MEMBERSHIP:
        return contains(right, left, sign) == (sign == "in")
    if sign in ("==", "!="):
        return equal(left, right) == (sign == "==")
    if isinstance(left, str) and isinstance(right, str):
        return COMPARISONS[sign](left, right)
    first = number(left, f"what stands before `{sign}`")
    second = number(right, f"what stands after `{sign}`")
    if isinstance(first, Formula) or isinstance(second, Formula):
        first, second = difference(first, second), 0
    return COMPARISONS[sign](first, second)


def contains(where: Value, value: Value, sign: str) -> bool:
    """Tell whether a list holds an item, or a string a part, as Python's `in` does."""
    if isinstance(where, str):
        if isinstance(value, str):
            return value in where
        raise NoValue(f"a string holds strings alone, and this is {kind_of(value)}")
    if isinstance(where, range) and isinstance(value, int):
        return value in where and not isinstance(value, bool)
    if not isinstance(where, tuple | range):
        what = f"what stands after `{sign}` must be a list or a string"
        hint = "its sizes are a list: `in.shape`" if isinstance(where, Tensors) else ""
        if type(where) is int:
            hint = f"did you mean `{sign} [{where}]`?"
        raise NoValue(f"{what}, and this is {kind_of(where)}", hint)
    unknown: NoValue | None = None
    for item in where:
        try:
            if equal(item, value):
                return True
        except NoValue as error:  # another item may be the same for all free sizes
            unknown = unknown or error
    if unknown is not None:
        raise unknown
    return False


def cost_of_search(value: Value, where: Value, most: int) -> int:
    """Return how many comparisons it takes at most to look for a value."""
    if isinstance(where, range) and isinstance(value, int):
        return 1
    return weight(where, most)


def difference(left: Any, right: Any) -> int:
    """Return `left - right` of sizes, if it is the same for all values of the free names."""
    rest = left - right if not isinstance(left, float) and not isinstance(right, float) else left
    if isinstance(rest, int):
        return rest
    raise NoValue(
        f"whether {left} or {right} is larger depends on a free size", names=free_names(left, right)
    )


def equal(left: Value, right: Value) -> bool:
    if isinstance(left, Formula) or isinstance(right, Formula):
        if left == right:
            return True
        if isinstance(left, int | Formula) and isinstance(right, int | Formula):
            difference(left, right)
        return False
    if isinstance(left, tuple | range) and isinstance(right, tuple | range):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, BlockValue) and isinstance(right, BlockValue):
        return _same_block(left, right)
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


def _same_block(left: BlockValue, right: BlockValue) -> bool:
    """Tell whether two names mean one block or layer, with the same arguments fixed.

    A block that is declared anew is another one, though it says the same.
    """
    meant = [(one.declaration, one.layer, one.alias) for one in (left, right)]
    return (
        all(one is other for one, other in zip(*meant, strict=True))
        and left.fixed.keys() == right.fixed.keys()
        and all(equal(left.fixed[name][0], right.fixed[name][0]) for name in left.fixed)
    )


def free_names(*values: Value) -> tuple[str, ...]:
    return tuple(sorted({n for value in values if isinstance(value, Formula) for n in value.names}))


# --- functions ------------------------------------------------------------------------------


def _numbers(name: str, values: tuple[Value, ...]) -> list[Any]:
    flat = sequence(values[0], f"what `{name}` is given") if len(values) == 1 else values
    if not flat:
        raise NoValue(f"`{name}` of nothing has no result")
    return [number(value, f"what `{name}` is given") for value in flat]


def _extreme(name: str, values: tuple[Value, ...]) -> Value:
    best, *others = _numbers(name, values)
    for other in others:
        if compare("<" if name == "min" else ">", other, best):
            best = other
    return best


def _sum(values: tuple[Value, ...]) -> Value:
    total: Value = 0
    for value in sequence(values[0], "what `sum` is given"):
        total = arithmetic("+", total, number(value, "what `sum` is given"))
    return total


def _len(value: Value) -> int:
    if isinstance(value, str | tuple | range):
        return len(value)
    if isinstance(value, Tensors):
        return len(value.shapes)
    raise NoValue(f"{kind_of(value)} has no length")


def _range(values: tuple[Value, ...]) -> range:
    bounds = [integer(value, "what `range` is given") for value in values]
    if len(bounds) == 3 and bounds[2] == 0:
        raise NoValue("a `range` can't have steps of 0")
    found = range(*bounds)
    try:
        len(found)
    except OverflowError:
        raise NoValue("this `range` is too long") from None
    return found


def _round(values: tuple[Value, ...]) -> Value:
    if isinstance(values[0], Formula):
        return round(values[0])
    value: Any = number(values[0], "what `round` is given")
    digits = [integer(each, "the digits of `round`") for each in values[1:]]
    # beyond these it is all zeros or as it was, which Python works out with long numbers
    return round(value, *[min(max(each, -MOST_DIGITS), MOST_DIGITS) for each in digits])


REAL: dict[str, Callable[[Any], Value]] = {
    "floor": math.floor,
    "ceil": math.ceil,
    "abs": abs,
    "sqrt": math.sqrt,
    "exp": math.exp,
    "sin": math.sin,
    "cos": math.cos,
}


def _real(name: str, value: Value) -> Value:
    if isinstance(value, Formula):
        if name in ("floor", "ceil"):
            return math.floor(value) if name == "floor" else math.ceil(value)
        raise NoValue(f"`{name}` of a free size is not known", names=free_names(value))
    given: Any = number(value, f"what `{name}` is given")
    try:
        return REAL[name](given)
    except ValueError:
        raise NoValue(f"`{name}` of {given} does not exist") from None


def _log(values: tuple[Value, ...]) -> float:
    given: list[Any] = [number(value, "what `log` is given") for value in values]
    if any(isinstance(value, Formula) for value in given):
        raise NoValue("`log` of a free size is not known", names=free_names(*given))
    try:
        return math.log(*given)
    except (ValueError, ZeroDivisionError):
        raise NoValue(f"`log` of {', '.join(map(str, given))} does not exist") from None


# How many arguments each takes: at least, at most (None: any number).
FUNCTIONS: dict[str, tuple[int, int | None]] = {
    "min": (1, None),
    "max": (1, None),
    "sum": (1, 1),
    "len": (1, 1),
    "range": (1, 3),
    "zip": (1, None),
    "enumerate": (1, 2),
    "round": (1, 2),
    "floor": (1, 1),
    "ceil": (1, 1),
    "abs": (1, 1),
    "sqrt": (1, 1),
    "log": (1, 2),
    "exp": (1, 1),
    "sin": (1, 1),
    "cos": (1, 1),
}


def call(name: str, values: tuple[Value, ...]) -> Value:
    """Call one of the functions of the language, with Python's meaning."""
    least, greatest = FUNCTIONS[name]
    if len(values) < least or (greatest is not None and len(values) > greatest):
        count = f"{least}" if greatest == least else f"{least} to {greatest}"
        if greatest is None:
            count = f"at least {least}"
        raise NoValue(f"`{name}` takes {count} argument{'' if count.endswith('1') else 's'}")
    try:
        value = bounded(_call(name, values))
        return depends(value, name, *values) if name in UNSAID else value
    except OverflowError:
        raise NoValue(f"the result of `{name}` is too large") from None


def _call(name: str, values: tuple[Value, ...]) -> Value:
    if name in ("min", "max"):
        return _extreme(name, values)
    if name == "sum":
        return _sum(values)
    if name == "len":
        return _len(values[0])
    if name == "range":
        return _range(values)
    if name == "zip":
        return tuple(zip(*[sequence(each, "what `zip` is given") for each in values], strict=False))
    if name == "enumerate":
        start = integer(values[1], "where `enumerate` starts") if len(values) > 1 else 0
        return tuple(enumerate(sequence(values[0], "what `enumerate` is given"), start))
    if name == "round":
        return _round(values)
    if name == "log":
        return _log(values)
    return _real(name, values[0])


# Which of several numbers these give, or how, no formula says.
UNSAID = {"min", "max", "sqrt", "log", "exp", "sin", "cos"}
