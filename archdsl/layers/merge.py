"""What joins branches: concatenation and arithmetic, element by element."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

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
    agree,
    axis_name,
    dtypes,
    numel,
    several,
)
from archdsl.layers.sizes import Formula, Size


class Concat(Layer):
    """Concatenation of branches along one axis, by default the channels."""

    family = "merge"
    merges = True
    takes = ANY
    word = "concat"
    elsewhere = tuple(
        (name, "concat { branch { ... } branch { ... } }")
        for name in ("cat", "concat", "concatenate")
    )
    examples = (
        Example({}, inputs=((3, 4, 4), (5, 4, 4)), output=(8, 4, 4)),
        Example({"dim": -1}, inputs=((2, 3), (2, 5)), output=(2, 8)),
    )

    dim: Annotated[int, INTEGER] = 1

    def infer(self, inputs: Shapes) -> Facts:
        several(inputs, least=1)
        rank = len(inputs[0])
        if any(len(shape) != rank for shape in inputs):
            raise Disagreement(())
        # torch counts the batch as 0, and shapes here are without it
        along = self.dim - 1 if self.dim > 0 else self.dim + rank
        if not 0 <= along < rank or self.dim == 0:
            raise LayerError(
                f"cannot join along dim = {self.dim}: dims are 1 to {rank}, 0 is the batch"
            )
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

    def infer_shared(self, inputs: Shapes, batched: Sequence[bool]) -> Facts:
        if not any(batched):
            return super().infer_shared(inputs, batched)
        pairs = list(zip(inputs, batched, strict=True))
        rank = max(len(shape) for shape, has_batch in pairs if has_batch)
        # torch aligns axes from the last on, which of fewer axes is right for a single number alone
        aligned = (
            (1,) * rank if not has_batch and numel(shape) == 1 and len(shape) < rank else shape
            for shape, has_batch in pairs
        )
        return self.infer(tuple(aligned))


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


def broadcast(shapes: Shapes) -> Shape:
    """Return the shape to which shapes of equal rank are spread."""
    return Mul().infer(shapes).output
