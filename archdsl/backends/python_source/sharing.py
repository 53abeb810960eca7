"""Lets uses of a block share a class that differ in how often something comes in them.

Stages of six and of twelve layers say the same once what repeats is said once: their *outline* is
equal. Each then is a variant of one class, whose constructor takes the number of turns.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from archdsl.backends.python_source.folding import Fold, Folded, fold, folded_use
from archdsl.backends.python_source.forms import Form
from archdsl.backends.python_source.loops import WRITTEN, Fewest, Run, Turn
from archdsl.backends.python_source.rows import FEWEST_ITEMS, Row
from archdsl.backends.python_source.sketch import Sketch
from archdsl.backends.python_source.slots import written_actions, written_members
from archdsl.backends.python_source.template import substitute
from archdsl.backends.python_source.uses import Use

# What may be one turn of what others have more of; three turns show that something grows.
SHORTEST = (Fewest(items=2, equal=2, growing=3), Fewest(items=2, equal=2, growing=2))


@dataclass(frozen=True, slots=True)
class Alike:
    """Uses that differ in numbers alone.

    Attributes:
        sketch: what the forward pass says, if there is one.
        repeated: the same, with the names that it would have if all of it came often.
    """

    uses: Sequence[Use]
    sketch: Sketch | None
    repeated: Callable[[], Sketch | None]


class _Differ(Exception):
    """Two variants repeat other things."""


@dataclass(slots=True)
class _Pattern:
    """Which children of a list come several times: how many make a turn, by where they begin."""

    rows: dict[int, int] = field(default_factory=dict)
    inner: tuple[_Pattern | None, ...] = ()


def share(groups: Sequence[Alike]) -> Iterator[list[Folded]]:
    """Yield the variants of each class, in the order in which the uses first come."""
    families: dict[Hashable, list[int]] = {}
    for at, group in enumerate(groups):
        if not group.uses[0].options:
            families.setdefault(group.uses[0].family, []).append(at)
    variants: dict[int, list[Folded]] = {}
    shared: set[int] = set()
    for family in families.values():
        for bucket in _buckets(groups, family):
            found = _aligned(list(bucket.values()), [groups[at].uses for at in bucket])
            if found and _is_worth_it(found):
                first, *others = bucket
                variants[first] = found
                shared |= set(others)
    for at, group in enumerate(groups):
        if at not in shared:
            yield variants.get(at) or [fold(group.uses, group.sketch, WRITTEN)]


def _buckets(groups: Sequence[Alike], family: Sequence[int]) -> Iterator[dict[int, Folded]]:
    """Yield groups of one outline, several at a time, each folded as far as it goes."""
    form = groups[family[0]].uses[0].shaped.form
    if len(family) < 2 or form not in (Form.CLASS, Form.CHAIN):
        return
    buckets: dict[Hashable, dict[int, Folded]] = {}
    sketches = {at: groups[at].repeated() for at in family}
    for at in family:
        found = fold(groups[at].uses, sketches[at], SHORTEST[0])
        buckets.setdefault(_outline(found), {})[at] = found
    alone = [key for key, bucket in buckets.items() if len(bucket) == 1]
    for key in alone:
        at, *joined = buckets[key]
        if joined:
            continue
        found = fold(groups[at].uses, sketches[at], SHORTEST[1])
        other = _outline(found)
        if other != key and other in buckets:
            buckets[other][at] = found
            del buckets[key]
    for bucket in buckets.values():
        if len(bucket) > 1:
            yield dict(sorted(bucket.items()))


def _outline(folded: Folded) -> Hashable:
    """Return what a class says, less numbers and how often anything comes."""
    members = tuple((each.name, each.maker.outline) for each in written_members(folded))
    sketch = folded.sketch
    if sketch is None:
        return members
    said: list[Hashable] = []
    for at in written_actions(folded):
        action = sketch.actions[at]
        values = sketch.values(at)
        targets = tuple(sketch.name(tensor) for tensor in action.outputs)
        parts = tuple(substitute(part, values) for part in action.parts)
        said.append((targets, parts, action.training_only, sketch.is_silent(at)))
    results = tuple(sketch.name(tensor) for tensor in sketch.results)
    given = tuple(tensor in sketch.conditional for tensor in sketch.results)
    return (members, tuple(said), tuple(sketch.parameters), results, given)


def _is_worth_it(variants: Sequence[Folded]) -> bool:
    """Tell whether all that comes a varying number of times comes often enough for a loop."""
    loops = zip(*(each.runs.values() for each in variants), strict=True)
    rows = zip(*(list(_all_rows(_written_folds(each))) for each in variants), strict=True)
    least = [(WRITTEN.equal, [run.turns for run in each]) for each in loops]
    least += [
        (FEWEST_ITEMS if each[0].count is None else 1, [row.turns * row.period for row in each])
        for each in rows
    ]
    varying = [(few, turns) for few, turns in least if len(set(turns)) > 1]
    return bool(varying) and all(max(turns) >= few for few, turns in varying)


def _written_folds(folded: Folded) -> list[Fold | None]:
    folds = _folds(folded)
    return [folds[member.name] for member in written_members(folded)]


def _all_rows(folds: Sequence[Fold | None]) -> Iterator[Row]:
    for each in folds:
        if each:
            yield from each.rows
            yield from _all_rows(each.inner)


def _aligned(variants: Sequence[Folded], plain: Sequence[Sequence[Use]]) -> list[Folded]:
    """Give all variants the same rows and loops, of a single turn where they have none.

    `plain` are the uses of each as they were. Returns nothing if they repeat things that overlap.
    """
    try:
        loops = _loops(variants)
        members = [written_members(each) for each in variants]
        folded = [_folds(each) for each in variants]
        patterns: dict[str, _Pattern | None] = {}
        for same in zip(*members, strict=True):
            name = same[0].name
            folds = [each[name] for each in folded]
            patterns[name] = _united([_pattern(each) for each in folds])
            looped = any(member.run for member in same)
            if looped and any(_pattern(each) != patterns[name] for each in folds):
                return []
        pairs = zip(variants, plain, strict=True)
        return [_widened(each, uses, patterns, loops) for each, uses in pairs]
    except _Differ:
        return []


def _folds(folded: Folded) -> dict[str, Fold | None]:
    names = (name for name, _ in folded.sample.makers)
    return dict(zip(names, folded.folds, strict=True))


def _pattern(fold: Fold | None) -> _Pattern | None:
    if fold is None:
        return None
    return _Pattern(
        {row.start: row.period for row in fold.rows}, tuple(_pattern(each) for each in fold.inner)
    )


def _united(patterns: Sequence[_Pattern | None]) -> _Pattern | None:
    """Return a pattern with all that repeats in one of several."""
    found = [each for each in patterns if each is not None]
    if not found:
        return None
    rows: dict[int, int] = {}
    for each in found:
        for start, period in each.rows.items():
            if rows.setdefault(start, period) != period:
                raise _Differ
    _refuse_overlap(rows)
    inner = zip(*(each.inner for each in found), strict=True)
    return _Pattern(dict(sorted(rows.items())), tuple(_united(each) for each in inner))


def _refuse_overlap(rows: Mapping[int, int]) -> None:
    end = 0
    for start, period in sorted(rows.items()):
        if start < end:
            raise _Differ
        end = start + period


def _loops(variants: Sequence[Folded]) -> dict[int, tuple[Turn, ...]]:
    """Return the loops of all variants, by where they begin among the actions that are written."""
    loops: dict[int, tuple[Turn, ...]] = {}
    for each in variants:
        places = {at: place for place, at in enumerate(written_actions(each))}
        for run in each.runs.values():
            start = places[run.start]
            unit = tuple(replace(turn, at=place) for place, turn in enumerate(run.unit, start))
            before = loops.setdefault(start, unit)
            loops[start] = _grown_together(before, unit)
    _refuse_overlap({start: len(unit) for start, unit in loops.items()})
    return dict(sorted(loops.items()))


def _grown_together(unit: Sequence[Turn], other: Sequence[Turn]) -> tuple[Turn, ...]:
    """Return a turn of a loop in which grows what does so in one of two variants."""
    plain = [replace(turn, grows=()) for turn in unit]
    if plain != [replace(turn, grows=()) for turn in other]:
        raise _Differ
    if any(len(one.grows) != len(two.grows) for one, two in zip(unit, other, strict=True)):
        raise _Differ  # what they make repeats something in one and not in the other
    return tuple(
        replace(one, grows=tuple(a or b for a, b in zip(one.grows, two.grows, strict=True)))
        for one, two in zip(unit, other, strict=True)
    )


def _widened(
    folded: Folded,
    plain: Sequence[Use],
    patterns: Mapping[str, _Pattern | None],
    loops: Mapping[int, tuple[Turn, ...]],
) -> Folded:
    """Give a variant the rows and loops that others have."""
    names = [name for name, _ in folded.sample.makers]
    folds = tuple(
        _with_rows(each, patterns[name]) if name in patterns else each
        for name, each in zip(names, folded.folds, strict=True)
    )
    written = written_actions(folded)
    runs: dict[int, Run] = {}
    for start, unit in loops.items():
        own = folded.runs.get(written[start])
        turns = tuple(replace(turn, at=written[turn.at]) for turn in unit)
        runs[written[start]] = Run(written[start], own.turns if own else 1, turns)
    return Folded([folded_use(use, folds) for use in plain], folds, folded.sketch, runs)


def _with_rows(fold: Fold | None, pattern: _Pattern | None) -> Fold | None:
    if fold is None or pattern is None:
        return fold
    own = {row.start: row for row in fold.rows}
    rows = tuple(own.get(start, Row(start, period, 1)) for start, period in pattern.rows.items())
    pairs = zip(fold.inner, pattern.inner, strict=True)
    return Fold(fold.kept, rows, tuple(_with_rows(*pair) for pair in pairs))
