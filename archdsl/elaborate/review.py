"""What can be told of a file without making anything: unknown names, and statements out of place.

This sees all of a file, so that what a network does not happen to use is checked as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from archdsl.diagnostics import MOST_ERRORS, Diagnostic, Span
from archdsl.elaborate import elsewhere
from archdsl.elaborate.errors import BadStructure, Enough, NameClash, Rebound, UnknownName
from archdsl.elaborate.operations import FUNCTIONS
from archdsl.elaborate.values import TYPES
from archdsl.elaborate.wording import nearest
from archdsl.layers.registry import Registry
from archdsl.layers.tensor import DISTRIBUTIONS
from archdsl.syntax import ast
from archdsl.syntax.spec_file import SpecFile, item_names

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
# What may stand in a merge: it makes no stage by itself.
BESIDE_BRANCHES = (ast.Branch, ast.For, ast.Repeat, ast.If, ast.Let, ast.Registered)


def review(file: SpecFile, layers: Registry) -> list[Diagnostic]:
    """Return what is wrong with a file whatever its parameters are, in the order of the text."""
    review = _Review(file, layers)
    with suppress(Enough):
        review.items()
    return sorted(review.found, key=lambda one: one.span.start if one.span else 0)


class Known(dict[str, Span]):
    """The values that can be seen at a place, with where they were given.

    Attributes:
        outside: names that were given outside of the braces in which the place is.
        chosen: whether those are the braces of a condition.
    """

    outside: frozenset[str] = frozenset()
    chosen: bool = False


class _Review:
    """Goes through a file, and keeps what is wrong with it."""

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

    # --- items ------------------------------------------------------------------------------

    def items(self) -> None:
        seen: dict[str, Span] = {}
        for item in self.file.program.items:
            for one in item.names if isinstance(item, ast.Import) else ():
                self.once(one.alias, one.span, seen, "items of this file are")
        for name, _, span in item_names(self.file.program):
            self.once(name, span, seen, "items of this file are")
        for item in self.file.program.items:
            self.labels = set()
            if isinstance(item, ast.Network | ast.Block):
                known = self.parameters(item.parameters)
                if isinstance(item, ast.Block):
                    self.inputs_of_block(item, known)
                self.body(item.body, known, item)
            elif isinstance(item, ast.Function):
                known = self.parameters(item.parameters)
                for let in item.lets:
                    self.let(let, known, [])
                self.expression(item.value, known)
            elif isinstance(item, ast.Let):
                self.expression(item.value, Known())
            elif isinstance(item, ast.BlockAlias):
                known = self.parameters(item.parameters or ())
                self.block_name(item.call.name, known)
                self.arguments(item.call, known)
            elif isinstance(item, ast.NetworkAlias):
                self.arguments(item.call, Known())

    def once(self, name: str, span: Span, seen: dict[str, Span], what: str) -> None:
        if name in seen:
            self.report(NameClash(span, name=name, first=seen[name], what=what))
        else:
            seen[name] = span

    def parameters(self, parameters: tuple[ast.Parameter, ...]) -> Known:
        known = Known()
        for parameter in parameters:
            self.once(parameter.name, parameter.span, known, "parameters are")
            if parameter.type and parameter.type not in TYPES:
                kind = ast.Name(parameter.type, parameter.span)
                self.unknown("type", kind, (), f"types are {', '.join(TYPES)}")
            if parameter.default is not None:
                self.expression(parameter.default, known)
        return known

    # --- statements -------------------------------------------------------------------------

    def body(
        self,
        body: ast.Body,
        known: Known,
        owner: ast.Network | ast.Block,
        *,
        branches: bool = False,
        top: bool = True,
        indices: tuple[str, ...] = (),
        chosen: bool = False,
    ) -> None:
        """Review statements. `branches`: in a merge; `top`: not inside a loop, group, ...

        `chosen`: in a condition.
        """
        outside = frozenset() if top else frozenset(known)
        known = Known(known)
        known.outside, known.chosen = outside, chosen
        begun = False
        for one in body.statements:
            kind = type(one)
            if branches and kind not in BESIDE_BRANCHES:
                self.misplaced(
                    one.span,
                    "only branches stand directly in a merge",
                    "put it into `branch { ... }`",
                )
            if not branches and kind is ast.Branch:
                self.misplaced(
                    one.span,
                    "a branch stands in a merge only",
                    "put it into `concat`, `add`, `mul` or `sub`",
                )
            if isinstance(one, ast.Let):
                self.let(one, known, indices)
            elif isinstance(one, ast.Input):
                self.input(one, known, owner, top and not begun)
            elif isinstance(one, ast.For):
                self.expression(one.source, known)
                inner = Known(known)
                inner.outside = frozenset(known)
                for target in one.targets:
                    self.give(target, inner, indices)
                names = (*indices, *(target.name for target in one.targets))
                self.body(one.body, inner, owner, branches=branches, top=False, indices=names)
            elif isinstance(one, ast.Repeat):
                self.expression(one.turns, known)
                self.body(one.body, known, owner, branches=branches, top=False, indices=indices)
            elif isinstance(one, ast.If):
                for condition, _ in one.cases:
                    self.expression(condition, known)
                for inside in (*(inside for _, inside in one.cases), one.otherwise):
                    if inside is not None:
                        self.body(
                            inside, known, owner, branches=branches, top=False, indices=indices,
                            chosen=True,
                        )  # fmt: skip
            elif isinstance(one, ast.Branch):
                self.path(one.name, known)
                self.body(one.body, known, owner, top=False, indices=indices)
            elif isinstance(one, ast.Output):
                self.output(one, known, owner, top, indices)
            elif isinstance(one, ast.Registered):
                for path in one.paths:
                    self.path(path, known)
            elif isinstance(one, ast.OwnTensor):
                self.path(one.name, known)
                self.expression(one.shape, Known(known, batch=one.span))
                if one.value is not None:
                    self.value_of_tensor(one.value, known)
            elif isinstance(one, ast.Stage):
                begun = True
                self.stage(one, known, owner, indices)

    def misplaced(self, span: Span, reason: str, hint: str) -> None:
        self.report(BadStructure(span, reason=reason, hint=hint))

    def let(self, let: ast.Let, known: Known, indices: Any) -> None:
        self.expression(let.value, known)
        for target in let.targets:
            if target.name in known:
                self.rebound(target, known, indices)
            else:
                known[target.name] = target.span

    def give(self, target: ast.Name, known: Known, indices: tuple[str, ...]) -> None:
        if target.name in known:
            self.rebound(target, known, indices)
        known[target.name] = target.span

    def rebound(self, target: ast.Name, known: Known, indices: Any) -> None:
        self.report(
            Rebound(
                target.span,
                name=target.name,
                first=known[target.name],
                index=indices[-1] if indices else "",
                outside=target.name in known.outside,
                chosen=known.chosen,
            )
        )

    def inputs_of_block(self, block: ast.Block, known: Known) -> None:
        seen: dict[str, Span] = {}
        inputs = [each for each in block.body.statements if isinstance(each, ast.Input)]
        for one in inputs:
            if one.many and one.name not in seen:
                self.give(ast.Name(one.name, one.span), known, ())
                if one is not inputs[-1]:
                    self.misplaced(
                        one.span,
                        "only the last input of a block takes any number of tensors",
                        f"put `input {one.name}[]` after the others",
                    )
            self.once(one.name, one.span, seen, "inputs are")

    def input(
        self, one: ast.Input, known: Known, owner: ast.Network | ast.Block, begins: bool
    ) -> None:
        self.labels.add(one.name)
        if not begins:
            self.misplaced(
                one.span,
                "inputs come first",
                "put it at the head of the network or block, before any stage",
            )
        if isinstance(owner, ast.Block):
            if one.shape is not None:
                self.misplaced(
                    one.span,
                    "an input of a block has no shape of its own",
                    f"write `input {one.name}`",
                )
            return
        if one.many:
            self.misplaced(
                one.span,
                "a network has a fixed number of inputs",
                f"write `input {one.name}: [...]`",
            )
        for item in one.shape.items if isinstance(one.shape, ast.Listing) else ():
            if isinstance(item, ast.Name) and self.file.find(item.name) is None:
                known.setdefault(item.name, item.span)  # a free size
        if one.shape is not None:
            self.expression(one.shape, known)

    def output(
        self,
        one: ast.Output,
        known: Known,
        owner: ast.Network | ast.Block,
        top: bool,
        indices: tuple[str, ...],
    ) -> None:
        self.path(one.name, known)
        if one.training and isinstance(owner, ast.Block):
            self.misplaced(
                one.span, "only a network has outputs of training mode", "declare it in the network"
            )
        if one.body is not None:
            self.body(one.body, known, owner, top=False, indices=indices)

    def value_of_tensor(self, value: ast.Expression, known: Known) -> None:
        if isinstance(value, ast.Call) and value.name.name in DISTRIBUTIONS:
            self.arguments(value, known)
        else:
            self.expression(value, known)

    def stage(
        self, one: ast.Stage, known: Known, owner: ast.Network | ast.Block, indices: tuple[str, ...]
    ) -> None:
        self.path(one.label, known)
        if one.label is not None and len(one.label.parts) == 1:
            self.labels.add(str(one.label.parts[0]))
        operation = one.operation
        if isinstance(operation, ast.Call):
            self.block_name(operation.name, known)
            self.arguments(operation, known)
        elif isinstance(operation, ast.Inline):
            if one.label is not None:
                self.misplaced(
                    one.label.span,
                    "`inline` opens no scope, so it takes no label",
                    "leave out the label, or `inline`",
                )
            self.block_name(operation.call.name, known)
            self.arguments(operation.call, known)
        elif isinstance(operation, ast.Group):
            self.body(operation.body, known, owner, top=False, indices=indices)
        elif isinstance(operation, ast.From):
            for reference in operation.references:
                self.reference(reference, known)
        elif isinstance(operation, ast.Reuse):
            self.path(operation.path, known)
        elif isinstance(operation, ast.Merge):
            for argument in operation.arguments:
                self.expression(argument.value, known)
            self.body(operation.body, known, owner, branches=True, top=False, indices=indices)
            self.path(operation.name, known)
        elif isinstance(operation, ast.Residual):
            if operation.condition is not None:
                self.expression(operation.condition, known)
            for body in (operation.body, operation.shortcut):
                if body is not None:
                    self.body(body, known, owner, top=False, indices=indices)
            self.path(operation.name, known)

    # --- names ------------------------------------------------------------------------------

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
        elif isinstance(node, ast.ShapeOf | ast.TensorOf):
            self.reference(node.reference, known)
        elif isinstance(node, ast.Indexed):
            axes = Known({})
            for target in node.targets:
                self.give(target, axes, ())
            inner = Known(known)
            inner.update(axes)
            self.expression(node.item, inner)
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
