"""How many bytes a network needs for its parameters and for the tensors that flow through it.

The conventions, for a batch of one:

* A float takes `bytes_per_number` bytes (4 is float32), an integer 8, as torch's indices do, true
  or false 1, and a complex number what two floats take. So do `buffer`s; what else a layer stores
  (`num_batches_tracked`) takes `bytes_per_number`.
* Each node writes its output to memory of its own, save views (`Flatten`, `Select`), which share
  that of the tensor they view. Nothing is done in place.
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

from collections.abc import Iterator, Mapping

from archdsl.analysis.agreement import Assumptions, assumptions
from archdsl.analysis.cost import CostTable
from archdsl.analysis.ordering import never_less
from archdsl.analysis.solving import Requirement
from archdsl.graph import CheckedGraph, Node
from archdsl.layers.base import Dtype, numel
from archdsl.layers.sizes import Formula, FormulaError, Size, substitute, total
from archdsl.layers.tensor import OwnTensor
from archdsl.records import Record

BYTES_PER_NUMBER = 4
BYTES: Mapping[Dtype, int] = {"int": 8, "bool": 1}  # of what is no float
MOST_CANDIDATES = 2_000
SAMPLES = (0, 1, 2, 7, 100_000)  # steps from the smallest size that does


class MemoryTable(Record):
    """Memory in bytes; the module's docstring says what is counted.

    Attributes:
        nodes: what the output of each node takes; 0 for views and for tensors of the network.
        inputs: of the inputs alone.
        training: of all outputs and inputs, and of the results inside layers.
        peak: the most that inference holds; None if that isn't known, and then `unknown` says why.
        peak_at: the node that runs when the most is held; "" if that depends on free sizes, or if
            nothing needs more than the inputs.
    """

    bytes_per_number: int
    nodes: Mapping[str, Size]
    parameters: Size
    buffers: Size
    inputs: Size
    training: Size
    peak: Size | None
    peak_at: str = ""
    unknown: str = ""


def memory(
    checked: CheckedGraph, costs: CostTable, bytes_per_number: int = BYTES_PER_NUMBER
) -> MemoryTable:
    """Work out what parameters and activations take.

    Raises:
        FormulaError: a total depends on free sizes in too intricate a way to write it down.
    """
    each = dict(BYTES) | {"float": bytes_per_number, "complex": 2 * bytes_per_number}
    nodes = {name: _bytes(node, each[checked.dtype(name)]) for name, node in checked.nodes.items()}
    inside = {
        name: node.facts.inside * each[checked.dtype(name)]
        for name, node in checked.nodes.items()
        if node.facts.inside != 0
    }
    drawn = total(node.facts.inside_training for node in checked.nodes.values())
    peak, peak_at, unknown = _peak(checked, nodes, inside)
    return MemoryTable(
        bytes_per_number=bytes_per_number,
        nodes=nodes,
        parameters=costs.parameters.total * bytes_per_number,
        buffers=costs.buffers.training * bytes_per_number + _more(checked, bytes_per_number),
        inputs=total(nodes[name] for name in checked.inputs),
        training=total([*nodes.values(), *inside.values(), drawn * bytes_per_number]),
        peak=peak,
        peak_at=peak_at,
        unknown=unknown,
    )


def _bytes(node: Node, bytes_per_number: int) -> Size:
    if node.facts.view or isinstance(node.layer, OwnTensor):
        return 0
    return numel(node.shape) * bytes_per_number


def _more(checked: CheckedGraph, bytes_per_number: int) -> Size:
    """Return how many bytes buffers that hold no floats take beyond as many floats."""
    return total(
        numel(node.facts.buffers[""]) * (BYTES[dtype] - bytes_per_number)
        for name, dtype in checked.dtypes.items()
        for node in [checked.nodes[name]]
        if isinstance(node.layer, OwnTensor) and dtype in BYTES
    )


def _peak(
    checked: CheckedGraph, nodes: Mapping[str, Size], inside: Mapping[str, Size]
) -> tuple[Size | None, str, str]:
    try:
        held = list(_held(checked, nodes, inside))
    except FormulaError:
        return None, "", "the bytes held depend on the free sizes in too intricate a way"
    known = [(size, name) for name, size in held if isinstance(size, int)]
    candidates: list[Size] = list(dict.fromkeys(size for _, size in held))
    if len(known) == len(held):
        peak, peak_at = max(known, key=lambda each: each[0])
        return peak, "" if peak_at in checked.inputs else peak_at, ""
    return _largest(candidates, assumptions(checked))


def _held(
    checked: CheckedGraph, nodes: Mapping[str, Size], inside: Mapping[str, Size]
) -> Iterator[tuple[str, Size]]:
    """Yield each node that inference runs with the bytes held while it does."""
    storage: dict[str, str] = {}  # node -> the node whose memory its output lies in
    last: dict[str, str] = {}  # node that owns memory -> the last node that reads it
    run = [name for name in checked.nodes if name not in checked.training_only]
    for name in run:
        node = checked.nodes[name]
        storage[name] = storage[node.inputs[0]] if node.facts.view and node.inputs else name
        last[storage[name]] = name
        for read in node.inputs:
            last[storage[read]] = name
    kept = {storage[output.node] for output in checked.outputs if not output.training_only}
    freed: dict[str, list[str]] = {}
    for name, reader in last.items():
        if name not in kept:
            freed.setdefault(reader, []).append(name)
    held = total(nodes[name] for name in run if name in checked.inputs)
    for name in run:
        if name not in checked.inputs:
            held = held + nodes[name]
        yield name, held + inside[name] if name in inside else held
        for old in freed.get(name, ()):
            held = held - nodes[old]


def _largest(candidates: list[Size], known: Assumptions) -> tuple[Size | None, str, str]:
    """Return the one candidate that is the largest for all sizes at which shapes agree.

    Trying some sizes leaves one that may be, and the bounds of formulas show whether it is.
    """
    if not known.possible:
        return None, "", "no sizes make all shapes agree"
    if len(candidates) > MOST_CANDIDATES:
        return None, "", "too many sums of tensors depend on the free sizes to compare them"
    likely = set(candidates)
    for values in _samples(known):
        found = {size: substitute(size, values) for size in candidates}
        most = max(number for number in found.values() if isinstance(number, int))
        likely = {size for size in likely if found[size] == most}
    shifted: dict[str, Size] = {
        name: _free_from(each) for name, each in known.requirements.items() if not each.only
    }
    others = [substitute(size, shifted) for size in candidates]
    for size in candidates:
        if size in likely:
            largest = substitute(size, shifted)
            if all(never_less(largest, other) for other in others):
                return size, "", ""
            break
    return None, "", "which tensors take the most together depends on the free sizes"


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
