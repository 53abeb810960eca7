"""What a hand would write, piece by piece: each network is verified as well."""

from __future__ import annotations

from pathlib import Path

import pytest
from compiled import load, verified

HABITS = {
    "nothing is blank after the head of a function": (
        """
        network net { input x: [4, 8, 8]; Scaled; Scaled }
        block Scaled {
          parameter scale: [4, 1, 1]
          Conv2d(4, 1)
          mul { branch { } branch { from scale } }
          add { branch { Conv2d(4, 1) -> ReLU } branch { Conv2d(4, 1) -> ReLU } }
        }""",
        """    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self["0"](x)
        x = x * self.scale

        out = self["1"](x)
""",
    ),
    "functions between modules are modules": (
        """
        network net { input image: [3, 8, 8]
          head: { AdaptiveAvgPool2d(1) -> Flatten -> Linear(10) }
        }""",
        "nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 10)",
    ),
    "a function that torch has no module for": (
        """
        network net { input image: [3, 8, 8]
          block1: { Permute([0, 2, 3, 1]) -> LayerNorm -> Linear(5) -> Permute([0, 3, 1, 2]) }
        }""",
        """            Permute([0, 2, 3, 1]),
            nn.LayerNorm(3),
            nn.Linear(3, 5),
            Permute([0, 3, 1, 2]),""",
    ),
    "functions among labels stay functions": (
        """
        network net { input image: [3, 8, 8]
          pool: AdaptiveAvgPool2d(1)
          Flatten
          fc: Linear(10)
        }""",
        "x = torch.flatten(x, 1)",
    ),
    "evenly numbered labels are counted": (
        """
        network net { input image: [8]
          layers: { for i in range(5) { "layer_{i}": Linear(8) } }
        }""",
        'OrderedDict([(f"layer_{i}", nn.Linear(8, 8)) for i in range(5)])',
    ),
    "numbers go on from those of others": (
        """
        network net { input image: [8]
          layers: { stem: ReLU; for i in range(1, 4) { "layer{i}": Linear(8) } }
        }""",
        '*[(f"layer{i}", nn.Linear(8, 8)) for i in range(1, 4)]',
    ),
    "a block keeps its name beside a group of that name": (
        """
        network net { input image: [3, 8, 8]; Block; Block }
        block Block { residual { "block": { Square -> Conv2d(3, 1) } } }""",
        "self.block = Block2(",
    ),
    "a tensor that is read again is called as its label": (
        """
        network net { input image: [3, 32, 32]
          for i in range(4) { "down{i}": Conv2d(3, 3, padding = 1); MaxPool2d(2) }
          for i in range(4) {
            Upsample(scale_factor = 2)
            add { branch {} branch { from "down{3 - i}" } }
          }
        }""",
        "down1 = self.down1(down1)",
    ),
    "a layer that torch lacks is made once where it has no parameters": (
        """
        network net { input x: [3, 8, 8]
          a: Conv2d(4, 1) -> ScaledTanh -> b: Conv2d(4, 1) -> ScaledTanh
        }""",
        """        x = self.b(x)
        x = self.scaled_tanh(x)
""",
    ),
    "half of a size is called so": (
        """
        network net { input x: [8, 8, 8]; Half(8); Conv2d(4, 1); Half(4) }
        block Half(width) {
          concat { branch { Slice(0, width // 2) } branch { Slice(width // 2, width) } }
        }""",
        "self.half_width = width // 2",
    ),
    "branches of a list are called after it": (
        """
        network net { input x: [3, 8, 8]
          concat { branch { convs.0: Conv2d(4, 1) } branch { convs.1: Conv2d(5, 1) } }
        }""",
        "torch.cat([convs_0, convs_1], dim=1)",
    ),
    "a variant is called after the function that it has more": (
        """
        network net { input x: [4, 8, 8]; Unit(false); Unit(true) }
        block Unit(squared) { residual { conv: Conv2d(4, 1); if squared { Square } } }""",
        "class UnitSquare(nn.Module):",
    ),
    "one argument for a size that goes in and out": (
        """
        network net { input x: [4, 8, 8]; Unit(4); Conv2d(6, 1); Unit(6) }
        block Unit(width) { residual { conv: Conv2d(width, 1) } }""",
        "    def __init__(self, width: int) -> None:",
    ),
    "groups as many as there are channels follow from these": (
        """
        network net { input x: [4, 8, 8]; Unit(5); Conv2d(6, 1); Unit(7) }
        block Unit(out) {
          Conv2d(in.channels, 3, groups = in.channels) -> conv: Conv2d(out, 1)
        }""",
        "in_channels, in_channels, kernel_size=3, groups=in_channels",
    ),
    "what uses happen to share says nothing": (
        """
        network net { input x: [4, 8, 8]; Unit(4, 5); Conv2d(6, 1); Unit(6, 7) }
        block Unit(groups, out) { Conv2d(groups, 3, groups = groups) -> conv: Conv2d(out, 1) }""",
        "nn.Conv2d(in_channels, groups, kernel_size=3, groups=groups)",
    ),
    "a number is written as the spec has it": (
        """
        network net { input x: [4, 9, 9]; B(3, 1) -> B(5, 2) }
        block B(kernel, stride) { Conv2d(8, kernel, stride, kernel // 2) }""",
        "kernel_size=kernel, stride=stride, padding=kernel // 2",
    ),
    "a number that no formula says has the name that the spec gives it": (
        """
        network net { input x: [4, 9, 9]; B(6, 0.5) -> B(9, 0.7) }
        block B(width, ratio) {
          let hidden = round(ratio * width) if width > 1 else 1
          Conv2d(hidden, 1) -> Conv2d(width, 1)
        }""",
        "def __init__(self, in_channels: int, width: int, hidden: int) -> None:",
    ),
    "a group takes what it reads of the loop around it": (
        """
        network net { input x: [4, 9, 9]
          for i, drop in enumerate([0.1, 0.2, 0.3]) {
            "stage{i}": { conv: Conv2d(4, 1); residual { StochasticDepth(drop, "row") } }
          }
        }""",
        "drop: float",
    ),
    "a fraction that comes first in a layer has the name of its argument, not that of channels": (
        """
        network net { input x: [4, 9, 9]
          for i in range(3) {
            let least = 0.1
            "stage{i}": {
              conv: Conv2d(4, 1); residual { StochasticDepth(0.1 * i if i > 0 else least, "row") }
            }
          }
        }""",
        "def __init__(self, p: float) -> None:",
    ),
    "what no size is is given by name": (
        """
        network net { input x: [4, 8, 8]; Unit(0.5, 4); Unit(0.25, 5) }
        block Unit(factor, out) { residual { Scale(factor) }; conv: Conv2d(out, 1) }""",
        "factor=0.5",
    ),
    "branches that are needed together keep their numbers": (
        """
        network net { input x: [4, 8, 8]
          concat { for i in range(5) { branch { "branch{i}": Conv2d(i + 2, 1) } } }
        }""",
        "branch0 = self.branch0(x)",
    ),
    "modules without a label beside others are reached by their number": (
        """
        network net { input x: [3, 8, 8]
          Conv2d(4, 1)
          named: Conv2d(4, 1)
          add { branch {} branch { Conv2d(4, 1) -> ReLU } }
          class: BatchNorm2d
        }""",
        """        x = self["0"](x)
        # N x 4 x 8 x 8
        named = self.named(x)
        out = self["2"](named)
        out = self.relu(out)
        x = named + out
        x = self["class"](x)
""",
    ),
    "numbers of a function are called as the layer calls them": (
        """
        network net { input image: [3, 8, 8]; Crop(6); Crop(2) }
        block Crop(size) {
          let top = (in.height - size) // 2
          Slice(top, top + size, dim = 2)
          Slice(top, top + size, dim = 3)
        }""",
        "x = x[:, :, self.top : self.stop]",
    ),
}


KEYED = """
network net { input x: [4, 8, 8]
  Conv2d(4, 1)
  body: Body
  parts.3: Conv2d(4, 1)
  add { branch {} branch { from body -> parts.7: Conv2d(4, 1) } }
  %s: Conv2d(4, 1)
}
block Body {
  for i in range(5) { residual { Conv2d(4, 1) } }
  parameter "0x": [4, 1, 1] = 0.5
  mul { branch {} branch { from "0x" } }
}"""


@pytest.mark.parametrize("label", ["last", "items", "keys", "pop", "update"])
def test_modules_with_numbers_for_names(label: str, tmp_path: Path) -> None:
    checked = load(tmp_path, KEYED % label)

    text, found = verified(checked)

    assert found.agrees
    assert "class Body(nn.ModuleDict):" in text
    assert "self[str(i)] = nn.Conv2d(4, 4, kernel_size=1)" in text
    assert ("class Net(nn.ModuleDict):" in text) == (label == "last")


@pytest.mark.parametrize("habit", HABITS)
def test_reads_as_written_by_hand(habit: str, tmp_path: Path) -> None:
    spec, expected = HABITS[habit]

    text, found = verified(load(tmp_path, spec))

    assert found.agrees
    assert expected in text
