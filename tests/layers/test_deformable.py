"""Deformable convolution: against plain convolution, its messages, and without torchvision."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch_facts import Built

from archdsl import ArchError
from archdsl.backends.torch_module import torch_module
from archdsl.graph import CheckedGraph
from archdsl.layers.base import LayerError
from archdsl.layers.convolution import Conv2d
from archdsl.layers.deformable import DeformConv2d
from archdsl.pipeline import Spec

BODY = """\
  offset: Conv2d(18, 3, padding = 1)
  from x -> Conv2d(9, 3, padding = 1) -> weights: Sigmoid
  from x, offset, weights -> dcn: DeformConv2d(6, 3, padding = 1, groups = 2)
"""


def graph(folder: Path, body: str, shape: str) -> CheckedGraph:
    path = folder / "net.arch"
    path.write_text(f"network net {{\n  input x: {shape}\n{body}}}\n")
    return Spec(str(path)).graph("net")


@torch.no_grad()
def test_without_an_offset_it_is_a_convolution() -> None:
    layer = DeformConv2d(out_channels=6, kernel_size=(3, 2), stride=2, padding=1, groups=2)
    plain = Conv2d(out_channels=6, kernel_size=(3, 2), stride=2, padding=1, groups=2)
    facts, expected = layer.infer(((4, 9, 8), (12, 5, 5))), plain.infer(((4, 9, 8),))
    one, two = Built(facts.torch), Built(expected.torch)
    two.load_state_dict(one.state_dict())
    x = torch.randn(2, 4, 9, 8)

    assert (facts.output, facts.macs, facts.params) == (
        expected.output,
        expected.macs,
        expected.params,
    )
    assert torch.allclose(one(x, torch.zeros(2, 12, 5, 5)), two(x), atol=1e-6)


@torch.no_grad()
def test_an_offset_shifts_down_and_right() -> None:
    """As the documentation has it: two numbers for each place, the first of them down."""
    layer = DeformConv2d(out_channels=1, kernel_size=1, bias=False)
    module = Built(layer.infer(((1, 4, 5), (2, 4, 5))).torch)
    module.own.weight.fill_(1.0)
    x = torch.arange(20.0).reshape(1, 1, 4, 5)
    offset = torch.zeros(1, 2, 4, 5)
    offset[:, 0], offset[:, 1] = 1, 2

    assert torch.equal(module(x, offset)[0, 0, :3, :3], x[0, 0, 1:, 2:])


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        (((4, 8, 8),), "takes 2 to 3 tensors, and 1 comes in"),
        (((4, 8, 8), (17, 8, 8)), "takes an offset of 18 channels, .* and 17 come in"),
        (((4, 8, 8), (54, 8, 8)), "each group of its 4 input channels, and 54 come in"),
        (((4, 8, 8), (18, 6, 6)), "takes an offset of 18 x 8 x 8 for this image, .* 18 x 6 x 6"),
        (((4, 8, 8), (18, 8, 8), (18, 8, 8)), "takes a mask of 9 x 8 x 8 for this image"),
        (((4, 8), (18, 8, 8)), r"\[channels, height, width\] first"),
        (((4, 8, 8), ()), "and 0 come in"),
        (((5, 8, 8), (18, 8, 8)), "needs groups = 2 to divide its 5 input"),
    ],
)
def test_what_cant_be_taken_is_explained(inputs: tuple[tuple[int, ...], ...], reason: str) -> None:
    with pytest.raises(LayerError, match=reason):
        DeformConv2d(out_channels=6, kernel_size=3, padding=1, groups=2).infer(inputs)


def test_the_help_is_a_convolution_that_gives_an_offset() -> None:
    layer = DeformConv2d(out_channels=6, kernel_size=(1, 3), stride=2, padding=(0, 1))

    with pytest.raises(LayerError) as caught:
        layer.infer(((4, 8, 8), (4, 8, 8)))
    assert caught.value.help == (
        "`Conv2d(6, kernel_size = [1, 3], stride = 2, padding = [0, 1])` gives one"
    )


def test_free_sizes_must_agree(tmp_path: Path) -> None:
    checked = graph(tmp_path, BODY, "[4, H, W]")

    assert [str(size) for size in checked.nodes["dcn"].shape] == ["6", "H", "W"]


def test_it_is_seen_by_all_of_the_image(tmp_path: Path) -> None:
    assert graph(tmp_path, BODY, "[4, 8, 8]").nodes["dcn"].facts.windows == "global"


def test_without_torchvision_it_is_counted_and_not_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = graph(tmp_path, BODY, "[4, 8, 8]")
    monkeypatch.setitem(sys.modules, "torchvision", None)

    with pytest.raises(ArchError) as caught:
        torch_module(checked, device="meta")
    assert "error[E0616]: `DeformConv2d` is a module of torchvision, which is not" in str(
        caught.value
    )
