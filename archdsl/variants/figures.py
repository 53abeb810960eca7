"""The figures of a network by name, as conditions, sorting and tables know them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from archdsl.analysis.report import Report
from archdsl.backends.columns import OF_NETWORKS, Column
from archdsl.layers.sizes import Size

# Of the columns of a comparison those that are numbers; with a short name for what is asked most.
SHORT = {
    "macs": "macs_inference",
    "other": "other_inference",
    "memory": "memory_activations",
    "peak": "memory_peak",
}
NAMES = (
    "depth", "parameters", "parameters_inference", "buffers", "macs", "macs_training", "other",
    "other_training", "memory_parameters", "memory", "peak",
)  # fmt: skip
SHOWN = ("parameters", "macs", "memory", "peak", "depth")  # what people see first
OF: Mapping[str, Column[Report]] = {name: OF_NETWORKS[SHORT.get(name, name)] for name in NAMES}
BYTES = frozenset({"memory_parameters", "memory", "peak"})
GETTERS: tuple[Callable[[Report], Any], ...] = tuple(column.value for column in OF.values())


HIDDEN = "counted_"  # begins the name of a figure whose own is that of a parameter


def unhidden(name: str, parameters: Collection[str]) -> str:
    """Return the name of a figure, or other column, beside parameters that may be called so."""
    while name in parameters:
        name = f"{HIDDEN}{name}"
    return name


def figures_of(report: Report) -> tuple[Size | None, ...]:
    """Return the figures of a network, in the order of `NAMES`; None is what is not known."""
    return tuple([get(report) for get in GETTERS])
