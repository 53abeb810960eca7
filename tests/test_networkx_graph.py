"""The NetworkX graph: its attributes, its way through JSON, and files that are no such graph."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import networkx
import pytest
from building import Builder, H, W
from sketches import biased, convolution, resnet50, unet

import archdsl
from archdsl.graph import CheckedGraph
from archdsl.graph_file import GraphFileError, NodeRecord
from archdsl.layers.merge import Add
from archdsl.layers.tensor import Distribution, OwnTensor
from archdsl.network import Network
from archdsl.networkx_graph import load_json, save_json, to_networkx

ROOT = Path(__file__).parent.parent


def small() -> CheckedGraph:
    net = Builder("small", {"body": "Body"})
    net.input("image", 4, 8, 8)
    net.put("body.conv", biased(4, 3, padding=1))
    net.put("body.add", Add(), "body.conv", "image", "body.conv")
    net.put("gamma", OwnTensor(shape=(4, 1, 1), value=Distribution("normal", (("std", 0.02),))))
    net.put("aux", convolution(4, 1), "body.add")
    net.output("aux", training_only=True)
    net.put("again", convolution(4, 1), "body.add", shares="aux")
    net.put("scaled", Add(), "again", "gamma")
    net.output("main")
    return net.checked()


def test_nodes() -> None:
    nodes = to_networkx(small()).nodes

    assert list(nodes) == ["image", "body.conv", "body.add", "gamma", "aux", "again", "scaled"]
    assert nodes["body.conv"] == {
        "type": "Conv2d",
        "family": "convolution",
        "label": "",
        "scope": "body",
        "arguments": {"out_channels": 4, "kernel_size": 3, "padding": 1},
        "inputs": ["image"],
        "output": [4, 8, 8],
        "dtype": "float",
        "parameters": {"body.conv.weight": [4, 4, 3, 3], "body.conv.bias": [4]},
        "buffers": {},
        "parameter_count": 148,
        "macs": 9_216,
        "other": {"bias": 256},
        "view": False,
        "training_only": False,
        "shares": "",
        "ties": {},
        "outputs": [],
        "place": "built.arch:1:1",
    }
    assert nodes["gamma"]["parameters"] == {"gamma": [4, 1, 1]}
    value = {"normal": {"mean": 0.0, "std": 0.02}}
    assert nodes["gamma"]["arguments"]["value"] == value
    assert nodes["aux"]["training_only"]
    assert nodes["aux"]["outputs"] == ["aux"]
    assert (nodes["again"]["shares"], nodes["again"]["parameters"]) == ("aux", {})
    assert [each["type"] for each in nodes.values()][:3] == ["input", "Conv2d", "add"]


def test_edges_tell_which_argument_they_are() -> None:
    graph = to_networkx(small())

    assert sorted(graph.in_edges("body.add", keys=True)) == [
        ("body.conv", "body.add", 0),
        ("body.conv", "body.add", 2),
        ("image", "body.add", 1),
    ]
    assert graph.edges["image", "body.add", 1] == {"argument": 1, "shape": [4, 8, 8]}


def test_graph_attributes() -> None:
    attributes = to_networkx(small()).graph

    assert attributes["name"] == "small"
    assert attributes["inputs"] == {"image": [4, 8, 8]}
    assert attributes["outputs"] == [
        {"name": "aux", "node": "aux", "training_only": True},
        {"name": "main", "node": "scaled", "training_only": False},
    ]
    assert attributes["scopes"]["body"]["block"] == "Body"
    assert attributes["scopes"]["body"]["parent"] == ""
    assert attributes["scopes"][""]["parent"] is None


def test_it_is_made_once() -> None:
    network = Network(small())

    assert network.graph is network.graph


@pytest.mark.parametrize("make", [small, resnet50, lambda: unet(H, W)])
def test_through_json_and_back(make: object, tmp_path: Path) -> None:
    assert callable(make)
    graph = to_networkx(make())
    path = tmp_path / "graph.json"

    save_json(graph, path)

    assert networkx.utils.graphs_equal(load_json(path), graph)
    data = json.loads(path.read_text())
    assert networkx.utils.graphs_equal(networkx.node_link_graph(data, edges="edges"), graph)


def test_a_network_from_a_spec_goes_through_json(tmp_path: Path) -> None:
    graph = archdsl.load(str(ROOT / "specs" / "inception_v3.arch")).graph
    path = tmp_path / "graph.json"

    save_json(graph, path)

    assert networkx.utils.graphs_equal(load_json(path), graph)
    learned = [n for each in graph.nodes.values() for n in [each["parameter_count"]]]
    assert sum(learned) == 27_161_264


def saved(tmp_path: Path) -> dict:
    save_json(to_networkx(small()), tmp_path / "good.json")
    return json.loads((tmp_path / "good.json").read_text())


def refusal(path: Path, **options: int) -> str:
    with pytest.raises(GraphFileError) as caught:
        load_json(path, **options)
    text = str(caught.value)
    assert text.startswith(str(path))
    assert "\n" not in text
    return text[len(str(path)) + 2 :]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is not a graph of archdsl: Invalid JSON"),
        (b"\xff\xfe", "is not a graph of archdsl: Invalid JSON"),
        (b"[" * 100_000, "is not a graph of archdsl: Invalid JSON: recursion limit"),
        (b'{"directed": ' + b"1" * 100_000 + b"}", "is not a graph of archdsl: Invalid JSON"),
        (b"[]", "is not a graph of archdsl"),
        (b"{}", "is not a graph of archdsl: directed: Field required"),
    ],
)
def test_bytes_that_are_no_graph(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(content)

    assert refusal(path).startswith(reason)


def spoil(data: dict, steps: tuple[object, ...], value: object) -> None:
    *way, last = steps
    for step in way:
        data = data[step]  # type: ignore[index]
    data[last] = value  # type: ignore[index]


@pytest.mark.parametrize(
    ("steps", "value", "reason"),
    [
        (("graph", "format"), "archdsl graph 2", "graph.format: Input should be"),
        (("nodes", 0, "surplus"), 1, "nodes.0.surplus: Extra inputs"),
        (("nodes", 1, "macs"), -1, "nodes.1.macs"),
        (("nodes", 1, "macs"), "__import__('os')", "nodes.1.macs"),
        (("nodes", 1, "output"), [0], "nodes.1.output.0"),
        (("nodes", 1, "dtype"), "float16", "nodes.1.dtype"),
        (("nodes", 1, "training_only"), "yes", "nodes.1.training_only"),
        (("nodes", 1, "label"), 5_000, "nodes.1.label"),
        (("nodes", 1, "id"), "", "nodes.1.id"),
        (("nodes", 2, "id"), "body.conv", "two nodes are called `body.conv`"),
        (("nodes", 1, "inputs"), ["scaled"], "`body.conv` reads what doesn't come before it"),
        (("nodes", 1, "inputs"), [], "its edges are not those that the inputs of its nodes name"),
        (("nodes", 1, "scope"), "no\nwhere", "`body.conv` is in a scope that is not there"),
        (("nodes", 1, "shares"), "aux", "`body.conv` shares the module of what doesn't come"),
        (("edges", 0, "source"), "nobody", "its edges are not those"),
        (("edges", 0, "key"), 7, "the edge from `image` to `body.conv` has a key"),
        (("edges", 0, "shape"), [4], "the edge from `image` to `body.conv` has another shape"),
        (("graph", "inputs"), {"\x1b[2J": [1]}, "an input is no node"),
        (("graph", "outputs", 0, "node"), "nobody", "an output is no node"),
        (("graph", "scopes", "body", "parent"), "body", "the scope `body` comes before"),
    ],
)
def test_data_that_contradicts_itself(
    steps: tuple[object, ...], value: object, reason: str, tmp_path: Path
) -> None:
    data = saved(tmp_path)
    spoil(data, steps, value)
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(data))

    assert reason in refusal(path)


PLACES = (("graph",), ("graph", "scopes", "body"), ("nodes", 1))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", '[{"a": [1, NaN]}]']
)
def test_numbers_that_json_does_not_have(
    place: tuple[object, ...], number: str, tmp_path: Path
) -> None:
    """Python reads them, and nobody else does: what is read can be written again."""
    data = saved(tmp_path)
    spoil(data, (*place, "arguments"), {"a": "HERE"})
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(data).replace('"HERE"', number))

    assert "a number must be finite" in refusal(path)


@pytest.mark.parametrize("steps", [("macs",), ("parameter_count",), ("output", 0), ("other", "x")])
@pytest.mark.parametrize("number", ["NaN", "1e999", "1.5", "1" * 5_000])
def test_counts_are_integers(steps: tuple[object, ...], number: str, tmp_path: Path) -> None:
    data = saved(tmp_path)
    spoil(data, ("nodes", 1, *steps), "HERE")
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(data).replace('"HERE"', number))

    assert refusal(path).startswith("is not a graph of archdsl")


@pytest.mark.parametrize(
    "value",
    [0, -0.0, 1e-999, 1.5e308, 10**4_000, "\0", "\ud7ff", "x" * 100_000, [[[None]]], {"a": True}],
)
def test_what_is_read_can_be_written(value: object, tmp_path: Path) -> None:
    data = saved(tmp_path)
    for place in PLACES:
        spoil(data, (*place, "arguments"), {"a": value})
    path = tmp_path / "good.json"
    path.write_text(json.dumps(data))

    graph = load_json(path)
    save_json(graph, path)

    assert networkx.utils.graphs_equal(load_json(path), graph)


def test_doubled_edges_are_refused(tmp_path: Path) -> None:
    data = saved(tmp_path)
    data["edges"].append(data["edges"][0])
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(data))

    assert "its edges are not those" in refusal(path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    assert refusal(tmp_path / "missing.json") == "does not exist"
    assert refusal(tmp_path) == "is a folder"
    assert refusal(tmp_path / "pipe") == "is no regular file"


def test_the_size_is_limited(tmp_path: Path) -> None:
    saved(tmp_path)
    path = tmp_path / "good.json"
    size = path.stat().st_size

    assert load_json(path, most_bytes=size)
    expected = f"is larger than {size - 1:,} bytes (raise with `most_bytes`)"
    assert refusal(path, most_bytes=size - 1) == expected


def test_the_description_names_every_attribute() -> None:
    text = (ROOT / "docs" / "graph.md").read_text()
    graph = to_networkx(small())

    documented = set(re.findall(r"^\| `(\w+)`", text, re.MULTILINE))
    scopes = set(graph.graph["scopes"][""])
    expected = set(NodeRecord.model_fields) - {"id"} | set(graph.graph) | scopes | {"argument"}
    assert documented == expected | {"shape"}


def test_the_example_of_the_description_runs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = (ROOT / "docs" / "graph.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (expected,) = re.findall(r"```text\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(tmp_path)

    exec(compile(program, "graph.md", "exec"), {})

    assert capsys.readouterr().out == expected


def test_a_file_without_kinds_of_numbers_is_of_floats(tmp_path: Path) -> None:
    path = tmp_path / "graph.json"
    save_json(to_networkx(small()), path)
    path.write_text(path.read_text().replace('"dtype": "float", ', ""))
    assert "dtype" not in path.read_text()
    assert networkx.utils.graphs_equal(load_json(path), to_networkx(small()))
