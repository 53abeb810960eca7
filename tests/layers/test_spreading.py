"""What repeats, mirrors, looks up and stacks places, against torch, with its messages."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch_facts import Built

from archdsl.backends.torch_module import run_once, torch_module, verify
from archdsl.layers.base import Layer, LayerError, Shape
from archdsl.layers.padding import Pad
from archdsl.layers.sizes import Formula
from archdsl.layers.spreading import (
    Expand,
    Flip,
    IndexSelect,
    Repeat,
    RepeatInterleave,
    Stack,
    To,
)
from archdsl.pipeline import Spec

X = torch.arange(24.0).reshape(2, 3, 4) - 5


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (Repeat(repeats=(2, 1)), X.repeat(1, 2, 1)),
        (RepeatInterleave(repeats=3, dim=-1), X.repeat_interleave(3, -1)),
        (Flip(dims=(1, 2)), X.flip(1, 2)),
        (IndexSelect(index=(2, -3, 2)), X[:, [2, 0, 2]]),
        (IndexSelect(index=(3,), dim=2), X[:, :, [3]]),
        (Pad(padding=(0, 0, 1, 2), value=1.5), torch.nn.functional.pad(X, (0, 0, 1, 2), value=1.5)),
        (Pad(padding=(-1, 2)), torch.nn.functional.pad(X, (-1, 2))),
        (To(kind="int"), X.long()),
        (To(kind="bool"), X.bool()),
        (To(kind="float"), X),
    ],
)
def test_it_gives_what_torch_gives(layer: Layer, expected: torch.Tensor) -> None:
    facts = layer.infer(((3, 4),))

    assert torch.equal(Built(facts.torch)(X), expected)
    assert facts.output == tuple(expected.shape[1:])


@pytest.mark.parametrize(
    ("layer", "shapes", "reason"),
    [
        (Expand(shape=(4, 4)), ((3, 4),), "spreads axes of size 1, and dim 1 has 3"),
        (Expand(shape=(4,)), ((3, 4),), "is given 1 sizes, and its input has 2 axes"),
        (Repeat(repeats=(2,)), ((3, 4),), "is given 1 counts, and its input has 2 axes"),
        (Flip(dims=0), ((3, 4),), "the batch"),
        (IndexSelect(index=(3,)), ((3, 4),), "has the index 3, and dim 1 has 3 places"),
        (IndexSelect(index=()), ((3, 4),), "an empty list of indices"),
        (Stack(dim=1), ((3, 4), (3, 5)), "agree in length"),
        (Pad(padding=(1,)), ((3, 4),), "takes two for each of up to 2 axes"),
        (Pad(padding=(0, 0) * 3), ((3, 4),), "takes two for each of up to 2 axes"),
        (Pad(padding=(-2, -2)), ((3, 4),), "cuts all of the 4 places"),
    ],
)
def test_what_cant_be_taken_is_explained(
    layer: Layer, shapes: tuple[Shape, ...], reason: str
) -> None:
    with pytest.raises(LayerError, match=reason):
        layer.infer(shapes)


def test_free_sizes() -> None:
    t = Formula.named("T")

    assert Repeat(repeats=(1, 2)).infer(((3, t),)).output == (3, 2 * t)
    assert Pad(padding=(1, 2)).infer(((3, t),)).output == (3, t + 3)
    assert Stack(dim=2).infer(((3, t), (3, 4))).agreements == ((t, 4),)


NETWORK = """
network turned {
  input image: [3, 8, 8]
  Flip(-1) -> Pad([0, 1, 0, 1]) -> a: Repeat([1, 1, 2])
  from a -> b: IndexSelect([2, 1, 0])
  from a, b -> Stack(1) -> Sum(1) -> near: Greater(0)
  To("float") -> Conv2d(4, 3)
  AdaptiveAvgPool2d(1) -> Expand([-1, 2, 2])
}
"""


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_floats_are_those_of_the_network(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "turned.arch"
    path.write_text(NETWORK)
    checked = Spec(str(path)).graph()
    module = torch_module(checked, dtype=dtype)
    run_once(module, checked, dtype=dtype)

    assert checked.dtype("near") == "bool"
    assert verify(module, checked, dtype=dtype).agrees
