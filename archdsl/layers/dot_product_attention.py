"""Attention of queries, keys and values that are given, by torch's function of that name.

Multiply-accumulates are those of both products, of queries with keys and of weights with values, in
full: also with `causal`, as torch's counter does. Under `other` stand as "elementwise" the scaling
of the queries and, with a mask or `causal`, what is added to the weights; as "activation" the
softmax, five operations for each weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

from archdsl.layers.agreeing import agree
from archdsl.layers.arguments import ABOVE_ZERO, Flag, Probability, optional
from archdsl.layers.attention import SOFTMAX
from archdsl.layers.base import (
    GLOBAL,
    Dtype,
    Example,
    Facts,
    Form,
    Layer,
    LayerError,
    Shape,
    Shapes,
    Torch,
    TorchFunction,
    TorchModule,
    WrongDtype,
    dtypes,
    numel,
    several,
    shown_shape,
    without_batch,
)
from archdsl.layers.merge import Mul, aligned
from archdsl.layers.sizes import Size, total

if TYPE_CHECKING:
    from archdsl.layers.autograd import Autograd, Tensor

ATTENTION_SOURCE = '''\
class ScaledDotProductAttention(nn.Module):
    """Attention of queries to keys and values, which drops weights while training."""

    def __init__(
        self,
        dropout: float,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> None:
        super().__init__()
        self.dropout, self.is_causal = dropout, is_causal
        self.scale, self.enable_gqa = scale, enable_gqa

    def forward(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        return F.scaled_dot_product_attention(
            query,
            key,
            value,
            mask,
            self.dropout if self.training else 0.0,
            self.is_causal,
            scale=self.scale,
            enable_gqa=self.enable_gqa,
        )
'''


class ScaledDotProductAttention(Layer):
    """softmax(q k^T / sqrt(width)) v of queries, keys and values that are given: `from q, k, v`.

    They are [heads, length, width], or have any axes before length and width; keys and values are
    equally long, and values may have another width. A fourth tensor is a mask, spread over
    [heads, length of q, length of k]: booleans, true where a query sees a key, or floats that are
    added to the products. With `causal` a query sees the keys up to its own place. With `grouped`
    there are fewer heads of keys and values, each for several of queries. `scale` stands in the
    place of 1 / sqrt(width). It has no parameters; torch's fused kernels compute it.

    All products are counted as multiply-accumulates, with `causal` as well, as torch's counter
    does: of them length (length + 1) / 2 for each length length are needed.
    """

    family = "attention"
    takes = dtypes(bool="float", float="float")
    wants = MappingProxyType({3: "bool"})
    elsewhere = tuple(
        (name, "ScaledDotProductAttention") for name in ("sdpa", "attention", "flashattention")
    )
    examples = (
        Example({}, inputs=((2, 6, 4), (2, 5, 4), (2, 5, 4)), output=(2, 6, 4), macs=480),
        Example(
            {"causal": True, "grouped": True, "scale": 0.25},
            inputs=((4, 6, 8), (2, 6, 8), (2, 6, 8)),
            output=(4, 6, 8),
            macs=2_304,
        ),
        Example(
            {}, inputs=((3, 6, 4), (3, 5, 4), (3, 5, 4), (1, 6, 5)), output=(3, 6, 4), macs=720
        ),
    )

    dropout: Probability = 0.0
    causal: Flag = False
    scale: Annotated[float | None, optional(ABOVE_ZERO)] = None
    grouped: Flag = False

    def infer(self, inputs: Shapes) -> Facts:
        query, key, value, *masks = several(inputs, least=3, most=4)
        for shape in (query, key, value):
            if len(shape) < 2 or len(shape) != len(query):
                raise LayerError(
                    "takes queries, keys and values of the shape [heads, length, width]",
                    help="`Unflatten(2, [heads, -1]) -> Transpose(1, 2)` makes it of "
                    "[length, features]",
                )
        if masks and self.causal:
            raise LayerError("takes no mask with `causal = true`", help="put both into the mask")
        (*before, length, width), (*_, seen, inner) = query, key
        pairs = [("a width", width, inner), ("a length", seen, value[-2])]
        for name, left, right in pairs:
            if not agree(left, right):
                what = "queries and keys" if name == "a width" else "keys and values"
                raise LayerError(f"needs {what} of {name}, and has {left} and {right}")
        agreements = [pair[1:] for pair in pairs if pair[1] != pair[2]]
        agreements += self.check_heads(query, key, value)
        weights = (*before, length, seen)
        spread: tuple[tuple[Size, Size], ...] = ()
        if masks:
            mask = Mul().infer((weights, masks[0]))
            if any(size == 1 != other for size, other in zip(weights, mask.output, strict=True)):
                raise LayerError(
                    f"has a mask of {shown_shape(masks[0])} for weights of {shown_shape(weights)}"
                )
            spread = mask.agreements
        sums, scores = numel((*before, length)), numel(weights)
        # a kernel of its own keeps a logarithm for each query, and the mask as numbers
        fused = len(query) < 4 and width == value[-1]
        scaled = numel(query) + numel((*before, seen, width))
        inside = sums + total(map(numel, masks)) if fused else scaled + scores
        return Facts(
            output=(*before, length, value[-1]),
            torch=self.attending(len(inputs)),
            macs=scores * (width + value[-1]),
            other={
                "elementwise": numel(query) + (scores if masks or self.causal else 0),
                "activation": SOFTMAX * scores,
            },
            windows=GLOBAL,
            inside=inside,
            inside_training=scaled + 3 * scores if self.dropout else 0,
            agreements=(*agreements, *spread),
        )

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        query, key, value, *masks = inputs
        return torch.attention(query, key, value, self.dropout, *masks)

    def infer_shared(self, inputs: Shapes, batched: Sequence[bool]) -> Facts:
        if len({*batched[:3]}) > 1:
            return super().infer_shared(inputs, batched)
        facts = self.infer(aligned(inputs, batched))
        return facts if any(batched) else without_batch(facts)

    def check_heads(self, query: Shape, key: Shape, value: Shape) -> list[tuple[Size, Size]]:
        """Refuse other axes of keys and values than those of queries, but for fewer heads."""
        pairs: list[tuple[Size, Size]] = []
        for at, (one, *others) in enumerate(
            zip(query[:-2], key[:-2], value[:-2], strict=True), start=3 - len(query)
        ):
            if self.grouped and at == 0:
                rest = one % others[0]
                if isinstance(rest, int) and rest:
                    raise LayerError(f"needs {others[0]} heads of keys to divide {one} of queries")
                pairs += [] if isinstance(rest, int) else [(rest, 0)]
                one = others[0]
            for other in others:
                if not agree(one, other):
                    more = "" if self.grouped else "`grouped = true` has fewer of keys and values"
                    raise LayerError(
                        f"needs as many heads of keys and values as of queries, and has {one} "
                        f"and {other}",
                        help=more,
                    )
                pairs += [(one, other)] if one != other else []
        return pairs

    def exported(self, inputs: Shapes, form: Form) -> Torch | None:
        """Let a query that sees nothing give zeros in ONNX, as torch's kernels do."""
        if form != "ONNX" or len(inputs) < 4:
            return None
        plain = self.attending(len(inputs), drops=False)
        assert isinstance(plain, TorchFunction)
        seen = "{3}.any(dim=-1, keepdim=True)"
        text = plain.expression
        return TorchFunction(
            f"torch.where({seen}, {text}, 0.0) if {{3}}.dtype == torch.bool else {text}"
        )

    def attending(self, count: int, drops: bool = True) -> Torch:
        """Return how it is called with so many tensors."""
        given: dict[str, object] = {}
        if self.causal:
            given["is_causal"] = True
        if self.scale is not None:
            given["scale"] = self.scale
        if self.grouped:
            given["enable_gqa"] = True
        if self.dropout and drops:
            name = type(self).torch_name()
            return TorchModule(name, (self.dropout,), given, ATTENTION_SOURCE)
        texts = ["{0}", "{1}", "{2}"] + ["attn_mask={3}"] * (count > 3)
        texts += [f"{name}={value}" for name, value in given.items()]
        return TorchFunction(f"F.scaled_dot_product_attention({', '.join(texts)})")

    def dtype(self, inputs: Sequence[Dtype]) -> Dtype:
        for at, held in enumerate(inputs):
            if held != "float" and not (at == 3 and held == "bool"):
                raise WrongDtype(at, "takes floats, and a mask of booleans or floats")
        return "float"
