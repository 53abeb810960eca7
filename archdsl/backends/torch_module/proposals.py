"""Finds what to tell archdsl so that stored weights fit: new names, and patterns of what is left.

Nothing is proposed that was not tried on all names.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import takewhile

from archdsl.patterns import matches, pattern_of, renamed_one

Shapes = Mapping[str, tuple[int, ...]]

MOST_PATTERNS = 8  # more than that is no help
MOST_RENAMES = 3
MOST_TRIED = 8  # renames that are tried on all names
MOST_READ = 5_000  # names that are thought about; the rest is like them, or is no help either
MOST_PARTS = 32  # of a name that is thought about
MOST_ALIKE = 4  # stored names that may be one of the network's
ENDS = 2  # parts of a name that may follow a `*`


def fewest_patterns(meant: Collection[str], others: Collection[str]) -> list[str]:
    """Return the fewest patterns that mean all of some names, and none of the others.

    They are scopes (`fc.*`), names, or what names of many scopes end with
    (`*.num_batches_tracked`). There are none where more than a few would be needed.
    """
    if len(meant) > MOST_READ:
        return []
    scopes = _chosen(meant, others, _scopes)
    spread = _chosen(meant, others, _all_patterns) if len(scopes) != 1 else []
    best = spread if spread and (not scopes or len(spread) < len(scopes)) else scopes
    return [] if any(matches(name, best) for name in others) else best


def _chosen(
    meant: Collection[str], others: Collection[str], patterns: Callable[[str], Iterable[str]]
) -> list[str]:
    """Choose from the patterns of names, each time the one that means most of what is left."""
    covered: dict[str, set[str]] = defaultdict(set)
    for name in meant:
        for pattern in patterns(name):
            covered[pattern].add(name)
    for name in others:
        for pattern in patterns(name):
            covered.pop(pattern, None)
    chosen: list[str] = []
    rest = set(meant)
    while rest:
        # of those that mean as many the first is the most exact
        best = max(covered, key=lambda pattern: len(rest & covered[pattern]), default="")
        found = rest & covered.get(best, set())
        if not found or len(chosen) == MOST_PATTERNS:
            return []
        chosen.append(best)
        rest -= found
    return chosen


def _scopes(name: str) -> Iterator[str]:
    """Yield the patterns of a name, and of the scopes that it is in, the most exact first."""
    name = pattern_of(name)
    yield name
    parts = name.split(".")
    for depth in range(len(parts) - 1 if len(parts) <= MOST_PARTS else 0, 0, -1):
        scope = ".".join(parts[:depth])
        yield f"{scope}.*"
        yield scope
    yield "*"


def _all_patterns(name: str) -> Iterator[str]:
    """Yield the patterns of a name that end with its last parts as well."""
    yield from _scopes(name)
    parts = pattern_of(name).split(".")
    for end in range(1, ENDS + 1) if len(parts) <= MOST_PARTS else ():
        for depth in range(len(parts) - end - 1, -1, -1):
            yield ".".join([*parts[:depth], "*", *parts[-end:]])


def fitting_renames(own: Shapes, stored: Shapes) -> dict[str, str]:
    """Return the renames that let most of the names fit that a network lacks, mostly one.

    There are none if more than half of them would still be missing.
    """
    renames: dict[str, str] = {}
    now = dict(stored)
    for _ in range(MOST_RENAMES):
        if (best := _best_rename(own, now)) is None:
            break
        renames[best[0]] = best[1]
        now = _after(now, *best)
    missing = sum(name not in stored for name in own)
    return renames if 2 * sum(name not in now for name in own) <= missing else {}


def _best_rename(own: Shapes, stored: Shapes) -> tuple[str, str] | None:
    """Return the rename after which most more names fit than before, or None."""
    fitting = {name for name, shape in own.items() if stored.get(name) == shape}
    best, most = None, len(fitting)
    for rename, _ in Counter(_thought_up(own, stored)).most_common(MOST_TRIED):
        after = _after(stored, *rename)
        now = {name for name, shape in own.items() if after.get(name) == shape}
        # nothing that fitted is lost, and no two become one
        if len(now) > most and fitting <= now and len(after) == len(stored):
            best, most = rename, len(now)
    return best


def _after(stored: Shapes, old: str, new: str) -> dict[str, tuple[int, ...]]:
    return {renamed_one(name, old, new) or name: shape for name, shape in stored.items()}


def _thought_up(own: Shapes, stored: Shapes) -> Iterator[tuple[str, str]]:
    """Yield renames that may do: those of names that end alike, or come in the same place."""
    missing = [name for name in own if name not in stored][:MOST_READ]
    surplus = [name for name in stored if name not in own][:MOST_READ]
    ends: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name in surplus:
        for end in _ends(name):
            if len(ends[end]) < MOST_ALIKE:
                ends[end].append(name)
    for name in missing:
        for end in _ends(name):
            alike = [other for other in ends.get(end, ()) if stored[other] == own[name]]
            for other in alike:
                yield from _renames(other, name)
            if alike:
                break
    for other, name in zip(surplus, missing, strict=False):
        if stored[other] == own[name]:
            yield from _renames(other, name)


def _ends(name: str) -> Iterator[tuple[str, ...]]:
    """Yield what a name ends with, the longest first."""
    parts = tuple(name.split("."))
    for start in range(max(0, len(parts) - MOST_PARTS), len(parts)):
        yield parts[start:]


def _renames(stored: str, own: str) -> Iterator[tuple[str, str]]:
    """Yield ways to say that one name becomes another: here alone, and wherever else it can be."""
    old, new = pattern_of(stored).split("."), pattern_of(own).split(".")
    most = min(len(old), len(new))
    head = next((place for place in range(most) if old[place] != new[place]), most)
    most -= head
    tail = next((place for place in range(most) if old[-1 - place] != new[-1 - place]), most)
    before, rest = old[:head], ["*"] if tail else []
    changed, into = old[head : len(old) - tail], new[head : len(new) - tail]
    yield ".".join([*before, *changed, *rest]), ".".join([*before, *into, *rest])
    words = ".".join(changed), ".".join(into)
    pairs = zip(reversed(words[0]), reversed(words[1]), strict=False)
    if same := sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs)):
        starts = words[0][:-same], words[1][:-same]  # `stage` of stage1, stage2, ...
        if all(start and not start.endswith("\\") for start in starts):
            yield ".".join([*before, f"{starts[0]}*"]), ".".join([*before, f"{starts[1]}*"])
    if before and changed and (into or rest):
        yield ".".join(["*", *changed, *rest]), ".".join(["*", *into, *rest])
