"""How fast a device can be at most: what each layer computes and moves, and the roofline of both.

The least time of a node is `max(operations / peak, bytes / bandwidth)` (Williams, Waterman and
Patterson: Roofline: An Insightful Visual Performance Model for Multicore Architectures, 2009). It
is a bound and no forecast, under these conventions:

* The nodes run one after the other, forward, in inference, without those of training only.
* A multiply-accumulate is two operations, at the peak of units for matrix products; what else a
  node computes (`Facts.other`) is done meanwhile, at the peak of all others.
* A node reads what comes in and its parameters and buffers from memory, each once, and writes its
  result there. A view moves nothing, and neither does what computes nothing and keeps the shape
  (dropout). Windows that leave places out (a kernel of 1 with a stride of 2) read those they see.
  What looks things up reads as much as it gives.

It can be beaten where that is not so: by a compiler that fuses layers, by caches that keep small
tensors, by algorithms that multiply less (Winograd).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction

from archdsl.analysis.devices import Device
from archdsl.graph import CheckedGraph
from archdsl.layers.base import Facts, Window, numel
from archdsl.layers.sizes import Formula
from archdsl.layers.tensor import InputTensor, OwnTensor
from archdsl.records import Record

WIDTHS: Mapping[str, int] = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}
OTHERS: Mapping[str, int] = {"int": 8, "bool": 1}  # bytes of what is no float
COMPUTE, MEMORY = "compute", "memory"


class Bound(Record):
    """The least time of one node, or of several together.

    Attributes:
        bytes: that move.
        operations: floating-point operations: two for a multiply-accumulate.
        seconds: the least time.
        waiting: how much of it nodes take that wait for memory, and not for arithmetic.
    """

    bytes: int
    operations: int
    seconds: float
    waiting: float

    @property
    def intensity(self) -> float | None:
        """Operations a byte; None where nothing moves."""
        return self.operations / self.bytes if self.bytes else None

    @property
    def by(self) -> str:
        """What most of the time is spent on: "compute", "memory", or "" where it takes none."""
        if not self.seconds:
            return ""
        return MEMORY if 2 * self.waiting > self.seconds else COMPUTE


class Roofline(Record):
    """The least times of a network on a device, by node, and together.

    Attributes:
        nodes: those that inference runs.
    """

    device: Device
    batch: int
    dtype: str
    nodes: Mapping[str, Bound]
    total: Bound


class NoRoofline(Exception):
    """It can't be worked out; the text says why."""


def roofline(
    checked: CheckedGraph, device: Device, batch: int = 1, dtype: str = "float32"
) -> Roofline:
    """Return the least times of a network.

    Raises:
        NoRoofline: sizes are free, or the device has no peak for the type of numbers.
    """
    if any(isinstance(size, Formula) for shape in checked.inputs.values() for size in shape):
        raise NoRoofline("the sizes of its inputs are free")
    if dtype not in device.matrix or dtype not in device.vector:
        known = ", ".join(device.matrix)
        raise NoRoofline(f"{device.name} has no peak for {dtype}: it has some for {known}")
    found: dict[str, Bound] = {}
    moves = _Moves(checked, batch, WIDTHS[dtype])
    names = checked.names
    for number, (layer, facts) in enumerate(
        zip(checked.arrays.layers, checked.arrays.facts, strict=True)
    ):
        if number in checked.aside or isinstance(layer, InputTensor | OwnTensor):
            continue
        times = batch if facts.batched else 1
        matrix = 2 * _int(facts.macs) * times  # peaks count a multiplication and an addition
        vector = sum(map(_int, facts.other.values())) * times
        # the two kinds of units work at the same time, so the slower one is waited for
        arithmetic = max(matrix / device.matrix[dtype], vector / device.vector[dtype])
        moved = moves.of(number)
        memory = moved / device.bandwidth
        seconds = max(arithmetic, memory)
        waiting = memory if memory > arithmetic else 0.0
        found[names[number]] = Bound(moved, matrix + vector, seconds, waiting)
    return Roofline(device, batch, dtype, found, together(found.values()))


def together(bounds: Iterable[Bound]) -> Bound:
    """Return the bound of nodes that run one after the other."""
    each = list(bounds)
    return Bound(
        sum(one.bytes for one in each),
        sum(one.operations for one in each),
        sum(one.seconds for one in each),
        sum(one.waiting for one in each),
    )


class _Moves:
    """How many bytes nodes read and write."""

    def __init__(self, checked: CheckedGraph, batch: int, width: int) -> None:
        self.arrays = checked.arrays
        self.held = checked.held
        self.batch = batch
        self.width = width

    def of(self, number: int) -> int:
        layer, facts = self.arrays.layers[number], self.arrays.facts[number]
        reads = self.arrays.reads[number]
        if facts.view or self._is_nothing(facts, reads):
            return 0
        written = self._bytes(number)
        if layer.indices() is not None:  # of its table it reads what it gives
            return 2 * written + sum(map(self._bytes, reads))
        seen = {read for place, read in enumerate(reads) if place not in facts.shape_only}
        kept = sum(
            _int(numel(shape)) for shape in (*facts.params.values(), *facts.buffers.values())
        )
        part = _seen(facts)
        read = sum(int(self._bytes(one) * part) for one in seen)
        return read + kept * self.width + written

    def _is_nothing(self, facts: Facts, reads: tuple[int, ...]) -> bool:
        """Tell whether a node may give what it gets, as dropout does in inference."""
        return (
            len(reads) == 1
            and facts.macs == 0
            and not facts.other
            and not facts.params
            and facts.output == self.arrays.facts[reads[0]].output
        )

    def _bytes(self, number: int) -> int:
        facts = self.arrays.facts[number]
        width = OTHERS.get(self.held.get(number, ""), self.width)
        if self.held.get(number) == "complex":
            width = 2 * self.width
        return _int(numel(facts.output)) * width * (self.batch if facts.batched else 1)


def _seen(facts: Facts) -> Fraction:
    """Return which part of their input windows see at least."""
    part = Fraction(1)
    if not isinstance(facts.windows, str):
        for window in facts.windows:
            part *= _along(window)
    return part


def _along(window: Window) -> Fraction:
    if isinstance(window.size, Formula) or isinstance(window.stride, Formula):
        return Fraction(1)
    if window.stride <= window.size:
        return Fraction(1)
    return Fraction(window.size) / Fraction(window.stride)


def _int(size: object) -> int:
    assert isinstance(size, int)  # no size of the inputs is free
    return size
