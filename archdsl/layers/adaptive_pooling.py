"""Adaptive pooling in one to three dimensions: to a given size, by windows that follow from it.

Operations are listed under "pooling", one for each place that a window reads, as of other pools.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from archdsl.layers.adaptive_windows import adaptive_pooling, adaptive_window, places_read
from archdsl.layers.arguments import SIZE, each, optional, spread
from archdsl.layers.base import (
    GLOBAL,
    SAMPLE_AXES,
    Example,
    Facts,
    Form,
    Kind,
    Layer,
    Shape,
    Shapes,
    Torch,
    TorchModule,
    numel,
    squeeze,
    unpack,
)
from archdsl.layers.sizes import Formula, Size

if TYPE_CHECKING:
    from archdsl.layers.autograd import Autograd, Tensor


class AdaptivePool(Layer):
    """Pooling to a given size by windows that follow from it; its subclasses say how many axes."""

    family = "pooling"
    keeps_zeros = True
    axes: ClassVar[int]
    maximum: ClassVar[bool] = False

    output_size: tuple[Size | None, ...]

    def infer(self, inputs: Shapes) -> Facts:
        channels, *image = unpack(inputs, SAMPLE_AXES[self.axes])
        places: Shape = tuple(
            size if wanted is None else wanted
            for size, wanted in zip(image, self.output_size, strict=True)
        )
        # they differ in length unless the sizes divide, so the smallest that holds all is told
        windows = tuple(map(adaptive_window, image, places))
        known = tuple(window for window in windows if window is not None)
        # torch takes one number for all axes, but not one none
        kept = self.output_size == (None,) * self.axes
        return Facts(
            output=(channels, *places),
            torch=TorchModule(
                f"nn.{self.torch_name()}",
                (self.output_size if kept else squeeze(self.output_size),),
                overwritable=True,
            ),
            other={"pooling": channels * numel(tuple(map(places_read, image, places)))},
            windows=known if len(known) == len(windows) else GLOBAL,
            apart=True,
        )

    @property
    def averages(self) -> bool:
        return not self.maximum

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        return torch.adaptively_pooled(inputs[0], torch.output, maximum=self.maximum)

    def exported(self, inputs: Shapes, form: Form) -> Torch | None:
        """Work the windows out in ONNX where sizes are free, or torch writes nothing else.

        And in torch.export where an axis of free size stays as it is, which it takes for fixed.
        """
        free = any(isinstance(size, Formula) for size in inputs[0])
        if form == "torch.export":
            apt = not free or None not in self.output_size
        else:
            whole = all(size == 1 for size in self.output_size)
            apt = whole or not (free or self.maximum or self.axes == 3)
        if apt:
            return None
        return adaptive_pooling(str(self.output_size), self.maximum)


def output_size(axes: int) -> Kind:
    """Return the kind that takes the size of a map, with none for an axis that stays as it is."""
    one = optional(SIZE)
    listed = each(one.check, axes)

    def converted(value: Any) -> tuple[Any, ...]:
        return listed(value) if isinstance(value, tuple) else (one.check(value),) * axes

    mixed = (None, *range(3, axes + 2))
    return Kind(
        f"a positive integer or a list of {axes}, in which none keeps an axis as it is",
        converted,
        (1, 2, 5, None, mixed),
    )


class AdaptiveAvgPool1d(AdaptivePool):
    """Average over as many windows of a sequence as the output has places."""

    axes = 1
    examples = (
        Example({"output_size": 1}, inputs=((4, 8),), output=(4, 1)),
        Example({"output_size": 3}, inputs=((4, 8),), output=(4, 3)),
    )

    output_size: Annotated[tuple[Size | None, ...], spread(1, "size")]


class AdaptiveAvgPool2d(AdaptivePool):
    """Average over as many windows of height and width as the output has places."""

    axes = 2
    elsewhere = (
        ("globalaveragepooling2d", "AdaptiveAvgPool2d(1) -> Flatten"),
        ("globalavgpool", "AdaptiveAvgPool2d(1)"),
        ("globalavgpool2d", "AdaptiveAvgPool2d(1)"),
    )
    examples = (
        Example({"output_size": 1}, inputs=((4, 8, 8),), output=(4, 1, 1)),
        Example({"output_size": (None, 3)}, inputs=((4, 6, 7),), output=(4, 6, 3)),
    )

    output_size: Annotated[tuple[Size | None, ...], output_size(2)]


class AdaptiveAvgPool3d(AdaptivePool):
    """Average over as many windows of depth, height and width as the output has places."""

    axes = 3
    examples = (
        Example({"output_size": (1, 2, None)}, inputs=((2, 4, 5, 3),), output=(2, 1, 2, 3)),
    )

    output_size: Annotated[tuple[Size | None, ...], output_size(3)]


class AdaptiveMaxPool1d(AdaptivePool):
    """Maximum over as many windows of a sequence as the output has places."""

    axes = 1
    maximum = True
    examples = (Example({"output_size": 4}, inputs=((4, 8),), output=(4, 4)),)

    output_size: Annotated[tuple[Size | None, ...], spread(1, "size")]


class AdaptiveMaxPool2d(AdaptivePool):
    """Maximum over as many windows of height and width as the output has places."""

    axes = 2
    maximum = True
    elsewhere = (("globalmaxpooling2d", "AdaptiveMaxPool2d(1) -> Flatten"),)
    examples = (Example({"output_size": (2, 3)}, inputs=((4, 8, 7),), output=(4, 2, 3)),)

    output_size: Annotated[tuple[Size | None, ...], output_size(2)]


class AdaptiveMaxPool3d(AdaptivePool):
    """Maximum over as many windows of depth, height and width as the output has places."""

    axes = 3
    maximum = True
    examples = (Example({"output_size": 2}, inputs=((2, 4, 6, 5),), output=(2, 2, 2, 2)),)

    output_size: Annotated[tuple[Size | None, ...], output_size(3)]
