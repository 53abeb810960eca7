"""The largest batch that fits, and the least to compute again: against trying all there is."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

import archdsl
from archdsl.analysis import fitting
from archdsl.analysis.checkpoints import unfit
from archdsl.analysis.fitting import Unfit, candidates, fit, least
from archdsl.analysis.training import Options, Training
from archdsl.backends.formulas import apart_in_bytes
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


def sets_of(checked: CheckedGraph) -> list[tuple[str, ...]]:
    """Return all sets of blocks and groups, none of them within another, that can be chosen."""
    names = [name for name in checked.scopes if name and any(
        node.startswith(f"{name}.") for node in checked.nodes
    ) and not unfit(checked, {name})]  # fmt: skip
    found: list[tuple[str, ...]] = [()]
    for name in names:  # what is around comes before what is in it
        found += [
            (*one, name) for one in found if not any(name.startswith(f"{each}.") for each in one)
        ]
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
        lines = [
            f"o{at}: Outer({8 * at + 4}, {random.randint(1, 3)})" for at in range(min(count, 3))
        ]
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
    every = sets_of(checked)
    sizes = {chosen: peak(checked, *chosen) for chosen in every}
    costs = {chosen: again(checked, *chosen) for chosen in every}
    plain = Training(checked, Options())
    levels = sorted({*sizes.values()})
    for memory in levels[:: max(1, len(levels) // 4)]:
        found = least(checked, plain, memory)
        with monkeypatch.context() as many:
            few = len(checked.nodes) * len(every)
            many.setattr(fitting, "MOST_NODES", few - 1)  # as of many blocks
            of_many = least(checked, plain, memory)

        assert found.chosen is not None
        assert sizes[found.chosen] <= memory
        assert costs[found.chosen] == min(costs[one] for one in every if sizes[one] <= memory)
        assert found.tried is None
        assert of_many.chosen is not None
        assert sizes[of_many.chosen] <= memory
        assert of_many.tried is not None
    assert least(checked, plain, levels[0] - 1) == (None, levels[0], None)


LEVELS = """
block Outer(out) { Conv2d(out, 3, padding = 1) -> Sigmoid -> v: Inner(out) -> Tanh }
block Wrapped(out) {
  residual { BatchNorm2d -> Conv2d(in.channels, 3, padding = 1) -> v: Inner(out) }
}
block Inner(out) { Softplus -> Conv2d(in.channels, 1) -> Mish }
block Bare { Sigmoid -> v: { Tanh } }
"""


def nested(folder: Path, seed: int) -> CheckedGraph:
    """Make a network of two levels, of which blocks, those in them and groups may be chosen."""
    random, lines = Random(seed), ["Conv2d(4, 3, padding = 1)"]
    for at in range(random.randint(2, 3)):
        kind = random.choice(("Outer", "Wrapped", "Bare", "group"))
        out = random.choice((4, 6, 12))
        lines.append(
            f"b{at}: {{ Conv2d({out}, 1) -> ReLU -> h: {{ Conv2d({out}, 3) -> GELU }} }}"
            if kind == "group"
            else f"b{at}: {kind}" + (f"({out})" if kind != "Bare" else "")
        )
    file = folder / "n.arch"
    body = "\n".join(["input x: [3, 16, 16]", *lines, "flat: { Mean([2, 3]) }", "Linear(3)"])
    file.write_text(f"network n {{\n{body}\n}}\n{LEVELS}")
    return archdsl.load(file).checked


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("seed", range(6))
def test_of_blocks_in_blocks_no_other_choice_is_better(
    seed: int, optimizer: str, tmp_path: Path
) -> None:
    checked = nested(tmp_path, seed)
    found = {}
    for chosen in sets_of(checked):
        step = Training(checked, Options(optimizer=optimizer, checkpoint=frozenset(chosen)))
        assert step.peak is not None
        found[chosen] = step.peak.size, step.sums.again
    levels = sorted({size for size, _ in found.values()})
    plain = Training(checked, Options(optimizer=optimizer))
    for memory in [*levels[:: max(1, len(levels) // 6)], levels[-1] - 1]:
        one = least(checked, plain, memory)

        assert one.chosen is not None
        size, again = found[one.chosen]
        assert size <= memory
        assert again == min(again for size, again in found.values() if size <= memory)
    # and it is said where nothing fits, with what a step takes at least
    assert least(checked, plain, levels[0] - 1) == (None, levels[0], None)


@pytest.mark.parametrize("seed", range(25))
def test_no_other_choice_of_blocks_computes_less_again(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "MOST_NODES", 0)  # of blocks one after the other it is so anyhow
    checked = grown(tmp_path, seed)
    every = sets_of(checked)
    sizes = {chosen: peak(checked, *chosen) for chosen in every}
    costs = {chosen: again(checked, *chosen) for chosen in every}
    plain = Training(checked, Options())
    levels = sorted({*sizes.values()})
    for memory in levels[:: max(1, len(levels) // 8)]:
        cheapest = min(costs[chosen] for chosen in every if sizes[chosen] <= memory)

        found = least(checked, plain, memory)

        assert found.chosen is not None
        assert sizes[found.chosen] <= memory
        assert costs[found.chosen] == cheapest
    assert least(checked, plain, levels[0] - 1).chosen is None


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
    assert "With blocks computed again it takes" in said
    assert "there are more sets of blocks than the " in said


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


@pytest.mark.parametrize(
    "sizes", [(1,), (1000, 1001), (24 * 2**30, 24 * 2**30 - 2**24), (2**40, 2**40 + 1), (0, 5, 5)]
)
def test_amounts_that_differ_are_seen_to(sizes: tuple[int, ...]) -> None:
    shown = apart_in_bytes(sizes)
    assert len({*shown.values()}) == len({*sizes})


def test_what_a_memory_lacks_is_seen(capsys: pytest.CaptureFixture[str]) -> None:
    first, more = (peak(archdsl.load("lenet5").checked, batch=batch) for batch in (1000, 1001))
    for memory in (more - 1, more, first - 1):
        assert run(["fit", "lenet5", "--memory", f"{memory}B"]) == 0
        rows = capsys.readouterr().out.splitlines()
        there = rows[0].removeprefix("lenet5 in ").partition(":")[0]
        lacking = next(row.split("  ")[-1] for row in rows if row.startswith("  of "))
        assert there != lacking


def test_blocks_that_there_are_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, said in ((2, "there are `l0`, `l1`"), (5, "there are `l0`, `l1`, `l2`, ...")):
        file = tmp_path / "n.arch"
        file.write_text(
            f"network n {{ input x: [3, 8, 8]; for i in range({number}) "
            '{ "l{i}": { Conv2d(3, 1) -> ReLU } } }\n'
        )
        assert run(["count", str(file), "--training", "--checkpoint", "nope*"]) == 1
        assert capsys.readouterr().err.rstrip().endswith(said)
