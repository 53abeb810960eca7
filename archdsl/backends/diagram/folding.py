"""Which blocks of a network are open, and what is drawn as one box."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count

from archdsl.backends.diagram.runs import Run, runs_in
from archdsl.backends.diagram.tree import Item, Tree
from archdsl.backends.diagram.view import Box, Cluster, Kind
from archdsl.graph import Node, Output, Scope
from archdsl.layers.base import POINTWISE

EVERYTHING = "*"  # at the end of a path: all below it
MERGES = "merge"
TENSORS = "tensor"


@dataclass(frozen=True, slots=True)
class Folding:
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
        return any(_within(path.removesuffix(f".{EVERYTHING}"), scope) for path in self.unfold)

    def bares(self, scope: str) -> bool:
        """Tell whether all in a scope is to be seen, layer by layer."""
        return any(
            path == EVERYTHING
            or (path.endswith(f".{EVERYTHING}") and _within(scope, path[: -len(".*")]))
            for path in self.unfold
        )


def _within(name: str, scope: str) -> bool:
    """Tell whether a name is that of a scope or lies in it."""
    return not scope or name == scope or name.startswith(scope + ".")


def fold(tree: Tree, folding: Folding, runs: Callable[[str], Sequence[Run]]) -> tuple[
    Box | Cluster, ...
]:
    """Return what stands at the top level, with the outputs behind all else."""
    indices = count()
    root = tree.checked.scopes[""]
    if folding.opens("", 0):
        children = _children(tree, folding, runs, root, indices)
    else:
        children = (_box(tree, "block", (root,), "", indices),)
    outputs = tuple(
        Box(next(indices), "output", (), (), "", output.training_only, output=output)
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


def _children(
    tree: Tree,
    folding: Folding,
    runs: Callable[[str], Sequence[Run]],
    scope: Scope,
    indices: Iterator[int],
) -> tuple[Box | Cluster, ...]:
    """Return what is seen in an open scope. The depth of scopes is limited, hence this recursion's."""
    items = tree.items.get(scope.name, ())
    bare = folding.bares(scope.name)
    make = partial(_box, tree, scope=scope.name, indices=indices)
    found: list[Box | Cluster] = []
    at = 0
    folded = [] if bare else [part for run in runs(scope.name) for part in _closed(items, run, folding)]
    for run in [*folded, Run(len(items), 0, 0)]:
        while at < run.start:
            item = items[at]
            if isinstance(item, Scope):
                at += 1
                if not folding.opens(item.name, tree.depth[item.name]):
                    found.append(make("block", (item,)))
                    continue
                children = _children(tree, folding, runs, item, indices)
                found.append(_opened(item, children, bare=folding.bares(item.name)))
                continue
            stack = _stack(tree, items[at : at + 1] if bare else items[at : run.start])
            at += len(stack)
            found.append(make(kind_of_node(stack[0]), stack))
        if run.times:
            found.append(make("run", items[run.start : run.end], times=run.times))
            at = run.end
    return tuple(found)


def _opened(scope: Scope, children: tuple[Box | Cluster, ...], bare: bool) -> Box | Cluster:
    """Return an open block: a cluster, or a box with a head where a frame would hold one box."""
    (only, *others) = children
    if isinstance(only, Box) and only.kind == "layers" and not others and not bare:
        heads = (scope, *only.heads)
        scope_name = scope.parent.name if scope.parent else ""
        return replace(only, scope=scope_name, heads=heads)
    return Cluster(scope, children, all(child.training_only for child in children))


def _closed(items: Sequence[Item], run: Run, folding: Folding) -> Iterator[Run]:
    """Split a run where one of its blocks is to be seen."""
    start, times = run.start, 0
    for turn in range(run.times):
        first = run.start + turn * run.period
        if any(
            folding.leads_to(item.name) for item in items[first : first + run.period]
        ):
            if times > 1:
                yield Run(start, run.period, times)
            start, times = first + run.period, 0
        else:
            times += 1
    if times > 1:
        yield Run(start, run.period, times)


def _stack(tree: Tree, items: Sequence[Item]) -> tuple[Node, ...]:
    """Return the first of some items, a layer, with those that only go on with its output."""
    first = items[0]
    assert isinstance(first, Node)
    stack = [first]
    if kind_of_node(first) != "layers":
        return (first,)
    for item in items[1:]:
        if isinstance(item, Scope) or not goes_on(tree, stack[-1], item):
            break
        stack.append(item)
    return tuple(stack)


def goes_on(tree: Tree, last: Node, node: Node) -> bool:
    """Tell whether a layer only goes on with the output of another, place by place."""
    return (
        node.inputs == (last.name,)
        and len(tree.readers[last.name]) == 1
        and node.facts.windows == POINTWISE
        and node.shape == last.shape
        and node.facts.macs == 0
        and kind_of_node(last) == kind_of_node(node) == "layers"
    )


def kind_of_node(node: Node) -> Kind:
    """Return as what kind of box a node is drawn."""
    family = node.layer.family()
    if family == MERGES:
        return "merge"
    if family == TENSORS:
        return "tensor" if node.layer.word == "parameter" else "input"
    return "layers"


def _box(
    tree: Tree,
    kind: Kind,
    items: tuple[Item, ...],
    scope: str,
    indices: Iterator[int],
    times: int = 1,
) -> Box:
    nodes = tuple(node for item in items for node in tree.nodes_of(item))
    training = all(node.name in tree.checked.training_only for node in nodes)
    return Box(next(indices), kind, items, nodes, scope, training, times)


def output_of(outputs: Sequence[Output]) -> Output | None:
    """Return the main output of a network: the first that it always has."""
    return next((output for output in outputs if not output.training_only), None)
