"""The building blocks cost what the literature says of them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from archdsl.analysis.cost import CostTable, cost
from archdsl.analysis.receptive_field import receptive_fields
from archdsl.graph import CheckedGraph
from archdsl.pipeline import Spec

SPECS = Path(__file__).parents[2] / "specs"
BLOCKS = Spec(str(SPECS / "blocks.arch"))

# Parameters and multiply-accumulates, the latter None where no source gives them
COSTS = {
    "conv3x3": (2_359_296, 1_594_884_096),
    "bottleneck": (278_528, 188_284_928),
    "conv3x3_16_32": (4_608, None),
    "depthwise_separable": (656, None),
    "pointwise_first": (800, None),
    "inception_reduced": (163_696, 128_049_152),  # module 3a of GoogLeNet
    "aspp": (15_535_104, None),
    "flatten_classifier": (655_370, 655_360),
    "pooled_classifier": (650, 640),
}
# The second for so much of the cost of the first, of which it sees as many places
CHEAPER = [
    ("conv5x5", "conv3x3_twice", Fraction(18, 25), 5),
    ("conv7x7", "conv3x3_thrice", Fraction(27, 49), 7),
    ("conv7x7", "conv7x1_1x7", Fraction(14, 49), 7),
]
# Scopes of networks: the heads that learn beside the rest
HEADS = [
    ("inception_v3.arch", "inception_v3", "AuxLogits", 3_326_696),
    ("googlenet.arch", "googlenet", "aux1", 3_188_968),
    ("googlenet.arch", "googlenet", "aux2", 3_191_016),
    ("googlenet.arch", "googlenet_2014", "aux1", 3_188_840),
    ("googlenet.arch", "googlenet_2014", "aux2", 3_190_888),
    ("deeplabv3.arch", "deeplabv3_resnet50", "classifier", 16_130_837),
]


def learned(graph: CheckedGraph, scope: str) -> int:
    """Return the number of parameters in a scope, or of one layer."""
    inside = f"{scope}."
    costs = cost(graph).nodes.items()
    return sum(int(str(each.parameters)) for n, each in costs if f"{n}.".startswith(inside))


def block(name: str, **parameters: int) -> CostTable:
    return cost(BLOCKS.graph(name, parameters))


@pytest.mark.parametrize("name", COSTS)
def test_costs(name: str) -> None:
    parameters, macs = COSTS[name]

    costs = block(name)

    assert costs.parameters.total == parameters
    assert macs in {None, costs.macs.inference}


@pytest.mark.parametrize(("dear", "cheap", "ratio", "places"), CHEAPER)
def test_small_convolutions_see_as_much_for_less(
    dear: str, cheap: str, ratio: Fraction, places: int
) -> None:
    one, other = block(dear), block(cheap)

    assert other.parameters.total == one.parameters.total * ratio
    assert other.macs.inference == one.macs.inference * ratio
    for graph in (BLOCKS.graph(dear), BLOCKS.graph(cheap)):
        fields = receptive_fields(graph, "map")[graph.outputs[0].node]
        assert [field.size for field in fields] == [places, places]


def test_first_layer_as_7x1_and_1x7_costs_more_than_7x7() -> None:
    assert block("conv7x7", channels=3).parameters.total == 9_408
    assert block("conv7x1_1x7", channels=3).parameters.total == 30_016


def test_pooling_beside_a_convolution_is_cheapest() -> None:
    first, last, parallel = (
        block(f"reduction_{name}").macs.inference
        for name in ("pool_first", "pool_last", "parallel")
    )

    assert parallel < first < last
    for name in ("pool_first", "pool_last", "parallel"):
        graph = BLOCKS.graph(f"reduction_{name}")
        assert graph.nodes[graph.outputs[0].node].shape == (640, 17, 17)


@pytest.mark.parametrize(("file", "network", "scope", "parameters"), HEADS)
def test_heads(file: str, network: str, scope: str, parameters: int) -> None:
    assert learned(Spec(str(SPECS / file)).graph(network), scope) == parameters


def test_inception_v3_for_two_classes() -> None:
    graph = Spec(str(SPECS / "inception_v3.arch")).graph("inception_v3", {"classes": 2})

    assert cost(graph).parameters.total == 24_348_900
    assert learned(graph, "fc") + learned(graph, "AuxLogits.fc") == 5_636
