"""Which nodes are computed again together in the backward pass: a use of a block or group, as one.

Where `reuse` applies a block again, that is another use, which keeps its own inputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from itertools import groupby

from archdsl.graph import Arrays, CheckedGraph, Node, Scope


def groups(checked: CheckedGraph, scopes: Set[str]) -> list[list[int]]:
    """Return the numbers of the nodes of each use of some scopes, those of all in one list."""
    return [use for uses in uses_of(checked, scopes).values() for use in uses]


def unfit(checked: CheckedGraph, scopes: Set[str]) -> dict[str, str]:
    """Return why some scopes, none of which is in another, can't be computed again as one."""
    arrays, found = checked.arrays, {}
    for name, uses in uses_of(checked, scopes).items():
        own, *others = uses or [[]]
        owners = [arrays.shares.get(number, number) for number in own if arrays.reads[number]]
        if any(use[-1] - use[0] >= len(use) for use in uses):  # others are between them
            found[name] = (
                "what is in it doesn't follow each other, since it is filled at several places"
            )
        elif any(not _is_again(arrays, use, owners) for use in others):
            found[name] = "a layer in it is applied from elsewhere"
        elif all(read >= own[0] for number in own for read in arrays.reads[number]):
            found[name] = "nothing comes into it"
    return found


def _is_again(arrays: Arrays, use: Sequence[int], owners: Sequence[int]) -> bool:
    """Tell whether a use applies all of a scope again, and not only some of its layers."""
    pairs = [*zip(use, owners, strict=False)]
    shared = all(arrays.shares.get(number, owner) == owner for number, owner in pairs)
    return len(use) == len(owners) and shared


def uses_of(checked: CheckedGraph, scopes: Set[str]) -> dict[str, list[list[int]]]:
    """Return the numbers of the nodes of each use of some scopes, none of which is in another."""
    if not scopes:
        return {}
    found: dict[str, list[tuple[int, Node]]] = {
        name: [] for name in checked.scopes if name in scopes
    }
    for number, node in enumerate(checked.nodes.values()):
        if around := scope_among(node.name, scopes):
            found[around].append((number, node))
    return {
        name: [use for use in _uses(checked.scopes[name], nodes) if use]
        for name, nodes in found.items()
    }


def scope_among(name: str, scopes: Set[str]) -> str:
    """Return the outermost of some scopes that a node is in by its name, or ""."""
    end = name.find(".")
    while end >= 0:
        if name[:end] in scopes:
            return name[:end]
        end = name.find(".", end + 1)
    return ""


def _uses(scope: Scope, nodes: Iterable[tuple[int, Node]]) -> Iterator[list[int]]:
    """Yield the scope's own nodes, and then as many each time that it is applied again."""
    own: list[int] = []
    again: list[int] = []
    computed = 0  # of its own nodes, those that a further use computes as well
    for _, row in groupby(nodes, key=lambda pair: (pair[1].span, pair[1].trail)):
        made = [*row]
        if any(node.shares for _, node in made) and not _is_within(scope, made[0][1]):
            again += [number for number, _ in made]
        else:
            own += [number for number, _ in made]
            computed += sum(1 for _, node in made if node.inputs)
    yield own
    for start in range(0, len(again), max(computed, 1)):
        yield again[start : start + computed]


def _is_within(scope: Scope, node: Node) -> bool:
    """Tell whether what made a node stands in a scope, and doesn't apply it from outside."""
    if scope.block:
        return any(use.name == scope.name for use in node.trail)
    spans = [node.span, *(use.span for use in node.trail)]
    return any(
        span.source is scope.span.source
        and scope.span.start <= span.start
        and span.end <= scope.span.end
        for span in spans
    )
