"""The constructor arguments of a class: what varies between the uses of a block, and its name."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from archdsl.backends.python_source.explaining import (
    CHANNELS,
    FEATURES,
    Column,
    Explainer,
    Explanation,
    Known,
    atoms_of,
    differ,
    varies,
)
from archdsl.backends.python_source.makers import ANY, NO_DEFAULT, Number, Parameter, is_number
from archdsl.backends.python_source.names import VARIABLE_WORDS, unique, variable
from archdsl.backends.python_source.sight import Sight, Sights
from archdsl.backends.python_source.tree import Place
from archdsl.graph import CheckedGraph
from archdsl.layers.base import Shape, squeeze
from archdsl.layers.sizes import Formula
from archdsl.layers.traced import bare, counted_of, formula_of, needed, size_atom

PLACES = ("in_depth", "in_height", "in_width")
LIST = "Sequence[int]"  # of a list in the network's parameters
Explained = list[tuple[Number, Explanation]]


Values = list[tuple[tuple[object, object, object], ...]]
Resolved = tuple[
    tuple[Parameter, ...], tuple[str | None, ...], Mapping[str, str], Collection[str], Values
]


def resolve(
    checked: CheckedGraph,
    places: Sequence[Place],
    numbers: Sequence[Sequence[Number]],
    sights: Sights,
    strict: bool = False,
) -> Resolved:
    """Find the parameters of a class, the text of each of its numbers, and the values per use.

    Third come the names of attributes that keep numbers, by the texts of those that vary, then the
    texts for which the spec has a name. A value comes with its formula as seen from around the use.

    Raises:
        Unexplained: a number of an option follows from nothing that is known, if `strict`.
    """
    samples = numbers[0]
    columns = [
        tuple(_plain(number.value, sights.opens_list(number.formula)) for number in column)
        for column in zip(*numbers, strict=True)
    ]
    uses = [sights.of(place) for place in places]
    around = [sights.around(place) for place in places]
    known, same, sizes = _known(checked, places, samples, uses, around)
    explainer = Explainer(
        known,
        same,
        sizes,
        sights.trace.lets,
        lambda use, formula: sights.opens(formula),
        strict,
        guesses=checked.trace is None,
    )
    loops = [use.loops() if any(each.turns for each in samples) else {} for use in uses]
    explained: Explained = []
    for at, (number, column) in enumerate(zip(samples, columns, strict=True)):
        formulas: Sequence[Any] = [squeeze(row[at].formula) for row in numbers]
        if number.turns and number.formula is None:
            formulas = _turns(column, loops)
        explained.append((number, explainer.explain(number, column, formulas)))
    order = {each.name: rank for rank, each in enumerate(known)}
    chosen = sorted(explainer.used.values(), key=lambda each: order.get(each.name, len(order)))
    network = places[0].parent is None
    lists = {each.name for each in chosen if isinstance(each.column[0], tuple)}
    open_lists = {each.name for each in chosen if each.name in lists and sights.opens(each.outer)}
    parameters = [_parameter(each, explained, network, each.name in open_lists) for each in chosen]
    parameters.sort(key=lambda parameter: parameter.default is not NO_DEFAULT)
    ordered = [explainer.used[parameter.name] for parameter in parameters]
    values = [
        tuple(
            (each.column[use], each.outer[use], (each.counted or each.outer)[use])
            for each in ordered
        )
        for use in range(len(places))
    ]
    texts = tuple(found.text for _, found in explained)
    attributes = {found.text: found.name for _, found in explained if found.text and found.known}
    lets = frozenset(found.text for _, found in explained if found.text and found.is_let)
    return tuple(parameters), texts, attributes, lets, values


def _plain(value: object, opens: bool = False) -> object:
    """Write equal values along every axis as one, as layers do, and lists as tuples.

    A list that follows from one that the class takes stays a list, whatever its items happen to be.
    """
    if not isinstance(value, tuple | list):
        return value
    return tuple(value) if opens else squeeze(tuple(value))


def _turns(
    column: Column, loops: Sequence[Mapping[tuple[str, int], list[tuple[int, Any]]]]
) -> Sequence[Any]:
    """Return the formulas of a number of turns: those of the only statement that turns so often."""
    found: dict[tuple[Any, ...], None] = {}
    for statement in loops[0]:
        formulas: list[Any] = []
        for turns, use in zip(column, loops, strict=True):
            counts = {formula for n, formula in use.get(statement, ()) if n == turns}
            formulas += counts if len(counts) == 1 else []
        if len(formulas) == len(column):
            found[tuple(formulas)] = None
    return next(iter(found)) if len(found) == 1 else column


def _direct(known: Known, explained: Explained) -> list[Number]:
    """Return the numbers that something known stands for."""
    return [number for number, found in explained if found.text == known.name]


def _known(
    checked: CheckedGraph,
    places: Sequence[Place],
    samples: Sequence[Number],
    uses: Sequence[Sight],
    around: Sequence[Sight],
) -> tuple[list[Known], list[Mapping[str, Any]], list[set[str]]]:
    """Return what varies that the uses know by a name: size of the input, the block's arguments.

    Second comes what is the same in all of them, for each use by its atom; third the atoms of
    sizes that come in and are none of features.
    """
    taken = set(VARIABLE_WORDS)
    found: list[Known] = []
    same: list[dict[str, Any]] = [{} for _ in uses]
    sizes_of_places: list[set[str]] = [set() for _ in uses]

    opens = uses[0].sights.opens

    def add(
        name: str,
        values: Sequence[object],
        atoms: Sequence[Any],
        outer: Sequence[Any],
        least: int | None = None,
        from_input: bool = False,
        counted: Sequence[Any] = (),
    ) -> None:
        lists = [value for value in values if isinstance(value, tuple)]
        listed = len(lists) == len(values) and len(set(map(len, lists))) == 1
        listed = listed and opens(tuple(outer))
        column = tuple(values if listed else map(_plain, values))
        if not all(map(is_number, column)):
            return
        if not varies(column) and not _may_vary(around, outer) and not opens(tuple(outer)):
            for use, (atom, value) in enumerate(zip(atoms, values, strict=True)):
                pairs = [(atom, column[0])]
                if isinstance(atom, tuple) and isinstance(value, tuple):
                    pairs = [*zip(atom, value, strict=True)]
                for one, number in pairs:
                    if isinstance(one, Formula) and type(number) in (int, float):
                        same[use] |= dict.fromkeys(one.names, number)
            return
        inner = tuple(use.seen(atom) for use, atom in zip(uses, atoms, strict=True))
        if any(each.formulas == inner for each in found):
            return  # the size of the input is what a block is told
        unused = unique(name, taken)
        taken.add(unused)
        known = Known(unused, column, inner, tuple(outer), from_input, least=least)
        found.append(replace(known, counted=tuple(counted)) if counted else known)
        for at, items in enumerate(zip(*lists, strict=True) if listed else ()):
            each = tuple(formulas[at] for formulas in inner)
            theirs = tuple(formulas[at] for formulas in outer)
            found.append(Known(f"{unused}[{at}]", items, each, theirs, within=found[-1 - at]))

    names = uses[0].names
    for name in names:
        if all(name in use.names for use in uses):
            values = [use.names[name] for use in uses]
            atoms = [_atom(name, use, value) for use, value in zip(uses, values, strict=True)]
            outer = [
                _outer(name, use, value) if use is not near else atom
                for use, near, value, atom in zip(uses, around, values, atoms, strict=True)
            ]
            least = None if places[0].parent else uses[0].sights.opened.least.get(name)
            counted = [
                squeeze(counted_of(use.trace.definitions.get(f"{name}#{use.number}", value)))
                for use, value in zip(uses, values, strict=True)
            ]
            plain = [bare(value) for value in values]
            add(variable(name) or "value", plain, atoms, outer, least, counted=counted)
    incoming = [next(iter(place.inputs), "") for place in places]
    shapes = [checked.nodes[name].shape for name in incoming if name]
    if len(shapes) == len(places):
        for axis, name in _axes(shapes, incoming, samples, uses[0]):
            sizes = [shape[axis] for shape in shapes]
            keys = [
                size_atom(use.sights.order[node], axis % len(shape), use.number)
                for use, node, shape in zip(uses, incoming, shapes, strict=True)
            ]
            atoms = [
                Formula.named(key) if key in use.trace.definitions else formula_of(size)
                for key, use, size in zip(keys, uses, sizes, strict=True)
            ]
            outer = [
                formula_of(use.trace.definitions.get(key, size)) if use is not near else atom
                for key, use, near, size, atom in zip(keys, uses, around, sizes, atoms, strict=True)
            ]
            of_features = name in (CHANNELS, FEATURES)
            for key, own in zip(keys, sizes_of_places, strict=True):
                own |= set() if of_features else {key}
            add(name, [bare(size) for size in sizes], atoms, outer, from_input=of_features)
        found.sort(key=lambda each: not each.from_input)
    return found, list(same), sizes_of_places


def _axes(
    shapes: Sequence[Shape], incoming: Sequence[str], samples: Sequence[Number], use: Sight
) -> Iterator[tuple[int, str]]:
    """Yield the axes of what comes in, each with the name of its size.

    Images and maps have their channels first, unless it is the last axis that layers ask for;
    vectors and sequences have their features last. Then nobody knows what the other axes are, and
    they are called after their place beside the batch, which is axis 0.
    """
    ranks = {len(shape) for shape in shapes}
    if len(ranks) > 1:
        if min(ranks) > 2:
            yield 0, CHANNELS
        elif 0 not in ranks:
            yield -1, FEATURES
        return
    (rank,) = ranks
    node = use.sights.order[incoming[0]]
    first, last = (size_atom(node, axis, use.number) for axis in (0, rank - 1))
    last_holds = rank <= 2
    for numbers in ([each for each in samples if each.is_size], samples):
        asked = {atom for each in numbers for atom in atoms_of(each.formula)} & {first, last}
        if asked:
            last_holds = last_holds or asked == {last}
            break
    if not last_holds:
        yield 0, CHANNELS
        yield from enumerate(PLACES[1 - rank :], max(1, rank - len(PLACES)))
    elif rank:
        yield rank - 1, FEATURES
        yield from ((axis, f"in_size{axis + 1}") for axis in range(rank - 1))


def _may_vary(around: Sequence[Sight], outer: Sequence[Any]) -> bool:
    """Tell whether what is the same in all uses follows from what is not, so that it may differ.

    The class around is to be right for other values as well, and hands it on.
    """
    causes: dict[tuple[str, str], set[object]] = {}
    for use, formula in zip(around, outer, strict=True):
        for atom in atoms_of(use.seen(formula)):
            for need in needed(atom):
                # which node comes in differs from use to use
                name = need.partition("#")[0]
                name = f"in.{name.rpartition('.')[2]}" if need.startswith("in.") else name
                value = repr(use.trace.definitions.get(need))
                causes.setdefault((use.block, name), set()).add(value)
    return any(len(values) > 1 for values in causes.values())


def _atom(name: str, use: Sight, value: object) -> Any:
    """Return how a scope sees what it can call by a name."""
    if isinstance(value, tuple):
        return tuple(Formula.named(f"{name}.{at}#{use.number}") for at in range(len(value)))
    return Formula.named(f"{name}#{use.number}")


def _outer(name: str, use: Sight, value: object) -> Any:
    """Return how that is seen from around the scope."""
    outer = formula_of(use.trace.definitions.get(f"{name}#{use.number}", value))
    return outer if use.sights.opens(outer) else squeeze(outer)


def _parameter(known: Known, explained: Explained, network: bool, open_list: bool) -> Parameter:
    direct = _direct(known, explained)
    return Parameter(
        known.name,
        LIST if open_list else _annotation(known.column),
        _default(known, direct, network),
        known.from_input,
        known.turns or (bool(direct) and all(number.turns for number in direct)),
        any(number.is_size for number, found in explained if known in found.known),
        known.least,
    )


def _annotation(column: Column) -> str:
    kinds = {_type(value) for value in column}
    if "float" in kinds:
        kinds -= {"int"}
    if "int" in kinds:
        kinds -= {"bool"}
    return " | ".join(sorted(kinds, key=lambda kind: (kind.startswith("tuple"), kind)))


def _type(value: object) -> str:
    if isinstance(value, tuple):
        item = "float" if any(isinstance(each, float) for each in value) else "int"
        return f"tuple[{', '.join([item] * len(value))}]"
    return type(value).__name__


def _default(known: Known, numbers: Sequence[Number], network: bool) -> object:
    """Return the value that a parameter has unless given.

    For the network that is what the spec has for it, else what torch takes in its place.
    """
    if network:
        return known.column[0]
    defaults = [number.default for number in numbers if number.default is not ANY]
    if not defaults or any(differ(defaults[0], default) for default in defaults):
        return NO_DEFAULT
    used = any(not differ(value, defaults[0]) for value in known.column)
    return defaults[0] if used else NO_DEFAULT
