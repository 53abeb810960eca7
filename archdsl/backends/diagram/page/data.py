"""What a page knows of a network, as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import PurePath

from archdsl.analysis.receptive_field import Fields, fields_by_input
from archdsl.backends.diagram.box_rows import families_of, rows_of, sign_of
from archdsl.backends.diagram.figures import Heat
from archdsl.backends.diagram.notation import LONGEST_TEXT, Notation, kind_of, visible
from archdsl.backends.diagram.page.parts import Link, Look, RunOfParts, parts_of_scopes
from archdsl.backends.diagram.style import FAMILIES, OTHER, THEMES, Style, Theme
from archdsl.backends.diagram.view.scope_tree import NodeOrScope, ScopeTree
from archdsl.backends.diagram.view.stacks_and_runs import kind_of_node
from archdsl.backends.diagram.view.summaries import Summaries
from archdsl.backends.diagram.view.view import Box, BoxKind, Cluster, View
from archdsl.diagnostics import Span
from archdsl.graph import CheckedGraph, Node, Scope
from archdsl.layers.sizes import Formula, Size, total

HEAT_STEPS = 24
Json = object


def page_data(view: View, style: Style) -> Mapping[str, Json]:
    """Return all that the page's script reads; nodes and scopes are called by their numbers."""
    checked = view.checked
    scopes = {name: number for number, name in enumerate(checked.scopes)}
    nodes = {name: number for number, name in enumerate(checked.nodes)}
    fields = _fields(checked, style.notation)
    described = _Describer(view, style, nodes, scopes, fields)
    return {
        "name": visible(checked.name),
        "nodes": [described.node(node) for node in checked.nodes.values()],
        "scopes": [described.scope(scope) for scope in checked.scopes.values()],
        "outputs": [
            {
                "name": visible(output.name),
                "node": nodes[output.node],
                "training": output.training_only,
            }
            for output in checked.outputs
        ],
        "open": [0, *sorted(scopes[scope.name] for scope in _open_scopes(view))],
        "colour": style.heated or "family",
        "timed": bool(style.figures.times),
        "families": [f for f in families_of(checked.nodes.values()) if f != "tensor"],
        "themes": {theme.name: _theme(theme, checked) for theme in THEMES.values()},
    }


def _open_scopes(view: View) -> Iterable[Scope]:
    waiting = list(view.children)
    while waiting:
        child = waiting.pop()
        if isinstance(child, Cluster):
            yield child.scope
            waiting += child.children
        else:
            yield from child.heads


def _theme(theme: Theme, checked: CheckedGraph) -> Json:
    shown = families_of(checked.nodes.values())
    return {
        "families": {family: theme.family(family) for family in shown if family in FAMILIES},
        "other": theme.family(OTHER),
        "heat": [theme.warm(step / HEAT_STEPS) for step in range(HEAT_STEPS + 1)],
    }


class _Describer:
    """Writes nodes and scopes as JSON."""

    def __init__(
        self,
        view: View,
        style: Style,
        nodes: Mapping[str, int],
        scopes: Mapping[str, int],
        fields: Mapping[str, tuple[str, str]],
    ) -> None:
        self.tree = tree = ScopeTree(view.checked)
        self.style = style
        self.figures = style.figures
        self.nodes = nodes
        self.scopes = scopes
        self.fields = fields
        self.notation = style.notation
        self.free = bool(style.notation.formulas.known.requirements)
        summaries = Summaries(tree, style.notation)
        said = {name: summaries.of(scope) for name, scope in view.checked.scopes.items()}
        self.view = view._replace(summaries=said)  # of all blocks: each may be folded
        self.parts = parts_of_scopes(tree)

    def node(self, node: Node) -> Json:
        """Describe a layer, merge or tensor."""
        field, stride = self.fields.get(node.name, ("", ""))
        costs = self.figures.costs.nodes[node.name]
        return {
            "name": visible(node.name),
            "label": visible(node.label),
            "type": visible(kind_of(node.layer)),
            "short": visible(self.notation.arguments(node.layer)),
            "arguments": visible(self.all_arguments(node), LONGEST_TEXT),
            "family": visible(node.layer.family),
            "kind": kind_of_node(node),
            "sign": sign_of(node),
            "shape": visible(self.notation.shape(node.shape)),
            "inputs": [self.nodes[name] for name in node.sources],
            "scope": self.scopes[node.scope.name],
            "parameters": self.number(costs.parameters),
            "macs": self.number(costs.macs),
            "memory": self.number(self.figures.memory.nodes[node.name]),
            "field": field,
            "stride": stride,
            "place": _place(node.span),
            "source": _source_line(node.span),
            "training": node.name in self.tree.checked.training_only,
            **({"time": times.get(node.name, 0)} if (times := self.figures.times) else {}),
        }

    def scope(self, scope: Scope) -> Json:
        """Describe a block or group, with what it shows when it is open.

        Of its parts a stack is a list of layers, and a scope its negative number.
        """
        inside = self.tree.inside(scope)
        training = self.tree.checked.training_only
        parts = self.parts[scope.name]
        return {
            "name": visible(scope.name),
            "label": visible(scope.label),
            "block": visible(scope.block),
            "rows": self.rows(self.box(scope, "block", (scope,), *self.tree.span(scope))),
            "arguments": visible(self.notation.scope(scope.arguments), LONGEST_TEXT),
            "description": visible(scope.description, LONGEST_TEXT),
            "parent": self.scopes[scope.parent.name] if scope.parent else -1,
            "parts": [self.part(items) for items in parts.items],
            "runs": [self.run(scope, run) for run in parts.runs],
            "links": [self.link(*link) for link in parts.links.items()],
            "training": bool(inside) and all(node.name in training for node in inside),
            "place": _place(scope.span),
            "costs": self.formulas(inside),
        }

    def part(self, items: Sequence[NodeOrScope]) -> Json:
        """Return the number of a scope, or those of the layers of a stack and what they cost."""
        first = items[0]
        if isinstance(first, Scope):
            return -self.scopes[first.name]
        numbers: list[int | str] = [self.nodes[item.name] for item in items]
        if self.style.counts and kind_of_node(first) == "layers":
            start = self.tree.places[first.name]
            box = self.box(first.scope, "layers", tuple(items), start, start + len(items))
            numbers += filter(None, [self.figures.written(box, self.notation)])
        return numbers

    def run(self, scope: Scope, run: RunOfParts) -> Json:
        """Describe a run: where it is among the parts, and what it shows while it is folded."""
        level = self.tree.level(scope)
        (start, period, times), first, end = run
        at = slice(start, start + period * times)
        places = level.starts[at.start], level.starts[at.stop]
        box = self.box(scope, "run", tuple(level.items[at]), *places, times)
        costs = self.formulas(box.nodes)
        return {"first": first, "end": end, "times": times, "rows": self.rows(box), "costs": costs}

    def box(
        self,
        scope: Scope,
        kind: BoxKind,
        items: tuple[NodeOrScope, ...],
        start: int,
        end: int,
        times: int = 1,
    ) -> Box:
        """Return a box as a picture has it, for what is written in it."""
        nodes = self.tree.nodes[start:end]
        return Box(0, kind, items, nodes, start, scope.name, times=times)

    def rows(self, box: Box) -> Json:
        """Write the rows of a box: a remark as text, others as lists of what stands in them."""
        return [
            row.text if row.small else [row.strong, row.text, row.name, row.family]
            for row in rows_of(self.view, box, self.style)
        ]

    def link(self, link: Link, look: Look) -> Json:
        """Write a link, with its looks as a sum of 1, 2 and 4."""
        looks = sum(1 << bit for bit, is_so in enumerate(look) if is_so)
        number = self.tree.order[link.tensor]
        return [link.source, link.target, number, looks] if looks else [*link[:2], number]

    def formulas(self, inside: Sequence[Node]) -> Json:
        """Write what nodes cost together, where it is a formula: a page adds numbers itself."""
        costs, memory = self.figures.costs.nodes, self.figures.memory.nodes
        names = [node.name for node in inside]
        sums: dict[Heat, Iterable[Size]] = {
            "parameters": (costs[name].parameters for name in names),
            "macs": (costs[name].macs for name in names),
            "memory": (memory[name] for name in names),
        }
        if not self.free:
            return {}
        return {what: self.number(total(sizes)) for what, sizes in sums.items()}

    def number(self, size: Size) -> int | str:
        """Return a count, or the text of a formula."""
        if isinstance(size, Formula):
            return visible(self.notation.formulas.size(size), LONGEST_TEXT)
        return size

    def all_arguments(self, node: Node) -> str:
        """Write all that a layer was given."""
        given = node.layer.given().items()
        return ", ".join(f"{name} = {self.notation.value(value)}" for name, value in given)


def _place(span: Span) -> str:
    """Say where something is in its spec, by the name of the file: the page may go anywhere."""
    name = PurePath(span.source.path).name
    return visible(f"{name}:{span.line}:{span.column}", 200)


def _source_line(span: Span) -> str:
    return visible(span.source.line(span.line).strip(), 200)


def _fields(checked: CheckedGraph, notation: Notation) -> Mapping[str, tuple[str, str]]:
    """Return receptive field and stride of each node, with respect to the first input it sees."""
    found: dict[str, tuple[str, str]] = {}
    for seen in fields_by_input(checked).values():
        for node, fields in seen.items():
            if fields and node not in found:
                found[node] = _written(fields, notation)
    return found


def _written(fields: Fields, notation: Notation) -> tuple[str, str]:
    sizes = " x ".join(_extent(field.size, notation) for field in fields)
    return sizes, " x ".join(_extent(field.stride, notation) for field in fields)


def _extent(value: Size | Fraction | None, notation: Notation) -> str:
    if value is None:
        return "?"
    return visible(notation.formulas.length(value) if isinstance(value, Formula) else str(value))
