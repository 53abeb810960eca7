"""Which blocks of a network are open, and what is drawn as one box."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import count
from math import inf
from typing import NamedTuple

from archdsl.backends.diagram.runs import Run, runs_in
from archdsl.backends.diagram.stacks import goes_on, kind_of_node
from archdsl.backends.diagram.tree import Item, Tree
from archdsl.backends.diagram.view import Box, Cluster, Kind
from archdsl.graph import Node, Output, Scope

EVERYTHING = "*"  # at the end of a path: all below it


class Folding(NamedTuple):
    """What is to be seen of a network.

    Attributes:
        depth: blocks with fewer scopes around them than that are open; 0 draws one box.
        unfold: names of blocks that are open whatever the depth, with all around them; a name
            with `.*` behind it opens all below as well, down to single layers, and `*` the whole
            network.
    """

    depth: int
    unfold: tuple[str, ...] = ()

    def opens(self, scope: str, depth: int) -> bool:
        """Tell whether a scope with `depth` scopes around it is open."""
        return depth < self.depth or self.leads_to(scope) or self.bares(scope)

    def leads_to(self, scope: str) -> bool:
        """Tell whether a scope lies on the way to one that is to be unfolded."""
        return bool(self.unfold) and any(
            _within(path.removesuffix(f".{EVERYTHING}"), scope) for path in self.unfold
        )

    def bares(self, scope: str) -> bool:
        """Tell whether all in a scope is to be seen, layer by layer."""
        return bool(self.unfold) and any(
            path == EVERYTHING
            or (path.endswith(f".{EVERYTHING}") and _within(scope, path[: -len(".*")]))
            for path in self.unfold
        )


def _within(name: str, scope: str) -> bool:
    """Tell whether a name is that of a scope or lies in it."""
    return not scope or name == scope or name.startswith(scope + ".")


class TooMany(Exception):
    """There are more boxes than were asked for."""


def fold(
    tree: Tree, folding: Folding, runs: Callable[[str], Sequence[Run]], most: float = inf
) -> tuple[Box | Cluster, ...]:
    """Return what stands at the top level, with the outputs behind all else.

    Raises:
        TooMany: there are more than `most` boxes.
    """
    folder = _Folder(tree, folding, runs, most)
    root = tree.checked.scopes[""]
    children = (
        folder.children(root) if folding.opens("", 0) else (folder.box("block", (root,), ""),)
    )
    outputs = tuple(
        Box(next(folder.indices), "output", (), (), "", output.training_only, output=output)
        for output in tree.checked.outputs
    )
    return children + outputs


def runs_of(tree: Tree) -> Callable[[str], Sequence[Run]]:
    """Return a function that finds the runs in a scope, once each."""
    known: dict[str, Sequence[Run]] = {}

    def runs(scope: str) -> Sequence[Run]:
        if scope not in known:
            known[scope] = runs_in(tree, scope)
        return known[scope]

    return runs


class _Folder:
    """Folds the scopes of a network, and numbers the boxes as they come."""

    def __init__(
        self,
        tree: Tree,
        folding: Folding,
        runs: Callable[[str], Sequence[Run]],
        most: float,
    ) -> None:
        self.most = most
        self.tree = tree
        self.folding = folding
        self.runs = runs
        self.indices = count()

    def children(self, scope: Scope) -> tuple[Box | Cluster, ...]:
        """Return what is seen in an open scope. Scopes nest to a limited depth, as this does."""
        items = self.tree.items.get(scope.name, ())
        bare = self.folding.bares(scope.name)
        runs = () if bare else self.runs(scope.name)
        folded = [part for run in runs for part in _closed(items, run, self.folding)]
        found: list[Box | Cluster] = []
        at = 0
        for run in [*folded, Run(len(items), 0, 0)]:
            while at < run.start:
                item = items[at]
                if isinstance(item, Scope):
                    found.append(self.scope(item))
                    at += 1
                    continue
                stack = self.stack(items, at, at + 1 if bare else run.start)
                found.append(self.box(kind_of_node(stack[0]), stack, scope.name))
                at += len(stack)
            if run.times:
                found.append(self.run(tuple(items[run.start : run.end]), run, scope.name))
                at = run.end
        return tuple(found)

    def scope(self, scope: Scope) -> Box | Cluster:
        """Return a block as a box or, if it is open, as a cluster.

        Where a frame would hold one box of layers, the block is a head on that box.
        """
        around = scope.parent.name if scope.parent else ""
        if not self.folding.opens(scope.name, self.tree.depth[scope.name]):
            return self.box("block", (scope,), around)
        bare = self.folding.bares(scope.name)
        if not bare and (layers := self.only_layers(scope)):
            return self.box("layers", layers, around, heads=(scope,))
        children = self.children(scope)
        (only, *others) = children
        alone = not others and not bare
        if alone and isinstance(only, Box) and only.kind == "layers" and only.times == 1:
            heads = (scope, *only.heads)
            kind, training = only.kind, only.training_only
            return Box(only.index, kind, only.items, only.nodes, around, training, heads=heads)
        return Cluster(scope, children, all(child.training_only for child in children))

    def only_layers(self, scope: Scope) -> tuple[Node, ...]:
        """Return the layers of a block if one box is sure to hold them all: most small blocks.

        If a layer comes twice they may be a run.
        """
        items = self.tree.items.get(scope.name, ())
        if not items or isinstance(items[0], Scope) or kind_of_node(items[0]) != "layers":
            return ()
        stack = self.stack(items, 0, len(items))
        different = {self.tree.numbers[id(node.layer)] for node in stack}
        return stack if len(different) == len(items) else ()

    def stack(self, items: Sequence[Item], start: int, end: int) -> tuple[Node, ...]:
        """Return a layer, with those behind it that only go on with its output."""
        first = items[start]
        assert isinstance(first, Node)
        stack = [first]
        for at in range(start + 1, end):
            item = items[at]
            if isinstance(item, Scope) or not goes_on(self.tree, stack[-1], item):
                break
            stack.append(item)
        return tuple(stack)

    def run(self, items: tuple[Item, ...], run: Run, scope: str) -> Box:
        """Return a run of blocks, or of layers: these stand in it as if they came once."""
        box = self.box("run", items, scope, run.times)
        if any(isinstance(item, Scope) for item in items):
            return box
        return replace(box, kind="layers", items=items[: run.period])

    def box(
        self,
        kind: Kind,
        items: tuple[Item, ...],
        scope: str,
        times: int = 1,
        heads: tuple[Scope, ...] = (),
    ) -> Box:
        """Return the next box."""
        index = next(self.indices)
        if index >= self.most:
            raise TooMany
        if len(items) == 1:
            nodes = tuple(self.tree.nodes_of(items[0]))
        else:
            nodes = tuple([node for item in items for node in self.tree.nodes_of(item)])
        only = self.tree.checked.training_only
        training = bool(only) and all(node.name in only for node in nodes)
        return Box(index, kind, items, nodes, scope, training, times, heads=heads)


def _closed(items: Sequence[Item], run: Run, folding: Folding) -> Iterator[Run]:
    """Split a run where one of its blocks is to be seen."""
    start, times = run.start, 0
    for turn in range(run.times):
        first = run.start + turn * run.period
        if any(folding.leads_to(item.name) for item in items[first : first + run.period]):
            if times > 1:
                yield Run(start, run.period, times)
            start, times = first + run.period, 0
        else:
            times += 1
    if times > 1:
        yield Run(start, run.period, times)


def output_of(outputs: Sequence[Output]) -> Output | None:
    """Return the main output of a network: the first that it always has."""
    return next((output for output in outputs if not output.training_only), None)
