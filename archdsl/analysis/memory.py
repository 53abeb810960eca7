"""How many bytes a network needs for its parameters and for the tensors that flow through it.

The conventions, for a batch of one:

* A float takes `bytes_per_number` bytes (4 is float32), an integer 8, as torch's indices do, true
  or false 1, and a complex number what two floats take. So do `buffer`s; what else a layer stores
  (`num_batches_tracked`) takes `bytes_per_number`.
* Each node writes its output to memory of its own, save views (`Flatten`, `Select`), which share
  that of the tensor they view, also where torch must copy (`Flatten` behind `Permute`). Nothing is
  done in place.
* A layer that works in several steps holds their results while it runs, and training keeps them:
  what attention makes of its input, the squares of a local response normalization. Not counted
  is what an operation of torch keeps for itself: which places a maximum came from, which numbers
  a dropout left, means and variances, columns of a convolution.
* A tensor that the network owns (`parameter`, `buffer`) is counted as such and not as activation.
* Training keeps every tensor of the forward pass, the inputs among them, until the backward pass.
* Inference runs the nodes in the order of the spec, without those that only training needs. The
  inputs are there from the start. Each tensor is freed as soon as the last node that reads it or
  a view of it has run, outputs excepted; the peak is the most bytes held while any node runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from typing import TypeVar

from archdsl.analysis.agreement import Assumptions, assumptions
from archdsl.analysis.cost import CostTable
from archdsl.analysis.loops import Alike, Fewer
from archdsl.analysis.ordering import never_less
from archdsl.analysis.solving import Requirement
from archdsl.graph import CheckedGraph, EachNode, Numbered
from archdsl.layers.base import Dtype, Layer, TorchTensor, numel
from archdsl.layers.sizes import Formula, FormulaError, Size, substitute, total
from archdsl.layers.tensor import InputTensor, OwnTensor
from archdsl.records import Record

BYTES_PER_NUMBER = 4
BYTES: Mapping[Dtype, int] = {"int": 8, "bool": 1}  # of what is no float
# each is compared with the likeliest, formula by formula
MOST_CANDIDATES = 2_000
SAMPLES = (0, 1, 2, 7, 100_000)  # steps from the smallest size that does


class MemoryTable(Record):
    """Memory in bytes; the module's docstring says what is counted.

    Attributes:
        nodes: what the output of each node takes; 0 for views and for tensors of the network.
        inputs: of the inputs alone.
        training: of all outputs and inputs, and of the results inside layers.
        peak: the most that inference holds; None if that isn't known, and then `unknown` says why.
        running: `peak_at`, or nothing, which takes as long as to name all nodes.
    """

    bytes_per_number: int
    nodes: EachNode[Size]
    parameters: Size
    buffers: Size
    inputs: Size
    training: Size
    peak: Size | None
    running: Set[str]
    unknown: str = ""

    @property
    def peak_at(self) -> str:
        """The node that runs when the most is held.

        "" if that depends on free sizes, or if nothing needs more than the inputs.
        """
        return next(iter(self.running), "")


def memory(
    checked: CheckedGraph, costs: CostTable, bytes_per_number: int = BYTES_PER_NUMBER
) -> MemoryTable:
    """Work out what parameters and activations take.

    Raises:
        FormulaError: a total depends on free sizes in too intricate a way to write it down.
    """
    widths = _Widths(checked, bytes_per_number)
    sizes = widths.outputs()
    inside = widths.inside()
    peak, runs, unknown = _peak(checked, sizes, inside)
    drawn = total([often * facts.inside_training for facts, often in checked.tally])
    return MemoryTable(
        bytes_per_number=bytes_per_number,
        nodes=EachNode(sizes, lambda: checked.names),
        parameters=costs.parameters.total * bytes_per_number,
        buffers=costs.buffers.training * bytes_per_number + _more(checked, bytes_per_number),
        inputs=total([sizes[number] for number in _inputs(checked)]),
        training=total([*sizes, *inside.values(), drawn * bytes_per_number]),
        peak=peak,
        running=Numbered(frozenset() if runs is None else frozenset({runs}), lambda: checked.names),
        unknown=unknown,
    )


class _Widths:
    """How many bytes tensors take: of floats as many as asked for, of others what torch takes."""

    def __init__(self, checked: CheckedGraph, bytes_per_number: int) -> None:
        self.checked = checked
        self.plain = bytes_per_number
        self.each = dict(BYTES) | {"float": self.plain, "complex": 2 * self.plain}

    def outputs(self) -> list[Size]:
        """Return the bytes of what each node gives; 0 for views and tensors of the network."""
        arrays = self.checked.arrays
        layers = dict(zip(map(id, arrays.facts), arrays.layers, strict=True))
        known: dict[int, Size] = {}
        for facts, _ in self.checked.tally:
            own = isinstance(layers[id(facts)], OwnTensor) and isinstance(facts.torch, TorchTensor)
            known[id(facts)] = 0 if facts.view or own else numel(facts.output) * self.plain
        found = [*map(known.__getitem__, map(id, arrays.facts))]
        for number, dtype in self.checked.held.items():
            if found[number] != 0:
                found[number] = numel(arrays.facts[number].output) * self.each[dtype]
        return found

    def inside(self) -> dict[int, Size]:
        """Return the bytes of results inside nodes that have some."""
        held = self.checked.held
        if all(facts.inside == 0 for facts, _ in self.checked.tally):
            return {}
        return {
            number: facts.inside * self.each[held.get(number, "float")]
            for number, facts in enumerate(self.checked.arrays.facts)
            if facts.inside != 0
        }


def _inputs(checked: CheckedGraph) -> list[int]:
    return [number for number, _ in _those(checked, InputTensor)]


L = TypeVar("L", bound=Layer)


def _those(checked: CheckedGraph, kind: type[L]) -> Iterator[tuple[int, L]]:
    """Yield the layers of a kind with the numbers of their nodes."""
    layers = checked.arrays.layers
    # to ask each of thousands of layers takes far longer than to ask each of their few classes
    kinds = {each for each in {*map(type, layers)} if issubclass(each, kind)}
    for number, layer in enumerate(layers) if kinds else ():
        if type(layer) in kinds and isinstance(layer, kind):
            yield number, layer


def _more(checked: CheckedGraph, bytes_per_number: int) -> Size:
    """Return what the module's own tensors take beyond its parameters and buffers as floats.

    That is more for buffers that hold no floats, and all of constants, which aren't stored.
    """
    layers, facts = checked.arrays.layers, checked.arrays.facts
    each = dict(BYTES) | {"float": bytes_per_number}
    constants = [
        numel(facts[number].output) * each[checked.held.get(number, "float")]
        for number, layer in _those(checked, OwnTensor)
        if not layer.stored and isinstance(facts[number].torch, TorchTensor)
    ]
    wider = [
        numel(facts[number].buffers[""]) * (BYTES[dtype] - bytes_per_number)
        for number, dtype in checked.held.items()
        if isinstance(layers[number], OwnTensor) and dtype in BYTES and facts[number].buffers
    ]
    return total([*constants, *wider])


def _peak(
    checked: CheckedGraph, sizes: Sequence[Size], inside: Mapping[int, Size]
) -> tuple[Size | None, int | None, str]:
    """Return the most that is held, and the node that runs then, or why that isn't known."""
    try:
        held = list(_held(checked, sizes, inside))
    except FormulaError:
        return None, None, "the bytes held depend on the free sizes in too intricate a way"
    known = [(size, -number) for number, size in held if isinstance(size, int)]
    if len(known) == len(held):
        peak, number = max(known)  # the first of several
        is_input = isinstance(checked.arrays.layers[-number], InputTensor)
        return peak, None if is_input else -number, ""
    peak_size, unknown = _largest([*dict.fromkeys(size for _, size in held)], assumptions(checked))
    return peak_size, None, unknown


def _fewer(checked: CheckedGraph) -> Fewer:
    """Leave out turns of loops in which as much is held as in another one.

    A tensor is read in its turn and in the next one, so the turns between are alike in what they
    hold. Only a view of what the turn before made goes on with its memory, maybe from turn to turn.
    """
    facts, reads, alike = checked.arrays.facts, checked.arrays.reads, Alike(checked)

    def settles(at: int, size: int, left: int) -> bool:
        return alike(at, size, left) and not any(
            facts[number].view and at - size <= reads[number][0] < at
            for number in range(at, at + size)
        )

    return Fewer(checked, settles)


def _held(
    checked: CheckedGraph, sizes: Sequence[Size], inside: Mapping[int, Size]
) -> Iterator[tuple[int, Size]]:
    """Yield each node that inference runs with the bytes held while it does.

    Of turns of a loop that are alike one stands for the others.
    """
    facts, aside, fewer = checked.arrays.facts, checked.aside, _fewer(checked)
    numbers = fewer.numbers
    count = len(numbers)
    storage = list(range(count))  # the place of the node whose memory the output of each lies in
    last = storage[:]  # by the node that owns memory: the last that reads it
    run = [at for at in range(count) if numbers[at] not in aside] if aside else range(count)
    for at in run:
        reads = fewer.reads[at]
        if reads:
            if facts[numbers[at]].view:
                storage[at] = storage[reads[0]]
            for read in reads:
                last[storage[read]] = at
        # what nobody reads is freed as soon as it has run
        last[storage[at]] = at
    pairs = zip(checked.ends, checked.outputs, strict=True)
    kept = {storage[fewer.place(end)] for end, output in pairs if not output.training_only}
    freed: dict[int, list[int]] = {}
    for at in run:
        if storage[at] == at and at not in kept:
            freed.setdefault(last[at], []).append(at)
    inputs = {number for number in _inputs(checked) if number not in aside}
    held = total([sizes[number] for number in inputs])
    for at in run:
        number = numbers[at]
        if number not in inputs:
            held = held + sizes[number]
        # its inputs, its output and the results between them are all there at once
        yield number, held + inside[number] if number in inside else held
        for old in freed.get(at, ()):
            held = held - sizes[numbers[old]]


def _largest(candidates: list[Size], known: Assumptions) -> tuple[Size | None, str]:
    """Return the one candidate that is the largest for all sizes at which shapes agree.

    Trying some sizes leaves one that may be, and the bounds of formulas show whether it is.
    """
    if not known.possible:
        return None, "no sizes make all shapes agree"
    if len(candidates) > MOST_CANDIDATES:
        return None, "too many sums of tensors depend on the free sizes to compare them"
    likely = set(candidates)
    for values in _samples(known):
        found = {size: substitute(size, values) for size in candidates}
        most = max(number for number in found.values() if isinstance(number, int))
        likely = {size for size in likely if found[size] == most}
    shifted: dict[str, Size] = {
        name: _free_from(each) for name, each in known.requirements.items() if not each.only
    }
    # bounds hold from 1 on, and the sizes that do may begin later
    others = [substitute(size, shifted) for size in candidates]
    for size in candidates:
        if size in likely:
            largest = substitute(size, shifted)
            if all(never_less(largest, other) for other in others):
                return size, ""
            break
    return None, "which tensors take the most together depends on the free sizes"


def _samples(known: Assumptions) -> Iterator[dict[str, Size]]:
    """Yield sizes at which shapes agree: small and large ones, and one large beside small ones."""
    for steps in SAMPLES:
        yield {name: _value(each, steps) for name, each in known.requirements.items()}
    for large in known.requirements:
        yield {
            name: _value(each, SAMPLES[-1] if name == large else 0)
            for name, each in known.requirements.items()
        }


def _value(requirement: Requirement, steps: int) -> int:
    if requirement.only:
        return requirement.only[min(steps, len(requirement.only) - 1)]
    return requirement.smallest + steps * requirement.modulus


def _free_from(requirement: Requirement) -> Size:
    """Return what takes the values of a size as its name takes those from 1 on.

    Where several remainders do, all sizes from the smallest on are taken.
    """
    step = requirement.modulus if len(requirement.remainders) == 1 else 1
    return step * Formula.named(requirement.name) + (requirement.smallest - step)
