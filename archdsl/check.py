"""Looks at the graph as a whole: no result may be unused, and no layer get what it can't take."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields

from archdsl.diagnostics import ArchError, Diagnostic
from archdsl.dtypes import follow
from archdsl.graph import ByNumber, CheckedGraph, Graph, Numbered


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
    needed = reach(graph, graph.ends)
    dtypes, errors = follow(graph)
    if 0 in needed:
        read = {number for numbers in graph.arrays.reads for number in numbers}
        for number, node in enumerate(graph.nodes.values()):
            if not needed[number] and number not in read:
                errors.append(UnusedResult(node.span, node.trail, name=node.name))
    if errors:
        raise ArchError(*errors)
    aside: frozenset[int] = frozenset()
    if any(output.training_only for output in graph.outputs):
        pairs = zip(graph.ends, graph.outputs, strict=True)
        always = reach(graph, [end for end, output in pairs if not output.training_only])
        aside = frozenset([number for number, runs in enumerate(always) if not runs])
    values = {field.name: getattr(graph, field.name) for field in fields(Graph)}
    return CheckedGraph(
        **values,
        training_only=Numbered(aside, lambda: graph.names),
        dtypes=ByNumber(dtypes, lambda: graph.names),
    )


def reach(graph: Graph, ends: Iterable[int]) -> bytearray:
    """Return a 1 for each node that some nodes depend on, by number, themselves included."""
    reads, ties = graph.arrays.reads, graph.arrays.ties
    found = bytearray(len(reads))
    for end in ends:
        found[end] = 1
    for number in range(len(reads) - 1, -1, -1):  # each comes after those that it reads
        if found[number]:
            for read in reads[number]:
                found[read] = 1
            for owner in ties.get(number, ()):
                if not reads[owner]:  # a tensor of the network's own, which computes nothing
                    found[owner] = 1
    return found
