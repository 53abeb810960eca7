"""The graph of a network as NetworkX graph, for users' own code, and as JSON.

`docs/graph.md` describes the attributes. All of them are plain data: numbers, strings, lists and
dictionaries, so that the graph goes through JSON unchanged. A size that depends on free sizes is
the text of its formula.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from pathlib import Path

import networkx

from archdsl.graph import CheckedGraph, Node, Scope
from archdsl.graph_file import FORMAT, MOST_BYTES, read
from archdsl.layers.base import Dtype, Shape, numel
from archdsl.layers.sizes import Formula, Size, total
from archdsl.layers.tensor import DISTRIBUTIONS, Distribution
from archdsl.output import write_whole


def to_networkx(checked: CheckedGraph) -> networkx.MultiDiGraph[str]:
    """Return the nodes, in an order in which each comes after those it reads, with their edges."""
    graph: networkx.MultiDiGraph[str] = networkx.MultiDiGraph()
    graph.graph.update(_graph_attributes(checked))
    given: dict[str, list[str]] = {}
    for output in checked.outputs:
        given.setdefault(output.node, []).append(output.name)
    for name, node in checked.nodes.items():
        only = name in checked.training_only
        attributes = _node_attributes(node, checked.dtype(name), only, given.get(name, []))
        graph.add_node(name, **attributes)
        for position, read_from in enumerate(node.inputs):
            shape = _shape(checked.nodes[read_from].shape)
            graph.add_edge(read_from, name, position, argument=position, shape=shape)
    return graph


def save_json(graph: networkx.MultiDiGraph[str], path: Path | str) -> None:
    """Write a graph as JSON that `networkx.node_link_graph(data, edges="edges")` reads as well.

    Raises:
        OSError: the file can't be written; what was there before is untouched.
    """
    nodes = ({"id": name, **attributes} for name, attributes in graph.nodes.items())
    edges = (
        {"source": source, "target": target, "key": key, **attributes}
        for source, target, key, attributes in graph.edges(keys=True, data=True)
    )
    text = (
        f'{{"directed": true, "multigraph": true,\n"graph": {_json(graph.graph)},\n'
        f'"nodes": [\n{_lines(nodes)}\n],\n"edges": [\n{_lines(edges)}\n]}}\n'
    )
    write_whole(path, text.encode())


def _lines(records: Iterable[object]) -> str:
    return ",\n".join(map(_json, records))


def _json(value: object) -> str:
    return json.dumps(value, allow_nan=False)


def load_json(path: Path | str, most_bytes: int = MOST_BYTES) -> networkx.MultiDiGraph[str]:
    """Read what `save_json` wrote, from a file of no more than so many bytes.

    Raises:
        GraphFileError: there is no such file, or it is not such a graph; the text says why.
    """
    data = read(path, most_bytes)
    graph: networkx.MultiDiGraph[str] = networkx.MultiDiGraph()
    graph.graph.update(data.graph.model_dump())
    for node in data.nodes:
        graph.add_node(node.id, **{name: value for name, value in node if name != "id"})
    for edge in data.edges:
        graph.add_edge(edge.source, edge.target, edge.key, argument=edge.argument, shape=edge.shape)
    return graph


def _graph_attributes(checked: CheckedGraph) -> dict[str, object]:
    return {
        "format": FORMAT,
        "name": checked.name,
        "description": checked.description,
        "arguments": _plain(checked.arguments),
        "inputs": {name: _shape(shape) for name, shape in checked.inputs.items()},
        "outputs": [
            {"name": each.name, "node": each.node, "training_only": each.training_only}
            for each in checked.outputs
        ],
        "scopes": {
            name: _scope_attributes(scope, checked.registered.get(name, ()))
            for name, scope in checked.scopes.items()
        },
        "agreements": [[str(left), str(right)] for left, right in checked.agreements],
        "digest": checked.digest,
    }


def _scope_attributes(scope: Scope, registered: Sequence[str]) -> dict[str, object]:
    return {
        "parent": scope.parent.name if scope.parent else None,
        "label": scope.label,
        "block": scope.block,
        "arguments": _plain(scope.arguments),
        "description": scope.description,
        "registered": list(registered),
        "place": str(scope.span),
    }


def _node_attributes(
    node: Node, dtype: Dtype, training_only: bool, outputs: list[str]
) -> dict[str, object]:
    layer, facts = node.layer, node.facts
    owned = not node.shares
    parameters = _tensors(node.name, facts.params) if owned else {}
    return {
        "type": node.type,
        "family": layer.family,
        "label": node.label,
        "scope": node.scope.name,
        "arguments": _plain(layer.given()),
        "inputs": list(node.inputs),
        "output": _shape(node.shape),
        "dtype": dtype,
        "parameters": parameters,
        "buffers": _tensors(node.name, facts.buffers) if owned else {},
        "parameter_count": _size(total(map(numel, facts.params.values()))) if owned else 0,
        "macs": _size(facts.macs),
        "other": {heading: _size(size) for heading, size in facts.other.items()},
        "view": facts.view,
        "training_only": training_only,
        "shares": node.shares,
        "ties": {f"{node.name}.{tie.name}": tie.path for tie in node.ties},
        "outputs": outputs,
        "place": str(node.span),
    }


def _tensors(node: str, tensors: Mapping[str, Shape]) -> dict[str, object]:
    """Return shapes by their keys in the state_dict; a tensor of the network's own is the node."""
    return {f"{node}.{name}" if name else node: _shape(shape) for name, shape in tensors.items()}


def _shape(shape: Shape) -> list[int | str]:
    return [_size(size) for size in shape]


def _size(size: Size) -> int | str:
    return str(size) if isinstance(size, Formula) else size


def _plain(value: object) -> object:
    """Return a value of the language as what JSON has; a block or layer is its name."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, tuple | list | range):
        return [_plain(each) for each in value]
    if isinstance(value, Formula):
        return str(value)
    if isinstance(value, Distribution):
        return {value.name: DISTRIBUTIONS[value.name] | dict(value.arguments)}
    return str(getattr(value, "name", type(value).__name__))
