"""What is said of a block beside its name, in short: the arguments that tell its uses apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from archdsl.backends.diagram.notation import LONGEST_ARGUMENTS, Notation, beginning, kind_of
from archdsl.backends.diagram.view.scope_tree import Level, ScopeTree
from archdsl.backends.diagram.view.stacks_and_runs import goes_on, runs_in
from archdsl.graph import Node, Scope

MOST_COMPARED = 1_000  # uses of a block
LONGEST_LINE = 28  # characters of the label of a group with its only layer
MOST_SAID = LONGEST_ARGUMENTS // len("a 1, ")

Block = tuple[str, ...]  # its name and those of its parameters, since two files may share a name


def _block(scope: Scope) -> Block:
    return scope.block, *scope.arguments


class Summaries:
    """Short descriptions of the blocks of a network."""

    def __init__(self, tree: ScopeTree, notation: Notation) -> None:
        self.tree = tree
        self.notation = notation
        self.uses: dict[Block, list[Scope]] = {}
        for scope in tree.checked.scopes.values():
            self.uses.setdefault(_block(scope), []).append(scope)
        self.telling: dict[Block, Sequence[str]] = {}
        self.ordered: dict[Block, Sequence[str]] = {}

    def of(self, scope: Scope) -> str:
        """Return a block's arguments in short, or "".

        A block that is a layer and what goes on with it, such as a convolution with its
        normalization, is described as that layer: "3x3, 64, /2"; a group of that kind has the
        layer's name as well, and one of nothing but uses of a block that block's: "Block x 3".
        Where a group repeats blocks with layers, all of them are named: "(Block, concat) x 3". Of
        other blocks those arguments are given that differ between the uses of the block; if they
        are too long, those come first that tell the most uses apart.
        """
        if only := self._only_layer(scope):
            said = self.notation.arguments(only.layer)
            return said if scope.block else f"{kind_of(only.layer)} {said}".rstrip()
        if not scope.block:
            return self._uses_in(scope)
        block = _block(scope)
        uses = self.uses[block]
        if block not in self.telling:
            self.telling[block] = self._telling(uses)
        said = ", ".join(self._parts(scope, self.telling[block]))
        if len(said) <= LONGEST_ARGUMENTS:
            return said
        if block not in self.ordered:
            self.ordered[block] = self._ordered(self.telling[block], uses[:MOST_COMPARED])
        return beginning(self._parts(scope, self.ordered[block]), ", ", LONGEST_ARGUMENTS)

    def _parts(self, scope: Scope, names: Sequence[str]) -> Iterator[str]:
        for name in names:
            yield f"{name} {self.notation.value(scope.arguments[name])}"

    def _telling(self, uses: Sequence[Scope]) -> Sequence[str]:
        """Return the parameters of a block of which its uses have different values."""
        first, *others = uses
        return [
            name
            for name, value in first.arguments.items()
            if any(self._differ(value, other.arguments[name]) for other in others)
        ]

    def _differ(self, one: object, other: object) -> bool:
        return one is not other and self.notation.value(one) != self.notation.value(other)

    def _ordered(self, names: Sequence[str], uses: Sequence[Scope]) -> Sequence[str]:
        """Put those parameters first that tell the uses apart.

        Each next one is that which tells apart the most of those that the ones before it leave
        together. So many as have room are chosen.
        """
        values = {
            name: [self.notation.value(use.arguments[name]) for use in uses] for name in names
        }
        found: list[str] = []
        told = [0] * len(uses)
        while values and len(found) < MOST_SAID:
            best = max(values, key=lambda name: len({*zip(told, values[name], strict=True)}))
            found.append(best)
            classes: dict[tuple[int, str], int] = {}
            pairs = zip(told, values.pop(best), strict=True)
            told = [classes.setdefault(pair, len(classes)) for pair in pairs]
        return [*found, *values]

    def _uses_in(self, group: Scope) -> str:
        level = self.tree.level(group)
        uses = [item for item in level.items if isinstance(item, Scope)]
        if uses and len(uses) < len(level.items):
            return self._run_in(level)
        blocks = {use.block for use in uses}
        block = blocks.pop() if len(blocks) == 1 else ""
        return f"{block} x {len(uses)}" if block and len(uses) > 1 else block

    def _run_in(self, level: Level) -> str:
        """Say what all of a level repeats: "(DenseLayer, concat) x 6"."""
        for run in runs_in(self.tree, level):
            if (run.start, run.end) == (0, len(level.items)):
                turn = level.items[: run.period]
                names = [kind_of(i.layer) if isinstance(i, Node) else i.block for i in turn]
                if all(names):
                    return f"({beginning(names, ', ', LONGEST_ARGUMENTS)}) x {run.times}"
        return ""

    def _only_layer(self, scope: Scope) -> Node | None:
        first, *others = self.tree.level(scope).items or (scope,)
        last = first
        for item in others:
            if isinstance(last, Scope) or isinstance(item, Scope):
                return None
            if not goes_on(self.tree, last, item):
                return None
            last = item
        return first if isinstance(first, Node) else None


def breaks(label: str, said: str) -> bool:
    """Tell whether what is said of a group stands in a line of its own, below its label."""
    return bool(said) and len(label) + len(said) > LONGEST_LINE
