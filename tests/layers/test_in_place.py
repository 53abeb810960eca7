"""What may be written over: every layer against what autograd says when a ReLU does so.

A new layer is covered as soon as it is declared. torch refuses the backward pass where a gradient
needs what was written over, and an input that changes shows that memory was shared.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
import torch
from test_layers import KINDS, SMALL, inferred, options, resized
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch_facts import Built, is_lacking, learns, tensors, usual

from archdsl.layers.base import (
    ArgumentErrors,
    Facts,
    Layer,
    LayerError,
    Shapes,
    TorchFunction,
    TorchModule,
    TorchTensor,
    construct,
    numel,
)

MOST = 60  # choices of arguments for each example
# What only a GPU's kernels need for a gradient, which can't be seen on a CPU.
ON_GPU_ONLY = {"LSTM", "GRU", "RNN"}  # cuDNN's keep the output

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN"),
]


def uses(kind: type[Layer]) -> Iterator[tuple[Facts, Shapes]]:
    """Yield what a layer is with many choices of arguments, and the shapes of its inputs.

    What gives no floats is left out: a ReLU takes none of it, and no gradient comes back.
    """
    generator = random.Random(kind.__name__)
    for example in kind.examples:
        if sum(map(numel, example.inputs)) > 3 * SMALL:
            continue
        for arguments in [*options(kind, example, generator)][:MOST]:
            shapes = resized(example.inputs, generator)
            try:
                facts = inferred(kind, arguments, shapes)
            except (ArgumentErrors, LayerError):
                continue
            if not is_lacking(facts.torch) and learns(construct(kind, arguments), shapes):
                yield facts, shapes


def gradients(module: Built, given: list[Tensor], rectify: nn.Module) -> list[Tensor]:
    """Return the output and all gradients; raise RuntimeError where torch can't go backward."""
    leaves = [one.clone().requires_grad_(one.is_floating_point()) for one in given]
    # not leaves themselves, as inside a network
    inputs = [leaf * 1 if leaf.requires_grad else leaf for leaf in leaves]
    module.zero_grad()
    torch.manual_seed(0)
    output = rectify(module(*inputs))
    # which output a number belongs to must show in the gradients
    (output * torch.arange(output.numel()).reshape(output.shape)).sum().backward()
    if any(not torch.equal(now, before) for now, before in zip(inputs, given, strict=True)):
        raise RuntimeError("an input was written over")
    held = [*leaves, *module.parameters()]
    found = [one.grad.to_dense() for one in held if one.grad is not None]
    return [output.detach(), *found]


def is_safe(facts: Facts, shapes: Shapes, kind: type[Layer], training: bool) -> bool:
    """Tell whether a ReLU behind a layer gives the same in place as otherwise."""
    module = Built(facts.torch).train(training)
    given = tensors(shapes, usual(kind))
    plain = gradients(module, given, nn.ReLU())
    try:
        written = gradients(module, given, nn.ReLU(inplace=True))
    except RuntimeError:
        return False
    return all(map(torch.equal, *(map(torch.nan_to_num, each) for each in (plain, written))))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_what_is_written_over_is_needed_by_no_gradient(kind: type[Layer]) -> None:
    seen = [
        (facts.torch.overwritable, is_safe(facts, shapes, kind, training))
        for facts, shapes in uses(kind)
        if not isinstance(facts.torch, TorchTensor)
        for training in (True, False)
    ]

    if not seen:
        pytest.skip("gives no floats")
    assert all(safe for declared, safe in seen if declared)
    # nor is anything left out that could be: of a layer that says it of no use, some use is unsafe
    if not any(declared for declared, _ in seen) and kind.__name__ not in ON_GPU_ONLY:
        assert not all(safe for _, safe in seen)


OVERWRITING = [
    pytest.param(facts.torch, shapes, id=kind.__name__)
    for kind in KINDS
    for facts, shapes in list(uses(kind))[:1]
    if isinstance(facts.torch, TorchModule) and facts.torch.overwrites
]


@pytest.mark.parametrize(("made", "shapes"), OVERWRITING)
def test_what_writes_over_its_input_gives_the_same_and_keeps_no_more(
    made: TorchModule, shapes: Shapes
) -> None:
    in_place = Built(made._replace(keywords={**made.keywords, "inplace": True}))
    given = tensors(shapes, "float")
    before = Built(TorchFunction("{0} + 0"))
    kept: set[int] = set()

    def pack(tensor: Tensor) -> Tensor:
        kept.add(tensor.untyped_storage().data_ptr())
        return tensor

    assert torch.equal(
        torch.stack(gradients(before, given, Built(made))),
        torch.stack(gradients(before, given, in_place)),
    )
    with saved_tensors_hooks(pack, lambda tensor: tensor):
        in_place(given[0].requires_grad_() + 0)
    assert len(kept) == 1  # of ReLU6 torch keeps a copy of the input in training, and no more
