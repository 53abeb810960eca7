"""Everything that a count says about a network, as one value that every format is made of.

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
from fractions import Fraction
from typing import NamedTuple

from archdsl.analysis.agreement import Assumptions, assumptions
from archdsl.analysis.cost import Cost, CostTable, Parameters, Usage, cost
from archdsl.analysis.memory import BYTES_PER_NUMBER, MemoryTable, memory
from archdsl.analysis.receptive_field import Extent, Fields, receptive_fields
from archdsl.graph import CheckedGraph, Node, Scope
from archdsl.layers.base import Shape, by
from archdsl.layers.sizes import Formula, Size, total
from archdsl.layers.tensor import InputTensor

MOST_INPUTS = 8  # of which receptive fields are reported; the first ones
MOST_SUMMANDS = 6  # of a folded block's parameters, written as a sum


class Row(NamedTuple):
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


class OutputShape(NamedTuple):
    """An output of a network: its name, its shape, and whether it is one of training only."""

    name: str
    shape: Shape
    training_only: bool


class Report(NamedTuple):
    """The counts of a network; sizes are numbers, or formulas where the spec leaves some open.

    Attributes:
        arguments: the values of the network's parameters.
        depth: how many layers with multiply-accumulates lie on the longest path at inference.
        folded: the depth at which blocks are folded, or None.
        assumptions: what the free sizes must be for the shapes to agree.
    """

    network: str
    description: str
    arguments: Mapping[str, object]
    inputs: Mapping[str, Shape]
    outputs: tuple[OutputShape, ...]
    rows: tuple[Row, ...]
    parameters: Parameters
    buffers: Usage
    macs: Usage
    other: Mapping[str, Usage]
    memory: MemoryTable
    depth: int
    folded: int | None
    assumptions: Assumptions


def report(
    checked: CheckedGraph, depth: int | None = None, bytes_per_number: int = BYTES_PER_NUMBER
) -> Report:
    """Count a network; blocks `depth` scopes deep become one row (0 makes one row of all).

    Raises:
        FormulaError: a total depends on free sizes in too intricate a way to write it down.
    """
    costs = cost(checked)
    table = memory(checked, costs, bytes_per_number)
    seen = list(checked.inputs)[:MOST_INPUTS]
    fields = {name: receptive_fields(checked, name) for name in seen}
    parts = _Parts(checked, costs, table, fields)
    return Report(
        network=checked.name,
        description=checked.description,
        arguments=checked.arguments,
        inputs=checked.inputs,
        outputs=tuple(
            OutputShape(each.name, checked.nodes[each.node].shape, each.training_only)
            for each in checked.outputs
        ),
        rows=tuple(_rows(parts, depth)),
        parameters=costs.parameters,
        buffers=costs.buffers,
        macs=costs.macs,
        other=costs.other,
        memory=table,
        depth=_longest(checked),
        folded=depth,
        assumptions=assumptions(checked),
    )


def as_data(report: Report) -> dict[str, object]:
    """Return a report as what JSON has: numbers, strings (of formulas), lists and objects."""
    return {
        "network": report.network,
        "description": report.description,
        "inputs": {name: _listed(shape) for name, shape in report.inputs.items()},
        "outputs": {each.name: _listed(each.shape) for each in report.outputs},
        "training_outputs": [each.name for each in report.outputs if each.training_only],
        "parameters": {name: _plain(size) for name, size in report.parameters._asdict().items()},
        "buffers": _usage(report.buffers),
        "macs": _usage(report.macs),
        "other": {heading: _usage(usage) for heading, usage in report.other.items()},
        "memory": {
            "parameters": _plain(report.memory.parameters),
            "buffers": _plain(report.memory.buffers),
            "inputs": _plain(report.memory.inputs),
            "activations": _plain(report.memory.training),
            "peak": _plain(report.memory.peak),
            "bytes_per_number": report.memory.bytes_per_number,
        },
        "depth": report.depth,
        "assumptions": list(report.assumptions.sentences()),
        "layers": [_row_data(row) for row in report.rows],
    }


def first_fields(row: Row) -> Fields:
    """Return a row's receptive fields with respect to the first input that it sees."""
    return next(iter(row.fields.values()), ())


def _row_data(row: Row) -> dict[str, object]:
    fields = first_fields(row)
    data: dict[str, object] = {
        "name": row.name,
        "type": row.type,
        "inputs": [_listed(shape) for shape in row.inputs],
        "output": _listed(row.output),
        "parameters": _plain(row.parameters),
        "buffers": _plain(row.buffers),
        "macs": _plain(row.macs),
        "other": {heading: _plain(size) for heading, size in row.other.items()},
        "memory": _plain(row.memory),
        **_field_data(fields),
        "arithmetic": row.arithmetic,
        "training_only": row.training_only,
        "shares": row.shares,
    }
    if len(row.fields) > 1:
        data["fields"] = {name: _field_data(fields) for name, fields in row.fields.items()}
    return data


def _field_data(fields: Fields) -> dict[str, object]:
    return {
        "receptive_field": [_plain(field.size) for field in fields],
        "stride": [_plain(field.stride) for field in fields],
        "offset": [_plain(field.start) for field in fields],
    }


def _usage(usage: Usage) -> dict[str, object]:
    return {name: _plain(size) for name, size in usage._asdict().items()}


def _listed(shape: Shape) -> list[object]:
    return [_plain(size) for size in shape]


def _plain(extent: Extent) -> int | float | str | None:
    if isinstance(extent, Formula):
        return str(extent)
    return float(extent) if isinstance(extent, Fraction) else extent


class _Parts(NamedTuple):
    """What rows are made of."""

    checked: CheckedGraph
    costs: CostTable
    memory: MemoryTable
    fields: Mapping[str, Mapping[str, Fields]]


def _rows(parts: _Parts, depth: int | None) -> Iterator[Row]:
    nodes = parts.checked.nodes
    folds: dict[str | Scope, list[str]] = {}
    ancestors: dict[Scope, Scope | None] = {}
    for name, node in nodes.items():
        if isinstance(node.layer, InputTensor):
            continue
        scope = node.scope
        if scope not in ancestors:
            ancestors[scope] = _ancestor(scope, depth)
        folds.setdefault(ancestors[scope] or name, []).append(name)
    leaving = _leaving(parts.checked, folds.values()) if depth is not None else {}
    for fold, names in folds.items():
        if isinstance(fold, Scope):
            yield _block_row(parts, fold, names, leaving.get(names[0], names[-1]))
        else:
            yield _layer_row(parts, nodes[fold])


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
    left = {output.node for output in checked.outputs}
    for name, node in checked.nodes.items():
        left.update(read for read in node.inputs if fold_of.get(read) != fold_of.get(name))
    return {fold_of[name]: name for name in fold_of if name in left}


def _layer_row(parts: _Parts, node: Node) -> Row:
    each = parts.costs.nodes[node.name]
    return Row(
        name=node.name,
        type=node.type,
        inputs=tuple(parts.checked.nodes[read].shape for read in node.inputs),
        output=node.shape,
        parameters=each.parameters,
        buffers=each.buffers,
        macs=each.macs,
        other=each.other,
        memory=parts.memory.nodes[node.name],
        fields=_fields_of(parts, node.name),
        arithmetic="" if node.shares else arithmetic(node),
        training_only=node.name in parts.checked.training_only,
        shares=node.shares,
        layers=1,
    )


def _block_row(parts: _Parts, scope: Scope, names: Sequence[str], last: str) -> Row:
    nodes = parts.checked.nodes
    inside = set(names)
    read = dict.fromkeys(read for name in names for read in nodes[name].inputs)
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
    )


def _headings(costs: Iterable[Cost]) -> Mapping[str, Size]:
    found: dict[str, list[Size]] = {}
    for each in costs:
        for heading, operations in each.other.items():
            found.setdefault(heading, []).append(operations)
    return {heading: total(found[heading]) for heading in sorted(found)}


def _fields_of(parts: _Parts, name: str) -> Mapping[str, Fields]:
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


def _longest(checked: CheckedGraph) -> int:
    longest: dict[str, int] = {}
    for name, node in checked.nodes.items():
        before = max((longest[read] for read in node.inputs), default=0)
        counts = node.facts.macs != 0 and name not in checked.training_only
        longest[name] = before + (1 if counts else 0)
    return max(longest.values(), default=0)
