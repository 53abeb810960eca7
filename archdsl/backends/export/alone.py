"""Networks made of parts of another one, to find what in it can't be exported and what would do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from archdsl.graph import CheckedGraph, Node, Output, Scope
from archdsl.layers.base import Dtype, Shape
from archdsl.layers.sizes import substitute
from archdsl.layers.tensor import InputTensor


def culprit(checked: CheckedGraph, fails: Callable[[CheckedGraph], bool]) -> Node | None:
    """Return the first layer of a network of which `fails` says so when it stands alone.

    Equal layers of equal inputs are looked at once, and many of them in one go: it takes about
    twice as long as to look at the whole network. What takes tensors of the network's own that
    have no batch is passed over.
    """
    found: dict[tuple[object, ...], Node] = {}
    for node in checked.nodes.values():
        batched = all(checked.nodes[read].facts.batched for read in node.inputs)
        if node.inputs and batched and node.name not in checked.training_only:
            shapes = tuple(checked.nodes[read].shape for read in node.inputs)
            found.setdefault((node.layer, shapes), node)
    nodes = list(found.values())
    if not nodes or not fails(side_by_side(checked, nodes)):
        return None
    while len(nodes) > 1:
        half = len(nodes) // 2
        nodes = nodes[:half] if fails(side_by_side(checked, nodes[:half])) else nodes[half:]
    return nodes[0]


def with_sizes(checked: CheckedGraph, sizes: Mapping[str, int]) -> CheckedGraph:
    """Return a network whose free sizes have those values.

    Raises:
        LayerError: a layer doesn't take them.
    """
    made: dict[str, Node] = {}
    for name, node in checked.nodes.items():
        layer, facts = node.layer, node.facts
        if isinstance(layer, InputTensor):
            layer = InputTensor(shape=tuple(substitute(size, sizes) for size in layer.shape))
            facts = layer.infer(())
        elif node.inputs:
            shapes = tuple(made[read].shape for read in node.inputs)
            batched = [made[read].facts.batched for read in node.inputs]
            facts = layer.infer(shapes) if all(batched) else layer.infer_shared(shapes, batched)
        made[name] = replace(node, layer=layer, facts=facts)
    inputs = {name: made[name].shape for name in checked.inputs}
    return replace(checked, nodes=made, inputs=inputs, agreements=(), again=None)


def side_by_side(
    checked: CheckedGraph, nodes: Sequence[Node], label: str = "layer"
) -> CheckedGraph:
    """Return a network in which each of the nodes has inputs and an output of its own.

    Args:
        label: of the nodes, of which all but the first have a number as well.
    """
    root = Scope("", None, checked.name, checked.span)
    inputs: dict[str, Shape] = {}
    made: dict[str, Node] = {}
    dtypes: dict[str, Dtype] = {}
    outputs: list[Output] = []
    for number, node in enumerate(nodes):
        names = []
        for place, read in enumerate(node.inputs):
            shape = checked.nodes[read].shape
            given = InputTensor(shape=shape)
            name = f"input{number}_{place}" if len(nodes) > 1 or len(node.inputs) > 1 else "input"
            inputs[name] = shape
            dtypes[name] = checked.dtype(read)
            made[name] = Node(name, name, given, (), given.infer(()), root, node.span)
            names.append(name)
        facts = node.layer.infer(tuple(made[name].shape for name in names))
        name = f"{label}{number or ''}"
        dtypes[name] = checked.dtype(node.name)
        made[name] = replace(
            node,
            name=name,
            label=name,
            inputs=tuple(names),
            facts=facts,
            scope=root,
            shares="",
            ties=(),
        )
        outputs.append(Output(f"output{number}", name, False, node.span))
    agreements = tuple(pair for node in made.values() for pair in node.facts.agreements)
    return CheckedGraph(
        checked.name,
        "",
        {},
        inputs,
        made,
        tuple(outputs),
        {"": root},
        checked.span,
        agreements,
        dtypes=dtypes,
    )
