"""Runs of equal blocks or layers: the same again, each time on the output of the one before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

from archdsl.backends.diagram.stacks import goes_on, kind_of_node
from archdsl.backends.diagram.tree import Item, Tree
from archdsl.graph import Node, Scope
from archdsl.layers.base import Shape

LONGEST_PERIOD = 4  # a block and its wiring: DenseNet's layer and the `concat` behind it
Place = tuple[int, str]  # which item of a period, and the rest of the name within it


class Run(NamedTuple):
    """Items of a scope that say the same `times` times: from `start` on, `period` at a time."""

    start: int
    period: int
    times: int

    @property
    def end(self) -> int:
        return self.start + self.period * self.times


class Period(NamedTuple):
    """Some items that follow each other, without their names and shapes.

    Attributes:
        form: of each node its place, its layer and what it reads: a place, or the number of an
            outer tensor.
        outer: the nodes outside that it reads, numbered by their first use.
        given: the nodes of it that are read outside.
        shapes: of the output and the parameters of each node.
        names: of the nodes.
    """

    form: tuple[object, ...]
    outer: tuple[str, ...]
    given: tuple[tuple[str, Place], ...]
    shapes: tuple[tuple[Shape, ...], ...]
    names: frozenset[str]


def runs_in(tree: Tree, scope: str) -> tuple[Run, ...]:
    """Find the runs among the items of a scope, from the first item on.

    Blocks are equal if their layers, arguments and wiring are. Three and more of them are a run
    whatever their shapes, as the layers of DenseNet are; two only if their shapes are equal too.
    Layers outside of blocks are a run with what goes on with them, from three times on: the
    convolutions of VGG.
    """
    items = tree.items[scope]
    periods: dict[tuple[int, int], Period] = {}

    def period_at(start: int, length: int) -> Period:
        if (start, length) not in periods:
            periods[start, length] = _period(tree, items[start : start + length])
        return periods[start, length]

    found: list[Run] = []
    start = 0
    while start < len(items):
        run = _longest(items, start, period_at, tree)
        if run:
            found.append(run)
        start = run.end if run else start + 1
    return tuple(found)


def _longest(
    items: Sequence[Item], start: int, period_at: Callable[[int, int], Period], tree: Tree
) -> Run | None:
    best: Run | None = None
    for length in range(1, LONGEST_PERIOD + 1):
        blocks = any(isinstance(item, Scope) for item in items[start : start + length])
        if not blocks and not _is_stack(tree, items, start, length):
            continue
        if best and length % best.period == 0:
            continue  # the same run, taken in longer steps
        run = Run(start, length, _times(items, start, length, period_at, tree))
        if run.times == 2 and not blocks:
            continue
        if run.times == 2:
            first, second = period_at(start, length), period_at(start + length, length)
            if first.shapes != second.shapes:
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


def _times(
    items: Sequence[Item],
    start: int,
    length: int,
    period_at: Callable[[int, int], Period],
    tree: Tree,
) -> int:
    """Count how often a period follows itself."""
    times, entry = 1, -1
    while (at := start + times * length) + length <= len(items):
        if not all(
            _alike(items[start + offset], items[at + offset], tree) for offset in range(length)
        ):
            break
        last, following = period_at(at - length, length), period_at(at, length)
        if last.form != following.form or (number := _link(tree, last, following)) < 0:
            break
        if entry not in (-1, number):
            break
        times, entry = times + 1, number
    return times


def _alike(left: Item, right: Item, tree: Tree) -> bool:
    """Tell at little cost whether two items may be equal."""
    if isinstance(left, Node):
        return isinstance(right, Node) and left.layer == right.layer
    if not isinstance(right, Scope) or left.block != right.block:
        return False
    one, other = tree.inside[left.name], tree.inside[right.name]
    return len(one) == len(other) and all(
        a.layer == b.layer for a, b in zip(one, other, strict=True)
    )


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
    places: dict[str, Place] = {}
    nodes: list[Node] = []
    for offset, item in enumerate(items):
        for node in tree.nodes_of(item):
            suffix = _suffix(item, node) if isinstance(item, Scope) else ""
            places[node.name] = (offset, suffix)
            nodes.append(node)
    outer: dict[str, int] = {}

    def reference(name: str) -> object:
        return places.get(name) or outer.setdefault(name, len(outer))

    form = tuple(
        (
            places[node.name],
            node.layer,
            tuple(map(reference, node.inputs)),
            reference(node.shares) if node.shares else None,
            node.name in tree.checked.training_only,
        )
        for node in nodes
    )
    shapes = tuple((node.shape, *node.facts.params.values()) for node in nodes)
    return Period(form, tuple(outer), _given(tree, nodes, places), shapes, frozenset(places))


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
