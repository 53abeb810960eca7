"""RegNets of torchvision: their modules have names that are no identifiers, such as `block1-0`."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import archdsl
from archdsl.analysis.state import state_dict

torchvision = pytest.importorskip("torchvision")

SPEC = """
network regnet_y_400mf(classes: int = 1000) {
  "RegNetY-400MF: Radosavovic et al., Designing Network Design Spaces, 2020. arXiv:2003.13678"
  input image: [3, 64, 64]
  stem: { inline ConvBN(32, 3, 2); ReLU }
  for i, row in enumerate([(1, 48), (3, 104), (6, 208), (6, 440)]) {
    let depth, width = row
    for j in range(depth) {
      "trunk_output.block{i + 1}.block{i + 1}-{j}": Block(width, 2 if j == 0 else 1)
    }
  }
  avgpool: AdaptiveAvgPool2d(1)
  Flatten
  fc: Linear(classes)
}

block Block(width, stride) {
  let projected = stride != 1 or in.channels != width
  let squeezed = round(0.25 * in.channels)
  if projected { register proj }
  residual {
    f: {
      a: { inline ConvBN(width, 1); ReLU }
      b: { inline ConvBN(width, 3, stride, width // 8); ReLU }
      se: SE(squeezed)
      c: { inline ConvBN(width, 1) }
    }
  } shortcut {
    if projected { proj: { inline ConvBN(width, 1, stride) } }
  }
  ReLU
}

block SE(squeezed) {
  let channels = in.channels
  mul {
    branch {}
    branch {
      AdaptiveAvgPool2d(1)
      fc1: Conv2d(squeezed, 1)
      ReLU
      fc2: Conv2d(channels, 1)
      Sigmoid
    }
  }
}

block ConvBN(out, kernel, stride = 1, groups = 1) {
  Conv2d(out, kernel, stride, kernel // 2, groups = groups, bias = false)
  BatchNorm2d
}
"""


def test_weights_of_torchvision_fit(tmp_path: Path) -> None:
    path = tmp_path / "regnet.arch"
    path.write_text(SPEC)
    theirs = torchvision.models.regnet_y_400mf().eval()
    network = archdsl.load(str(path))

    assert [*state_dict(network.checked)] == [*theirs.state_dict()]
    report = network.load_weights(theirs.state_dict())
    assert len(report.matched) == len(theirs.state_dict())
    ours = network.compile().eval()
    assert [*ours.state_dict()] == [*theirs.state_dict()]
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(ours(image), theirs(image), atol=1e-4)


def test_blocks_are_frozen_by_their_names(tmp_path: Path) -> None:
    path = tmp_path / "regnet.arch"
    path.write_text(SPEC)
    module = archdsl.load(str(path)).compile(freeze=["trunk_output.block1.block1-0.*"])
    frozen = {name for name, each in module.named_parameters() if not each.requires_grad}
    assert frozen
    assert all(name.startswith("trunk_output.block1.block1-0.") for name in frozen)
