"""What brings maps to another size: interpolation.

Under "resize" stand the operations that interpolate, as torch does one axis after the other: with
`t` places read along an axis, `t` multiplications and `t - 1` additions; so 3 for each number of
the output in linear mode, 9 in bilinear, 21 in trilinear and 35 in bicubic. The weights of the
places, which all maps share, are not counted. "area" is an adaptive average and counts, as such,
one operation for each number read, under "pooling". With `antialias` both axes are passed over
one after the other, as torch does it, the width first. What only copies counts nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, lcm
from typing import Annotated, Any, Literal

from archdsl.layers.arguments import (
    ABOVE_ZERO,
    FLAG,
    SIZE,
    Flag,
    choice,
    each,
    either,
    optional,
)
from archdsl.layers.base import (
    GLOBAL,
    Example,
    Facts,
    Kind,
    Layer,
    LayerError,
    Shape,
    Shapes,
    Torch,
    TorchFunction,
    TorchModule,
    Window,
    numel,
    require_positive,
    several,
    single,
    unpack,
)
from archdsl.layers.sizes import Size

Mode = Literal["nearest", "linear", "bilinear", "bicubic", "trilinear", "area", "nearest-exact"]
MODE = choice("nearest", "linear", "bilinear", "bicubic", "trilinear", "area", "nearest-exact")
# How many axes a mode is for, and how many places it reads along each.
RANKS = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}
TAPS = {"linear": 2, "bilinear": 2, "bicubic": 4, "trilinear": 2}
MOST_EXACT = 2**20  # denominator of a factor whose products with sizes are not rounded
LARGEST = 2**53

SIZES = optional(either(SIZE, Kind("a list of sizes", each(SIZE.check), ((4, 4), (3, 6)))))
FACTORS = optional(
    either(ABOVE_ZERO, Kind("a list of numbers above 0", each(ABOVE_ZERO.check), ((2, 1.5),)))
)
TargetSize = Annotated[Size | tuple[Size, ...] | None, SIZES]
Factors = Annotated[float | tuple[float, ...] | None, FACTORS]
Aligned = Annotated[bool | None, optional(FLAG)]


def spatial(shape: Shape) -> Shape:
    """Return the sizes of the axes after the channels, of which there must be one to three."""
    if not 2 <= len(shape) <= 4:
        raise LayerError("takes an input of channels and one to three further axes")
    return shape[1:]


def check_mode(mode: str, align_corners: bool | None, axes: int) -> None:
    """Refuse a mode for another number of axes, and corners where none can be aligned."""
    if mode in RANKS and RANKS[mode] != axes:
        names = {1: "linear", 2: "bilinear or bicubic", 3: "trilinear"}
        raise LayerError(
            f'has mode = "{mode}", which is for {RANKS[mode]} axes after the channels, not {axes}',
            help=f"modes for {axes}: {names[axes]}, nearest, nearest-exact or area",
        )
    if align_corners is not None and mode not in TAPS:
        raise LayerError(f'takes no align_corners with mode = "{mode}"')


def per_axis(value: Any, axes: int, name: str) -> tuple[Any, ...]:
    """Return one value an axis, of one for all or a list."""
    if not isinstance(value, tuple):
        return (value,) * axes
    if len(value) != axes:
        raise LayerError(f"has {name} = {list(value)} for {axes} axes after the channels")
    return value


def scaled(size: Size, factor: float) -> Size:
    """Return the size times the factor, rounded down as torch does: in floating point."""
    if isinstance(size, int):
        if (places := size * float(factor)) > LARGEST:
            raise LayerError(f"scales {size} by {factor}, beyond any size")
        return int(places)
    exact = Fraction(factor)
    if exact.denominator > MOST_EXACT:
        raise LayerError(
            f"cannot scale the free size {size} by {factor}, which rounding makes uncertain",
            help="give the size instead, or a factor such as 0.5 or 2",
        )
    return size * exact.numerator // exact.denominator


def step(size: Size, out: Size, align_corners: bool) -> Fraction | None:
    """Return how far apart in the input two outputs lie; None if that is not known."""
    if size == out:
        return Fraction(1)
    if not isinstance(size, int) or not isinstance(out, int):
        return None
    if align_corners:
        return Fraction(size - 1, out - 1) if out > 1 else Fraction(0)
    return Fraction(size, out)


@dataclass(frozen=True)
class Resampling:
    """How outputs are made of places of the input: what `mode` and its companions say."""

    mode: str
    align_corners: bool = False
    antialias: bool = False

    def window(self, stride: Fraction) -> Window:
        """Return which places an output reads along an axis.

        It begins with the floor of its own place, which is a multiple of one over a denominator:
        the first integer that is not below the place less `1 - 1 / denominator`.
        """
        place, taps = Fraction(0), TAPS.get(self.mode, 1)
        if self.mode == "area":
            taps = int(stride) if stride.denominator == 1 else ceil(stride) + 1
        elif self.mode == "nearest-exact":
            place = stride / 2
        elif self.mode in TAPS:
            place = Fraction(0) if self.align_corners else (stride - 1) / 2
            if self.antialias and stride > 1:  # the kernel is as much wider as the map shrinks
                taps, place = ceil(taps * stride), place + 1 - stride * taps / 2
            elif place.denominator == stride.denominator == 1:
                taps = 1  # all other weights are zero
            else:
                place -= taps // 2 - 1
        denominator = lcm(place.denominator, stride.denominator)
        return Window(taps, stride, place - 1 + Fraction(1, denominator))

    def facts(
        self, shape: Shape, out: Shape, steps: Sequence[Fraction | None], torch: Torch
    ) -> Facts:
        """Return the facts of resizing the axes after the channels to `out`."""
        output = (shape[0], *out)
        require_positive(output, "shrinks an axis to nothing")
        known = tuple(self.window(stride) for stride in steps if stride is not None)
        windows = known if len(known) == len(steps) else None
        if self.antialias and windows is None:
            raise LayerError("cannot antialias a free size, since the kernel depends on it")
        return Facts(
            output=output,
            torch=torch,
            other=self.operations(shape, output, windows),
            windows=windows or GLOBAL,
        )

    def operations(
        self, shape: Shape, output: Shape, windows: tuple[Window, ...] | None
    ) -> dict[str, Size]:
        """Count as the top of the file says."""
        if self.mode == "area":
            read = numel(tuple(window.size for window in windows)) if windows else 1
            return {"pooling": numel(output) * read if windows else numel(shape)}
        if self.mode not in TAPS:
            return {}
        if self.antialias and windows:  # first along the width, then along the height
            (rows, columns) = (2 * window.size - 1 for window in windows)
            across = (shape[0], shape[1], output[2])
            return {"resize": numel(across) * columns + numel(output) * rows}
        taps, operations = TAPS[self.mode], 0
        for _ in output[1:]:
            operations = taps * operations + 2 * taps - 1
        return {"resize": numel(output) * operations}


class Resizing(Layer):
    """A layer that brings the axes after the channels to a size, or scales them by a factor."""

    size: TargetSize = None
    scale_factor: Factors = None

    def resize(
        self, shape: Shape, resampling: Resampling, torch: Torch, recompute: bool = False
    ) -> Facts:
        """Return the facts; what interpolates is told to `recompute` the factor or not.

        Where a factor is given torch goes by it, and not by the ratio of the sizes, which rounding
        may have changed, unless corners are aligned or the factor is recomputed.
        """
        image = spatial(shape)
        if (self.size is None) == (self.scale_factor is None):
            raise LayerError("needs either a size or a scale_factor")
        if self.scale_factor is None:
            out = per_axis(self.size, len(image), "size")
        else:
            factors = per_axis(self.scale_factor, len(image), "scale_factor")
            out = tuple(map(scaled, image, factors))
        steps = [
            step(before, after, resampling.align_corners)
            for before, after in zip(image, out, strict=True)
        ]
        ratio = recompute or resampling.align_corners or resampling.mode == "area"
        if self.scale_factor is not None and not ratio:
            steps = [1 / Fraction(str(factor)) for factor in factors]
        return resampling.facts(shape, out, steps, torch)


class Interpolation(Resizing):
    """A layer that takes a mode."""

    mode: Annotated[Mode, MODE] = "nearest"
    align_corners: Aligned = None
    recompute_scale_factor: Aligned = None

    def interpolate(self, inputs: Shapes, torch: Torch, antialias: bool = False) -> Facts:
        """Refuse arguments that don't go together, and return the facts."""
        shape = single(inputs)
        check_mode(self.mode, self.align_corners, len(spatial(shape)))
        if self.recompute_scale_factor and self.scale_factor is None:
            raise LayerError("takes recompute_scale_factor with scale_factor only")
        resampling = Resampling(self.mode, bool(self.align_corners), antialias)
        return self.resize(shape, resampling, torch, bool(self.recompute_scale_factor))


class Upsample(Interpolation):
    """Another size for the axes after the channels, by interpolation; may shrink them as well."""

    examples = (
        Example({"scale_factor": 2}, inputs=((8, 7, 7),), output=(8, 14, 14)),
        Example(
            {"size": (5, 9), "mode": "bilinear", "align_corners": True},
            inputs=((2, 4, 4),),
            output=(2, 5, 9),
        ),
        Example({"scale_factor": 0.7, "mode": "linear"}, inputs=((2, 10),), output=(2, 7)),
    )

    def infer(self, inputs: Shapes) -> Facts:
        return self.interpolate(inputs, TorchModule("nn.Upsample", keywords=self.given()))


class Interpolate(Interpolation):
    """As Upsample, but a function, which can antialias when it shrinks an image."""

    examples = (
        Example({"size": 3, "mode": "area"}, inputs=((2, 7, 8),), output=(2, 3, 3)),
        Example(
            {"scale_factor": 0.5, "mode": "bicubic", "antialias": True},
            inputs=((3, 16, 16),),
            output=(3, 8, 8),
        ),
    )

    antialias: Flag = False

    def infer(self, inputs: Shapes) -> Facts:
        if self.antialias and self.mode not in ("bilinear", "bicubic"):
            raise LayerError('takes antialias with mode = "bilinear" or "bicubic" only')
        given = ", ".join(f"{name}={text(value)}" for name, value in self.given().items())
        function = TorchFunction(f"F.interpolate({{0}}, {given})")
        return self.interpolate(inputs, function, self.antialias)


class UpsamplingNearest2d(Resizing):
    """Another height and width, each output the nearest place of the input."""

    examples = (Example({"scale_factor": 2}, inputs=((3, 4, 5),), output=(3, 8, 10)),)

    def infer(self, inputs: Shapes) -> Facts:
        shape = unpack(inputs, "channels height width")
        module = TorchModule("nn.UpsamplingNearest2d", keywords=self.given())
        return self.resize(shape, Resampling("nearest"), module)


class UpsamplingBilinear2d(Resizing):
    """Another height and width by bilinear interpolation, with corners aligned."""

    examples = (Example({"size": (8, 9)}, inputs=((3, 4, 5),), output=(3, 8, 9)),)

    def infer(self, inputs: Shapes) -> Facts:
        shape = unpack(inputs, "channels height width")
        module = TorchModule("nn.UpsamplingBilinear2d", keywords=self.given())
        return self.resize(shape, Resampling("bilinear", align_corners=True), module)


class ResizeLike(Layer):
    """The first of two tensors, brought to the size of the second; channels may differ.

    Of the second only the size is used.
    """

    examples = (
        Example({}, inputs=((8, 7, 7), (4, 14, 13)), output=(8, 14, 13)),
        Example({"mode": "nearest"}, inputs=((8, 7), (4, 14)), output=(8, 14)),
    )

    mode: Annotated[Mode, MODE] = "bilinear"
    align_corners: Flag = False

    def infer(self, inputs: Shapes) -> Facts:
        first, second = several(inputs, least=2, most=2)
        if len(first) != len(second):
            raise LayerError("needs two tensors with as many axes as each other")
        image, out = spatial(first), spatial(second)
        check_mode(self.mode, self.align_corners or None, len(image))
        given = f"size={{1}}.shape[2:], mode={text(self.mode)}"
        if self.mode in TAPS:
            given += f", align_corners={self.align_corners}"
        steps = [
            step(before, after, self.align_corners)
            for before, after in zip(image, out, strict=True)
        ]
        function = TorchFunction(f"F.interpolate({{0}}, {given})")
        return Resampling(self.mode, self.align_corners).facts(first, out, steps, function)


def text(value: object) -> str:
    """Write an argument as generated code does."""
    return f'"{value}"' if isinstance(value, str) else str(value)
