"""What the boxes of a picture cost, and how much of the most that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from archdsl.analysis.cost import CostTable, Totals, cost, totals
from archdsl.analysis.memory import MemoryTable, memory
from archdsl.backends.diagram.notation import Notation
from archdsl.backends.diagram.view.view import Box, View
from archdsl.backends.formulas import in_seconds
from archdsl.graph import CheckedGraph
from archdsl.layers.sizes import Formula, FormulaError, Size, total

Heat = Literal["macs", "parameters", "memory", "time"]
HEATS: tuple[Heat, ...] = ("macs", "parameters", "memory", "time")
UNITS: Mapping[Heat, str] = {"macs": " MACs", "parameters": " params", "memory": " bytes"}


@dataclass(frozen=True, eq=False)
class Figures:
    """Parameters, multiply-accumulates and bytes of activations, node by node.

    Attributes:
        times: how long nodes took, in nanoseconds, where that was measured.
    """

    checked: CheckedGraph
    times: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def costs(self) -> CostTable:
        return cost(self.checked)

    @cached_property
    def totals(self) -> Totals:
        """What the whole network costs, for pictures that show no more than that."""
        return totals(self.checked)

    @cached_property
    def memory(self) -> MemoryTable:
        return memory(self.checked, self.costs)

    def of(self, box: Box, what: Heat) -> Size:
        """Return the sum over the nodes of a box."""
        names = [node.name for node in box.nodes]
        if what == "time":
            return total(self.times.get(name, 0) for name in names)
        if what == "memory":
            return total(self.memory.nodes[name] for name in names)
        if what == "macs":
            return total(self.costs.nodes[name].macs for name in names)
        return total(self.costs.nodes[name].parameters for name in names)

    def quantity(self, size: Size, what: Heat, notation: Notation) -> str:
        """Write how much something costs, with its unit."""
        if what == "time" and isinstance(size, int):
            return in_seconds(size / 1e9)
        return f"{notation.quantity(size)}{UNITS[what]}"

    def written(self, box: Box, notation: Notation) -> str:
        """Write parameters and multiply-accumulates of a box, if it has any."""
        parameters, macs = self.of(box, "parameters"), self.of(box, "macs")
        parts = []
        if parameters != 0:
            parts.append(f"{notation.quantity(parameters)} params")
        if macs != 0:
            parts.append(f"{notation.quantity(macs)} MACs")
        return ", ".join(parts)


def shares(view: View, figures: Figures, heat: Heat) -> dict[int, float]:
    """Return, for each box, its cost as a share of that of the costliest box.

    Where sizes are free and a cost is a formula, the box has no share.
    """
    values = {box.index: figures.of(box, heat) for box in view.boxes if box.nodes}
    known = {index: value for index, value in values.items() if isinstance(value, int)}
    most = max(known.values(), default=0)
    return {index: value / most for index, value in known.items()} if most else {}


def totals_of(figures: Figures, notation: Notation) -> str:
    """Say in a line what `totals_said` says."""
    return "; ".join(totals_said(figures, notation))


def totals_said(figures: Figures, notation: Notation) -> Sequence[str]:
    """Say what the network costs, as far as that can be written down.

    Where sizes are free it also says for which of them the picture writes formulas.
    """
    condition = notation.formulas.condition
    said = [_totals(figures, notation)]
    return [*said, f"formulas are for {condition}"] if condition else said


def _totals(figures: Figures, notation: Notation) -> str:
    try:
        costs = figures.totals
    except FormulaError:
        return "totals depend on the free sizes in too intricate a way"
    parameters = f"{notation.exact(costs.parameters.total)} parameters"
    if costs.parameters.inference != costs.parameters.total:
        parameters += f" ({notation.exact(costs.parameters.inference)} at inference)"
    macs = costs.macs.inference
    said = notation.exact(macs) if isinstance(macs, Formula) else notation.quantity(macs)
    return f"{parameters}, {said} multiply-accumulates"
