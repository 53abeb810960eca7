"""Reshaping with free sizes, which no comparison with torch can see."""

from __future__ import annotations

import pytest
import torch
from torch_facts import Built

from archdsl.layers.base import LayerError, TorchFunction
from archdsl.layers.reshape import Flatten, Reshape, Squeeze, Unflatten
from archdsl.layers.resize import Interpolate
from archdsl.layers.sizes import Formula, substitute
from archdsl.layers.slicing import Slice

H, W = Formula.named("H"), Formula.named("W")


def test_flatten_multiplies_free_sizes() -> None:
    assert Flatten().infer(((3, H, W),)).output == (3 * H * W,)


@pytest.mark.parametrize(
    ("sizes", "output"),
    [
        ((8, -1), (8, 8 * H * W)),
        ((H * W, -1, 8), (H * W, 8, 8)),
        ((-1, W, 64), (H, W, 64)),
        ((64, W, H), (64, W, H)),
    ],
)
def test_reshape_finds_what_is_left_open(
    sizes: tuple[int | Formula, ...], output: tuple[int | Formula, ...]
) -> None:
    facts = Reshape(shape=sizes).infer(((64, H, W),))

    assert facts.output == output
    module = Built(facts.torch)
    for height, width in [(3, 5), (4, 2)]:
        expected = [size.evaluate({"H": height, "W": width}) for size in map(as_formula, output)]
        assert list(module(torch.zeros(2, 64, height, width)).shape) == [2, *expected]


def as_formula(size: int | Formula) -> Formula:
    return size if isinstance(size, Formula) else Formula({(): size})


def test_reshape_cannot_guess_beside_an_unrelated_size() -> None:
    with pytest.raises(LayerError, match="cannot tell what -1 is, since H is not known"):
        Reshape(shape=(H, -1)).infer(((64, 7),))


def test_free_sizes_that_must_divide_are_noted() -> None:
    assert Unflatten(dim=2, unflattened_size=(-1, 7)).infer(((3, W),)).agreements == ((W % 7, 0),)
    assert Reshape(shape=(6, 10)).infer(((3, W),)).agreements == ((60, 3 * W),)
    assert Squeeze(dim=2).infer(((3, W),)).agreements == ((W, 1),)


@pytest.mark.parametrize(
    ("start", "stop", "text"),
    [
        (1, None, "1:"),
        (0, H // 2, ": {0}.shape[2] // 2"),
        (H - 5, H - 2, "-5:-2"),
        (-5, H, "-5:"),
        (W, None, "{0}.shape[3] :"),
        (1, H // 2 + 1, "1 : {0}.shape[2] // 2 + 1"),
    ],
)
def test_bounds_of_a_free_axis_are_asked_of_the_input(
    start: int | Formula, stop: int | Formula | None, text: str
) -> None:
    facts = Slice(start=start, stop=stop, dim=2).infer(((3, H, W),))

    assert facts.torch == TorchFunction(f"{{0}}[:, :, {text}]")
    output = Built(facts.torch)(torch.zeros(1, 3, 9, 4))
    assert output.shape[2] == substitute(facts.output[1], {"H": 9, "W": 4})


def test_wide_slices_with_a_step() -> None:
    expressions = [
        Slice(start=start, stop=stop, step=2, dim=2).infer(((3, H, W),)).torch
        for start, stop in [(0, H // 2), (W, None), (1, H // 2 + 1)]
    ]

    assert expressions == [
        TorchFunction("{0}[:, :, : {0}.shape[2] // 2 : 2]"),
        TorchFunction("{0}[:, :, {0}.shape[3] :: 2]"),
        TorchFunction("{0}[:, :, 1 : {0}.shape[2] // 2 + 1 : 2]"),
    ]


def test_a_free_size_that_the_input_does_not_tell_is_marked() -> None:
    sizes = (H // 2, 2, W // 2, 2)
    asked = Reshape(shape=sizes).infer(((H, W),)).torch
    unknown = Reshape(shape=sizes).infer(((H // 2 * 2, W // 2 * 2),)).torch

    assert asked.free is None
    assert list(Built(asked)(torch.zeros(1, 8, 6)).shape) == [1, 4, 2, 3, 2]
    assert unknown.free == H // 2
    assert Slice(start=0, stop=H // 2, dim=2).infer(((3, H + 1),)).torch.free == H // 2
    assert Interpolate(size=2 * H).infer(((3, W),)).torch.free == 2 * H
    assert Interpolate(size=(2 * H, H)).infer(((3, H, W),)).torch.free is None


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (Slice(start=0, stop=9), "goes from 0 to 9, and dim 1 has 8 places"),
        (Slice(start=-9, stop=None), "goes from -9 to its end, and dim 1 has 8 places"),
        (Slice(start=3, stop=3), "takes nothing: its start 3 is not before its stop 3"),
        (Squeeze(dim=1), "cannot leave out dim 1, whose size is 8"),
        (Flatten(start_dim=0), "has start_dim = 0, the batch"),
        (Flatten(start_dim=-3), "has start_dim = -3, the batch"),
        (Flatten(end_dim=3), r"has end_dim = 3, and its input has dims 1 to 2 \(0 is the batch\)"),
        (Reshape(shape=(3, -1)), r"cannot spread 40 numbers over \[3, -1\]: 3 must divide them"),
        (Reshape(shape=(-1, -1)), "only one of them may be -1"),
    ],
)
def test_what_cannot_be_is_refused(layer: Slice | Squeeze | Flatten | Reshape, reason: str) -> None:
    with pytest.raises(LayerError, match=reason):
        layer.infer(((8, 5),))
