"""Blocks that run under torch.compile by themselves: each compiled once, and the same numbers."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

import archdsl

torch = pytest.importorskip("torch")

from archdsl.backends.torch_module.regions import compiled  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

BLOCKS = """
block Inner(out) { Conv2d(out, 3, padding = 1) -> ReLU }
block Outer(out) { residual { Inner(out) -> Inner(out) } }
"""
# the stages behind an input of 4 x 8 x 8; how often blocks are used, and how many functions torch
# compiles for that
NETWORKS: dict[str, tuple[str, dict[str, int], int]] = {
    "uses that are the same": ("Inner(4); Inner(4); Inner(4); Conv2d(2, 1)", {"Inner": 3}, 1),
    "of two shapes": ("Inner(4); Inner(4); Inner(8); Inner(8)", {"Inner": 4}, 3),
    "within each other": ("Outer(4); Outer(4); Inner(8)", {"Outer": 2, "Inner": 1}, 2),
    "in one that is used once": ("Outer(4); ReLU", {"Inner": 2}, 1),
    "in a loop": ("repeat 12 { Outer(4) }", {"Outer": 12}, 1),
    "none": ("Conv2d(4, 1); ReLU", {}, 1),
}


@pytest.mark.parametrize("case", NETWORKS)
def test_each_block_is_compiled_once_for_what_it_is_called_with(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages, blocks, functions = NETWORKS[case]
    path = tmp_path / "net.arch"
    path.write_text(f"{BLOCKS}network net {{ input x: [4, 8, 8]; {stages} }}")
    network = archdsl.load(path)
    module, image = network.compile().eval(), torch.randn(2, 4, 8, 8)
    made: list[Any] = []

    def counted(graph: Any, _: Any) -> Any:
        made.append(graph)
        return graph.forward

    torch._dynamo.reset()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=counted))
    with torch.no_grad():
        expected = module(image)
        with compiled(module, network.checked, by_block=True) as found:
            assert torch.equal(found.runs(image), expected)
            assert torch.equal(found.runs(image), expected)
        made_inside = len(made)
        assert torch.equal(module(image), expected)

    assert dict(found.blocks) == blocks
    assert len(made) == made_inside == functions
