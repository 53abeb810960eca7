"""Products and distances of tensors whose axes are named or paired.

Multiply-accumulates of `Einsum` are those of what it sums over: the product of all sizes of its
letters together, once; where it sums over nothing, it multiplies number by number, which stands as
"elementwise" under `other`. Axes that one operand alone has, and the result has not, are summed
before ("pooling"). A distance takes a difference, a power and an addition for each pair of numbers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from archdsl.layers.agreeing import agree
from archdsl.layers.arguments import AtLeastZero
from archdsl.layers.base import (
    DTYPES,
    GLOBAL,
    Disagreement,
    Dtype,
    Example,
    Facts,
    Form,
    Kind,
    Layer,
    LayerError,
    Shape,
    Shapes,
    Torch,
    TorchFunction,
    WrongDtype,
    dtypes,
    numel,
    several,
    without_batch,
)
from archdsl.layers.contraction import contracted
from archdsl.layers.merge import Mul, aligned
from archdsl.layers.sizes import Size, total

if TYPE_CHECKING:
    from archdsl.layers.autograd import Autograd, Tensor

MOST_OPERANDS = 2


class CDist(Layer):
    """Distances of all vectors of one tensor to all of another: [n, d] and [m, d] to [n, m].

    `p` is that of the norm: 2 for Euclidean distances. Axes before are spread where they are 1.
    """

    family = "arithmetic"
    elsewhere = (("pairwisedistance", "CDist"),)
    examples = (
        Example({}, inputs=((5, 3), (4, 3)), output=(5, 4)),
        Example({"p": 1}, inputs=((2, 5, 3), (2, 4, 3)), output=(2, 5, 4)),
    )

    p: AtLeastZero = 2.0

    def infer(self, inputs: Shapes) -> Facts:
        left, right = several(inputs, least=2, most=2)
        if len(left) != len(right):
            raise Disagreement(())
        if len(left) < 2:
            raise LayerError("takes tensors of vectors, of the shapes [n, d] and [m, d]")
        if not agree(left[-1], right[-1]):
            raise LayerError(f"takes vectors of one length, and has {left[-1]} and {right[-1]}")
        spread = Mul().infer((left[:-2], right[:-2]))
        output = (*spread.output, left[-2], right[-2])
        p = "" if self.p == 2 else f", p={self.p}"
        return Facts(
            output=output,
            torch=TorchFunction(f"torch.cdist({{0}}, {{1}}{p})"),
            other={"elementwise": 3 * numel(output) * left[-1]},
            windows=GLOBAL,
            agreements=spread.agreements
            + (((left[-1], right[-1]),) if left[-1] != right[-1] else ()),
        )

    def exported(self, inputs: Shapes, form: Form) -> Torch | None:
        """Take the norm of all differences in ONNX, for which torch can't write it."""
        if form != "ONNX":
            return None
        apart = "{0}.unsqueeze(-2) - {1}.unsqueeze(-3)"
        return TorchFunction(f"torch.linalg.vector_norm({apart}, {self.p}, dim=-1)")

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        return torch.result(inputs, torch.output, saves=inputs, saves_result=True)

    def infer_shared(self, inputs: Shapes, batched: Sequence[bool]) -> Facts:
        facts = self.infer(aligned(inputs, batched))
        return facts if any(batched) else without_batch(facts)


def _equation(value: Any) -> str:
    if type(value) is not str:
        raise ValueError
    text = value.replace(" ", "")
    if "..." in text:
        raise ValueError("must name each axis by a letter of its own, without `...`")
    if not re.fullmatch(r"[A-Za-z]+(,[A-Za-z]+)*->[A-Za-z]+", text):
        raise ValueError
    return text


EQUATION = Kind('a text such as "bij,bjk->bik", the batch first', _equation)


class Einsum(Layer):
    """Sums of products over axes that are named by letters: `Einsum("bhqd,bhkd->bhqk")`.

    It is written as in torch, with the batch as the first letter of each tensor that has one and of
    the result; nothing is summed over the batch. It takes one tensor or two.
    """

    family = "arithmetic"
    takes = dtypes(float="float", complex="complex")
    examples = (
        Example(
            {"equation": "bhqd,bhkd->bhqk"},
            inputs=((2, 6, 4), (2, 5, 4)),
            output=(2, 6, 5),
            macs=240,
        ),
        Example({"equation": "bchw,bc->bchw"}, inputs=((3, 4, 5), (3,)), output=(3, 4, 5)),
        Example({"equation": "bij->bj"}, inputs=((3, 4),), output=(4,)),
        Example({"equation": "bncp,bmp->bnm"}, inputs=((3, 2, 4), (5, 4)), output=(3, 5), macs=60),
    )

    equation: Annotated[str, EQUATION]

    def infer(self, inputs: Shapes) -> Facts:
        return self.of(inputs, [True] * len(inputs))

    def infer_shared(self, inputs: Shapes, batched: Sequence[bool]) -> Facts:
        facts = self.of(inputs, batched)
        return facts if any(batched) else without_batch(facts)

    def of(self, inputs: Shapes, batched: Sequence[bool]) -> Facts:
        """Return the facts where `batched` tells which inputs have a batch axis."""
        several(inputs, least=1, most=MOST_OPERANDS)
        left, _, out = self.equation.partition("->")
        terms = left.split(",")
        if len(terms) != len(inputs):
            raise LayerError(f"names {len(terms)} tensors, and {len(inputs)} come in")
        for term in (*terms, out):
            if len({*term}) < len(term):
                raise LayerError(f'names an axis twice in "{term}"')
        batch = self.batch(terms, out, batched)
        sizes: dict[str, Size] = {}
        pairs: list[tuple[Size, Size]] = []
        operands: list[str] = []
        for term, shape, has_batch in zip(terms, inputs, batched, strict=True):
            letters = term[1:] if has_batch else term
            if len(letters) != len(shape):
                raise LayerError(
                    f'names {len(term)} axes in "{term}", and what comes in has '
                    f"{len(shape) + has_batch}{', the batch among them' if has_batch else ''}"
                )
            operands.append(letters)
            for letter, size in zip(letters, shape, strict=True):
                known = sizes.setdefault(letter, size)
                if not agree(known, size):
                    raise LayerError(f"has {known} and {size} places along `{letter}`")
                pairs += [(known, size)] if known != size else []
        if unknown := [letter for letter in out if letter not in sizes and letter != batch]:
            raise LayerError(f"gives an axis `{unknown[0]}` that no tensor has")
        output = tuple(sizes[letter] for letter in out if letter != batch)
        text = ", ".join(f"{{{at}}}" for at in range(len(inputs)))
        function = TorchFunction(
            f'torch.einsum("{self.equation}", {text})', overwritable=len(inputs) > 1
        )
        macs, other, summed = self.cost(operands, out, sizes)
        return Facts(
            output=output,
            torch=function,
            macs=macs,
            other=other,
            windows=GLOBAL,
            view=len(inputs) == 1 and not other,  # axes are only put into another order
            # what was summed before; that torch may have to copy for another order isn't followed
            inside=total(map(numel, summed)) if len(inputs) > 1 else 0,
            agreements=tuple(pairs),
        )

    def dtype(self, inputs: Sequence[Dtype]) -> Dtype:
        # torch widens nothing for matrix products
        given = super().dtype(inputs)
        for at, held in enumerate(inputs):
            if held != inputs[0]:
                raise WrongDtype(at, f"needs tensors of {DTYPES[inputs[0]]} alone, as the first is")
        return given

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        terms, _, out = self.equation.partition("->")
        # torch puts axes into this order, and those that a tensor lacks have one place
        letters = [*out, *sorted({*terms} - {*out, ","})]
        aligned = []
        for term, x in zip(terms.split(","), inputs, strict=True):
            there = [letter for letter in letters if letter in term]
            x = torch.permute(x, [term.index(letter) for letter in there])
            for at, letter in enumerate(letters):
                if letter not in term:
                    x = torch.unsqueeze(x, at)
            aligned.append(x)
        summed = range(len(out), len(letters))
        if len(aligned) == 1:
            if not summed:
                return aligned[0]
            return torch.result(aligned, torch.output, width=aligned[0].width)
        left, right = aligned
        return torch.squeeze(contracted(torch, left, right, len(out)), *summed)

    def batch(self, terms: Sequence[str], out: str, batched: Sequence[bool]) -> str:
        """Return the letter of the batch, which must stand first wherever it is; "" without one."""
        heads = {term[0] for term, has_batch in zip(terms, batched, strict=True) if has_batch}
        if not heads:
            return ""
        if len(heads) > 1:
            raise LayerError(
                f"begins with the batch in each tensor, and has {' and '.join(sorted(heads))}",
                help='the batch is the first letter of all: "bij,bjk->bik"',
            )
        (batch,) = heads
        rest = [
            term[1:] if has_batch else term for term, has_batch in zip(terms, batched, strict=True)
        ]
        if out[0] != batch or batch in out[1:] or any(batch in term for term in rest):
            raise LayerError(
                f"mixes the batch, `{batch}`, with other axes",
                help='the batch is the first letter of all: "bij,bjk->bik"',
            )
        return batch

    def cost(
        self, operands: Sequence[str], out: str, sizes: dict[str, Size]
    ) -> tuple[Size, dict[str, Size], list[Shape]]:
        """Return the multiply-accumulates and other operations, as torch contracts axes.

        And the shapes of what is summed before it is multiplied.
        """
        other: dict[str, Size] = {}
        summed: list[Shape] = []
        left: list[str] = []
        for at, letters in enumerate(operands):
            elsewhere = {*out, *"".join((*operands[:at], *operands[at + 1 :]))}
            kept = "".join(letter for letter in letters if letter in elsewhere)
            # summing over one place is no sum
            if any(sizes[letter] != 1 for letter in {*letters} - {*kept}):
                other["pooling"] = other.get("pooling", 0) + numel(_sizes(letters, sizes))
                summed.append(_sizes(kept, sizes))
            left.append(kept)
        if len(left) == 1:
            return 0, other, summed
        every = "".join(dict.fromkeys("".join(left)))
        products = numel(_sizes(every, sizes))
        if any(letter not in out and sizes[letter] != 1 for letter in every):
            return products, other, summed
        return 0, other | {"elementwise": products}, summed


def _sizes(letters: str, sizes: dict[str, Size]) -> Shape:
    return tuple(sizes[letter] for letter in letters)
