"""Padding: more places on the sides of each axis, or fewer where `padding` is negative.

As in torch, `padding` is one number for all sides or a list of two for each axis, last axis
first: left, right, top, bottom, front, back. Nothing is computed, so no operations are listed.
Windows count what fills the new places (a number, a mirror image, a repetition) as lying there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

from archdsl.layers.arguments import INTEGERS, Number, spread
from archdsl.layers.base import (
    ANY,
    GLOBAL,
    SAMPLE_AXES,
    Dtype,
    Example,
    Facts,
    Form,
    Kind,
    Layer,
    LayerError,
    Shapes,
    Torch,
    TorchFunction,
    TorchModule,
    Window,
    WrongDtype,
    single,
    squeeze,
    unpack,
)
from archdsl.layers.circular_padding import wrapped
from archdsl.layers.sizes import Size

if TYPE_CHECKING:
    from archdsl.layers.autograd import Autograd, Tensor


def sides(axes: int) -> Kind:
    """Return the kind that takes one integer for all sides of some axes, or two for each axis."""
    kind = spread(2 * axes, "integer")
    uneven = [(2, 0), (-1, 2), (0, -3), (-4, 3), (3, 5), (5, -1)]
    rest = (1, 0) * (axes - 1)
    samples = (0, 1, 4, -1, -3, *((*first, *rest) for first in uneven))
    return Kind(kind.expected, kind.convert, samples)


class Padding(Layer):
    """Padding; its subclasses say with what, and over how many axes."""

    family = "padding"
    axes: ClassVar[int]
    mode: ClassVar[str] = "replicate"

    padding: tuple[int, ...]

    def infer(self, inputs: Shapes) -> Facts:
        channels, *image = unpack(inputs, SAMPLE_AXES[self.axes])
        sizes: list[Size] = []
        windows: list[Window] = []
        for axis, size in enumerate(image):
            # the list begins with the last axis
            last = 2 * (self.axes - 1 - axis)
            before, after = self.padding[last : last + 2]
            if isinstance(size, int):
                self.check(size, before, after)
            sizes.append(size + before + after)
            # what is cut off where `before` is negative moves the places the other way
            windows.append(Window(1, 1, -before))
        return Facts(
            output=(channels, *sizes),
            torch=TorchModule(
                f"nn.{self.torch_name()}",
                (squeeze(self.padding),),
                self.for_torch("padding"),
                overwritable=True,
            ),
            windows=tuple(windows),
            wraps=self.mode != "zeros",
            apart=True,
        )

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        return torch.padded(inputs[0], torch.output, self.mode, max(self.padding) > 0)

    def check(self, size: int, before: int, after: int) -> None:
        """Refuse to pad an axis of that size where torch can't."""
        if size + before + after < 1:
            raise LayerError(f"cuts all of the {size} places of an axis off")


class Filled(Padding):
    """Padding with a number."""

    takes = ANY
    mode = "zeros"

    def check(self, size: int, before: int, after: int) -> None:
        super().check(size, before, after)
        if (cut := -min(before, 0) - min(after, 0)) > size:
            raise LayerError(f"cuts {cut} places off an axis of {size}")


class Constant(Filled):
    """Padding with a number that is chosen."""

    value: Number

    def dtype(self, inputs: Sequence[Dtype]) -> Dtype:
        return fits(self.value, super().dtype(inputs))


class Reflection(Padding):
    """Padding with a mirror image, without the place at the edge."""

    mode = "reflect"

    def check(self, size: int, before: int, after: int) -> None:
        super().check(size, before, after)
        if (most := max(before, after)) >= size:
            raise LayerError(f"can mirror at most {size - 1} of {size} places, and pads by {most}")


class Circular(Padding):
    """Padding with the places from the other end."""

    takes = ANY
    mode = "circular"

    def check(self, size: int, before: int, after: int) -> None:
        super().check(size, before, after)
        # torch reads memory it hasn't written where a side is cut below what the other repeats
        for pad, kept in ((before, size + min(after, 0)), (after, size + min(before, 0))):
            if pad > kept:
                raise LayerError(f"can repeat at most {kept} places of an axis, and pads by {pad}")

    def exported(self, inputs: Shapes, form: Form) -> Torch | None:
        """Look the places up, in torch.export."""
        if form != "torch.export":
            return None
        sides = list(zip(self.padding[::2], self.padding[1::2], strict=True))
        return TorchFunction(wrapped(sides[::-1]))


class ZeroPad1d(Filled):
    """Zeros around a sequence."""

    axes = 1
    examples = (Example({"padding": (2, 1)}, inputs=((2, 4),), output=(2, 7)),)

    padding: Annotated[tuple[int, ...], sides(1)]


class ZeroPad2d(Filled):
    """Zeros around an image."""

    axes = 2
    examples = (
        Example({"padding": 1}, inputs=((3, 4, 5),), output=(3, 6, 7)),
        Example({"padding": (0, 1, -1, 2)}, inputs=((3, 4, 5),), output=(3, 5, 6)),
    )

    padding: Annotated[tuple[int, ...], sides(2)]


class ZeroPad3d(Filled):
    """Zeros around a volume."""

    axes = 3
    examples = (Example({"padding": 1}, inputs=((1, 2, 3, 4),), output=(1, 4, 5, 6)),)

    padding: Annotated[tuple[int, ...], sides(3)]


class ConstantPad1d(Constant):
    """A number around a sequence."""

    axes = 1
    examples = (Example({"padding": 2, "value": 0.5}, inputs=((2, 4),), output=(2, 8)),)

    padding: Annotated[tuple[int, ...], sides(1)]


class ConstantPad2d(Constant):
    """A number around an image."""

    axes = 2
    examples = (Example({"padding": 2, "value": -1}, inputs=((2, 4, 3),), output=(2, 8, 7)),)

    padding: Annotated[tuple[int, ...], sides(2)]


class ConstantPad3d(Constant):
    """A number around a volume."""

    axes = 3
    examples = (Example({"padding": 1, "value": 1}, inputs=((1, 2, 3, 4),), output=(1, 4, 5, 6)),)

    padding: Annotated[tuple[int, ...], sides(3)]


class ReflectionPad1d(Reflection):
    """The mirror image of a sequence at its ends, without the place at the edge."""

    axes = 1
    examples = (Example({"padding": (3, 1)}, inputs=((2, 4),), output=(2, 8)),)

    padding: Annotated[tuple[int, ...], sides(1)]


class ReflectionPad2d(Reflection):
    """The mirror image of an image around it, without the places at the edge."""

    axes = 2
    examples = (Example({"padding": 2}, inputs=((2, 4, 3),), output=(2, 8, 7)),)

    padding: Annotated[tuple[int, ...], sides(2)]


class ReflectionPad3d(Reflection):
    """The mirror image of a volume around it, without the places at the edge."""

    axes = 3
    examples = (Example({"padding": 1}, inputs=((1, 2, 3, 4),), output=(1, 4, 5, 6)),)

    padding: Annotated[tuple[int, ...], sides(3)]


class ReplicationPad1d(Padding):
    """The first and last place of a sequence, again and again."""

    axes = 1
    examples = (Example({"padding": 3}, inputs=((2, 2),), output=(2, 8)),)

    padding: Annotated[tuple[int, ...], sides(1)]


class ReplicationPad2d(Padding):
    """The edge of an image, again and again."""

    axes = 2
    examples = (Example({"padding": (1, 2, 0, 3)}, inputs=((2, 4, 3),), output=(2, 7, 6)),)

    padding: Annotated[tuple[int, ...], sides(2)]


class ReplicationPad3d(Padding):
    """The surface of a volume, again and again."""

    axes = 3
    examples = (Example({"padding": 1}, inputs=((1, 2, 3, 4),), output=(1, 4, 5, 6)),)

    padding: Annotated[tuple[int, ...], sides(3)]


class CircularPad1d(Circular):
    """The places from the other end of a sequence, as if it were a ring."""

    axes = 1
    examples = (Example({"padding": 3}, inputs=((2, 4),), output=(2, 10)),)

    padding: Annotated[tuple[int, ...], sides(1)]


class CircularPad2d(Circular):
    """The places from the other side of an image, as if it were a torus."""

    axes = 2
    examples = (Example({"padding": (1, 2, 0, 3)}, inputs=((2, 4, 3),), output=(2, 7, 6)),)

    padding: Annotated[tuple[int, ...], sides(2)]


class CircularPad3d(Circular):
    """The places from the other side of a volume, as if it repeated without end."""

    axes = 3
    examples = (Example({"padding": 1}, inputs=((1, 2, 3, 4),), output=(1, 4, 5, 6)),)

    padding: Annotated[tuple[int, ...], sides(3)]


class Pad(Layer):
    """A number around any axes, the last one first: `Pad([1, 2, 0, 1])` widens the last two.

    The list has two numbers for each axis, before and behind it, as that of torch's `F.pad`; what
    is negative is cut off. Mirrors and repetitions are layers of their own (`ReflectionPad2d`).
    """

    family = "padding"
    takes = ANY
    batchless = True
    examples = (
        Example({"padding": (0, 0, 1, 2)}, inputs=((3, 4, 5),), output=(3, 7, 5)),
        Example(
            {"padding": (0, 1, 0, 0, -1, 2), "value": 0.5}, inputs=((3, 4, 5),), output=(4, 4, 6)
        ),
    )

    padding: Annotated[tuple[int, ...], INTEGERS]
    value: Number = 0

    def infer(self, inputs: Shapes) -> Facts:
        shape = single(inputs)
        if not self.padding or len(self.padding) % 2 or len(self.padding) > 2 * len(shape):
            raise LayerError(
                f"is given {len(self.padding)} numbers, and takes two for each of up to "
                f"{len(shape)} axes",
                help="the last axis comes first: `[left, right, top, bottom]`",
            )
        sizes, windows = list(shape), [Window(1)] * len(shape)
        for at in range(len(self.padding) // 2):
            first, last = self.padding[2 * at : 2 * at + 2]
            size = sizes[-1 - at]
            if isinstance(size, int):
                if size + first + last < 1:
                    raise LayerError(f"cuts all of the {size} places of an axis off")
                if (cut := -min(first, 0) - min(last, 0)) > size:
                    raise LayerError(f"cuts {cut} places off an axis of {size}")
            sizes[-1 - at] = size + first + last
            windows[-1 - at] = Window(1, 1, -first)
        value = f", value={self.value}" if self.value else ""
        moved = windows[0] != Window(1)
        return Facts(
            output=tuple(sizes),
            torch=TorchFunction(f"F.pad({{0}}, {list(self.padding)}{value})", overwritable=True),
            windows=GLOBAL if moved else tuple(windows[1:]),
            apart=not moved,
        )

    def dtype(self, inputs: Sequence[Dtype]) -> Dtype:
        return fits(self.value, super().dtype(inputs))

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        grows = any(side > 0 for side in self.padding)
        return torch.padded(inputs[0], torch.output, grows=grows)


def fits(value: float, held: Dtype) -> Dtype:
    """Refuse a number that a tensor of that kind can't be padded with.

    Raises:
        WrongDtype: torch would round it without a word.
    """
    if not {"bool": value in (0, 1), "int": value == int(value)}.get(held, True):
        raise WrongDtype(0, f"pads with {value}, so it takes floats")
    return held
