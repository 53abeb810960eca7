"""CheckedGraph -> CheckedGraph: groups for blocks that were put in with `inline`.

`inline` opens no scope, so a network that is made of it stands on one level, however large it is.
Its picture folds where its author used blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby, pairwise, takewhile

from archdsl.backends.diagram.view.scope_tree import NodeOrScope, ScopeTree
from archdsl.backends.diagram.view.stacks_and_runs import goes_on
from archdsl.diagnostics import Use
from archdsl.graph import CheckedGraph, Node, Scope

SEPARATORS = "_.-"


def grouped(tree: ScopeTree) -> CheckedGraph:
    """Return the network with a scope for each use of a block that the first level holds inline.

    The scope is called as the labels in it begin: `inception_3a` for `inception_3a_1x1` and
    `inception_3a_pool`. A use that fits into one box has none.
    """
    checked = tree.checked
    scopes = dict(checked.scopes)
    nodes = dict(checked.nodes)
    for use, inside in _uses(tree):
        if all(goes_on(tree, last, node) for last, node in pairwise(inside)):
            continue
        name = _name(use.name, inside, {*scopes, *nodes})
        scope = scopes[name] = Scope(name, scopes[""], use.name, use.span)
        nodes |= {node.name: replace(node, scope=scope) for node in inside}
    return replace(checked, scopes=scopes, nodes=nodes)


def _uses(tree: ScopeTree) -> Iterator[tuple[Use, Sequence[Node]]]:
    """Yield the uses of blocks on the first level with the nodes that each made.

    A loop uses a block at one place again and again: where its first line comes again, it begins
    anew.
    """
    for use, items in groupby(tree.level(tree.checked.scopes[""]).items, _outermost):
        if use is None:
            continue
        inside: list[Node] = []
        for item in items:
            assert isinstance(item, Node)  # a scope has no use
            if inside and (item.span, item.trail) == (inside[0].span, inside[0].trail):
                yield use, inside
                inside = []
            inside.append(item)
        yield use, inside


def _outermost(item: NodeOrScope) -> Use | None:
    return item.trail[-1] if isinstance(item, Node) and item.trail else None


def _name(block: str, nodes: Sequence[Node], taken: set[str]) -> str:
    labels = [node.label for node in nodes if node.label]
    alike = takewhile(lambda letters: len({*letters}) == 1, zip(*labels, strict=False))
    common = "".join(letters[0] for letters in alike)
    stem = common.rstrip(SEPARATORS) if common[-1:] in tuple(SEPARATORS) else ""
    if stem and stem not in taken:
        return stem
    number = 1
    while f"{block}_{number}" in taken:
        number += 1
    return f"{block}_{number}"
