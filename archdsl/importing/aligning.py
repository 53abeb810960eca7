"""Lays the statements of several uses of a class side by side."""

from __future__ import annotations

from archdsl.importing.skeleton import arguments_of, surface
from archdsl.importing.tree import Residual, Statement, bodies_of

# For each statement of the fullest use, what stands in its place in another one: None if it has
# none, and for a `residual` a list where what is in it stands there alone.
Alignment = dict[Statement, Statement | None]

LONGEST = 200  # statements of a body that are compared in more ways than one


def align(full: list[Statement], other: list[Statement]) -> Alignment | None:
    """Return which statement of one list stands for which of another, that may have fewer.

    None if the other has some that the first lacks.
    """
    if len(full) == len(other):
        straight = _pairs(list(zip(full, other, strict=True)))
        if straight is not None:
            return straight
    if len(full) > LONGEST or len(other) > len(full) + 20:
        return None
    return _align(full, 0, other, 0, {})


def _pairs(pairs: list[tuple[Statement, Statement]]) -> Alignment | None:
    found: Alignment = {}
    for one, other in pairs:
        inner = match(one, other)
        if inner is None:
            return None
        found |= inner
    return found


def match(one: Statement, other: Statement) -> Alignment | None:
    """Return how two statements stand for each other with all that is in them."""
    if surface(one) != surface(other):
        return None
    found: Alignment = {one: other}
    for mine, theirs in zip(bodies_of(one), bodies_of(other), strict=True):
        inner = align(mine, theirs)
        if inner is None:
            return None
        found |= inner
    return found


def distance(found: Alignment) -> int:
    """Return by how much the statements that stand for each other differ."""
    total = 0
    for one, other in found.items():
        if other is None:
            total += 3
            continue
        mine, theirs = arguments_of(one), arguments_of(other)
        total += 2 * len(mine.keys() ^ theirs.keys())
        total += sum(mine[name] != theirs[name] for name in mine.keys() & theirs.keys())
    return total


def _align(
    full: list[Statement],
    at: int,
    other: list[Statement],
    there: int,
    known: dict[tuple[int, int], Alignment | None],
) -> Alignment | None:
    if at == len(full):
        return {} if there == len(other) else None
    if (at, there) in known:
        return known[at, there]
    one = full[at]
    ways: list[Alignment] = []
    if there < len(other):
        inner = match(one, other[there])
        rest = _align(full, at + 1, other, there + 1, known) if inner is not None else None
        if inner is not None and rest is not None:
            ways.append(inner | rest)
    if not ways and isinstance(one, Residual) and not one.shortcut and not one.label:
        for stop in range(len(other), there, -1):
            inner = align(one.statements, other[there:stop])
            rest = _align(full, at + 1, other, stop, known) if inner is not None else None
            if inner is not None and rest is not None:
                ways.append({**inner, **rest, one: None})
                break
    if not one.named and len(other) - there < len(full) - at:
        rest = _align(full, at + 1, other, there, known)
        if rest is not None:
            ways.append({**rest, one: None})
    result = min(ways, key=distance, default=None)
    known[at, there] = result
    return result
