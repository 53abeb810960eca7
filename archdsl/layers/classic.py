"""What the literature needs and torch lacks: LeNet-5's subsampling and radial basis functions,
and the shortcut of ResNet that has no parameters.

None of them has multiply-accumulates in the sense of convolutions and linear layers; what they
compute stands under `other`: sums over windows and their coefficients as "pooling", one operation
for each number read, the biases as "bias", and distances as "elementwise", three operations for
each pair of an input and an output (difference, square, sum). Zero padding computes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from archdsl.layers.agreeing import agree, require_positive
from archdsl.layers.arguments import NUMBERS, Flag, FreeSize, choice, each, optional, spread
from archdsl.layers.base import (
    ANY,
    Example,
    Facts,
    Kind,
    Layer,
    LayerError,
    Shapes,
    TorchModule,
    Window,
    by,
    dtypes,
    numel,
    unpack,
)
from archdsl.layers.linear import last_axis
from archdsl.layers.sizes import Size

if TYPE_CHECKING:
    from archdsl.layers.autograd import Autograd, Tensor

SUBSAMPLING_SOURCE = '''\
class Subsampling(nn.Module):
    """Sum of each window, times a coefficient and plus a bias: one pair for each channel."""

    def __init__(
        self,
        channels: int,
        kernel_size: int | tuple[int, int] = 2,
        stride: int | tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        if isinstance(kernel_size, int):
            kernel_size = (kernel_size, kernel_size)
        self.kernel_size, self.stride = kernel_size, stride
        # as LeCun et al. 1998 begin: uniform up to 2.4 over the fan-in
        bound = 2.4 / (kernel_size[0] * kernel_size[1])
        self.weight = nn.Parameter(torch.empty(channels).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(channels).uniform_(-bound, bound))

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        # divisor_override=1 would give the sums, but torch.onnx drops it
        places = self.kernel_size[0] * self.kernel_size[1]
        sums = places * F.avg_pool2d(input, self.kernel_size, self.stride)
        return sums * self.weight.view(-1, 1, 1) + self.bias.view(-1, 1, 1)
'''

RBF_SOURCE = '''\
class RBF(nn.Module):
    """Radial basis functions: the squared distance of the last axis from each code."""

    weight: torch.Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        trainable: bool = False,
        codes: list[list[float]] | None = None,
    ) -> None:
        super().__init__()
        self.in_features = in_features
        if codes is None:
            # as LeCun et al. 1998: -1 or +1, with equal probabilities
            weight = 2.0 * torch.randint(2, (out_features, in_features)) - 1.0
        else:
            weight = torch.tensor(codes).view(out_features, in_features)
        if trainable:
            self.weight = nn.Parameter(weight)
        else:
            self.register_buffer("weight", weight)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        places = (*input.shape[:-1], 1, self.in_features)
        return (input.reshape(places) - self.weight).square().sum(-1)
'''

SHORTCUT_SOURCE = '''\
class ZeroPadShortcut(nn.Module):
    """Every `stride`-th place of an image, with channels of zeros for those that are missing."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int | tuple[int, int] = 1,
        padding: str = "after",
    ) -> None:
        super().__init__()
        self.stride = (stride, stride) if isinstance(stride, int) else stride
        missing = out_channels - in_channels
        self.before = missing // 2 if padding == "both" else 0
        self.after = missing - self.before

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        places = input[:, :, :: self.stride[0], :: self.stride[1]]
        if self.after == 0:
            return places
        return F.pad(places, (0, 0, 0, 0, self.before, self.after))
'''

CODES = Kind("a list of lists of numbers", each(NUMBERS.check))


class Subsampling(Layer):
    """LeNet-5's trainable subsampling of an image.

    The sum of each window is multiplied with a coefficient and a bias is added: `weight` and
    `bias`, one pair for each channel. Without `stride` the windows don't overlap.
    Source: LeCun et al., Gradient-based learning applied to document recognition, 1998, II.B.
    """

    family = "pooling"
    examples = (
        Example({}, inputs=((6, 28, 28),), output=(6, 14, 14), params=12),
        Example(
            {"kernel_size": (3, 2), "stride": (2, 1)},
            inputs=((4, 9, 9),),
            output=(4, 4, 8),
            params=8,
        ),
    )

    kernel_size: Annotated[tuple[int, ...], spread(2)] = (2, 2)
    stride: Annotated[tuple[int, ...] | None, optional(spread(2))] = None

    def infer(self, inputs: Shapes) -> Facts:
        channels, *image = unpack(inputs, "channels height width")
        strides = self.stride or self.kernel_size
        axes = tuple(zip(image, self.kernel_size, strides, strict=True))
        output = (channels, *((size - kernel) // stride + 1 for size, kernel, stride in axes))
        require_positive(output, "has a kernel larger than its input")
        read = numel(output) * numel(self.kernel_size)
        return Facts(
            output=output,
            torch=TorchModule(
                "Subsampling", (channels,), self.for_torch(), SUBSAMPLING_SOURCE, overwritable=True
            ),
            params={"weight": (channels,), "bias": (channels,)},
            # n - 1 additions and one multiplication for each window of n
            other={"pooling": read, "bias": numel(output)},
            inside=numel(output),  # the sums
            windows=tuple(Window(kernel, stride) for _, kernel, stride in axes),
            apart=True,
            arithmetic=by("(1 + 1)", channels),
        )

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        sums = torch.function(torch.pooled(inputs[0], torch.output, maximum=False))
        weight, bias = (torch.reshape(x, (*x.shape, 1, 1)) for x in torch.own.values())
        return torch.add(torch.mul(sums, weight), bias)


class RBF(Layer):
    """Radial basis functions, the output layer of LeNet-5: [..., features] to [..., out_features].

    Output i is the squared distance of the input from code i. The codes are fixed unless they are
    `trainable`, and in the state_dict as `weight` either way. Without `codes`, a list of lists,
    they are drawn from -1 and +1.
    Source: LeCun et al., Gradient-based learning applied to document recognition, 1998, II.B.
    """

    family = "linear"
    takes = dtypes(int="float", float="float", complex="complex")
    examples = (
        Example({"out_features": 10}, inputs=((84,),), output=(10,)),
        Example(
            {"out_features": 2, "trainable": True, "codes": ((1, -1, 1), (-1, 1, 0.5))},
            inputs=((5, 3),),
            output=(5, 2),
            params=6,
        ),
    )

    buffers_move = False

    out_features: FreeSize
    trainable: Flag = False
    codes: Annotated[tuple[tuple[float, ...], ...] | None, optional(CODES)] = None

    def infer(self, inputs: Shapes) -> Facts:
        *others, features = unpack(inputs, "... features")
        lengths = self.check_codes(features)
        output = (*others, self.out_features)
        weight = {"weight": (self.out_features, features)}
        # torch would make integers of integers, and those can't learn
        codes = None if self.codes is None else [list(map(float, code)) for code in self.codes]
        return Facts(
            output=output,
            torch=TorchModule(
                "RBF",
                (features, self.out_features),
                self.for_torch("out_features") | ({"codes": codes} if codes else {}),
                RBF_SOURCE,
                overwritable=True,
            ),
            params=weight if self.trainable else {},
            # in the state_dict either way, since no two networks draw the same codes
            buffers={} if self.trainable else weight,
            other={"elementwise": 3 * numel(output) * features},
            inside=numel(output) * features,  # the differences
            windows=last_axis(inputs[0]),
            apart=len(output) > 1,
            agreements=lengths,
            arithmetic=by(features, self.out_features) if self.trainable else "",
        )

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        places = torch.reshape(x, (*x.shape[:-1], 1, x.shape[-1]))
        squares = torch.function(torch.add(places, torch.own["weight"]), "input")
        return torch.result((squares,), torch.output)

    def check_codes(self, features: Size) -> tuple[tuple[Size, Size], ...]:
        """Refuse codes that are not one for each output, as long as the input.

        Returns what must agree where the size of the input is free.
        """
        if self.codes is None:
            return ()
        pairs = [(self.out_features, len(self.codes))]
        pairs += [(features, len(code)) for code in self.codes]
        if not agree(*pairs[0]):
            raise LayerError(f"has {self.out_features} outputs and {len(self.codes)} codes")
        for _, length in pairs[1:]:
            if not agree(features, length):
                raise LayerError(f"has a code of {length} numbers for {features} features")
        return tuple(dict.fromkeys(pair for pair in pairs if pair[0] != pair[1]))


class ZeroPadShortcut(Layer):
    """ResNet's shortcut without parameters (option A): every `stride`-th place, zero channels.

    The channels that are missing are appended (`padding = "after"`, as the authors of ResNet do
    in their code), or put half before and half after (`padding = "both"`, as many repositories
    for CIFAR do; of an odd number the larger half comes after).
    Source: He et al., Deep Residual Learning for Image Recognition, 2015, arXiv:1512.03385, 3.3.
    """

    family = "reshape"
    takes = ANY
    examples = (
        Example({"out_channels": 32, "stride": 2}, inputs=((16, 32, 32),), output=(32, 16, 16)),
        Example(
            {"out_channels": 7, "stride": (2, 1), "padding": "both"},
            inputs=((4, 9, 8),),
            output=(7, 5, 8),
        ),
    )

    out_channels: FreeSize
    stride: Annotated[tuple[int, ...], spread(2)] = (1, 1)
    padding: Annotated[Literal["after", "both"], choice("after", "both")] = "after"

    def infer(self, inputs: Shapes) -> Facts:
        channels, *image = unpack(inputs, "channels height width")
        missing = self.out_channels - channels
        if isinstance(missing, int) and missing < 0:
            raise LayerError(
                f"cannot bring {channels} channels to {self.out_channels}, only to more"
            )
        return Facts(
            output=(
                self.out_channels,
                *((size - 1) // step + 1 for size, step in zip(image, self.stride, strict=True)),
            ),
            torch=TorchModule(
                "ZeroPadShortcut",
                (channels, self.out_channels),
                self.for_torch("out_channels"),
                SHORTCUT_SOURCE,
                overwritable=missing != 0,
            ),
            windows=tuple(Window(1, stride) for stride in self.stride),
            view=missing == 0,
        )

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        for axis, step in enumerate(self.stride, start=2):
            x = torch.sliced(x, axis, torch.output[axis], step)
        return x if x.shape == torch.output else torch.padded(x, torch.output)
