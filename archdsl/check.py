"""Looks at the graph as a whole: no result may be unused, and no layer get what it can't take."""

from __future__ import annotations

from dataclasses import fields

from archdsl.diagnostics import ArchError, Diagnostic
from archdsl.dtypes import follow
from archdsl.graph import CheckedGraph, Graph


class UnusedResult(Diagnostic):
    """A result that no output depends on.

    A stage whose result goes nowhere is usually a `from` too early, or an output forgotten.
    """

    code = "E0305"
    text = "the result of `{name}` is never used"
    mend = "use it with `from`, make it an output with `output name`, or leave it out"

    name: str


def check(graph: Graph) -> CheckedGraph:
    """Return the graph with the knowledge that nothing is wrong with it.

    Raises:
        ArchError: with everything that is wrong.
    """
    assert graph.outputs  # what was skipped because of an error was reported
    needed = reach(graph, [output.node for output in graph.outputs])
    always = reach(graph, [output.node for output in graph.outputs if not output.training_only])
    unused = graph.nodes.keys() - needed
    dtypes, problems = follow(graph)
    if unused:
        read = {name for node in graph.nodes.values() for name in node.inputs}
        ends = [
            node for node in graph.nodes.values() if node.name in unused and node.name not in read
        ]
        problems += [UnusedResult(node.span, node.trail, name=node.name) for node in ends]
    if problems:
        raise ArchError(*problems)
    values = {field.name: getattr(graph, field.name) for field in fields(Graph)}
    return CheckedGraph(**values, training_only=frozenset(needed - always), dtypes=dtypes)


def reach(graph: Graph, ends: list[str]) -> set[str]:
    """Return the names of the nodes that some nodes depend on, themselves included."""
    found = set(ends)
    for node in reversed([*graph.nodes.values()]):  # each comes after those that it reads
        if node.name in found:
            found.update(node.inputs)
    return found
