"""Follows numbers while a network is worked out, for what compiles: see `layers/traced.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from archdsl.diagnostics import Span
from archdsl.elaborate.expressions import Names, evaluate
from archdsl.elaborate.values import SPOILED, Tensors, Value
from archdsl.layers.base import Facts, Shape, Shapes
from archdsl.layers.sizes import Formula
from archdsl.layers.traced import MOST_ITEMS, Trace, bare, formula_of, known_axis, marks, parameter
from archdsl.syntax import ast

if TYPE_CHECKING:
    from archdsl.elaborate.frames import Frame


class Inside:
    """The use of a block, or a group, as its body sees what comes in: with sizes that are atoms.

    Attributes:
        number: of the scope.
        parameters: the names that are atoms in it.
    """

    def __init__(
        self, trace: Trace, name: str, around: Frame, inner: Frame, incoming: tuple[int, ...] | None
    ) -> None:
        """Begin a scope: `incoming` is what comes into a block; None for a group."""
        outer = around.inside
        self.trace = trace
        self.outer = outer
        self.around, self.body = around.body, inner.body
        self.incoming = incoming
        self.number: int = trace.enter(name, outer.number if outer else 0)
        self.first = 0 if incoming is not None else inner.body.size
        self.base: int = outer.base if outer else 0
        if incoming is not None:
            self.base = around.recorder.nodes
        self.parameters: Names | None = None
        self._seen: dict[int, Shape] = {}

    def node(self, number: int) -> int:
        """Return the number that a node has in all of the network."""
        if number >= 0:
            return self.base + number
        if self.incoming is None:
            assert self.outer is not None
            return self.outer.node(number)
        outer = self.incoming[~number]
        return self.outer.node(outer) if self.outer else outer

    def outside(self, number: int) -> Shape:
        """Return the shape of a node from outside as it is seen there."""
        outer = number if self.incoming is None else self.incoming[~number]
        return self.outer.shape(outer) if self.outer else self.around.facts(outer).output

    def shape(self, number: int) -> Shape:
        """Return the shape of a node: the size of one from outside that a class asks for is new."""
        if number >= self.first:
            return self.body.facts(number).output
        if number not in self._seen:
            outer = self.outside(number)
            axis = known_axis(len(outer))
            sizes: list[Any] = [bare(size) for size in outer]
            if sizes and isinstance(sizes[axis], int):
                atom = size_atom(self.node(number), self.number)
                self.trace.definitions[atom] = outer[axis]
                sizes[axis] = parameter(sizes[axis], atom)
            self._seen[number] = tuple(sizes)
        return self._seen[number]

    def join(self, shapes: Shapes, facts: Facts) -> None:
        """Remember which sizes must be equal since tensors are merged."""
        for shape in shapes[1:]:
            for left, right, result in zip(shapes[0], shape, facts.output, strict=False):
                pair = formula_of(left), formula_of(right)
                if left == right == result != 1 and pair[0] != pair[1]:
                    self.trace.equal.setdefault(self.number, {})[pair] = None


def size_atom(node: int, scope: int) -> str:
    """Return the atom of the size that a scope knows of a node from outside it."""
    return f"in.{node}#{scope}"


def enter_group(trace: Trace, name: str, inner: Frame) -> None:
    """Begin a group: sizes of what comes in, and all names that it sees, are atoms of its own."""
    inner.inside = own = Inside(trace, name, inner, inner, None)
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
    inside.inside = own = Inside(trace, name, frame, inside, frame.flowing or ())
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
