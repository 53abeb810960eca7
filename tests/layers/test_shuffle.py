"""Shuffles must divide what they deal out."""

from __future__ import annotations

import pytest

from archdsl.layers.base import Layer, LayerError, Shape
from archdsl.layers.shuffle import ChannelShuffle, PixelShuffle, PixelUnshuffle
from archdsl.layers.sizes import Formula

H, W = Formula.named("H"), Formula.named("W")


@pytest.mark.parametrize(
    ("layer", "shape", "reason"),
    [
        (PixelShuffle(upscale_factor=2), (6, 3, 3), "the square of upscale_factor, 4, to divide"),
        (PixelUnshuffle(downscale_factor=2), (6, 3, 4), "to divide its height, 3"),
        (PixelUnshuffle(downscale_factor=2), (6, 4, 3), "to divide its width, 3"),
        (ChannelShuffle(groups=4), (6, 3, 3), "groups, 4, to divide its channels, 6"),
        (ChannelShuffle(groups=2), (6,), "at least one further axis"),
    ],
)
def test_what_does_not_divide_is_refused(layer: Layer, shape: Shape, reason: str) -> None:
    with pytest.raises(LayerError, match=reason):
        layer.infer((shape,))


def test_free_sizes_must_be_multiples() -> None:
    facts = PixelUnshuffle(downscale_factor=2).infer(((3, H, 6),))

    assert facts.output == (12, H // 2, 3)
    assert facts.agreements == ((H % 2, 0),)


def test_shuffling_there_and_back_gives_free_sizes_again() -> None:
    there = PixelShuffle(upscale_factor=3).infer(((9, H, W),))
    back = PixelUnshuffle(downscale_factor=3).infer((there.output,))

    assert back.output == (9, H, W)
    assert back.agreements == ()
