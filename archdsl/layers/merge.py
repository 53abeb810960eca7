"""What joins branches: concatenation and arithmetic, element by element."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING, Annotated

from archdsl.layers.agreeing import agree
from archdsl.layers.arguments import INTEGER
from archdsl.layers.base import (
    ANY,
    GLOBAL,
    POINTWISE,
    Disagreement,
    Example,
    Facts,
    Layer,
    LayerError,
    Shape,
    Shapes,
    TorchFunction,
    axis_name,
    before,
    dtypes,
    numel,
    several,
    without_batch,
)
from archdsl.layers.sizes import Formula, Size

if TYPE_CHECKING:
    from archdsl.layers.autograd import Autograd, Tensor


class Concat(Layer):
    """Concatenation of branches along one axis, by default the channels."""

    family = "merge"
    merges = True
    takes = ANY
    word = "concat"
    batchless = True
    elsewhere = tuple(
        (name, "concat { branch { ... } branch { ... } }")
        for name in ("cat", "concat", "concatenate")
    )
    examples = (
        Example({}, inputs=((3, 4, 4), (5, 4, 4)), output=(8, 4, 4)),
        Example({"dim": -1}, inputs=((2, 3), (2, 5)), output=(2, 8)),
    )

    dim: Annotated[int, INTEGER] = 1

    @property
    def joins(self) -> bool:
        return self.dim == 1

    def infer(self, inputs: Shapes) -> Facts:
        several(inputs, least=1)
        rank = len(inputs[0])
        if any(len(shape) != rank for shape in inputs):
            raise Disagreement(())
        first = before(inputs[0])  # torch counts the batch as 0, and shapes here are without it
        along = self.dim - first if self.dim >= 0 else self.dim + rank
        if not 0 <= along < rank:
            dims = f"dims are {first} to {rank - 1 + first}" + ", 0 is the batch" * first
            raise LayerError(f"cannot join along dim = {self.dim}: {dims}")
        others = [axis for axis in range(rank) if axis != along]
        differ = [
            axis for axis in others if not all(agree(inputs[0][axis], s[axis]) for s in inputs)
        ]
        if differ:
            raise Disagreement([axis_name(axis, rank) for axis in differ])
        # all tensors are copied into one, also where there is a single one
        total: Size = sum(shape[along] for shape in inputs)
        output = list(inputs[0])
        output[along] = total
        pairs = [(inputs[0][axis], shape[axis]) for axis in others for shape in inputs[1:]]
        return Facts(
            output=tuple(output),
            torch=TorchFunction(f"torch.cat([{{inputs}}], dim={self.dim})", overwritable=True),
            windows=GLOBAL if along else POINTWISE,  # all branches but the first are moved
            agreements=tuple((left, right) for left, right in pairs if left != right),
        )

    def infer_shared(self, inputs: Shapes, batched: Sequence[bool]) -> Facts:
        if not any(batched):
            return super().infer_shared(inputs, batched)
        facts = self.infer(inputs)
        example = list(batched).index(True)
        texts = [f"{{{at}}}" for at in range(len(inputs))]
        for at, (shape, has_batch) in enumerate(zip(inputs, batched, strict=True)):
            if not has_batch:  # every sample has the same
                kept = ", -1" * len(shape)
                texts[at] = f"{{{at}}}.expand({{{example}}}.shape[0]{kept})"
        text = f"torch.cat([{', '.join(texts)}], dim={self.dim})"
        return facts._replace(torch=TorchFunction(text, overwritable=True))

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        rank = len(torch.output)
        samples = torch.output[:1]
        parts = [x if len(x.shape) == rank else torch.expand(x, samples + x.shape) for x in inputs]
        return torch.cat(parts, torch.output)


class Elementwise(Layer):
    """Arithmetic of branches, element by element; axes of size 1 are spread."""

    family = "merge"
    merges = True
    takes = ANY

    def infer(self, inputs: Shapes) -> Facts:
        several(inputs, least=1)
        rank = len(inputs[0])
        if any(len(shape) != rank for shape in inputs):
            raise Disagreement(())
        output: list[Size] = []
        differ: list[str] = []
        pairs: list[tuple[Size, Size]] = []
        for axis in range(rank):
            sizes = [shape[axis] for shape in inputs if shape[axis] != 1] or [1]
            # a formula may turn out to be 1, but nothing says so: take it at its word
            if not all(agree(sizes[0], size) for size in sizes):
                differ.append(axis_name(axis, rank))
            pairs += [(sizes[0], size) for size in sizes[1:] if size != sizes[0]]
            # of sizes that must agree the one that is known tells the most
            output.append(next((size for size in sizes if not isinstance(size, Formula)), sizes[0]))
        if differ:
            raise Disagreement(differ)
        operations = (len(inputs) - 1) * numel(tuple(output))
        alone = len(inputs) == 1  # then it is what comes in, and no copy of it
        return Facts(
            output=tuple(output),
            torch=TorchFunction(
                f" {self.sign} ".join(f"{{{i}}}" for i in range(len(inputs))),
                overwritable=not alone,
            ),
            other={} if alone else {"elementwise": operations},
            apart=True,
            view=alone,
            agreements=tuple(pairs),
        )

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        return reduce(torch.add, inputs)

    def infer_shared(self, inputs: Shapes, batched: Sequence[bool]) -> Facts:
        facts = self.infer(aligned(inputs, batched))
        return facts if any(batched) else without_batch(facts)


def aligned(inputs: Shapes, batched: Sequence[bool]) -> Shapes:
    """Return shapes with as many axes each, as torch aligns them: from the last on.

    Those of tensors without a batch get axes of size 1 in front, or lose one that stands where the
    others have the batch.
    """
    pairs = list(zip(inputs, batched, strict=True))
    rank = max(len(shape) for shape, has_batch in pairs if has_batch or not any(batched))
    return tuple(
        shape
        if has_batch
        else shape[1:]
        if len(shape) == rank + 1 and shape[0] == 1
        else (1,) * (rank - len(shape)) + tuple(shape)
        for shape, has_batch in pairs
    )


class Add(Elementwise):
    """Sum of branches."""

    word = "add"
    elsewhere = (("add", "add { branch { ... } branch { ... } }"),)
    sign = "+"
    examples = (
        Example({}, inputs=((3, 4, 4), (3, 1, 1)), output=(3, 4, 4)),
        Example({}, inputs=((3, 4, 4),), output=(3, 4, 4)),
    )


class Sub(Elementwise):
    """The first branch less all others."""

    takes = dtypes(int="int", float="float", complex="complex")
    word = "sub"
    sign = "-"
    examples = (Example({}, inputs=((3, 4, 4), (3, 4, 4)), output=(3, 4, 4)),)


class Mul(Elementwise):
    """Product of branches."""

    word = "mul"
    elsewhere = (("multiply", "mul { branch { ... } branch { ... } }"),)
    sign = "*"
    examples = (Example({}, inputs=((3, 4, 4), (3, 1, 1)), output=(3, 4, 4)),)

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        return reduce(torch.mul, inputs)


def broadcast(shapes: Shapes) -> Shape:
    """Return the shape to which shapes of equal rank are spread."""
    return Mul().infer(shapes).output
