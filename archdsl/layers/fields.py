"""The arguments that a layer declares by annotations, and how a value for one is checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from inspect import get_annotations
from typing import Any, ClassVar, get_origin

from archdsl.records import Record


class ArgumentErrors(ValueError):
    """Arguments that a layer does not take: for each by name, what it must be."""

    def __init__(self, reasons: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"`{name}` {reason}" for name, reason in reasons.items()))
        self.reasons = reasons


class Kind(Record):
    """What an argument may be: the one description that checks, explains and samples it.

    Attributes:
        expected: completes "must be ...", and stands in the reference.
        convert: returns the value as the layer keeps it, or raises ValueError, with a text if
            there is more to say than `expected`.
        samples: values that it takes, for tests of every layer.
    """

    expected: str
    convert: Callable[[Any], Any]
    samples: tuple[object, ...] = ()

    def check(self, value: object) -> object:
        """Return the value as the layer keeps it, or raise ValueError saying what it must be."""
        try:
            return self.convert(value)
        except (ValueError, TypeError) as error:
            # what Python itself says of a wrong type helps nobody who writes a spec
            reason = str(error) if type(error) is ValueError and str(error) else ""
            raise ValueError(reason or f"must be {self.expected}") from None


def _plain(expected: str, *types: type) -> tuple[Kind, ...]:
    def converted(value: object) -> object:
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise ValueError
        return value

    return (Kind(expected, converted),)


# What a field takes whose annotation is a mere type, as in a user's own layer.
PLAIN: dict[object, tuple[Kind, ...]] = {
    int: _plain("an integer", int),
    float: _plain("a number", int, float),
    bool: _plain("true or false", bool),
    str: _plain("a string", str),
}


REQUIRED = object()  # in the place of the default of an argument that must be given


class Field(Record):
    """An argument of a layer.

    Attributes:
        metadata: what its annotation says besides the type: the kind of argument it is.
    """

    default: object
    metadata: tuple[object, ...]

    def is_required(self) -> bool:
        """Tell whether it must be given."""
        return self.default is REQUIRED

    def check(self, value: object) -> object:
        """Return the value as the layer keeps it, or raise ValueError saying what it must be."""
        for kind in self.metadata:
            if isinstance(kind, Kind):
                value = kind.check(value)
        return value


@cache
def fields_of(kind: type) -> Mapping[str, Field]:
    """Return the fields that a class and its base classes declare by annotations, in order."""
    return {
        name: Field(getattr(kind, name, REQUIRED), metadata)
        # those of base classes come first, and a field declared again keeps its place
        for base in reversed(kind.__mro__)
        for name, metadata in _declared(base).items()
    }


@cache
def _declared(kind: type) -> Mapping[str, tuple[object, ...]]:
    """Return what a class by itself says of its fields besides their types, by name."""
    declared: dict[str, tuple[object, ...]] = {}
    # annotations are text wherever a file says `from __future__ import annotations`
    for name, hint in get_annotations(kind, eval_str=True).items():
        origin: object = get_origin(hint)
        if origin is not ClassVar:
            declared[name] = getattr(hint, "__metadata__", None) or PLAIN.get(hint, ())
    return declared
