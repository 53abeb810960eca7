"""Pooling in one to three dimensions by windows that slide: maximum, average and power average.

Beyond torch, they take `padding = "same"`, as in TensorFlow.

Operations are listed under "pooling", one for each place that a window reads: a maximum compares
it, an average adds it (its division stands for the first addition, which there is none of). A
power average raises it to a power besides. Windows are counted whole where they overhang.
"""

from __future__ import annotations

from textwrap import indent
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from archdsl.layers.agreeing import require_positive
from archdsl.layers.arguments import (
    POSITIVE,
    Flag,
    Nonzero,
    choice,
    either,
    optional,
    spread,
)
from archdsl.layers.base import (
    SAMPLE_AXES,
    Example,
    Facts,
    Form,
    LayerError,
    Shape,
    Shapes,
    Torch,
    TorchFunction,
    TorchModule,
    Window,
    numel,
    unpack,
)
from archdsl.layers.ceil_windows import averaged, count, overhang, sides
from archdsl.layers.mending import Padded
from archdsl.layers.same_padding import same_padded, same_places, same_window
from archdsl.layers.sizes import Size

if TYPE_CHECKING:
    from archdsl.layers.autograd import Autograd, Tensor

LARGEST = 2**31 - 1  # torch keeps the arguments of pooling in 32 bits

Padding = tuple[int, ...] | Literal["same"]
SAME = choice("same")

# Torch's class, applied to an input that is padded by what follows from its size.
SAME_SOURCE = '''\
class {name}Same(nn.{name}):
    """{title} with TensorFlow's "same" padding: ceil(size / stride) places on each axis."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        padding: list[int] = []
        for axis in reversed(range({axes})):
            {names} = (
                given[axis] if isinstance(given, tuple) else given
                for given in ({given})
            )
{extent}            size = input.shape[2 + axis]
            total = ((size + stride - 1) // stride - 1) * stride + extent - size
            before = max(total, 0) // 2
            padding += [before, max(total, 0) - before]
{pooled}
'''


class WindowedPool(Padded):
    """Pooling by a window that slides; its subclasses say over how many axes.

    With `padding = "same"` a class is written, for which they give its `title`, how it reads the
    `steps` of its windows, and the last lines of its forward pass, for an input to be padded.
    """

    family = noun = "pooling"
    keeps_zeros = True
    axes: ClassVar[int]
    title: ClassVar[str]
    steps: ClassVar[str] = "self.stride"
    same: ClassVar[str]
    maximum: ClassVar[bool] = False

    if TYPE_CHECKING:  # its subclasses have them in the order of torch
        kernel_size: tuple[Size, ...]
        stride: tuple[Size, ...] | None = None
        padding: Padding | Literal["valid"] = (0,)

    def pooled(
        self,
        inputs: Shapes,
        kernel_size: Shape,
        stride: Shape | None,
        padding: Padding = (0, 0, 0),
        dilation: tuple[int, ...] = (1, 1, 1),
        ceil_mode: bool = False,
        operations: int = 1,
    ) -> Facts:
        """Return the facts, with so many operations for each place that a window reads."""
        channels, *image = unpack(inputs, SAMPLE_AXES[self.axes])
        steps = kernel_size if stride is None else stride
        for sizes in (kernel_size, steps, padding, dilation):
            if any(isinstance(size, int) and size > LARGEST for size in sizes):
                raise LayerError(f"takes no window, step or padding of more than {LARGEST} places")
        windows: list[Window] = []
        places: list[Size] = []
        padded: Shape = ()
        for axis, (size, kernel, step, gap) in enumerate(
            zip(image, kernel_size, steps, dilation, strict=False)
        ):
            if padding == "same":
                padded += (same_padded(size, kernel, step, gap),)
                windows.append(same_window(size, kernel, step, gap))
                places.append(same_places(size, step))
                continue
            pad = padding[axis]
            assert not isinstance(pad, str)
            # torch's rule, by which no window lies in the padding alone; it leaves dilation out
            if isinstance(kernel, int) and 2 * pad > kernel:
                raise LayerError(f"pads by {pad}, more than half of its kernel of {kernel}")
            windows.append(Window(gap * (kernel - 1) + 1, step, -pad))
            places.append(count(size, windows[-1].size, step, pad, ceil_mode))
        require_positive(tuple(places), "has a kernel larger than its padded input")
        output = (channels, *places)
        return Facts(
            output=output,
            torch=self.module(padding == "same"),
            other={"pooling": operations * numel(output) * numel(kernel_size)},
            windows=tuple(windows),
            apart=True,
            inside=channels * numel(padded) if padding == "same" else 0,
        )

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        if self.padding == "same":
            x = torch.padded(x, self.around(x.shape))
        return self.pool(torch, x)

    def pool(self, torch: Autograd, x: Tensor) -> Tensor:
        """Pool what was padded where `padding = "same"` asks for that."""
        laid = self.maximum or self.axes < 3
        return torch.pooled(x, torch.output, maximum=self.maximum, laid=laid)

    def around(self, shape: Shape) -> Shape:
        """Return the size of a batch of images with "same" padding."""
        steps = self.kernel_size if self.stride is None else self.stride
        gaps = getattr(self, "dilation", (1,) * self.axes)
        axes = zip(shape[2:], self.kernel_size, steps, gaps, strict=True)
        return (*shape[:2], *(same_padded(*axis) for axis in axes))

    def module(self, same: bool) -> TorchModule:
        """Return the torch module, which is a class of ours for `padding = "same"`."""
        name = self.torch_name()
        if not same:
            return TorchModule(f"nn.{name}", keywords=self.for_torch(), overwritable=True)
        dilated = "dilation" in type(self).model_fields
        source = SAME_SOURCE.format(
            name=name,
            title=self.title,
            axes=self.axes,
            names="kernel, stride, dilation" if dilated else "extent, stride",
            given=f"self.kernel_size, {self.steps}{', self.dilation' if dilated else ''}",
            extent=indent("extent = dilation * (kernel - 1) + 1\n" if dilated else "", 12 * " "),
            pooled=indent(self.same, 8 * " "),
        )
        return TorchModule(
            f"{name}Same", keywords=self.for_torch("padding"), source=source, overwritable=True
        )

    def without(self, *arguments: str) -> TorchModule:
        """Return the torch module without some arguments; "same" padding leaves none over."""
        module = self.module(getattr(self, "padding", None) == "same")
        kept = {name: v for name, v in module.keywords.items() if name not in arguments}
        return module._replace(keywords=kept)


def check_volume(inputs: Shapes, kernel_size: Shape) -> None:
    """Refuse what torch refuses of averages in three dimensions alone, whatever the padding."""
    for size, kernel in zip(inputs[0][1:], kernel_size, strict=True):
        if isinstance(size, int) and isinstance(kernel, int) and size < kernel:
            raise LayerError(f"has a kernel of {kernel} along an axis of {size}, without padding")


class MaxPool(WindowedPool):
    """Maximum over a window; its subclasses say over how many axes."""

    title = "Maximum"
    maximum = True
    # what fills the margin must lose against every number of the input
    same = """\
input = F.pad(input, padding, value=float("-inf"))
output: torch.Tensor = super().forward(input)
return output
"""

    kernel_size: tuple[Size, ...]
    stride: tuple[Size, ...] | None = None
    padding: Padding = (0,)
    dilation: tuple[int, ...] = (1,)
    ceil_mode: Flag = False

    def infer(self, inputs: Shapes) -> Facts:
        return self.pooled(
            inputs, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode
        )

    def exported(self, inputs: Shapes, form: Form) -> Torch | None:
        """Pad for `ceil_mode`, about which torch, ONNX and onnxruntime disagree here and there."""
        if not self.ceil_mode:
            return None
        if self.padding == "same":
            return self.without("ceil_mode")
        after = overhang(self.kernel_size, self.stride, self.padding, self.dilation)
        padded = f"F.pad({{0}}, {sides(self.padding, after)}, value=-math.inf)"
        return self.without("ceil_mode", "padding")._replace(call=f"{{module}}({padded})")


class AvgPool(WindowedPool):
    """Average over a window; its subclasses say over how many axes.

    With `padding = "same"` it is the mean of what a window reads of the input, whatever
    `count_include_pad`, as in TensorFlow.
    """

    title = "Average"
    same = """\
# of each window, how much of what it reads is no padding
share = super().forward(F.pad(torch.ones_like(input[:1, :1]), padding))
mean: torch.Tensor = super().forward(F.pad(input, padding)) / share
return mean
"""

    kernel_size: tuple[Size, ...]
    stride: tuple[Size, ...] | None = None
    padding: Padding = (0,)
    ceil_mode: Flag = False
    count_include_pad: Flag = True

    def infer(self, inputs: Shapes) -> Facts:
        if self.padding == "same" and getattr(self, "divisor_override", None) is not None:
            raise LayerError('takes no divisor_override with padding = "same"')
        facts = self.pooled(
            inputs, self.kernel_size, self.stride, self.padding, ceil_mode=self.ceil_mode
        )
        if self.axes == 3 and self.padding != "same":
            check_volume(inputs, self.kernel_size)
        # the share of each window that is no padding
        share = numel(facts.output[1:]) if self.padding == "same" else 0
        return facts._replace(inside=facts.inside + share)

    @property
    def averages(self) -> bool:
        counted = self.count_include_pad and self.padding != "same" and any(self.padding)
        return not counted and getattr(self, "divisor_override", None) is None

    @property
    def sums(self) -> bool:
        return True

    def pool(self, torch: Autograd, x: Tensor) -> Tensor:
        pooled = super().pool(torch, x)
        if self.padding != "same":
            return pooled
        return torch.div(pooled, torch.new((1, 1, *torch.output[2:])))

    def exported(self, inputs: Shapes, form: Form) -> Torch | None:
        """Pad for `ceil_mode`, as `MaxPool` does; and torch leaves a divisor out of ONNX."""
        divisor: int | None = getattr(self, "divisor_override", None)
        if not self.ceil_mode and (divisor is None or form != "ONNX"):
            return None
        if self.padding == "same":
            return self.without("ceil_mode")
        # each window is summed up whole, and divided by how much of it counts
        before = after = self.padding
        if self.ceil_mode:
            after = overhang(self.kernel_size, self.stride, self.padding)
        sums = averaged(self.kernel_size, self.stride, "{0}", before, after)
        if divisor is not None:
            return TorchFunction(f"{sums} * {numel(self.kernel_size)} / {divisor}")
        places = "torch.ones_like({0}[:1, :1])"
        if self.count_include_pad:
            places = f"F.pad({places}, {sides(before, before)}, value=1.0)"
            before, after = (0,) * self.axes, tuple(map(int.__sub__, after, before))
        counted = averaged(self.kernel_size, self.stride, places, before, after)
        return TorchFunction(f"{sums} / {counted}")


class PowerPool(WindowedPool):
    """The root of a sum of powers over a window; its subclasses say over how many axes.

    Torch has no padding here; zeros add nothing to the sum, as long as the power is above 0.
    """

    title = "Power average"
    steps = "self.stride or self.kernel_size"  # it keeps that a stride was left out
    same = """\
output: torch.Tensor = super().forward(F.pad(input, padding))
return output
"""

    norm_type: Nonzero
    kernel_size: tuple[Size, ...]
    stride: tuple[Size, ...] | None = None
    ceil_mode: Flag = False
    padding: Annotated[Literal["same", "valid"], choice("same", "valid")] = "valid"

    def infer(self, inputs: Shapes) -> Facts:
        if self.padding == "same" and self.norm_type < 0:
            raise LayerError('takes no norm_type below 0 with padding = "same"')
        facts = self.pooled(
            inputs,
            self.kernel_size,
            self.stride,
            "same" if self.padding == "same" else (0,) * self.axes,
            ceil_mode=self.ceil_mode,
            operations=2,
        )
        if self.axes == 3 and self.padding != "same":
            check_volume(inputs, self.kernel_size)
        # powers, and of their mean: sign, size, product and what it is multiplied with
        powers = facts.inside or numel(inputs[0])
        return facts._replace(inside=facts.inside + powers + 4 * numel(facts.output))

    def pool(self, torch: Autograd, x: Tensor) -> Tensor:
        mean = super().pool(torch, torch.function(x, "input"))
        size = torch.function(torch.function(mean, "input"), "output")
        return torch.function(torch.function(torch.mul(torch.function(mean), size)), "input")

    def exported(self, inputs: Shapes, form: Form) -> Torch | None:
        """Pad for `ceil_mode`, as `AvgPool` does; torch makes a power average of averages."""
        if not self.ceil_mode:
            return None
        if self.padding == "same":
            return self.without("ceil_mode")
        # as torch does it: the mean of the powers that a window reads, times how many it could
        none, after = (0,) * self.axes, overhang(self.kernel_size, self.stride)
        powers = averaged(
            self.kernel_size, self.stride, f"{{0}}.pow({self.norm_type})", none, after
        )
        counted = averaged(
            self.kernel_size, self.stride, "torch.ones_like({0}[:1, :1])", none, after
        )
        places = numel(self.kernel_size)
        return TorchFunction(f"({powers} / {counted} * {places}).pow(1 / {self.norm_type})")


class MaxPool1d(MaxPool):
    """Maximum over a window of a sequence."""

    axes = 1
    examples = (
        Example({"kernel_size": 3, "stride": 2, "padding": 1}, inputs=((4, 8),), output=(4, 4)),
    )

    kernel_size: Annotated[tuple[Size, ...], spread(1, "size")]
    stride: Annotated[tuple[Size, ...] | None, optional(spread(1, "size"))] = None
    padding: Annotated[Padding, either(spread(1, "natural"), SAME)] = (0,)
    dilation: Annotated[tuple[int, ...], spread(1)] = (1,)

    def exported(self, inputs: Shapes, form: Form) -> Torch | None:
        """Pool an image one place high: torch.export takes the length of a sequence for fixed."""
        ((channels, length),) = inputs
        image = MaxPool2d(
            kernel_size=(1, *self.kernel_size),
            stride=None if self.stride is None else (1, *self.stride),
            padding=self.padding if self.padding == "same" else (0, *self.padding),
            dilation=(1, *self.dilation),
            ceil_mode=self.ceil_mode,
        )
        pooled = image.exported(((channels, 1, length),), form) or image.module(
            self.padding == "same"
        )
        assert isinstance(pooled, TorchModule)
        call = pooled.call.replace("{inputs}", "{0}").replace("{0}", "{0}.unsqueeze(2)")
        return pooled._replace(call=f"{call}.squeeze(2)")


class MaxPool2d(MaxPool):
    """Maximum over a window of height and width."""

    axes = 2
    examples = (
        Example(
            {"kernel_size": 3, "stride": 2, "padding": 1},
            inputs=((4, 12, 12),),
            output=(4, 6, 6),
        ),
        Example(
            {"kernel_size": 3, "stride": 2, "ceil_mode": True},
            inputs=((2, 8, 7),),
            output=(2, 4, 3),
        ),
        Example(
            {"kernel_size": 2, "stride": 1, "padding": "same"},
            inputs=((2, 13, 13),),
            output=(2, 13, 13),
        ),
    )

    kernel_size: Annotated[tuple[Size, ...], spread(2, "size")]
    stride: Annotated[tuple[Size, ...] | None, optional(spread(2, "size"))] = None
    padding: Annotated[Padding, either(spread(2, "natural"), SAME)] = (0, 0)
    dilation: Annotated[tuple[int, ...], spread(2)] = (1, 1)


class MaxPool3d(MaxPool):
    """Maximum over a window of depth, height and width."""

    axes = 3
    examples = (Example({"kernel_size": (1, 2, 3)}, inputs=((2, 4, 4, 6),), output=(2, 4, 2, 2)),)

    kernel_size: Annotated[tuple[Size, ...], spread(3, "size")]
    stride: Annotated[tuple[Size, ...] | None, optional(spread(3, "size"))] = None
    padding: Annotated[Padding, either(spread(3, "natural"), SAME)] = (0, 0, 0)
    dilation: Annotated[tuple[int, ...], spread(3)] = (1, 1, 1)


class AvgPool1d(AvgPool):
    """Average over a window of a sequence."""

    axes = 1
    examples = (Example({"kernel_size": 2}, inputs=((4, 9),), output=(4, 4)),)

    kernel_size: Annotated[tuple[Size, ...], spread(1, "size")]
    stride: Annotated[tuple[Size, ...] | None, optional(spread(1, "size"))] = None
    padding: Annotated[Padding, either(spread(1, "natural"), SAME)] = (0,)


class AvgPool2d(AvgPool):
    """Average over a window of height and width."""

    axes = 2
    elsewhere = (("averagepooling2d", "AvgPool2d(kernel_size)"),)
    examples = (
        Example(
            {"kernel_size": 3, "stride": 1, "padding": 1},
            inputs=((2, 8, 8),),
            output=(2, 8, 8),
        ),
        Example(
            {"kernel_size": 3, "stride": 2, "padding": "same"},
            inputs=((2, 8, 7),),
            output=(2, 4, 4),
        ),
        Example(
            {"kernel_size": 2, "stride": 3, "ceil_mode": True, "count_include_pad": False},
            inputs=((2, 9, 8),),
            output=(2, 3, 3),
        ),
    )

    kernel_size: Annotated[tuple[Size, ...], spread(2, "size")]
    stride: Annotated[tuple[Size, ...] | None, optional(spread(2, "size"))] = None
    padding: Annotated[Padding, either(spread(2, "natural"), SAME)] = (0, 0)
    divisor_override: Annotated[int | None, optional(POSITIVE)] = None


class AvgPool3d(AvgPool):
    """Average over a window of depth, height and width."""

    axes = 3
    examples = (Example({"kernel_size": 2}, inputs=((2, 4, 6, 5),), output=(2, 2, 3, 2)),)

    kernel_size: Annotated[tuple[Size, ...], spread(3, "size")]
    stride: Annotated[tuple[Size, ...] | None, optional(spread(3, "size"))] = None
    padding: Annotated[Padding, either(spread(3, "natural"), SAME)] = (0, 0, 0)
    divisor_override: Annotated[int | None, optional(POSITIVE)] = None


class LPPool1d(PowerPool):
    """Power average over a window of a sequence: the `norm_type`-th root of the sum of powers."""

    axes = 1
    examples = (Example({"norm_type": 2, "kernel_size": 3}, inputs=((4, 8),), output=(4, 2)),)

    kernel_size: Annotated[tuple[Size, ...], spread(1, "size")]
    stride: Annotated[tuple[Size, ...] | None, optional(spread(1, "size"))] = None


class LPPool2d(PowerPool):
    """Power average over height and width: the `norm_type`-th root of the sum of powers."""

    axes = 2
    examples = (
        Example(
            {"norm_type": 2, "kernel_size": (3, 2), "stride": (2, 1)},
            inputs=((2, 8, 8),),
            output=(2, 3, 7),
        ),
    )

    kernel_size: Annotated[tuple[Size, ...], spread(2, "size")]
    stride: Annotated[tuple[Size, ...] | None, optional(spread(2, "size"))] = None


class LPPool3d(PowerPool):
    """Power average over depth, height and width: the `norm_type`-th root of the sum of powers."""

    axes = 3
    examples = (
        Example(
            {"norm_type": 2, "kernel_size": 2, "ceil_mode": True},
            inputs=((2, 3, 4, 4),),
            output=(2, 2, 2, 2),
        ),
    )

    kernel_size: Annotated[tuple[Size, ...], spread(3, "size")]
    stride: Annotated[tuple[Size, ...] | None, optional(spread(3, "size"))] = None
