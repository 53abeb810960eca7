"""Cost grows with the size of the network, and neither depth nor length breaks anything."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from compiled import verified

from archdsl.backends.python_source import python_source
from archdsl.graph import CheckedGraph
from archdsl.limits import Limits
from archdsl.pipeline import Spec

CHAIN = "network net {{ input x: [3, 4, 4]; repeat {n} {{ Conv2d(3, 1); BatchNorm2d; ReLU }} }}"
BLOCKS = """block Unit(width) {{ residual {{ conv: Conv2d(width, 1) -> ReLU }} }}
network net {{ input x: [3, 4, 4]; for i in range({n}) {{ "unit{{i}}": Unit(3) }} }}"""
UNEVEN = """network net {{ input x: [3, 4, 4]
  for i in range({n}) {{ "conv{{i}}": Conv2d(3 + i * i % 11, 1) }} }}"""
BRANCHES = """network net {{ input x: [3, 4, 4]
  for i in range({n}) {{
    concat {{ branch {{}} branch {{ "b{{i}}": Conv2d(1, 1) }} }}
    Conv2d(3, 1)
  }}
}}"""


def graph(folder: Path, text: str, nesting: int = 64) -> CheckedGraph:
    path = folder / "net.arch"
    path.write_text(text)
    return Spec(str(path), limits=Limits(nesting=nesting)).graph()


@pytest.mark.parametrize("text", [CHAIN, BLOCKS, UNEVEN, BRANCHES])
def test_twice_the_network_takes_about_twice_the_time(text: str, tmp_path: Path) -> None:
    def seconds(n: int) -> float:
        checked = graph(tmp_path, text.format(n=n))
        return min(clocked(lambda: python_source(checked)) for _ in range(3))

    seconds(50)
    assert seconds(1_600) / seconds(400) < 8  # 4 if it is linear, 16 if it is quadratic


def clocked(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def test_what_repeats_is_written_once(tmp_path: Path) -> None:
    for text in (CHAIN, BLOCKS, BRANCHES):
        assert len(python_source(graph(tmp_path, text.format(n=3_000)))) < 2_000


@pytest.mark.parametrize("opening", ['"g{i}": {{ Conv2d(3, 1); ', "residual {{ ReLU; "])
def test_deep_nesting(opening: str, tmp_path: Path) -> None:
    depth = 180
    text = "".join(opening.format(i=i) for i in range(depth)) + "Conv2d(3, 1)" + "; ReLU }" * depth
    checked = graph(tmp_path, f"network net {{ input x: [3, 4, 4]; {text} }}", nesting=200)

    _, found = verified(checked)

    assert found.agrees


def test_deep_blocks(tmp_path: Path) -> None:
    blocks = ["block B0 { Conv2d(3, 1) }"]
    blocks += [f"block B{i} {{ residual {{ B{i - 1} }} }}" for i in range(1, 180)]
    text = "\n".join([*blocks, "network net { input x: [3, 4, 4]; B179 }"])

    _, found = verified(graph(tmp_path, text, nesting=200))

    assert found.agrees
