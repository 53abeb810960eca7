"""Uses of a block that differ in what an `if` decides: one class with that condition."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from compiled import load, verified

from archdsl.backends.python_source import python_source
from archdsl.pipeline import Spec

pytestmark = pytest.mark.usefixtures("one_thread")

SPECS = Path(__file__).parents[3] / "specs"


def written(folder: Path, block: str, uses: str) -> str:
    """Return the source of a network of some uses, which must compute what its nodes say."""
    network = f"network net {{ input x: [4, 8, 8]; {uses} }}\n"
    text, found = verified(load(folder, network + block))
    assert found.agrees, (found.disagreeing, found.differing)
    assert found.parameters.agrees
    return text


@pytest.mark.parametrize("network", ["resnet18", "resnet50", "resnet152"])
def test_a_resnet_has_one_class_for_its_blocks_as_in_torchvision(network: str) -> None:
    text = python_source(Spec(f"{SPECS / 'resnet.arch'}:{network}").graph())

    assert text.count("\nclass ") == 2
    assert "self.downsample: nn.Module | None = None\n        if stride != 1 or in_chan" in text
    assert "downsample = x if self.downsample is None else self.downsample(x)" in text
    assert "stride: int = 1" in text


# A block, uses of it, and what its one class says.
ONE = {
    "what is always so is not asked": (
        "block B(w, t = 0) { c: Conv2d(w, 1); if t != 2 and w > 4 { d: Conv2d(w, 1) } }",
        "B(4); B(8)",
        ["        if w > 4:"],
    ),
    "an addition": (
        "block B(width, stride) { residual when stride == 1 and in.channels == width { "
        "conv: Conv2d(2 * in.channels, 1, stride) -> last: Conv2d(width, 1) } }",
        "B(4, 1); B(6, 1); B(6, 1); B(6, 2)",
        ["self.residual = stride == 1 and in_channels == width", "if self.residual else"],
    ),
    "an addition with a projection": (
        "block B(width, skips) { residual when skips > 0 { conv: Conv2d(width, 1) } "
        "shortcut { proj: Conv2d(width, 1) }; act: Tanh }",
        "B(4, 1); B(6, 0); B(8, 2)",
        ["if skips > 0:", "if self.proj is not None:"],
    ),
    "a stage that is left out": (
        "block B(width) { conv: Conv2d(width, 1); if width > 4 { drop: Dropout(0.1) }; Tanh }",
        "B(4); B(6)",
        ["if width > 4:", "if self.drop is not None:\n            x = self.drop(x)"],
    ),
    "several stages": (
        "block B(width) { if width >= 6 { norm: BatchNorm2d -> ReLU -> a: Conv2d(6, 1) }; "
        "conv: Conv2d(width, 1) }",
        "B(4); B(6); B(8)",
        ["if width >= 6:", "if self.norm is not None:\n            x = self.norm(x)"],
    ),
    "a branch": (
        "block B(width, stride) { residual { conv: Conv2d(width, 1, stride) } shortcut { "
        "if stride != 1 or in.channels != width { proj: Conv2d(width, 1, stride) } } }",
        "B(4, 1); B(6, 2); B(6, 1)",
        ["if stride != 1 or in_channels != width:", "proj = x if self.proj is None else"],
    ),
    "two of them": (
        "block B(a, b) { if a > 1 { one: Conv2d(4, a) }; if b > 1 { two: Conv2d(4, b) }; "
        "three: Conv2d(4, 1) }",
        "B(1, 1); B(2, 1); B(2, 2); B(1, 3)",
        ["if a > 1:", "if b > 1:"],
    ),
    "words of logic": (
        "block B(a, b) { conv: Conv2d(4, 1); if not (a < 2 and (b < 2 or not 2 * a != b)) "
        "{ one: Conv2d(4, 1) -> norm: BatchNorm2d }; last: Conv2d(4, 1, padding = a - b // 2) }",
        "B(1, 1); B(3, 4); B(1, 2)",
        ["if a >= 2 or (b >= 2 and 2 * a != b):"],
    ),
    "the end of a block": (
        "block B(width) { conv: Conv2d(width, 1); if width % 4 != 0 { act: ReLU } }",
        "B(4); B(6); B(8)",
        ["if self.act is not None:"],
    ),
    "an activation that works in place": (
        "block B(width) { residual { a: Conv2d(width, 1); if width > 4 { b: BatchNorm2d }; ReLU; "
        "c: Conv2d(width, 1) } shortcut { d: Conv2d(width, 1) }; ReLU }",
        "B(4); B(6)",
        ["if width > 4:"],
    ),
    "inside another": (
        "block B(width) { conv: Conv2d(width, 1); if width > 4 { norm: BatchNorm2d } }\n"
        "block A(width, deep) { one: B(width); if deep > 0 { two: B(width) }; "
        "add { branch { } branch { t: Tanh } } }",
        "A(4, 0); A(4, 1); A(6, 1); A(6, 0)",
        ["if deep > 0:", "if width > 4:"],
    ),
    "a function in it": (
        "block B(w) { c: Conv2d(w, 1); if max(w, 5) > 5 { d: Conv2d(w, 1) }; e: Tanh }",
        "B(4); B(8)",
        ["if max(w, 5) > 5:"],
    ),
    "what a class has arguments for": (
        "block B(width, ratio) { residual { conv: Conv2d(width, 1) }; "
        "if ratio > 0.5 { se: Conv2d(width, 1) }; out: Conv2d(width, 1) }",
        "B(4, 0.25); B(4, 0.75)",
        ["if ratio > 0.5:"],
    ),
}


@pytest.mark.parametrize(("block", "uses", "parts"), ONE.values(), ids=ONE)
def test_one_class_has_the_condition(
    block: str, uses: str, parts: list[str], tmp_path: Path
) -> None:
    text = written(tmp_path, block, uses)

    assert text.count("class B(") == 1
    assert "class B" not in text.replace("class B(", "")
    for part in parts:
        assert part in text


SEVERAL = {
    "a number that is known where the stage is made only": (
        "block B(w, f) { c: Conv2d(w, 1); if f > 0.25 { d: Conv2d(w if f < 0.9 else 2, 1) }; "
        "e: Conv2d(w, 1) }",
        "B(8, 0.25); B(8, 0.75)",
    ),
    "a condition on what has no name": (
        "block B(w) { c: Conv2d(w, 1); if (w if w > 5 else 5) > 5 { d: Conv2d(w, 1) }; e: Tanh }",
        "B(4); B(8)",
    ),
    "no use has all": (
        "block B(a) { if a > 1 { one: Conv2d(4, 1) }; if a < 2 { two: Conv2d(4, 3) }; ReLU }",
        "B(1); B(2)",
    ),
    "what is asked is no number": (
        'block B(kind: str) { conv: Conv2d(4, 1); if kind == "a" { norm: BatchNorm2d } }',
        'B("a"); B("b")',
    ),
    "two tensors go in": (
        "block B(a) { x: Conv2d(4, 1) -> y: Conv2d(4, 1); "
        "if a > 1 { add { branch { from x } branch { from y } } }; last: Conv2d(4, 1) }",
        "B(2); B(3)",
    ),
    "something else takes its place": (
        "block B(a) { if a > 1 { one: Conv2d(4, 1) } else { two: Conv2d(4, 3) }; ReLU }",
        "B(1); B(2)",
    ),
    "nothing is made that could tell": (
        "block B(a) { conv: Conv2d(4, 1); if a > 1 { Flatten -> Reshape([4, -1, 1]) } }",
        "B(1); B(2)",
    ),
}


@pytest.mark.parametrize(("block", "uses"), SEVERAL.values(), ids=SEVERAL)
def test_what_no_condition_says_is_written_as_it_is(block: str, uses: str, tmp_path: Path) -> None:
    assert "nn.Module | None" not in written(tmp_path, block, uses)


class Writer:
    """Writes a block of random stages, some of them under conditions, and uses of it."""

    STAGES = (
        "{label}: Conv2d(in.channels, {kernel}, padding = ({kernel}) // 2)",
        "{label}: BatchNorm2d",
        "{label}: {{ Conv2d(in.channels, 1); ReLU }}",
        "residual {{ {label}: Conv2d(in.channels, 1) }}",
        "ReLU",
        "Dropout(0.5)",
        "{label}: Inner(in.channels)",
    )
    CONDITIONS = (
        "a > {n}", "b != {n}", "a >= b", "a + b > {n}", "not a == {n}", "in.channels > {n}",
        "a > {n} or b > {n}", "a > {n} and in.channels > b", "a * 0.5 < b",
    )  # fmt: skip

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.labels = 0

    def stage(self) -> str:
        self.labels += 1
        kernel = self.random.choice(["1", "3", "2 * a + 1"])
        return self.random.choice(self.STAGES).format(label=f"s{self.labels}", kernel=kernel)

    def piece(self) -> str:
        stages = [self.stage() for _ in range(self.random.randint(1, 2))]
        if self.random.random() < 0.5:
            condition = self.random.choice(self.CONDITIONS).format(n=self.random.randint(1, 4))
            return f"if {condition} {{ {'; '.join(stages)} }}"
        if self.random.random() < 0.2:
            condition = self.random.choice(self.CONDITIONS).format(n=self.random.randint(1, 4))
            return f"residual when {condition} {{ {self.stage()} }}"
        if self.random.random() < 0.2:
            return f"residual {{ {self.stage()} }} shortcut {{ {self.piece()} }}"
        return "; ".join(stages)

    def spec(self) -> str:
        pieces = "\n  ".join(self.piece() for _ in range(self.random.randint(2, 5)))
        uses = "\n".join(
            f"c{at}: Conv2d({self.random.choice([4, 6])}, 1)\n"
            f"u{at}: Random({self.random.randint(1, 3)}, {self.random.randint(1, 3)})"
            for at in range(5)
        )
        return (
            f"block Inner(width) {{ conv: Conv2d(width, 1); if width > 4 {{ bn: BatchNorm2d }} }}\n"
            f"block Random(a, b) {{\n  {pieces}\n}}\n"
            f"network net {{ input x: [4, 8, 8]\n{uses}\n}}\n"
        )


@pytest.mark.parametrize("seed", range(30))
def test_random_conditions(seed: int, tmp_path: Path) -> None:
    text, found = verified(load(tmp_path, Writer(seed).spec()))

    assert found.agrees, (found.disagreeing, found.differing)
    assert found.parameters.agrees, text


def test_modules_behind_a_number_are_reached_by_their_names(tmp_path: Path) -> None:
    """Of what `self["0"]` gives a type checker knows only that it is some module."""
    block = "block K { i: { Conv2d(4, 1) -> { Conv2d(4, 1) } } -> h: Conv2d(4, 1) }"

    text = written(tmp_path, block, 'K; t: Tanh; reuse "0".h; reuse "0".i."0"')

    assert 'self["0"].get_submodule("h")(x)' in text
    assert 'self["0"].get_submodule("i.0")(x)' in text


def test_results_that_nothing_reads_have_no_name(tmp_path: Path) -> None:
    block = "block K { c: Conv2d(4, 1) -> Conv2d(4, 1) }"

    text = written(tmp_path, block, "a: K; y: in; add { branch { from a.c }; branch { } }; reuse a")

    assert ", _ = self.a(x)" in text
