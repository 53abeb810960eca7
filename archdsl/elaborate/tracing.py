"""Follows numbers while a network is worked out, for what compiles: see `layers/traced.py`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from archdsl.diagnostics import ArchError, Span
from archdsl.elaborate.errors import BadFlow, Spoiled
from archdsl.elaborate.expressions import Names, evaluate
from archdsl.elaborate.frames import Frame
from archdsl.elaborate.inside import Inside
from archdsl.elaborate.naming import Flow
from archdsl.elaborate.values import SPOILED, Tensors, Value, integer
from archdsl.elaborate.world import FileSetting, World
from archdsl.layers.base import Shape
from archdsl.layers.sizes import Formula, FormulaError, Size
from archdsl.layers.traced import (
    MOST_ITEMS,
    Choice,
    Comparison,
    Condition,
    Loop,
    Several,
    Sizes,
    Trace,
    bare,
    counting,
    formula_of,
    grown,
    growth,
    marks,
    parameter,
    traced,
)
from archdsl.syntax import ast


def _begin(
    trace: Trace, name: str, around: Frame, inner: Frame, incoming: tuple[int, ...] | None
) -> Inside:
    bodies, nodes = (around.body, inner.body), around.recorder.nodes
    return Inside(trace, name, around.inside, *bodies, incoming, nodes)


def bind_for_compiler(
    world: World,
    declaration: ast.Network,
    bound: Mapping[str, tuple[Value, Span]],
    setting: FileSetting,
) -> None:
    """Give the parameters of a network their values; those that are to be followed are atoms.

    That goes one after the other, since a default may follow from those before it.
    """
    given = setting.names.given
    for one in declaration.parameters:
        world.bind_parameters(declaration.name, (one,), bound, setting, ())
        if one.name in given:
            value = given[one.name]
            if marks(value) or _is_free(value):
                continue  # a default that follows from others
            if one.name in world.instead:
                world.usual |= _usual(world.instead[one.name], value)
                value = world.instead[one.name]
            follows = world.trace is not None and one.name in world.trace.parameters
            given[one.name] = parameter(value, f"{one.name}#0") if follows else value


def _usual(instead: Value, value: Value) -> dict[str, int]:
    """Return what each formula that is put in the place of an integer stands for."""
    if isinstance(instead, tuple) and isinstance(value, tuple):
        pairs = zip(instead, value, strict=True)
        return {name: each for pair in pairs for name, each in _usual(*pair).items()}
    if isinstance(instead, Formula) and type(value) is int:
        return dict.fromkeys(instead.names, value)
    return {}


def _is_free(value: Value) -> bool:
    return isinstance(value, Formula) or (isinstance(value, tuple) and any(map(_is_free, value)))


def enter_group(trace: Trace, name: str, inner: Frame) -> None:
    """Begin a group: sizes of what comes in, and all names that it sees, are atoms of its own."""
    inner.inside = own = _begin(trace, name, inner, inner, None)
    seen: dict[str, Value] = {}
    names: Names | None = inner.names
    while names is not None:
        seen = {**names.given, **seen}
        names = names.around
    own.parameters = inner.names
    trace.names[own.number] = seen
    for each, value in seen.items():
        define(trace, f"{each}#{own.number}", value, None)
        if isinstance(value, Tensors):
            numbers = inner.maps.get(each)
            inner.names.given[each] = inner.shapes(numbers, each) if numbers else value
        elif value is not SPOILED:
            inner.names.given[each] = parameter(value, f"{each}#{own.number}")


def define(trace: Trace, atom: str, value: Value, flag: Formula | None) -> None:
    """Say what a name of a scope, and each item of it, stands for around the scope."""
    trace.definitions[atom] = value if flag is None else flag
    if isinstance(value, tuple):
        name, number = atom.rsplit("#", 1)
        items = enumerate(value[:MOST_ITEMS])
        trace.definitions.update((f"{name}.{at}#{number}", item) for at, item in items)


def enter_block(
    trace: Trace,
    name: str,
    declaration: ast.Block,
    operation: ast.Call,
    frame: Frame,
    inside: Frame,
) -> None:
    """Begin the use of a block: its parameters, and the sizes of what comes in, are atoms."""
    inside.inside = own = _begin(trace, name, frame, inside, frame.flowing or ())
    own.parameters = inside.names
    names = iter([one.name for one in declaration.parameters])
    expressions = {one.name or next(names, ""): one.value for one in operation.arguments}
    given = inside.names.given
    for each, value in given.items():
        atom = f"{each}#{own.number}"
        if isinstance(value, Tensors):
            given[each] = inside.shapes(inside.maps[each] or (), each)
            continue
        define(trace, atom, value, flag_of(expressions.get(each), frame))
        given[each] = parameter(value, atom)


def flag_of(expression: object, frame: Frame) -> Formula | None:
    """Return the atom of an argument that is no number: a parameter, by its mere name."""
    inside = frame.inside
    if inside is None or inside.parameters is None or not isinstance(expression, ast.Name):
        return None
    names: Names | None = frame.names
    while names is not None and expression.name not in names.given:
        names = names.around
    if names is not inside.parameters:
        return None
    value = names.given[expression.name]
    return None if marked(value) else Formula.named(f"{expression.name}#{inside.number}")


def marked(value: Value) -> bool:
    """Tell whether a value carries its formula itself."""
    return type(value) is not bool and isinstance(value, int | float | tuple)


def follow_flags(
    trace: Trace, bound: Mapping[str, tuple[Value, Span]], operation: ast.Call, frame: Frame
) -> None:
    """Remember what the arguments of the layer that is made next are, if they are no numbers."""
    places = {id(argument.span): argument.value for argument in operation.arguments}
    found = {name: flag_of(places.get(id(span)), frame) for name, (_, span) in bound.items()}
    if flags := {name: flag for name, flag in found.items() if flag is not None}:
        trace.flags[frame.recorder.nodes] = flags


def follow_let(trace: Trace, statement: ast.Let, frame: Frame) -> None:
    """Remember what the spec calls a number."""
    for target in statement.targets:
        for mark in marks(frame.names.given[target.name])[:1]:
            trace.lets.setdefault(mark, target.name)


def follow_loop(trace: Trace, statement: ast.Repeat | ast.For, turns: int, frame: Frame) -> Loop:
    """Remember how often a body is repeated, and the formula of that."""
    count: Any = turns
    if isinstance(statement, ast.Repeat):
        count = evaluate(statement.turns, frame, frame.most)
    elif bounds := _bounds(statement.source, frame):
        first, end = bounds
        count = end - first
    if bare(count) != turns:
        count = turns
    number = frame.inside.number if frame.inside else 0
    where = statement.span.source.path, statement.span.start
    loop = Loop(where, bare(turns), formula_of(count))
    trace.loops.setdefault(number, []).append(loop)
    return loop


def counted(value: Value, statement: ast.For, frame: Frame) -> Value:
    """Return the variable of a loop over a `range` in a turn, from which numbers may follow."""
    number = frame.inside.number if frame.inside else 0
    return counting(integer(value, "a number"), statement.span.start, number)


def follow_turn(trace: Trace, loop: Loop, frame: Frame) -> None:
    """Remember where a turn begins, or the last one has ended."""
    loop.starts.append(frame.recorder.nodes)
    if frame.flowing is None:
        return
    flow = [frame.shape(number) for number in frame.flowing]
    if len(loop.flows) < 2:
        loop.flows.append(flow)
    if isinstance(loop.count, Formula) and len(loop.starts) > 1:
        number = frame.inside.number if frame.inside else 0
        more = _seen_growth(trace, growth(loop.last, flow), number)
        first = len(loop.starts) == 2
        loop.growth = more if first or more == loop.growth else None
    loop.last = flow


def _seen_growth(trace: Trace, more: Sizes | None, scope: int) -> Sizes | None:
    return more and [[trace.seen(by, scope) for by in each] for each in more]


def follow_growth(loop: Loop, frame: Frame) -> None:
    """Let what flows behind a loop be as large as the number of its turns says."""
    flow, more = frame.flowing, loop.growth
    if flow is None or more is None or not loop.grows or loop.turns < 2 or min(flow) < 0:
        return
    shapes = grown(loop.flows[0], loop.last, more, loop.count)
    for number, shape, last in zip(flow, shapes, loop.last, strict=True):
        sizes = [*zip(shape, last, strict=True)]
        known = tuple([one if one is old else traced(bare(old), one) for one, old in sizes])
        frame.body.reshape(number, known)


class OpenLoop:
    """A loop whose number of turns the compiler leaves open: it turns as often as it usually does.

    Its turns must be alike, but for labels and numbers of layers, for any other number to give as
    many more of them. So nothing may be decided by which of them one is, and what flows has the
    same shape after each, or is larger by the same in each. That it goes on so is proven: all
    turns but the first get sizes in which the number of turns before them has no value.

    Attributes:
        turns: of each what its variable is.
        first: what that is in the first one.
        count: what says how many there are.
    """

    def __init__(self, turns: tuple[Formula, ...], first: int, count: Size) -> None:
        self.turns = turns
        self.first = first
        self.count = count
        self._begin: list[Shape] = []
        self._more: Sizes | None = None

    def follow(self, turn: int, before: Flow, frame: Frame) -> None:
        """Refuse a turn that changes what flows otherwise than the first one did."""
        after = frame.flowing
        if before is None or after is None:
            raise Spoiled
        begin, end = ([frame.shape(number) for number in flow] for flow in (before, after))
        more = growth(begin, end)
        if turn == 0:
            self._begin, self._more = begin, more
        if more is None or more != self._more:
            raise self._changes(frame)
        if not any(map(any, more)):
            return
        formulas = (by for each in more for by in each if isinstance(by, Formula))
        by_turn = any(by.names & frame.world.turns.keys() for by in formulas)
        if len(self.turns) < 2 or by_turn or min(after) < 0:
            raise self._changes(frame)
        done = self.turns[turn + 1] - self.first if turn + 1 < len(self.turns) else self.count
        for number, shape in zip(after, grown(self._begin, end, more, done), strict=True):
            frame.body.reshape(number, shape)

    def _changes(self, frame: Frame) -> ArchError:
        reason = f"what flows changes in a loop of {self.count} turns"
        return ArchError(BadFlow(frame.last, frame.trail, reason=reason))


def open_loop(statement: ast.Repeat | ast.For, frame: Frame) -> OpenLoop | None:
    """Return a loop of n turns, or over `range(n)`, where n is left open; None for all others."""
    world = frame.world
    first: Value = 0
    if isinstance(statement, ast.Repeat):
        end = evaluate(statement.turns, frame, frame.most)
    else:
        bounds = _bounds(statement.source, frame)
        if bounds is None:
            return None
        first, end = bounds
    if not isinstance(end, Formula) or len(end.names) != 1 or type(first) is not int:
        return None
    usual: Value = None
    with suppress(FormulaError, ArithmeticError):
        usual = end.evaluate(world.usual)
    if type(usual) is not int:
        return None
    (name,) = end.names
    world.counts[name] = None
    atom = name.removesuffix("#0")
    atoms = [f"{atom}.{len(world.turns)}.{number}#0" for number in range(first, usual)]
    world.turns |= zip(atoms, range(first, usual), strict=True)
    return OpenLoop(tuple(map(Formula.named, atoms)), first, end - first)


def _bounds(source: ast.Expression, frame: Frame) -> tuple[Value, Value] | None:
    """Return where a `range` without steps begins and ends; None for what is none."""
    if not isinstance(source, ast.Call) or source.name.name != "range":
        return None
    if frame.file.find("range") or not 1 <= len(source.arguments) <= 2:
        return None
    *first, end = (evaluate(one.value, frame, frame.most) for one in source.arguments)
    return (first[0] if first else 0), end


def follow_choice(
    trace: Trace, condition: ast.Expression, frame: Frame, joins: bool = False
) -> Choice | None:
    """Remember a condition before what stands under it is made, and what it says.

    `joins` tells `residual when` from `if`.
    """
    if frame.inside is None:
        return None
    try:
        said = _condition(condition, frame, negated=False)
    except (_NotWritten, ArchError, Spoiled):
        said = None
    where, nodes = (condition.span.source.path, condition.span.start), frame.recorder.nodes
    choice = Choice(where, nodes, nodes, said, joins)
    trace.choices.setdefault(frame.inside.number, []).append(choice)
    return choice


OPPOSITE = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


class _NotWritten(Exception):
    """A condition asks for something else than numbers."""


def _condition(node: ast.Expression, frame: Frame, negated: bool) -> Condition:
    """Return what a condition says, or the opposite, so that no `not` is left."""
    if isinstance(node, ast.Logical):
        opposite = {"and": "or", "or": "and"}
        word = opposite[node.operator] if negated else node.operator
        return Several(word, tuple([_condition(each, frame, negated) for each in node.operands]))
    if isinstance(node, ast.Unary) and node.operator == "not":
        return _condition(node.operand, frame, not negated)
    if not isinstance(node, ast.Comparison):
        raise _NotWritten
    operands = [_number(node.first, frame)]
    compared: list[Condition] = []
    for sign, operand in node.rest:
        if sign not in OPPOSITE:
            raise _NotWritten
        operands.append(_number(operand, frame))
        left, right = operands[-2:]
        compared.append(Comparison(left, right, OPPOSITE[sign] if negated else sign))
    return compared[0] if len(compared) == 1 else Several("or" if negated else "and", (*compared,))


def _number(node: ast.Expression, frame: Frame) -> tuple[str, Any]:
    """Return a number that is compared, with what it is called."""
    value = evaluate(node, frame, frame.most)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _NotWritten
    return (node.name if isinstance(node, ast.Name) else "size"), value
