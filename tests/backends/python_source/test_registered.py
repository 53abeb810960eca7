"""The order of a module's state_dict is that of the spec, with `register` and without."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest
import torch
from compiled import load, verified
from torch import nn

from archdsl.analysis.state import state_dict
from archdsl.backends.python_source import generate
from archdsl.backends.torch_module import torch_module

# As torchvision has it: what runs last is registered first.
MERGING = """
network net {
  input image: [8, 8, 16]
  PatchMerging
  PatchMerging
}

block PatchMerging {
  register reduction
  norm: LayerNorm
  reduction: Linear(2 * in.features, bias = false)
}
"""
CASES = {
    "merging": MERGING,
    # MViT: the projection of the block runs first and is registered last, norm2 before attention
    "mvit": """
    network net { input x: [16, 8]; Unit(12); Unit(12); Unit(16) }
    block Unit(out) {
      register norm1, norm2, attn, mlp
      norm1: LayerNorm
      if in.features != out { project: Linear(out) }
      x0: in
      residual { attn: Linear(in.features) }
      norm2: LayerNorm
      residual { mlp: { Linear(2 * out); GELU; Linear(out) } }
    }
    """,
    # torchvision's FPN: the deepest level is computed first
    "fpn": """
    network net {
      input x: [4, 16, 16]
      for i in range(4) { register "inner_blocks.{i}" }
      for i in range(4) { register "layer_blocks.{i}" }
      for i in range(4) {
        "inner_blocks.{3 - i}": Conv2d(4, 1)
        "layer_blocks.{3 - i}": Conv2d(4, 3, padding = 1)
      }
    }
    """,
    # YOLO's C3: `m` runs before `cv3` and is registered after it
    "c3": """
    network net { input x: [8, 8, 8]; C3(8, 2) }
    block C3(out, n) {
      register cv1, cv2, cv3
      concat {
        branch { cv1: Conv2d(out // 2, 1); m: { repeat n { Conv2d(out // 2, 3, padding = 1) } } }
        branch { cv2: Conv2d(out // 2, 1) }
      }
      cv3: Conv2d(out, 1)
    }
    """,
    "a list in another order": """
    network net { input x: [4, 8, 8]; g: { register 2, 0; Conv2d(4, 1); ReLU; Conv2d(4, 1) } }
    """,
    "many of a kind backwards": """
    network net {
      input x: [4, 8, 8]
      for i in range(6) { register "c{5 - i}" }
      for i in range(6) { "c{i}": Conv2d(4, 1) }
    }
    """,
    "many of a kind forwards": """
    network net {
      input x: [4, 8, 8]
      for i in range(6) { register "c{i}" }
      for i in range(6) { "n{i}": BatchNorm2d; "c{i}": Conv2d(4, 1) }
    }
    """,
    "functions become modules": """
    network net { input x: [4, 2, 2]; g: { register 2; Conv2d(4, 1); Flatten; Linear(3) } }
    """,
    "parameters": """
    network net {
      input x: [4, 8, 8]
      register b, a, q, p
      buffer p: [4, 1, 1] = 1
      buffer q: [4, 1, 1] = 1
      parameter a: [4, 1, 1] = 1
      parameter b: [4, 1, 1] = 1
      mul { branch {}; branch { from a }; branch { from b }; branch { from p }; branch { from q } }
    }
    """,
}


@pytest.mark.parametrize("name", CASES)
def test_order_in_torch_is_that_of_the_graph(tmp_path: Path, name: str) -> None:
    checked = load(tmp_path, CASES[name])
    _, compared = verified(checked)
    assert compared.agrees
    module = torch_module(checked, generate(checked), device="meta")
    assert [*module.state_dict()] == [*state_dict(checked)]


class PatchMerging(nn.Module):
    """As in torchvision, less the padding."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.reduction = nn.Linear(dim, 2 * dim, bias=False)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.reduction(self.norm(x))
        return result


def test_state_of_an_optimizer_fits(tmp_path: Path) -> None:
    """An optimizer numbers its parameters in the order in which they were registered."""
    theirs = nn.Sequential(PatchMerging(16), PatchMerging(32))
    optimizer = torch.optim.Adam(theirs.parameters())
    theirs(torch.randn(2, 8, 8, 16)).sum().backward()
    optimizer.step()
    checked = load(tmp_path, MERGING)
    ours = torch_module(checked, generate(checked))
    ours.load_state_dict(theirs.state_dict())
    continued = torch.optim.Adam(ours.parameters())
    continued.load_state_dict(deepcopy(optimizer.state_dict()))
    shapes = [state["exp_avg"].shape for state in continued.state.values()]
    assert shapes == [parameter.shape for parameter in ours.parameters()]
    image = torch.randn(2, 8, 8, 16)
    for module, steps in ((theirs, optimizer), (ours, continued)):
        steps.zero_grad()
        module(image).square().sum().backward()
        steps.step()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine, other)
