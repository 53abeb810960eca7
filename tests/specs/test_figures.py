"""Every network counts what its paper and the packages say, layer by layer where they list them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from archdsl.analysis.cost import cost
from archdsl.graph import CheckedGraph, Node
from archdsl.layers.sizes import Size
from archdsl.pipeline import Spec

SPECS = Path(__file__).parents[2] / "specs"
REFERENCE: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parent / "reference.json").read_text()
)

# What counting tables list as a row. The parameters of a normalization stand with the convolution
# before it, save where it comes first, as in DenseNet: there it has a row of its own.
ROWS = {
    "AvgPool2d",
    "Conv2d",
    "Linear",
    "LocalResponseNorm",
    "MaxPool2d",
    "RBF",
    "Subsampling",
}

COUNTED = [name for name in REFERENCE if "parameters" in REFERENCE[name]]
LISTED = [name for name in REFERENCE if "layers" in REFERENCE[name]]
PRINTED = [name for name in REFERENCE if "printed" in REFERENCE[name]]

Row = list[Any]


def load(name: str) -> CheckedGraph:
    return Spec(str(SPECS / REFERENCE[name]["spec"])).graph(name)


def rows(graph: CheckedGraph, *, apart: bool) -> dict[str, Row]:
    """Return shape, parameters and multiply-accumulates of each row, by the name of its node."""
    costs = cost(graph).nodes
    found: dict[str, Row] = {}
    for node in graph.nodes.values():
        parameters, macs = costs[node.name].parameters, costs[node.name].macs
        if node.type == "BatchNorm2d" and not apart:
            found[node.inputs[0]][1] += parameters
        elif node.type in ROWS or node.type == "BatchNorm2d":
            found[node.name] = [shape(node), parameters, macs]
    return found


def shape(node: Node) -> list[Size]:
    """Return the shape as the tables give it, with height and width of features too."""
    return [*node.shape, 1, 1] if len(node.shape) == 1 else list(node.shape)


@pytest.mark.parametrize("name", COUNTED)
def test_totals(name: str) -> None:
    figures, costs = REFERENCE[name], cost(load(name))

    assert costs.parameters.total == figures["parameters"]
    assert costs.macs.inference == figures["macs"]
    assert costs.macs.training == figures.get("macs_in_training", figures["macs"])


@pytest.mark.parametrize("name", LISTED)
def test_layers(name: str) -> None:
    figures = REFERENCE[name]

    found = rows(load(name), apart=figures.get("normalization_apart", False))

    assert list(found.values()) == [row[1:] for row in figures["layers"]]


def test_stages_of_the_deepest_network() -> None:
    stages: dict[str, Row] = {}
    for name, (size, parameters, macs) in rows(load("resnet1202"), apart=False).items():
        stage = stages.setdefault(name.split(".")[0], [size, 0, 0])
        stage[1] += parameters
        stage[2] += macs

    assert list(stages.values()) == [row[1:] for row in REFERENCE["resnet1202"]["stages"]]


@pytest.mark.parametrize("name", PRINTED)
def test_rounded_figures_of_the_papers(name: str) -> None:
    printed = REFERENCE[name]["printed"]  # "0.27M"
    parameters = cost(load(name)).parameters.total
    digits = len(printed.partition(".")[2]) - 1

    assert f"{int(str(parameters)) / 1e6:.{digits}f}M" == printed
