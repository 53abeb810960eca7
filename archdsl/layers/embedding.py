"""Look-ups of learnable vectors by index.

A look-up multiplies nothing and computes nothing: it copies. What is counted under `other`: the
arithmetic that puts the vectors of a bag together ("pooling": one operation for each number of
each vector, as in a mean), and, with `max_norm`, the shortening of vectors ("normalization":
three operations for each number looked up - square, sum, scale).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from archdsl.layers.arguments import (
    ABOVE_ZERO,
    INTEGER,
    AboveZero,
    Flag,
    Positive,
    choice,
    optional,
)
from archdsl.layers.base import (
    GLOBAL,
    Example,
    Facts,
    Layer,
    LayerError,
    Shapes,
    TorchModule,
    by,
    dtypes,
    numel,
    single,
    unpack,
)

if TYPE_CHECKING:
    from archdsl.layers.autograd import Autograd, Tensor

MaxNorm = Annotated[float | None, optional(ABOVE_ZERO)]
PaddingIndex = Annotated[int | None, optional(INTEGER)]


INDEX = 8  # bytes of an index


class LookUp(Layer):
    """A table of vectors, one for each index."""

    family = "embedding"
    takes = dtypes(int="float")

    num_embeddings: Positive
    embedding_dim: Positive

    def indices(self) -> int | None:
        return self.num_embeddings

    def check_padding(self, index: int | None) -> None:
        """Refuse a padding index for which there is no vector."""
        # torch counts negative ones from the end
        if index is not None and not -self.num_embeddings <= index < self.num_embeddings:
            last = self.num_embeddings - 1
            raise LayerError(f"has padding_idx = {index}, and its indices are 0 to {last}")

    def module(self, name: str) -> TorchModule:
        """Return the torch module of that name."""
        sizes = (self.num_embeddings, self.embedding_dim)
        given = self.for_torch("num_embeddings", "embedding_dim")
        return TorchModule(name, sizes, given, overwritable=True)


class Embedding(LookUp):
    """The vector of each index: integers [...] to [..., embedding_dim]."""

    batchless = True
    examples = (
        Example(
            {"num_embeddings": 1000, "embedding_dim": 64},
            inputs=((16,),),
            output=(16, 64),
            params=64_000,
        ),
        Example(
            {"num_embeddings": 10, "embedding_dim": 3, "padding_idx": -1},
            inputs=((4, 5),),
            output=(4, 5, 3),
            params=30,
        ),
    )

    num_embeddings: Positive
    embedding_dim: Positive
    padding_idx: PaddingIndex = None
    max_norm: MaxNorm = None
    norm_type: AboveZero = 2.0
    scale_grad_by_freq: Flag = False
    sparse: Flag = False

    def infer(self, inputs: Shapes) -> Facts:
        self.check_padding(self.padding_idx)
        output = (*single(inputs), self.embedding_dim)
        return Facts(
            output=output,
            torch=self.module("nn.Embedding"),
            params={"weight": (self.num_embeddings, self.embedding_dim)},
            other={} if self.max_norm is None else {"normalization": 3 * numel(output)},
            # the vectors are an axis more, so the others are no longer those of the input
            windows=GLOBAL,
            arithmetic=by(self.num_embeddings, self.embedding_dim),
        )

    def functional(self) -> str | None:
        if self.max_norm is not None:
            return None  # it would change the tensor that it is given
        return f"F.embedding({{0}}, {{weight}}{self.keywords('num_embeddings', 'embedding_dim')})"

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        indices = x if self.max_norm is None else torch.contiguous(x)
        return torch.result((indices, torch.own["weight"]), torch.output, saves=(indices,))


class EmbeddingBag(LookUp):
    """The mean, sum or maximum of the vectors of a bag of indices: [length] to [embedding_dim]."""

    examples = (
        Example(
            {"num_embeddings": 100, "embedding_dim": 8, "mode": "sum"},
            inputs=((12,),),
            output=(8,),
            params=800,
        ),
    )

    num_embeddings: Positive
    embedding_dim: Positive
    max_norm: MaxNorm = None
    norm_type: AboveZero = 2.0
    scale_grad_by_freq: Flag = False
    mode: Annotated[str, choice("mean", "sum", "max")] = "mean"
    sparse: Flag = False
    padding_idx: PaddingIndex = None

    def infer(self, inputs: Shapes) -> Facts:
        (length,) = unpack(inputs, "length")
        self.check_padding(self.padding_idx)
        if self.mode == "max" and (self.sparse or self.scale_grad_by_freq):
            word = "sparse" if self.sparse else "scale_grad_by_freq"
            raise LayerError(f'does not take {word} with mode = "max"')
        looked_up = length * self.embedding_dim
        shortening = {} if self.max_norm is None else {"normalization": 3 * looked_up}
        return Facts(
            output=(self.embedding_dim,),
            torch=self.module("nn.EmbeddingBag"),
            params={"weight": (self.num_embeddings, self.embedding_dim)},
            other={"pooling": looked_up} | shortening,
            windows=GLOBAL,
            arithmetic=by(self.num_embeddings, self.embedding_dim),
        )

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        indices = torch.contiguous(torch.reshape(x, (numel(x.shape),)))
        starts, lengths = (torch.new(x.shape[:1], INDEX) for _ in range(2))
        # sums of all vectors are worked out without a list of which bag each index is in
        listed = self.mode != "sum" or self.padding_idx is not None
        bags = torch.new((numel(x.shape) + 1 if listed else 0,), INDEX)
        most = torch.new(torch.output if self.mode == "max" else x.shape[:1], INDEX)
        saves = (indices, starts, lengths, bags, most)
        return torch.result((indices, torch.own["weight"]), torch.output, saves=saves)
