"""Cost grows linearly with the size of a network. Times are compared with each other only."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import archdsl
from archdsl.backends.table import render
from archdsl.counting import count
from archdsl.syntax import kept

FORMS = {
    "repeat": "network n {{\n  input x: [3, 8, 8]\n  repeat {n} {{ Conv2d(3, 1) }}\n}}\n",
    "blocks": "block A {{ ReLU }}\nblock B {{ A }}\n"
    "network n {{\n  input x: [3, 8, 8]\n  repeat {n} {{ B }}\n}}\n",
    "residuals": "network n {{\n  input x: [3, 8, 8]\n"
    "  repeat {n} // 2 {{ residual {{ Conv2d(3, 1) }} }}\n}}\n",
    "concats": "network n {{\n  input x: [3, 8, 8]\n  repeat {n} // 4 {{\n"
    "    concat {{ branch {{ Conv2d(3, 1) }} branch {{ ReLU }} }}\n    Conv2d(3, 1)\n  }}\n}}\n",
    "labels": 'network n {{\n  input x: [3, 8, 8]\n'
    '  for i in range({n}) {{ "a{{i}}": ReLU }}\n}}\n',
    "groups": 'network n {{\n  input x: [3, 8, 8]\n  for i in range({n} // 2) {{\n'
    '    "g{{i}}": {{ a: ReLU; b: {{ ReLU }} }}\n  }}\n}}\n',
}  # fmt: skip
Clock = Callable[..., float]  # the fixture in tests/conftest.py

FEW, MANY = 5_000, 100_000
MOST = 30  # times as long, for 20 times as many layers: a square would make it 400


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_a_hundred_thousand_layers(tmp_path: Path, form: str) -> None:
    small = min(seconds_of_process(tmp_path, form, FEW) for _ in range(3))

    assert any(seconds_of_process(tmp_path, form, MANY) < MOST * small for _ in range(2))


def seconds_of_process(folder: Path, form: str, layers: int) -> float:
    """Return the processor time of `archdsl count`, the whole process."""
    path = folder / f"n{layers}.arch"
    path.write_text(FORMS[form].format(n=layers))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "archdsl", "count", str(path)], capture_output=True, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert layers * 0.7 <= done.stdout.count(b"\n") <= layers + 50
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_cost_is_linear(tmp_path: Path, clocked: Clock) -> None:
    """The same with fewer layers: with a square in it this would be four times as much."""

    def counting(form: str, layers: int) -> float:
        path = tmp_path / f"n{layers}.arch"
        path.write_text(FORMS[form].format(n=layers))
        rows = archdsl.load(str(path)).count().report.rows
        assert layers * 0.7 <= len(rows) <= layers + 1
        return clocked(lambda: archdsl.load(str(path)).count())

    for form in ("repeat", "residuals"):
        assert counting(form, 4_000) < 8 * 2.6 * counting(form, 500)


NESTED = (
    "network n {{\n  input x: [3, 8, 8]\n"
    "  repeat {n} // 100 {{ repeat 99 {{ Conv2d(3, 3, padding = 1) }}\n ReLU }}\n}}\n"
)


@pytest.mark.parametrize("form", [FORMS["repeat"], NESTED], ids=["repeat", "nested"])
def test_turns_of_a_loop_are_counted_as_one(tmp_path: Path, clocked: Clock, form: str) -> None:
    def counting(layers: int) -> float:
        path = tmp_path / f"n{layers}.arch"
        path.write_text(form.format(n=layers))
        return clocked(lambda: render([count(archdsl.load(str(path)).checked, 1)]))

    few, many = counting(10_000), counting(20_000)
    assert many < 2.6 * few

    checked = archdsl.load(str(tmp_path / "n20000.arch")).checked
    apart = replace(checked, nodes=dict(checked.nodes))  # nothing tells of a loop any more
    assert 3 * many < clocked(lambda: render([count(replace(apart), 1)]), tries=1)


@pytest.mark.slow
def test_long_files_are_read_in_linear_time(
    tmp_path: Path, clocked: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "MOST_CHARACTERS", 0)  # parsed each time

    def reading(lines: int) -> float:
        path = tmp_path / f"{lines}.arch"
        path.write_text("network n {\n  input x: [3, 8, 8]\n" + "  ReLU\n" * lines + "}\n")
        return clocked(lambda: archdsl.load(str(path)))

    assert reading(16_000) < 8 * 2.6 * reading(2_000)


@pytest.mark.slow
def test_long_lines_of_errors(tmp_path: Path, clocked: Clock) -> None:
    """A wrong file is not read anew for each thing that is wrong."""

    def refusing(items: int) -> float:
        path = tmp_path / f"{items}.arch"
        path.write_text("\n".join(f"network n{i} {{ input x: [3] a a }}" for i in range(items)))

        def load() -> None:
            with pytest.raises(archdsl.ArchError):
                archdsl.load(str(path))

        return clocked(load)

    assert refusing(16_000) < 8 * 2.6 * refusing(2_000)


def with_inputs(folder: Path, count: int) -> str:
    """Write a network that adds up so many inputs, and return its path."""
    path = folder / f"{count}.arch"
    inputs = "\n".join(f"input x{i}: [3, 8, 8]" for i in range(count))
    added = f'for i in range({count}) {{ add {{ branch {{}} branch {{ from "x{{i}}" }} }} }}'
    path.write_text(f"network n {{\n{inputs}\nfrom x0\n{added}\n}}")
    return str(path)


@pytest.mark.slow
def test_many_inputs_are_read_in_linear_time(
    tmp_path: Path, clocked: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "MOST_CHARACTERS", 0)  # parsed each time

    def reading(count: int) -> float:
        path = with_inputs(tmp_path, count)
        return clocked(lambda: archdsl.load(path))

    assert reading(16_000) < 8 * 2.6 * reading(2_000)


@pytest.mark.slow
def test_a_page_of_many_inputs(tmp_path: Path, clocked: Clock) -> None:
    def drawing(count: int) -> float:
        network = archdsl.load(with_inputs(tmp_path, count))
        return clocked(lambda: network.draw(format="html", depth=0))

    assert drawing(4_000) < 8 * 2.6 * drawing(500)
