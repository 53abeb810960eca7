"""What can be told of a file without making anything: unknown names, and statements out of place.

This sees all of a file, so that what a network does not happen to use is checked as well.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from archdsl.diagnostics import Diagnostic, Span
from archdsl.elaborate.errors import BadStructure, NameClash, Rebound
from archdsl.elaborate.known_names import Enough, Known, NameReview, item_names
from archdsl.elaborate.values import TYPES
from archdsl.layers.registry import Registry
from archdsl.layers.tensor import DISTRIBUTIONS
from archdsl.syntax import ast
from archdsl.syntax.spec_file import SpecFile

# What may stand in a merge: it makes no stage by itself.
BESIDE_BRANCHES = (ast.Branch, ast.For, ast.Repeat, ast.If, ast.Let, ast.Registered)


def review(file: SpecFile, layers: Registry) -> list[Diagnostic]:
    """Return what is wrong with a file whatever its parameters are, in the order of the text."""
    review = _Review(file, layers)
    with suppress(Enough):
        review.items()
    return sorted(review.found, key=lambda one: one.span.start if one.span else 0)


class _Review(NameReview):
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
