"""The rows of a count: one for each layer, or for each block that is folded.

What has a row:

* Every layer, with parameters or without, in the order of the spec, and so have merges and
  tensors of the network's own: someone who follows the shapes down the table needs the line on
  which four branches become 256 channels, and the columns must add up. Inputs have none: they
  stand above the table.
* At a depth, a block or group that deep becomes one row: the sums of all that is in it, the
  shapes that go in, and the shape and receptive field of what comes out last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from archdsl.analysis.cost import Cost, CostTable
from archdsl.analysis.memory import MemoryTable
from archdsl.analysis.receptive_field import Fields
from archdsl.analysis.roofline import Bound, together
from archdsl.analysis.training import Step, Training
from archdsl.graph import CheckedGraph, Node, Scope
from archdsl.layers.base import NOTHING, Shape, by
from archdsl.layers.sizes import Formula, Size, total
from archdsl.layers.tensor import InputTensor
from archdsl.records import Record

MOST_SUMMANDS = 6  # of a folded block's parameters, written as a sum


class Row(Record):
    """One layer, or one block or group that is folded.

    Attributes:
        name: the node's, or the scope's.
        type: name of the layer or block; "concat" and the like for merges, "group" for a group.
        inputs: shapes of the tensors that go in.
        output: shape of the tensor that comes out, the last one if there are several.
        memory: bytes of all outputs, as training keeps them.
        fields: receptive fields of the output by name of the input, for the inputs it sees.
        arithmetic: how the parameters come about: "(5 x 5 x 1 + 1) x 6".
        training_only: nothing in it runs at inference.
        shares: name of the row's node whose module is applied again, or "".
        layers: how many nodes it stands for.
        frozen: how many of the parameters are kept from learning.
        step: what it takes in a training step, if that is counted.
        tied: the parameters of others that its module has as its own, by their names in the
            state_dict; they are counted there.
        bound: the least time on a device; None where none is asked for, or it doesn't run.
    """

    name: str
    type: str
    inputs: tuple[Shape, ...]
    output: Shape
    parameters: Size
    buffers: Size
    macs: Size
    other: Mapping[str, Size]
    memory: Size
    fields: Mapping[str, Fields]
    arithmetic: str
    training_only: bool
    shares: str
    layers: int
    frozen: Size = 0
    tied: tuple[str, ...] = ()
    bound: Bound | None = None
    step: Step | None = None


def first_fields(row: Row) -> Fields:
    """Return a row's receptive fields with respect to the first input that it sees."""
    return next(iter(row.fields.values()), ())


class Parts(Record):
    """What rows are made of: the network, and its tables."""

    checked: CheckedGraph
    costs: CostTable
    memory: MemoryTable
    fields: Mapping[str, Mapping[str, Fields]]
    bounds: Mapping[str, Bound]
    training: Training | None = None

    def step(self, *names: str) -> Step | None:
        """Return what nodes take together in a training step."""
        return None if self.training is None else self.training.of(names)


def rows_of(parts: Parts, depth: int | None) -> Iterator[Row]:
    """Yield the rows in the order of the spec; blocks `depth` scopes deep are one row each."""
    nodes = parts.checked.nodes
    folds: dict[str | Scope, list[str]] = {}
    ancestors: dict[Scope, Scope | None] = {}
    for name, node in nodes.items():
        if isinstance(node.layer, InputTensor):
            continue
        scope = node.scope
        # nodes are many, and scopes are few
        if scope not in ancestors:
            ancestors[scope] = _ancestor(scope, depth)
        folds.setdefault(ancestors[scope] or name, []).append(name)
    # a folded block is seen from outside: what comes out of it is what others read
    folded = [names for fold, names in folds.items() if isinstance(fold, Scope)]
    leaving = _leaving(parts.checked, folded)
    alike: dict[tuple[int, ...], Row] = {}
    for fold, names in folds.items():
        if isinstance(fold, Scope):
            yield _block_row(parts, fold, names, leaving.get(names[0], names[-1]))
        else:
            yield _layer_row(parts, nodes[fold], alike)


def _ancestor(scope: Scope, depth: int | None) -> Scope | None:
    """Return the scope at a depth that holds another, or None if that lies less deep."""
    if depth is None:
        return None
    path = [scope]
    while path[-1].parent:
        path.append(path[-1].parent)
    return path[-1 - depth] if len(path) > depth else None


def _leaving(checked: CheckedGraph, folds: Iterable[Sequence[str]]) -> Mapping[str, str]:
    """Return, by the first node of each fold, the last of its nodes that is read outside it."""
    fold_of = {name: names[0] for names in folds for name in names}
    if not fold_of:
        return {}
    left = {output.node for output in checked.outputs}
    for name, node in checked.nodes.items():
        left.update(read for read in node.inputs if fold_of.get(read) != fold_of.get(name))
    return {fold_of[name]: name for name in fold_of if name in left}


def _layer_row(parts: Parts, node: Node, alike: dict[tuple[int, ...], Row]) -> Row:
    """Return the row of a node; in `alike` are those of others, which it may share much with."""
    name, nodes = node.name, parts.checked.nodes
    each, sources = parts.costs.nodes[name], node.sources
    # layers, facts and costs that are equal are mostly one object, which lives as long as `parts`
    key = (id(node.layer), id(node.facts), id(each), *[id(nodes[read].facts) for read in sources])
    like = alike.get(key)
    if like is None or node.shares or node.ties:
        like = alike[key] = Row(
            name="",
            type=node.type,
            inputs=tuple([nodes[read].shape for read in sources]),
            output=node.shape,
            parameters=each.parameters,
            buffers=each.buffers,
            macs=each.macs,
            other=each.other,
            memory=0,
            fields=NOTHING,
            arithmetic="" if node.shares else arithmetic(node),
            training_only=False,
            shares=node.shares,
            layers=1,
            frozen=each.frozen,
            tied=tuple([tie.path for tie in node.ties]),
        )
    return like._replace(
        name=name,
        memory=parts.memory.nodes[name],
        fields=_fields_of(parts, name),
        training_only=name in parts.checked.training_only,
        step=parts.step(name),
        bound=parts.bounds.get(name),
    )


def _block_row(parts: Parts, scope: Scope, names: Sequence[str], last: str) -> Row:
    nodes = parts.checked.nodes
    inside = set(names)
    read = dict.fromkeys(read for name in names for read in nodes[name].sources)
    costs = [parts.costs.nodes[name] for name in names]
    return Row(
        name=scope.name or parts.checked.name,
        type=(scope.block or "group") if scope.name else "network",
        inputs=tuple(nodes[name].shape for name in read if name not in inside),
        output=nodes[last].shape,
        parameters=total(each.parameters for each in costs),
        buffers=total(each.buffers for each in costs),
        macs=total(each.macs for each in costs),
        other=_headings(costs),
        memory=total(parts.memory.nodes[name] for name in names),
        fields=_fields_of(parts, last),
        arithmetic=_sum([each.parameters for each in costs if each.parameters != 0]),
        training_only=inside <= parts.checked.training_only,
        shares="",
        layers=len(names),
        frozen=total(each.frozen for each in costs),
        bound=together([parts.bounds[name] for name in names if name in parts.bounds])
        if parts.bounds
        else None,
        step=parts.step(*names),
    )


def _headings(costs: Iterable[Cost]) -> Mapping[str, Size]:
    found: dict[str, list[Size]] = {}
    for each in costs:
        for heading, operations in each.other.items():
            found.setdefault(heading, []).append(operations)
    return {heading: total(found[heading]) for heading in sorted(found)}


def _fields_of(parts: Parts, name: str) -> Mapping[str, Fields]:
    return {of: fields[name] for of, fields in parts.fields.items() if name in fields}


def arithmetic(node: Node) -> str:
    """Write how many parameters a node has as a product or sum of products of sizes."""
    params = node.facts.params
    if node.facts.arithmetic or not params:
        return node.facts.arithmetic
    return " + ".join(by(shape) if shape else "1" for shape in params.values())


def _sum(sizes: Sequence[Size]) -> str:
    if len(sizes) > MOST_SUMMANDS:
        return ""
    return " + ".join(f"({size})" if isinstance(size, Formula) else str(size) for size in sizes)
