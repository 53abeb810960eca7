"""How to make a layer give the size that is wanted of it, for the help of an error."""

from __future__ import annotations

from fractions import Fraction
from typing import ClassVar

from archdsl.layers.base import ArgumentErrors, Layer, LayerError, Shape, Shapes, squeeze


class Padded(Layer):
    """A layer whose windows slide over an input that its argument `padding`, if any, widens."""

    noun: ClassVar[str] = "window"  # what errors call it: "a 5x5 convolution"

    def mend(self, inputs: Shapes, wanted: Shape) -> str:
        if "padding" not in type(self).model_fields:
            return ""
        padding = padding_for(self, inputs, wanted)
        if not padding:
            return ""
        kernel: Shape = getattr(self, "kernel_size", ())
        kind = f"{'x'.join(map(str, kernel))} {self.noun}"
        if len(kernel) == 1:
            kind = f"{self.noun} of {kernel[0]}"
        places = " x ".join(map(str, wanted[1:]))
        if inputs[0][1:] == wanted[1:]:
            return f"`padding = {squeeze(padding)}` keeps a {kind} at {places}"
        before = " x ".join(map(str, inputs[0][1:]))
        return f"`padding = {squeeze(padding)}` takes a {kind} from {before} to {places}"


def padding_for(layer: Layer, inputs: Shapes, wanted: Shape) -> tuple[int, ...]:
    """Return the padding with which a layer gives the wanted sizes; empty if none does.

    With n + 2p - k places to the right of the first, floor(that / s) + 1 windows fit; so the
    least padding for m windows is ceil(((m - 1) s + k - n) / 2). More than half of the window is
    none that anybody wants.
    """
    try:
        windows = layer.infer(inputs).windows
    except LayerError:
        return ()
    if isinstance(windows, str) or len(wanted) != len(inputs[0]):
        return ()
    found: list[int] = []
    for size, goal, window in zip(inputs[0][1:], wanted[1:], windows, strict=True):
        if isinstance(window.stride, Fraction) or not isinstance(window.size, int):
            return ()
        short = (goal - 1) * window.stride + window.size - size
        if not isinstance(short, int):
            return ()
        pad = max(-(-short // 2), 0)
        if 2 * pad > window.size:
            return ()
        found.append(pad)
    try:
        mended = layer.model_copy(update={"padding": tuple(found)}).infer(inputs)
    except (LayerError, ArgumentErrors):  # some take only words for padding
        return ()
    return tuple(found) if mended.output[1:] == wanted[1:] else ()
