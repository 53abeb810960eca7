"""The most memory that a training step holds: forward, backward, and the change of the parameters.

The operations that were taken down are gone through as torch does:

* Forward, a result is freed after its last use, unless the backward pass needs it or the network
  gives it. The inputs stay.
* Backward, operations come in the opposite order. Each gets the gradient of its result, makes those
  of its inputs, and then what it kept and the gradient that it got are freed. Gradients that come
  to a tensor from several readers are added up. Those of parameters stay.
* What is checkpointed keeps no more than what comes in. Its forward pass is run again as soon as
  the backward pass comes to it.
* Then the optimizer changes one parameter after the other, with memory for what it works out.

Not counted is what a kernel takes for itself while it runs.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Literal

from archdsl.layers.autograd import Autograd, Op, Storage, Tensor
from archdsl.layers.sizes import Size, numel
from archdsl.records import Record

Phase = Literal["forward", "backward", "update"]

STEP = 4  # bytes in which Adam and Adafactor count their steps, for each parameter


class Optimizer(Record):
    """What an optimizer of torch takes for a parameter.

    Attributes:
        state: bytes that it keeps from step to step.
        scratch: bytes that it holds for a moment while it changes the parameter.
    """

    state: Size
    scratch: Size


def sgd(x: Tensor) -> Optimizer:
    """Return what plain gradient descent takes: nothing."""
    return Optimizer(0, 0)


def momentum(x: Tensor) -> Optimizer:
    """Return what gradient descent with momentum takes: a running sum of the gradients."""
    return Optimizer(x.bytes, 0)


def adam(x: Tensor) -> Optimizer:
    """Return what Adam takes: two running means; the root of one, and what that is divided by."""
    return Optimizer(2 * x.bytes + STEP, 2 * x.bytes)


def adafactor(x: Tensor) -> Optimizer:
    """Return what Adafactor takes: means of rows and columns, and of a vector for each number.

    Source: Shazeer and Stern, Adafactor: Adaptive Learning Rates with Sublinear Memory Cost, 2018,
    arXiv:1804.04235, as in `torch.optim.Adafactor`.
    """
    if len(x.shape) < 2:
        return Optimizer(x.bytes + STEP, 2 * x.bytes)
    rows, columns = (numel((*x.shape[:-2], x.shape[axis])) * x.width for axis in (-2, -1))
    return Optimizer(rows + columns + STEP, x.bytes + rows)


OPTIMIZERS = {
    "sgd": sgd,
    "momentum": momentum,
    "adam": adam,
    "adamw": adam,
    "adafactor": adafactor,
}


class Peak(Record):
    """The most that is held at once, beside what is held all the time.

    Attributes:
        size: bytes, the gradients of the parameters among them.
        node: the number of the node that runs then; None while parameters are changed.
    """

    size: int
    phase: Phase
    node: int | None


class Region(Record):
    """What is checkpointed as one: the operations from `first` on, before `stop`.

    Attributes:
        comes_in: what is kept to compute it again.
    """

    first: int
    stop: int
    comes_in: tuple[Storage, ...]


def regions_of(
    tape: Autograd, groups: Iterable[Sequence[int]], reads: Sequence[Sequence[int]]
) -> list[Region]:
    """Return the regions of groups of nodes that follow each other; `reads` is what each reads."""
    owners = [op.node for op in tape.ops]
    found = []
    for nodes in groups:
        first, stop = bisect_left(owners, nodes[0]), bisect_right(owners, nodes[-1])
        outside = {read: None for node in nodes for read in reads[node] if read < nodes[0]}
        comes_in = [tape.results[read].storage for read in outside]
        kept = dict.fromkeys(one for one in comes_in if not one.own)
        # where nothing is computed, what comes in is kept all the same
        found.append(Region(min(first, len(owners) - 1), stop, tuple(kept)))
    return sorted(found, key=lambda region: region[:2])


class Walk:
    """Goes through a training step, and keeps count of the bytes that are held."""

    def __init__(self, tape: Autograd, regions: Sequence[Region] = ()) -> None:
        inputs = tape.inputs
        self.tape = tape
        self.ops = tape.ops
        self.regions = regions
        self.held = 0
        self.node: int | None = None  # whose gradients are worked out
        self.at = 0  # the operation that runs
        self.most: dict[int, int] = {}  # the most that is held while each runs, forward or backward
        self.after: dict[int, int] = {}  # what is held after each, forward
        self.best = Peak(0, "forward", None)
        self.alive: set[Storage] = set()
        self.pinned = {one.storage for one in (*inputs, *tape.ends)}
        self.inputs = inputs
        self.ends = tape.ends
        # for each operation, what is freed after it: forward, and backward
        self.last: dict[Storage, int] = {}
        self.first_saver: dict[Storage, int] = {}
        inside = [-1] * len(self.ops)
        for number, region in enumerate(regions):
            inside[region.first : region.stop] = [number] * (region.stop - region.first)
        self.inside = inside
        for index, op in enumerate(self.ops):
            for storage in _touched(op):
                self.last[storage] = index
            if inside[index] < 0:
                for storage in op.saved:
                    self.first_saver.setdefault(storage, index)
        for region in regions:
            for storage in region.comes_in:
                before = self.first_saver.get(storage, region.first)
                self.first_saver[storage] = min(before, region.first)

    def peak(self) -> Peak:
        """Return the most that is held, beside parameters, buffers and optimizer state."""
        for one in self.inputs:
            self._take(one.storage)
        self._forward()
        self._backward()
        return self.best

    def _take(self, storage: Storage) -> None:
        if not storage.own and storage not in self.alive:
            self.alive.add(storage)
            self.held += _int(storage.size)

    def _free(self, storage: Storage) -> None:
        if storage in self.alive:
            self.alive.discard(storage)
            self.held -= _int(storage.size)

    def _look(self, phase: Phase, node: int | None, more: int = 0) -> None:
        if self.held + more > self.most.get(self.at, 0):
            self.most[self.at] = self.held + more
        if self.held + more > self.best.size:  # of several places with as much the first is said
            self.best = Peak(self.held + more, phase, node)

    def _forward(self) -> None:
        ends: list[list[Storage]] = [[] for _ in self.ops]
        for storage, index in self.last.items():
            if storage not in self.first_saver and storage not in self.pinned:
                ends[index].append(storage)
        for index, op in enumerate(self.ops):
            self.at = index
            for storage in _touched(op):
                self._take(storage)
            self._look("forward", op.node)
            for storage in ends[index]:
                self._free(storage)
            self.after[index] = self.held

    def _backward(self) -> None:
        frees: list[list[Storage]] = [[] for _ in self.ops]
        for storage, index in self.first_saver.items():
            if storage not in self.pinned:
                frees[index].append(storage)
        gradients: dict[int, _Gradient] = {}  # by the identity of the tensor
        for one in self.ends:
            if one.needs_grad:
                self._arrive(gradients, one, _Gradient(_int(one.bytes)))
        learned: set[Storage] = set()
        again: dict[int, dict[int, list[int]]] = {}
        for index in range(len(self.ops) - 1, -1, -1):
            self.at = index
            op, number = self.ops[index], self.inside[index]
            if number >= 0 and op.saved and number not in again:
                again[number] = self._recompute(self.regions[number])
            gradient = gradients.pop(id(op.output), None)
            if gradient is not None:
                if op.repeats:
                    self._repeat(op, learned, frees[index])
                self._back(op, gradient, gradients, learned)
            for storage in frees[index]:
                self._free(storage)
            if number in again:
                for size in again[number].pop(index, ()):
                    self.held -= size

    def _repeat(self, op: Op, learned: set[Storage], frees: Iterable[Storage]) -> None:
        """Go back through many steps, each of which frees what was kept for it alone.

        So what is kept becomes less while the gradients of what comes in become more: the most is
        held in the first step or in the last one.
        """
        own = {one.storage for one in op.inputs if one.needs_grad and one.storage.own}
        # one after the other is added up: what a step gives and what those before gave make a sum
        sizes = [_int(one.size) for one in own]
        there = sum(_int(one.size) for one in own & learned)
        self._look("backward", op.node, sum(sizes) - there + 2 * max(sizes, default=0))
        for storage in frees:
            self._free(storage)

    def _back(
        self,
        op: Op,
        gradient: _Gradient,
        gradients: dict[int, _Gradient],
        learned: set[Storage],
    ) -> None:
        """Make the gradients of what goes into an operation."""
        self.node, moment = op.node, 0
        for one in op.inputs:
            if not one.needs_grad:
                continue
            if op.sums and one.shape != op.output.shape:
                moment = max(moment, _int(op.output.bytes))
            if one.storage.own:
                if one.storage in learned:  # it is added to the one that is there
                    moment += _int(one.storage.size)
                else:
                    learned.add(one.storage)
                    self.held += _int(one.storage.size)
            elif op.passes:
                gradient.readers += 1
                self._arrive(gradients, one, gradient)
            else:
                if op.repeats:  # one for each step is joined to one for all
                    moment += _int(one.bytes)
                self._arrive(gradients, one, _Gradient(_int(one.bytes)))
        self._look("backward", op.node, moment)
        self._leave(gradient)

    def _arrive(self, gradients: dict[int, _Gradient], one: Tensor, gradient: _Gradient) -> None:
        """Add a gradient to what has come to a tensor before."""
        if gradient.readers == 0:
            gradient.readers = 1
            self.held += gradient.size
        before = gradients.get(id(one))
        if before is None:
            gradients[id(one)] = gradient
            return
        added = before
        if before.readers > 1:  # others have it, so it can't be written over
            added = _Gradient(_int(one.bytes), readers=1)
            self.held += added.size
        self._look("backward", self.node)
        if added is not before:
            self._leave(before)
        self._leave(gradient)
        gradients[id(one)] = added

    def _leave(self, gradient: _Gradient) -> None:
        gradient.readers -= 1
        if gradient.readers == 0:
            self.held -= gradient.size

    def _recompute(self, region: Region) -> dict[int, list[int]]:
        """Run a region's forward pass again; return what is freed after which operation."""
        ops = self.ops[region.first : needed(self.tape, region)]
        saver: dict[Storage, int] = {}
        last: dict[Storage, int] = {}
        outside = {*region.comes_in}
        for index, op in enumerate(ops, start=region.first):
            for storage in _touched(op):
                last[storage] = index
            for storage in op.saved:
                saver.setdefault(storage, index)
        there: set[Storage] = set()
        ends: dict[int, list[Storage]] = {}
        for storage, index in last.items():
            if storage not in saver:
                ends.setdefault(index, []).append(storage)
        for index, op in enumerate(ops, start=region.first):
            for storage in _touched(op):
                if storage not in there and storage not in outside and not storage.own:
                    there.add(storage)
                    self.held += _int(storage.size)
            self._look("backward", op.node)
            for storage in ends.get(index, ()):
                if storage in there:
                    there.discard(storage)
                    self.held -= _int(storage.size)
        frees: dict[int, list[int]] = {}
        for storage in there:
            frees.setdefault(saver[storage], []).append(_int(storage.size))
        return frees


class _Gradient:
    __slots__ = ("readers", "size")

    def __init__(self, size: int, readers: int = 0) -> None:
        self.size = size
        self.readers = readers


def _touched(op: Op) -> list[Storage]:
    return [*[one.storage for one in op.inputs], *op.held, op.output.storage]


def _int(size: Size) -> int:
    assert isinstance(size, int)
    return size


def updated(peak: Peak, held: int, scratch: Iterable[int]) -> Peak:
    """Return the peak with the change of the parameters, which holds so much beside its scratch."""
    most = held + max(scratch, default=0)
    return Peak(most, "update", None) if most > peak.size else peak


def needed(tape: Autograd, region: Region) -> int:
    """Return where the forward pass of a region that is run again ends."""
    last = max(
        (at for at in range(region.first, region.stop) if tape.ops[at].saved),
        default=region.first - 1,
    )
    if last < region.first:
        return region.first
    there = {op.output.storage for op in tape.ops[region.first : last]}
    there.update(region.comes_in)
    # what it needs of others is there before it runs; what it makes isn't
    return last + any(one not in there and not one.own for one in tape.ops[last].saved)
