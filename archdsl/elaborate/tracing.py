"""Follows numbers while a network is worked out, for what compiles: see `layers/traced.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archdsl.diagnostics import ArchError, Span
from archdsl.elaborate.errors import Spoiled
from archdsl.elaborate.expressions import Names, evaluate
from archdsl.elaborate.frames import Frame
from archdsl.elaborate.inside import Inside
from archdsl.elaborate.values import SPOILED, Tensors, Value
from archdsl.layers.sizes import Formula
from archdsl.layers.traced import MOST_ITEMS, Choice, Trace, bare, formula_of, marks, parameter
from archdsl.syntax import ast


def _begin(
    trace: Trace, name: str, around: Frame, inner: Frame, incoming: tuple[int, ...] | None
) -> Inside:
    bodies, nodes = (around.body, inner.body), around.recorder.nodes
    return Inside(trace, name, around.inside, *bodies, incoming, nodes)


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
    """Remember what the spec calls a number that no formula says."""
    for target in statement.targets:
        for mark in marks(frame.names.given[target.name])[:1]:
            if any(atom.startswith("?") for atom in mark.names):
                trace.lets.setdefault(mark, target.name)


def follow_loop(trace: Trace, statement: ast.Repeat | ast.For, turns: int, frame: Frame) -> None:
    """Remember how often a body is repeated, and the formula of that."""
    count: Any = turns
    if isinstance(statement, ast.Repeat):
        count = evaluate(statement.turns, frame, frame.most)
    else:
        source = statement.source
        if isinstance(source, ast.Call) and source.name.name == "range":
            bounds = [evaluate(one.value, frame, frame.most) for one in source.arguments]
            if len(bounds) <= 2:
                count = bounds[-1] - (bounds[0] if len(bounds) > 1 else 0)
    if bare(count) != turns:
        count = turns
    number = frame.inside.number if frame.inside else 0
    of_statement = trace.loops.setdefault(number, {}).setdefault(statement.span.start, {})
    of_statement[turns, formula_of(count)] = None


def follow_choice(
    trace: Trace, condition: ast.Expression, frame: Frame, joins: bool = False
) -> Choice | None:
    """Remember a condition before what stands under it is made, and what it says.

    `joins` tells `residual when` from `if`.
    """
    if frame.inside is None:
        return None
    written = _Condition(frame)
    try:
        written.write(condition)
    except (_NotWritten, ArchError, Spoiled):
        written.parts = []
    where, nodes = (condition.span.source.path, condition.span.start), frame.recorder.nodes
    choice = Choice(where, nodes, nodes, tuple(written.parts), tuple(written.numbers), joins)
    trace.choices.setdefault(frame.inside.number, []).append(choice)
    return choice


OPPOSITE = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
SAME = {sign: sign for sign in OPPOSITE}


class _NotWritten(Exception):
    """A condition asks for something else than numbers."""


class _Condition:
    """A condition as Python says it, around its numbers."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.parts = [""]
        self.numbers: list[tuple[str, Any]] = []

    def write(self, node: ast.Expression, within: str = "") -> None:
        """Add what an expression says that stands within `and`, `or` or `not`."""
        if isinstance(node, ast.Logical):
            bracketed = within not in ("", node.operator)
            self.parts[-1] += "(" * bracketed
            for at, operand in enumerate(node.operands):
                self.parts[-1] += f" {node.operator} " * (at > 0)
                self.write(operand, node.operator)
            self.parts[-1] += ")" * bracketed
        elif isinstance(node, ast.Unary) and node.operator == "not":
            inner = node.operand
            if isinstance(inner, ast.Comparison) and len(inner.rest) == 1:
                self.compare(inner, OPPOSITE)
            else:
                self.parts[-1] += "not "
                self.write(inner, "not")
        elif isinstance(node, ast.Comparison):
            self.parts[-1] += "(" * (within == "not")
            self.compare(node, SAME)
            self.parts[-1] += ")" * (within == "not")
        else:
            raise _NotWritten

    def compare(self, node: ast.Comparison, signs: Mapping[str, str]) -> None:
        self.number(node.first)
        for sign, operand in node.rest:
            if sign not in signs:
                raise _NotWritten
            self.parts[-1] += f" {signs[sign]} "
            self.number(operand)

    def number(self, node: ast.Expression) -> None:
        value = evaluate(node, self.frame, self.frame.most)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _NotWritten
        name = node.name if isinstance(node, ast.Name) else "size"
        self.numbers.append((name, value))
        self.parts.append("")
