"""Convolutions in one to three dimensions."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeVar

from archdsl.layers.agreeing import require_positive
from archdsl.layers.arguments import (
    Flag,
    FreeSize,
    Positive,
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
    Kind,
    Layer,
    LayerError,
    Shape,
    Shapes,
    Torch,
    TorchModule,
    Window,
    by,
    numel,
    squeeze,
    unpack,
)
from archdsl.layers.circular_padding import Side, wrapped
from archdsl.layers.mending import Padded
from archdsl.layers.rewriting import Owned
from archdsl.layers.same_padding import extent, same_padded, same_places, same_window
from archdsl.layers.sizes import Size

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from archdsl.layers.autograd import Autograd, Tensor

Padding = tuple[int, ...] | Literal["same", "valid"]
Scaled = TypeVar("Scaled", bound=Layer)
PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]
PADDING_MODE = choice("zeros", "reflect", "replicate", "circular")


def _table(value: Any) -> tuple[tuple[int, ...], ...]:
    rows = tuple(tuple(row) for row in value)
    for row in rows:
        # a channel that is named twice would be one connection with two kernels
        if not row or len(set(row)) < len(row) or any(type(i) is not int or i < 0 for i in row):
            raise ValueError
    return rows


CONNECTIONS = Kind("a list that names, for each output channel, the input channels it sees", _table)

SAME_SOURCE = '''\
class Conv{axes}dSame(nn.Conv{axes}d):
    """Convolution with TensorFlow's "same" padding: ceil(size / stride) places on each axis."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        padding: list[int] = []
        for axis in reversed(range({axes})):
            size, stride = input.shape[2 + axis], self.stride[axis]
            extent = self.dilation[axis] * (self.kernel_size[axis] - 1) + 1
            total = max(((size + stride - 1) // stride - 1) * stride + extent - size, 0)
            padding += [total // 2, total - total // 2]
        mode = "constant" if self.padding_mode == "zeros" else self.padding_mode
        input = F.pad(input, padding, mode=mode)
        return F.conv{axes}d(
            input,
            self.weight,
            self.bias,
            stride=self.stride,
            dilation=self.dilation,
            groups=self.groups,
        )
'''

CONNECTED_SOURCE = '''\
class ConnectedConv2d(nn.Module):
    """Convolution in which each output channel sees only the input channels listed for it.

    The weight holds one kernel for each connection, in the order of the list.
    """

    sources: torch.Tensor
    targets: torch.Tensor

    def __init__(
        self,
        connections: list[list[int]],
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if isinstance(kernel_size, int):
            kernel_size = (kernel_size, kernel_size)
        self.stride, self.padding, self.dilation = stride, padding, dilation
        self.out_channels = len(connections)
        sources = [source for row in connections for source in row]
        targets = [target for target, row in enumerate(connections) for _ in row]
        # they follow from the arguments, so checkpoints are without them
        self.register_buffer("sources", torch.tensor(sources), persistent=False)
        self.register_buffer("targets", torch.tensor(targets), persistent=False)
        self.weight = nn.Parameter(torch.empty(len(sources), 1, *kernel_size))
        self.bias = nn.Parameter(torch.empty(self.out_channels)) if bias else None
        with torch.no_grad():
            # As torch.nn.Conv2d: uniform up to one over the root of the fan-in, channel by channel.
            start = 0
            for target, row in enumerate(connections):
                bound = (len(row) * kernel_size[0] * kernel_size[1]) ** -0.5
                self.weight[start : start + len(row)].uniform_(-bound, bound)
                if self.bias is not None:
                    self.bias[target].uniform_(-bound, bound)
                start += len(row)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        seen = input.index_select(1, self.sources)
        parts = F.conv2d(
            seen,
            self.weight,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=len(self.sources),
        )
        shape = (parts.shape[0], self.out_channels, *parts.shape[2:])
        output = parts.new_zeros(shape).index_add(1, self.targets, parts)
        return output if self.bias is None else output + self.bias.view(1, -1, 1, 1)
'''


class Convolution(Padded):
    """A convolution over some axes; its subclasses say how many."""

    family = noun = "convolution"
    axes: ClassVar[int]

    out_channels: FreeSize
    kernel_size: tuple[Size, ...]
    stride: tuple[int, ...] = (1,)
    padding: Padding = (0,)
    dilation: tuple[int, ...] = (1,)
    groups: Positive = 1
    bias: Flag = True
    padding_mode: Annotated[PaddingMode, PADDING_MODE] = "zeros"

    def places(self, image: Shape) -> tuple[Shape, tuple[Window, ...]]:
        """Return the output's size and the window along each axis.

        With n + 2p - d (k - 1) - 1 places to the right of the first, floor(that / s) + 1 windows
        fit (the formula of torch.nn.Conv2d); with "same" padding ceil(n / s).
        """
        sizes: list[Size] = []
        windows: list[Window] = []
        for axis, size in enumerate(image):
            kernel, stride, dilation = (
                self.kernel_size[axis],
                self.stride[axis],
                self.dilation[axis],
            )
            if self.padding == "same":
                sizes.append(same_places(size, stride))
                windows.append(same_window(size, kernel, stride, dilation))
            else:
                pad = 0 if self.padding == "valid" else self.padding[axis]
                assert not isinstance(pad, str)
                span = extent(kernel, dilation)
                sizes.append((size + 2 * pad - span) // stride + 1)
                windows.append(window(span, stride, -pad))
        return tuple(sizes), tuple(windows)

    def infer(self, inputs: Shapes) -> Facts:
        channels, *image = unpack(inputs, SAMPLE_AXES[self.axes])
        check_groups(channels, self.out_channels, self.groups)
        places, windows = self.places(tuple(image))
        require_positive(places, "has a kernel larger than its padded input")
        self.check_padding_mode(tuple(image))
        output = (self.out_channels, *places)
        seen = channels // self.groups
        weight = (self.out_channels, seen, *self.kernel_size)
        kernel = by(self.kernel_size, seen)
        return Facts(
            output=output,
            torch=self.module(channels),
            params={"weight": weight} | ({"bias": (self.out_channels,)} if self.bias else {}),
            # each number of the output takes one kernel over all channels that it sees
            macs=numel(output) * numel(weight[1:]),
            other={"bias": numel(output)} if self.bias else {},
            windows=windows,
            wraps=self.padding_mode != "zeros",
            inside=channels * numel(self.padded(tuple(image))) if self.pads_first else 0,
            arithmetic=by(f"({kernel} + 1)" if self.bias else kernel, self.out_channels),
        )

    def functional(self) -> str | None:
        if self.pads_first or self.padding_mode != "zeros":
            return None  # torch's function has no such argument
        given = self.keywords("out_channels", "kernel_size", "bias", "padding_mode", "padding")
        if self.padding != (0,) * self.axes:
            given += f", padding={squeeze(self.padding)!r}"
        return f"F.conv{self.axes}d({{0}}, {{weight}}{', {bias}' if self.bias else ''}{given})"

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        image, mode = x.shape[2:], self.padding_mode
        if self.pads_first:
            image = self.padded(image)
        elif self.padding == "same":
            reach = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
            # zeros are put around by the convolution itself, as many before as after
            more = [by % 2 if mode == "zeros" else by for by in reach]
            image = tuple(size + by for size, by in zip(image, more, strict=True))
        elif mode != "zeros" and self.padding != "valid":
            image = tuple(n + 2 * by for n, by in zip(image, self.padding, strict=True))
        if self.pads_first or mode != "zeros" or image != x.shape[2:]:
            x = torch.padded(x, (*x.shape[:2], *image), mode)
        return torch.convolution(x, torch.output)

    @property
    def mixes(self) -> bool:
        return set(self.kernel_size) == {1} and set(self.stride) == {1} and not self.pads

    def linear(self, own: Owned) -> tuple[Self, Owned, Any] | None:
        if "bias" not in own:
            return None
        return self.model_copy({"bias": False}), {"weight": own["weight"]}, own["bias"]

    def scaled(
        self, own: Owned, factor: Any, summand: Any, output: Shape
    ) -> tuple[Self, Owned] | None:
        return with_scale(self, own, factor.reshape(-1, *(1,) * (1 + self.axes)), factor, summand)

    def fed(self, own: Owned, factor: Any, summand: Any, input: Shape) -> tuple[Self, Owned] | None:
        # the zeros around an image would be scaled as well
        if self.pads and self.padding_mode == "zeros" and bool(summand.any()):
            return None
        weight = own["weight"]

        def seen(each: Any) -> Any:
            """Lay a number for each channel beside the weights that are for it."""
            groups = each.reshape(self.groups, 1, -1).expand(-1, len(weight) // self.groups, -1)
            return groups.reshape(len(weight), -1, *(1,) * self.axes)

        bias = (weight * seen(summand)).flatten(1).sum(1)
        owned = {"weight": weight * seen(factor), "bias": bias + own.get("bias", 0)}
        return self.model_copy({"bias": True}), owned

    def abreast(self, others: Sequence[Self]) -> Self | None:
        channels = {"out_channels": sum([each.out_channels for each in (self, *others)])}
        one = self.model_copy(channels)
        alike = all(each.model_copy(channels) == one for each in others)
        return one if alike and self.groups == 1 else None

    def narrowed(
        self, own: Owned, seen: Any, given: Any, input: Shape
    ) -> tuple[Self, Owned] | None:
        if self.groups != 1:
            return None
        kept = {name: each[given] for name, each in own.items()}
        kept["weight"] = kept["weight"][:, seen]
        return self.model_copy({"out_channels": len(kept["weight"])}), kept

    @property
    def pads(self) -> bool:
        """Whether it reads places beyond the edges of its input."""
        if self.padding == "same":
            return any(size != 1 for size in self.kernel_size)
        return self.padding != "valid" and any(self.padding)

    @property
    def pads_first(self) -> bool:
        """Whether the input is padded by a step of its own, for which torch has no argument."""
        return self.padding == "same" and any(stride != 1 for stride in self.stride)

    def padded(self, image: Shape) -> Shape:
        """Return the size of an image that is padded first."""
        axes = zip(image, self.kernel_size, self.stride, self.dilation, strict=True)
        return tuple(same_padded(*axis) for axis in axes)

    def check_padding_mode(self, image: Shape) -> None:
        """Refuse padding that mirrors or repeats more of the input than there is."""
        if self.padding_mode == "zeros" or isinstance(self.padding, str):
            return
        for pad, size in zip(self.padding, image, strict=True):
            # a mirror leaves out the place at the edge, and a ring has as many places as the axis
            most = {"reflect": size - 1, "circular": size, "replicate": pad}[self.padding_mode]
            if isinstance(pad, int) and isinstance(most, int) and pad > most:
                mode = f'padding_mode = "{self.padding_mode}"'
                raise LayerError(f"cannot pad an axis of {size} by {pad} with {mode}")

    def in_torch_order(self, inputs: Shapes) -> str:
        sizes = sizes_in_torch_order(self.out_channels, self.kernel_size, self.stride, inputs)
        if sizes is None:
            return ""
        kernel, stride = sizes
        # Channels are mostly even, and kernels odd. An odd stride is rare but for 1; where one is
        # meant, the kernel may be twice as long. Sequences do have long even kernels of stride 1.
        odd = stride in (3, 5, 7) and kernel >= 6 and kernel != 2 * stride
        one = stride == 1 and kernel >= 8 and self.axes > 1
        exchanged = kernel % 2 == 0 and (odd or one)
        return f"{type(self).__name__}({kernel}, {stride})" if exchanged else ""

    def module(self, channels: Size) -> TorchModule:
        """Return the torch module for that many input channels."""
        name, source = f"nn.Conv{self.axes}d", ""
        but = ["out_channels"]
        # torch refuses "same" padding with strides
        if self.pads_first:
            name, source = f"Conv{self.axes}dSame", SAME_SOURCE.format(axes=self.axes)
            but.append("padding")
        sizes = (channels, self.out_channels)
        return TorchModule(name, sizes, self.for_torch(*but), source, overwritable=True)

    def exported(self, inputs: Shapes, form: Form) -> Torch | None:
        """Look up what circular padding repeats, in torch.export."""
        circular = self.padding_mode == "circular" and self.padding != "valid"
        if form != "torch.export" or not circular:
            return None
        sides: list[tuple[Side, Side]] = []
        for axis, (kernel, stride, dilation) in enumerate(
            zip(self.kernel_size, self.stride, self.dilation, strict=True)
        ):
            if isinstance(self.padding, tuple):
                sides.append((self.padding[axis], self.padding[axis]))
                continue
            size = f"{{0}}.shape[{axis + 2}]"
            needed = f"({size} + {stride} - 1) // {stride} * {stride} - {stride}"
            total = f"max({needed} + {extent(kernel, dilation)} - {size}, 0)"
            sides.append((f"{total} // 2", f"{total} - {total} // 2"))
        given = self.for_torch("out_channels", "padding", "padding_mode")
        return TorchModule(
            f"nn.Conv{self.axes}d",
            (inputs[0][0], self.out_channels),
            given,
            call=f"{{module}}({wrapped(sides)})",
        )


def window(size: Size, stride: int, start: int) -> Window:
    """Return a window; equal ones are one, unless a number knows more than its value."""
    if type(size) is int and type(stride) is int and type(start) is int:
        return _window(size, stride, start)
    return Window(size, stride, start)


@lru_cache(maxsize=10_000)
def _window(size: int, stride: int, start: int) -> Window:
    return Window(size, stride, start)


def with_scale(
    layer: Scaled, own: Owned, along: Any, factor: Any, summand: Any
) -> tuple[Scaled, Owned]:
    """Scale the weights of a layer by `along` and its bias, which there is then, by `factor`."""
    bias = own["bias"] * factor + summand if "bias" in own else summand
    return layer.model_copy({"bias": True}), {"weight": own["weight"] * along, "bias": bias}


def sizes_in_torch_order(
    out_channels: object, kernel_size: object, stride: object, inputs: Shapes
) -> tuple[int, int] | None:
    """Return kernel and stride where what goes out may be meant as what comes in, else None.

    They are one number each, equal along all axes; more is not told apart from what is meant.
    """
    kernel, step = squeeze(kernel_size), squeeze(stride)
    if out_channels != inputs[0][0] or not isinstance(kernel, int) or not isinstance(step, int):
        return None
    return kernel, step


def check_groups(channels: Size, out_channels: Size, groups: int) -> None:
    """Refuse groups that don't divide both numbers of channels."""
    # a rest that isn't known is refused too, since the shape of the weights hangs on it
    if groups != 1 and (channels % groups != 0 or out_channels % groups != 0):
        counts = f"{channels} input and {out_channels} output channels"
        raise LayerError(f"needs groups = {groups} to divide its {counts}")


class Conv1d(Convolution):
    """Convolution over the length of a sequence."""

    axes = 1
    examples = (
        Example(
            {"out_channels": 8, "kernel_size": 3, "padding": 1},
            inputs=((4, 16),),
            output=(8, 16),
            params=104,
            macs=1_536,
        ),
    )

    kernel_size: Annotated[tuple[Size, ...], spread(1, "size")]
    stride: Annotated[tuple[int, ...], spread(1)] = (1,)
    padding: Annotated[Padding, either(spread(1, "natural"), choice("same", "valid"))] = (0,)
    dilation: Annotated[tuple[int, ...], spread(1)] = (1,)


class Conv2d(Convolution):
    """Convolution over height and width.

    Beyond torch, `padding = "same"` works with strides, as in TensorFlow, and `connections` lists
    the input channels that each output channel sees, as in the third layer of LeNet-5.
    """

    axes = 2
    elsewhere = (
        ("depthwiseconv2d", "Conv2d(in.channels, 3, groups = in.channels)"),
        (
            "separableconv2d",
            "Conv2d(in.channels, 3, groups = in.channels) -> Conv2d(out_channels, 1)",
        ),
    )
    examples = (
        Example(
            {"out_channels": 64, "kernel_size": 7, "stride": 2, "padding": 3, "bias": False},
            inputs=((3, 224, 224),),
            output=(64, 112, 112),
            params=9_408,
            macs=118_013_952,
        ),
        Example(
            {"out_channels": 8, "kernel_size": (3, 5), "dilation": 2, "groups": 4},
            inputs=((4, 16, 16),),
            output=(8, 12, 8),
            params=128,
            macs=11_520,
        ),
        Example(
            {"out_channels": 4, "kernel_size": 3, "stride": 2, "padding": "same"},
            inputs=((3, 8, 7),),
            output=(4, 4, 4),
            params=112,
            macs=1_728,
        ),
        Example(
            {"out_channels": 2, "kernel_size": 5, "connections": ((0, 1), (2,))},
            inputs=((3, 14, 14),),
            output=(2, 10, 10),
            params=77,
            macs=7_500,
        ),
    )

    kernel_size: Annotated[tuple[Size, ...], spread(2, "size")]
    stride: Annotated[tuple[int, ...], spread(2)] = (1, 1)
    padding: Annotated[Padding, either(spread(2, "natural"), choice("same", "valid"))] = (0, 0)
    dilation: Annotated[tuple[int, ...], spread(2)] = (1, 1)
    connections: Annotated[tuple[tuple[int, ...], ...] | None, optional(CONNECTIONS)] = None

    def infer(self, inputs: Shapes) -> Facts:
        facts = super().infer(inputs)
        return facts if self.connections is None else self.infer_connected(inputs[0], facts)

    def functional(self) -> str | None:
        if self.connections is not None:
            return None
        return super().functional()

    def infer_connected(self, input: Shape, dense: Facts) -> Facts:
        """Count one kernel for each connection instead of one for each pair of channels."""
        channels = input[0]
        assert self.connections is not None
        if len(self.connections) != self.out_channels:
            listed = len(self.connections)
            raise LayerError(
                f"has {self.out_channels} output channels and connections for {listed}"
            )
        highest = max(max(row) for row in self.connections)
        if isinstance(channels, int) and highest >= channels:
            raise LayerError(
                f"connects input channel {highest}, and the last one is {channels - 1}"
            )
        # of these nobody has defined what they would mean
        if self.groups != 1 or self.padding_mode != "zeros" or self.padding == "same":
            raise LayerError(
                'takes neither groups, padding_mode nor padding = "same" with connections'
            )
        count = sum(map(len, self.connections))
        weight = (count, 1, *self.kernel_size)
        rows = [list(row) for row in self.connections]
        kernel = by(self.kernel_size)
        terms = [
            f"{maps} x ({kernel} x {seen}{' + 1' if self.bias else ''})"
            for seen, maps in sorted(Counter(map(len, rows)).items())
        ]
        arguments = self.for_torch("out_channels", "connections")
        return Facts(
            output=dense.output,
            torch=TorchModule(
                "ConnectedConv2d", (rows,), arguments, CONNECTED_SOURCE, overwritable=True
            ),
            params={"weight": weight} | ({"bias": (self.out_channels,)} if self.bias else {}),
            macs=numel(dense.output[1:]) * numel(weight),
            # the sums over a map's connections are part of its multiply-accumulates
            other=dense.other,
            windows=dense.windows,
            # the map that each connection reads, and the one that it gives
            inside=count * (numel(input[1:]) + numel(dense.output[1:])),
            arithmetic=" + ".join(terms),
        )

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        if self.connections is None:
            return super().trained(torch, *inputs)
        (x,), weight, bias = inputs, torch.own["weight"], torch.own.get("bias")
        count = weight.shape[0]
        seen = torch.result((x,), (x.shape[0], count, *x.shape[2:]))
        samples, _, *places = torch.output
        parts = torch.result((seen, weight), (samples, count, *places), saves=(seen, weight))
        output = torch.result((parts,), torch.output, saves=(parts,))
        return (
            output
            if bias is None
            else torch.add(output, torch.reshape(bias, (1, *bias.shape, 1, 1)))
        )

    def fed(self, own: Owned, factor: Any, summand: Any, input: Shape) -> tuple[Self, Owned] | None:
        return super().fed(own, factor, summand, input) if self.connections is None else None

    def abreast(self, others: Sequence[Self]) -> Self | None:
        return super().abreast(others) if self.connections is None else None

    def narrowed(
        self, own: Owned, seen: Any, given: Any, input: Shape
    ) -> tuple[Self, Owned] | None:
        return super().narrowed(own, seen, given, input) if self.connections is None else None

    def scaled(
        self, own: Owned, factor: Any, summand: Any, output: Shape
    ) -> tuple[Self, Owned] | None:
        if self.connections is None:
            return super().scaled(own, factor, summand, output)
        rows = [row for row, of in enumerate(self.connections) for _ in of]
        return with_scale(self, own, factor[rows].reshape(-1, 1, 1, 1), factor, summand)


class Conv3d(Convolution):
    """Convolution over depth, height and width."""

    axes = 3
    examples = (
        Example(
            {"out_channels": 4, "kernel_size": (1, 3, 3), "padding": (0, 1, 1)},
            inputs=((2, 4, 8, 8),),
            output=(4, 4, 8, 8),
            params=76,
            macs=18_432,
        ),
    )

    kernel_size: Annotated[tuple[Size, ...], spread(3, "size")]
    stride: Annotated[tuple[int, ...], spread(3)] = (1, 1, 1)
    padding: Annotated[Padding, either(spread(3, "natural"), choice("same", "valid"))] = (0, 0, 0)
    dilation: Annotated[tuple[int, ...], spread(3)] = (1, 1, 1)
