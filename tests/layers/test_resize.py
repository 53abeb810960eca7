"""Which places an interpolation reads, found by following gradients; and what it refuses."""

from __future__ import annotations

from math import ceil

import pytest
import torch
from torch_facts import Built

from archdsl.layers.base import Layer, LayerError, Window
from archdsl.layers.resize import Interpolate, ResizeLike, Upsample, UpsamplingBilinear2d
from archdsl.layers.sizes import Formula

WIDTH = Formula.named("W")


def places_read(layer: Layer, size: int) -> list[list[int]]:
    """Return, for each output along the width, the places of the input that change it."""
    facts = layer.infer(((1, 9, size),))
    x = torch.rand(1, 1, 9, size, dtype=torch.float64, requires_grad=True)
    output = Built(facts.torch)(x)
    found = []
    for place in range(output.shape[-1]):
        (gradient,) = torch.autograd.grad(output[..., place].sum(), x, retain_graph=True)
        found.append((gradient.abs().amax((0, 1, 2)) > 1e-12).nonzero().flatten().tolist())
    return found


@pytest.mark.parametrize("size", [{"size": (9, 5)}, {"size": (9, 23)}, {"scale_factor": (1, 2.5)}])
@pytest.mark.parametrize(
    "how",
    [
        {"mode": "nearest"},
        {"mode": "nearest-exact"},
        {"mode": "area"},
        {"mode": "bilinear"},
        {"mode": "bilinear", "align_corners": True},
        {"mode": "bicubic"},
        {"mode": "bilinear", "antialias": True},
        {"mode": "bicubic", "antialias": True, "align_corners": True},
    ],
    ids=lambda how: "-".join(map(str, how.values())),
)
def test_windows_are_the_places_read(size: dict[str, object], how: dict[str, object]) -> None:
    layer = Interpolate(**size, **how)
    _, window = layer.infer(((1, 9, 13),)).windows
    assert isinstance(window, Window)

    spare = []
    for output, places in enumerate(places_read(layer, 13)):
        first = ceil(output * window.stride + window.start)
        allowed = [min(max(first + i, 0), 12) for i in range(window.size)]
        assert set(places) <= set(allowed)
        spare.append(len(set(allowed)) - (places[-1] - places[0] + 1))
    assert min(spare) == 0  # no window could be smaller


def test_an_output_upon_a_place_reads_that_place_alone() -> None:
    layer = Interpolate(scale_factor=1 / 3, mode="bilinear", recompute_scale_factor=True)

    assert layer.infer(((1, 9, 9),)).windows == (Window(1, 3, 1),) * 2
    assert places_read(layer, 9) == [[1], [4], [7]]


def test_operations_of_each_mode() -> None:
    found = {
        mode: Upsample(size=2, mode=mode).infer((shape,)).other
        for mode, shape in [
            ("nearest", (1, 3, 3)),
            ("linear", (1, 3)),
            ("bilinear", (1, 3, 3)),
            ("bicubic", (1, 3, 3)),
            ("trilinear", (1, 3, 3, 3)),
        ]
    }

    assert found == {
        "nearest": {},
        "linear": {"resize": 2 * 3},
        "bilinear": {"resize": 4 * 9},
        "bicubic": {"resize": 4 * 35},
        "trilinear": {"resize": 8 * 21},
    }


def test_factors_of_free_sizes_round_down() -> None:
    facts = Upsample(scale_factor=(0.5, 2)).infer(((3, WIDTH, WIDTH),))

    assert facts.output == (3, WIDTH // 2, 2 * WIDTH)


def test_a_factor_that_rounding_makes_uncertain_needs_a_known_size() -> None:
    with pytest.raises(LayerError, match=r"cannot scale the free size W by 0\.7"):
        Upsample(scale_factor=0.7).infer(((3, WIDTH),))
    assert Upsample(scale_factor=0.7).infer(((3, 10),)).output == (3, 7)


def test_resize_like_takes_the_size_of_the_second() -> None:
    facts = ResizeLike(mode="nearest").infer(((2, 3, 4), (5, 6, 12)))
    x = torch.randn(1, 2, 3, 4)

    output = Built(facts.torch)(x, torch.zeros(1, 5, 6, 12))
    assert torch.equal(output, x.repeat_interleave(2, 2).repeat_interleave(3, 3))


@pytest.mark.parametrize(
    ("layer", "shape", "reason"),
    [
        (Upsample(), (3, 4, 4), "either a size or a scale_factor"),
        (Upsample(size=4, scale_factor=2), (3, 4, 4), "either a size or a scale_factor"),
        (Upsample(size=4, mode="linear"), (3, 4, 4), "for one axis after the channels, not 2"),
        (Upsample(size=4, align_corners=False), (3, 4, 4), "no align_corners"),
        (Upsample(size=4, recompute_scale_factor=True), (3, 4), "with scale_factor only"),
        (Upsample(size=(4, 4)), (3, 4), r"size = \[4, 4\] for one axis"),
        (Upsample(scale_factor=0.2), (3, 4, 4), "to nothing"),
        (Upsample(scale_factor=1e30), (3, 4, 4), "beyond any size"),
        (Upsample(scale_factor=2), (3,), "one to three further axes"),
        (UpsamplingBilinear2d(size=4), (3, 4), "channels, height, width"),
        (Interpolate(size=4, antialias=True), (3, 4, 4), "takes antialias with"),
    ],
)
def test_what_torch_would_refuse_is_refused(
    layer: Layer, shape: tuple[int, ...], reason: str
) -> None:
    with pytest.raises(LayerError, match=reason):
        layer.infer((shape,))
