"""Look-ups: what they refuse, and that a bag is what torch makes of it."""

from __future__ import annotations

import pytest
import torch
from torch_facts import Built

from archdsl.layers.base import Layer, LayerError, Shape
from archdsl.layers.embedding import Embedding, EmbeddingBag


def test_a_look_up_computes_nothing_unless_vectors_are_shortened() -> None:
    plain = Embedding(num_embeddings=10, embedding_dim=4).infer(((6,),))
    short = Embedding(num_embeddings=10, embedding_dim=4, max_norm=1).infer(((6,),))

    assert (plain.macs, plain.other) == (0, {})
    assert short.other == {"normalization": 3 * 6 * 4}


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_a_bag_is_one_vector(mode: str) -> None:
    layer = EmbeddingBag(num_embeddings=10, embedding_dim=4, mode=mode)
    module = Built(layer.infer(((3,),)).torch)
    vectors = module.own.weight[torch.tensor([1, 2, 7])]

    expected = {"sum": vectors.sum(0), "mean": vectors.mean(0), "max": vectors.amax(0)}[mode]
    torch.testing.assert_close(module(torch.tensor([[1, 2, 7]])), expected[None])


@pytest.mark.parametrize(
    ("layer", "shape", "reason"),
    [
        (
            Embedding(num_embeddings=3, embedding_dim=2, padding_idx=3),
            (4,),
            "padding_idx = 3, and its indices are 0 to 2",
        ),
        (
            Embedding(num_embeddings=3, embedding_dim=2, padding_idx=-4),
            (4,),
            "padding_idx = -4, and its indices are 0 to 2",
        ),
        (EmbeddingBag(num_embeddings=3, embedding_dim=2), (4, 4), r"shape \[length\]"),
        (
            EmbeddingBag(num_embeddings=3, embedding_dim=2, mode="max", sparse=True),
            (4,),
            'does not take sparse with mode = "max"',
        ),
    ],
)
def test_what_torch_refuses_is_refused(layer: Layer, shape: Shape, reason: str) -> None:
    with pytest.raises(LayerError, match=reason):
        layer.infer((shape,))
