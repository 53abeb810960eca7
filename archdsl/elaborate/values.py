"""The values of the language: numbers, strings, lists, shapes, and blocks as values."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from archdsl.diagnostics import ArchError, Span, Use
from archdsl.elaborate.errors import BadArgument, BadValue, UnknownSize
from archdsl.elaborate.wording import did_you_mean
from archdsl.layers.base import Layer, Shape
from archdsl.layers.sizes import Formula
from archdsl.limits import CHARACTERS_OF_STEP, LARGEST
from archdsl.syntax import ast
from archdsl.syntax.spec_file import SpecFile

# Lists and tuples are both Python tuples: nothing in the language tells them apart.
Value = Any

DEEPEST_LIST = 64
MOST_COMPARED = 10_000  # items of a value, to tell whether it is one that was there before

NUMBER = re.compile(r"(?:\w+\s*=\s*)?-?[\d.e+-]+")  # as it is given, with a name or without

SPOILED = object()  # stands for a value that could not be worked out, which was reported


class NoValue(Exception):
    """A value can't be had; the text is a sentence, to which the place is added by the caller."""

    def __init__(
        self, reason: str, hint: str = "", names: tuple[str, ...] = (), value: Value = None
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint
        self.names = names  # of the free sizes that it depends on
        self.value = value  # that is of the wrong kind

    def at(self, span: Span, trail: tuple[Use, ...]) -> ArchError:
        """Return the error that says so at a place."""
        if self.names:
            return ArchError(UnknownSize(span, trail, reason=self.reason, names=self.names))
        hint, made = self.hint or meant(self.reason, self.value, span), maker_of(self.value, span)
        return ArchError(BadValue(span, trail, hint, reason=self.reason, made=made))


class WorkedOut(float):
    """A float, and the expression that made it one.

    Where an integer is needed, that is what has to change, and not where the number came to. What
    is made of such a number keeps its place. For whoever copies or stores it, it is a float.
    """

    __slots__ = ("given", "span")
    span: Span
    given: bool  # whether it stands there as it is: then a product with it has a place of its own

    @classmethod
    def by(cls, span: Span, value: float, *operands: Value, given: bool = False) -> WorkedOut:
        """Return a number that an expression makes of others."""
        made = cls(value)
        places = (one.span for one in operands if isinstance(one, WorkedOut) and not one.given)
        made.span = next(places, span)
        made.given = given
        return made

    def __reduce__(self) -> tuple[type[float], tuple[float]]:
        return float, (float(self),)


def maker_of(value: Value, span: Span) -> Span | None:
    """Return the expression that made a float of a value that stands somewhere else, or None."""
    if not isinstance(value, WorkedOut):
        return None
    made = value.span
    stands_there = made.source is span.source and span.start <= made.start and made.end <= span.end
    return None if stands_there else made


def meant(reason: str, value: Value, span: Span) -> str:
    """Say what was likely meant by a value that can't stand at a place, or ""."""
    if isinstance(value, float) and "integer" in reason:
        made = maker_of(value, span)
        at, there = (made, " there") if made else (span, "")
        text = at.source.text[at.start : at.end]
        if "/" in text.replace("//", ""):
            return f"write `//`{there}, which gives an integer; `/` gives a number with a fraction"
        if NUMBER.fullmatch(text):
            return f"write {int(value)}{there}" if value.is_integer() else ""
        if isinstance(value, WorkedOut):  # and not given with `-p`, where no expression stands
            return f"`floor(...)`, `ceil(...)` or `round(...)`{there} gives an integer"
    if isinstance(value, str) and f'"{value.lower()}"' in reason:
        return f'write "{value.lower()}"'
    return ""


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class BlockValue:
    """A block or layer that can be used as a stage, with some of its arguments fixed.

    Attributes:
        name: as written where it was declared.
        declaration: of a block; None for a layer.
        layer: the layer; None for a block.
        alias: of `block Name(parameters) = Other(...)`, whose call is worked out when it is used.
        file: the file that a block is declared in.
        fixed: values of arguments that `block Name = Other(...)` fixes, with their places.
        trail: the uses of blocks that led to those places.
    """

    name: str
    declaration: ast.Block | None = None
    layer: type[Layer] | None = None
    alias: ast.BlockAlias | None = None
    file: SpecFile | None = None
    fixed: Mapping[str, tuple[Value, Span]] = field(default_factory=dict)
    trail: tuple[Use, ...] = ()

    def __repr__(self) -> str:
        return f"<{'block' if self.layer is None else 'layer'} {self.name}>"


@dataclass(frozen=True, slots=True)
class Tensors:
    """What `in`, `shape(label)` or an `input maps[]` is in an expression: shapes of tensors."""

    shapes: tuple[Shape, ...]
    what: str = "in"

    def attribute(self, name: str) -> Value:
        """Return `channels`, `height`, ... of the only tensor."""
        if name not in AXES:
            hint = did_you_mean(name, AXES)
            raise NoValue(f"a tensor has no `{name}`", hint)
        if len(self.shapes) != 1:
            raise NoValue(
                f"`{self.what}` is {len(self.shapes)} tensors here",
                f"choose one: `{self.what}[0].{name}`",
            )
        shape = self.shapes[0]
        if name == "shape":
            return shape
        axis, least = AXES[name]
        if len(shape) < least:
            text = " x ".join(map(str, shape))
            raise NoValue(f"a tensor of the shape {text} has no {name}")
        return shape[axis]


# Axis of a sample, and how many axes there must be for the name to make sense.
AXES: dict[str, tuple[int, int]] = {
    "shape": (0, 0),
    "channels": (0, 1),
    "features": (-1, 1),
    "length": (-1, 2),
    "width": (-1, 3),
    "height": (-2, 3),
    "depth": (-3, 4),
}

TOO_LARGE = "the result is too large: integers go up to 9223372036854775807, others to 1.8e308"

TYPES = {
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "str": "a string",
    "list": "a list",
    "block": "a layer, a block or none",
}


def kind_of(value: Value) -> str:
    """Name the kind of a value for a reader: "a list"."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Formula):
        return f"the free size {value}"
    if isinstance(value, int | float):
        return f"the number {value}" if abs(value) < 10**20 else "a large number"
    if isinstance(value, str):
        return f'the string "{value[:40]}"'
    if isinstance(value, tuple | range):
        return f"a list of {len(value)}" if value else "an empty list"
    if isinstance(value, BlockValue):
        return f"the {'layer' if value.layer else 'block'} {value.name}"
    return "a tensor"


def bad_argument(
    callee: str,
    name: str,
    reason: str,
    value: Value,
    span: Span,
    trail: tuple[Use, ...],
    hint: str = "",
) -> BadArgument:
    """Return what is wrong with an argument that can't have a value; `hint` is the last resort."""
    hint, made, given = meant(reason, value, span) or hint, maker_of(value, span), kind_of(value)
    return BadArgument(
        span, trail, hint, callee=callee, name=name, reason=reason, given=given, made=made
    )


def matches(value: Value, kind: str) -> bool:
    """Tell whether a value is of one of the types that a parameter can be given."""
    if kind == "int":
        return isinstance(value, int | Formula) and not isinstance(value, bool)
    if kind == "float":
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "block":
        return value is None or isinstance(value, BlockValue)
    expected = {"bool": bool, "str": str, "list": tuple | range}
    # that there is no such type is for the review to say
    return kind not in expected or isinstance(value, expected[kind])


def identity(value: Value) -> Hashable:
    """Return what is equal for values that nothing can tell apart; in Python 1 equals true.

    Of what is too large to compare it is equal to nothing else.
    """
    return _identity(value, [MOST_COMPARED], 0)


def _identity(value: Value, left: list[int], depth: int) -> Hashable:
    kind = type(value)
    left[0] -= 1
    if left[0] < 0 or depth > DEEPEST_LIST:
        return object()
    if kind is tuple:
        return tuple([_identity(item, left, depth + 1) for item in value])
    if kind is float:
        return kind, repr(value)  # -0.0 is another number than 0.0
    if kind is BlockValue:
        of = value.layer or value.declaration or value.alias
        fixed = [(name, _identity(each[0], left, depth + 1)) for name, each in value.fixed.items()]
        return kind, id(of), value.name, tuple(fixed)
    return kind, value


def bounded(value: Value) -> Value:
    """Return a number that is not too large to be used."""
    if isinstance(value, int) and not -LARGEST <= value <= LARGEST:
        raise NoValue(TOO_LARGE)
    if isinstance(value, float) and not isfinite(value):
        raise NoValue("the result is not a finite number")
    return value


def number(value: Value, what: str) -> int | float | Formula:
    """Return a value that must be a number."""
    if type(value) is int:
        return value
    if isinstance(value, int | float | Formula) and not isinstance(value, bool):
        return value
    raise NoValue(f"{what} must be a number, and this is {kind_of(value)}")


def integer(value: Value, what: str) -> int:
    """Return a value that must be an integer, and known."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, Formula):
        raise NoValue(f"{what} depends on a free size: {value}", names=tuple(sorted(value.names)))
    raise NoValue(f"{what} must be an integer, and this is {kind_of(value)}", value=value)


def truth(value: Value, what: str) -> bool:
    """Return a value that must be true or false."""
    if isinstance(value, bool):
        return value
    raise NoValue(f"{what} must be true or false, and this is {kind_of(value)}")


def weight(value: Value, most: int) -> int:
    """Return how many items a list has with all lists in it, or `most` if there are more.

    Strings and formulas count by their length, in steps. A list may hold the same list many times;
    whoever goes through it meets that each time.

    Raises:
        NoValue: lists are nested too deeply to be gone through.
    """
    if not isinstance(value, tuple):
        return min(_length(value), most)
    count = 0
    under_way = [iter(value)]
    while under_way and count < most:
        for item in under_way[-1]:
            count += 1 + _length(item)
            if isinstance(item, tuple):
                if len(under_way) == DEEPEST_LIST:
                    raise NoValue(f"lists are nested more than {DEEPEST_LIST} deep here")
                under_way.append(iter(item))
                break
            if count >= most:
                break
        else:
            under_way.pop()
    return min(count, most)


def _length(value: Value) -> int:
    if isinstance(value, range):
        return len(value)
    if isinstance(value, str):
        return len(value) // CHARACTERS_OF_STEP
    return 4 * value.atoms if isinstance(value, Formula) else 0  # whose names may be long


def sequence(value: Value, what: str) -> Sequence[Value]:
    """Return a list as it is: a range is not written out."""
    return value if isinstance(value, range) else items(value, what)


def items(value: Value, what: str, most: int = LARGEST) -> tuple[Value, ...]:
    """Return the items of a list, which must be no more than `most`."""
    if isinstance(value, tuple | range):
        if len(value) > most:
            raise NoValue(f"{what} has {len(value):,} items, more than the limit of {most:,} steps")
        return tuple(value)
    if isinstance(value, Tensors):
        return value.shapes
    hint = f"did you mean `[{value}]` or `range({value})`?" if type(value) is int else ""
    raise NoValue(f"{what} must be a list, and this is {kind_of(value)}", hint)
