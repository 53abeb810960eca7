"""What is said of a block beside its name: the arguments that tell its uses apart."""

from __future__ import annotations

from collections.abc import Sequence

from archdsl.backends.diagram.stacks import goes_on
from archdsl.backends.diagram.tree import Tree
from archdsl.backends.diagram.wording import LONGEST_ARGUMENTS, arguments_of, kind_of, value_of
from archdsl.graph import Node, Scope


class Titles:
    """Short descriptions of the blocks of a network."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.uses: dict[str, list[Scope]] = {}
        for scope in tree.checked.scopes.values():
            self.uses.setdefault(scope.block, []).append(scope)
        self.telling: dict[str, Sequence[str]] = {}

    def of(self, scope: Scope) -> str:
        """Return a block's arguments in short, or "".

        A block that is a layer and what goes on with it, such as a convolution with its
        normalization, is described as that layer: "3x3, 64, /2"; a group of that kind has the
        layer's name as well, and one of nothing but uses of a block that block's: "Block x 3". Of
        other blocks those arguments are given that differ between the uses of the block.
        """
        if only := self._only_layer(scope):
            said = arguments_of(only.layer)
            return said if scope.block else f"{kind_of(only.layer)} {said}".rstrip()
        if not scope.block:
            return self._uses_in(scope)
        if scope.block not in self.telling:
            self.telling[scope.block] = _telling(self.uses.get(scope.block, ()))
        names = self.telling[scope.block]
        parts = [f"{name} {value_of(scope.arguments[name])}" for name in names]
        text = ", ".join(parts)
        return text if len(text) <= LONGEST_ARGUMENTS else ""

    def _uses_in(self, group: Scope) -> str:
        items = self.tree.level(group).items
        blocks = {item.block if isinstance(item, Scope) else "" for item in items}
        block = blocks.pop() if len(blocks) == 1 else ""
        return f"{block} x {len(items)}" if block and len(items) > 1 else block

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


def _telling(uses: Sequence[Scope]) -> Sequence[str]:
    """Return the parameters of a block of which its uses have different values."""
    if not uses:
        return ()
    first, *others = uses
    return [
        name
        for name, value in first.arguments.items()
        if any(_differ(value, other.arguments.get(name)) for other in others)
    ]


def _differ(one: object, other: object) -> bool:
    return one is not other and value_of(one) != value_of(other)
