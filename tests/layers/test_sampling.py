"""Reading an image at the places of a grid: what is counted, and what can't be taken."""

from __future__ import annotations

import pytest
import torch
from torch_facts import Built

from archdsl.layers.base import LayerError
from archdsl.layers.sampling import GridSample, Mode


@torch.no_grad()
def test_a_grid_goes_across_first_and_then_down() -> None:
    module = Built(GridSample(align_corners=True).infer(((1, 3, 5), (1, 2, 2))).torch)
    image = torch.arange(15.0).reshape(1, 1, 3, 5)
    grid = torch.tensor([[[[1.0, -1.0], [-0.5, 1.0]]]])

    assert module(image, grid).flatten().tolist() == [4.0, 11.0]


@torch.no_grad()
def test_axes_in_front_are_images_of_their_own() -> None:
    module = Built(GridSample().infer(((2, 3, 4, 5), (2, 6, 3, 2))).torch)
    image, grid = torch.randn(2, 2, 3, 4, 5), torch.rand(2, 2, 6, 3, 2) * 2 - 1

    found = module(image, grid)

    one = torch.nn.functional.grid_sample(image[:, 1], grid[:, 1], align_corners=False)
    assert torch.equal(found[:, 1], one)


@pytest.mark.parametrize(
    ("mode", "image", "grid", "other"),
    [
        ("bilinear", (3, 6, 7), (4, 5, 2), {"resize": 7 * 60, "elementwise": 80}),
        ("bicubic", (3, 6, 7), (4, 5, 2), {"resize": 31 * 60, "elementwise": 80}),
        ("nearest", (3, 6, 7), (4, 5, 2), {"elementwise": 80}),
        ("bilinear", (1, 3, 6, 7), (2, 4, 5, 3), {"resize": 15 * 40, "elementwise": 240}),
    ],
    ids=["bilinear", "bicubic", "nearest", "volume"],
)
def test_what_interpolates_is_counted(
    mode: Mode, image: tuple[int, ...], grid: tuple[int, ...], other: dict[str, int]
) -> None:
    facts = GridSample(mode=mode).infer((image, grid))

    assert (facts.macs, facts.params, facts.other) == (0, {}, other)


@pytest.mark.parametrize(
    ("mode", "inputs", "reason"),
    [
        ("bilinear", ((3, 6, 7),), "takes 2 tensors, and 1 comes in"),
        ("bilinear", ((3, 6, 7), (2, 4, 5)), r"a grid of \[height, width, 2\], .* 3 x 6 x 7 and 2"),
        ("bilinear", ((3, 6, 7), (4, 2)), "and has 3 x 6 x 7 and 4 x 2"),
        ("bilinear", ((3, 6, 7), ()), "and has 3 x 6 x 7 and a number"),
        ("bilinear", ((3, 6, 7), (4, 5, 1)), "and has 3 x 6 x 7 and 4 x 5 x 1"),
        ("bilinear", ((2, 3, 6, 7), (3, 4, 5, 2)), "needs as many grids as images"),
        ("bicubic", ((2, 3, 6, 7), (3, 4, 5, 3)), "bicubic.*not for a volume"),
    ],
    ids=["one", "first", "axes", "number", "line", "front", "bicubic"],
)
def test_what_cant_be_taken_is_explained(
    mode: Mode, inputs: tuple[tuple[int, ...], ...], reason: str
) -> None:
    with pytest.raises(LayerError, match=reason):
        GridSample(mode=mode).infer(inputs)
