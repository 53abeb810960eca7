"""With the same weights, the compiled networks give the outputs of torchvision's and timm's.

To the last bit, on a CPU: the largest difference is 0.0, but for those in `APART`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from library import sampled
from torch import nn
from twins import TWINS, Twin, draw

from archdsl.backends.torch_module import torch_module

# Names that torchvision gives to outputs, by ours
AUXILIARY = {"aux1": "aux_logits1", "aux2": "aux_logits2", "aux": "aux_logits"}

# Files whose networks compute the same in another order, and how far apart that is: a part of the
# largest output. DaViT's windows and MobileViT's patches are an axis here and stand in the batch
# there, and CoAtNet's queries are copied there, for which torch has other kernels of attention;
# NFNet's weights are standardized there by a batch normalization.
APART = {"coatnet.arch": 1e-6, "davit.arch": 1e-5, "mobilevit.arch": 1e-6, "nfnet.arch": 1e-5}


def pair(twin: Twin) -> tuple[nn.Module, nn.Module, list[torch.Tensor]]:
    """Return our module and the other with the same random weights, and inputs, two of each."""
    torch.manual_seed(0)
    other = twin.other("meta").to_empty(device="cpu")
    for key, tensor in other.state_dict().items():
        fill(key, tensor)
    for inner in other.modules():  # what timm has in no state_dict
        getattr(inner, "init_non_persistent_buffers", lambda: None)()
    graph = twin.graph(twin.inputs)
    # constants are in no state_dict, so they have to be made
    made = any(node.type == "constant" for node in graph.nodes.values())
    ours = torch_module(graph, device="cpu" if made else "meta").eval()
    ours.load_state_dict(other.state_dict(), assign=True)
    return ours, other, draw(2, twin.inputs.values())


def fill(name: str, tensor: torch.Tensor) -> None:
    """Draw weights that keep activations near 1, and statistics that are not those of a new layer.

    He et al., Delving Deep into Rectifiers, 2015, arXiv:1502.01852.
    """
    if not tensor.is_floating_point():
        tensor.zero_()
    elif tensor.dim() > 1:
        tensor.normal_(std=(2 / tensor[0].numel()) ** 0.5)
    elif name.endswith(("weight", "running_var")):
        tensor.uniform_(0.5, 1.5)
    else:
        tensor.normal_(std=0.1)


@torch.no_grad()
@pytest.mark.parametrize("name", sampled(TWINS))
def test_same_outputs(name: str) -> None:
    ours, twin, inputs = pair(TWINS[name])

    one, two = ours(*inputs), twin(*inputs)

    if isinstance(two, dict) and len(two) > 1:
        assert one._fields == tuple(two)
    theirs = [*two.values()] if isinstance(two, dict) else [two]
    for mine, other in zip([one] if len(theirs) == 1 else one, theirs, strict=True):
        assert other.std() > 0
        apart = (mine - other).abs().max() / other.abs().max()
        assert apart <= APART.get(TWINS[name].file, 0.0)


@torch.no_grad()
@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_same_auxiliary_outputs_in_training(name: str) -> None:
    rates = ["dropout", "dropout_aux"] if name == "googlenet" else ["dropout"]
    certain = dict.fromkeys(rates, 0.0)
    twin = replace(TWINS[name], build=partial(TWINS[name].build, **certain), parameters=certain)
    ours, other, inputs = pair(twin)

    one, two = ours.train()(*inputs), other.train()(*inputs)

    for output in one._fields:
        assert torch.equal(getattr(one, output), getattr(two, AUXILIARY.get(output, output)))
