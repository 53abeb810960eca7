"""Looks for names that nothing has, in a file as it stands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from archdsl.diagnostics import MOST_ERRORS, Diagnostic, Span
from archdsl.elaborate import elsewhere
from archdsl.elaborate.errors import UnknownName
from archdsl.elaborate.operations import FUNCTIONS
from archdsl.elaborate.wording import nearest
from archdsl.layers.registry import Registry
from archdsl.syntax import ast
from archdsl.syntax.spec_file import SpecFile

KINDS = {
    ast.Network: "network",
    ast.NetworkAlias: "network",
    ast.Block: "block",
    ast.BlockAlias: "block",
    ast.Let: "value",
    ast.Function: "function",
}
# What may be called: a `let` may hold a block.
CALLED = ast.Function | ast.Block | ast.BlockAlias | ast.Let


def item_names(program: ast.Program) -> Iterator[tuple[str, ast.Item, Span]]:
    """Yield each name that a file gives to one of its items."""
    for item in program.items:
        if isinstance(item, ast.Let):
            for target in item.targets:
                yield target.name, item, target.span
        elif not isinstance(item, ast.Import):
            yield item.name, item, item.span


class Enough(Exception):
    """More is wrong than is ever shown."""


class Known(dict[str, Span]):
    """The values that can be seen at a place, with where they were given.

    Attributes:
        outside: names that were given outside of the braces in which the place is.
        chosen: whether those are the braces of a condition.
    """

    outside: frozenset[str] = frozenset()
    chosen: bool = False


class NameReview:
    """Reports the names of an expression, label or stage that nothing in reach has."""

    def __init__(self, file: SpecFile, layers: Registry) -> None:
        self.file = file
        self.layers = layers
        self.found: list[Diagnostic] = []
        self.labels: set[str] = set()  # of the item under review, as far as it was read

    def report(self, diagnostic: Diagnostic) -> None:
        self.found.append(diagnostic)
        if len(self.found) > MOST_ERRORS:
            raise Enough

    def unknown(self, what: str, name: ast.Name, known: tuple[str, ...], hint: str) -> None:
        self.report(UnknownName(name.span, what=what, name=name.name, known=known, hint=hint))

    def block_name(self, name: ast.Name, known: Known) -> None:
        if name.name in known or self.file.is_ambiguous(name.name):
            return
        item = self.file.find(name.name)
        if item is None and name.name in self.layers:
            return
        if item is not None and isinstance(item[1], ast.Block | ast.BlockAlias):
            return
        if item is not None and isinstance(item[1], ast.Let):
            return  # may hold a block
        own = [*known, *self.file.imported]
        for other, one, _ in item_names(self.file.program):
            if isinstance(one, ast.Block | ast.BlockAlias):
                own.append(other)
        hint = "" if nearest(name.name, own) else self.elsewhere(name.name)
        if item is not None:
            hint = f"`{name.name}` is a {KINDS[type(item[1])]}, and stages are layers or blocks"
        elif name.name in self.labels:
            hint = f"`{name.name}` is a label: `from {name.name}` goes on from that stage"
        self.unknown("layer or block", name, (*own, *self.layers), hint)

    def elsewhere(self, name: str) -> str:
        """Say how that is written here which other frameworks call by a name, or ""."""
        if written := self.layers.elsewhere(name):
            return f"here it is `{written}`"
        if name in FUNCTIONS:
            return f"`{name}` is a function, which computes a value; stages are layers or blocks"
        return elsewhere.layer(name)

    def arguments(self, call: ast.Call, known: Known) -> None:
        kind = self.layers.get(call.name.name) if self.file.find(call.name.name) is None else None
        for argument in call.arguments:
            given = argument.value
            if (
                isinstance(given, ast.Name)
                and kind is not None
                and given.name not in known
                and given.name in kind.model_fields
                and self.file.find(given.name) is None
            ):
                hint = f"give the argument a value: `{given.name} = ...`"
                self.unknown("value", given, (), hint)
                continue
            self.expression(given, known)

    def path(self, path: ast.Path | None, known: Known) -> None:
        for part in path.parts if path is not None else ():
            if not isinstance(part, str):
                self.expression(part, known)

    def reference(self, reference: ast.Reference, known: Known) -> None:
        self.path(reference.path, known)
        if reference.item is not None:
            self.expression(reference.item, known)

    def expression(self, node: ast.Expression, known: Known) -> None:
        """Look for names that nothing has. The depth of expressions is bounded by the parser."""
        if isinstance(node, ast.Name):
            self.value_name(node, known)
        elif isinstance(node, ast.Call):
            self.function_name(node.name, known)
            self.arguments(node, known)
        elif isinstance(node, ast.ShapeOf):
            self.reference(node.reference, known)
        elif isinstance(node, ast.Comprehension):
            self.expression(node.source, known)
            inner = Known(known)
            inner.update({target.name: target.span for target in node.targets})
            for part in (node.item, node.condition):
                if part is not None:
                    self.expression(part, inner)
        elif not isinstance(node, ast.Literal | ast.Flow):
            for part in _parts(node):
                self.expression(part, known)

    def value_name(self, node: ast.Name, known: Known) -> None:
        item = self.file.find(node.name)
        is_value = item is not None and isinstance(item[1], ast.Let | ast.Block | ast.BlockAlias)
        if node.name in known or is_value or (item is None and node.name in self.layers):
            return
        if self.file.is_ambiguous(node.name):
            return
        hint = ""
        if node.name in FUNCTIONS or (item is not None and isinstance(item[1], ast.Function)):
            hint = f"`{node.name}` is a function: call it as `{node.name}(...)`"
        own = (*known, *self.values(), *self.file.imported)
        if not hint and not nearest(node.name, own):
            hint = elsewhere.value(node.name)
        if not hint and node.name in self.labels:
            hint = (
                f"`{node.name}` is a label: `from {node.name} -> ...` goes on from that stage, "
                f"and `shape({node.name})` has its sizes"
            )
        if not hint and not nearest(node.name, own):
            hint = elsewhere.VISIBLE
        self.unknown("value", node, own, hint)

    def values(self) -> Iterator[str]:
        """Yield the names of items that can stand in an expression."""
        for name, item, _ in item_names(self.file.program):
            if not isinstance(item, ast.Network | ast.NetworkAlias):
                yield name

    def function_name(self, name: ast.Name, known: Known) -> None:
        item = self.file.find(name.name)
        if (
            name.name in known
            or name.name in FUNCTIONS
            or name.name in self.layers
            or self.file.is_ambiguous(name.name)
            or (item is not None and isinstance(item[1], CALLED))
        ):
            return
        functions = [
            n for n, one, _ in item_names(self.file.program) if isinstance(one, ast.Function)
        ]
        names = (*FUNCTIONS, *functions)
        hint = "" if nearest(name.name, names) else f"functions are {', '.join(names)}"
        self.unknown("function", name, names, hint)


def _parts(node: Any) -> Iterator[Any]:
    """Yield the expressions that an expression is made of."""
    if isinstance(node, ast.Chain | ast.Comparison):
        yield node.first
        for _, operand in node.rest:
            yield operand
        return
    for field in node:
        if isinstance(field, Span) or field is None or isinstance(field, str | int):
            continue
        if type(field) is tuple:
            yield from (part for part in field if not isinstance(part, str))
        else:
            yield field
