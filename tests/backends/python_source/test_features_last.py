"""Classes of what has its features in the last axis, and how large images may stand in them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import archdsl
from archdsl.backends.python_source import python_source
from archdsl.backends.torch_module import verify

MIX = """block Mix {
  residual { norm: LayerNorm -> Linear(4 * in.features) -> GELU -> Linear(in.features // 4) }
  Unflatten(1, [in.shape[0] // 2, 2]) -> Flatten(1, 2)
}
"""
WINDOWS = """block Windows(size) {
  let shape = in.shape
  let rows, columns = [in.height // size, in.width // size]
  Reshape([in.channels, rows, size, columns, size]) -> Permute([0, 2, 4, 1, 3, 5])
  Reshape([rows * columns, size ** 2, shape[0]]) -> mix: Linear(in.features)
  Reshape(shape)
}
"""
SHIFTED = "block Shifted(shift) { attn: ShiftedWindowAttention(4, shift, 2) }\n"
# In a network of that body: how each is made, and that class's constructor.
CASES = {
    "features": (
        MIX,
        "input x: [12, 16, 8]; one: Mix; Linear(16); two: Mix",
        ["Mix(8)", "Mix(16)"],
        "self, in_features: int",
    ),
    "features and places": (
        MIX,
        "input x: [12, 16, 8]; one: Mix; Slice(0, none, step = 2, dim = 1); Linear(16); two: Mix",
        ["Mix(8, in_size1=12)", "Mix(16, in_size1=6)"],
        "self, in_features: int, in_size1: int",
    ),
    "maps": (
        WINDOWS,
        "input x: [8, 12, 16]; one: Windows(2); MaxPool2d(2); Conv2d(16, 1); two: Windows(2)",
        ["Windows(8, in_height=12, in_width=16)", "Windows(16, in_height=6, in_width=8)"],
        "self, in_channels: int, in_height: int, in_width: int",
    ),
    "lists": (
        SHIFTED,
        "input x: [8, 8, 16]; one: Shifted(0); two: Shifted(2)",
        ["Shifted(shift=0)", "Shifted(shift=2)"],
        "self, shift: int",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_class_takes_what_comes_in(case: str, tmp_path: Path) -> None:
    block, body, made, constructor = CASES[case]
    path = tmp_path / "net.arch"
    path.write_text(f"{block}network net {{ {body} }}\n")
    network = archdsl.load(path)

    source = python_source(network.checked)

    name = made[0].partition("(")[0]
    assert re.findall(rf"self\.\w+ = ({name}\(.*\))$", source, re.MULTILINE) == made
    assert source.count(f"class {name}(") == 1
    assert f"    def __init__({constructor}) -> None:" in source.partition(f"class {name}(")[2]
    verify(network.compile(), network.checked)
