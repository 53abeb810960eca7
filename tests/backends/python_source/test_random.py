"""Random networks: the generated module computes what its nodes say, one by one.

A network is grown statement by statement in the language, so that blocks, groups, loops, merges,
references and outputs meet in all ways; sizes stay [channels, 4, 4], so that all is valid.
"""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest
from compiled import load, verified

from archdsl.analysis.state import state_dict
from archdsl.backends.torch_module import torch_module

PLAIN = ["ReLU", "Sigmoid", "BatchNorm2d", "Identity", "Tanh", "Scale(0.5)", "Dropout(0.3)"]
LABELS = ["conv", "x", "out", "branch_1", "branch_2", "layer3", "Mixed_5b", "self", "class", "relu"]


class Writer:
    """Writes a random network; `depth` bounds how far it nests."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.blocks: list[str] = []
        self.number = 0

    def label(self) -> str:
        self.number += 1
        return f'"{self.random.choice(LABELS)}{self.number}"'

    def body(self, depth: int, channels: str = "4") -> list[str]:
        lines: list[str] = []
        named: list[str] = []
        for _ in range(self.random.randint(1, 4)):
            lines.append(self.stage(depth, channels, named))
        return lines

    def stage(self, depth: int, channels: str, named: list[str]) -> str:
        kinds = ["plain", "conv", "named", "from"]
        kinds += ["group", "residual", "concat", "repeat", "block", "reuse", "gamma"] * (depth > 0)
        kind = self.random.choice(kinds)
        if kind == "plain":
            return self.random.choice(PLAIN)
        if kind == "conv":
            return f"Conv2d({channels}, 3, padding = 1)"
        if kind == "from" and named:
            other = self.random.choice(named)
            return f"add {{ branch {{}} branch {{ from {other} }} }}"
        if kind == "reuse" and named:
            return f"reuse {self.random.choice(named)}"
        if kind == "gamma":
            name = f"{self.label()[1:-1]}_"
            merge = f"mul {{ branch {{}} branch {{ from {name} }} }}"
            return f"parameter {name}: [{channels}, 1, 1] = 0.5; {merge}"
        if kind == "group":
            label = self.label()
            inner = "\n".join(self.body(depth - 1, channels))
            named.append(label)
            return f"{label}: {{\nConv2d({channels}, 1)\n{inner}\n}}"
        if kind == "residual":
            inner = "\n".join(self.body(depth - 1, channels))
            return f"residual {{\nConv2d({channels}, 1)\n{inner}\n}}"
        if kind == "concat":
            arms = [" ; ".join(self.body(0, channels)) for _ in range(self.random.randint(1, 3))]
            text = " ".join(f"branch {{ {arm} }}" for arm in arms)
            return f"concat {{ {text} branch {{}} }}\nConv2d({channels}, 1)"
        if kind == "repeat":
            choices = [*PLAIN, f"Conv2d({channels}, 3, padding = 1)"]
            inner = "\n".join(self.random.choices(choices, k=2))
            return f"repeat {self.random.randint(2, 6)} {{\n{inner}\nConv2d({channels}, 1)\n}}"
        if kind == "block":
            name = f"B{len(self.blocks)}"
            self.blocks.append("")
            inner = "\n".join(self.body(depth - 1, "width"))
            self.blocks[int(name[1:])] = (
                f"block {name}(width, kernel = 1) {{\n"
                "parameter scale: [width, 1, 1] = 0.5\n"
                "Conv2d(width, kernel, padding = kernel // 2)\n"
                f"mul {{ branch {{}} branch {{ from scale }} }}\n{inner}\n}}"
            )
            uses = [f"{self.label()}: {name}({width})" for width in (6, 4)]
            uses.append(f"Conv2d({channels}, 1)")
            uses.append(f"{self.label()}: {name}({channels}, 3)")
            named.append(uses[-1].partition(":")[0])
            if self.random.random() < 0.5:
                uses.append(f"mul {{ branch {{}} branch {{ from {named[-1]}.scale }} }}")
            return "\n".join(uses)
        label = self.label()
        named.append(label)
        return f"{label}: Conv2d({channels}, 1)"

    def network(self) -> str:
        lines = ["Conv2d(4, 1)", *self.body(3), *self.body(2)]
        if self.random.random() < 0.5:
            lines.append("output aux when training {\n" + "\n".join(self.body(1)) + "\n}")
        if self.random.random() < 0.3:
            lines.append("output side {\n" + "\n".join(self.body(1)) + "\n}")
        lines.append("Conv2d(3, 1)")
        text = "network net {\ninput image: [3, 4, 4]\n" + "\n".join(lines) + "\n}\n"
        return "\n".join([*self.blocks, text])


@pytest.mark.parametrize("seed", range(24))
def test_a_random_network(seed: int, tmp_path: Path) -> None:
    checked = load(tmp_path, Writer(seed).network())

    _, found = verified(checked)

    assert not found.disagreeing
    assert not found.differing
    assert found.parameters.agrees, found.parameters
    again = load(tmp_path, Writer(seed).network())
    assert [*torch_module(again).state_dict()] == [*state_dict(checked)]


def test_random_networks_are_formatted(tmp_path: Path) -> None:
    for seed in range(100, 130):
        checked = load(tmp_path, Writer(seed).network())
        from archdsl.backends.python_source import python_source

        (tmp_path / f"net_{seed}.py").write_text(python_source(checked))
    for command in (["check"], ["format", "--check", "--diff"]):
        full = [sys.executable, "-m", "ruff", *command, "--isolated", "--no-cache", str(tmp_path)]
        done = subprocess.run(full, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
