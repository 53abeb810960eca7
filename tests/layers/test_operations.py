"""What stands under `other`, counted by hand for each convention."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from archdsl.layers.base import Shape, construct
from archdsl.layers.registry import Registry

MAP = (4, 6, 6)  # 144 numbers


@pytest.mark.parametrize(
    ("name", "arguments", "shape", "expected"),
    [
        # 3 x 3 windows of 9 places for each of 4 channels
        ("MaxPool2d", {"kernel_size": 3, "stride": 2, "padding": 1}, MAP, {"pooling": 324}),
        ("AvgPool2d", {"kernel_size": 2}, MAP, {"pooling": 144}),
        ("LPPool2d", {"norm_type": 2, "kernel_size": 2}, MAP, {"pooling": 288}),
        ("AdaptiveAvgPool2d", {"output_size": 1}, MAP, {"pooling": 144}),
        # windows of 2, 3, 3 and 2 places along each axis: 10 x 10 for each channel
        ("AdaptiveMaxPool2d", {"output_size": 4}, MAP, {"pooling": 256}),
        ("BatchNorm2d", {}, MAP, {"normalization": 4 * 144}),
        ("BatchNorm2d", {"affine": False}, MAP, {"normalization": 2 * 144}),
        ("BatchNorm2d", {"track_running_stats": False}, MAP, {"normalization": 7 * 144}),
        ("InstanceNorm2d", {}, MAP, {"normalization": 5 * 144}),
        ("GroupNorm", {"num_groups": 2, "bias": False}, MAP, {"normalization": 6 * 144}),
        ("LayerNorm", {}, (5, 8), {"normalization": 7 * 40}),
        ("RMSNorm", {}, (5, 8), {"normalization": 4 * 40}),
        ("LocalResponseNorm", {"size": 5}, MAP, {"normalization": 10 * 144}),
        ("ReLU", {}, MAP, {"activation": 144}),
        ("GELU", {}, MAP, {"activation": 5 * 144}),
        ("GELU", {"approximate": "tanh"}, MAP, {"activation": 9 * 144}),
        ("GLU", {"dim": 1}, MAP, {"activation": 4 * 72}),
        ("Softmax", {"dim": -1}, (5, 8), {"activation": 5 * 40}),
        ("ScaledTanh", {}, MAP, {"activation": 3 * 144}),
        ("Dropout", {}, MAP, {}),
        ("ZeroPad2d", {"padding": 1}, MAP, {}),
    ],
)
def test_operations(
    name: str, arguments: Mapping[str, object], shape: Shape, expected: Mapping[str, int]
) -> None:
    assert construct(Registry()[name], arguments).infer((shape,)).other == expected
