"""How a network is trained in a given memory: the largest batch, or the least to compute again.

Where not even one sample fits, blocks and groups are checkpointed: those whose forward passes, run
again, cost the fewest multiply-accumulates together. None of them is in another. Where there are
few such sets, all that are cheaper than what was found are tried, each by going through the whole
step: no set is better.

Where there are many, a good one is looked for. Of blocks one after the other what is spared, while
one of them runs, forward or backward, are the tensors of those before it. So a choice for the
blocks so far matters by two numbers alone: what it spares, and what it costs. Going from block to
block (dynamic programming), all choices are kept that no other betters in both (their Pareto front)
and with which the memory does for all that has run. That is done with the blocks of each level.
Then blocks are left out, or give way to what is in them, as long as that is better.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Set
from itertools import pairwise, product
from math import prod

from archdsl.analysis.checkpoints import unfit, uses_of
from archdsl.analysis.peak import Region, Walk, regions_of
from archdsl.analysis.training import Options, Training
from archdsl.graph import CheckedGraph, Scope
from archdsl.records import Record

LARGEST = 2**31 - 1
MOST_CHOICES = 50_000  # on the front; beyond, what is spared is rounded down
# Nodes that are gone through to try sets of blocks, a step of the network for each: seconds.
MOST_NODES = 100_000
SHARE = 3  # a block of more than a third of the network is taken apart


class Fit(Record):
    """How a network fits.

    Attributes:
        training: of the largest batch that fits; None if none does.
        chosen: blocks that were chosen to be computed again.
        without: bytes that a step of one sample takes without them; None if none were needed.
        next: bytes that one sample more takes.
        least: bytes that a step of one sample takes at least, of the sets of blocks that were
            tried, if that is still too much.
        tried: how many sets of blocks were tried, if more there are; None if no set is better.
    """

    training: Training | None
    chosen: tuple[str, ...] = ()
    without: int | None = None
    next: int | None = None
    least: int | None = None
    tried: int | None = None


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
    if options.checkpoint:  # a user's own choice stands
        return Fit(None, without=without)
    found = least(checked, step(1), memory)
    if found.chosen is None:
        return Fit(None, without=without, least=found.least, tried=found.tried)
    chosen = found.chosen
    largest = _largest(lambda batch: step(batch, frozenset(chosen)), memory)
    return largest._replace(chosen=chosen, without=without, tried=found.tried)


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


class _Level(Record):
    """Scopes, and of each whether it can be computed again as one, with those that are in it."""

    name: str
    fits: bool
    inner: tuple[_Level, ...]

    @property
    def number(self) -> int:
        """How many sets there are of scopes in it, or it, none of them within another."""
        return self.fits + prod(one.number for one in self.inner)

    def sets(self) -> Iterator[tuple[str, ...]]:
        """Yield them all."""
        if self.fits:
            yield (self.name,)
        for parts in product(*([*one.sets()] for one in self.inner)):
            yield tuple(name for part in parts for name in part)

    def cut(self, depth: int) -> list[str]:
        """Return the scopes of a depth, and where there are none so deep, the deepest."""
        below = [name for one in self.inner for name in one.cut(depth - 1)] if depth else []
        return below or ([self.name] if self.fits else [])

    @property
    def depth(self) -> int:
        """How deep the scopes in it are nested."""
        return max((1 + one.depth for one in self.inner), default=0)


def levels_of(checked: CheckedGraph) -> _Level:
    """Return all that may be computed again, as it is nested."""
    inner: dict[str, list[str]] = {}
    depths: dict[int, set[str]] = {}
    depth_of = {"": 0}
    for scope in checked.scopes.values():  # what is around comes first
        if scope.parent is not None:
            inner.setdefault(scope.parent.name, []).append(scope.name)
            depth_of[scope.name] = 1 + depth_of[scope.parent.name]
            depths.setdefault(depth_of[scope.name], set()).add(scope.name)
    filled = {around.name for node in checked.nodes.values() for around in _around(node.scope)}
    wrong = {name for names in depths.values() for name in unfit(checked, names)}

    def level(name: str) -> _Level:
        within = (level(one) for one in inner.get(name, ()) if one in filled)
        return _Level(name, name != "" and name not in wrong, tuple(within))

    return level("")


def _around(scope: Scope | None) -> Iterator[Scope]:
    while scope is not None:
        yield scope
        scope = scope.parent


class Least(Record):
    """What is computed again.

    Attributes:
        chosen: the blocks; None if nothing was found that fits.
        least: bytes of the smallest step that was tried; None if there is nothing to choose.
        tried: how many sets of blocks were tried, where one that wasn't may be better; else None.
    """

    chosen: tuple[str, ...] | None
    least: int | None
    tried: int | None


def least(checked: CheckedGraph, plain: Training, memory: int) -> Least:
    """Return the blocks with which a step takes at most so many bytes and computes least again."""
    search, every = _Search(checked, plain, memory), levels_of(checked)
    cuts = dict.fromkeys(tuple(every.cut(depth)) for depth in range(1, every.depth + 1))
    for names in [tuple(candidates(checked)), *cuts]:
        if names:
            search.one_after_the_other(names)
    if every.number * len(checked.nodes) <= MOST_NODES:
        search.all_of(every)
        return Least(search.best, search.least if every.number > 1 else None, None)
    search.improve(every)
    return Least(search.best, search.least, len(search.sizes))


class _Search:
    """Sets of blocks that were tried, and the best that fits."""

    def __init__(self, checked: CheckedGraph, plain: Training, memory: int) -> None:
        self.checked = checked
        self.plain = plain
        self.memory = memory
        self.sizes: dict[tuple[str, ...], int] = {(): _size(plain)}
        self.costs: dict[str, int] = {}
        self.best: tuple[str, ...] | None = None

    @property
    def least(self) -> int:
        """Bytes of the smallest step that was tried."""
        return min(self.sizes.values())

    def rank(self, chosen: tuple[str, ...]) -> tuple[int, int, tuple[str, ...]]:
        """Return what is less for what is better: less is computed again, in fewer blocks."""
        return sum(self.costs[name] for name in chosen), len(chosen), chosen

    def fits(self, chosen: tuple[str, ...]) -> bool:
        """Try a set, and keep the best."""
        if chosen not in self.sizes:
            options = self.plain.options._replace(checkpoint=frozenset(chosen))
            self.sizes[chosen] = _size(Training(self.checked, options, self.plain.frozen))
        if self.sizes[chosen] > self.memory:
            return False
        if self.best is None or self.rank(chosen) < self.rank(self.best):
            self.best = chosen
        return True

    def all_of(self, every: _Level) -> None:
        """Try all sets that are better than the best."""
        ranks = sorted(map(self.rank, every.sets()))
        for rank in ranks:
            if self.fits(rank[-1]):
                return

    def one_after_the_other(self, names: tuple[str, ...]) -> None:
        """Find a good set of some blocks, none of which is in another."""
        plain, checked = self.plain, self.checked
        whole = plain.options._replace(checkpoint=frozenset(names))
        blocks = _Blocks(plain, Training(checked, whole, plain.frozen), list(names))
        for name in names:
            self.costs[name] = blocks.cost_of({name})
        held = self.sizes[()] - blocks.plain_peak  # beside what the walk counts
        room, found = self.memory - held, None
        while room > 0 and (found := blocks.solve(room)) is not None and not self.fits(found):
            room -= self.sizes[found] - self.memory  # what blocks share counts for none alone
        if found is None or not self.fits(found):
            found = names
            for name in names:  # some may take more than they spare
                rest = _without(found, name)
                if not self.fits(found) and (
                    self.fits(rest) or self.sizes[rest] < self.sizes[found]
                ):
                    found = rest
        if self.fits(found):
            for name in found:  # what turns out to be needed no more
                rest = _without(found, name)
                if blocks.spared[name] <= self.memory - self.sizes[found] and self.fits(rest):
                    found = rest

    def improve(self, every: _Level) -> None:
        """Change the best block by block; where none fits yet, that which takes least."""
        inner = _inner(every)
        left = MOST_NODES // len(self.checked.nodes)
        while left > 0:
            if self.best is None:
                found = min(self.sizes, key=lambda one: (self.sizes[one], one))
                other = [one for one in _changed(found, inner, every) if one not in self.sizes]
            else:
                found = self.best
                now = self.rank(found)
                other = sorted(_changed(found, inner, every), key=self.rank)
                other = [one for one in other if self.rank(one) < now and one not in self.sizes]
            for one in other[:left]:
                left -= 1
                if self.fits(one) or (self.best is None and self.sizes[one] < self.sizes[found]):
                    break
            else:
                return


def _inner(every: _Level) -> Mapping[str, tuple[str, ...]]:
    """Return the nearest blocks that are in each block and can be computed again."""
    found: dict[str, tuple[str, ...]] = {}
    waiting = [every]
    while waiting:
        level = waiting.pop()
        found[level.name] = tuple(name for one in level.inner for name in _nearest(one))
        waiting += level.inner
    return found


def _nearest(level: _Level) -> list[str]:
    return [level.name] if level.fits else [name for one in level.inner for name in _nearest(one)]


def _changed(
    chosen: tuple[str, ...], inner: Mapping[str, tuple[str, ...]], every: _Level
) -> Iterator[tuple[str, ...]]:
    """Yield sets with a block less, with what is in one in its stead, or with one more."""
    order = {name: number for number, name in enumerate(_in_order(every))}
    for at, name in enumerate(chosen):
        before, after = chosen[:at], chosen[at + 1 :]
        for instead in dict.fromkeys([(), inner[name], *((one,) for one in inner[name])]):
            yield (*before, *instead, *after)
    for name in order:
        apart = [one for one in chosen if not f"{one}.".startswith(f"{name}.")]
        if name not in chosen and not any(f"{name}.".startswith(f"{one}.") for one in apart):
            yield tuple(sorted([*apart, name], key=order.__getitem__))


def _in_order(level: _Level) -> list[str]:
    within = [name for one in level.inner for name in _in_order(one)]
    return [level.name, *within] if level.fits else within


def _without(names: tuple[str, ...], name: str) -> tuple[str, ...]:
    return tuple(one for one in names if one != name)


class _Choice(Record):
    spared: int
    cost: int
    chosen: tuple[int, ...]


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
    # down, so that a choice may be missed, and none is taken for one that fits
    unit = room // MOST_CHOICES + 1
    rounded = [one._replace(spared=one.spared // unit * unit) for one in found]
    return _undominated(rounded, room)


def _most(walk: Walk, region: Region) -> int:
    return max((walk.most.get(at, 0) for at in range(region.first, region.stop)), default=0)


def _names_of(training: Training, names: list[str]) -> list[str]:
    """Return the names of the regions in their order."""
    checked, found = training.checked, list[tuple[Region, str]]()
    for name, uses in uses_of(checked, {*names}).items():
        found += [(each, name) for each in regions_of(training.tape, uses, checked.arrays.reads)]
    return [name for _, name in sorted(found, key=lambda pair: pair[0][:2])]


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
