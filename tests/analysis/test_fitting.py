"""The largest batch that fits, and the least to compute again: against trying all there is."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from random import Random

import pytest

import archdsl
from archdsl.analysis import fitting
from archdsl.analysis.fitting import Unfit, candidates, fit, least
from archdsl.analysis.training import Options, Training
from archdsl.cli import run
from archdsl.graph import CheckedGraph
from archdsl.patterns import checkpointed


def peak(checked: CheckedGraph, *chosen: str, batch: int = 1) -> int:
    found = Training(checked, Options(batch, checkpoint=frozenset(chosen))).peak
    assert found is not None
    return found.size


def again(checked: CheckedGraph, *chosen: str) -> int:
    found = Training(checked, Options(checkpoint=frozenset(chosen))).sums.again
    assert isinstance(found, int)
    return found


def grown(folder: Path, seed: int) -> CheckedGraph:
    """Make a network of blocks that differ in what they keep and what they compute."""
    random, lines = Random(seed), []
    for at in range(random.randint(2, 6)):
        channels, times = random.choice((4, 8, 16)), random.randint(1, 3)
        kind = random.choice(("Plain", "Residual"))
        lines.append(f"b{at}: {kind}({channels}, {times})")
        if random.random() < 0.3:
            lines.append("MaxPool2d(2)" if random.random() < 0.5 else "Conv2d(6, 1)")
    file = folder / "n.arch"
    file.write_text(
        "network n {\n  input x: [3, 32, 32]\n  Conv2d(4, 3, padding = 1)\n  "
        + "\n  ".join(lines)
        + "\n  Mean([2, 3])\n  Linear(3)\n}\n"
        "block Plain(out, times) {\n"
        "  repeat times { Conv2d(out, 3, padding = 1); BatchNorm2d; ReLU }\n}\n"
        "block Residual(out, times) {\n"
        "  residual { repeat times { Conv2d(out, 3, padding = 1); GELU }; "
        "Conv2d(in.channels, 1) }\n}\n".replace("Conv2d(in.channels, 1)", "last: Last")
        .replace("last: Last", "Conv2d(out, 1)")
        .replace("residual {", "Conv2d(out, 1); residual {")
    )
    return archdsl.load(file).checked


ODD = """
block Plain(out, times) { repeat times { Conv2d(out, 3, padding = 1); BatchNorm2d; ReLU } }
block Two(out) {
  input a
  input b
  concat { branch { from a } branch { from b } }
  Conv2d(out, 3, padding = 1); ReLU
}
block Outer(out, times) { first: Plain(out, times); second: Plain(out, 1); Tanh }
"""


def odd(folder: Path, seed: int) -> CheckedGraph:
    """Make a network whose blocks share tensors: what one spares hangs on the others."""
    random = Random(seed)
    kind = ("skips", "dense", "stem", "applied again", "nested", "residual")[seed % 6]
    count = random.randint(2, 4)

    def block(name: str) -> str:
        return f"{name}: Plain({random.choice((4, 8, 16))}, {random.randint(1, 3)})"

    def same(name: str) -> str:
        return f"{name}: Plain(8, {random.randint(1, 3)})"

    if kind == "skips":
        lines = [block(f"d{at}") for at in range(count)]
        for at in range(count - 1):
            before = f"u{at - 1}" if at else f"d{count - 1}"
            lines += [f"from {before}, d{count - 2 - at}", f"u{at}: Two(8)"]
    elif kind == "dense":
        lines = [f"concat {{ branch {{}} branch {{ {block(f'b{at}')} }} }}" for at in range(count)]
    elif kind == "stem":
        lines = ["stem: Conv2d(8, 1)", "concat {"]
        lines += [f"branch {{ from stem -> {block(f'b{at}')} }}" for at in range(count)]
        lines += ["}", block("z")]
    elif kind == "applied again":
        lines = ["Conv2d(8, 1)", *[same(f"b{at}") for at in range(count)], "reuse b0", "reuse b1"]
    elif kind == "nested":
        lines = [f"o{at}: Outer({8 * at + 4}, {random.randint(1, 3)})" for at in range(count)]
    else:
        lines = ["Conv2d(8, 1)", *[f"residual {{ {same(f'b{at}')} }}" for at in range(count)]]
        lines += ["output side { q: Two }".replace("Two", "Plain(3, 1)")]
    file = folder / "n.arch"
    body = "\n".join(["input x: [3, 16, 16]", *lines, "Mean([2, 3])", "Linear(3)"])
    file.write_text(f"network n {{\n{body}\n}}\n{ODD}")
    return archdsl.load(file).checked


@pytest.mark.parametrize("seed", range(12))
def test_blocks_that_share_tensors(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = odd(tmp_path, seed)
    names = candidates(checked)
    every = [chosen for count in range(len(names) + 1) for chosen in combinations(names, count)]
    sizes = {chosen: peak(checked, *chosen) for chosen in every}
    costs = {chosen: again(checked, *chosen) for chosen in every}
    plain = Training(checked, Options())
    levels = sorted({*sizes.values()})
    for memory in levels[:: max(1, len(levels) // 4)]:
        monkeypatch.setattr(fitting, "FEW", 8)
        found = least(checked, plain, memory, names)
        monkeypatch.setattr(fitting, "FEW", 0)  # as of many blocks
        of_many = least(checked, plain, memory, names)

        assert found is not None
        assert sizes[found] <= memory
        assert costs[found] == min(costs[one] for one in every if sizes[one] <= memory)
        assert of_many is not None
        assert sizes[of_many] <= memory
    assert least(checked, plain, levels[0] - 1, names) is None


@pytest.mark.parametrize("seed", range(25))
def test_no_other_choice_of_blocks_computes_less_again(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "FEW", 0)  # of blocks one after the other it is so anyhow
    checked = grown(tmp_path, seed)
    names = candidates(checked)
    every = [chosen for count in range(len(names) + 1) for chosen in combinations(names, count)]
    sizes = {chosen: peak(checked, *chosen) for chosen in every}
    costs = {chosen: again(checked, *chosen) for chosen in every}
    plain = Training(checked, Options())
    levels = sorted({*sizes.values()})
    for memory in levels[:: max(1, len(levels) // 8)]:
        cheapest = min(costs[chosen] for chosen in every if sizes[chosen] <= memory)

        found = least(checked, plain, memory, names)

        assert found is not None
        assert sizes[found] <= memory
        assert costs[found] == cheapest
    assert least(checked, plain, levels[0] - 1, names) is None


def test_blocks_that_cannot_be_computed_again_as_one_are_no_candidates(tmp_path: Path) -> None:
    file = tmp_path / "n.arch"
    file.write_text(
        """network n {
      input x: [8, 16, 16]
      list.a: Outer(8, 1); ReLU; list.b: Plain(8, 1)
      parts: Outer(8, 1); more: Outer(8, 1); whole: Plain(8, 2)
      reuse parts.first; Mean([2, 3]); Linear(2)
    }"""
        + ODD
    )
    checked = archdsl.load(file).checked

    assert candidates(checked) == [
        "list.a",
        "list.b",
        "parts.first",
        "parts.second",
        "more",
        "whole",
    ]
    assert checkpointed(checked, candidates(checked)).scopes == {*candidates(checked)}


@pytest.mark.parametrize("name", ["lenet5", "resnet18", "vit_b_16"])
def test_one_sample_more_does_not_fit(name: str) -> None:
    checked = archdsl.load(name).checked
    for factor in (1, 3, 17):
        memory = factor * peak(checked)
        found = fit(checked, memory, Options())

        assert found.training is not None
        batch = found.training.options.batch
        assert peak(checked, batch=batch) <= memory < peak(checked, batch=batch + 1)
        assert found.next == peak(checked, batch=batch + 1)


def test_too_little_memory_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fit", "resnet18", "--memory", "10MiB"]) == 1
    said = capsys.readouterr().out
    assert "No batch of resnet18 fits into 10.0 MiB" in said
    assert "With all blocks computed again it takes" in said


@pytest.mark.parametrize("text", ["", "24", "foo", "0GiB", "-1GiB", "1e3GiB", "24 XiB", "9" * 40])
def test_memory_that_is_none_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    status = run(["fit", "lenet5", "--memory", text])
    if text == "24":  # bytes
        assert status == 1
        return
    assert status == 2
    assert "is no amount of memory, as in 24GiB" in capsys.readouterr().err


def test_free_sizes_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "n.arch"
    file.write_text("network n { input x: [3, H, W]; Conv2d(3, 3) }\n")

    with pytest.raises(Unfit, match="give them with `--input`"):
        fit(archdsl.load(file).checked, 10**9, Options())
