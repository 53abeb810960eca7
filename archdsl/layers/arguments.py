"""The kinds of argument that layers take, each with the words that say what it must be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from archdsl.layers.base import Kind, LayerError, Shape, before
from archdsl.layers.sizes import Formula, Size

# What fits in the numbers that torch takes: those of its tensors, and its integers.
LARGEST: dict[type, float] = {float: (2 - 2**-23) * 2.0**127, int: 2**63 - 1}


def _integer(value: Any, least: int | None = None) -> int:
    if isinstance(value, Formula):
        raise ValueError(f"must be a number, and {value} depends on a free size")
    # to Python `true` is the integer 1, to the language it is no number
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError
    if least is not None and value < least:
        raise ValueError
    return value


def _positive(value: Any) -> int:
    return _integer(value, 1)


def _natural(value: Any) -> int:
    return _integer(value, 0)


def _size(value: Any) -> Size:
    return value if isinstance(value, Formula) else _positive(value)


def _number(value: Any) -> float:
    # NaN is the only number that differs from itself
    if not isinstance(value, int | float) or isinstance(value, bool) or value != value:
        raise ValueError
    largest = LARGEST[int if isinstance(value, int) else float]
    if not -largest <= value <= largest:
        raise ValueError("must be a number that torch can hold: at most 3.4e38, integers 2^63 - 1")
    return value


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError
    return value


def _word(value: Any) -> str:
    if type(value) is not str:
        raise ValueError
    return value


def each(convert: Callable[[Any], Any], axes: int | None = None) -> Callable[[Any], Any]:
    """Convert a list, of `axes` items if that is given."""

    def converted(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, tuple) or (axes is not None and len(value) != axes):
            raise ValueError
        return tuple(map(convert, value))

    return converted


def _spread(convert: Callable[[Any], Any], axes: int) -> Callable[[Any], Any]:
    """Convert one value a axis, or one value that stands for all of them."""
    listed = each(convert, axes)

    def converted(value: Any) -> tuple[Any, ...]:
        # all layers keep one value for each axis, so that none of them has to tell the forms apart
        return listed(value) if isinstance(value, tuple) else (convert(value),) * axes

    return converted


def optional(kind: Kind) -> Kind:
    """Return the kind that takes `none` as well."""
    return Kind(
        f"{kind.expected}, or none",
        lambda value: None if value is None else kind.check(value),
        (None, *kind.samples),
    )


def choice(*words: str) -> Kind:
    """Return the kind that takes one of the words."""
    quoted = [f'"{word}"' for word in words]

    def converted(value: Any) -> str:
        if type(value) is not str or value not in words:
            raise ValueError
        return value

    last = f" or {quoted[-1]}" if len(quoted) > 1 else ""
    return Kind(", ".join(quoted[:-1] or quoted) + last, converted, words)


def either(first: Kind, second: Kind) -> Kind:
    """Return the kind that takes what either takes; the first is tried first."""

    def converted(value: Any) -> Any:
        try:
            return first.check(value)
        except ValueError:
            return second.convert(value)

    return Kind(
        f"{first.expected}, or {second.expected}", converted, first.samples + second.samples
    )


CONVERSIONS: dict[str, tuple[str, Callable[[Any], Any], tuple[int, int]]] = {
    "size": ("a positive integer", _size, (1, 2)),
    "positive": ("a positive integer", _positive, (1, 2)),
    "natural": ("an integer of at least 0", _natural, (0, 1)),
    "integer": ("an integer", _integer, (0, 1)),
}


def spread(axes: int, kind: str = "positive") -> Kind:
    """Return the kind that takes one integer for all of some axes, or a list of one each.

    `kind` is "positive", "natural" or "integer"; "size" is a positive integer or a formula.
    """
    one, convert, samples = CONVERSIONS[kind]
    if axes == 1:
        return Kind(one, _spread(convert, 1), samples)
    uneven = tuple(range(1, axes + 1))
    return Kind(f"{one} or a list of {axes}", _spread(convert, axes), (*samples, uneven))


SIZE = Kind("a positive integer", _size, (1, 2))
POSITIVE = Kind("a positive integer", _positive, (1, 2))
NATURAL = Kind("an integer of at least 0", _natural, (0, 1))
INTEGER = Kind("an integer", _integer, (0, 1))
NUMBER = Kind("a number", _number, (0.5, 1))
FLAG = Kind("true or false", _flag, (True, False))
WORD = Kind("a string", _word)


def _above_zero(value: Any) -> float:
    if (number := _number(value)) <= 0:
        raise ValueError
    return number


def _probability(value: Any) -> float:
    if not 0 <= (number := _number(value)) <= 1:
        raise ValueError
    return number


def _at_least_zero(value: Any) -> float:
    if (number := _number(value)) < 0:
        raise ValueError
    return number


def _small(value: Any) -> float:
    if (number := _at_least_zero(value)) >= 1:
        raise ValueError
    return number


def _small_above_zero(value: Any) -> float:
    if (number := _above_zero(value)) >= 1:
        raise ValueError
    return number


def _nonzero(value: Any) -> float:
    if (number := _number(value)) == 0:
        raise ValueError
    return number


ABOVE_ZERO = Kind("a number above 0", _above_zero, (0.5, 2))
AT_LEAST_ZERO = Kind("a number of at least 0", _at_least_zero, (0.001, 0))
NONZERO = Kind("a number other than 0", _nonzero, (0.5, -2))
# Torch takes 1 and more as well; who writes BatchNorm2d(64) means the channels, which are known.
EPSILON = Kind("a small number, from 0 to below 1", _small, (0.001, 0))
EPSILON_ABOVE_ZERO = Kind("a small number, above 0 and below 1", _small_above_zero, (0.001, 0.1))
PROBABILITY = Kind("a number from 0 to 1", _probability, (0.5, 0.1))

# Where torch takes a size of a tensor, a formula of free sizes is taken; elsewhere integers only.
FreeSize = Annotated[Size, SIZE]
Positive = Annotated[int, POSITIVE]
Natural = Annotated[int, NATURAL]
Integer = Annotated[int, INTEGER]
Number = Annotated[float, NUMBER]
AboveZero = Annotated[float, ABOVE_ZERO]
AtLeastZero = Annotated[float, AT_LEAST_ZERO]
Nonzero = Annotated[float, NONZERO]
Probability = Annotated[float, PROBABILITY]
Flag = Annotated[bool, FLAG]
Integers = Annotated[tuple[int, ...], Kind("a list of integers", each(_integer), ((0, 1),))]

INTEGERS = Kind("a list of integers", each(_integer), ((0, 1),))
NUMBERS = Kind("a list of numbers", each(_number), ((0.5, 1),))
DIMS = either(
    Kind("an axis, counted as torch does: 0 is the batch, 1 the channels", _integer, (1, -1)),
    Kind("a list of axes", each(_integer), ((1, 2),)),
)
Dims = Annotated[int | tuple[int, ...], DIMS]
Dim = Annotated[int, Kind("an axis, counted as torch does: 0 is the batch", _integer, (1, 2, -1))]


def own_axis(dim: int, rank: int, name: str = "dim") -> int:
    """Return which axis torch counts as `dim` of a tensor without a batch axis.

    Raises:
        LayerError: a tensor of that rank has no such axis.
    """
    if not -rank <= dim < rank:
        dims = f"dims 0 to {rank - 1}" if rank > 1 else "dim 0 only" if rank else "no dims"
        raise LayerError(f"has {name} = {dim}, and a tensor that all samples share has {dims} here")
    return dim % rank


def sample_axis(dim: int, rank: int, name: str = "dim") -> int:
    """Return which axis of a sample torch counts as `dim`, batch first.

    Raises:
        LayerError: it is the batch, or no axis of a tensor of that rank (without its batch).
    """
    position = dim + rank + 1 if dim < 0 else dim
    if position == 0:
        raise LayerError(f"has {name} = {dim}, the batch, which is left alone")
    if not 0 < position <= rank:
        most = f"dims 1 to {rank}" if rank > 1 else "dim 1 only" if rank else "no dims"
        raise LayerError(f"has {name} = {dim}, and its input has {most} (0 is the batch)")
    return position - 1


def axis_of(dim: int, shape: Shape, name: str = "dim") -> int:
    """Return which axis of a shape torch counts as `dim`: batch first, if it has one.

    Raises:
        LayerError: there is no such axis, or it is the batch.
    """
    count = sample_axis if before(shape) else own_axis
    return count(dim, len(shape), name)


def axes_of(dims: int | tuple[int, ...], shape: Shape) -> tuple[int, ...]:
    """Return which axes of a shape torch counts as `dims`; as `axis_of`, but for several."""
    listed = dims if isinstance(dims, tuple) else (dims,)
    axes = tuple(axis_of(dim, shape) for dim in listed)
    if not axes:
        raise LayerError("has an empty list of dims")
    if len(set(axes)) < len(axes):
        raise LayerError(f"names an axis twice in dim = {list(listed)}")
    return axes
