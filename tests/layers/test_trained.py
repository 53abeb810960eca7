"""What autograd keeps of each layer, to the byte, against the storages that torch keeps.

A new layer is covered as soon as it is declared.
"""

from __future__ import annotations

import random
import re
import warnings
from collections.abc import Iterable, Iterator

import pytest
import torch
from test_layers import KINDS, SMALL, inferred, options, resized
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch_facts import Built, is_lacking, tensors, usual

from archdsl.layers import autograd
from archdsl.layers.base import (
    ArgumentErrors,
    Facts,
    Layer,
    LayerError,
    Shapes,
    construct,
    numel,
)
from archdsl.layers.registry import Registry

# Which of two kernels runs hangs on the number of threads, and they lay their result out otherwise;
# so does RMSNorm along axes of one place.
EITHER = ("Conv3d", "ConvTranspose3d", "RMSNorm")
# Layers that don't say what they keep: kernels for whole sequences keep what they like, and which
# one runs hangs on masks; sums of products are taken apart in many ways.
UNSAID = {"LSTM", "GRU", "RNN", "ScaledDotProductAttention", "Einsum", "IndexSelect"}
SAYING = [kind for kind in KINDS if kind.__name__ not in UNSAID]
MOST = 60  # choices of arguments for each example
WIDTHS = {torch.float32: 4, torch.bfloat16: 2}
BATCHES = (1, 3)

pytestmark = pytest.mark.usefixtures("one_thread")


def uses(kind: type[Layer]) -> Iterator[tuple[Layer, Facts, Shapes]]:
    """Yield a layer with many choices of arguments, and the shapes of its inputs."""
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
            if not is_lacking(facts.torch):
                yield construct(kind, arguments), facts, shapes


def kept_by_torch(module: nn.Module, inputs: Iterable[Tensor]) -> tuple[int, list[int]]:
    """Return the bytes of the storages that a forward pass keeps, less what the module owns.

    And the strides of its output.
    """
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        output = module(*inputs)
    for own in (*module.parameters(), *module.buffers()):
        kept.pop(own.untyped_storage().data_ptr(), None)
    found = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    return found, strides(output.shape, output.stride())


def strides(shape: Iterable[int], found: Iterable[int]) -> list[int]:
    """Return strides, less those of axes of size 1, which may be anything."""
    return [stride for size, stride in zip(shape, found, strict=True) if size != 1]


def laid(tensor: Tensor, order: str) -> Tensor:
    """Return an equal tensor whose numbers lie in another order, or with gaps."""
    if order == "reversed":
        axes = [0, *range(tensor.dim() - 1, 0, -1)]
        return tensor.permute(axes).contiguous().permute(axes)
    if order == "last" and tensor.dim() > 2:
        return tensor.movedim(1, -1).contiguous().movedim(-1, 1)
    if order == "gaps":
        wide = torch.stack([tensor, tensor], dim=tensor.dim())
        return wide.select(tensor.dim(), 1)
    return tensor


def kept_by_us(
    layer: Layer, facts: Facts, given: Iterable[Tensor], width: int, grad: bool
) -> tuple[int, list[int]]:
    given = list(given)
    tape = autograd.Autograd(width, len(given[0]) if given else 1)
    own = autograd.own_tensors(facts.params, facts.buffers, width)
    tape.begin(0, (tape.batch, *facts.output), own, overwrites=False)
    inputs = []
    for one in given:
        storage = autograd.Storage(one.untyped_storage().nbytes())
        needs = grad and one.is_floating_point()
        inputs.append(
            autograd.Tensor(tuple(one.shape), one.stride(), storage, one.element_size(), needs)
        )
    output = layer.trained(tape, *inputs)
    assert output.shape == tape.output
    return sum(storage.size for storage in tape.kept()), strides(output.shape, output.strides)


def wrong(kind: type[Layer], order: str) -> list[str]:
    found = []
    for layer, facts, shapes in uses(kind):
        for dtype, width in WIDTHS.items():
            for batch in BATCHES:
                for grad in (True, False):
                    module = Built(facts.torch).train().to(dtype)
                    given = [
                        laid(one.to(dtype) if one.is_floating_point() else one, order)
                        for one in tensors(shapes, usual(kind), batch)
                    ]
                    if grad:
                        given = [
                            one.requires_grad_() if one.is_floating_point() else one
                            for one in given
                        ]
                    try:
                        expected = kept_by_torch(module, given)
                    except (RuntimeError, ValueError) as error:
                        # statistics of one number, and kernels that are lacking for 16 bits
                        if re.search("not implemented for|Expected more than 1", str(error)):
                            continue
                        if order and "view" in str(error):
                            continue
                        raise
                    ours = kept_by_us(layer, facts, given, width, grad)
                    if order and kind.__name__ in EITHER:
                        ours, expected = (ours[0], []), (expected[0], [])
                    if ours != expected:
                        found.append(
                            f"{layer} of {shapes}, batch {batch}, {dtype}, {grad=}: "
                            f"{ours}, in torch {expected}"
                        )
    return found


@pytest.mark.parametrize("kind", SAYING, ids=lambda kind: kind.__name__)
def test_what_is_kept_is_what_torch_keeps(kind: type[Layer]) -> None:
    found = wrong(kind, "")

    assert not found, "\n".join([f"{len(found)} differ", *found[:6]])


@pytest.mark.parametrize("kind", sorted(UNSAID))
def test_what_is_not_said_is_refused(kind: str) -> None:
    layer = construct(Registry()[kind], Registry()[kind].examples[0].arguments)

    with pytest.raises(LayerError, match="doesn't say what its backward pass keeps"):
        layer.trained(autograd.Autograd(4, 1), autograd.Autograd(4, 1).new((1, 3, 2)))


@pytest.mark.parametrize("order", ["reversed", "last", "gaps"])
@pytest.mark.parametrize("kind", SAYING, ids=lambda kind: kind.__name__)
def test_what_is_kept_follows_how_inputs_lie(kind: type[Layer], order: str) -> None:
    found = wrong(kind, order)

    assert not found, "\n".join([f"{len(found)} differ", *found[:6]])
