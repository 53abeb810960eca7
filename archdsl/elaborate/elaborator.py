"""Works out the statements of a network, one after the other, and makes its nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from archdsl.diagnostics import ArchError, Label, Span
from archdsl.elaborate import merges, stages
from archdsl.elaborate.bodies import Again, Made
from archdsl.elaborate.errors import BadLabel, BadValue, NameClash, Spoiled
from archdsl.elaborate.expressions import bind_targets, evaluate, evaluate_as
from archdsl.elaborate.frames import Branched, Frame, Work
from archdsl.elaborate.labels import declare, open_scope, register, single
from archdsl.elaborate.naming import Entry, Flow, Turns
from archdsl.elaborate.own_tensors import own_tensor
from archdsl.elaborate.tracing import (
    OpenLoop,
    counted,
    follow_choice,
    follow_growth,
    follow_let,
    follow_loop,
    follow_turn,
    open_loop,
)
from archdsl.elaborate.values import SPOILED, NoValue, Value, integer, sequence, truth
from archdsl.elaborate.world import World
from archdsl.layers.base import LayerError
from archdsl.records import Record
from archdsl.syntax import ast

COST_OF_BRANCH = 4  # in steps; an output computed on the side is as much work


Operate = Callable[[Any, ast.Stage, Frame], Work | None]
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

    def __init__(self, world: World) -> None:
        self.world = world
        self.recorder = world.recorder
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

    def run(self, body: ast.Body, frame: Frame) -> None:
        """Work through a body and all bodies inside it."""
        stack = [(self.body(body, frame), frame)]
        while stack:
            work, frame = stack[-1]
            try:
                inner, inside = next(work)
                stack.append((self.body(inner, inside), inside))
            except StopIteration:
                stack.pop()

    def body(self, body: ast.Body, frame: Frame) -> Work:
        """Work out the statements of a body."""
        handlers = self._handlers
        for statement in body.statements:
            try:
                self.world.step(statement.span)
                work = handlers[type(statement)](statement, frame)
            except Spoiled:
                frame.flowing = None
            except ArchError as error:
                frame.flowing = None
                self.world.report(*error.diagnostics)
            else:
                if work is not None:
                    yield from self.statement(work, frame)

    def statement(self, work: Work, frame: Frame) -> Work:
        """Go through the bodies in a statement; what is wrong with it spoils no other."""
        try:
            yield from work
        except Spoiled:
            frame.flowing = None
        except ArchError as error:
            frame.flowing = None
            self.world.report(*error.diagnostics)

    def let(self, statement: ast.Let, frame: Frame) -> None:
        try:
            frame.names_given(statement.targets, lambda: _bind(statement, frame), statement.value)
            if self.world.trace is not None:
                follow_let(self.world.trace, statement, frame)
        except (ArchError, Spoiled) as error:
            for target in statement.targets:
                frame.names.given[target.name] = SPOILED
            if isinstance(error, ArchError):
                self.world.report(*error.diagnostics)

    def for_loop(self, statement: ast.For, frame: Frame) -> Work:
        opened = open_loop(statement, frame) if self.world.usual else None
        turns = _Turns()
        count = frame.asked(lambda: turns.work_out(statement, opened, frame), statement.source)
        self.world.step(statement.span, count)
        trace, loop = self.world.trace, None
        if trace is not None:
            loop = follow_loop(trace, statement, count, frame)
        for at in range(count):
            if trace and loop:
                follow_turn(trace, loop, frame)
            inner, before = frame.turn(), frame.flowing
            bind = partial(turns.bind, statement, at, inner)
            inner.names_given(statement.targets, bind, statement.source)
            yield statement.body, inner
            frame.after(inner)
            if opened is not None:
                opened.follow(at, before, frame)
        if trace and loop:
            follow_turn(trace, loop, frame)
            follow_growth(loop, frame)

    def repeat(self, statement: ast.Repeat, frame: Frame) -> Work:
        opened = open_loop(statement, frame) if self.world.usual else None
        if opened is not None:
            count = len(opened.turns)
        else:
            what = "the number of turns"
            turns = statement.turns
            count = frame.asked(lambda: evaluate_as(integer, turns, frame, frame.most, what), turns)
        if count < 0:
            reason = f"a body can't be repeated {count} times"
            raise ArchError(BadValue(statement.turns.span, frame.trail, reason=reason))
        self.world.step(statement.span, count)
        trace, loop = self.world.trace, None
        if trace is not None:
            loop = follow_loop(trace, statement, count, frame)
        before = _Mark.of(frame)
        for turn in range(count):
            if trace and loop:
                follow_turn(trace, loop, frame)
            inner = frame.turn()
            yield statement.body, inner
            frame.after(inner)
            if opened is not None:
                opened.follow(turn, before.flow, frame)
            after, more = _Mark.of(frame), count - 1 - turn
            if turn == 0:  # all turns are alike, so what they come to is known now
                self.recorder.reserve(
                    more * (after.size - before.size), statement.span, frame.trail
                )
            elif more and _is_like_further_ones(before, after, frame):
                _repeat(before, after, more, statement.span, frame)
                break
            before = after
        if trace and loop:
            follow_turn(trace, loop, frame)
            follow_growth(loop, frame)

    def if_else(self, statement: ast.If, frame: Frame) -> Work:
        chosen = statement.otherwise
        choice = None
        if self.world.trace is not None and len(statement.cases) == 1 and chosen is None:
            choice = follow_choice(self.world.trace, statement.cases[0][0], frame)
        for condition, body in statement.cases:
            if frame.asked(partial(_decide, condition, frame), condition):
                chosen = body
                break
        if chosen is not None:
            inner = frame.turn()
            yield chosen, inner
            frame.after(inner)
            if choice is not None:
                choice.end = self.recorder.nodes

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
        first = frame.body.size
        yield statement.body, inner
        end = frame.body.size
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
            raise ArchError(BadLabel(span, frame.trail, name=name, reason=reason))
        home = frame.home
        if name in home.outputs:
            span, first, what = statement.span, home.outputs[name].span, "outputs are"
            raise ArchError(NameClash(span, frame.trail, name=name, first=first, what=what))
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
        self.world.step(statement.span, COST_OF_BRANCH)
        inner = frame.inner()
        yield statement.body, inner
        entry.flow = inner.flowing
        single(entry.flow, "an output", statement.span, frame)

    def own_tensor(self, statement: ast.OwnTensor, frame: Frame) -> None:
        frame.cannot_repeat()
        flowing = frame.flowing
        label, entry = declare(frame, statement.name, statement.span, positional=False)
        layer, reads = own_tensor(statement, frame)
        try:
            facts = self.recorder.infer(layer, [*map(frame.body.facts, reads)])
        except LayerError as error:
            reason, span = f"`{statement.word}` {error}", statement.shape.span
            raise ArchError(BadValue(span, frame.trail, reason=reason)) from None
        last = label.rpartition(".")[2]
        opened = frame.place.opened
        made = Made(label, last, layer, reads, facts, opened, statement.span, frame.way)
        entry.flow = (frame.make(made),)
        frame.flowing = flowing

    def registered(self, statement: ast.Registered, frame: Frame) -> None:
        frame.cannot_repeat()
        for path in statement.paths:
            self.world.step(path.span)
            try:
                register(frame, path)
            except ArchError as error:  # it makes nothing, so what follows is not spoiled
                self.world.report(*error.diagnostics)

    def stage(self, statement: ast.Stage, frame: Frame) -> Work | None:
        operation = statement.operation
        return OPERATIONS[type(operation)](operation, statement, frame)


class _Mark(Record):
    """How far a body is when a turn of a loop begins, or ends."""

    size: int
    items: int
    edges: int
    position: int
    references: int
    errors: int
    steps_left: int
    flow: Flow

    @staticmethod
    def of(frame: Frame) -> _Mark:
        body, world = frame.body, frame.world
        return _Mark(
            body.size, len(body.items), body.edges, frame.place.position, body.references,
            len(world.errors), world.steps_left, frame.flowing,
        )  # fmt: skip


def _is_like_further_ones(before: _Mark, after: _Mark, frame: Frame) -> bool:
    """Tell whether all further turns of a `repeat` are like the last.

    What a turn makes follows from what flows when it begins, and from labels. So that is so where
    it gave what it got, each tensor so many nodes later, and followed no label of its body.
    """
    size = after.size - before.size
    # a label may lead to the same node in each turn or to another; after an error nothing is whole
    if before.flow is None or after.flow is None or not size or before[4:6] != after[4:6]:
        return False
    # what is traced, or is a branch of a merge, is known by the numbers of its nodes, turn by turn
    if frame.world.trace is not None or frame.branches is not None:
        return False
    # each label has to be entered in the order of the state_dict
    if frame.place.registered is not None:
        return False
    if after.flow != tuple([number + size for number in before.flow]):
        return False
    if min(before.flow, default=0) < before.size - size:
        return False
    pairs = [*zip(before.flow, after.flow, strict=True)]
    return frame.asked(lambda: _are_alike(pairs, frame))


def _are_alike(pairs: list[tuple[int, int]], frame: Frame) -> bool:
    facts = frame.body.facts
    return all(
        facts(left).output == facts(right).output and facts(left).batched == facts(right).batched
        for left, right in pairs
    )


def _bind(statement: ast.Let, frame: Frame) -> None:
    frame.bind(statement, evaluate(statement.value, frame, frame.most), frame.names)


def _decide(condition: ast.Expression, frame: Frame) -> bool:
    return evaluate_as(truth, condition, frame, frame.most, "the condition")


class _Turns:
    """What a loop runs over, which may be worked out again."""

    __slots__ = ("items",)

    def __init__(self) -> None:
        self.items: Sequence[Value] = ()

    def work_out(self, statement: ast.For, opened: OpenLoop | None, frame: Frame) -> int:
        """Return how many turns there are."""
        source = opened.turns if opened else evaluate(statement.source, frame, frame.most)
        try:
            self.items = sequence(source, "what a loop runs over")
        except NoValue as error:
            raise error.at(statement.source.span, frame.trail) from None
        return len(self.items)

    def bind(self, statement: ast.For, turn: int, inner: Frame) -> None:
        """Give the names of a loop their values in a turn."""
        item = self.items[turn]
        if inner.traces and isinstance(self.items, range):
            item = counted(item, statement, inner)
        try:
            bind_targets(statement.targets, item, inner.names, inner.most)
        except NoValue as error:
            raise error.at(statement.source.span, inner.trail) from None


def _repeat(before: _Mark, after: _Mark, times: int, span: Span, frame: Frame) -> None:
    """Make further turns of a loop, each as the last: they are not worked out again."""
    size, edges = after.size - before.size, after.edges - before.edges
    positions, place, body = after.position - before.position, frame.place, frame.body
    steps = times * (before.steps_left - after.steps_left)
    frame.recorder.count(times * size, times * edges, steps, span, lambda: frame.trail)
    body.add(
        Again(before.items, after.items, before.size, size, times, place.opened, positions),
        times * size,
    )
    body.edges += times * edges
    if positions:
        place.repeat(Turns(before.position, positions, times, size, before.size - size))
        place.position += times * positions
    assert frame.flowing is not None
    frame.flowing = tuple([number + times * size for number in frame.flowing])
