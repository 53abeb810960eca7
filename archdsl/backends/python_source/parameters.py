"""The constructor arguments of a class: what varies between the uses of a block, and its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from archdsl.backends.python_source.arguments import Argument
from archdsl.backends.python_source.explaining import (
    Column,
    Explanation,
    Known,
    differ,
    explain,
    varies,
)
from archdsl.backends.python_source.makers import ANY, NO_DEFAULT, Number, is_number
from archdsl.backends.python_source.names import VARIABLE_WORDS, literal, unique, variable
from archdsl.backends.python_source.tree import Place
from archdsl.graph import CheckedGraph
from archdsl.layers.base import squeeze

Explained = list[tuple[Number, Explanation]]


@dataclass(frozen=True, slots=True)
class Parameter:
    """An argument of a class.

    Attributes:
        annotation: its type, as text.
        default: its value where a use doesn't give it.
        from_input: whether it is the size of what comes in.
        turns: whether it says how often something comes.
        is_size: whether it says how much comes in or goes out.
    """

    name: str
    annotation: str
    default: object = NO_DEFAULT
    from_input: bool = False
    turns: bool = False
    is_size: bool = False


Resolved = tuple[
    tuple[Parameter, ...], tuple[str | None, ...], Mapping[str, str], list[tuple[object, ...]]
]


def resolve(
    checked: CheckedGraph, places: Sequence[Place], numbers: Sequence[Sequence[Number]]
) -> Resolved:
    """Find the parameters of a class, the text of each of its numbers, and the values per use.

    Third come the names of attributes that keep numbers, by the texts of those that vary.
    """
    samples = numbers[0]
    plain = ([_plain(number.value) for number in use] for use in numbers)
    columns = [_agreed(column) for column in zip(*plain, strict=True)]
    varying = [at for at, column in enumerate(columns) if varies(column)]
    texts = [_constant(*pair) for pair in zip(samples, columns, strict=True)]
    if not varying:
        return (), tuple(texts), {}, [()] * len(places)
    varied = [(samples[at], columns[at]) for at in varying]
    known = _known(checked, places)
    explained = _explained(varied, known)
    if twin := _twin(explained):
        known = [each for each in known if each.name != twin]
        explained = _explained(varied, known)
    for at, (_, found) in zip(varying, explained, strict=True):
        texts[at] = found.text
    used = {each.name: each for _, found in explained for each in found.known}
    order = {each.name: rank for rank, each in enumerate(known)}
    chosen = sorted(used.values(), key=lambda each: order.get(each.name, len(order)))
    network = places[0].parent is None
    parameters = [_parameter(each, explained, network) for each in chosen]
    parameters.sort(key=lambda parameter: parameter.default is not NO_DEFAULT)
    ordered = [used[parameter.name].column for parameter in parameters]
    attributes = {found.text: found.name for _, found in explained}
    return tuple(parameters), tuple(texts), attributes, list(zip(*ordered, strict=True))


def _plain(value: object) -> object:
    """Write equal values along every axis as one, as layers do, and lists as tuples."""
    return squeeze(tuple(value)) if isinstance(value, tuple | list) else value


def _agreed(column: Column) -> Column:
    """Let a number on which nothing depends be that of the other uses, if they agree."""
    given = [value for value in column if value is not ANY]
    if len(given) == len(column) or not given or varies(tuple(given)):
        return column
    return (given[0],) * len(column)


def _constant(number: Number, column: Column) -> str | None:
    """Return the text of a number that doesn't vary; None leaves it out."""
    omitted = number.default is not NO_DEFAULT and not differ(number.value, number.default)
    if varies(column) or omitted:
        return None
    given = column[0] if number.value is ANY else number.value
    return literal(0 if given is ANY else given)


def _explained(varied: Sequence[tuple[Number, Column]], known: Sequence[Known]) -> Explained:
    """Explain each number that varies."""
    used: dict[str, Known] = {}
    explained: Explained = []
    for number, column in varied:
        found = explain(number, column, known, used)
        explained.append((number, found))
        used |= {each.name: each for each in found.known if each.name not in used}
    return explained


def _direct(known: Known, explained: Explained) -> list[Number]:
    """Return the numbers that something known stands for."""
    return [number for number, found in explained if found.text == known.name]


def _twin(explained: Explained) -> str:
    """Return which of two arguments to leave out that are equal in every use, or "".

    A block whose output is as large as its input takes one number, called as the block calls it.
    What is no size (the groups of a convolution) gives way to the size of the input.
    """
    used = {each.name: each for _, found in explained for each in found.known}
    for size in (each for each in used.values() if each.from_input):
        for twin in used.values():
            if twin is not size and twin.is_like(size.column):
                is_size = any(number.is_size for number in _direct(twin, explained))
                return size.name if is_size else twin.name
    return ""


def _known(checked: CheckedGraph, places: Sequence[Place]) -> list[Known]:
    """Return what varies that the uses know by a name: size of the input, the block's arguments.

    What is the same in all of them explains nothing that isn't.
    """
    taken = set(VARIABLE_WORDS)
    found: list[Known] = []

    def add(name: str, column: Column, from_input: bool = False) -> None:
        if all(map(is_number, column)):
            name = unique(name, taken)
            taken.add(name)
            if varies(column):
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


def _parameter(known: Known, explained: Explained, network: bool) -> Parameter:
    direct = _direct(known, explained)
    return Parameter(
        known.name,
        _annotation(known.column),
        _default(known, direct, network),
        known.from_input,
        known.turns or (bool(direct) and all(number.turns for number in direct)),
        any(number.is_size for number, found in explained if known in found.known),
    )


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
    if not defaults or any(differ(defaults[0], default) for default in defaults):
        return NO_DEFAULT
    used = any(not differ(value, defaults[0]) for value in known.column)
    return defaults[0] if used else NO_DEFAULT
