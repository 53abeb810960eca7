"""How tests of the language see a graph: as lines of text."""

from __future__ import annotations

from collections.abc import Callable

from archdsl.diagnostics import Diagnostic
from archdsl.graph import CheckedGraph

# The fixtures of conftest.py, by the types of what they are.
Arch = Callable[..., CheckedGraph]
Stages = Callable[..., list[str]]
Wrong = Callable[..., list[Diagnostic]]
Value = Callable[..., object]


def lines(graph: CheckedGraph) -> list[str]:
    """Write a graph as lines, `conv Conv2d(image) 8 x 6 x 6`, inputs and merges among them."""
    return [
        f"{node.name} {node.type}({', '.join(node.inputs)}) {' x '.join(map(str, node.shape))}"
        for node in graph.nodes.values()
    ]


def outputs(graph: CheckedGraph) -> dict[str, str]:
    """Return the node that gives each output."""
    return {output.name: output.node for output in graph.outputs}
