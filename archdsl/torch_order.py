"""Finds layers that were most likely written with the arguments of torch, in its order.

`Conv2d(3, 8, 3)` has a kernel of 8 and a stride of 3 here, where what comes in is left out. Most
calls in torch's order are errors, such as `Linear(784, 10)`; those of convolutions may pass.
"""

from __future__ import annotations

from collections.abc import Iterator

from archdsl.diagnostics import Diagnostic, Span
from archdsl.graph import Graph
from archdsl.layers.base import squeeze
from archdsl.layers.homes import is_own

LEAST = 3  # arguments in order: torch takes what comes in, what goes out, and the kernel


class TorchOrder(Diagnostic):
    """A layer whose first arguments look as if they stood in torch's order."""

    text = "`{name}`, a `{layer}`, has {said} here"
    mend = "if this is torch's order, leave out what comes in, which is always known: `{meant}`"

    name: str
    layer: str
    said: str
    meant: str

    @property
    def severity(self) -> str:
        return "warning"


def in_torch_order(graph: Graph) -> list[TorchOrder]:
    """Return what is worth saying of layers that seem to be written so, once for each place."""
    found: dict[Span, TorchOrder] = {}
    facts, reads, layers = graph.arrays.facts, graph.arrays.reads, graph.arrays.layers
    # what makes the same of the same is looked at once: mostly no node has to be named
    first = {id(facts[number]): number for number in range(len(facts) - 1, -1, -1)}
    suspects = {
        key: meant
        for key, number in first.items()
        if reads[number]
        and not is_own(type(layers[number]))
        and (meant := layers[number].in_torch_order(tuple(facts[n].output for n in reads[number])))
    }
    for node in graph.nodes.values() if suspects else ():
        meant = suspects.get(id(node.facts), "")
        if not meant or node.span in found or node.shares:
            continue
        if len(list(_numbers_by_position(node.span))) >= LEAST:
            *before, last = (
                f"{name} = {squeeze(getattr(node.layer, name))}"
                for name in [*type(node.layer).model_fields][:LEAST]
            )
            found[node.span] = TorchOrder(
                node.span,
                node.trail,
                name=node.name,
                layer=node.type,
                said=f"{', '.join(before)} and {last}",
                meant=meant,
            )
    return [*found.values()]


def _numbers_by_position(span: Span) -> Iterator[str]:
    """Yield the arguments with which a call begins that are neither named nor lists, as written."""
    text = span.source.text[span.start : span.end]
    depth, argument = 0, ""
    for sign in text[text.find("(") + 1 : text.rfind(")")] + ",":
        if sign == "=" and depth == 0:
            return
        if sign == "," and depth == 0:
            if argument.strip()[:1] in ("", "[", "("):
                return
            yield argument
            argument = ""
            continue
        depth += (sign in "([") - (sign in ")]")
        argument += sign
