"""What a report has: rows, folded rows, and the data that JSON has."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from pathlib import Path

import pytest
from building import Builder, H, W
from sketches import biased, convolution, resnet50, unet, vgg16

from archdsl.analysis.report import report
from archdsl.analysis.rows import Row
from archdsl.backends.table import as_data
from archdsl.graph import CheckedGraph
from archdsl.layers.linear import Linear
from archdsl.layers.merge import Add
from archdsl.layers.normalization import BatchNorm2d
from archdsl.layers.tensor import OwnTensor
from archdsl.layers.transposed_convolution import ConvTranspose2d


def rows(checked: CheckedGraph, depth: int | None = None) -> dict[str, Row]:
    return {row.name: row for row in report(checked, depth).rows}


def with_head() -> CheckedGraph:
    """Return a block, a head for training only, and a module that is applied again."""
    net = Builder("two_heads", {"body": "Body", "aux": "Head"})
    net.input("image", 4, 8, 8)
    net.put("body.a", biased(4, 3, padding=1))
    net.put("body.b", biased(8, 3, padding=1))
    net.put("aux.fc", convolution(2, 1))
    net.output("aux", training_only=True)
    net.put("again", convolution(2, 1), "body.b", shares="aux.fc")
    net.output("main")
    return net.checked()


def test_every_node_but_the_inputs_has_a_row() -> None:
    checked = with_head()

    found = rows(checked)

    assert list(found) == ["body.a", "body.b", "aux.fc", "again"]
    assert found["body.a"].type == "Conv2d"
    assert found["body.a"].inputs == ((4, 8, 8),)
    assert found["body.a"].output == (4, 8, 8)
    assert found["body.a"].arithmetic == "(3 x 3 x 4 + 1) x 4"
    assert found["aux.fc"].training_only
    assert found["again"].shares == "aux.fc"
    assert (found["again"].parameters, found["again"].arithmetic) == (0, "")


def test_a_block_becomes_one_row() -> None:
    found = rows(with_head(), depth=1)

    assert list(found) == ["body", "aux", "again"]
    body = found["body"]
    assert (body.type, body.layers) == ("Body", 2)
    assert (body.inputs, body.output) == (((4, 8, 8),), (8, 8, 8))
    assert body.parameters == 148 + 296
    assert body.arithmetic == "148 + 296"
    assert body.macs == 9_216 + 18_432
    assert body.other == {"bias": 256 + 512}
    assert body.fields["image"][0].size == 5
    assert found["aux"].training_only
    assert found["again"].type == "Conv2d"


def test_depth_0_is_one_row() -> None:
    (row,) = report(with_head(), depth=0).rows

    assert (row.name, row.type, row.layers) == ("two_heads", "network", 4)
    assert (row.inputs, row.output) == (((4, 8, 8),), (2, 8, 8))
    assert not row.training_only


@pytest.mark.parametrize("depth", [None, 0, 1, 2, 5])
@pytest.mark.parametrize("network", [with_head, resnet50])
def test_rows_add_up_at_every_depth(network: object, depth: int | None) -> None:
    assert callable(network)
    found = report(network(), depth)

    assert sum(row.parameters for row in found.rows) == found.parameters.total
    assert sum(row.buffers for row in found.rows) == found.buffers.training
    assert sum(row.macs for row in found.rows) == found.macs.training
    for heading, usage in found.other.items():
        assert sum(row.other.get(heading, 0) for row in found.rows) == usage.training


def test_the_output_of_a_block_is_what_is_read_outside() -> None:
    net = Builder(blocks={"block": "Block"})
    net.input("image", 4, 8, 8)
    net.put("block.main", biased(4, 3, padding=1))
    net.put("block.side", biased(7, 1))
    net.output("side", training_only=True)
    net.put("block.dead_end", biased(9, 1), "block.main")
    net.output("late", "block.dead_end")
    net.put("after", biased(2, 1), "block.main")
    net.output("main")

    assert rows(net.checked(), depth=1)["block"].output == (9, 8, 8)


def test_depth_counts_the_longest_path() -> None:
    assert report(vgg16()).depth == 16
    assert report(resnet50()).depth == 50
    assert report(with_head()).depth == 3


def test_types_of_what_is_no_layer() -> None:
    net = Builder()
    net.input("x", 4, 8, 8)
    net.put("gamma", OwnTensor(shape=(4, 1, 1)))
    net.put("mean", OwnTensor(shape=(4, 1, 1), learnable=False))
    net.put("sum", Add(), "x", "gamma", "mean")

    found = rows(net.checked())

    assert [row.type for row in found.values()] == ["parameter", "buffer", "add"]
    assert found["gamma"].arithmetic == "4 x 1 x 1"


def evaluated(text: str) -> int:
    """Return the value of arithmetic as papers write it."""
    assert set(text) <= set("0123456789 +x()")
    return int(eval(text.replace("x", "*")))


@pytest.mark.parametrize("network", [vgg16, resnet50, with_head])
def test_arithmetic_comes_to_the_number_beside_it(network: object) -> None:
    assert callable(network)
    for depth in (None, 1):
        for row in report(network(), depth).rows:
            if row.arithmetic:
                assert evaluated(row.arithmetic) == row.parameters


KEYS = {"network", "inputs", "outputs", "parameters", "macs", "memory", "layers"}
LAYER_KEYS = {"name", "type", "inputs", "output", "parameters", "macs"} | {
    "receptive_field",
    "stride",
}


def test_data_has_the_keys_that_are_promised() -> None:
    data = as_data(report(with_head()))

    assert data.keys() >= KEYS
    assert data["inputs"] == {"image": [4, 8, 8]}
    assert data["outputs"] == {"aux": [2, 8, 8], "main": [2, 8, 8]}
    assert data["training_outputs"] == ["aux"]
    assert data["parameters"] == {"total": 460, "trainable": 460, "inference": 460, "frozen": 0}
    assert data["macs"] == {"inference": 28_672, "training": 29_696}
    layers = data["layers"]
    assert isinstance(layers, list)
    assert all(layer.keys() >= LAYER_KEYS for layer in layers)
    assert layers[1]["receptive_field"] == [5, 5]
    assert layers[1]["stride"] == [1, 1]
    assert layers[1]["offset"] == [-2, -2]
    assert json.loads(json.dumps(data)) == data


def test_data_of_free_sizes_are_numbers_and_formulas() -> None:
    data = as_data(report(unet(H, W, levels=1, base=2)))

    assert data["inputs"] == {"image": [3, "H", "W"]}
    assert data["macs"] == {
        "inference": "202*H*W + 248*(H//2)*(W//2)",
        "training": "202*H*W + 248*(H//2)*(W//2)",
    }
    assert data["assumptions"] == ["H must be a multiple of 2", "W must be a multiple of 2"]
    assert json.loads(json.dumps(data)) == data


TRAINING = {"training", "parameter_bytes"}  # there with --training alone


def test_the_description_names_every_key() -> None:
    text = (Path(__file__).parent.parent.parent / "docs" / "counting.md").read_text()
    text = text.partition("\n## As JSON")[2]
    data = as_data(report(with_head()))
    layers = data["layers"]
    assert isinstance(layers, list)

    documented = set(re.findall(r"^\| `(\w+)`", text, re.MULTILINE))

    assert documented == set(data) | set(layers[0]) | {"fields", *TRAINING}


def test_fields_of_several_inputs() -> None:
    net = Builder()
    net.input("left", 1, 8, 8)
    net.input("right", 1, 8, 8)
    net.put("seen", biased(1, 3, padding=1), "right")
    net.put("sum", Add(), "left", "seen")
    layers = as_data(report(net.checked()))["layers"]
    assert isinstance(layers, list)

    assert layers[0]["receptive_field"] == [3, 3]
    assert "fields" not in layers[0]
    assert layers[1]["receptive_field"] == [1, 1]
    assert layers[1]["fields"]["right"]["receptive_field"] == [3, 3]


def test_strides_below_1_and_lost_ones() -> None:
    net = Builder()
    net.input("image", 1, 8, 8)
    up = ConvTranspose2d(out_channels=1, kernel_size=2, stride=2)
    net.put("up", up)
    net.put("bn", BatchNorm2d())
    net.put("mixed", Linear(out_features=3))
    layers = as_data(report(net.checked()))["layers"]
    assert isinstance(layers, list)

    assert report(net.checked()).rows[0].fields["image"][0].stride == Fraction(1, 2)
    assert layers[0]["stride"] == [0.5, 0.5]


def test_a_long_chain_needs_no_recursion() -> None:
    net = Builder()
    net.input("x", 2, 4, 4)
    layer = biased(2, 3, padding=1)
    for at in range(3_000):
        net.put(f"n{at}", layer)

    found = report(net.checked())

    assert found.depth == 3_000
    assert found.rows[-1].fields["x"][0].size == 6_001
