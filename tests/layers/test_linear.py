"""Linear and bilinear maps: which axes they take, and what a bilinear one really multiplies."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from torch_facts import Built

from archdsl.layers.base import Disagreement, LayerError, Shapes, Window
from archdsl.layers.linear import Bilinear, Linear
from archdsl.layers.sizes import Formula


def test_linear_needs_an_axis_that_is_not_the_batch() -> None:
    with pytest.raises(LayerError, match="features"):
        Linear(out_features=3).infer(((),))


def test_linear_reads_the_whole_last_axis_at_each_place_of_the_others() -> None:
    assert Linear(out_features=3).infer(((4, 5, 6),)).windows == (Window(1), Window(6, 0))
    assert Linear(out_features=3).infer(((6,),)).windows == "pointwise"


def test_linear_of_a_free_size() -> None:
    n = Formula.named("N")
    facts = Linear(out_features=3).infer(((n,),))

    assert facts.params["weight"] == (3, n)
    assert facts.macs == 3 * n
    assert facts.arithmetic == "(N + 1) x 3"


def test_bilinear_multiplies_first_with_one_input_then_with_the_other() -> None:
    facts = Bilinear(out_features=7, bias=False).infer(((4, 3), (4, 5)))
    bilinear = Built(facts.torch).own
    x, y = torch.randn(2, 4, 3), torch.randn(2, 4, 5)
    with FlopCounterMode(display=False) as flops:
        # as torch does inside: x W for each output, by matrix products, and then the sum with y
        first = torch.einsum("bni,oij->bnoj", x, bilinear.weight)
        output = torch.einsum("bnoj,bnj->bno", first, y)

    torch.testing.assert_close(bilinear(x, y), output)
    assert flops.get_total_flops() == 2 * 2 * facts.macs


@pytest.mark.parametrize(
    ("shapes", "axes"),
    [
        pytest.param(((4, 3), (5, 3)), ("channels",), id="sizes"),
        pytest.param(((4, 3), (3,)), (), id="number-of-axes"),
    ],
)
def test_bilinear_needs_the_same_places(shapes: Shapes, axes: tuple[str, ...]) -> None:
    with pytest.raises(Disagreement) as caught:
        Bilinear(out_features=2).infer(shapes)

    assert caught.value.axes == axes


def test_free_places_of_a_bilinear_map_must_agree() -> None:
    n = Formula.named("N")
    assert Bilinear(out_features=2).infer(((n, 3), (5, 3))).agreements == ((n, 5),)
