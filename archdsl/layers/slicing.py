"""What takes a part of a tensor along an axis.

Nothing is computed, hence nothing is counted. Axes keep torch's numbers, batch 0 and channels 1,
or -1 from the last; the batch is left alone. A tensor of the network's own without a batch axis
begins with axis 0. Torch cuts a slice that reaches beyond its axis off; here it is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from archdsl.layers.arguments import (
    INTEGER,
    Dim,
    Integer,
    Positive,
    axis_of,
    optional,
)
from archdsl.layers.base import (
    ANY,
    POINTWISE,
    Example,
    Facts,
    Kind,
    Layer,
    LayerError,
    Shape,
    Shapes,
    TorchFunction,
    Window,
    Windows,
    before,
    single,
)
from archdsl.layers.reshape import reshaped, size_text
from archdsl.layers.sizes import Formula, Size

if TYPE_CHECKING:
    from archdsl.layers.autograd import Autograd, Tensor


def _bound(value: Any) -> Any:
    return value if isinstance(value, Formula) else INTEGER.check(value)


BOUND = Kind("an integer", _bound, (0, 1, -1))


class Slice(Layer):
    """The places `start`, `start + step`, ... before `stop` along an axis, as Python counts.

    Negative bounds count from the end, and without `stop` it goes to the end. Both bounds must
    lie within the axis.
    """

    family = "slicing"
    takes = ANY
    batchless = True
    examples = (
        Example({"start": 0, "stop": 16}, inputs=((64, 7, 7),), output=(16, 7, 7)),
        Example({"start": 1, "stop": None, "step": 2, "dim": 2}, inputs=((4, 9),), output=(4, 4)),
        Example({"start": -3, "stop": -1}, inputs=((8,),), output=(2,)),
    )

    start: Annotated[Size, BOUND]
    stop: Annotated[Size | None, optional(BOUND)]
    step: Positive = 1
    dim: Dim = 1

    def infer(self, inputs: Shapes) -> Facts:
        shape = single(inputs)
        axis = axis_of(self.dim, shape)
        size = shape[axis]
        start = from_start(self.start, size)
        stop = size if self.stop is None else from_start(self.stop, size)
        for bound in (start, stop):
            self.check_bound(bound, size)
        length = (stop - start + self.step - 1) // self.step
        if isinstance(length, int) and length < 1:
            raise LayerError(f"takes nothing: its start {start} is not before its stop {stop}")
        first = self.bound_text(self.start, start, 0, axis, shape)
        last = self.bound_text(self.stop, stop, size, axis, shape)
        step = str(self.step) if self.step > 1 else ""
        free = [bound for bound, text in ((start, first), (stop, last)) if text is None]
        whole = ":, " * (before(shape) + axis)
        return Facts(
            output=(*shape[:axis], length, *shape[axis + 1 :]),
            torch=TorchFunction(
                f"{{0}}[{whole}{slice_text(first or '', last or '', step)}]",
                next((bound for bound in free if isinstance(bound, Formula)), None),
            ),
            # only the axis that is sliced has another step
            windows=_sliced(axis, len(shape), Window(1, self.step, start)),
            apart=axis != 0,
            view=True,
        )

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        axis = self.dim % len(x.shape)
        return torch.sliced(x, axis, torch.output[axis], self.step)

    def bound_text(
        self, given: Size | None, bound: Size, omitted: Size, axis: int, shape: Shape
    ) -> str | None:
        """Write a bound; None if it is free and can't be written."""
        if bound == omitted:
            return ""
        if isinstance(given, int):
            return str(given)
        # counted from the end it may be a number although it is a formula from the start
        before_end = bound - shape[axis]
        if isinstance(before_end, int) and before_end < 0:
            return str(before_end)
        return size_text(bound, shape)

    def check_bound(self, bound: Size, size: Size) -> None:
        """Refuse a bound that is known to lie outside the axis."""
        outside = isinstance(bound, int) and bound < 0
        if isinstance(bound, int) and isinstance(size, int):
            outside = outside or bound > size
        if outside:
            stop = "its end" if self.stop is None else self.stop
            raise LayerError(
                f"goes from {self.start} to {stop}, and dim {self.dim} has {size} places"
            )


class Select(Layer):
    """One place along an axis, which is then gone. A negative index counts from the end."""

    family = "slicing"
    takes = ANY
    batchless = True
    examples = (
        Example({"index": 0}, inputs=((197, 192),), output=(192,)),
        Example({"index": -1, "dim": -1}, inputs=((4, 9),), output=(4,)),
    )

    index: Integer
    dim: Dim = 1

    def infer(self, inputs: Shapes) -> Facts:
        shape = single(inputs)
        axis = axis_of(self.dim, shape)
        size = shape[axis]
        if isinstance(size, int) and not -size <= self.index < size:
            raise LayerError(f"has index = {self.index}, and dim {self.dim} has {size} places")
        whole = ":, " * (before(shape) + axis)
        output = (*shape[:axis], *shape[axis + 1 :])
        return reshaped(TorchFunction(f"{{0}}[{whole}{self.index}]"), shape, output)

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        return torch.select(x, self.dim % len(x.shape))


def slice_text(start: str, stop: str, step: str) -> str:
    """Write a slice, spaced as formatters do it: wide where a bound is more than a number."""
    simple = all(text.lstrip("-").isdecimal() for text in (start, stop) if text)
    tail = f":{step}" if step else ""
    if simple:
        return f"{start}:{stop}{tail}"
    tail = (" " if stop else "") + f": {step}" if step else ""
    return (f"{start} " if start else "") + ":" + (f" {stop}" if stop else "") + tail


def _sliced(axis: int, rank: int, window: Window) -> Windows:
    """Return the windows of what takes places of one axis."""
    if axis == 0:
        return POINTWISE
    return tuple(window if other == axis else Window(1) for other in range(1, rank))


def from_start(bound: Size, size: Size) -> Size:
    """Count a bound from the start of an axis; a negative one counts from its end."""
    return size + bound if isinstance(bound, int) and bound < 0 else bound
