"""Stages that repeat: what is a loop, from which turn on, and with what it counts."""

from __future__ import annotations

from pathlib import Path

import pytest
from compiled import load, verified

from archdsl.backends.python_source import python_source
from archdsl.pipeline import Spec

pytestmark = pytest.mark.usefixtures("one_thread")

SPECS = Path(__file__).parents[3] / "specs"
DENSE = """block Dense(layers, growth) {
  for i in range(layers) {
    concat { branch {} branch { "unit{i + 1}": Unit(growth) } }
  }
}
block Unit(growth) { norm: BatchNorm2d -> conv: Conv2d(growth, 1) }
"""


def written(folder: Path, spec: str) -> str:
    """Return the source of a spec, which must compute what its nodes say."""
    text, found = verified(load(folder, spec))
    assert found.agrees, (found.disagreeing, found.differing)
    return text


def body(text: str, name: str) -> str:
    """Return the lines of a class."""
    return text.partition(f"\nclass {name}(")[2].partition("\n\n\n")[0]


@pytest.mark.parametrize("network", ["densenet40_k12", "densenet_bc190_k40", "densenet169"])
def test_a_dense_block_is_one_loop_from_its_first_layer_on(network: str) -> None:
    text = python_source(Spec(f"{SPECS / 'densenet.arch'}:{network}").graph())

    assert 'f"denselayer{i + 1}", DenseLayer(in_channels + i * growth, growth)' in text
    assert "self.denselayer" not in text
    assert text.count("torch.cat") == text.count("for layer in self.children():")
    network = text[text.index("class Densenet") : text.index("class Denseblock")]
    assert "depth: int" not in network  # of the network: nothing here comes from it


def test_what_grows_in_a_loop_is_the_blocks_own_number(tmp_path: Path) -> None:
    text = written(
        tmp_path, DENSE + "network net { input x: [6, 4, 4]; a: Dense(5, 2); b: Dense(5, 3) }"
    )

    assert "def __init__(self, in_channels: int, growth: int)" in body(text, "Dense")
    assert "Unit(in_channels + i * growth, growth)" in body(text, "Dense")


def test_a_loop_beside_other_modules_calls_its_own_by_name(tmp_path: Path) -> None:
    text = written(
        tmp_path,
        """network net { input x: [6, 4, 4]
          stem: Conv2d(6, 1)
          for i in range(5) { residual { "conv{i}": Conv2d(6, 1) } }
        }""",
    )

    assert "self.children()" not in text
    assert 'getattr(self, f"conv{i}")(x)' in text


def test_a_comprehension_in_a_loop_that_grows_has_a_counter_of_its_own(tmp_path: Path) -> None:
    text = written(
        tmp_path,
        """network net { input x: [24, 4, 4]
          for i in range(5) {
            residual { "g{i}": { for j in range(4) { "l{j}": GroupNorm(2 * 3 ** (i % 2)) } } }
          }
          for i in range(5) {
            residual { "h{i}": { for j in range(4) { "l{j}": Hardtanh(-1, i + 1) } } }
          }
        }""",
    )

    assert "for i in range(5):\n" not in text


def test_twice_as_much_from_the_first_turn_on(tmp_path: Path) -> None:
    text = written(
        tmp_path,
        """network net { input x: [2, 4, 4]
          for i in range(5) { "conv{i}": Conv2d(2 * i + 4, 1) -> Tanh }
        }""",
    )

    assert "nn.Conv2d(2 * (i + 1), 4 + 2 * i, kernel_size=1)" in text
