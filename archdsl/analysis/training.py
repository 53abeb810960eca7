"""What a training step needs in memory: see `docs/counting.md`.

The operations of a step are taken down layer by layer (`Layer.trained`), with what autograd keeps
of each. From them follow the bytes that are kept from the forward pass to the backward pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Set

from archdsl.analysis.overwriting import overwriting
from archdsl.graph import CheckedGraph
from archdsl.layers.autograd import INDEX, Autograd, Tensor, own_tensors
from archdsl.layers.own import asked
from archdsl.layers.sizes import Size, total
from archdsl.layers.tensor import InputTensor

WIDTHS: Mapping[str, int] = {"int": INDEX, "bool": 1}  # of what is no float


def taken_down(
    checked: CheckedGraph,
    width: int,
    batch: Size = 1,
    fused: bool = True,
    frozen: Set[str] = frozenset(),
) -> Autograd:
    """Take down the forward pass of a training step.

    Raises:
        LayerError: a layer doesn't say what its backward pass keeps.
    """
    tape = Autograd(width, batch, fused)
    arrays, held, overwrites = checked.arrays, checked.held, overwriting(checked)
    own: dict[int, dict[str, Tensor]] = {}
    made: list[Tensor] = []
    for number, (layer, facts, reads) in enumerate(
        zip(arrays.layers, arrays.facts, arrays.reads, strict=True)
    ):
        owner = arrays.shares.get(number, number)
        if owner not in own and (facts.params or facts.buffers or owner in arrays.ties):
            names = _frozen(checked, owner, frozen) if frozen else ()
            own[owner] = own_tensors(facts.params, facts.buffers, width, names)
            if owner in arrays.ties:
                for tie in checked.nodes[checked.names[owner]].ties:
                    own[owner][tie.name] = own[checked.numbers[tie.owner]][tie.of]
        output = (batch, *facts.output) if facts.batched else facts.output
        tape.begin(number, output, own.get(owner, {}), owner in overwrites)
        if isinstance(layer, InputTensor):
            made.append(tape.new(tape.output, WIDTHS.get(held.get(number, ""), width)))
            continue
        made.append(asked(layer, layer.trained, tape, *[made[read] for read in reads]))
    tape.ends = [made[end] for end in checked.ends]
    return tape


def _frozen(checked: CheckedGraph, owner: int, frozen: Set[str]) -> list[str]:
    name = checked.names[owner]
    facts = checked.arrays.facts[owner]
    return [each for each in facts.params if (f"{name}.{each}" if each else name) in frozen]


def kept(tape: Autograd) -> Size:
    """Return how many bytes are kept for the backward pass."""
    return total([storage.size for storage in tape.kept()])
