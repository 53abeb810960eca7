"""Padding against torch, over all small sizes of both sides of an axis."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from archdsl.layers.base import LayerError, construct
from archdsl.layers.registry import Registry


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("name", ["Zero", "Constant", "Reflection", "Replication", "Circular"])
def test_padding_is_refused_where_torch_refuses_it(name: str, axes: int) -> None:
    kind = Registry()[f"{name}Pad{axes}d"]
    value = {"value": 1.5} if name == "Constant" else {}
    for size, before, after in product((1, 3), range(-5, 6), range(-5, 6)):
        arguments = {"padding": (before, after) + (1, 1) * (axes - 1)} | value
        shape = (2, *[3] * (axes - 1), size)
        try:
            found = construct(kind, arguments).infer((shape,)).output
        except LayerError:
            found = None
        if found is None and name == "Circular" and min(before, after) < 0 < max(before, after):
            continue  # where torch gives numbers that nobody wrote
        try:
            padded = getattr(torch.nn, kind.__name__)(**arguments)(torch.ones(1, *shape))
            expected = tuple(padded.shape[1:]) if padded.numel() else None
        except RuntimeError:
            expected = None
        assert found == expected, (size, before, after)


def test_circular_padding_repeats_what_is_there() -> None:
    """torch cuts first and repeats of what is left, where there is enough left."""
    kind = Registry()["CircularPad1d"]
    for size, before, after in product(range(1, 5), range(-4, 5), range(-4, 5)):
        try:
            construct(kind, {"padding": (before, after)}).infer(((1, size),))
        except LayerError:
            continue
        ring = torch.arange(1.0, size + 1).reshape(1, 1, size)
        padded = torch.nn.CircularPad1d((before, after))(ring)
        kept = list(range(1, size + 1))[max(-before, 0) : size + min(after, 0)]
        wanted = kept[len(kept) - max(before, 0) :] + kept + kept[: max(after, 0)]
        assert padded.flatten().tolist() == wanted, (size, before, after)
