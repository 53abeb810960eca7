"""What changes the shape of a tensor, or the order of its axes or places.

Nothing is computed, hence nothing is counted. Axes keep torch's numbers, batch 0 and channels 1,
or -1 from the last; the batch is left alone. Torch lets pass what is refused here: squeezing an
axis that holds more than one place.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

from archdsl.layers.arguments import (
    INTEGER,
    INTEGERS,
    SIZE,
    Dim,
    Dims,
    axes_of,
    axis_of,
    each,
    either,
)
from archdsl.layers.base import (
    ANY,
    GLOBAL,
    POINTWISE,
    Example,
    Facts,
    Kind,
    Layer,
    LayerError,
    Shape,
    Shapes,
    TorchFunction,
    TorchModule,
    before,
    numel,
    single,
)
from archdsl.layers.sizes import Formula, Size

if TYPE_CHECKING:
    from archdsl.layers.autograd import Autograd, Tensor

Pairs = tuple[tuple[Size, Size], ...]

PERMUTE = '''class Permute(nn.Module):
    """Puts the axes into another order."""

    def __init__(self, dims: list[int]) -> None:
        super().__init__()
        self.dims = dims

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.permute(self.dims)
'''


def _open_size(value: Any) -> Any:
    return value if isinstance(value, int) and value == -1 else SIZE.check(value)


OPEN_SIZES = Kind(
    "a list of sizes, one of which may be -1", each(_open_size), ((1, -1), (-1,), (2, 3))
)


def fill(sizes: Shape, shape: Shape) -> tuple[Shape, Pairs]:
    """Put into the place of -1 the size with which `sizes` hold as much as `shape` does.

    Returns the sizes, and the pairs that must be equal where there are free ones.
    """
    written = f"[{', '.join(map(str, sizes))}]"
    if sizes.count(-1) > 1:
        raise LayerError(f"is given the sizes {written}, and only one of them may be -1")
    known, total = numel(tuple(size for size in sizes if size != -1)), numel(shape)
    if -1 not in sizes:
        if isinstance(known, int) and isinstance(total, int) and known != total:
            raise LayerError(f"cannot put {total} numbers into {written}, which hold {known}")
        return sizes, () if known == total else ((known, total),)
    if isinstance(known, Formula):
        total, known = _without_free(sizes, shape)
    rest = total % known
    if isinstance(rest, int) and rest:
        raise LayerError(f"cannot spread {total} numbers over {written}: {known} must divide them")
    filled = tuple(total // known if size == -1 else size for size in sizes)
    return filled, () if isinstance(rest, int) else ((rest, 0),)


def _without_free(sizes: Shape, shape: Shape) -> tuple[Size, Size]:
    """Cancel the free sizes of the result against free axes of the input beside each other.

    Returns how many numbers are left of the input and, less the one that is -1, of the result.
    """
    wanted = numel(tuple(size for size in sizes if isinstance(size, Formula)))
    known = numel(tuple(size for size in sizes if isinstance(size, int) and size != -1))
    free = [axis for axis, size in enumerate(shape) if isinstance(size, Formula)]
    # what lies side by side can be one axis of the result, or several, in the same order
    for start in range(len(free)):
        for stop in range(start + 1, len(free) + 1):
            run = free[start:stop]
            if numel(tuple(shape[axis] for axis in run)) == wanted:
                left = tuple(size for axis, size in enumerate(shape) if axis not in run)
                return numel(left), known
    raise LayerError(f"cannot tell what -1 is, since {wanted} is not known")


def size_text(size: Size, shape: Shape) -> str | None:
    """Write a size as a size of the input, which is `{0}`; None if it is free and can't be."""
    if isinstance(size, int):
        return str(size)
    if size in shape:
        return f"{{0}}.shape[{shape.index(size) + before(shape)}]"
    named = {
        str(axis): f"{{0}}.shape[{dim}]"
        for dim, axis in enumerate(shape, start=before(shape))
        if isinstance(axis, Formula) and axis.names == {str(axis)}
    }
    if not size.names <= named.keys():
        return None
    # as formatters write it
    spaced = re.sub(r"//|\*", lambda sign: f" {sign[0]} ", str(size))
    return re.sub(r"[A-Za-z_]\w*", lambda name: named[name[0]], spaced)


def size_texts(given: Shape, filled: Shape, shape: Shape) -> tuple[list[str], Formula | None]:
    """Write the sizes of a result; return a free one as well if it can't be written.

    There is -1 where it was given, or instead for a free size that can't be had in another way.
    """
    texts = [size_text(size, shape) for size in filled]
    if texts.count(None) == 1:
        # torch works out one size by itself
        texts[texts.index(None)] = "-1"
    elif -1 in given:
        texts[given.index(-1)] = "-1"
    free = [size for size, text in zip(filled, texts, strict=True) if text is None]
    formulas = [size for size in free if isinstance(size, Formula)]
    return [text or "" for text in texts], formulas[0] if formulas else None


def reshaped(
    torch: TorchFunction,
    shape: Shape,
    output: Shape,
    pairs: Pairs = (),
    order: tuple[int, ...] = (),
) -> Facts:
    """Return the facts of what leaves every number as it is, but maybe not its place.

    `order` says which axis of the input each axis of the output is, where they are exchanged.
    """
    stays = order == tuple(range(len(shape))) if order else output == shape
    # Behind a `Permute` torch may have to copy to put axes together. Facts are of one layer alone,
    # so that is not followed: it counts as a view there as well.
    return Facts(
        output=output,
        torch=torch,
        windows=POINTWISE if stays else GLOBAL,
        apart=stays,
        moves=() if stays else order,
        view=True,
        agreements=pairs,
    )


class Reshaping(Layer):
    """A layer that only looks at its input in another shape, where that can be done."""

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        return torch.reshape(inputs[0], torch.output)


class Flatten(Reshaping):
    """The axes from `start_dim` to `end_dim` made one."""

    family = "reshape"
    takes = ANY
    batchless = True
    examples = (
        Example({}, inputs=((16, 5, 5),), output=(400,)),
        Example({"start_dim": 2}, inputs=((16, 5, 5),), output=(16, 25)),
    )

    start_dim: Dim = 1
    end_dim: Dim = -1

    def infer(self, inputs: Shapes) -> Facts:
        shape = single(inputs)
        start = axis_of(self.start_dim, shape, "start_dim")
        end = axis_of(self.end_dim, shape, "end_dim")
        if start > end:
            raise LayerError(f"has start_dim = {self.start_dim} after end_dim = {self.end_dim}")
        output = (*shape[:start], numel(shape[start : end + 1]), *shape[end + 1 :])
        dims = f"{self.start_dim}" + (f", {self.end_dim}" if self.end_dim != -1 else "")
        module = TorchModule("nn.Flatten", keywords=self.for_torch())
        return reshaped(
            TorchFunction(f"torch.flatten({{0}}, {dims})", module=module), shape, output
        )


class Unflatten(Reshaping):
    """One axis made several; one of their sizes may be -1."""

    family = "reshape"
    takes = ANY
    batchless = True
    examples = (
        Example({"dim": 1, "unflattened_size": (4, -1)}, inputs=((12, 5),), output=(4, 3, 5)),
        Example({"dim": -1, "unflattened_size": (2, 3)}, inputs=((5, 6),), output=(5, 2, 3)),
    )

    dim: Dim
    unflattened_size: Annotated[tuple[Size, ...], OPEN_SIZES]

    def infer(self, inputs: Shapes) -> Facts:
        shape = single(inputs)
        axis = axis_of(self.dim, shape)
        if not self.unflattened_size:
            raise LayerError("is given an empty list of sizes")
        sizes, pairs = fill(self.unflattened_size, (shape[axis],))
        output = (*shape[:axis], *sizes, *shape[axis + 1 :])
        texts, free = size_texts(self.unflattened_size, sizes, shape)
        listed = ", ".join(texts) + ("," if len(sizes) == 1 else "")
        function = TorchFunction(f"torch.unflatten({{0}}, {self.dim}, ({listed}))", free)
        return reshaped(function, shape, output, pairs)


class Reshape(Reshaping):
    """The numbers in order, in another shape; one of its sizes may be -1. Batch is left out."""

    family = "reshape"
    takes = ANY
    batchless = True
    examples = (
        Example({"shape": (4, 4, -1)}, inputs=((8, 4),), output=(4, 4, 2)),
        Example({"shape": (-1,)}, inputs=((3, 2, 2),), output=(12,)),
    )

    shape: Annotated[tuple[Size, ...], OPEN_SIZES]

    def infer(self, inputs: Shapes) -> Facts:
        shape = single(inputs)
        output, pairs = fill(self.shape, shape)
        texts, free = size_texts(self.shape, output, shape)
        listed = ", ".join([*["{0}.shape[0]"] * before(shape), *texts])
        return reshaped(TorchFunction(f"{{0}}.reshape({listed})", free), shape, output, pairs)


class Permute(Layer):
    """The axes in another order: `Permute([0, 2, 3, 1])` puts the channels last."""

    family = "reshape"
    takes = ANY
    batchless = True
    examples = (
        Example({"dims": (0, 2, 3, 1)}, inputs=((3, 4, 5),), output=(4, 5, 3)),
        Example({"dims": (0, -1, 1)}, inputs=((3, 4),), output=(4, 3)),
    )

    dims: Annotated[
        tuple[int, ...], Kind("a list of axes, the batch (0) first", each(INTEGER.check), ((0, 1),))
    ]

    def infer(self, inputs: Shapes) -> Facts:
        shape = single(inputs)
        count = len(shape) + before(shape)
        order = [dim + count if dim < 0 else dim for dim in self.dims]
        if sorted(order) != list(range(count)):
            every = ", ".join(map(str, range(count)))
            raise LayerError(f"has dims = {list(self.dims)}, and must name each of {every} once")
        if before(shape) and order[0] != 0:
            raise LayerError(f"has dims = {list(self.dims)}, which move the batch (0) away")
        axes = [dim - before(shape) for dim in order[before(shape) :]]
        output = tuple(shape[axis] for axis in axes)
        dims = ", ".join(map(str, self.dims))
        function = TorchFunction(
            f"{{0}}.permute({dims})",
            module=TorchModule("Permute", (list(self.dims),), source=PERMUTE),
        )
        return reshaped(function, shape, output, order=tuple(axes))

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        return torch.permute(inputs[0], self.dims)


class Transpose(Layer):
    """Two axes exchanged."""

    family = "reshape"
    takes = ANY
    batchless = True
    examples = (Example({"dim0": 1, "dim1": 2}, inputs=((3, 4),), output=(4, 3)),)

    dim0: Dim
    dim1: Dim

    def infer(self, inputs: Shapes) -> Facts:
        shape = single(inputs)
        first = axis_of(self.dim0, shape, "dim0")
        second = axis_of(self.dim1, shape, "dim1")
        output = list(shape)
        output[first], output[second] = output[second], output[first]
        function = TorchFunction(f"{{0}}.transpose({self.dim0}, {self.dim1})")
        order = list(range(len(shape)))
        order[first], order[second] = second, first
        return reshaped(function, shape, tuple(output), order=tuple(order))

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        return torch.transpose(inputs[0], self.dim0, self.dim1)


class Squeeze(Layer):
    """Without the axes named, each of which must have the size 1."""

    family = "reshape"
    takes = ANY
    batchless = True
    examples = (
        Example({"dim": (2, 3)}, inputs=((8, 1, 1),), output=(8,)),
        Example({"dim": -1}, inputs=((8, 1),), output=(8,)),
    )

    dim: Dims

    def infer(self, inputs: Shapes) -> Facts:
        shape = single(inputs)
        gone = axes_of(self.dim, shape)
        for axis in gone:
            if isinstance(shape[axis], int) and shape[axis] != 1:
                dim = axis + before(shape)
                raise LayerError(f"cannot leave out dim {dim}, whose size is {shape[axis]}")
        output = tuple(size for axis, size in enumerate(shape) if axis not in gone)
        pairs = tuple((shape[axis], 1) for axis in gone if shape[axis] != 1)
        return reshaped(TorchFunction(f"{{0}}.squeeze({self.dim})"), shape, output, pairs)

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        dims = self.dim if isinstance(self.dim, tuple) else (self.dim,)
        return torch.squeeze(x, *(dim % len(x.shape) for dim in dims))


class Unsqueeze(Layer):
    """With an axis of size 1 more, which is then number `dim`."""

    family = "reshape"
    takes = ANY
    batchless = True
    examples = (
        Example({"dim": 1}, inputs=((4, 4),), output=(1, 4, 4)),
        Example({"dim": -1}, inputs=((4,),), output=(4, 1)),
    )

    dim: Dim

    def infer(self, inputs: Shapes) -> Facts:
        shape = single(inputs)
        axis = axis_of(self.dim, type(shape)((*shape, 1)))
        output = (*shape[:axis], 1, *shape[axis:])
        return reshaped(TorchFunction(f"{{0}}.unsqueeze({self.dim})"), shape, output)

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        return torch.unsqueeze(x, self.dim % (len(x.shape) + 1))


class Roll(Layer):
    """All places moved along axes, those beyond the end to the start."""

    family = "reshape"
    takes = ANY
    batchless = True
    examples = (
        Example({"shifts": (-3, -3), "dims": (1, 2)}, inputs=((7, 7, 8),), output=(7, 7, 8)),
        Example({"shifts": 1, "dims": 1}, inputs=((6,),), output=(6,)),
    )

    shifts: Annotated[int | tuple[int, ...], either(INTEGER, INTEGERS)]
    dims: Dims

    def infer(self, inputs: Shapes) -> Facts:
        shape = single(inputs)
        shifts, dims = self.each()
        for dim in dims:  # one may be named twice
            axis_of(dim, shape, "dims")
        if len(shifts) != len(dims):
            raise LayerError(f"has {len(shifts)} shifts for {len(dims)} dims")
        if not dims:
            raise LayerError("has an empty list of dims")
        expression = f"torch.roll({{0}}, {self.shifts}, dims={self.dims})"
        function = TorchFunction(expression, overwritable=True)
        return Facts(output=shape, torch=function, windows=GLOBAL)

    def each(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the shifts and the axes that they are along, in order."""
        shifts = self.shifts if isinstance(self.shifts, tuple) else (self.shifts,)
        return shifts, self.dims if isinstance(self.dims, tuple) else (self.dims,)

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        shifts, dims = self.each()
        # a part that is empty lies in no order of its own
        stays = any(by % x.shape[dim] == 0 for by, dim in zip(shifts, dims, strict=True))
        return torch.copy(x) if stays else torch.resized(x, x.shape)
