"""Uses of a block that differ in how often something comes: one class that takes the number."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from compiled import load, verified

from archdsl.backends.python_source import python_source
from archdsl.pipeline import Spec

pytestmark = pytest.mark.usefixtures("one_thread")

SPECS = Path(__file__).parents[3] / "specs"
UNIT = "block Unit(width) { residual { conv: Conv2d(width, 1) -> bn: BatchNorm2d }; ReLU }\n"
STAGE = f"""{UNIT}block Stage(width, depth) {{
  Conv2d(width, 2, stride = 2)
  repeat depth {{ Unit(width) }}
}}
"""
DENSE = """block Dense(layers, growth) {
  for i in range(layers) {
    concat { branch {} branch { "unit{i + 1}": Unit(growth) } }
  }
}
block Unit(growth) { norm: BatchNorm2d -> conv: Conv2d(growth, 1) }
"""
NAMED = f"""{UNIT}block Stage(width, depth) {{
  down: Conv2d(width, 2, stride = 2)
  layers: {{ for i in range(depth) {{ "layer_{{i}}": Unit(width) }} }}
  residual {{ last: Conv2d(width, 1) }}
}}
"""
BESIDE = """block Stage(depth) {
  stem: Conv2d(4, 1)
  ReLU
  for i in range(depth) { residual { "conv{i}": Conv2d(4, 1) } }
  head: Conv2d(4, 1)
}
"""
NESTED = f"""{STAGE}block Body(first, second) {{
  Stage(4, first)
  residual {{ Identity }}
  Stage(6, second)
}}
"""


def written(folder: Path, spec: str, uses: str) -> str:
    """Return the source of a network of some uses, which must compute what its nodes say."""
    network = f"network net {{ input x: [3, 16, 16]; {uses} }}"
    text, found = verified(load(folder, spec + network))
    assert found.agrees, (found.disagreeing, found.differing)
    assert found.parameters.agrees
    return text


@pytest.mark.parametrize("network", ["densenet121", "densenet161", "densenet169", "densenet201"])
def test_densenet_has_one_class_for_its_dense_blocks(network: str) -> None:
    text = python_source(Spec(f"{SPECS / 'densenet.arch'}:{network}").graph())

    assert text.count("\nclass ") == 4
    assert "class Denseblock(nn.Module):" in text
    assert "def __init__(self, in_channels: int, growth: int, depth: int) -> None:" in text
    assert "for i in range(depth):" in text
    assert '"denseblock2", Denseblock(' in text


# A spec, uses of a block, its name, and what its one class says, or what makes it.
SHARED = {
    "stages of different depth": (
        STAGE,
        "Stage(4, 2); Stage(6, 5); Stage(8, 1)",
        "Stage",
        [
            "def __init__(self, in_channels: int, width: int, depth: int) -> None:",
            "*[Unit(width) for _ in range(depth)]",
            "Stage(4, 6, depth=5)",
        ],
    ),
    "a depth that is one less": (
        STAGE.replace("repeat depth", "repeat depth - 1"),
        "Stage(4, 3); Stage(6, 6)",
        "Stage",
        ["*[Unit(width) for _ in range(depth - 1)]"],
    ),
    "one and two turns of a loop that grows": (
        DENSE,
        "a: Dense(2, 4); b: Dense(1, 3); c: Dense(6, 2)",
        "Dense",
        ["in_channels: int, layers: int, growth: int", "Unit(in_channels + i * growth, growth)"],
    ),
    "stages with labels": (
        NAMED,
        "Stage(4, 2); Stage(6, 5)",
        "Stage",
        ['OrderedDict([(f"layer_{i}", Unit(width)) for i in range(depth)])'],
    ),
    "a loop beside other modules, which keeps the number": (
        BESIDE,
        "Conv2d(4, 1); a: Stage(5); b: Stage(3)",
        "Stage",
        ["self.depth = depth", "for i in range(depth):", "for i in range(self.depth):"],
    ),
    "the number is handed on": (
        NESTED,
        "a: Body(3, 4); b: Body(2, 5)",
        "Body",
        ["Stage(in_channels, 4, depth=first)", "Stage(4, 6, depth=second)"],
    ),
}


@pytest.mark.parametrize(("spec", "uses", "block", "parts"), SHARED.values(), ids=SHARED)
def test_one_class_takes_the_number(
    spec: str, uses: str, block: str, parts: list[str], tmp_path: Path
) -> None:
    text = written(tmp_path, spec, uses)

    assert text.count(f"class {block}") == 1
    for part in parts:
        assert text.count(part) == 1, part


def test_once_and_twice_are_written_out(tmp_path: Path) -> None:
    text = written(tmp_path, STAGE, "Stage(4, 1); Stage(6, 2)")

    assert text.count("class Stage") == 2
    assert "range" not in text


def test_what_is_between_tells_classes_apart(tmp_path: Path) -> None:
    spec = STAGE.replace("repeat depth {", "if depth > 3 { Tanh }; repeat depth {")

    text = written(tmp_path, spec, "Stage(4, 3); Stage(6, 6)")

    assert text.count("class Stage") == 2


class Writer:
    """Writes a block of random stages, some of them repeated, and uses of it."""

    PIECES = (
        "{label}: Conv2d({width}, 1)",
        "{label}: Unit({width})",
        "residual {{ {label}: Conv2d(in.channels, 1) }}",
        "concat {{ branch {{}} branch {{ {label}: Conv2d({grown}, 1) }} }}",
        "{label}: {{ Conv2d({width}, 1); Tanh }}",
        "{label}: {{ Conv2d({width}, 1); repeat {count} {{ Conv2d({width}, 1); Tanh }} }}",
        "Conv2d({width}, 1)",
        "Tanh",
    )

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.labels = 0

    def piece(self, number: str, counts: list[str]) -> str:
        self.labels += 1
        label = f'"l{self.labels}_{{{number}}}"' if number else f"s{self.labels}"
        return self.random.choice(self.PIECES).format(
            label=label,
            width=self.random.choice(["width", "4", "in.channels"]),
            grown=self.random.choice(["width", "2"]),
            count=self.random.choice(counts),
        )

    def row(self, counts: list[str]) -> str:
        pieces = [self.piece("i", counts) for _ in range(self.random.randint(1, 3))]
        inner = "\n    ".join(pieces)
        start = self.random.choice(["", "1, 1 + "])
        return f"for i in range({start}{self.random.choice(counts)}) {{\n    {inner}\n  }}"

    def spec(self) -> str:
        counts = ["first", "second", "first - 1", "first + second"]
        lines: list[str] = []
        for _ in range(self.random.randint(1, 3)):
            lines.append(self.row(counts))
            if self.random.random() < 0.5:
                lines.append(self.piece("", counts))
        body = "\n  ".join(lines)
        uses = "\n".join(
            f"u{at}: Random({self.random.choice([4, 6])}, {self.random.randint(1, 6)}, "
            f"{self.random.randint(1, 6)})"
            for at in range(4)
        )
        return (
            f"block Unit(width) {{ conv: Conv2d(width, 1) -> bn: BatchNorm2d }}\n"
            f"block Random(width, first, second) {{\n  {body}\n}}\n"
            f"network net {{ input x: [4, 4, 4]\n{uses}\n}}\n"
        )


@pytest.mark.parametrize("seed", [*range(24), 1003, 1075])
def test_random_rows_of_random_lengths(seed: int, tmp_path: Path) -> None:
    checked = load(tmp_path, Writer(seed).spec())

    text, found = verified(checked)

    assert found.agrees, (found.disagreeing, found.differing)
    assert found.parameters.agrees, text


def test_variants_of_which_one_folds_to_the_outline_of_another(tmp_path: Path) -> None:
    spec = """block Stage(width, depth) {
  repeat depth { BatchNorm2d -> ReLU }
  for i in range(depth) { Dropout(0.1) -> "conv{i}": Conv2d(width + i, 1) }
  last: Conv2d(4, 1)
}
network net(width = 4) { input x: [3, 5, 5]
  Conv2d(width, 1)
  Stage(6, 3)
  Stage(6, 6)
}
"""
    text, found = verified(load(tmp_path, spec))

    assert found.agrees, (found.disagreeing, found.differing)
    assert "class Stage(" in text
