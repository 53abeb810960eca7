"""Everything that a count says about a network, as one value that every format is made of."""

from __future__ import annotations

from collections.abc import Mapping, Set

from archdsl.analysis.agreement import Assumptions, assumptions
from archdsl.analysis.cost import Parameters, Usage, cost
from archdsl.analysis.memory import BYTES_PER_NUMBER, MemoryTable, memory
from archdsl.analysis.receptive_field import fields_by_input
from archdsl.analysis.rows import Parts, Row, rows_of
from archdsl.graph import CheckedGraph
from archdsl.layers.base import Shape
from archdsl.records import Record


class OutputShape(Record):
    """An output of a network: its name, its shape, and whether it is one of training only."""

    name: str
    shape: Shape
    training_only: bool


class Report(Record):
    """The counts of a network; sizes are numbers, or formulas where the spec leaves some open.

    Attributes:
        arguments: the values of the network's parameters.
        frozen: parameters that are kept from learning.
        depth: how many layers with multiply-accumulates lie on the longest path at inference.
        folded: the depth at which blocks are folded, or None.
        assumptions: what the free sizes must be for the shapes to agree.
        registered: labels of scopes in the order of the state_dict, where `register` gives it.
        warnings: sentences on what is unusual.
    """

    network: str
    description: str
    arguments: Mapping[str, object]
    inputs: Mapping[str, Shape]
    outputs: tuple[OutputShape, ...]
    rows: tuple[Row, ...]
    parameters: Parameters
    frozen: Usage
    buffers: Usage
    macs: Usage
    other: Mapping[str, Usage]
    memory: MemoryTable
    depth: int
    folded: int | None
    assumptions: Assumptions
    registered: Mapping[str, tuple[str, ...]]
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Report of {totals_of(self)}, {len(self.rows):,} rows>"


def totals_of(report: Report) -> str:
    """Say in a line what a network costs."""
    parameters, macs = (
        f"{size:,}" if isinstance(size, int) else str(size)
        for size in (report.parameters.total, report.macs.inference)
    )
    return f"{report.network}: {parameters} parameters, {macs} multiply-accumulates"


def report(
    checked: CheckedGraph,
    depth: int | None = None,
    bytes_per_number: int = BYTES_PER_NUMBER,
    frozen: Set[str] = frozenset(),
) -> Report:
    """Count a network; blocks `depth` scopes deep become one row (0 makes one row of all).

    `frozen` are the names of parameters that are kept from learning.

    Raises:
        FormulaError: a total depends on free sizes in too intricate a way to write it down.
    """
    costs = cost(checked, frozen)
    table = memory(checked, costs, bytes_per_number)
    parts = Parts(checked, costs, table, fields_by_input(checked))
    return Report(
        network=checked.name,
        description=checked.description,
        arguments=checked.arguments,
        inputs=checked.inputs,
        outputs=tuple(
            OutputShape(each.name, checked.nodes[each.node].shape, each.training_only)
            for each in checked.outputs
        ),
        rows=tuple(rows_of(parts, depth)),
        parameters=costs.parameters,
        frozen=costs.frozen,
        buffers=costs.buffers,
        macs=costs.macs,
        other=costs.other,
        memory=table,
        depth=_longest(checked),
        folded=depth,
        assumptions=assumptions(checked),
        warnings=tuple(each.sentence() for each in checked.warnings),
        registered=checked.registered,
    )


def _longest(checked: CheckedGraph) -> int:
    longest: dict[str, int] = {}
    for name, node in checked.nodes.items():
        before = max((longest[read] for read in node.inputs), default=0)
        counts = node.facts.macs != 0 and name not in checked.training_only
        longest[name] = before + (1 if counts else 0)
    return max(longest.values(), default=0)
