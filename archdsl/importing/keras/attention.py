"""Attention with several heads."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from archdsl.importing.keras.at import At, layer, require_rank
from archdsl.importing.keras.errors import Missing, Wrong
from archdsl.importing.keras.held import Held


class MultiHeadAttention(nn.Module):
    """Attention as Keras has it: the heads have a width of their own, that of values another."""

    def __init__(
        self, widths: tuple[int, int, int], heads: int, key: int, value: int, out: int,
        bias: bool, dropout: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.heads, self.rate = heads, dropout
        self.query = nn.Linear(widths[0], heads * key, bias)
        self.key = nn.Linear(widths[1], heads * key, bias)
        self.value = nn.Linear(widths[2], heads * value, bias)
        self.output = nn.Linear(heads * value, out, bias)

    def forward(
        self, query: torch.Tensor, value: torch.Tensor, key: torch.Tensor, causal: bool = False
    ) -> torch.Tensor:
        q, k, v = [
            linear(one).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for linear, one in ((self.query, query), (self.key, key), (self.value, value))
        ]
        rate = self.rate if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(q, k, v, dropout_p=rate, is_causal=causal)
        found: torch.Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return found


@layer("MultiHeadAttention")
def attention(at: At, *given: Any) -> Held:
    settings = at.settings
    query, *rest = given
    value = rest[0] if rest else at.take("value")
    key = rest[1] if len(rest) > 1 else at.take("key")
    key = value if key is None else key
    if len(rest) > 2 or not all(isinstance(one, Held) for one in (query, value, key)):
        raise Wrong("is called on other things than a query, a value and a key")
    for one in (query, value, key):
        require_rank(one, 3)
    causal = at.take("use_causal_mask", False)
    if at.take("return_attention_scores", False):
        raise Missing("a call that gives the attention as well")
    q, v, k = query.last, value.last, key.last
    heads, width = settings.whole("num_heads"), settings.whole("key_dim")
    deep = settings.whole("value_dim") if settings.value("value_dim") is not None else width
    for name in ("output_shape", "attention_axes"):
        held = settings.value(name)
        if held is not None and (name != "attention_axes" or held not in (1, [1])):
            raise Missing(f"its setting `{name}`")
    for name in ("query_shape", "key_shape", "value_shape"):
        settings.value(name)
    if settings.value("use_gate"):
        raise Missing("its setting `use_gate`")
    bias, out = settings.flag("use_bias", True), q.shape[2]
    rate = settings.number("dropout", 0.0)
    module = at.module(
        lambda: MultiHeadAttention(
            (q.shape[2], k.shape[2], v.shape[2]), heads, width, deep, out, bias, rate
        )
    )
    for name, place, size, inner in (
        ("query", "query_dense", q.shape[2], width),
        ("key", "key_dense", k.shape[2], width),
        ("value", "value_dense", v.shape[2], deep),
    ):
        linear, home = getattr(module, name), f"{place}/vars"
        kernel = at.variable(0, size, heads, inner, home=home)
        at.fill(linear, "weight", kernel, lambda one: one.flatten(1).T)
        if bias:
            at.fill(linear, "bias", at.variable(1, heads, inner, home=home), torch.flatten)
    home = "output_dense/vars"
    kernel = at.variable(0, heads, deep, out, home=home)
    at.fill(module.output, "weight", kernel, lambda one: one.flatten(0, 1).T)
    if bias:
        at.fill(module.output, "bias", at.variable(1, out, home=home))
    return Held(module(q, v, k, causal) if causal else module(q, v, k))
