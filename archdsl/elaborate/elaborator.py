"""Works out the statements of a network, one after the other, and makes its nodes."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from archdsl.diagnostics import ArchError, Diagnostic, Label, Span
from archdsl.elaborate import merges, stages
from archdsl.elaborate.binding import Signature
from archdsl.elaborate.errors import BadLabel, BadValue, NameClash, Problem, Spoiled
from archdsl.elaborate.expressions import bind_targets, evaluate, problem
from archdsl.elaborate.frames import Branched, Frame
from archdsl.elaborate.labels import declare, open_scope, register, single
from archdsl.elaborate.modules import World
from archdsl.elaborate.naming import Entry
from archdsl.elaborate.own_tensors import own_tensor
from archdsl.elaborate.recording import Record, Recorder
from archdsl.elaborate.tracing import follow_let, follow_loop
from archdsl.elaborate.values import SPOILED, ValueProblem, integer, sequence, truth
from archdsl.layers.base import Layer, Shapes
from archdsl.limits import OverLimit
from archdsl.syntax import ast

MOST_ERRORS = 20
COST_OF_BRANCH = 4  # in steps
MOST_REPORTS = 200  # of the same errors, in loops
# A body under way. It yields the bodies inside it, so that nesting costs no Python stack.
Work = Generator[tuple[Any, Frame], None, None]


Operate = Callable[["Elaborator", Any, ast.Stage, Frame], Work | None]
OPERATIONS: dict[type, Operate] = {
    ast.Call: stages.call,
    ast.Group: stages.group,
    ast.Flow: stages.flow,
    ast.From: stages.from_,
    ast.Reuse: stages.reuse,
    ast.Inline: stages.inline,
    ast.Merge: merges.merge,
    ast.Residual: merges.residual,
}


class Elaborator:
    """Makes the nodes of a network; what is wrong is collected, and what depends on it skipped."""

    def __init__(self, world: World, recorder: Recorder) -> None:
        self.world = world
        self.recorder = recorder
        self.errors: list[Diagnostic] = []
        self._seen: set[tuple[str, Span | None]] = set()
        self._reports = 0
        self.signatures: dict[type[Layer], Signature] = {}
        self.made: dict[tuple[int, Shapes], int] = {}  # nodes, by a use without arguments
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
            ast.Registered: self.registered,
        }

    def report(self, diagnostic: Diagnostic) -> None:
        """Keep a diagnostic; the same thing at the same place is said once, loops or not."""
        key = diagnostic.code, diagnostic.span
        self._reports += 1
        if key not in self._seen:
            self._seen.add(key)
            self.errors.append(diagnostic)
        if (
            len(self.errors) >= MOST_ERRORS
            or self._reports >= MOST_REPORTS
            or isinstance(diagnostic, OverLimit)
        ):
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

    def let(self, statement: ast.Let, frame: Frame) -> None:
        try:
            value = evaluate(statement.value, frame, frame.most)
            frame.bind(statement, value, frame.names)
            if self.world.trace is not None:
                follow_let(self.world.trace, statement, frame)
        except (Problem, Spoiled) as error:
            for target in statement.targets:
                frame.names.given[target.name] = SPOILED
            if isinstance(error, Problem):
                self.report(error.diagnostic)

    def for_loop(self, statement: ast.For, frame: Frame) -> Work:
        source = evaluate(statement.source, frame, frame.most)
        try:
            turns = sequence(source, "what a loop runs over")
            self.world.step(statement.span, len(turns))
            if self.world.trace is not None:
                follow_loop(self.world.trace, statement, len(turns), frame)
            for item in turns:
                inner = frame.turn()
                bind_targets(statement.targets, item, inner.names, frame.most)
                yield self.body(statement.body, inner), inner
                frame.after(inner)
        except ValueProblem as error:
            raise problem(error, statement.source.span, frame.trail) from None

    def repeat(self, statement: ast.Repeat, frame: Frame) -> Work:
        value = evaluate(statement.turns, frame, frame.most)
        try:
            count = integer(value, "the number of turns")
        except ValueProblem as error:
            raise problem(error, statement.turns.span, frame.trail) from None
        if count < 0:
            reason = f"a body can't be repeated {count} times"
            raise Problem(BadValue(span=statement.turns.span, trail=frame.trail, reason=reason))
        self.world.step(statement.span, count)
        before = len(self.recorder.records)
        if self.world.trace is not None:
            follow_loop(self.world.trace, statement, count, frame)
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
                if truth(evaluate(condition, frame, frame.most), "the condition"):
                    chosen = body
                    break
            except ValueProblem as error:
                raise problem(error, condition.span, frame.trail) from None
        if chosen is not None:
            inner = frame.turn()
            yield self.body(chosen, inner), inner
            frame.after(inner)

    def branch(self, statement: ast.Branch, frame: Frame) -> Work:
        if frame.branches is None:
            raise Spoiled  # structure.py has said so
        if len(frame.branches) >= self.world.limits.branches:
            self.recorder.refuse(
                "branches", len(frame.branches) + 1, "branches", statement.span, frame.trail
            )
        self.world.step(statement.span, COST_OF_BRANCH)
        place, entry = None, None
        if statement.name is not None:
            place, entry = open_scope(frame, statement.name)
        inner = frame.inner(place)
        inner.last = statement.span
        first = len(self.recorder.records)
        yield self.body(statement.body, inner), inner
        end = len(self.recorder.records)
        if entry is not None:
            entry.flow = inner.flowing
        frame.branches.append(Branched(inner.flowing, Label(inner.last, ""), first, end))

    def input(self, statement: ast.Input, frame: Frame) -> None:
        """Those of a block were given their tensors when it was used; see `use_block`."""

    def output(self, statement: ast.Output, frame: Frame) -> Work | None:
        name = ".".join(frame.parts(statement.name))
        if not (name.isascii() and name.isidentifier()):
            reason = "an output has a single name, of the letters a to z, digits and underscores"
            span = statement.name.span
            raise Problem(BadLabel(span=span, trail=frame.trail, name=name, reason=reason))
        home = frame.home
        if name in home.outputs:
            first = home.outputs[name].span
            raise Problem(
                NameClash(
                    span=statement.span,
                    trail=frame.trail,
                    name=name,
                    first=first,
                    what="outputs are",
                )
            )
        entry = Entry(statement.span, None, training=statement.training)
        if not home.outputs:
            home.outputs = {}  # its own
        home.outputs[name] = entry
        if statement.body is None:
            entry.flow = frame.flowing
            single(entry.flow, "an output", statement.span, frame)
            return None
        return self.output_aside(statement, entry, frame)

    def output_aside(self, statement: ast.Output, entry: Entry, frame: Frame) -> Work:
        assert statement.body is not None
        inner = frame.inner()
        yield self.body(statement.body, inner), inner
        entry.flow = inner.flowing
        single(entry.flow, "an output", statement.span, frame)

    def own_tensor(self, statement: ast.OwnTensor, frame: Frame) -> None:
        flowing = frame.flowing
        label, entry = declare(frame, statement.name, statement.span, positional=False)
        layer = own_tensor(statement, frame, self.recorder)
        facts = self.recorder.infer(layer, ())
        last = label.rpartition(".")[2]
        record = Record(label, last, layer, (), facts, frame.place.scope, statement.span, frame.way)
        entry.flow = (self.recorder.add(record),)
        frame.flowing = flowing

    def registered(self, statement: ast.Registered, frame: Frame) -> None:
        for path in statement.paths:
            self.world.step(path.span)
            try:
                register(frame, path)
            except Problem as error:  # it makes nothing, so what follows is not spoiled
                self.report(error.diagnostic)

    def stage(self, statement: ast.Stage, frame: Frame) -> Work | None:
        operation = statement.operation
        return OPERATIONS[type(operation)](self, operation, statement, frame)
