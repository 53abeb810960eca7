"""Cost grows with the size of the network, and neither depth nor length breaks anything."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
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
WIDTHS = """block Unit(width) {{ conv: Conv2d(width, 1) -> bn: BatchNorm2d -> ReLU }}
network net {{ input x: [3, 4, 4]
  for i in range({n} // 3) {{ "unit{{i}}": Unit(3 + i * i * 7919 % 1009) }} }}"""
RUNS = """network net {{ input x: [3, 4, 4]
  for i in range({n} // 3) {{
    "c{{i}}": Conv2d(3 + i * i * 7919 % 1009, 1); ReLU; "b{{i}}": BatchNorm2d
  }}
}}"""
GROUPS = """network net {{ input x: [3, 4, 4]
  for i in range({n} // 2) {{ "g{{i}}": {{ Conv2d(3 + i * i * 7919 % 1009, 1); ReLU }} }} }}"""
RESIDUALS = """network net {{ input x: [3, 4, 4]
  repeat {n} // 3 {{ residual {{ Conv2d(3, 1) -> BatchNorm2d }} }} }}"""
SKIPS = """network net {{ input x: [3, 4, 4]
  for i in range({n} // 3) {{
    "a{{i}}": Conv2d(3, 1)
    add {{ branch {{}} branch {{ from "a{{i * i * 31 % (i + 1)}}" }} }}; ReLU
  }}
}}"""
REUSE = """network net {{ input x: [3, 4, 4]; c: {{ Conv2d(3, 1); BatchNorm2d; ReLU }}
  repeat {n} // 3 {{ reuse c }} }}"""
WITHIN = """network net {{ input x: [3, 4, 4]
  g: {{ c: Conv2d(3, 1); repeat {n} // 2 {{ reuse c; ReLU }} }} }}"""
OUTPUTS = """network net {{ input x: [3, 4, 4]
  for i in range({n} // 3) {{
    "a{{i}}": Conv2d(3, 1); output "o{{i}}" {{ "h{{i}}": Conv2d(2, 1) }}; ReLU
  }}
}}"""
DEPTHS = """block Unit(width) {{ conv: Conv2d(width, 1) -> ReLU }}
block Stage(depth) {{ repeat depth {{ Unit(3) }} }}
network net {{ input x: [3, 4, 4]
  for i in range({n} // 10) {{ "stage{{i}}": Stage(4 + i % 3) }} }}"""
DENSE = """block Stage(depth, growth) {{
  for i in range(depth) {{ concat {{ branch {{}} branch {{ "l{{i}}": Conv2d(growth, 1) }} }} }}
}}
network net {{ input x: [3, 4, 4]
  for i in range({n} // 10) {{ "s{{i}}": Stage(4 + i % 3, 1 + i % 5); "r{{i}}": Conv2d(3, 1) }}
}}"""
HELD = """network net {{ input x: [3, 4, 4]
  for i in range({n} // 3) {{ "{{i}}": Conv2d(3, 1) }}
  for i in range({n} // 3) {{ add {{ branch {{}} branch {{ from "{{i}}" }} }}; ReLU }}
}}"""
FORMS = {
    "chain": CHAIN.replace("{n}", "{n} // 3"),
    "blocks": BLOCKS.replace("{n}", "{n} // 3"),
    "uneven": UNEVEN,
    "branches": BRANCHES.replace("{n}", "{n} // 3"),
    "widths": WIDTHS,
    "runs": RUNS,
    "groups": GROUPS,
    "residuals": RESIDUALS,
    "skips": SKIPS,
    "reuse": REUSE,
    "within": WITHIN,
    "outputs": OUTPUTS,
    "depths": DEPTHS,
    "dense": DENSE,
    "held": HELD,
}
Clock = Callable[..., float]  # the fixture in tests/conftest.py

FEW, MANY = 1_250, 10_000
MOST = 8 * 2.6  # times as long for eight times as many nodes, which a square makes 64


def graph(folder: Path, text: str, nesting: int = 64) -> CheckedGraph:
    path = folder / "net.arch"
    path.write_text(text)
    return Spec(str(path), limits=Limits(nesting=nesting)).graph()


@pytest.mark.parametrize("text", [CHAIN, BLOCKS, UNEVEN, BRANCHES])
def test_twice_the_network_takes_about_twice_the_time(
    text: str, tmp_path: Path, clocked: Clock
) -> None:
    def seconds(n: int) -> float:
        checked = graph(tmp_path, text.format(n=n))
        return clocked(lambda: python_source(checked))

    assert seconds(1_600) / seconds(400) < 8  # 4 if it is linear, 16 if it is quadratic


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_the_time_is_in_proportion_to_the_nodes(form: str, tmp_path: Path, clocked: Clock) -> None:
    def seconds(nodes: int, tries: int = 3) -> float:
        checked = graph(tmp_path, FORMS[form].format(n=nodes))
        assert nodes * 0.9 <= len(checked.nodes) <= nodes * 1.4
        return clocked(lambda: python_source(checked), tries)

    most = MOST * seconds(FEW)
    assert seconds(MANY, 1) < most or seconds(MANY) < most


@pytest.mark.slow
def test_a_random_row_of_layers(tmp_path: Path, clocked: Clock) -> None:
    """Nothing in it repeats for long, and much of it nearly does."""

    def seconds(nodes: int, tries: int = 3) -> float:
        chance = random.Random(nodes)
        kinds = ["BatchNorm2d", "ReLU", "Tanh", "Dropout(0.5)", "GroupNorm(1)"]
        kinds += [f"Conv2d({width}, 1)" for width in range(1, 6)]
        lines = [
            f"l{at}: {kind}" if chance.random() < 0.3 else kind
            for at, kind in enumerate(chance.choices(kinds, k=nodes))
        ]
        text = "\n".join(["network net { input x: [3, 4, 4]", *lines, "}"])
        checked = graph(tmp_path, text)
        return clocked(lambda: python_source(checked), tries)

    most = MOST * seconds(FEW)
    assert seconds(MANY, 1) < most or seconds(MANY) < most


def test_what_repeats_is_written_once(tmp_path: Path) -> None:
    for text in (CHAIN, BLOCKS, BRANCHES, REUSE, WITHIN):
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
