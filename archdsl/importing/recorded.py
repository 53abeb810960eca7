"""Modules by name as graphs, without a text: to count and draw what the language can't say too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from archdsl.diagnostics import ArchError
from archdsl.graph import CheckedGraph
from archdsl.importing.imported import graph_of
from archdsl.importing.made import in_order, made, random_inputs
from archdsl.importing.naming import valid

BATCH = 2


def recorded(
    what: str, arguments: Mapping[str, object], shapes: Sequence[tuple[str, tuple[int, ...]]]
) -> CheckedGraph:
    """Return the graph of a module by its name.

    It is made and run without numbers (on the meta device) if that goes, and else with them.

    Raises:
        ArchError: it can't be found or made, or doesn't run on the inputs.
    """
    try:
        with torch.device("meta"):
            module, title = made(what, arguments)
            return graph(module, title, shapes)
    except ArchError:
        module, title = made(what, arguments)
        return graph(module, title, shapes)


def graph(
    module: nn.Module, title: str, shapes: Sequence[tuple[str, tuple[int, ...]]]
) -> CheckedGraph:
    """Return the graph of a module."""
    shapes = [shapes[at] for at in in_order(module, [name for name, _ in shapes])]
    inputs = random_inputs(module, [shape for _, shape in shapes], BATCH)
    return graph_of(module, inputs, valid(title), [name for name, _ in shapes])
