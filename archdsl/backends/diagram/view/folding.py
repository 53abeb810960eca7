"""Which blocks of a network are open, and what is drawn as one box."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

from archdsl.backends.diagram.view.scope_tree import NodeOrScope, ScopeTree
from archdsl.backends.diagram.view.stacks_and_runs import ItemRun, kind_of_node, runs_in, stacks_in
from archdsl.backends.diagram.view.view import Box, BoxKind, Cluster
from archdsl.graph import Node, Scope

EVERYTHING = "*"  # at the end of a path: all below it


class Folder:
    """Folds the scopes of a network.

    Attributes:
        unfold: names of blocks that are open whatever the depth, with all around them; a name
            with `.*` behind it opens all below as well, down to single layers, and `*` the whole
            network.
    """

    def __init__(self, tree: ScopeTree, unfold: Sequence[str] = ()) -> None:
        self.tree = tree
        self.unfold = unfold
        self._parts: dict[str, Sequence[ItemRun]] = {}

    def opens(self, scope: str, inside: int, depth: int) -> bool:
        """Tell whether a scope that stands `inside` so many others is open at a depth."""
        return inside < depth or self.leads_to(scope) or self.bares(scope)

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

    def parts(self, scope: Scope) -> Sequence[ItemRun]:
        """Return what can be drawn as one of what stands in a scope: a run, or something once.

        That is a block, or a layer with those that go on with it. It is found once.
        """
        if scope.name not in self._parts:
            self._parts[scope.name] = self._divided(scope)
        return self._parts[scope.name]

    def _divided(self, scope: Scope) -> Sequence[ItemRun]:
        level = self.tree.level(scope)
        if self.bares(scope.name):
            return [ItemRun(at, 1, 1) for at in range(len(level.items))]
        parts: list[ItemRun] = []
        at = 0
        for found in runs_in(self.tree, level):
            for run in self._closed(level.items, found):
                parts += stacks_in(self.tree, level.items, at, run.start)
                parts.append(run)
                at = run.end
        return [*parts, *stacks_in(self.tree, level.items, at, len(level.items))]

    def _closed(self, items: Sequence[NodeOrScope], run: ItemRun) -> Iterator[ItemRun]:
        """Split a run where one of its blocks is to be seen."""
        start, times = run.start, 0
        for turn in range(run.times):
            first = run.start + turn * run.period
            if any(self.leads_to(item.name) for item in items[first : first + run.period]):
                if times > 1:  # what is left of a run may be a single turn, which is none
                    yield ItemRun(start, run.period, times)
                start, times = first + run.period, 0
            else:
                times += 1
        if times > 1:
            yield ItemRun(start, run.period, times)

    def count(self, depth: int, most: int) -> int:
        """Count the boxes besides the outputs, without making one; above `most` it may stop."""
        if not self.opens("", 0, depth):
            return 1
        boxes, waiting = 0, [(self.tree.checked.scopes[""], 1)]
        while waiting and boxes <= most:
            scope, inside = waiting.pop()
            items = self.tree.level(scope).items
            for start, _, times in self.parts(scope):
                item = items[start]
                if times == 1 and isinstance(item, Scope) and self.opens(item.name, inside, depth):
                    waiting.append((item, inside + 1))
                else:
                    boxes += 1
        return boxes

    def fold(self, depth: int) -> tuple[Box | Cluster, ...]:
        """Return what stands at the top level, with the outputs behind all else."""
        boxes = _Boxes(self, depth)
        checked = self.tree.checked
        root = checked.scopes[""]
        opens = self.opens("", 0, depth)
        children = boxes.children(root, 1) if opens else (boxes.closed(root, 0, ""),)
        outputs = tuple(
            Box(next(boxes.numbers), "output", (), (), -1, "", output.training_only, output=output)
            for output in checked.outputs
        )
        return children + outputs


def _within(name: str, scope: str) -> bool:
    """Tell whether a name is that of a scope or lies in it."""
    return not scope or name == scope or name.startswith(scope + ".")


class _Boxes:
    """Makes the boxes and clusters, and numbers the boxes as they come."""

    def __init__(self, folder: Folder, depth: int) -> None:
        self.folder = folder
        self.tree = folder.tree
        self.depth = depth
        self.numbers = count()

    def children(self, scope: Scope, inside: int) -> tuple[Box | Cluster, ...]:
        """Return what is seen in an open scope, `inside` so many scopes with its own.

        Scopes nest to a limited depth, as this does.
        """
        items, starts, _ = self.tree.level(scope)
        found: list[Box | Cluster] = []
        for start, period, times in self.folder.parts(scope):
            first, end = items[start], start + period * times
            if times == 1 and isinstance(first, Scope):
                found.append(self.scope(first, inside, starts[start], scope.name))
                continue
            kind: BoxKind = "run"
            drawn = tuple(items[start:end])
            blocks = times > 1 and any(isinstance(item, Scope) for item in drawn)
            # Layers that repeat are still layers: their box shows them, with a mark, and no block.
            if isinstance(first, Node) and not blocks:
                kind, drawn = kind_of_node(first), drawn[:period]
            found.append(self.box(kind, drawn, starts[start], starts[end], scope.name, times))
        return tuple(found)

    def scope(self, scope: Scope, inside: int, start: int, around: str) -> Box | Cluster:
        """Return a block as a box or, if it is open, as a cluster.

        Where a frame would hold one box of layers, the block is a head on that box.
        """
        if not self.folder.opens(scope.name, inside, self.depth):
            return self.closed(scope, start, around)
        children = self.children(scope, inside + 1)
        if len(children) == 1 and not self.folder.bares(scope.name):
            (only,) = children
            if isinstance(only, Box) and only.kind == "layers" and only.times == 1:
                # what follows is `dataclasses.replace`, in a third of the time
                shown = only.index, only.kind, only.items, only.nodes, only.start
                return Box(*shown, around, only.training_only, heads=(scope, *only.heads))
        return Cluster(scope, children, all(child.training_only for child in children))

    def closed(self, scope: Scope, start: int, around: str) -> Box:
        """Return the box of a folded block."""
        end = start + len(self.tree.inside(scope))
        return self.box("block", (scope,), start, end, around)

    def box(
        self,
        kind: BoxKind,
        items: tuple[NodeOrScope, ...],
        start: int,
        end: int,
        scope: str,
        times: int = 1,
    ) -> Box:
        """Return the next box, with the nodes from one place to another."""
        nodes = self.tree.nodes[start:end]
        training = len(self.tree.in_training(start, end)) == len(nodes)
        return Box(next(self.numbers), kind, items, nodes, start, scope, training, times)
