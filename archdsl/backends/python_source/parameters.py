"""The constructor arguments of a class: what varies between the uses of a block, and its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from archdsl.backends.python_source.arguments import Argument
from archdsl.backends.python_source.makers import NO_DEFAULT, Number, is_number
from archdsl.backends.python_source.names import (
    VARIABLE_WORDS,
    literal,
    unique,
    variable,
)
from archdsl.backends.python_source.tree import Place
from archdsl.graph import CheckedGraph
from archdsl.layers.base import squeeze

Column = tuple[object, ...]  # a value for each use


@dataclass(frozen=True, slots=True)
class Parameter:
    """An argument of a class.

    Attributes:
        annotation: its type, as text.
        default: its value where a use doesn't give it.
        from_input: whether it is the size of what comes in.
    """

    name: str
    annotation: str
    default: object = NO_DEFAULT
    from_input: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """Something that a use of a block knows by name: an argument of the block, or its input."""

    name: str
    column: Column
    from_input: bool


Resolved = tuple[tuple[Parameter, ...], tuple[str | None, ...], list[tuple[object, ...]]]


def resolve(
    checked: CheckedGraph, places: Sequence[Place], numbers: Sequence[Sequence[Number]]
) -> Resolved:
    """Find the parameters of a class, the text of each of its numbers, and the values per use."""
    samples = numbers[0]
    plain = ([_plain(number.value) for number in use] for use in numbers)
    columns = list(zip(*plain, strict=True))
    varying = {
        at: column for at, column in enumerate(columns) if _varies(column) or _is_open(column)
    }
    if not varying:
        return (), tuple(_constant(number) for number in samples), [()] * len(places)
    known = _known(checked, places)
    texts = [None if at in varying else _constant(one) for at, one in enumerate(samples)]
    used: dict[str, Known] = {}
    direct: dict[str, list[Number]] = {}
    for at, column in varying.items():
        found, texts[at] = _explain(samples[at], column, known, used)
        for each in found:
            used.setdefault(each.name, each)
        if texts[at] == found[0].name:
            direct.setdefault(found[0].name, []).append(samples[at])
    order = {each.name: rank for rank, each in enumerate(known)}
    chosen = sorted(used.values(), key=lambda each: order.get(each.name, len(order)))
    parameters = [
        Parameter(
            each.name,
            _annotation(each.column),
            _default(each, direct.get(each.name, []), places[0].parent is None),
            each.from_input,
        )
        for each in chosen
    ]
    parameters.sort(key=lambda parameter: parameter.default is not NO_DEFAULT)
    ordered = [used[parameter.name].column for parameter in parameters]
    return tuple(parameters), tuple(texts), list(zip(*ordered, strict=True))


def _constant(number: Number) -> str | None:
    if number.default is not NO_DEFAULT and not _differ(number.value, number.default):
        return None
    return literal(number.value)


def _is_open(column: Column) -> bool:
    """Tell whether some of it is for whoever makes the network to choose."""
    return any(isinstance(value, Argument) for value in column)


def _varies(column: Column) -> bool:
    return any(_differ(column[0], value) for value in column)


def _differ(left: object, right: object) -> bool:
    """Tell values apart, and 1 from True and from 1.0, which are equal in Python."""
    return left != right or type(left) is not type(right)


def _plain(value: object) -> object:
    """Write equal values along every axis as one, as layers do, and lists as tuples."""
    return squeeze(tuple(value)) if isinstance(value, tuple | list) else value


def _known(checked: CheckedGraph, places: Sequence[Place]) -> list[Known]:
    """Return what all uses know by a name: the size of the input, then the block's arguments."""
    taken = set(VARIABLE_WORDS)
    found: list[Known] = []

    def add(name: str, column: Column, from_input: bool = False) -> None:
        if all(map(is_number, column)):
            name = unique(name, taken)
            taken.add(name)
            found.append(Known(name, column, from_input))

    shapes = [checked.nodes[name].shape for place in places for name in [*place.inputs][:1]]
    ranks = {len(shape) for shape in shapes}
    if len(shapes) == len(places) and 0 not in ranks:
        # images and maps have their channels first, vectors and sequences their features last
        axis, name = (0, "in_channels") if min(ranks) > 2 else (-1, "in_features")
        add(name, tuple(shape[axis] for shape in shapes), from_input=True)
    arguments = [_arguments(place) for place in places]
    for name in arguments[0]:
        if all(name in each for each in arguments):
            column = tuple(_plain(each[name]) for each in arguments)
            add(variable(name) or "value", column)
    return found


def _arguments(place: Place) -> Mapping[str, object]:
    """Return the arguments of the block that a scope belongs to."""
    around: Place | None = place
    while around and around.is_group:
        around = around.parent
    return around.scope.arguments if around else {}


def _explain(
    number: Number, column: Column, known: Sequence[Known], used: Mapping[str, Known]
) -> tuple[list[Known], str]:
    """Find what a number that varies is: something known, arithmetic with it, or an argument."""
    likely = [each for each in known if each.from_input is number.from_input]
    likely.sort(key=lambda each: each.name != number.hint)
    for each in likely:
        if not any(map(_differ, each.column, column)):
            return [each], each.name
    if not number.from_input and (found := _product(column, likely)):
        return found
    for each in known:
        if not any(map(_differ, each.column, column)):
            return [each], each.name
    if found := _product(column, known):
        return found
    ordered = sorted(known, key=lambda each: not each.from_input)
    if total := _sum(column, ordered):
        left, right, factor = total
        more = right.name if factor == 1 else f"{factor} * {right.name}"
        return [left, right], f"{left.name} + {more}"
    for each in used.values():
        if not any(map(_differ, each.column, column)):
            return [each], each.name
    taken = {*VARIABLE_WORDS, *used, *(each.name for each in known)}
    new = Known(unique(variable(number.hint) or "value", taken), column, False)
    return [new], new.name


def _product(column: Column, known: Sequence[Known]) -> tuple[list[Known], str] | None:
    """Find a known number of which the number that varies is a multiple, or that is one of it."""
    for each in known:
        if factor := _multiple(column, each.column):
            return [each], f"{factor} * {each.name}"
        if factor := _multiple(each.column, column):
            return [each], f"{each.name} // {factor}"
    return None


def _multiple(column: Column, of: Column) -> int | None:
    """Return the whole number by which each value is a multiple of another, 2 or more."""
    pairs = list(zip(column, of, strict=True))
    if any(type(value) is not int or type(base) is not int or base < 1 for value, base in pairs):
        return None
    if len(set(of)) < 2:
        return None
    factors = {_quotient(value, base) for value, base in pairs}
    factor = factors.pop()
    return factor if not factors and factor > 1 else None


def _quotient(value: object, base: object) -> int:
    assert isinstance(value, int)
    assert isinstance(base, int)
    return value // base if value % base == 0 else 0


def _sum(column: Column, known: Sequence[Known]) -> tuple[Known, Known, int] | None:
    """Return the size of the input, another known number, and how often it is added to that."""
    if not _whole(column):
        return None
    incoming = [each for each in known if each.from_input and _whole(each.column)]
    others = [each for each in known if not each.from_input and _whole(each.column)]
    for left in incoming:
        rest = tuple(_less(*pair) for pair in zip(column, left.column, strict=True))
        for right in others:
            pairs = zip(rest, right.column, strict=True)
            factors = {_quotient(more, by) if by else 0 for more, by in pairs}
            factor = factors.pop()
            if not factors and factor > 0:
                return left, right, factor
    return None


def _less(total: object, part: object) -> int:
    assert isinstance(total, int)
    assert isinstance(part, int)
    return total - part


def _whole(column: Column) -> bool:
    return all(type(value) is int for value in column)


def _annotation(column: Column) -> str:
    kinds = {_type(value) for value in column}
    if "float" in kinds:
        kinds -= {"int"}
    if "int" in kinds:
        kinds -= {"bool"}
    return " | ".join(sorted(kinds, key=lambda kind: (kind.startswith("tuple"), kind)))


def _type(value: object) -> str:
    if isinstance(value, Argument):
        return "int"
    if isinstance(value, tuple):
        item = "float" if any(isinstance(each, float) for each in value) else "int"
        return f"tuple[{', '.join([item] * len(value))}]"
    return type(value).__name__


def _default(known: Known, numbers: Sequence[Number], network: bool) -> object:
    """Return the value that a parameter has unless given.

    For the network that is what the spec has for it, else what torch takes in its place.
    """
    if network:
        return next(value.value for value in known.column if isinstance(value, Argument))
    defaults = [number.default for number in numbers]
    if not defaults or any(_differ(defaults[0], default) for default in defaults):
        return NO_DEFAULT
    used = any(not _differ(value, defaults[0]) for value in known.column)
    return defaults[0] if used else NO_DEFAULT
