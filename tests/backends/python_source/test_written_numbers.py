"""Numbers are written as the spec makes them: the same number for every value of the names."""

from __future__ import annotations

import math
import random
import re
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from compiled import load, verified

from archdsl.backends.python_source import python_source
from archdsl.backends.python_source.arithmetic import written
from archdsl.elaborate.operations import arithmetic, call
from archdsl.elaborate.values import NoValue
from archdsl.layers.sizes import Formula, FormulaError
from archdsl.layers.traced import Traced, parameter

NAMES = ("a", "b", "c")
SIGNS = ("+", "-", "*", "//", "%", "/", "**", "*", "+", "-")
FUNCTIONS = ("floor", "ceil", "round", "abs", "max", "min", "sqrt")

Tree = str | float | tuple[Any, ...]  # a name, a number, or what is done with others


def tree(chance: random.Random, depth: int) -> Tree:
    if depth == 0 or chance.random() < 0.1:
        return chance.choice([*NAMES * 3, 1, 2, 3, 7, 0.5, 0.25, 1.5, 1e-05])
    if chance.random() < 0.3:
        function = chance.choice(FUNCTIONS)
        count = 2 if function in ("max", "min") else 1
        return (function, *(tree(chance, depth - 1) for _ in range(count)))
    sign = chance.choice(SIGNS)
    right = chance.choice([2, 3, "c", -1]) if sign == "**" else tree(chance, depth - 1)
    return (sign, tree(chance, depth - 1), right)


def value(of: Tree, names: Mapping[str, Any]) -> Any:
    """Return what the language makes of an expression, or None if it has no value."""
    if not isinstance(of, tuple):
        return names[of] if isinstance(of, str) else of
    name, *operands = of
    values = tuple(value(each, names) for each in operands)
    if None in values:
        return None
    with suppress(NoValue):
        return call(name, values) if name in FUNCTIONS else arithmetic(name, *values)
    return None


def python_of(of: Tree, chance: random.Random) -> str:
    """Return an expression as the compiler writes it, or "" if it doesn't."""
    names = {name: parameter(chance.randint(1, 9), f"{name}#1") for name in NAMES}
    found = value(of, names)
    if not isinstance(found, Traced):
        return ""
    short: Any = {f"{name}#1": Formula.named(name) for name in NAMES}
    formula = found.formula
    assert "?" not in str(formula)
    with suppress(FormulaError):
        return written(formula.evaluate(short) if isinstance(formula, Formula) else formula, NAMES)
    return ""


@pytest.mark.parametrize("seed", range(10))
def test_it_is_the_same_number_for_all_values(seed: int) -> None:
    chance = random.Random(seed)
    seen = 0
    for _ in range(80):
        of = tree(chance, chance.randint(1, 4))
        python = python_of(of, chance)
        for _ in range(4 if python else 0):
            names = {name: chance.choice([1, 2, 3, 4, 5, 8, 31]) for name in NAMES}
            expected = value(of, names)
            if expected is not None:
                seen += 1
                found = eval(python, {**names, "math": math})
                assert (found, type(found)) == (expected, type(expected)), (of, python, names)
    assert seen > 80


def test_it_is_written_as_the_formatter_does(tmp_path: Path) -> None:
    chance = random.Random(7)
    texts = [python_of(tree(chance, chance.randint(1, 3)), chance) for _ in range(1000)]
    lines = [f"x = {text}\n" for text in texts if text]
    (tmp_path / "lines.py").write_text("".join(lines))

    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--diff"]
    run = subprocess.run(
        [*command, "--line-length=320", "lines.py"], cwd=tmp_path, capture_output=True, text=True
    )

    assert len(lines) > 300
    assert run.returncode == 0, run.stdout


WRITTEN = {
    "2 * w": "2 * width",
    "w // 2": "width // 2",
    "w % 4": "width % 4",
    "w - 2 * (w // 2) + 1": "width % 2 + 1",
    "(w + 3) % 4 + 1": "(width + 3) % 4 + 1",
    "3 * w // 2": "(3 * width) // 2",
    "floor(0.5 * in.channels)": "math.floor(0.5 * in_channels)",
    "round(w * 0.75) + 8": "round(width * 0.75) + 8",
    "ceil(w / 3)": "math.ceil(width / 3)",
    "max(8, in.channels // w)": "max(8, in_channels // width)",
    "min([w, 8])": "min(width, 8)",
    "w ** 2": "width**2",
    "(w + 1) ** 2": "width**2 + 2 * width + 1",
    "2 ** w": "2**width",
    "floor(sqrt(w))": "math.floor(math.sqrt(width))",
    "abs(w - 9) + 1": "abs(width - 9) + 1",
    "in.channels * 4 // w": "(4 * in_channels) // width",
    "floor(w * 0.5 * 0.5) + 1": "math.floor(width * 0.5 * 0.5) + 1",
    "floor(w * (0.5 * 0.5)) + 1": "math.floor(width * 0.25) + 1",
    "ceil(9 / (w / 3.0))": "math.ceil(9 / (width / 3.0))",
}


@pytest.mark.parametrize(("formula", "python"), WRITTEN.items(), ids=WRITTEN)
def test_it_reads_as_if_it_were_written_by_hand(formula: str, python: str, tmp_path: Path) -> None:
    use = formula.replace("w", "width")
    text = python_source(
        load(
            tmp_path,
            f"block Unit(width) {{ c: Conv2d({use}, 1) }}\n"
            "network net { input x: [16, 8, 8]; a: Unit(3); Conv2d(24, 1); b: Unit(6) }",
        )
    )

    on_one_line = re.sub(r"\(\s+|\s+(?=\))", lambda match: match[0].strip(), text)
    assert f"self.c = nn.Conv2d(in_channels, {python}, kernel_size=1)" in on_one_line


SQUEEZE = """block Squeeze(ratio) {
  let inner = max(4, floor(ratio * in.channels))
  let out = in.channels
  residual { fc1: Conv2d(inner, 1) -> relu: ReLU -> fc2: Conv2d(out, 1) }
}
network net { input x: [16, 8, 8]; a: Squeeze(0.25); Conv2d(24, 1); b: Squeeze(0.5) }"""


def test_what_is_worked_out_twice_is_a_variable_called_as_in_the_spec(tmp_path: Path) -> None:
    text = python_source(load(tmp_path, SQUEEZE))

    assert "def __init__(self, in_channels: int, ratio: float)" in text
    assert "inner = max(4, math.floor(ratio * in_channels))\n" in text
    assert "self.fc1 = nn.Conv2d(in_channels, inner, kernel_size=1)" in text
    assert "self.fc2 = nn.Conv2d(inner, in_channels, kernel_size=1)" in text


def test_a_power_of_a_variable_has_no_blanks(tmp_path: Path) -> None:
    block = """block Unit(width) { let more = max(width, 4)
      c: Conv2d(more, 1) -> a: Conv2d(more ** 2 + 1, 1)
      b: Conv2d((width + 1) * more ** width, 1) }"""
    uses = "network net { input x: [3, 8, 8]; a: Unit(3) -> b: Unit(2) }"
    text = python_source(load(tmp_path, f"{block}\n{uses}"))

    assert "more = max(width, 4)\n" in text
    assert "more**2 + 1" in text
    assert "* more**width" in text


def test_sizes_in_a_list_that_have_to_fit_follow_from_what_the_block_is_told(
    tmp_path: Path,
) -> None:
    """None of them can be changed alone: as many numbers as come in have to go out."""
    checked = load(
        tmp_path,
        """
        network n {
          input x: [6, 24]
          a: Heads(2); b: Heads(4); c: Heads(8)
        }
        block Heads(heads) {
          Unflatten(2, [heads, 24 // heads]) -> Transpose(2, 3)
          flat: Reshape([3, 2 * heads, 24 // heads])
          parameter t: [4, heads]
          from t -> Reshape([heads, 2, 2]) -> total: Mean([1, 2])
          from flat -> Reshape([6, heads, 24 // heads])
          mul { branch {} branch { from total -> Unflatten(0, [heads, 1]) } }
          Reshape([6, 24])
        }
        """,
    )
    source, verification = verified(checked)

    assert verification.agrees
    assert "class Heads(nn.Module):\n    def __init__(self, heads: int) -> None:\n" in source
    assert "torch.unflatten(x, 2, (self.heads, self.x24_heads))" in source
    assert "self.t.reshape(self.heads, 2, 2)" in source


def test_a_list_of_one_row_is_written_once(tmp_path: Path) -> None:
    body = "input x: [8]; " + "; ".join(f"a.{at}: Linear(8); ReLU" for at in range(5))
    source, verification = verified(load(tmp_path, f"network n {{ {body} }}"))

    assert verification.agrees
    assert "self.a = nn.ModuleList([nn.Linear(8, 8) for _ in range(5)])\n" in source
