"""What a hand would write, piece by piece: each network is verified as well."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from compiled import load, verified

HABITS = {
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
    "numbers of a function are called as the layer calls them": (
        """
        network net { input image: [3, 8, 8]; Crop(6); Crop(2) }
        block Crop(size) {
          let top = (in.height - size) // 2
          Slice(top, top + size, dim = 2)
          Slice(top, top + size, dim = 3)
        }""",
        "x = x[:, :, self.start : self.stop]",
    ),
}


@pytest.mark.parametrize("habit", HABITS)
def test_reads_as_written_by_hand(habit: str, tmp_path: Path) -> None:
    spec, expected = HABITS[habit]

    text, found = verified(load(tmp_path, spec))

    assert found.agrees
    assert expected in text
