"""Figures of a network from its instances: each body is counted once, however often it is used.

A block that is worked out once has one body (`elaborate/bodies.py`), also in the next variant. What
a body comes to is summed up here: its sums, the longest path from each input to each result, and
how the bytes held rise and fall while it runs. The figures of a network follow from those of the
bodies in it, without its nodes. It covers what most networks are: all that is unusual (`reuse`,
outputs of training only, integers, free sizes, what reaches into a block) is counted node by node,
and the rules are those of `analysis`, which tests and every hundredth variant compare.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

from archdsl.analysis.memory import BYTES_PER_NUMBER
from archdsl.dtypes import FLOAT, dtype_of
from archdsl.elaborate.bodies import Again, Body, Instance, Item, Made
from archdsl.elaborate.network import Worked
from archdsl.layers.base import Facts, Layer, LayerError, numel
from archdsl.layers.tensor import InputTensor, OwnTensor
from archdsl.records import Record

NONE = -1  # there is no path


# What nodes come to together: parameters, buffers, macs, other operations, and bytes kept; for the
# bytes see `analysis/memory.py`. Plain tuples, since there are many, and the garbage collector
# leaves those of numbers alone.
Sums = tuple[int, int, int, int, int]


# A part of the time in which a body runs: the most bytes held in it, beyond those at the start of
# the body, and the inputs that are read for the last time at its end.
Segment = tuple[int, tuple[int, ...]]


class Summary(Record):
    """What a body comes to.

    Attributes:
        paths: for each result, the layers that count on the longest path from each input, and
            from tensors of the network's own.
        segments: how the bytes held rise and fall if no input is freed.
        end: bytes held at the end, beyond those at the start.
        results: for each result, the bytes of its memory; that of an input has its number.
        reads: which inputs are read at all.
    """

    sums: Sums
    paths: tuple[tuple[int, ...], ...]
    segments: tuple[Segment, ...]
    end: int
    results: tuple[tuple[int, int], ...]
    reads: tuple[int, ...]


class Unusual(Exception):
    """It has to be counted node by node."""


# What a node comes to by itself: its sums, then bytes of its result, bytes inside, and whether it
# is a view.
_Node = tuple[int, int, int, int, int, int, int, bool]


class Instances:
    """Sums up bodies, which must stay the same objects as long as this lives."""

    def __init__(self) -> None:
        self._bodies: dict[int, tuple[Body, Summary | None]] = {}
        self._nodes: dict[tuple[int, int, int], tuple[Layer, Facts, _Node | None]] = {}

    def figures(self, worked: Worked) -> tuple[int, ...] | None:
        """Return the figures of a network in the order of `figures.NAMES`; None if unusual."""
        if any(training for _, _, training, _ in worked.outputs):
            return None
        try:
            ends = tuple(dict.fromkeys(number for _, number, _, _ in worked.outputs))
            found = _Walk(self, worked.body, ends).summary()
        except Unusual:
            return None
        parameters, buffers, macs, other, training = found.sums
        return (
            max(max(path) for path in found.paths),
            parameters,
            parameters,
            buffers,
            macs,
            macs,
            other,
            other,
            parameters * BYTES_PER_NUMBER,
            training,
            max(peak for peak, _ in found.segments),
        )

    def body(self, body: Body) -> Summary:
        known = self._bodies.get(id(body))
        if known is None:
            try:
                summary = None if body.flow is None else _Walk(self, body, body.flow).summary()
            except Unusual:
                summary = None
            known = self._bodies[id(body)] = body, summary
        if known[1] is None:
            raise Unusual
        return known[1]

    def node(self, made: Made) -> _Node:
        key = id(made.layer), id(made.facts), len(made.inputs)
        known = self._nodes.get(key)
        if known is None:
            layer, facts = made.layer, made.facts
            known = self._nodes[key] = layer, facts, _node(layer, facts, len(made.inputs))
        if known[2] is None:
            raise Unusual
        return known[2]


def _node(layer: Layer, facts: Facts, inputs: int) -> _Node | None:
    """Return what a node comes to, or None if that is unusual."""
    if facts.agreements or not (_plainly(type(layer)) or _gives_floats(layer, inputs)):
        return None
    held = not facts.view and not isinstance(layer, OwnTensor)
    size = numel(facts.output) * BYTES_PER_NUMBER if held else 0
    inside = facts.inside * BYTES_PER_NUMBER
    numbers = [
        sum(map(numel, facts.params.values())),
        sum(map(numel, facts.buffers.values())),
        facts.macs,
        sum(facts.other.values()),
        size + inside + facts.inside_training * BYTES_PER_NUMBER,
    ]
    known = [number for number in numbers if isinstance(number, int)]
    if len(known) < len(numbers) or not isinstance(size, int) or not isinstance(inside, int):
        return None
    if not isinstance(numel(facts.output), int):
        return None
    return known[0], known[1], known[2], known[3], known[4], size, inside, facts.view


@cache
def _plainly(kind: type[Layer]) -> bool:
    """Tell whether layers of a kind give floats for floats, whatever their arguments."""
    return kind.dtype is Layer.dtype and kind.takes.get(FLOAT) == FLOAT


def _gives_floats(layer: Layer, inputs: int) -> bool:
    try:
        return FLOAT in layer.takes and dtype_of(layer, (FLOAT,) * inputs) == FLOAT
    except LayerError:
        return False


# A node or a use of a block: the number of its first node, what it reads, and what it comes to.
_Step = tuple[Made | Instance, int, tuple[int, ...], _Node | None, Summary | None]


class _Walk:
    """Goes through the items of a body, each as one step, in two passes."""

    def __init__(self, home: Instances, body: Body, ends: tuple[int, ...]) -> None:
        self.home = home
        self.ends = ends
        self.inputs = len(body.incoming)
        self.steps: list[_Step] = []
        number = 0
        for item, numbers in _items(body.items, body.items, ()):
            if type(item) is Made:
                if item.shares >= 0 or item.ties:
                    raise Unusual
                self.steps.append((item, number, numbers, home.node(item), None))
                number += 1
            else:
                assert type(item) is Instance
                self.steps.append((item, number, numbers, None, home.body(item.body)))
                number += item.body.size

    def summary(self) -> Summary:
        storage = {~at: ~at for at in range(self.inputs)}  # whose memory a tensor lies in
        sizes: dict[int, int] = {}
        last: dict[int, int] = {}  # step that reads some memory last
        unread: set[int] = set()
        paths = {
            ~at: tuple([0 if at == other else NONE for other in range(self.inputs + 1)])
            for at in range(self.inputs)
        }
        start: tuple[int, ...] = (*(NONE,) * self.inputs, 0)
        parameters = buffers = macs = other = training = entered = 0
        for at, (item, number, reads, node, inner) in enumerate(self.steps):
            for read in reads:
                if read not in storage:
                    raise Unusual  # it reads what is inside a block
                unread.discard(read)
            if node is not None:
                a, b, c, d, e, size, _, view = node
                for read in reads:
                    last[storage[read]] = at
                if view and reads:
                    storage[number] = storage[reads[0]]
                else:
                    storage[number] = number
                    sizes[number] = size
                last[storage[number]] = at
                if type(item) is Made and isinstance(item.layer, InputTensor):
                    entered += size
                path = _longest([paths[read] for read in reads] or [start])
                if c:
                    path = tuple([far + 1 if far >= 0 else NONE for far in path])
                paths[number] = path
                unread.add(number)
            else:
                assert inner is not None
                assert type(item) is Instance
                a, b, c, d, e = inner.sums
                for which in inner.reads:
                    last[storage[reads[which]]] = at
                flow = item.body.flow or ()
                came = [paths[read] for read in reads] + [start]
                for result, (size, origin), way in zip(
                    flow, inner.results, inner.paths, strict=True
                ):
                    if result < 0:
                        continue  # what came in goes on as it is
                    made = number + result
                    if origin < 0:
                        storage[made] = storage[reads[~origin]]
                    else:
                        storage[made] = number + origin
                        sizes[number + origin] = size
                    last[storage[made]] = at
                    paths[made] = _longest(
                        [
                            tuple([far + step if far >= 0 else NONE for far in path])
                            for path, step in zip(came, way, strict=True)
                            if step >= 0
                        ]
                    )
                    unread.add(made)
            parameters += a
            buffers += b
            macs += c
            other += d
            training += e
        if not storage.keys() >= {*self.ends} or unread - {*self.ends}:
            raise Unusual
        kept = {storage[end] for end in self.ends}
        segments, end = self._held(storage, sizes, last, kept, entered)
        return Summary(
            (parameters, buffers, macs, other, training),
            tuple([paths[one] for one in self.ends]),
            segments,
            end,
            tuple([(sizes.get(storage[one], 0), storage[one]) for one in self.ends]),
            tuple([~one for one in last if one < 0]),
        )

    def _held(
        self,
        storage: dict[int, int],
        sizes: dict[int, int],
        last: dict[int, int],
        kept: set[int],
        entered: int,
    ) -> tuple[tuple[Segment, ...], int]:
        """Follow the bytes held, as `analysis.memory` does node by node."""
        over: dict[int, list[int]] = {}
        for memory, at in last.items():
            if memory < 0 or memory not in kept:
                over.setdefault(at, []).append(memory)
        segments: list[Segment] = []
        held, peak = entered, entered
        for at, (item, _, reads, node, inner) in enumerate(self.steps):
            ending = over.get(at, ())
            if node is not None:
                if type(item) is Made and not isinstance(item.layer, InputTensor):
                    held += node[5]
                peak = max(peak, held + node[6])
                passed: list[int] = []
                for memory in ending:
                    if memory >= 0:
                        held -= sizes[memory]
                    else:
                        passed.append(~memory)
                if passed:
                    segments.append((peak, tuple(passed)))
                    peak = held
                continue
            assert inner is not None
            waiting: dict[int, int] = {}  # how many inputs of the block lie in some memory
            for which in inner.reads:
                memory = storage[reads[which]]
                waiting[memory] = waiting.get(memory, 0) + 1
            before, freed = held, 0
            for segment in inner.segments:
                most, passing = segment
                peak = max(peak, before + most - freed)
                passed = []
                for which in passing:
                    memory = storage[reads[which]]
                    waiting[memory] -= 1
                    if waiting[memory] or memory not in ending:
                        continue
                    if memory >= 0:
                        freed += sizes[memory]
                    else:
                        passed.append(~memory)
                if passed:
                    segments.append((peak, tuple(passed)))
                    peak = 0
            held = before + inner.end - freed
        segments.append((peak, ()))
        return tuple(segments), held


def _longest(paths: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    if len(paths) == 1:
        return paths[0]
    return tuple(map(max, zip(*paths, strict=True)))


def _items(
    every: Sequence[Item], items: Sequence[Item], moves: tuple[tuple[int, int], ...]
) -> Iterator[tuple[Made | Instance, tuple[int, ...]]]:
    """Yield nodes and instances with the numbers that they read, turns of loops one by one."""
    for item in items:
        if type(item) is Made:
            yield item, _moved(item.inputs, moves)
        elif type(item) is Instance:
            yield item, _moved(item.incoming, moves)
        elif type(item) is Again:
            for turn in range(1, item.times + 1):
                move = item.start - item.size, turn * item.size
                yield from _items(every, every[item.first : item.last], (*moves, move))


def _moved(numbers: tuple[int, ...], moves: tuple[tuple[int, int], ...]) -> tuple[int, ...]:
    if not moves:
        return numbers
    return tuple(
        [
            one + sum([by for floor, by in moves if floor <= one]) if one >= 0 else one
            for one in numbers
        ]
    )
