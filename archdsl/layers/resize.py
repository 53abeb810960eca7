"""What brings maps to another size: interpolation.

Under "resize" stand the operations that interpolate, as torch does one axis after the other: with
`t` places read along an axis, `t` multiplications and `t - 1` additions; so 3 for each number of
the output in linear mode, 9 in bilinear, 21 in trilinear and 35 in bicubic. The weights of the
places, which all maps share, are not counted. "area" is an adaptive average and stands, as such,
under "pooling", with one operation for each number that its windows read. With `antialias` the
width is passed over first, and then the height, as torch does it. What only copies counts nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor, lcm
from typing import TYPE_CHECKING, Annotated, Any, Literal

from archdsl.layers.adaptive_windows import adaptive_pooling, adaptive_window, places_read
from archdsl.layers.agreeing import require_positive
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
    Dtype,
    Example,
    Facts,
    Form,
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
    several,
    single,
    unpack,
)
from archdsl.layers.reshape import size_text
from archdsl.layers.sizes import Formula, Size

if TYPE_CHECKING:
    from archdsl.layers.autograd import Autograd, Tensor

Mode = Literal["nearest", "linear", "bilinear", "bicubic", "trilinear", "area", "nearest-exact"]
MODE = choice("nearest", "linear", "bilinear", "bicubic", "trilinear", "area", "nearest-exact")
# How many axes a mode is for, and how many places it reads along each.
RANKS = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}
TAPS = {"linear": 2, "bilinear": 2, "bicubic": 4, "trilinear": 2}
MOST_EXACT = 2**20  # denominator of a factor whose products with sizes are not rounded
# the largest up to which every integer is a float
LARGEST = 2**53

# ONNX takes the ratio of sizes where torch goes by the factor, which are not the same for odd ones.
ANTIALIASED_SOURCE = """\
class AntialiasedResize(nn.Module):

    def __init__(self, cubic: bool) -> None:
        super().__init__()
        self.cubic = cubic

    def forward(
        self, x: torch.Tensor, output_size: tuple[int, ...], steps: tuple[float, ...]
    ) -> torch.Tensor:
        for axis, (places, step) in enumerate(zip(output_size, steps, strict=True), start=2):
            weights = self.weights(x, x.shape[axis], places, step)
            x = torch.matmul(x.transpose(axis, -1), weights).transpose(axis, -1)
        return x

    def weights(self, x: torch.Tensor, size: int, places: int, step: float) -> torch.Tensor:
        wider = max(step, 1.0)
        reach = (2 if self.cubic else 1) * wider
        centre = step * (torch.arange(places, device=x.device) + 0.5)
        place = torch.arange(size, device=x.device)[:, None]
        first, end = (centre - reach + 0.5).long(), (centre + reach + 0.5).long()
        far = ((place + 0.5 - centre) / wider).abs()
        if self.cubic:
            near = (1.5 * far - 2.5) * far * far + 1
            weights = torch.where(far < 1, near, -0.5 * (((far - 5) * far + 8) * far - 4))
            weights = torch.where(far < 2, weights, 0.0)
        else:
            weights = (1 - far).clamp(min=0)
        weights = torch.where((place >= first) & (place < end), weights, 0.0)
        return (weights / weights.sum(0)).to(x.dtype)
"""

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
        counted = {1: "one axis", 2: "two axes", 3: "three axes"}[RANKS[mode]]
        raise LayerError(
            f'has mode = "{mode}", which is for {counted} after the channels, not {axes}',
            help=f"modes for {axes}: {names[axes]}, nearest, nearest-exact or area",
        )
    if align_corners is not None and mode not in TAPS:
        raise LayerError(f'takes no align_corners with mode = "{mode}"')


def per_axis(value: Any, axes: int, name: str) -> tuple[Any, ...]:
    """Return one value an axis, of one for all or a list."""
    if not isinstance(value, tuple):
        return (value,) * axes
    if len(value) != axes:
        counted = f"{axes} axes" if axes > 1 else "one axis"
        raise LayerError(f"has {name} = {list(value)} for {counted} after the channels")
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

    def window(self, size: Size, out: Size, stride: Fraction | None) -> Window | None:
        """Return which places an output reads along an axis; None if that is not known.

        It lies at a multiple of one over some denominator and reads from the floor of its place,
        which is the first integer that is not below the place less `1 - 1 / denominator`; where
        it interpolates, all that lies within `reach` of its place, where weights aren't zero yet.
        """
        if self.mode == "area":
            return adaptive_window(size, out)
        if stride is None:
            return None
        if self.mode not in TAPS:
            place = stride / 2 if self.mode == "nearest-exact" else Fraction(0)
            return Window(1, _plain(stride), _plain(place - 1 + _grid(place, stride)))
        # with antialias torch aligns no corners, though the stride is as if it did
        aligned = self.align_corners and not self.antialias
        place = Fraction(0) if aligned else (stride - 1) / 2
        wider = self.widening(stride)
        if place.denominator == stride.denominator == wider == 1:
            return Window(1, _plain(stride), _plain(place))  # all others weigh nothing
        reach = wider * TAPS[self.mode] / 2
        grid = _grid(place - reach, stride)
        taps = floor(2 * (reach - grid)) + 1
        return Window(taps, _plain(stride), _plain(place - reach + grid))

    def widening(self, stride: Fraction) -> Fraction:
        """Return how much wider the kernel is than where a map grows."""
        return max(stride, Fraction(1)) if self.antialias else Fraction(1)

    def facts(
        self, shape: Shape, out: Shape, strides: Sequence[Fraction | None], torch: Torch
    ) -> Facts:
        """Return the facts of resizing the axes after the channels to `out`."""
        axes = zip(shape[1:], out, strides, strict=True)
        windows = tuple(self.window(*axis) for axis in axes)
        known = tuple(window for window in windows if window is not None)
        return Facts(
            output=(shape[0], *out),
            torch=torch,
            other=self.operations(shape, out, strides),
            windows=known if len(known) == len(windows) else GLOBAL,
            apart=True,
        )

    def operations(
        self, shape: Shape, out: Shape, strides: Sequence[Fraction | None]
    ) -> dict[str, Size]:
        """Count as the top of the file says."""
        channels, *image = shape
        if self.mode == "area":
            return {"pooling": channels * numel(tuple(map(places_read, image, out)))}
        if self.mode not in TAPS:
            return {}
        if self.antialias:
            return {"resize": channels * self.passes(image[0], out, strides)}
        operations, taps = 0, TAPS[self.mode]
        for _ in out:
            operations = taps * operations + 2 * taps - 1
        return {"resize": channels * numel(out) * operations}

    def passes(self, height: Size, out: Shape, strides: Sequence[Fraction | None]) -> Size:
        """Count for one channel the pass over its width, and then that over its height."""
        taps = [ceil(TAPS[self.mode] * self.widening(s)) for s in strides if s is not None]
        if len(taps) < len(out):
            raise LayerError("cannot antialias a free size, since the kernel depends on it")
        rows, columns = (2 * count - 1 for count in taps)
        return height * out[1] * columns + numel(out) * rows


def _grid(place: Fraction, stride: Fraction) -> Fraction:
    """Return the distance of neighbouring values that `place + i stride` can take, modulo 1."""
    return Fraction(1, lcm(place.denominator, stride.denominator))


def _plain(value: Fraction) -> Fraction | int:
    return value.numerator if value.denominator == 1 else value


def resized(torch: Autograd, x: Tensor, mode: str) -> Tensor:
    """Resize, which for "area" is an adaptive average."""
    if mode == "area":
        return torch.adaptively_pooled(x, torch.output, maximum=False)
    return torch.resized(x, torch.output)


class Resizing(Layer):
    """A layer that brings the axes after the channels to a size, or scales them by a factor."""

    family = "resize"
    keeps_zeros = True

    size: TargetSize = None
    scale_factor: Factors = None

    @property
    def averages(self) -> bool:
        return True  # a copy is the mean of one place

    def resize(
        self, shape: Shape, resampling: Resampling, torch: Torch, recompute: bool = False
    ) -> Facts:
        """Return the facts; what interpolates is told to `recompute` the factor or not.

        Where a factor is given torch goes by it, and not by the ratio of the sizes, which rounding
        may have changed, unless corners are aligned or the factor is recomputed.
        """
        image = spatial(shape)
        # torch takes neither both nor none
        if (self.size is None) == (self.scale_factor is None):
            raise LayerError("needs either a size or a scale_factor")
        if self.scale_factor is None:
            out = per_axis(self.size, len(image), "size")
        else:
            factors = per_axis(self.scale_factor, len(image), "scale_factor")
            out = tuple(map(scaled, image, factors))
            require_positive(out, "shrinks an axis to nothing")
        strides = [
            step(before, after, resampling.align_corners)
            for before, after in zip(image, out, strict=True)
        ]
        ratio = recompute or resampling.align_corners or resampling.mode == "area"
        if self.scale_factor is not None and not ratio:
            # the number that was written, which a float such as 0.1 is not exactly
            strides = [1 / Fraction(str(factor)) for factor in factors]
        return resampling.facts(shape, out, strides, torch)

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        return resized(torch, inputs[0], getattr(self, "mode", ""))


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

    def sizes(self, inputs: Shapes) -> str:
        """Write the sizes of the output as a tuple, by those of the input."""
        shape, out = inputs[0], self.infer(inputs).output[1:]
        if self.scale_factor is not None:
            # By a name for each axis, since an axis may be a formula, such as H//2 behind a pool.
            names = [Formula.named(f"axis{axis}") for axis in range(len(shape))]
            pairs = zip(shape, names, strict=True)
            shape = tuple(name if isinstance(size, Formula) else size for size, name in pairs)
            image = spatial(shape)
            factors = per_axis(self.scale_factor, len(image), "scale_factor")
            out = tuple(map(scaled, image, factors))
        texts = [size_text(size, shape) for size in out]
        return f"({', '.join(map(str, texts))},)"

    def exported(self, inputs: Shapes, form: Form) -> Torch | None:
        """Work out the windows of "area", as of the adaptive average that it is."""
        free = any(isinstance(size, Formula) for size in inputs[0])
        if self.mode != "area" or not free:
            return None
        return adaptive_pooling(self.sizes(inputs))


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
        module = TorchModule("nn.Upsample", keywords=self.for_torch(), overwritable=True)
        return self.interpolate(inputs, module)


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
        given = [f"{name}={text(value)}" for name, value in self.for_torch("size").items()]
        sizes, free = self.size_argument(single(inputs))
        listed = ", ".join(sizes + given)
        function = TorchFunction(f"F.interpolate({{0}}, {listed})", free, overwritable=True)
        return self.interpolate(inputs, function, self.antialias)

    def exported(self, inputs: Shapes, form: Form) -> Torch | None:
        """Work out the weights of what antialiases by a factor, in ONNX."""
        free = any(isinstance(size, Formula) for size in inputs[0])
        if form != "ONNX" or not self.antialias or not free:
            return super().exported(inputs, form)
        factors = per_axis(self.scale_factor, 2, "scale_factor")
        steps = tuple(float(1 / Fraction(str(factor))) for factor in factors)
        return TorchModule(
            "AntialiasedResize",
            (self.mode == "bicubic",),
            source=ANTIALIASED_SOURCE,
            call=f"{{module}}({{0}}, {self.sizes(inputs)}, {steps})",
        )

    def size_argument(self, shape: Shape) -> tuple[list[str], Formula | None]:
        """Write the size, if it is given; return a free one as well if it can't be written."""
        if self.size is None:
            return [], None
        listed = self.size if isinstance(self.size, tuple) else (self.size,)
        texts = [size_text(size, shape) or "" for size in listed]
        free = [size for size, text in zip(listed, texts, strict=True) if not text]
        joined = (
            texts[0]
            if not isinstance(self.size, tuple)
            else f"({', '.join(texts)}{',' * (len(texts) == 1)})"
        )
        return [f"size={joined}"], next((s for s in free if isinstance(s, Formula)), None)


class UpsamplingNearest2d(Resizing):
    """Another height and width, each output the nearest place of the input."""

    examples = (Example({"scale_factor": 2}, inputs=((3, 4, 5),), output=(3, 8, 10)),)

    def infer(self, inputs: Shapes) -> Facts:
        shape = unpack(inputs, "channels height width")
        module = TorchModule("nn.UpsamplingNearest2d", keywords=self.for_torch(), overwritable=True)
        return self.resize(shape, Resampling("nearest"), module)


class UpsamplingBilinear2d(Resizing):
    """Another height and width by bilinear interpolation, with corners aligned."""

    examples = (Example({"size": (8, 9)}, inputs=((3, 4, 5),), output=(3, 8, 9)),)

    def infer(self, inputs: Shapes) -> Facts:
        shape = unpack(inputs, "channels height width")
        module = TorchModule(
            "nn.UpsamplingBilinear2d", keywords=self.for_torch(), overwritable=True
        )
        return self.resize(shape, Resampling("bilinear", align_corners=True), module)


class ResizeLike(Layer):
    """The first of two tensors, brought to the size of the second; channels may differ.

    Of the second only the size is used.
    """

    family = "resize"
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
        strides = [
            step(before, after, self.align_corners)
            for before, after in zip(image, out, strict=True)
        ]
        function = TorchFunction(f"F.interpolate({{0}}, {given})", overwritable=True)
        facts = Resampling(self.mode, self.align_corners).facts(first, out, strides, function)
        return facts._replace(shape_only=(1,))

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        return resized(torch, inputs[0], self.mode)

    def dtype(self, inputs: Sequence[Dtype]) -> Dtype:
        return super().dtype(inputs[:1])

    def exported(self, inputs: Shapes, form: Form) -> Torch | None:
        """Work out the windows of "area", as of the adaptive average that it is."""
        free = any(isinstance(size, Formula) for shape in inputs for size in shape)
        if self.mode != "area" or not free:
            return None
        return adaptive_pooling("{1}.shape[2:]")


def text(value: object) -> str:
    """Write an argument as generated code does."""
    return f'"{value}"' if isinstance(value, str) else str(value)
