"""Runs of equal blocks or layers: the same again, each time on the output of the one before."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from itertools import pairwise
from typing import NamedTuple

from archdsl.backends.diagram.stacks import goes_on, kind_of_node
from archdsl.backends.diagram.tree import Item, Tree
from archdsl.graph import Node, Scope

LONGEST_PERIOD = 4  # a block and its wiring: DenseNet's layer and the `concat` behind it
Place = tuple[int, str]  # which item of a period, and the rest of the name within it
# The number of a layer, or the name of a block and the numbers of its layers.
Key = int | tuple[str, tuple[int, ...]]


class Run(NamedTuple):
    """Items of a scope that say the same `times` times: from `start` on, `period` at a time."""

    start: int
    period: int
    times: int

    @property
    def end(self) -> int:
        return self.start + self.period * self.times


class Period(NamedTuple):
    """Some items that follow each other, and what they have in common with others of their form.

    Attributes:
        form: of each node its place, its layer's number and what it reads: a place, or the
            number of an outer tensor.
        outer: the nodes outside that it reads, numbered by their first use.
        given: the nodes of it that are read outside.
        names: of its nodes.
    """

    form: Sequence[object]
    outer: tuple[str, ...]
    given: tuple[tuple[str, Place], ...]
    names: Set[str]


def runs_in(tree: Tree, scope: str) -> tuple[Run, ...]:
    """Find the runs among the items of a scope, from the first item on.

    Blocks are equal if their layers, arguments and wiring are. Three and more of them are a run
    whatever their shapes, as the layers of DenseNet are; two only if their shapes are equal too.
    Layers outside of blocks are a run with what goes on with them, from three times on: the
    convolutions of VGG.
    """
    items = tree.items[scope]
    keys = _keys(tree, items)
    if len({*keys}) == len(keys):
        return ()
    periods: dict[tuple[int, int], Period] = {}

    def period_at(start: int, length: int) -> Period:
        if (start, length) not in periods:
            periods[start, length] = _period(tree, items[start : start + length])
        return periods[start, length]

    found: list[Run] = []
    start = 0
    while start < len(items):
        run = _longest(tree, items, keys, start, period_at)
        if run:
            found.append(run)
        start = run.end if run else start + 1
    return tuple(found)


def _keys(tree: Tree, items: Sequence[Item]) -> list[Key]:
    """Return for each item what equal ones have in common: its layers, in order."""
    number = tree.numbers
    known: dict[Key, Key] = {}
    keys: list[Key] = []
    for item in items:
        if isinstance(item, Node):
            keys.append(number[id(item.layer)])
            continue
        layers = tuple([number[id(node.layer)] for node in tree.inside[item.name]])
        key = item.block, layers
        keys.append(known.setdefault(key, key))  # the same object is equal at a glance
    return keys


def _longest(
    tree: Tree,
    items: Sequence[Item],
    keys: Sequence[Key],
    start: int,
    period_at: Callable[[int, int], Period],
) -> Run | None:
    best: Run | None = None
    if keys[start] not in keys[start + 1 : start + 1 + LONGEST_PERIOD]:
        return None
    for length in range(1, LONGEST_PERIOD + 1):
        if keys[start : start + length] != keys[start + length : start + 2 * length]:
            continue
        if best and length % best.period == 0:
            continue  # the same run, taken in longer steps
        blocks = any(isinstance(item, Scope) for item in items[start : start + length])
        if not blocks and not _is_stack(tree, items, start, length):
            continue
        twice = blocks and _same_shapes(tree, items, start, length)
        if not twice and keys[start : start + length] != keys[start + 2 * length :][:length]:
            continue
        run = Run(start, length, _times(tree, keys, start, length, period_at))
        if run.times == 2 and not twice:
            continue
        if run.times > 1 and (best is None or run.end > best.end):
            best = run
    return best


def _is_stack(tree: Tree, items: Sequence[Item], start: int, length: int) -> bool:
    """Tell whether some items are the layers of one box, from its first on."""
    first = items[start]
    if not isinstance(first, Node) or kind_of_node(first) != "layers":
        return False
    if start and goes_on(tree, items[start - 1], first):
        return False
    stack = items[start : start + length]
    return all(goes_on(tree, last, item) for last, item in pairwise(stack))


def _same_shapes(tree: Tree, items: Sequence[Item], start: int, length: int) -> bool:
    """Tell whether a period and the next have outputs and parameters of the same shapes."""
    for at in range(start, start + length):
        following = tree.nodes_of(items[at + length])
        for one, other in zip(tree.nodes_of(items[at]), following, strict=True):
            if one.facts is other.facts:  # as those of equal layers with equal inputs are
                continue
            if one.shape != other.shape:
                return False
            if [*one.facts.params.values()] != [*other.facts.params.values()]:
                return False
    return True


def _times(
    tree: Tree,
    keys: Sequence[Key],
    start: int,
    length: int,
    period_at: Callable[[int, int], Period],
) -> int:
    """Count how often a period follows itself."""
    times, entry = 1, -1
    same = keys[start : start + length]
    while (at := start + times * length) and keys[at : at + length] == same:
        last, following = period_at(at - length, length), period_at(at, length)
        if last.form != following.form or (number := _link(tree, last, following)) < 0:
            break
        if entry not in (-1, number):
            break
        times, entry = times + 1, number
    return times


def _link(tree: Tree, last: Period, following: Period) -> int:
    """Return by which of its outer tensors a period reads the one before, or -1.

    It must be the only tensor that leaves the one before, and nobody else may read it.
    """
    if len(last.given) != 1 or last.given[0][0] not in following.outer:
        return -1
    flow = last.given[0][0]
    if any(r not in last.names and r not in following.names for r in tree.readers[flow]):
        return -1
    number = following.outer.index(flow)
    same = all(
        one == other
        for position, (one, other) in enumerate(zip(last.outer, following.outer, strict=True))
        if position != number
    )
    return number if same else -1


def _period(tree: Tree, items: Sequence[Item]) -> Period:
    nodes: list[Node] = []
    places: dict[str, Place] = {}
    for offset, item in enumerate(items):
        inside = tree.nodes_of(item)
        nodes += inside
        for node in inside:
            places[node.name] = offset, _suffix(item, node) if isinstance(item, Scope) else ""
    outer: dict[str, int] = {}
    form: list[object] = []
    training = tree.checked.training_only
    for node in nodes:
        reads = (*node.inputs, node.shares) if node.shares else node.inputs
        sources = [places.get(name) or outer.setdefault(name, len(outer)) for name in reads]
        number = tree.numbers[id(node.layer)]
        form.append((places[node.name], number, sources, bool(node.shares), node.name in training))
    return Period(form, tuple(outer), _given(tree, nodes, places), places.keys())


def _suffix(scope: Scope, node: Node) -> str:
    """Return the rest of a node's name; in a group made for a picture it may be called anything."""
    if node.name.startswith(scope.name):
        return node.name[len(scope.name) :]
    return f"/{node.name}"


def _given(
    tree: Tree, nodes: Sequence[Node], places: dict[str, Place]
) -> tuple[tuple[str, Place], ...]:
    return tuple(
        (node.name, places[node.name])
        for node in nodes
        if any(reader not in places for reader in tree.readers[node.name])
    )
