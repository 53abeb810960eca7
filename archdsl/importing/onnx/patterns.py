"""Finds what exporters say in several nodes, and torch in one: one pattern, one entry.

A pattern begins at a node of its operator, and returns the nodes that it stands for with the one
that takes their place, or None. All but the last of them must be read by these nodes alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from archdsl.importing.onnx.hierarchy import known_before
from archdsl.importing.onnx.reading import OnnxFile, OnnxNode

Found = tuple[list[OnnxNode], OnnxNode] | None
Patterns = dict[str, Callable[[OnnxNode, "Graph"], Found]]
FIRST: Patterns = {}  # of which others are made
PATTERNS: Patterns = {}
OURS = "archdsl."  # before the names of operators that patterns make


class Graph:
    """The nodes of a file by what they make and read."""

    def __init__(self, file: OnnxFile) -> None:
        self.file, self.known = file, {*file.tensors}
        for node in known_before(file):
            self.known.update(node.outputs)
        self.makers = {name: node for node in file.nodes for name in node.outputs if name}
        self.readers: dict[str, list[OnnxNode]] = {}
        for node in file.nodes:
            for name in node.needs:
                self.readers.setdefault(name, []).append(node)

    def before(self, name: str, *ops: str) -> OnnxNode | None:
        """Return the node that makes a tensor, if it is of an operator and read but once."""
        node = self.makers.get(name)
        if node is None or node.op not in ops or name in self.file.outputs:
            return None
        return node if len(self.readers[name]) == 1 else None

    def only_inside(self, nodes: Sequence[OnnxNode]) -> bool:
        """Tell whether what all nodes but the last make is read by these nodes alone."""
        inside = {*nodes}
        return all(
            name not in self.file.outputs and all(r in inside for r in self.readers.get(name, ()))
            for node in nodes[:-1]
            for name in node.outputs
        )

    def number(self, name: str) -> float | None:
        """Return a number that the file holds."""
        array = self.file.tensors.get(name)
        maker = self.makers.get(name)
        if array is None and maker is not None and maker.op == "Constant":
            array = maker.attributes.get("value")
        if not isinstance(array, np.ndarray) or array.size != 1:
            return None
        return float(array.reshape(-1)[0])

    def is_scale(self, name: str) -> bool:
        """Tell whether a tensor is a number that follows from no number that comes in."""
        if name in self.known:
            return self.number(name) is not None or name not in self.file.tensors
        return False


def other(node: OnnxNode, name: str) -> str:
    """Return what a node of two inputs reads besides one."""
    first, second = node.inputs
    return second if first == name else first


def replaced(file: OnnxFile) -> None:
    """Put single nodes into the place of those that patterns find."""
    for patterns in (FIRST, PATTERNS):
        replace_by(patterns, file)


def replace_by(patterns: Patterns, file: OnnxFile) -> None:
    """Put single nodes into the place of those that some patterns find."""
    graph = Graph(file)
    gone: set[OnnxNode] = set()
    instead: dict[OnnxNode, OnnxNode] = {}
    for node in file.nodes:
        pattern = patterns.get(node.op)
        found = pattern(node, graph) if pattern else None
        if found is None or any(one in gone for one in found[0]):
            continue
        nodes, made = found
        if graph.only_inside(nodes):
            gone.update(nodes)
            instead[nodes[-1]] = made
    file.nodes = [instead.get(n, n) for n in file.nodes if n not in gone or n in instead]


def silu(node: OnnxNode, graph: Graph) -> Found:
    """Match `x * sigmoid(x)`."""
    (x,) = node.inputs
    for reader in graph.readers.get(node.outputs[0], ()):
        if reader.op == "Mul" and x in reader.inputs:
            return [node, reader], like(reader, "SiLU", (x,))
    return None


PATTERNS["Sigmoid"] = silu


def hard_swish(node: OnnxNode, graph: Graph) -> Found:
    """Match `x * hardsigmoid(x)`."""
    (x,) = node.inputs
    sixth = abs(node.attributes.get("alpha", 0.2) - 1 / 6) < 1e-6
    sixth = sixth and node.attributes.get("beta", 0.5) == 0.5
    for reader in graph.readers.get(node.outputs[0], ()):
        if sixth and reader.op == "Mul" and x in reader.inputs:
            return [node, reader], like(reader, "HardSwish", (x,), "")
    return None


PATTERNS["HardSigmoid"] = hard_swish


def gelu(node: OnnxNode, graph: Graph) -> Found:
    """Match `x * (1 + erf(x / sqrt(2))) / 2`, in each order of the factors."""
    scaled = graph.makers.get(node.inputs[0])
    if scaled is None or scaled.op not in ("Div", "Mul"):
        return None
    x, by = scaled.inputs
    factor = graph.number(by)
    wanted = 2**0.5 if scaled.op == "Div" else 0.5**0.5
    added = single(graph, node.outputs[0], "Add")
    if factor is None or abs(factor - wanted) > 1e-4 or added is None:
        return None
    if graph.number(other(added, node.outputs[0])) != 1:
        return None
    nodes, left = [scaled, node, added], {"x", "half"}
    at = added
    while left:
        reader = single(graph, at.outputs[0], "Mul")
        if reader is None:
            return None
        factor_name = other(reader, at.outputs[0])
        half = graph.makers.get(factor_name)
        if factor_name == x and "x" in left:
            left.discard("x")
        elif graph.number(factor_name) == 0.5 and "half" in left:
            left.discard("half")
        elif half is not None and half.op == "Mul" and x in half.inputs and len(left) == 2:
            if graph.number(other(half, x)) != 0.5:
                return None
            nodes.append(half)
            left.clear()
        else:
            return None
        nodes.append(reader)
        at = reader
    return nodes, like(at, "Gelu", (x,), "")


PATTERNS["Erf"] = gelu


def attention(node: OnnxNode, graph: Graph) -> Found:
    """Match `softmax(q k^T * scale + mask) v`, where q, k or their product may be scaled."""
    last = single(graph, node.outputs[0], "MatMul")
    if last is None or last.inputs[0] != node.outputs[0]:
        return None
    nodes, mask = [node, last], ""
    scales: list[str] = []
    ways: list[str] = []
    name = node.inputs[0]
    added = graph.before(name, "Add")
    if added is not None:
        scores = next((n for n in added.inputs if graph.before(n, "MatMul", "Mul", "Div")), None)
        if scores is None:
            return None
        mask, name = other(added, scores), scores
        nodes.append(added)
    for _ in range(2):
        scaled = graph.before(name, "Mul", "Div")
        if scaled is None:
            break
        scores = next((n for n in scaled.inputs if graph.before(n, "MatMul", "Mul")), None)
        if scores is None or (scaled.op == "Div" and scores != scaled.inputs[0]):
            return None
        scales.append(other(scaled, scores))
        ways.append(scaled.op)
        nodes.append(scaled)
        name = scores
    product = graph.before(name, "MatMul")
    if product is None:
        return None
    nodes.append(product)
    sides = [*product.inputs]
    for place, side in enumerate(sides):
        scaled = graph.before(side, "Mul", "Div")
        if scaled is not None and graph.is_scale(scaled.inputs[1]):
            scales.append(scaled.inputs[1])
            ways.append(scaled.op)
            nodes.append(scaled)
            sides[place] = scaled.inputs[0]
    if any(not graph.is_scale(one) for one in scales):
        return None
    order = {one: number for number, one in enumerate(graph.file.nodes)}
    nodes.sort(key=order.__getitem__)
    if nodes[-1] is not last:
        return None
    usual = 1 if graph.file.opset < 13 else -1
    made = like(last, "Attention", (*sides, last.inputs[1], mask, *scales))
    made.attributes = {"axis": node.attributes.get("axis", usual), "ways": tuple(ways)}
    return nodes, made


PATTERNS["Softmax"] = attention


def scaled(node: OnnxNode, graph: Graph) -> Found:
    """Match a convolution whose channels are scaled and shifted behind it, as by a normalization.

    What exporters fold of a normalization goes into the convolution where there is no group.
    """
    tensors = graph.file.tensors
    weight = tensors.get(node.inputs[1])
    product = single(graph, node.outputs[0], "Mul")
    if weight is None or product is None or len(node.inputs) > 2:
        return None
    total = single(graph, product.outputs[0], "Add")
    channels = (weight.shape[0], *(1,) * (weight.ndim - 2))
    if total is None:
        return None
    numbers = [
        tensors.get(other(product, node.outputs[0])),
        tensors.get(other(total, product.outputs[0])),
    ]
    if any(one is None or one.shape not in (channels, (1, *channels)) for one in numbers):
        return None
    scale, shift = (one.reshape(-1) for one in numbers if one is not None)
    names = [f"{name}{OURS}{node.outputs[0]}" for name in (node.inputs[1], *total.inputs)][:2]
    tensors[names[0]] = weight * scale.reshape(-1, *(1,) * (weight.ndim - 1))
    tensors[names[1]] = shift
    made = like(node, "Conv", (node.inputs[0], *names), "")
    made.outputs, made.attributes = total.outputs[:1], node.attributes
    return [node, product, total], made


FIRST["Conv"] = scaled


def strided(node: OnnxNode, graph: Graph) -> Found:
    """Match parts of a flattened tensor that are all of it, in order: another shape."""
    places = graph.file.tensors.get(node.inputs[1])
    flat = graph.makers.get(node.inputs[0])
    if places is None or flat is None or flat.op != "Reshape" or node.attributes.get("axis", 0):
        return None
    shape = graph.file.tensors.get(flat.inputs[1])
    whole = shape is not None and shape.tolist() == [-1]
    if not whole or not np.array_equal(places.reshape(-1), np.arange(places.size)):
        return None
    name = f"{OURS}{node.outputs[0]}"
    graph.file.tensors[name] = np.array(places.shape, "int64")
    return [flat, node], like(node, "Reshape", (flat.inputs[0], name), "")


FIRST["Gather"] = strided


def turned(node: OnnxNode, graph: Graph) -> Found:
    """Match what turns the last two of four axes, while the first two are one."""
    turn = graph.before(node.inputs[0], "Transpose")
    rows = graph.before(turn.inputs[0], "Reshape") if turn is not None else None
    if turn is None or rows is None or turn.attributes.get("perm") != (0, 2, 1):
        return None
    tensors = graph.file.tensors
    sizes, whole = tensors.get(rows.inputs[1]), tensors.get(node.inputs[1])
    if sizes is None or whole is None or sizes.size != 3 or whole.size != 4:
        return None
    if sizes[0] != -1 or [*sizes[1:]] != [*whole[:1:-1]]:
        return None
    made = like(node, "Turned", (rows.inputs[0], rows.inputs[1], node.inputs[1]))
    return [rows, turn, node], made


FIRST["Reshape"] = turned


def single(graph: Graph, name: str, op: str) -> OnnxNode | None:
    """Return what reads a tensor, if that is one node of an operator."""
    readers = graph.readers.get(name, ())
    if len(readers) != 1 or readers[0].op != op or name in graph.file.outputs:
        return None
    return readers[0]


def like(node: OnnxNode, op: str, inputs: tuple[str, ...], domain: str = OURS) -> OnnxNode:
    """Return a node that stands where another one does."""
    return OnnxNode(domain + op, inputs, node.outputs[:1], {}, node.name, node.metadata)
