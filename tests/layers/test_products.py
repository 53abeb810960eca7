"""Einsum, distances and attention against torch: numbers, counts, messages."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from torch_facts import Built

from archdsl.backends.torch_module import run_once, torch_module, verify
from archdsl.backends.torch_module.verifying import macs_of
from archdsl.layers.base import ArgumentErrors, LayerError, Shape
from archdsl.layers.dot_product_attention import ScaledDotProductAttention
from archdsl.layers.products import CDist, Einsum
from archdsl.layers.sizes import Formula
from archdsl.pipeline import Spec

LETTERS = "ijkl"


@st.composite
def equations(draw: st.DrawFn) -> tuple[str, list[dict[str, int]]]:
    sizes = {letter: draw(st.integers(1, 4)) for letter in LETTERS}
    terms = [
        "".join(draw(st.permutations(LETTERS))[: draw(st.integers(0, 4))])
        for _ in range(draw(st.integers(1, 2)))
    ]
    used = sorted({*"".join(terms)})
    out = "".join(draw(st.permutations(used))[: draw(st.integers(0, len(used)))])
    text = ",".join(f"b{term}" for term in terms) + f"->b{out}"
    return text, [{letter: sizes[letter] for letter in term} for term in terms]


@given(equations())
@settings(max_examples=300, deadline=None)
def test_einsum_is_that_of_torch(drawn: tuple[str, list[dict[str, int]]]) -> None:
    equation, named = drawn
    shapes = tuple(tuple(sizes.values()) for sizes in named)
    facts = Einsum(equation=equation).infer(shapes)
    tensors = [torch.randn(3, *shape) for shape in shapes]
    module = Built(facts.torch)

    found = module(*tensors)

    assert torch.equal(found, torch.einsum(equation, *tensors))
    assert tuple(found.shape) == (3, *facts.output)
    assert macs_of(lambda: module(*tensors)) == 3 * facts.macs


@pytest.mark.parametrize(
    ("equation", "shapes", "reason"),
    [
        ("bij,cjk->bik", ((3, 4), (4, 5)), "begins with the batch in each tensor"),
        ("bij,bjk->ibk", ((3, 4), (4, 5)), "mixes the batch, `b`, with other axes"),
        ("bij->ij", ((3, 4),), "mixes the batch"),
        ("bij,bjk->bik", ((3, 4),), "names 2 tensors, and 1 come in"),
        ("bij,bjk->bik", ((3, 4), (5, 6)), "has 4 and 5 places along `j`"),
        ("bij->bi", ((3, 4, 5),), 'names 3 axes in "bij", and what comes in has 4, the batch'),
        ("bii->bi", ((3, 3),), 'names an axis twice in "bii"'),
        ("bij->bik", ((3, 4),), "gives an axis `k` that no tensor has"),
    ],
)
def test_what_einsum_refuses(equation: str, shapes: tuple[Shape, ...], reason: str) -> None:
    with pytest.raises(LayerError, match=reason):
        Einsum(equation=equation).infer(shapes)


@pytest.mark.parametrize("text", ["", "bij", "b...->b", "bi,->b", '"b->b', "b1->b", "b{0}->b"])
def test_what_is_no_equation(text: str) -> None:
    with pytest.raises(ArgumentErrors):
        Einsum(equation=text)


def test_a_weight_of_the_networks_own_has_no_letter_for_the_batch() -> None:
    facts = Einsum(equation="bnd, hde -> bhne").infer_shared(((6, 4), (2, 4, 3)), [True, False])
    x, weight = torch.randn(5, 6, 4), torch.randn(2, 4, 3)

    assert facts.output == (2, 6, 3)
    assert facts.macs == 2 * 6 * 4 * 3
    assert torch.equal(Built(facts.torch)(x, weight), torch.einsum("bnd,hde->bhne", x, weight))


def test_distances_are_those_of_torch() -> None:
    left, right = torch.randn(2, 5, 3), torch.randn(2, 4, 3)
    for p in (2.0, 1, 0.5):
        facts = CDist(p=p).infer(((5, 3), (4, 3)))
        assert torch.equal(Built(facts.torch)(left, right), torch.cdist(left, right, p=p))
        assert facts.other == {"elementwise": 3 * 5 * 4 * 3}


def test_attention_with_each_kind_of_mask() -> None:
    q, k, v = (torch.randn(2, 3, n, 4) for n in (6, 5, 5))
    attend = functional.scaled_dot_product_attention
    shapes: tuple[Shape, ...] = ((3, 6, 4), (3, 5, 4), (3, 5, 4))
    layer = ScaledDotProductAttention()

    for mask in (torch.rand(2, 1, 6, 5) > 0.3, torch.randn(2, 3, 6, 5), torch.randn(2, 1, 1, 5)):
        facts = layer.infer((*shapes, tuple(mask.shape[1:])))
        assert torch.equal(Built(facts.torch)(q, k, v, mask), attend(q, k, v, mask))
    for mask in (torch.randn(6, 5), torch.randn(3, 6, 5), torch.randn(1, 3, 1, 5)):
        facts = layer.infer_shared((*shapes, tuple(mask.shape)), [True] * 3 + [False])
        assert torch.equal(Built(facts.torch)(q, k, v, mask), attend(q, k, v, mask))
    causal = ScaledDotProductAttention(causal=True, scale=0.3).infer(shapes)
    assert torch.equal(Built(causal.torch)(q, k, v), attend(q, k, v, is_causal=True, scale=0.3))


def test_grouped_heads_and_free_lengths() -> None:
    t = Formula.named("T")
    facts = ScaledDotProductAttention(grouped=True).infer(((8, t, 4), (2, t, 4), (2, t, 4)))

    assert facts.output == (8, t, 4)
    assert facts.macs == 8 * t * t * 8


def test_dropout_is_that_of_training_alone() -> None:
    facts = ScaledDotProductAttention(dropout=1.0).infer(((2, 5, 4),) * 3)
    module, q = Built(facts.torch), torch.randn(1, 2, 5, 4)

    assert torch.equal(module.eval()(q, q, q), functional.scaled_dot_product_attention(q, q, q))
    assert not module.train()(q, q, q).any()


@pytest.mark.parametrize(
    ("arguments", "shapes", "reason"),
    [
        ({}, ((2, 6, 4), (2, 5, 4)), "takes 3 to 4 tensors, and 2 come in"),
        ({}, ((4,), (4,), (4,)), r"of the shape \[heads, length, width\]"),
        ({}, ((2, 6, 4), (2, 5, 3), (2, 5, 4)), "needs queries and keys of a width"),
        ({}, ((2, 6, 4), (2, 5, 4), (2, 6, 4)), "needs keys and values of a length"),
        ({}, ((4, 6, 4), (2, 5, 4), (2, 5, 4)), "needs as many heads of keys and values"),
        ({"grouped": True}, ((4, 6, 4), (3, 5, 4), (3, 5, 4)), "needs 3 heads of keys to divide 4"),
        ({"causal": True}, ((2, 6, 4),) * 3 + ((1, 6, 6),), "takes no mask with `causal = true`"),
        ({}, ((2, 6, 4),) * 3 + ((3, 6, 6),), "agree in"),
    ],
)
def test_what_attention_refuses(
    arguments: dict[str, object], shapes: tuple[Shape, ...], reason: str
) -> None:
    with pytest.raises(LayerError, match=reason):
        ScaledDotProductAttention(**arguments).infer(shapes)


DECODER = """
network decoder(heads: int = 4, groups: int = 2, width: int = 16) {
  input tokens: [T]
  from tokens -> NotEqual(0) -> mask: Reshape([1, 1, -1])
  from tokens -> embed: Embedding(50, width)
  let each = width // heads
  q: { Linear(width) -> Unflatten(2, [heads, each]) -> Transpose(1, 2) }
  k: { from embed -> Linear(groups * each) -> Unflatten(2, [groups, each]) -> Transpose(1, 2) }
  v: { from embed -> Linear(groups * each) -> Unflatten(2, [groups, each]) -> Transpose(1, 2) }
  from q, k, v, mask
  attend: ScaledDotProductAttention(dropout = 0.1, grouped = true)
  Transpose(1, 2) -> Flatten(2) -> Linear(width)
}
"""


def test_a_decoder_with_masks_and_grouped_heads_is_verified(tmp_path: Path) -> None:
    path = tmp_path / "decoder.arch"
    path.write_text(DECODER)
    checked = Spec(str(path)).graph()
    module = torch_module(checked)
    run_once(module, checked)

    assert verify(module, checked).agrees
