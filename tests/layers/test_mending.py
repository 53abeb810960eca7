"""The help that says which padding gives the wanted size."""

from __future__ import annotations

import pytest

from archdsl.layers.base import Layer
from archdsl.layers.convolution import Conv1d, Conv2d, Conv3d
from archdsl.layers.normalization import BatchNorm2d
from archdsl.layers.pooling import AvgPool2d, LPPool2d, MaxPool1d, MaxPool2d
from archdsl.layers.sizes import Formula, Size
from archdsl.layers.transposed_convolution import ConvTranspose2d

H = Formula.named("H")


@pytest.mark.parametrize(
    ("layer", "came", "wanted", "help"),
    [
        (
            Conv2d(out_channels=64, kernel_size=5),
            (48, 35, 35),
            (64, 35, 35),
            "`padding = 2` keeps a 5x5 convolution at 35 x 35",
        ),
        (
            Conv2d(out_channels=8, kernel_size=(1, 7)),
            (4, 17, 17),
            (9, 17, 17),
            "`padding = (0, 3)` keeps a 1x7 convolution at 17 x 17",
        ),
        (
            Conv2d(out_channels=8, kernel_size=3, dilation=2),
            (4, 17, 17),
            (9, 17, 17),
            "`padding = 2` keeps a 3x3 convolution at 17 x 17",
        ),
        (
            Conv2d(out_channels=8, kernel_size=3, stride=2, padding=1),
            (4, 17, 17),
            (9, 8, 8),
            "`padding = 0` takes a 3x3 convolution from 17 x 17 to 8 x 8",
        ),
        (
            MaxPool2d(kernel_size=3, stride=2, padding=1),
            (4, 17, 17),
            (9, 8, 8),
            "`padding = 0` takes a 3x3 pooling from 17 x 17 to 8 x 8",
        ),
        (
            AvgPool2d(kernel_size=3, stride=1),
            (4, 8, 8),
            (4, 8, 8),
            "`padding = 1` keeps a 3x3 pooling at 8 x 8",
        ),
        (
            Conv1d(out_channels=8, kernel_size=3),
            (4, 17),
            (8, 17),
            "`padding = 1` keeps a convolution of 3 at 17",
        ),
        (
            MaxPool1d(kernel_size=3, stride=1),
            (4, 9),
            (4, 9),
            "`padding = 1` keeps a pooling of 3 at 9",
        ),
        (
            Conv3d(out_channels=2, kernel_size=3),
            (4, 9, 8, 7),
            (4, 9, 8, 7),
            "`padding = 1` keeps a 3x3x3 convolution at 9 x 8 x 7",
        ),
        (
            Conv2d(out_channels=8, kernel_size=3),
            (4, H, 9),
            (4, H, 9),
            "`padding = 1` keeps a 3x3 convolution at H x 9",
        ),
        (Conv2d(out_channels=8, kernel_size=4), (4, 9, 9), (4, 9, 9), ""),  # an even kernel
        (Conv2d(out_channels=8, kernel_size=3), (4, 31, 31), (4, 35, 35), ""),  # too far away
        (Conv2d(out_channels=8, kernel_size=3), (4, 9, 9), (4, 3, 3), ""),
        (Conv2d(out_channels=8, kernel_size=3), (4, 9, 9), (4,), ""),
        (Conv2d(out_channels=8, kernel_size=3), (4, 9), (4, 9), ""),  # it can't take that
        (LPPool2d(norm_type=2, kernel_size=3, stride=1), (4, 9, 9), (4, 9, 9), ""),
        (ConvTranspose2d(out_channels=8, kernel_size=3), (4, 9, 9), (4, 9, 9), ""),
        (BatchNorm2d(), (4, 9, 9), (4, 8, 8), ""),
    ],
)
def test_help(layer: Layer, came: tuple[Size, ...], wanted: tuple[Size, ...], help: str) -> None:
    assert layer.mend((came,), wanted) == help
