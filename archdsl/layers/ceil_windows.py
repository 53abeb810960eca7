"""How many windows of a pool fit on an axis, and `ceil_mode` written as padding.

With `ceil_mode` the last window may overhang, but must begin in the input or the padding before it.
Torch, ONNX and onnxruntime don't agree in every case on what that means. Padded by `overhang`
behind each axis, as many windows fit without `ceil_mode` as with it.
"""

from __future__ import annotations

from archdsl.layers.base import LayerError, Shape, squeeze
from archdsl.layers.sizes import Formula, Size


def count(size: Size, kernel: Size, stride: Size, padding: int, ceil_mode: bool) -> Size:
    """Return how many windows fit on an axis, as torch counts them.

    Both rules of `ceil_mode` are met at once: the one allows (n + 2p - k + s - 1) // s + 1 windows,
    the other (n + p - 1) // s + 1, and which is less does not depend on n.
    """
    if not ceil_mode:
        return (size + 2 * padding - kernel) // stride + 1
    # the last window begins before place n + p: counted from 0 it is (n + p - 1) // s at most
    slack = padding - kernel + stride
    if isinstance(slack, Formula):
        raise LayerError("needs a kernel and a stride of known size with ceil_mode = true")
    return (size + padding - 1 + min(slack, 0)) // stride + 1


def overhang(
    kernel_size: Shape,
    stride: Shape | None,
    padding: tuple[int, ...] = (0, 0, 0),
    dilation: tuple[int, ...] = (1, 1, 1),
) -> tuple[int, ...]:
    """Return how much padding behind each axis, `padding` included, holds all windows.

    So that (n + p + overhang - k) // s + 1 is what `count` gives.
    """
    steps = kernel_size if stride is None else stride
    found: list[int] = []
    for kernel, step, pad, gap in zip(kernel_size, steps, padding, dilation, strict=False):
        assert isinstance(kernel, int), "else no module can be made"
        assert isinstance(step, int), "else no module can be made"
        slack = pad - (gap * (kernel - 1) + 1) + step
        found.append(pad + step - 1 - max(slack, 0))
    return tuple(found)


def sides(before: Shape, after: Shape) -> str:
    """Write what `F.pad` pads: two sides an axis, the last axis first."""
    pairs = zip(reversed(before), reversed(after), strict=True)
    return f"({', '.join(str(side) for pair in pairs for side in pair)})"


def averaged(kernel_size: Shape, stride: Shape | None, x: str, before: Shape, after: Shape) -> str:
    """Write the average over whole windows of a tensor with zeros around it."""
    # `avg_pool` itself would pad both ends alike, and average over the padding or not
    steps = squeeze(kernel_size if stride is None else stride)
    padded = f"F.pad({x}, {sides(before, after)})"
    return f"F.avg_pool{len(kernel_size)}d({padded}, {squeeze(kernel_size)}, {steps})"
