"""TensorFlow's "same" padding: ceil(size / stride) places on each axis, whatever the kernel.

The windows need `(places - 1) stride + extent - size` places besides those of the input. They are
split between both ends of the axis; of an odd number the larger part stands after the input.
Source: the documentation of `tf.nn`, "Notes on padding".
"""

from __future__ import annotations

from archdsl.layers.base import Window
from archdsl.layers.sizes import Size


def extent(kernel: Size, dilation: Size) -> Size:
    """Return how many places a dilated kernel spans."""
    return dilation * (kernel - 1) + 1


def same_places(size: Size, stride: Size) -> Size:
    """Return how many windows stand on an axis."""
    # rounding up by a floor, which is what formulas have
    return (size + stride - 1) // stride


def same_padded(size: Size, kernel: Size, stride: Size, dilation: Size = 1) -> Size:
    """Return how long an axis is with its padding; of a free size, where windows leave no gaps."""
    needed = (same_places(size, stride) - 1) * stride + extent(kernel, dilation)
    # windows that are short and far apart leave places over, which no padding takes away
    return max(size, needed) if isinstance(size, int) and isinstance(needed, int) else needed


def same_window(size: Size, kernel: Size, stride: Size, dilation: Size = 1) -> Window:
    """Return what an output reads of an axis."""
    span = extent(kernel, dilation)
    total = (same_places(size, stride) - 1) * stride + span - size
    if not isinstance(total, int):  # depends on the free size: take the middle of the range
        total = span - 1
    return Window(span, stride, -(max(total, 0) // 2) if isinstance(total, int) else 0)
