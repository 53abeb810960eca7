"""What is said of a block beside its name: the arguments that tell its uses apart."""

from __future__ import annotations

from collections.abc import Mapping

from archdsl.backends.diagram.stacks import goes_on
from archdsl.backends.diagram.tree import Tree
from archdsl.backends.diagram.wording import LONGEST_ARGUMENTS, arguments_of, kind_of, value_of
from archdsl.graph import Node, Scope


class Titles:
    """Short descriptions of the blocks of a network."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.telling = _telling(tree.checked.scopes)

    def of(self, scope: Scope) -> str:
        """Return a block's arguments in short, or "".

        A block that is a layer and what goes on with it, such as a convolution with its
        normalization, is described as that layer: "3x3, 64, /2"; a group of that kind has the
        layer's name as well. Of other blocks those arguments are given that differ between the
        uses of the block.
        """
        if only := self._only_layer(scope):
            said = arguments_of(only.layer)
            return said if scope.block else f"{kind_of(only.layer)} {said}".rstrip()
        if not scope.block:
            return ""
        names = self.telling.get(scope.block, [])
        parts = [f"{name} {value_of(scope.arguments[name])}" for name in names]
        text = ", ".join(parts)
        return text if len(text) <= LONGEST_ARGUMENTS else ""

    def _only_layer(self, scope: Scope) -> Node | None:
        first, *others = self.tree.items.get(scope.name, (scope,))
        last = first
        for item in others:
            if isinstance(last, Scope) or isinstance(item, Scope):
                return None
            if not goes_on(self.tree, last, item):
                return None
            last = item
        return first if isinstance(first, Node) else None


def _telling(scopes: Mapping[str, Scope]) -> Mapping[str, list[str]]:
    """Return, for each block, the parameters of which its uses have different values."""
    first: dict[str, Scope] = {}
    found: dict[str, dict[str, None]] = {}
    for scope in scopes.values():
        known = first.setdefault(scope.block, scope)
        differ = found.setdefault(scope.block, {})
        for name, value in scope.arguments.items():
            if value_of(known.arguments.get(name)) != value_of(value):
                differ[name] = None
    return {
        block: [name for name in first[block].arguments if name in differ]
        for block, differ in found.items()
    }
