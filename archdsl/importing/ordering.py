"""Orders in which what a file says can be computed: each after those whose results it needs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush

Scopes = tuple[str, ...]  # in which something stands, outermost first


def after_others(waits: Mapping[int, Collection[int]]) -> Iterator[int]:
    """Yield numbers, each after those that it waits for, and else by size.

    What waits for itself, or for what does, is left out.
    """
    left = {number: len(others) for number, others in waits.items()}
    readers = _readers(waits.items())
    ready = [number for number, count in left.items() if not count]
    heapify(ready)
    while ready:
        number = heappop(ready)
        yield number
        for reader in readers.get(number, ()):
            left[reader] -= 1
            if not left[reader]:
                heappush(ready, reader)


def by_scopes(waits: Sequence[Collection[int]], scopes: Sequence[Scopes | None]) -> Iterator[int]:
    """Yield numbers, each after those that it waits for, those of a scope together if possible.

    What stands in no scope comes as soon as it can.
    """
    left = [len(others) for others in waits]
    readers = _readers(enumerate(waits))
    waiting: dict[Scopes, list[int]] = {}
    free: list[int] = []

    def ready(number: int) -> None:
        stands = scopes[number]
        if stands is None:
            heappush(free, number)
            return
        for depth in range(len(stands) + 1):
            heappush(waiting.setdefault(stands[:depth], []), number)

    for number, count in enumerate(left):
        if not count:
            ready(number)
    done: set[int] = set()
    here: Scopes = ()
    while len(done) < len(waits):
        at = heappop(free) if free else _next_in(waiting, here, done)
        here = here if scopes[at] is None else scopes[at] or ()
        done.add(at)
        yield at
        for reader in readers.get(at, ()):
            left[reader] -= 1
            if not left[reader]:
                ready(reader)


def _readers(waits: Iterable[tuple[int, Collection[int]]]) -> dict[int, list[int]]:
    """Return for each number those that wait for it."""
    found: dict[int, list[int]] = {}
    for number, others in waits:
        for other in others:
            found.setdefault(other, []).append(number)
    return found


def _next_in(waiting: Mapping[Scopes, list[int]], here: Scopes, done: set[int]) -> int:
    """Return the first that can be computed in the innermost scope that has one."""
    for depth in range(len(here), -1, -1):
        heap = waiting.get(here[:depth], [])
        while heap and heap[0] in done:
            heappop(heap)
        if heap:
            return heappop(heap)
    raise AssertionError("numbers wait for each other")  # those that read files refuse that
