"""What is written passes ruff and mypy without configuration, whatever the network."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import test_formulas
import test_random
import test_sharing
from generators import arch_specs
from hypothesis import HealthCheck, Phase, given, settings

from archdsl.backends.python_source import python_source
from archdsl.layers.arguments import Flag, Number, Positive
from archdsl.layers.base import Facts, Layer, Shapes, TorchFunction, TorchModule, single
from archdsl.pipeline import Spec

SOURCE = '''\
class {name}(nn.Module):
    """A learnable factor for each channel."""

    def __init__(self, channels: int, factor: float = 1.0, flag: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels, 1, 1), factor))

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return input * self.weight
'''


def own_layer(name: str, target: str = "") -> type[Layer]:
    """Make a layer of a user's own; with `target` its module is imported by that path."""

    def infer(self: Layer, inputs: Shapes) -> Facts:
        shape = single(inputs)
        source = "" if target else SOURCE.format(name=name)
        given = {"factor": self.factor, "flag": self.flag}  # type: ignore[attr-defined]
        torch = TorchModule(target or name, (shape[0],), given, source=source)
        return Facts(output=shape, torch=torch, params={"weight": (shape[0], 1, 1)})

    fields = {"factor": 1.0, "flag": False, "infer": infer, "__doc__": "A factor."}
    annotations = {"__annotations__": {"factor": Number, "flag": Flag}}
    return type(name, (Layer,), {**fields, **annotations})


class Times(Layer):
    """A function with numbers in its text."""

    by: Number = 2.0
    axis: Positive = 1

    def infer(self, inputs: Shapes) -> Facts:
        shape = single(inputs)
        text = f"{{0}} * {self.by!r} + {{0}}.mean(dim={self.axis}, keepdim=True)"
        return Facts(shape, TorchFunction(text))


LAYERS: dict[str, type[Layer]] = {
    "Gate": own_layer("Gate"),
    "Linear_": own_layer("Linear_"),
    "Early": own_layer("Early", "aaa_layers.nested.Early"),
    "Late": own_layer("Late", "zzz_layers.Late"),
    "Numbered": own_layer("Numbered", "layers10.Numbered"),
    "Upper": own_layer("Upper", "Torchlike.modules.Upper"),
    "Between": own_layer("Between", "torch_own.Between"),
    "Times": Times,
}
LONG = "a_label_that_is_as_long_as_labels_of_some_papers_are"
WORDS = ["class", "self", "nn", "torch", "F", "None", "print", "i", "layer", "x", "__x", "0", "A_b"]


FIRST = ["0", "normal(std = 3)", "[2.5]"]


class Writer:
    """Writes networks in which everything is long, deep, oddly named, or there several times."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(f"promise {seed}")
        self.count = 0

    def label(self) -> str:
        self.count += 1
        kind = self.random.random()
        if kind < 0.3:
            return f'"{self.random.choice(WORDS)}{self.count}"'
        if kind < 0.5:
            length = self.random.randint(1, 52)
            return f"{LONG[:length].strip('_')}{self.count}"
        if kind < 0.6:  # so long that nothing more fits on its line
            label = f"{LONG}_{LONG}"[: self.random.randint(40, 105)].strip("_")
            return self.random.choice([f"{label}{self.count}", f'"{label}-{self.count}"'])
        return f"l{self.count}"

    def number(self, *names: str) -> str:
        wide = ["7", "12", "128 * 4", "1000"]
        return self.random.choice([*names, *(f"{name} // 2 + 1" for name in names), *wide])

    def tensor(self, word: str, text: str, merge: str, channels: int) -> str:
        self.count += 1
        used = f"{merge} {{ branch {{}} branch {{ from t{self.count} }} }}"
        return f"Conv2d({channels}, 1); {word} t{self.count}: {text}; {used}"

    def table(self) -> str:
        """Return a tensor of many values that is added to what there is."""
        channels = self.random.randint(2, 40)
        word = self.random.choice(["parameter", "buffer"])
        kinds = ["i", "i * 1000003", "0.5 * i", *["i > 2"] * (word == "buffer")]
        value = self.random.choice(kinds)
        if self.random.random() < 0.5:
            value = f"[[{value}]]"  # nested as the shape is; else one list of all of them
        batch = self.random.choice(["", "batch, "])
        label = self.label()
        held = f"[{batch}{channels}, 1, 1] = [{value} for i in range({channels})]"
        used = f"add {{ branch {{}} branch {{ from {label} }} }}"
        return f"Conv2d({channels}, 1); {word} {label}: {held}; {used}"

    def stage(self, depth: int, *names: str) -> str:
        label = self.label()
        number = self.number(*names)
        share = self.random.choice(["0.25", "0.1 + 0.2", "1e-5", *names[:1]])
        own = self.random.choice(list(LAYERS))
        flag = self.random.choice(["true", "false"])
        plain = [
            f"{label}: Conv2d({number}, 3, padding = 1, bias = {flag})",
            f"Conv2d({number}, [1, 3], padding = [0, 1])",
            "Dropout(0.2)",
            f"{label}: BatchNorm2d(eps = 0.001 / {self.random.randint(1, 9)})",
            f"{label}: {own}"
            + (f"(0.1 + {share}, {flag})" if own not in ("Times",) else f"({share})"),
            f'StochasticDepth(0.1 * {self.random.randint(1, 3)}, "row")',
            self.tensor("parameter", "[8, 1, 1] = trunc_normal(std = 0.02)", "mul", 8),
            self.tensor("buffer", "[4, 1, 1] = [1, 0.5, 2, 3]", "add", 4),
            self.tensor("parameter", f"[1, 1, 1] = {self.random.choice(FIRST)}", "mul", 5),
            self.table(),
            "Slice(0, in.channels - 1)" if self.random.random() < 0.2 else "GELU",
        ]
        if depth == 0:
            return self.random.choice(plain)
        inner = "\n".join(self.stage(depth - 1, *names) for _ in range(self.random.randint(1, 4)))
        turns = self.random.randint(1, 6)
        loop = f"for t, drop in enumerate([0.1, 0.2, 0.3, 0.4][:{self.random.randint(1, 4)}])"
        arms = " ".join(
            f"branch {{ {self.stage(0, *names)}; Conv2d(9, 1) }}"
            for _ in range(self.random.randint(1, 9))
        )
        deep = [
            f"{label}: {{\n{inner}\n}}",
            f"repeat {turns} {{ Conv2d({number}, 1) -> ReLU }}",
            f'{loop} {{ "{label.strip(chr(34))}_{{t}}": {{\nConv2d(8, 1); residual {{ Conv2d(8, 1)'
            f' -> StochasticDepth(drop, "row") }}\n}} }}',
            f"{self.random.choice(['concat', 'add', 'mul'])} {{ {arms} }}",
            f"{label}: residual {{ BatchNorm2d -> ReLU }}",
        ]
        return self.random.choice([*plain, *deep, *deep])

    def block(self, at: int) -> str:
        names = [f"width{at}", self.random.choice(["kernel", LONG, "class_", "p"])]
        body = "\n".join(self.stage(2, *names) for _ in range(self.random.randint(1, 6)))
        inputs = self.random.choice(["", "input first\n", "input lambda\n"])
        return f"block Block{at}({', '.join(names)}) {{\n{inputs}{body}\n}}"

    def network(self) -> str:
        blocks = [self.block(at) for at in range(self.random.randint(1, 3))]
        lines: list[str] = []
        for _ in range(self.random.randint(2, 6)):
            at = self.random.randrange(len(blocks))
            wide, small = self.random.randint(1, 1000), self.random.randint(1, 9)
            lines.append(f"{self.label()}: Block{at}({wide}, {small})")
            lines.append(self.stage(1))
        if self.random.random() < 0.4:
            lines.append(
                f"output {LONG[: self.random.randint(2, 50)]} when training {{ Conv2d(3, 1) }}"
            )
        if self.random.random() < 0.4:
            lines.append("output side { Conv2d(3, 1) }")
        lines.append("Conv2d(3, 1)")
        name = self.random.choice(["net", LONG, "torch", "class_"])
        text = self.random.choice(['"Short"', f'"{LONG} {LONG}"', ""])
        body = "\n".join(lines)
        if self.random.random() < 0.5:
            body = f"from image -> Conv2d(8, 1)\n{body}"
            body += f"\nadd {{ branch {{}} branch {{ from {LONG} -> Conv2d(3, 1) }} }}"
            body = f"input {LONG}: [2, 6, 6]\n{body}"
        network = f"network {name} {{\n{text}\ninput image: [3, 6, 6]\n{body}\n}}"
        return "\n".join([*blocks, network])


def sources(count: int, folder: Path) -> Iterator[str]:
    """Yield the source of random networks by all generators there are."""
    path = folder / "net.arch"

    def source(text: str) -> str:
        path.write_text(text)
        return python_source(Spec(str(path), layers=LAYERS).graph())

    for seed in range(count):
        yield source(Writer(seed).network())
        yield source(test_random.Writer(1000 + seed).network())
        yield source(test_sharing.Writer(2000 + seed).spec())
        yield source(test_formulas.Writer(seed).block().network((3, 1, 2), (4, 5, 2)))
    found: list[str] = []

    @settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(spec=arch_specs())
    def grow(spec: object) -> None:
        found.append(source(spec.text()))  # type: ignore[attr-defined]

    grow()
    yield from found


def hold(folder: Path, count: int, mypy: bool) -> None:
    made = folder / "made"
    made.mkdir()
    for number, text in enumerate(sources(count, folder)):
        (made / f"net_{number}.py").write_text(text)
    commands = [
        ["ruff", "check", "--isolated", "--no-cache"],
        ["ruff", "format", "--check", "--diff", "--isolated", "--no-cache"],
    ]
    if mypy:
        stubs = folder / "stubs"  # of the packages that layers of a user's own come from
        for kind in (
            "aaa_layers.nested",
            "zzz_layers",
            "layers10",
            "Torchlike.modules",
            "torch_own",
        ):
            path = stubs.joinpath(*kind.split(".")).with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            names = ("Early", "Late", "Numbered", "Upper", "Between")
            code = "\n\n".join(SOURCE.format(name=name) for name in names)
            path.write_text(f"import torch\nfrom torch import nn\n\n\n{code}")
        (stubs / "aaa_layers/__init__.py").write_text("")
        (stubs / "Torchlike/__init__.py").write_text("")
        commands.append(["mypy", "--strict", "--config-file=", f"--cache-dir={folder / 'cache'}"])
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-m", *command, str(made)],
            capture_output=True,
            text=True,
            env={"MYPYPATH": str(folder / "stubs"), "PATH": "", "HOME": str(folder)},
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr


def test_ruff_finds_nothing(tmp_path: Path) -> None:
    hold(tmp_path, 25, mypy=False)


@pytest.mark.slow
def test_ruff_and_mypy_find_nothing_in_many(tmp_path: Path) -> None:
    hold(tmp_path, 120, mypy=True)
