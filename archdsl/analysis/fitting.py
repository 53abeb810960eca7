"""How a network is trained in a given memory: the largest batch, or the least to compute again.

Where not even one sample fits, blocks are checkpointed: those whose forward passes, run again, cost
the fewest multiply-accumulates together. Blocks come one after the other, and while one of them
runs, forward or backward, what is spared are the tensors of those before it. So a choice for the
blocks so far matters by two numbers alone: what it spares, and what it costs. Going from block to
block (dynamic programming), all choices are kept that no other betters in both (their Pareto front)
and with which the memory does for all that has run; the cheapest of those at the end is the best.

That is so for blocks one after the other. Where they share tensors (a skip connection, several on
the same stem), what one spares hangs on the others. So the whole step is worked out for what was
found, what is needed no more is left out, and of few blocks all cheaper choices are tried.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Set
from itertools import combinations, pairwise
from math import inf

from archdsl.analysis.checkpoints import groups, unfit
from archdsl.analysis.peak import Region, Walk
from archdsl.analysis.training import Options, Training
from archdsl.graph import CheckedGraph, Scope
from archdsl.records import Record

LARGEST = 2**31 - 1
MOST_CHOICES = 50_000  # on the front; beyond, what is spared is rounded down
FEW = 8  # blocks, of which all choices are tried
SHARE = 3  # a block of more than a third of the network is taken apart


class Fit(Record):
    """How a network fits.

    Attributes:
        training: of the largest batch that fits; None if none does.
        chosen: blocks that were chosen to be computed again.
        without: bytes that a step of one sample takes without them; None if none were needed.
        next: bytes that one sample more takes.
        least: bytes that a step of one sample takes with all blocks computed again, if that is
            still too much.
    """

    training: Training | None
    chosen: tuple[str, ...] = ()
    without: int | None = None
    next: int | None = None
    least: int | None = None


class Unfit(ValueError):
    """It can't be said what fits. The text is a sentence."""


def fit(
    checked: CheckedGraph, memory: int, options: Options, frozen: Set[str] = frozenset()
) -> Fit:
    """Find the largest batch whose training step takes at most so many bytes.

    Raises:
        Unfit: what a step takes isn't known.
    """

    def step(batch: int, checkpoint: frozenset[str] = options.checkpoint) -> Training:
        return Training(
            checked, options._replace(batch=batch, checkpoint=checkpoint), frozen, shown=True
        )

    first = step(1)
    without = _size(first)
    if without <= memory:
        return _largest(step, memory)
    names = candidates(checked)
    if options.checkpoint or not names:  # a user's own choice stands
        return Fit(None, without=without)
    chosen = least(checked, step(1), memory, names)
    if chosen is None:
        return Fit(None, without=without, least=_size(step(1, frozenset(names))))
    found = _largest(lambda batch: step(batch, frozenset(chosen)), memory)
    return found._replace(chosen=chosen, without=without)


def _size(training: Training) -> int:
    if training.unknown:
        raise Unfit(f"what a step takes isn't known: {training.unknown}")
    if training.peak is None:
        raise Unfit("what a step takes depends on the free sizes: give them with `--input`")
    return training.peak.size


def _largest(step: Callable[[int], Training], memory: int) -> Fit:
    """Find the largest batch by bisection; one more takes more."""
    fits, more = 1, 2
    while more <= LARGEST and _size(step(more)) <= memory:
        fits, more = more, 2 * more
    while more - fits > 1:
        middle = (fits + more) // 2
        if _size(step(middle)) <= memory:
            fits = middle
        else:
            more = middle
    return Fit(step(fits), next=_size(step(fits + 1)))


def candidates(checked: CheckedGraph) -> list[str]:
    """Return the blocks that may be computed again, none of them within another.

    They are the outermost uses of blocks, or groups; what holds a large part of the network is
    taken apart, and so is what can't be computed again as one.
    """
    inner: dict[str, list[Scope]] = {}
    sizes: dict[str, int] = {}
    for scope in checked.scopes.values():
        if scope.parent is not None:
            inner.setdefault(scope.parent.name, []).append(scope)
    for node in checked.nodes.values():
        around: Scope | None = node.scope
        while around is not None:
            sizes[around.name] = sizes.get(around.name, 0) + 1
            around = around.parent
    found: list[str] = []
    waiting = inner.get("", [])[::-1]
    while waiting:
        scope = waiting.pop()
        within = inner.get(scope.name, [])
        large = SHARE * sizes.get(scope.name, 0) > sizes.get("", 0)
        if within and (large or not scope.block):
            waiting += within[::-1]
        elif scope.name in sizes:
            found.append(scope.name)
    while why := unfit(checked, {*found}):
        taken_apart = [
            [each.name for each in inner.get(name, ()) if each.name in sizes]
            if name in why
            else [name]
            for name in found
        ]
        found = [name for names in taken_apart for name in names]
    return found


class _Choice(Record):
    spared: int
    cost: int
    chosen: tuple[int, ...]


def least(
    checked: CheckedGraph, plain: Training, memory: int, names: list[str]
) -> tuple[str, ...] | None:
    """Return the blocks with which a step takes at most so many bytes and computes least again.

    None if no choice is found that does.
    """
    sizes: dict[tuple[str, ...], int] = {}

    def fits(chosen: tuple[str, ...]) -> bool:
        if chosen not in sizes:
            options = plain.options._replace(checkpoint=frozenset(chosen))
            sizes[chosen] = _size(Training(checked, options, plain.frozen))
        return sizes[chosen] <= memory

    whole = plain.options._replace(checkpoint=frozenset(names))
    blocks = _Blocks(plain, Training(checked, whole, plain.frozen), names)
    held = _size(plain) - blocks.plain_peak  # beside what the walk counts
    room, found = memory - held, None
    while room > 0 and (found := blocks.solve(room)) is not None and not fits(found):
        room -= sizes[found] - memory  # what blocks share counts for none alone
    if found is None or not fits(found):
        found = tuple(names)
        for name in names:  # some may take more than they spare
            rest = _without(found, name)
            if not fits(found) and (fits(rest) or sizes[rest] < sizes[found]):
                found = rest
    if fits(found):
        for name in found:  # what turns out to be needed no more
            rest = _without(found, name)
            if blocks.spared[name] <= memory - sizes[found] and fits(rest):
                found = rest
    else:
        found = None
    if len(names) > FEW:
        return found
    most = inf if found is None else blocks.cost_of(found)
    every = [each for count in range(len(names) + 1) for each in combinations(names, count)]
    cheaper = sorted((cost, each) for each in every if (cost := blocks.cost_of(each)) < most)
    return next((each for _, each in cheaper if fits(each)), found)


def _without(names: tuple[str, ...], name: str) -> tuple[str, ...]:
    return tuple(one for one in names if one != name)


class _Blocks:
    """What blocks take in a step, as they are and computed again."""

    def __init__(self, plain: Training, every: Training, names: list[str]) -> None:
        self.regions = every.regions
        as_is = Walk(plain.tape)
        as_is.peak()
        again = Walk(every.tape, every.regions)
        again.peak()
        self.plain_peak = as_is.best.size
        self.names = _names_of(every, names)  # of a block that is applied again, at each use
        self.first = [self.names.index(name) for name in self.names]
        self.recurring = {at for at, first in enumerate(self.first) if at != first}
        self.recurring |= {self.first[at] for at in self.recurring}
        self.costs = _costs(every)
        # what those before spare together, where all are computed again
        spared = [0]
        # each until the next begins: what goes from one to the other is there that long
        ends = [*[region.first - 1 for region in self.regions[1:]], len(plain.tape.ops) - 1]
        for end, region in zip(ends, self.regions, strict=False):
            at = max(end, region.stop - 1)
            spared.append(as_is.after[at] - again.after[at])
        self.spares = [after - before for before, after in pairwise(spared)]
        self.spared = dict.fromkeys(names, 0)
        for name, size in zip(self.names, self.spares, strict=True):
            self.spared[name] += size
        self.kept = [_most(as_is, region) for region in self.regions]
        self.anew = [
            _most(again, region) + before
            for region, before in zip(self.regions, spared, strict=False)
        ]
        # between the blocks: before the first, after it, ...
        gaps = [*[0] * (len(self.regions) + 1)]
        place = 0
        for at in range(len(plain.tape.ops)):
            while place < len(self.regions) and at >= self.regions[place].stop:
                place += 1
            if place == len(self.regions) or at < self.regions[place].first:
                gaps[place] = max(gaps[place], as_is.most.get(at, 0))
        self.gaps = gaps

    def cost_of(self, names: Collection[str]) -> int:
        """Return what blocks compute again together."""
        return sum(cost for name, cost in zip(self.names, self.costs, strict=True) if name in names)

    def solve(self, room: int) -> tuple[str, ...] | None:
        """Return the cheapest choice with which no more is held than there is room for."""
        front = [_Choice(0, 0, ())]
        for at, gap in enumerate(self.gaps):
            front = [one for one in front if gap - one.spared <= room]
            if at == len(self.regions):
                break
            first, parts = self.first[at], dict[frozenset[int], list[_Choice]]()
            for one in front:
                is_chosen = first in one.chosen  # at an earlier use
                if not is_chosen and self.kept[at] - one.spared <= room:
                    parts.setdefault(frozenset(self.recurring.intersection(one.chosen)), []).append(
                        one
                    )
                if (is_chosen or first == at) and self.anew[at] - one.spared <= room:
                    more = _Choice(
                        one.spared + self.spares[at], one.cost + self.costs[at], (*one.chosen, at)
                    )
                    parts.setdefault(
                        frozenset(self.recurring.intersection(more.chosen)), []
                    ).append(more)
            # what was chosen of blocks that come again matters beside the two numbers
            front = [one for part in parts.values() for one in _undominated(part, room)]
        if not front:
            return None
        best = min(front, key=lambda one: (one.cost, -one.spared))
        return tuple(dict.fromkeys(self.names[at] for at in best.chosen))


def _undominated(choices: list[_Choice], room: int) -> list[_Choice]:
    """Leave out what another choice betters both in what it spares and in what it costs."""
    choices.sort(key=lambda one: (one.cost, -one.spared))
    found: list[_Choice] = []
    for one in choices:
        if not found or one.spared > found[-1].spared:
            found.append(one)
    if len(found) <= MOST_CHOICES:
        return found
    unit = room // MOST_CHOICES + 1
    rounded = [one._replace(spared=one.spared // unit * unit) for one in found]
    return _undominated(rounded, room)


def _most(walk: Walk, region: Region) -> int:
    return max((walk.most.get(at, 0) for at in range(region.first, region.stop)), default=0)


def _names_of(training: Training, names: list[str]) -> list[str]:
    """Return the names of the regions in their order."""
    first = {}
    numbers = dict(zip(names, [set(group) for group in _grouped(training, names)], strict=True))
    for name, nodes in numbers.items():
        for region in training.regions:
            if training.tape.ops[region.first].node in nodes:
                first[region] = name
    return [first[region] for region in training.regions]


def _grouped(training: Training, names: list[str]) -> list[list[int]]:
    return [
        [number for group in groups(training.checked, {name}) for number in group] for name in names
    ]


def _costs(training: Training) -> list[int]:
    nodes: dict[int, int] = {}
    for number, size in training.again.items():
        assert isinstance(size, int)
        nodes[number] = size
    found = []
    for region in training.regions:
        inside = {op.node for op in training.tape.ops[region.first : region.stop]}
        found.append(sum(nodes.get(number, 0) for number in inside))
    return found
