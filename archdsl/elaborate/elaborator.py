"""Works out the statements of a network, one after the other, and makes its nodes."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from archdsl.diagnostics import ArchError, Diagnostic, Label, Span, Use
from archdsl.elaborate.binding import Signature, bind
from archdsl.elaborate.errors import (
    BadArgument,
    BadFlow,
    BadLabel,
    BadStructure,
    BadValue,
    BranchesDisagree,
    CannotTake,
    NameClash,
    Problem,
    Spoiled,
    UnknownName,
    shown_shape,
)
from archdsl.elaborate.expressions import bind_targets, evaluate, problem
from archdsl.elaborate.frames import Branched, Frame
from archdsl.elaborate.modules import World
from archdsl.elaborate.naming import Entry, Place
from archdsl.elaborate.own_tensors import own_tensor
from archdsl.elaborate.recording import Record, Recorder
from archdsl.elaborate.reuse import replay
from archdsl.elaborate.values import (
    SPOILED,
    BlockValue,
    ValueProblem,
    integer,
    items,
    kind_of,
    truth,
)
from archdsl.graph import Scope
from archdsl.layers.base import ArgumentErrors, Disagreement, Facts, Layer, LayerError
from archdsl.limits import OverLimit
from archdsl.syntax import ast

MOST_ERRORS = 20
# A body under way. It yields the bodies inside it, so that nesting costs no Python stack.
Work = Generator[tuple[Any, Frame], None, None]


class Elaborator:
    """Makes the nodes of one network. What is wrong is collected, and what depends on it skipped."""

    def __init__(self, world: World, recorder: Recorder) -> None:
        self.world = world
        self.recorder = recorder
        self.errors: list[Diagnostic] = []
        self._seen: set[tuple[str, Span | None]] = set()
        self._signatures: dict[type[Layer], Signature] = {}
        self._handlers: dict[type, Callable[[Any, Frame], Work | None]] = {
            ast.Stage: self.stage,
            ast.Let: self.let,
            ast.For: self.for_loop,
            ast.Repeat: self.repeat,
            ast.If: self.if_else,
            ast.Branch: self.branch,
            ast.Input: self.input,
            ast.Output: self.output,
            ast.OwnTensor: self.own_tensor,
        }
        self._operations: dict[type, Callable[[Any, ast.Stage, Frame], Work | None]] = {
            ast.Call: self.call,
            ast.Group: self.group,
            ast.Flow: self.flow,
            ast.From: self.from_,
            ast.Reuse: self.reuse,
            ast.Inline: self.inline,
            ast.Merge: self.merge,
            ast.Residual: self.residual,
        }

    # --- running ----------------------------------------------------------------------------

    def report(self, diagnostic: Diagnostic) -> None:
        """Keep a diagnostic; the same thing at the same place is said once, loops or not."""
        key = diagnostic.code, diagnostic.span
        if key not in self._seen:
            self._seen.add(key)
            self.errors.append(diagnostic)
        if len(self.errors) >= MOST_ERRORS or isinstance(diagnostic, OverLimit):
            raise ArchError(self.errors)

    def run(self, work: Work, frame: Frame) -> None:
        """Work through a body and all bodies inside it."""
        stack = [(work, frame)]
        while stack:
            work, frame = stack[-1]
            try:
                stack.append(next(work))
            except StopIteration:
                stack.pop()
            except Spoiled:
                stack.pop()
                frame.flowing = None
            except Problem as error:
                stack.pop()
                frame.flowing = None
                self.report(error.diagnostic)

    def body(self, body: ast.Body, frame: Frame) -> Work:
        """Work out the statements of a body."""
        handlers = self._handlers
        for statement in body.statements:
            try:
                self.world.step(statement.span)
                work = handlers[type(statement)](statement, frame)
            except Spoiled:
                frame.flowing = None
            except Problem as error:
                frame.flowing = None
                self.report(error.diagnostic)
            else:
                if work is not None:
                    yield work, frame

    def most(self) -> int:
        return self.world.limits.steps

    # --- statements -------------------------------------------------------------------------

    def let(self, statement: ast.Let, frame: Frame) -> None:
        try:
            value = evaluate(statement.value, frame, self.most())
            frame.bind(statement, value, frame.names)
        except (Problem, Spoiled) as error:
            for target in statement.targets:
                frame.names.given[target.name] = SPOILED
            if isinstance(error, Problem):
                self.report(error.diagnostic)

    def for_loop(self, statement: ast.For, frame: Frame) -> Work:
        source = evaluate(statement.source, frame, self.most())
        turns = source if isinstance(source, range) else None
        try:
            if turns is None:
                turns = items(source, "what a loop runs over", self.most())
            self.world.step(statement.span, len(turns))
            for item in turns:
                inner = frame.turn()
                bind_targets(statement.targets, item, inner.names, self.most())
                yield self.body(statement.body, inner), inner
                frame.after(inner)
        except ValueProblem as error:
            raise problem(error, statement.source.span, frame.trail) from None

    def repeat(self, statement: ast.Repeat, frame: Frame) -> Work:
        value = evaluate(statement.count, frame, self.most())
        try:
            count = integer(value, "the number of turns")
        except ValueProblem as error:
            raise problem(error, statement.count.span, frame.trail) from None
        if count < 0:
            reason = f"a body can't be repeated {count} times"
            raise Problem(BadValue(span=statement.count.span, trail=frame.trail, reason=reason))
        self.world.step(statement.span, count)
        before = len(self.recorder.records)
        for turn in range(count):
            inner = frame.turn()
            yield self.body(statement.body, inner), inner
            frame.after(inner)
            if turn == 0:  # all turns are alike, so what they come to is known now
                more = (count - 1) * (len(self.recorder.records) - before)
                self.recorder.reserve(more, statement.span, frame.trail)

    def if_else(self, statement: ast.If, frame: Frame) -> Work:
        chosen = statement.otherwise
        for condition, body in statement.cases:
            try:
                if truth(evaluate(condition, frame, self.most()), "the condition"):
                    chosen = body
                    break
            except ValueProblem as error:
                raise problem(error, condition.span, frame.trail) from None
        if chosen is not None:
            inner = frame.turn()
            yield self.body(chosen, inner), inner
            frame.after(inner)

    def branch(self, statement: ast.Branch, frame: Frame) -> Work:
        assert frame.branches is not None  # structure.py has seen to it
        if len(frame.branches) >= self.world.limits.branches:
            self.recorder.refuse(
                "branches", len(frame.branches) + 1, "branches", statement.span, frame.trail
            )
        place = None
        if statement.name is not None:
            place = self.open(frame, statement.name)
        inner = frame.inner(place)
        inner.last = statement.span
        first = len(self.recorder.records)
        yield self.body(statement.body, inner), inner
        end = len(self.recorder.records)
        frame.branches.append(Branched(inner.flowing, Label(inner.last, ""), first, end))

    def input(self, statement: ast.Input, frame: Frame) -> None:
        """Those of a block were given their tensors when it was used; see `use_block`."""

    def output(self, statement: ast.Output, frame: Frame) -> Work | None:
        name = ".".join(frame.parts(statement.name))
        outputs = frame.home.outputs
        if name in outputs:
            first = outputs[name].span
            raise Problem(
                NameClash(
                    span=statement.span,
                    trail=frame.trail,
                    name=name,
                    first=first,
                    what="outputs are",
                )
            )
        entry = outputs[name] = Entry(statement.span, None, training=statement.training)
        if statement.body is None:
            entry.flow = frame.flowing
            self.single(entry.flow, "an output", statement.span, frame)
            return None
        return self.output_aside(statement, entry, frame)

    def output_aside(self, statement: ast.Output, entry: Entry, frame: Frame) -> Work:
        assert statement.body is not None
        inner = frame.inner()
        yield self.body(statement.body, inner), inner
        entry.flow = inner.flowing
        self.single(entry.flow, "an output", statement.span, frame)

    def single(self, flow: tuple[int, ...] | None, what: str, span: Span, frame: Frame) -> None:
        """Refuse more or less than one tensor."""
        if flow is not None and len(flow) != 1:
            self.report(
                BadFlow(
                    span=span,
                    trail=frame.trail,
                    reason=f"{what} is one tensor, and {len(flow) or 'nothing'} flows here",
                    hint="choose one with `from`" if flow else "",
                )
            )

    def own_tensor(self, statement: ast.OwnTensor, frame: Frame) -> None:
        flowing = frame.flowing
        name, entry = self.declare(frame, statement.name, statement.span, positional=False)
        layer = own_tensor(statement, frame, self.recorder)
        facts = self.recorder.infer(layer, ())
        label = name.rpartition(".")[2]
        record = Record(
            name, label, layer, (), facts, frame.place.scope, statement.span, frame.trail
        )
        entry.flow = (self.recorder.add(record),)
        frame.flowing = flowing

    # --- stages -----------------------------------------------------------------------------

    def stage(self, statement: ast.Stage, frame: Frame) -> Work | None:
        return self._operations[type(statement.operation)](statement.operation, statement, frame)

    def flow(self, operation: ast.Flow, stage: ast.Stage, frame: Frame) -> None:
        if stage.label is not None:
            self.name_tensor(stage.label, frame)

    def from_(self, operation: ast.From, stage: ast.Stage, frame: Frame) -> None:
        flow: list[int] = []
        for reference in operation.references:
            found = frame.follow(reference)
            if found is None:
                raise Spoiled
            flow += found
        frame.flowing = tuple(flow)
        frame.last = stage.span
        if stage.label is not None:
            self.name_tensor(stage.label, frame)

    def name_tensor(self, path: ast.Path, frame: Frame) -> None:
        """Let a label stand for what flows."""
        _, entry = self.declare(frame, path, path.span, positional=False)
        entry.flow = frame.flowing

    def call(self, operation: ast.Call, stage: ast.Stage, frame: Frame) -> Work | None:
        block = self.callee(operation, frame)
        if block.layer is not None:
            self.use_layer(block, operation, stage, frame)
            return None
        return self.use_block(block, operation, stage, frame)

    def callee(self, operation: ast.Call, frame: Frame) -> BlockValue:
        """Return the layer or block that a stage names."""
        name = operation.name
        local = frame.names.find(name.name)
        value = (
            local[0]
            if local
            else self.world.block_named(frame.module, name.name, name.span, frame.trail)
        )
        if isinstance(value, BlockValue):
            return value
        if value is SPOILED:
            raise Spoiled
        if local:
            hint = ""
            if value is None:
                hint = f"guard it: `if {name.name} != none {{ {name.name} }}`"
            raise Problem(
                BadValue(
                    span=name.span,
                    trail=frame.trail,
                    reason=f"`{name.name}` is no layer or block: it is {kind_of(value)}",
                    hint=hint,
                )
            )
        raise Problem(
            UnknownName(
                span=name.span,
                trail=frame.trail,
                what="layer or block",
                name=name.name,
                known=tuple(self.world.block_names(frame.module)),
            )
        )

    def use_layer(
        self, block: BlockValue, operation: ast.Call, stage: ast.Stage, frame: Frame
    ) -> None:
        assert block.layer is not None
        name, entry = self.declare(frame, stage.label, stage.span)
        incoming = frame.flowing
        layer = self.make_layer(block.layer, block, operation, frame)
        if incoming is None:
            raise Spoiled
        facts = self.infer(layer, incoming, operation.span, frame)
        label = ".".join(frame.parts(stage.label)) if stage.label else ""
        number = self.recorder.add(
            Record(
                name, label, layer, incoming, facts, frame.place.scope, operation.span, frame.trail
            )
        )
        entry.flow = frame.flowing = (number,)
        entry.first, entry.end, entry.incoming = number, number + 1, incoming
        frame.last = stage.span

    def make_layer(
        self, kind: type[Layer], block: BlockValue, operation: ast.Call, frame: Frame
    ) -> Layer:
        """Return the layer with the arguments of a call."""
        signature = self._signatures.get(kind)
        if signature is None:
            signature = self._signatures[kind] = self.world.signature(
                BlockValue(kind.__name__, layer=kind)
            )
        given = self.world.given(operation.arguments, frame)
        bound = bind(signature, given, block.fixed, operation.span, frame.trail)
        values = {
            name: tuple(value) if isinstance(value, range) else value
            for name, (value, _) in bound.items()
        }
        try:
            return self.recorder.layer(kind, values)
        except ArgumentErrors as error:
            for name, reason in error.reasons.items():
                value, span = bound[name]
                self.report(
                    BadArgument(
                        span=span,
                        trail=frame.trail,
                        callee=kind.__name__,
                        name=name,
                        reason=reason,
                        given=kind_of(value),
                    )
                )
            raise Spoiled from None

    def infer(self, layer: Layer, incoming: tuple[int, ...], span: Span, frame: Frame) -> Facts:
        """Return the facts of a layer, or report that it can't take what comes in."""
        records = self.recorder.records
        shapes = tuple([records[number].facts.output for number in incoming])
        reason = hint = ""
        if not layer.broadcasts and not all(records[number].facts.batched for number in incoming):
            reason = "takes tensors with a batch axis, and this one is shared by all samples"
            hint = "declare it as `[batch, ...]`"
        else:
            try:
                return self.recorder.infer(layer, shapes)
            except LayerError as error:
                reason, hint = str(error), error.help
        raise Problem(
            CannotTake(
                span=span,
                trail=frame.trail,
                layer=layer.word or type(layer).__name__,
                inputs=shapes,
                reason=reason,
                hint=hint,
            )
        )

    def group(self, operation: ast.Group, stage: ast.Stage, frame: Frame) -> Work:
        name, entry = self.declare(frame, stage.label, stage.span)
        scope = Scope(name, frame.place.scope, "", stage.span)
        place = self.enter(scope, entry, frame)
        inner = frame.inner(place)
        first = len(self.recorder.records)
        yield self.body(operation.body, inner), inner
        self.close(entry, first, frame, inner)
        frame.last = stage.span

    def close(self, entry: Entry, first: int, frame: Frame, inner: Frame) -> None:
        """Remember what a scope did, for references and `reuse`, and go on with its result."""
        entry.first, entry.end = first, len(self.recorder.records)
        entry.incoming, entry.flow = frame.flowing, inner.flowing
        frame.flowing = inner.flowing

    def use_block(
        self, block: BlockValue, operation: ast.Call, stage: ast.Stage, frame: Frame
    ) -> Work:
        declaration = block.declaration
        assert declaration is not None
        assert block.module is not None
        name, entry = self.declare(frame, stage.label, stage.span)
        inside = Frame(
            self.world,
            block.module,
            self.recorder,
            frame.place,
            frame.flowing,
            operation.span,
            self.way(name, stage.span, frame),
        )
        self.bind_block(block, operation, frame, inside)
        scope = Scope(
            name,
            frame.place.scope,
            block.name,
            declaration.span,
            dict(inside.names.given),
            declaration.body.description,
        )
        inside.place = inside.home = self.enter(scope, entry, frame, outside=False)
        self.world.enter(declaration, block.name, operation.span, frame.trail)
        first = len(self.recorder.records)
        try:
            yield self.body(declaration.body, inside), inside
        finally:
            self.world.leave()
        self.close(entry, first, frame, inside)
        frame.last = stage.span
        if declaration.body.statements and _is_aside(declaration.body.statements[-1]):
            entry.flow = frame.flowing = ()  # it has named outputs only

    def inline(self, operation: ast.Inline, stage: ast.Stage, frame: Frame) -> Work:
        block = self.callee(operation.call, frame)
        declaration = block.declaration
        if declaration is None:
            raise Problem(
                BadStructure(
                    span=operation.span,
                    trail=frame.trail,
                    reason=f"`{block.name}` is a layer, and only blocks can be put in with `inline`",
                )
            )
        assert block.module is not None
        inside = Frame(
            self.world,
            block.module,
            self.recorder,
            frame.place,
            frame.flowing,
            operation.span,
            self.way(block.name, stage.span, frame),
        )
        inside.home = frame.home
        self.bind_block(block, operation.call, frame, inside)
        self.world.enter(declaration, block.name, operation.span, frame.trail)
        try:
            yield self.body(declaration.body, inside), inside
        finally:
            self.world.leave()
        frame.flowing = inside.flowing
        frame.last = stage.span

    def way(self, name: str, span: Span, frame: Frame) -> tuple[Use, ...]:
        """Return the way to the inside of a block, which must not be too long."""
        trail = (Use(name, span), *frame.trail)
        allowed = self.world.limits.nesting
        if len(trail) > allowed:
            asks = f"blocks are used inside each other {len(trail)} deep"
            raise Problem(
                OverLimit(span=span, trail=frame.trail, limit="nesting", asks=asks, allowed=allowed)
            )
        return trail

    def bind_block(
        self, block: BlockValue, operation: ast.Call, frame: Frame, inside: Frame
    ) -> None:
        """Give a block its parameters, and its inputs what flows."""
        declaration = block.declaration
        assert declaration is not None
        given = self.world.given(operation.arguments, frame)
        signature = self.world.signature(block)
        bound = bind(signature, given, block.fixed, operation.span, frame.trail)
        self.world.bind_parameters(block.name, declaration.parameters, bound, inside)
        inputs = [one for one in declaration.body.statements if isinstance(one, ast.Input)]
        if not inputs or frame.flowing is None:
            inside.maps = {one.name: None for one in inputs}
            return
        flow = frame.flowing
        many = inputs[-1].many
        if len(flow) < len(inputs) - many or (len(flow) > len(inputs) and not many):
            takes = ", ".join(one.name + "[]" * one.many for one in inputs)
            raise Problem(
                BadFlow(
                    span=operation.span,
                    trail=frame.trail,
                    reason=f"`{block.name}` takes {takes}, and {len(flow)} tensors come in",
                    hint="hand them over with `from a, b`",
                )
            )
        for number, one in enumerate(inputs):
            inside.maps[one.name] = flow[number:] if one.many else flow[number : number + 1]
            if one.many:
                inside.names.given[one.name] = frame.shapes(flow[number:], one.name)

    def reuse(self, operation: ast.Reuse, stage: ast.Stage, frame: Frame) -> None:
        entry = frame.find(operation.path)
        if frame.flowing is None or entry.flow is None:
            raise Spoiled
        name = ".".join(frame.parts(operation.path))
        label = ".".join(frame.parts(stage.label)) if stage.label else ""
        frame.flowing = replay(self, name, entry, operation.span, label, frame)
        frame.last = stage.span
        if stage.label is not None:
            self.name_tensor(stage.label, frame)

    # --- merges -----------------------------------------------------------------------------

    def merge(self, operation: ast.Merge, stage: ast.Stage, frame: Frame) -> Work:
        place = self.open(frame, stage.label) if stage.label else None
        inner = frame.inner(place)
        inner.branches = []
        yield self.body(operation.body, inner), inner
        kind = self.world.layers.word(operation.word)  # type: ignore[attr-defined]
        call = ast.Call(
            ast.Name(operation.word, operation.span), operation.arguments, operation.span
        )
        layer = self.make_layer(kind, BlockValue(operation.word, layer=kind), call, frame)
        self.wire(layer, operation.word, inner.branches, stage, operation, inner, frame)

    def residual(self, operation: ast.Residual, stage: ast.Stage, frame: Frame) -> Work:
        place = self.open(frame, stage.label) if stage.label else None
        joined = True
        if operation.condition is not None:
            try:
                value = evaluate(operation.condition, frame, self.most())
                joined = truth(value, "the condition")
            except ValueProblem as error:
                raise problem(error, operation.condition.span, frame.trail) from None
        branches: list[Branched] = []
        for body in (operation.body, operation.shortcut):
            if body is operation.shortcut and not joined:
                break
            inner = frame.inner(place)
            inner.last = operation.span
            first = len(self.recorder.records)
            if body is not None:
                yield self.body(body, inner), inner
            end = len(self.recorder.records)
            branches.append(Branched(inner.flowing, Label(inner.last, ""), first, end))
        if joined:
            layer = self.recorder.layer(self.world.layers.word("add"), {})  # type: ignore[attr-defined]
            self.wire(layer, "residual", branches, stage, operation, inner, frame)
            return
        frame.flowing = branches[0].flow
        frame.last = stage.span
        for path in (stage.label, operation.name):
            self.settle(path, path is stage.label, frame)

    def settle(self, path: ast.Path | None, opened: bool, frame: Frame) -> None:
        """Let the label of a merge, or the name after `as`, stand for its result."""
        if path is None:
            return
        if opened:
            entry = frame.find(path)
            entry.flow = frame.flowing
        else:
            self.name_tensor(path, frame)

    def wire(
        self,
        layer: Layer,
        word: str,
        branches: list[Branched],
        stage: ast.Stage,
        operation: ast.Merge | ast.Residual,
        inner: Frame,
        frame: Frame,
    ) -> None:
        """Make the node that joins branches."""
        incoming: list[int] = []
        for branch in branches:
            if branch.flow is None:
                raise Spoiled
            if len(branch.flow) != 1:
                self.single(branch.flow, "what a branch gives", branch.label.span, frame)
                raise Spoiled
            incoming += branch.flow
        if not incoming:
            reason = f"`{word}` has no branches"
            raise Problem(BadFlow(span=operation.span, trail=frame.trail, reason=reason))
        shapes = tuple(self.recorder.shape(number) for number in incoming)
        path = operation.name or stage.label
        label = ".".join(frame.parts(path)) if path else ""
        try:
            facts = self.recorder.infer(layer, shapes)
        except Disagreement as error:
            raise Problem(self.disagreement(word, error, branches, operation.span, frame)) from None
        except LayerError:
            facts = self.infer(layer, tuple(incoming), operation.span, frame)
        if not all(self.recorder.records[number].facts.batched for number in incoming):
            facts = self.infer_unbatched(layer, tuple(incoming), facts, operation.span, frame)
        scope = inner.place.scope
        record = Record(
            "", label, layer, tuple(incoming), facts, scope, operation.span, frame.trail
        )
        frame.flowing = (self.recorder.add(record),)
        frame.last = stage.span if not isinstance(stage.operation, ast.Merge) else operation.span
        for named in (stage.label, operation.name):
            self.settle(named, named is stage.label, frame)

    def infer_unbatched(
        self, layer: Layer, incoming: tuple[int, ...], facts: Facts, span: Span, frame: Frame
    ) -> Facts:
        """Refuse to join tensors of the module's own with each other, or where they'd be spread."""
        records = self.recorder.records
        if layer.broadcasts and any(records[number].facts.batched for number in incoming):
            return facts
        return self.infer(layer, incoming, span, frame)

    def disagreement(
        self, word: str, error: Disagreement, branches: list[Branched], span: Span, frame: Frame
    ) -> BranchesDisagree:
        """Show each branch with its shape, and a way to mend it if a layer knows one."""
        shapes = [self.recorder.shape(branch.flow[0]) for branch in branches if branch.flow]
        labels = tuple(
            Label(branch.label.span, shown_shape(shape))
            for branch, shape in zip(branches, shapes, strict=True)
        )
        hint = error.help
        for branch in branches:
            for record in self.recorder.records[branch.first : branch.end]:
                came = tuple(self.recorder.shape(number) for number in record.inputs)
                if not hint and came and came[0][1:] == shapes[0][1:] != record.facts.output[1:]:
                    hint = record.layer.mend(came, shapes[0])
        return BranchesDisagree(
            span=span, trail=frame.trail, word=word, axes=error.named, branches=labels, hint=hint
        )

    # --- labels -----------------------------------------------------------------------------

    def declare(
        self, frame: Frame, path: ast.Path | None, span: Span, positional: bool = True
    ) -> tuple[str, Entry]:
        """Give a stage its full name, from its label or position, and enter it in its scope."""
        place = frame.place
        if path is None:
            label = str(place.position)
            where = span
        else:
            *outer, label = frame.parts(path)
            where = path.span
            for part in outer:
                place = self.step_into(place, part, path, frame)
        frame.place.position += positional
        first = place.entries.get(label)
        name = place.full_name(label)
        if first is not None:
            hint = ""
            if first.span == where:
                hint = f'in a loop, put the index into the label: "{label}{{i}}"'
            raise Problem(
                NameClash(span=where, trail=frame.trail, name=name, first=first.span, hint=hint)
            )
        entry = place.entries[label] = Entry(where, flow=())
        return name, entry

    def step_into(self, place: Place, part: str, path: ast.Path, frame: Frame) -> Place:
        """Return the scope that a part of a dotted label names, which may be new."""
        entry = place.entries.get(part)
        if entry is None:
            entry = place.entries[part] = Entry(path.span, flow=())
            scope = Scope(place.full_name(part), place.scope, "", path.span)
            return self.enter(scope, entry, frame, around=place)
        if entry.place is None or not entry.place.open:
            name = place.full_name(part)
            raise Problem(
                BadLabel(
                    span=path.span,
                    trail=frame.trail,
                    name=".".join(map(str, path.parts)),
                    reason=f"`{name}` is a stage already, and nothing can be added to it from outside",
                )
            )
        return entry.place

    def open(self, frame: Frame, path: ast.Path) -> Place:
        """Open the scope that a label of wiring (a branch or merge) asks for."""
        name, entry = self.declare(frame, path, path.span, positional=False)
        return self.enter(Scope(name, frame.place.scope, "", path.span), entry, frame)

    def enter(
        self,
        scope: Scope,
        entry: Entry,
        frame: Frame,
        outside: bool = True,
        around: Place | None = None,
    ) -> Place:
        """Begin a scope."""
        allowed = self.world.limits.nesting
        if scope.depth > allowed:
            asks = f"scopes are nested {scope.depth} deep"
            raise Problem(
                OverLimit(
                    span=entry.span, trail=frame.trail, limit="nesting", asks=asks, allowed=allowed
                )
            )
        self.recorder.scopes[scope.name] = scope
        entry.place = Place(scope, around or frame.place, outside, open=outside)
        return entry.place


def _is_aside(statement: ast.Statement) -> bool:
    return (
        isinstance(statement, ast.Output) and statement.body is not None and not statement.training
    )
