"""What a page knows of a network, as JSON."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import PurePath

from archdsl.analysis.receptive_field import Fields, fields_by_input
from archdsl.backends.diagram.escaping import LONGEST_TEXT, visible
from archdsl.backends.diagram.palette import FAMILIES, OTHER, THEMES, Theme
from archdsl.backends.diagram.rows import Style, families_of, sign_of
from archdsl.backends.diagram.runs import runs_in
from archdsl.backends.diagram.stacks import goes_on, kind_of_node
from archdsl.backends.diagram.titles import Titles
from archdsl.backends.diagram.tree import Item, Level, Tree
from archdsl.backends.diagram.view import Cluster, View
from archdsl.backends.diagram.wording import (
    arguments_of,
    kind_of,
    scope_words,
    shape_of,
    value_of,
)
from archdsl.diagnostics import Span
from archdsl.graph import CheckedGraph, Node, Scope
from archdsl.layers.sizes import Formula, Size

HEAT_STEPS = 24
Json = object


def page_data(view: View, style: Style) -> Mapping[str, Json]:
    """Return all that the page's script reads; nodes and scopes are called by their numbers."""
    checked = view.checked
    tree = Tree(checked)
    scopes = {name: number for number, name in enumerate(checked.scopes)}
    nodes = {name: number for number, name in enumerate(checked.nodes)}
    fields = _fields(checked)
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
        tree: Tree,
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
        self.titles = Titles(tree)
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
            "short": visible(arguments_of(node.layer)),
            "arguments": visible(_all_arguments(node), LONGEST_TEXT),
            "family": visible(node.layer.family()),
            "kind": kind_of_node(node),
            "sign": sign_of(node),
            "shape": visible(shape_of(node.shape)),
            "inputs": [self.nodes[name] for name in node.inputs],
            "scope": self.scopes[node.scope.name],
            "parameters": _number(costs.parameters),
            "macs": _number(costs.macs),
            "memory": _number(self.figures.memory.nodes[node.name]),
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
            "short": visible(self.titles.of(scope)),
            "arguments": visible(scope_words(scope.arguments), LONGEST_TEXT),
            "description": visible(scope.description, LONGEST_TEXT),
            "parent": self.scopes[scope.parent.name] if scope.parent else -1,
            "items": [self._item(item) for item in level.items],
            "runs": self.runs_of_blocks(level),
            "training": bool(inside) and all(node.name in training for node in inside),
            "place": _place(scope.span),
        }

    def runs_of_blocks(self, level: Level) -> Json:
        """Describe the runs that a click opens; those of layers are shown one by one."""
        return [
            list(run)
            for run in runs_in(self.tree, level)
            if any(isinstance(item, Scope) for item in level.items[run.start : run.end])
        ]

    def _item(self, item: Item) -> int:
        if isinstance(item, Scope):
            return -self.scopes[item.name]
        return self.nodes[item.name]


def _place(span: Span) -> str:
    """Say where something is in its spec, by the name of the file: the page may go anywhere."""
    name = PurePath(span.source.path).name
    return visible(f"{name}:{span.line}:{span.column}", 200)


def _number(size: Size) -> int | str:
    return visible(str(size), LONGEST_TEXT) if isinstance(size, Formula) else size


def _all_arguments(node: Node) -> str:
    return ", ".join(f"{name} = {value_of(value)}" for name, value in node.layer.given().items())


def _source_line(span: Span) -> str:
    return visible(span.source.line(span.line).strip(), 200)


def _fields(checked: CheckedGraph) -> Mapping[str, tuple[str, str]]:
    """Return receptive field and stride of each node, with respect to the first input it sees."""
    found: dict[str, tuple[str, str]] = {}
    for seen in fields_by_input(checked).values():
        for node, fields in seen.items():
            if fields and node not in found:
                found[node] = _written(fields)
    return found


def _written(fields: Fields) -> tuple[str, str]:
    sizes = " x ".join(_extent(field.size) for field in fields)
    return sizes, " x ".join(_extent(field.stride) for field in fields)


def _extent(value: Size | Fraction | None) -> str:
    return "?" if value is None else visible(str(value))
