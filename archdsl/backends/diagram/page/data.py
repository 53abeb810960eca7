"""What a page knows of a network, as JSON."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import PurePath

from archdsl.analysis.receptive_field import Fields, fields_by_input
from archdsl.backends.diagram.box_rows import families_of, sign_of
from archdsl.backends.diagram.figures import Heat
from archdsl.backends.diagram.notation import LONGEST_TEXT, Notation, kind_of, visible
from archdsl.backends.diagram.style import FAMILIES, OTHER, THEMES, Style, Theme
from archdsl.backends.diagram.view.scope_tree import Level, NodeOrScope, ScopeTree
from archdsl.backends.diagram.view.stacks_and_runs import goes_on, kind_of_node, runs_in
from archdsl.backends.diagram.view.summaries import Summaries
from archdsl.backends.diagram.view.view import Cluster, View
from archdsl.diagnostics import Span
from archdsl.graph import CheckedGraph, Node, Scope
from archdsl.layers.sizes import Formula, Size, total

HEAT_STEPS = 24
Json = object


def page_data(view: View, style: Style) -> Mapping[str, Json]:
    """Return all that the page's script reads; nodes and scopes are called by their numbers."""
    checked = view.checked
    tree = ScopeTree(checked)
    scopes = {name: number for number, name in enumerate(checked.scopes)}
    nodes = {name: number for number, name in enumerate(checked.nodes)}
    fields = _fields(checked, style.notation)
    described = _Describer(tree, style, nodes, scopes, fields)
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
        tree: ScopeTree,
        style: Style,
        nodes: Mapping[str, int],
        scopes: Mapping[str, int],
        fields: Mapping[str, tuple[str, str]],
    ) -> None:
        self.tree = tree
        self.figures = style.figures
        self.nodes = nodes
        self.scopes = scopes
        self.fields = fields
        self.notation = style.notation
        self.free = bool(style.notation.formulas.known.requirements)
        self.summaries = Summaries(tree, style.notation)
        self.going_on = {
            item.name
            for scope in tree.checked.scopes.values()
            for last, item in itertools.pairwise(tree.level(scope).items)
            if isinstance(last, Node) and isinstance(item, Node) and goes_on(tree, last, item)
        }

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
            "inputs": [self.nodes[name] for name in node.inputs],
            "scope": self.scopes[node.scope.name],
            "parameters": self.number(costs.parameters),
            "macs": self.number(costs.macs),
            "memory": self.number(self.figures.memory.nodes[node.name]),
            "field": field,
            "stride": stride,
            "place": _place(node.span),
            "source": _source_line(node.span),
            "goesOn": node.name in self.going_on,
            "training": node.name in self.tree.checked.training_only,
        }

    def scope(self, scope: Scope) -> Json:
        """Describe a block or group, with what stands in it: scopes by their negative numbers."""
        level = self.tree.level(scope)
        inside = self.tree.inside(scope)
        training = self.tree.checked.training_only
        return {
            "name": visible(scope.name),
            "label": visible(scope.label),
            "block": visible(scope.block),
            "short": visible(self.summaries.of(scope)),
            "arguments": visible(self.notation.scope(scope.arguments), LONGEST_TEXT),
            "description": visible(scope.description, LONGEST_TEXT),
            "parent": self.scopes[scope.parent.name] if scope.parent else -1,
            "items": [self._item(item) for item in level.items],
            "runs": self.runs_of_blocks(level),
            "training": bool(inside) and all(node.name in training for node in inside),
            "place": _place(scope.span),
            "costs": self.formulas(inside),
        }

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

    def runs_of_blocks(self, level: Level) -> Json:
        """Describe the runs that a click opens; those of layers are shown one by one."""
        return [
            [*run, self.formulas(self.tree.nodes[level.starts[run.start] : level.starts[run.end]])]
            for run in runs_in(self.tree, level)
            if any(isinstance(item, Scope) for item in level.items[run.start : run.end])
        ]

    def number(self, size: Size) -> int | str:
        """Return a count, or the text of a formula."""
        if isinstance(size, Formula):
            return visible(self.notation.formulas.size(size), LONGEST_TEXT)
        return size

    def all_arguments(self, node: Node) -> str:
        """Write all that a layer was given."""
        given = node.layer.given().items()
        return ", ".join(f"{name} = {self.notation.value(value)}" for name, value in given)

    def _item(self, item: NodeOrScope) -> int:
        if isinstance(item, Scope):
            return -self.scopes[item.name]
        return self.nodes[item.name]


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
