"""What a page shows of each scope when it is open: its parts, and the links between them.

What is open changes with every click, and there are too many combinations to write them down. But
what stands directly in a scope, and what joins it, is the same whatever is open within it and
around it. So it is written once for each scope, and the page puts together what is open.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from archdsl.backends.diagram.view.edges import main_way, output_of
from archdsl.backends.diagram.view.scope_tree import NodeOrScope, ScopeTree
from archdsl.backends.diagram.view.stacks_and_runs import (
    ItemRun,
    kind_of_node,
    runs_in,
    stacks_in,
)
from archdsl.graph import Scope

OUTSIDE = -1  # in place of a part: a tensor comes from outside of the scope, or goes there


class TrailStep(NamedTuple):
    """One of the steps to a node from outside: the name of a scope, and the part in it to take."""

    scope: str
    part: int


Trail = tuple[TrailStep, ...]


class Link(NamedTuple):
    """A tensor on its way between two parts of a scope.

    Attributes:
        source: the number of the part that gives it; target: of the part that takes it, or
            `OUTSIDE`. The outputs of the network count as parts of the outermost scope, behind
            all others.
        tensor: the place of the node that gives it.
    """

    source: int
    target: int
    tensor: int


class Look(NamedTuple):
    """How a link is drawn: on the main path, as a shortcut, or because training alone needs it."""

    main: bool
    shortcut: bool
    training_only: bool


class RunOfParts(NamedTuple):
    """A run that a click opens, with the numbers of its first part and of that behind its last."""

    run: ItemRun
    first: int
    end: int


class ScopeParts(NamedTuple):
    """What stands directly in an open scope.

    Attributes:
        items: for each part the layers that share a box, or a single scope.
        runs: of blocks, in order. Layers that repeat are shown one by one, since a page has no
            title on which to click to take that back.
        links: in the order of the layers that read.
    """

    items: Sequence[Sequence[NodeOrScope]]
    runs: Sequence[RunOfParts]
    links: dict[Link, Look]


def parts_of_scopes(tree: ScopeTree) -> Mapping[str, ScopeParts]:
    """Return the parts of all scopes, by their names."""
    parts = {name: _parts(tree, scope) for name, scope in tree.checked.scopes.items()}
    _link(tree, parts)
    return parts


def _parts(tree: ScopeTree, scope: Scope) -> ScopeParts:
    level = tree.level(scope)
    items: list[Sequence[NodeOrScope]] = []
    runs: list[RunOfParts] = []

    def add(start: int, end: int) -> None:
        stacks = stacks_in(tree, level.items, start, end)
        items.extend(level.items[stack.start : stack.end] for stack in stacks)

    at = 0
    for run in runs_in(tree, level):
        if any(isinstance(item, Scope) for item in level.items[run.start : run.end]):
            add(at, run.start)
            first, at = len(items), run.end
            add(run.start, run.end)
            runs.append(RunOfParts(run, first, len(items)))
    add(at, len(level.items))
    return ScopeParts(items, runs, {})


def _link(tree: ScopeTree, parts: Mapping[str, ScopeParts]) -> None:
    """Lead each tensor from the part that gives it to those that read it, through all scopes."""
    trails = _trails(tree, parts)
    steps = {*pairwise(main_way(tree))}
    training = {*tree.in_training(0, len(tree.nodes))}
    for place, reader in enumerate(tree.nodes):
        merge = kind_of_node(reader) == "merge"
        for tensor, times in Counter(tree.sources[place]).items():
            main = (tensor, place) in steps
            shortcut = merge and not main and tree.reads[tensor] > times  # others read it too
            look = Look(main, shortcut, place in training)
            _lead(parts, tensor, trails[tensor], trails[place], look)
    main_output = output_of(tree.checked.outputs)
    for number, output in enumerate(tree.checked.outputs, len(parts[""].items)):
        tensor = tree.places[output.node]
        look = Look(output is main_output, False, output.training_only)
        _lead(parts, tensor, trails[tensor], (TrailStep("", number),), look)


def _trails(tree: ScopeTree, parts: Mapping[str, ScopeParts]) -> Sequence[Trail]:
    """Return the trail to each node, by its place."""
    to_scopes: dict[str, Trail] = {"": ()}
    trails: list[Trail] = [()] * len(tree.nodes)
    waiting = [""]
    while waiting:
        scope = waiting.pop()
        for number, items in enumerate(parts[scope].items):
            trail = (*to_scopes[scope], TrailStep(scope, number))
            for item in items:
                if isinstance(item, Scope):
                    to_scopes[item.name] = trail
                    waiting.append(item.name)
                else:
                    trails[tree.places[item.name]] = trail
    return trails


def _lead(
    parts: Mapping[str, ScopeParts], tensor: int, giver: Trail, reader: Trail, look: Look
) -> None:
    """Add the links by which a tensor leaves scopes and enters others, as far as they differ."""
    if giver == reader:
        return  # within a stack
    meeting = next(at for at, step in enumerate(giver) if step != reader[at])
    passing = look._replace(shortcut=False)  # only the last link leads to the merge itself
    for scope, part in giver[meeting + 1 :]:
        _add(parts[scope], Link(part, OUTSIDE, tensor), passing)
    source = giver[meeting].part
    for step in reader[meeting:]:
        own = look if step is reader[-1] else passing
        _add(parts[step.scope], Link(source, step.part, tensor), own)
        source = OUTSIDE


def _add(parts: ScopeParts, link: Link, look: Look) -> None:
    """Add a link. Layers that read a tensor by the same link are drawn as one."""
    if known := parts.links.get(link):
        main, shortcut = known.main or look.main, known.shortcut or look.shortcut
        look = Look(main, shortcut, known.training_only and look.training_only)
    parts.links[link] = look
