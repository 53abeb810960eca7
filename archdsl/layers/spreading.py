"""What repeats, mirrors, looks up and stacks places, and changes the kind of numbers.

Nothing is computed, hence nothing is counted, but one operation for each number that becomes one of
another kind ("elementwise"). Axes keep torch's numbers, batch 0 and channels 1, or
-1 from the last; the batch is left alone. Lists of sizes and counts have one for each axis of a
sample, so without the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

from archdsl.layers.agreeing import agree
from archdsl.layers.arguments import (
    INTEGERS,
    POSITIVE,
    Dim,
    Dims,
    Positive,
    axes_of,
    axis_of,
    choice,
    each,
)
from archdsl.layers.base import (
    ANY,
    GLOBAL,
    POINTWISE,
    Disagreement,
    Dtype,
    Example,
    Facts,
    Kind,
    Layer,
    LayerError,
    Shapes,
    Torch,
    TorchFunction,
    TorchModule,
    axis_name,
    before,
    dtypes,
    numel,
    several,
    single,
)
from archdsl.layers.reshape import OPEN_SIZES
from archdsl.layers.sizes import Formula, Size

if TYPE_CHECKING:
    from archdsl.layers.autograd import Autograd, Tensor


class Expand(Layer):
    """Axes of size 1 spread to more places, which takes no memory; -1 leaves an axis as it is."""

    family = "reshape"
    takes = ANY
    batchless = True
    elsewhere = (("broadcastto", "Expand(shape)"),)
    examples = (
        Example({"shape": (-1, 4, 5)}, inputs=((3, 1, 1),), output=(3, 4, 5)),
        Example({"shape": (3, -1)}, inputs=((1, 4),), output=(3, 4)),
    )

    shape: Annotated[
        tuple[Size, ...], OPEN_SIZES._replace(expected="a list of sizes, or -1, one for each axis")
    ]

    def infer(self, inputs: Shapes) -> Facts:
        shape = single(inputs)
        if len(self.shape) != len(shape):
            raise LayerError(
                f"is given {len(self.shape)} sizes, and its input has {len(shape)} axes"
            )
        pairs: list[tuple[Size, Size]] = []
        output: list[Size] = []
        for at, (wanted, size) in enumerate(zip(self.shape, shape, strict=True)):
            output.append(size if wanted == -1 else wanted)
            if size == 1 or output[at] == size:
                continue
            if not agree(output[at], size):
                raise LayerError(f"spreads axes of size 1, and dim {at + before(shape)} has {size}")
            pairs.append((output[at], size))
        pairs_of = zip(output, shape, strict=True)
        sizes: list[Size] = [-1 if new == old else new for new, old in pairs_of]
        texts = [str(size) for size in sizes]
        free = next((size for size in sizes if isinstance(size, Formula)), None)
        listed = ", ".join([*["-1"] * before(shape), *texts])
        return Facts(
            output=tuple(output),
            torch=TorchFunction(f"{{0}}.expand({listed})", free),
            windows=GLOBAL,
            view=True,
            agreements=tuple(pairs),
        )

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        return torch.expand(inputs[0], torch.output)


COUNTS = Kind("a list of counts, one for each axis", each(POSITIVE.check), ((1, 2), (2,)))


class Repeat(Layer):
    """The whole tensor again and again along axes: `Repeat([1, 2])` doubles the second."""

    family = "reshape"
    takes = ANY
    batchless = True
    elsewhere = (("tile", "Repeat(repeats)"),)
    examples = (
        Example({"repeats": (1, 2)}, inputs=((3, 4),), output=(3, 8)),
        Example({"repeats": (2, 1, 3)}, inputs=((3, 4, 2),), output=(6, 4, 6)),
    )

    repeats: Annotated[tuple[int, ...], COUNTS]

    def infer(self, inputs: Shapes) -> Facts:
        shape = single(inputs)
        if len(self.repeats) != len(shape):
            raise LayerError(
                f"is given {len(self.repeats)} counts, and its input has {len(shape)} axes"
            )
        counts = ", ".join(map(str, [*[1] * before(shape), *self.repeats]))
        return Facts(
            output=tuple(size * times for size, times in zip(shape, self.repeats, strict=True)),
            torch=TorchFunction(f"{{0}}.repeat({counts})", overwritable=True),
            windows=GLOBAL,
        )

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        return torch.result(inputs, torch.output, width=inputs[0].width)


class RepeatInterleave(Layer):
    """Each place of an axis several times, one after the other: 1, 1, 2, 2, 3, 3."""

    family = "reshape"
    takes = ANY
    batchless = True
    examples = (Example({"repeats": 2, "dim": 1}, inputs=((3, 4),), output=(6, 4)),)

    repeats: Positive
    dim: Dim

    def infer(self, inputs: Shapes) -> Facts:
        shape = single(inputs)
        axis = axis_of(self.dim, shape)
        expression = f"torch.repeat_interleave({{0}}, {self.repeats}, dim={self.dim})"
        return Facts(
            output=(*shape[:axis], shape[axis] * self.repeats, *shape[axis + 1 :]),
            torch=TorchFunction(expression, overwritable=True),
            windows=GLOBAL,
            apart=axis != 0,
        )

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        return torch.result(inputs, torch.output, width=inputs[0].width)


class Flip(Layer):
    """The places of axes in the opposite order."""

    family = "reshape"
    takes = ANY
    batchless = True
    elsewhere = (("reverse", "Flip(dims)"),)
    examples = (
        Example({"dims": -1}, inputs=((3, 4),), output=(3, 4)),
        Example({"dims": (1, 2)}, inputs=((3, 4),), output=(3, 4)),
    )

    dims: Dims

    def infer(self, inputs: Shapes) -> Facts:
        shape = single(inputs)
        axes = axes_of(self.dims, shape)
        dims = list(self.dims) if isinstance(self.dims, tuple) else [self.dims]
        return Facts(
            output=shape,
            torch=TorchFunction(f"torch.flip({{0}}, {dims})", overwritable=True),
            windows=POINTWISE if axes == (0,) else GLOBAL,
            apart=0 not in axes,
        )

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        return torch.pointwise(inputs)


class Stack(Layer):
    """Tensors of one shape along a new axis, the one that `dim` counts: `from a, b -> Stack(1)`."""

    family = "reshape"
    takes = ANY
    batchless = True
    examples = (
        Example({"dim": 1}, inputs=((3, 4), (3, 4)), output=(2, 3, 4)),
        Example({"dim": -1}, inputs=((3,), (3,), (3,)), output=(3, 3)),
    )

    dim: Dim

    def infer(self, inputs: Shapes) -> Facts:
        several(inputs, least=1)
        first = inputs[0]
        if any(len(shape) != len(first) for shape in inputs):
            raise Disagreement(())
        every = enumerate(zip(*inputs, strict=True))
        differ = [at for at, sizes in every if not all(agree(sizes[0], size) for size in sizes)]
        if differ:
            raise Disagreement([axis_name(at, len(first)) for at in differ])
        axis = axis_of(self.dim, type(first)((*first, 1)))
        pairs = [(one, size) for s in inputs[1:] for one, size in zip(first, s, strict=True)]
        return Facts(
            output=(*first[:axis], len(inputs), *first[axis:]),
            torch=TorchFunction(f"torch.stack([{{inputs}}], dim={self.dim})", overwritable=True),
            windows=GLOBAL,
            agreements=tuple((one, size) for one, size in pairs if one != size),
        )

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        return torch.result(inputs, torch.output, width=max(x.width for x in inputs))


class IndexSelect(Layer):
    """The places of an axis whose numbers are listed, in that order; negative ones from its end."""

    family = "slicing"
    takes = ANY
    batchless = True
    elsewhere = (("take", "IndexSelect(index, dim)"),)
    examples = (
        Example({"index": (2, 0, 0)}, inputs=((4, 5),), output=(3, 5)),
        Example({"index": (-1, 1), "dim": 2}, inputs=((3, 4),), output=(3, 2)),
    )

    index: Annotated[tuple[int, ...], INTEGERS]
    dim: Dim = 1

    def infer(self, inputs: Shapes) -> Facts:
        shape = single(inputs)
        axis = axis_of(self.dim, shape)
        size = shape[axis]
        if not self.index:
            raise LayerError("is given an empty list of indices")
        for at in self.index:
            if isinstance(size, int) and not -size <= at < size:
                raise LayerError(f"has the index {at}, and dim {self.dim} has {size} places")
        whole = ":, " * (before(shape) + axis)
        return Facts(
            output=(*shape[:axis], len(self.index), *shape[axis + 1 :]),
            torch=TorchFunction(f"{{0}}[{whole}{list(self.index)}]", overwritable=True),
            windows=GLOBAL,
            apart=axis != 0,
        )

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        return torch.indexed(x, self.dim % len(x.shape), torch.output)


FLOATS_SOURCE = '''\
class ToFloat(nn.Module):
    """Makes floats of the kind that the network computes with."""

    kind: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kind", torch.empty(0), persistent=False)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return input.to(self.kind.dtype)
'''


class To(Layer):
    """Numbers of another kind: "float", "int" (cut towards 0) or "bool" (whether it isn't 0).

    Floats are those of the network: how many bits they have is up to whoever runs it.
    """

    family = "arithmetic"
    takes = dtypes(bool="float", int="float", float="float")
    elsewhere = tuple((name, 'To("float")') for name in ("cast", "astype", "type", "float"))
    examples = (
        Example({"kind": "int"}, inputs=((3, 4),), output=(3, 4)),
        Example({"kind": "bool"}, inputs=((3, 4),), output=(3, 4)),
    )

    kind: Annotated[str, choice("float", "int", "bool")]

    def infer(self, inputs: Shapes) -> Facts:
        made: Torch = TorchModule("ToFloat", source=FLOATS_SOURCE)
        if self.kind != "float":
            made = TorchFunction("{0}.long()" if self.kind == "int" else "{0}.bool()")
        shape = single(inputs)
        return Facts(output=shape, torch=made, other={"elementwise": numel(shape)}, apart=True)

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        if self.kind == "float":
            return torch.to(inputs[0], torch.width)
        found = torch.pointwise(inputs, width=8 if self.kind == "int" else 1)
        found.needs_grad = False
        return found

    def dtype(self, inputs: Sequence[Dtype]) -> Dtype:
        super().dtype(inputs)
        return KINDS[self.kind]


KINDS: Mapping[str, Dtype] = {"float": "float", "int": "int", "bool": "bool"}
