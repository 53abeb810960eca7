"""What a network costs in parameters and arithmetic, node by node and in total."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Set

from archdsl.graph import CheckedGraph, Node
from archdsl.layers.base import Shape, numel
from archdsl.layers.sizes import Size, total
from archdsl.records import Record


class Cost(Record):
    """What one node costs for one sample.

    Attributes:
        parameters: how many numbers it learns; 0 where it applies the module of another node
            again, since they are counted there.
        buffers: how many numbers it stores in the state_dict without learning them.
        macs: multiply-accumulates of convolutions, linear layers and matrix products.
        other: arithmetic operations beyond those, by heading.
        frozen: how many of the parameters are kept from learning.
    """

    parameters: Size
    buffers: Size
    macs: Size
    other: Mapping[str, Size]
    frozen: Size = 0


class Parameters(Record):
    """Numbers of parameters.

    `inference` leaves out the modules that only training-only outputs use; `trainable` and
    `frozen` make up `total`.
    """

    total: Size
    trainable: Size
    inference: Size
    frozen: Size = 0


class Usage(Record):
    """The same figure at inference, and in training, where training-only nodes run as well."""

    inference: Size
    training: Size


class CostTable(Record):
    """The costs of a network.

    Attributes:
        nodes: by name, in the order of the graph, the inputs among them.
        frozen: parameters that are kept from learning.
        buffers: of the whole network, and of what inference needs.
        macs: for one sample, forward only. What is applied several times counts each time.
        other: the same for other operations, by heading.
    """

    nodes: Mapping[str, Cost]
    parameters: Parameters
    frozen: Usage
    buffers: Usage
    macs: Usage
    other: Mapping[str, Usage]


class Totals(Record):
    """The parameters of a network, and its multiply-accumulates for one sample."""

    parameters: Parameters
    macs: Usage


def cost(checked: CheckedGraph, frozen: Set[str] = frozenset()) -> CostTable:
    """Count parameters, multiply-accumulates and other operations of every node.

    Args:
        frozen: names of the parameters that are kept from learning, as in the state_dict.

    Raises:
        FormulaError: a total depends on free sizes in too intricate a way to write it down.
    """
    nodes = {name: _of(node, frozen) for name, node in checked.nodes.items()}
    used = {
        node.shares or name
        for name, node in checked.nodes.items()
        if name not in checked.training_only
    }
    stored = total(each.parameters for each in nodes.values())
    kept = total(each.frozen for each in nodes.values())
    return CostTable(
        nodes=nodes,
        parameters=Parameters(
            total=stored,
            trainable=stored - kept,
            inference=total(each.parameters for name, each in nodes.items() if name in used),
            frozen=kept,
        ),
        frozen=Usage(
            inference=total(each.frozen for name, each in nodes.items() if name in used),
            training=kept,
        ),
        buffers=Usage(
            inference=total(each.buffers for name, each in nodes.items() if name in used),
            training=total(each.buffers for each in nodes.values()),
        ),
        macs=_usage(((name, each.macs) for name, each in nodes.items()), checked.training_only),
        other=_headings(nodes, checked.training_only),
    )


def totals(checked: CheckedGraph) -> Totals:
    """Return the totals of `cost` without the costs of each node, in a fraction of the time.

    Raises:
        FormulaError: a total depends on free sizes in too intricate a way to write it down.
    """
    nodes, only = list(checked.nodes.values()), checked.training_only
    aside = [node for node in nodes if node.name in only] if only else []
    shared = {node.shares for node in nodes if node.shares and node.name not in only}
    learned, both = _learned(nodes), total([node.facts.macs for node in nodes])
    needed = learned - _learned([node for node in aside if node.name not in shared])
    macs = both - total([node.facts.macs for node in aside])
    return Totals(Parameters(learned, learned, needed), Usage(macs, both))


def _learned(nodes: Iterable[Node]) -> Size:
    """Count the parameters of nodes, many of which have the same shapes."""
    held = [node.facts.params for node in nodes if node.facts.params and not node.shares]
    times = Counter([shape for tensors in held for shape in tensors.values()])
    return total([number * numel(shape) for shape, number in times.items()])


def in_state(node: Node, tensors: Mapping[str, Shape]) -> dict[str, Shape]:
    """Return a node's parameters or buffers by their names in the state_dict.

    There are none where it applies the module of another node.
    """
    if node.shares:
        return {}
    return {f"{node.name}.{name}" if name else node.name: tensors[name] for name in tensors}


def _of(node: Node, frozen: Set[str]) -> Cost:
    facts = node.facts
    if node.shares:
        return Cost(0, 0, facts.macs, facts.other)
    kept: Size = 0
    if frozen and facts.params:
        named = in_state(node, facts.params)
        kept = _numbers({name: shape for name, shape in named.items() if name in frozen})
    buffers = _numbers(facts.buffers)
    return Cost(_numbers(facts.params), buffers, facts.macs, facts.other, kept)


def _numbers(tensors: Mapping[str, Shape]) -> Size:
    return total(map(numel, tensors.values())) if tensors else 0


def _usage(sizes: Iterable[tuple[str, Size]], training_only: frozenset[str]) -> Usage:
    both: list[Size] = []
    training: list[Size] = []
    for name, size in sizes:
        (training if name in training_only else both).append(size)
    inference = total(both)
    return Usage(inference, inference + total(training))


def _headings(nodes: Mapping[str, Cost], training_only: frozenset[str]) -> Mapping[str, Usage]:
    found: dict[str, list[tuple[str, Size]]] = {}
    for name, each in nodes.items():
        for heading, operations in each.other.items():
            found.setdefault(heading, []).append((name, operations))
    return {heading: _usage(found[heading], training_only) for heading in sorted(found)}
