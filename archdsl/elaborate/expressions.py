"""Works out the value of an expression."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from archdsl.diagnostics import ArchError, Span, Use
from archdsl.elaborate import operations
from archdsl.elaborate.errors import Spoiled, UnknownName
from archdsl.elaborate.values import (
    SPOILED,
    NoValue,
    Tensors,
    Value,
    WorkedOut,
    integer,
    kind_of,
    number,
    sequence,
    truth,
    weight,
)
from archdsl.layers.traced import LeftOpen, depends, marks
from archdsl.limits import LARGEST
from archdsl.syntax import ast

T = TypeVar("T")


class Names:
    """The values that can be seen at a place: those given there, then those around it."""

    __slots__ = ("around", "fixed", "given")

    def __init__(self, around: Names | None = None) -> None:
        self.given: dict[str, Value] = {}
        self.around = around
        self.fixed: frozenset[str] = frozenset()  # those that are the same for all arguments

    def is_fixed(self, read: Iterable[str]) -> bool:
        """Tell whether names have the same values whatever the arguments of the body are."""
        for name in read:
            names: Names | None = self
            while names is not None and name not in names.given:
                names = names.around
            if names is not None and name not in names.fixed:
                return False
        return True

    def find(self, name: str) -> tuple[Value] | None:
        """Return the value in a tuple, since the value may be None."""
        names: Names | None = self
        while names is not None:
            if name in names.given:
                return (names.given[name],)
            names = names.around
        return None

    def __iter__(self) -> Iterator[str]:
        names: Names | None = self
        while names is not None:
            yield from names.given
            names = names.around


class Budget(Protocol):
    """Knows how much work is left."""

    steps_left: int


class Setting(Protocol):
    """Where an expression stands: what it can see, and how it came there."""

    names: Names
    trail: tuple[Use, ...]

    @property
    def world(self) -> Budget:
        """Where work is counted."""

    @property
    def traces(self) -> bool:
        """Whether numbers are followed."""

    def flow(self) -> Tensors:
        """Return what flows there, or raise Spoiled or NoValue."""

    def shape_of(self, reference: ast.Reference) -> Tensors:
        """Return the shape of a named tensor."""

    def global_value(self, name: ast.Name) -> tuple[Value] | None:
        """Return what the file calls by a name: a `let`, block, or layer."""

    def call_function(self, call: ast.Call) -> tuple[Value] | None:
        """Call a function of the file, or make a block of another; None if there is none."""

    def step(self, span: Span, count: int = 1) -> None:
        """Count steps of work before they are done."""

    def text(self, span: Span, length: int) -> None:
        """Count a string before it is made."""

    def known_names(self) -> Iterator[str]:
        """Yield every name that could stand in an expression."""


def evaluate(node: ast.Expression, at: Setting, most: int) -> Value:
    """Return the value of an expression; no list grows longer than `most`.

    Raises:
        ArchError: it has none; the diagnostic says where and why.
        Spoiled: it depends on something that was reported already.
    """
    if type(node) is ast.Literal:
        return node.value
    world = at.world
    world.steps_left -= 1
    if world.steps_left < 0:
        at.step(node.span, 0)  # which says so
    try:
        return EVALUATORS[type(node)](node, at, most)
    except NoValue as error:
        raise error.at(node.span, at.trail) from None


def unknown(
    what: str, name: ast.Name, known: Iterable[str], at: Setting, hint: str = ""
) -> ArchError:
    """Return the error of a name that nothing has which can be seen from there."""
    span, known = name.span, tuple(known)
    return ArchError(UnknownName(span, at.trail, what=what, name=name.name, known=known, hint=hint))


def evaluate_as(
    check: Callable[[Value, str], T], node: ast.Expression, at: Setting, most: int, what: str
) -> T:
    """Return the value of an expression as what it must be, such as an integer.

    Raises:
        ArchError: it has none, or none such; the diagnostic says where and why.
        Spoiled: it depends on something that was reported already.
    """
    value = evaluate(node, at, most)
    try:
        return check(value, what)
    except NoValue as error:
        raise error.at(node.span, at.trail) from None


def names_read(expression: ast.Expression) -> tuple[str, ...] | None:
    """Return the names that the value of an expression may hang on; None if on more than names."""
    found: dict[str, None] = {}
    waiting: list[object] = [expression]
    while waiting:
        one = waiting.pop()
        if type(one) in MORE_THAN_NAMES:
            return None
        if type(one) is ast.Name:
            found[one.name] = None
        elif isinstance(one, tuple):  # a node, or some
            waiting += one
    return tuple(found)


# what flows, and what has names of its own
MORE_THAN_NAMES = {ast.Flow, ast.ShapeOf, ast.TensorOf, ast.Comprehension, ast.Indexed}


def _name(node: ast.Name, at: Setting, most: int) -> Value:
    found = at.names.find(node.name) or at.global_value(node)
    if found is None:
        hint = f"`{node.name}` is a function: call it" if node.name in operations.FUNCTIONS else ""
        raise unknown("value", node, at.known_names(), at, hint)
    (value,) = found
    if type(value) is int:  # as most are
        return value
    if value is SPOILED:
        raise Spoiled
    if isinstance(value, LeftOpen):  # as an argument it is handed on; see `World.given`
        raise NoValue(f"more depends on {value.name} than arguments")
    return value


def _flow(node: ast.Flow, at: Setting, most: int) -> Value:
    tensors = at.flow()
    at.step(node.span, len(tensors.shapes))
    return tensors


def _text(node: ast.Text, at: Setting, most: int) -> str:
    parts = [
        part if isinstance(part, str) else _shown(evaluate(part, at, most)) for part in node.parts
    ]
    at.text(node.span, sum(map(len, parts)))
    return "".join(parts)


def _shown(value: Value) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise NoValue(f"a hole in a string takes a number or a string, and this is {kind_of(value)}")


def _listing(node: ast.Listing, at: Setting, most: int) -> Value:
    at.step(node.span, len(node.items))
    return tuple([evaluate(item, at, most) for item in node.items])


def _comprehension(node: ast.Comprehension, at: Setting, most: int) -> Value:
    source = evaluate(node.source, at, most)
    values: list[Value] = []
    outer = at.names
    try:
        for item in sequence(source, "what a list is made from"):
            at.step(node.span)
            at.names = Names(outer)
            bind_targets(node.targets, item, at.names, most)
            if node.condition is None or truth(evaluate(node.condition, at, most), "the condition"):
                at.step(node.span)
                values.append(evaluate(node.item, at, most))
    finally:
        at.names = outer
    return tuple(values)


def _indexed(node: ast.Indexed, at: Setting, most: int) -> Value:
    names = ", ".join(target.name for target in node.targets)
    raise NoValue(
        f"`for {names}` without `in` runs over the axes of a tensor, and this is none",
        f"name what to run over: `for {names} in ...`; or it is the value of a `constant`, "
        "`buffer` or `parameter`",
    )


def bind_targets(targets: tuple[ast.Name, ...], value: Value, names: Names, most: int) -> None:
    """Give names to a value, or to its parts if there are several names."""
    if len(targets) == 1:
        names.given[targets[0].name] = value
        return
    parts = sequence(value, f"what {len(targets)} names are given to")
    if len(parts) != len(targets):
        raise NoValue(f"there are {len(targets)} names for {len(parts)} values")
    for target, part in zip(targets, parts, strict=True):
        names.given[target.name] = part


def _unary(node: ast.Unary, at: Setting, most: int) -> Value:
    value = evaluate(node.operand, at, most)
    if node.operator == "not":
        return not truth(value, "what stands after `not`")
    if node.operator == "-":
        zero = number(value, "what stands after `-`") == 0
        turned = -value if zero else operations.arithmetic("-", 0, value)  # -0.0 stays so
        return placed(turned, node, at, value)
    return placed(operations.arithmetic("+", 0, value), node, at, value)


SIMPLE: dict[str, Callable[[int, int], int]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul
}  # fmt: skip


def _chain(node: ast.Chain, at: Setting, most: int) -> Value:
    value = evaluate(node.first, at, most)
    for sign, operand in node.rest:
        right = evaluate(operand, at, most)
        if type(value) is int and type(right) is int and sign in SIMPLE:
            found = SIMPLE[sign](value, right)
            if -LARGEST <= found <= LARGEST:  # it costs nothing beyond itself
                value = found
                continue
        count = at.text if isinstance(value, str) or isinstance(right, str) else at.step
        count(node.span, operations.cost_of(sign, value, right))
        value = placed(operations.arithmetic(sign, value, right), node, at, value, right)
    return value


def placed(value: Value, node: ast.Expression, at: Setting, *operands: Value) -> Value:
    """Have a float keep where it became one; one that is followed has a formula for that."""
    if type(value) is not float or at.traces:
        return value
    return WorkedOut.by(node.span, value, *operands, given=isinstance(node, ast.Literal))


def _logical(node: ast.Logical, at: Setting, most: int) -> bool:
    decides = node.operator == "or"
    for operand in node.operands:
        if truth(evaluate(operand, at, most), f"each side of `{node.operator}`") is decides:
            return decides
    return not decides


def _comparison(node: ast.Comparison, at: Setting, most: int) -> bool:
    left = evaluate(node.first, at, most)
    for sign, operand in node.rest:
        right = evaluate(operand, at, most)
        if sign in operations.MEMBERSHIP:
            at.step(node.span, operations.cost_of_search(left, right, most))
        elif isinstance(left, tuple | range) and isinstance(right, tuple | range):
            at.step(node.span, weight(left, most))
        if not operations.compare(sign, left, right):
            return False
        left = right
    return True


def _conditional(node: ast.Conditional, at: Setting, most: int) -> Value:
    chosen = truth(evaluate(node.condition, at, most), "the condition")
    value = evaluate(node.then if chosen else node.otherwise, at, most)
    if at.traces:
        read = tuple(_read(node.condition, at, most))
        return depends(value, "if", *read, value) if marks(read) else value
    return value


def _read(node: object, at: Setting, most: int) -> Iterator[Value]:
    """Yield what a condition reads: it decides by that, and by nothing else."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if isinstance(one, ast.Name | ast.Attribute | ast.Index | ast.Call):
            with suppress(ArchError, Spoiled):
                yield evaluate(one, at, most)
        elif isinstance(one, tuple):
            waiting += one


def _attribute(node: ast.Attribute, at: Setting, most: int) -> Value:
    value = evaluate(node.value, at, most)
    if isinstance(value, Tensors):
        return value.attribute(node.name)
    raise NoValue(
        f"{kind_of(value)} has no `{node.name}`",
        "`in` and `shape(label)` have sizes: `in.channels`",
    )


def _index(node: ast.Index, at: Setting, most: int) -> Value:
    value = evaluate(node.value, at, most)
    index = integer(evaluate(node.item, at, most), "an index")
    if isinstance(value, Tensors) and not -len(value.shapes) <= index < len(value.shapes):
        raise NoValue(f"`{value.what}` is {len(value.shapes)} tensors: there is no number {index}")
    if isinstance(value, Tensors):
        return Tensors((value.shapes[index],), f"{value.what}[{index}]")
    if not isinstance(value, tuple | range | str):
        raise NoValue(f"{kind_of(value)} has no items")
    if not -len(value) <= index < len(value):
        first = "; the first is 0" if value else ""
        raise NoValue(f"there is no item {index} in {kind_of(value)}{first}")
    return value[index]


def _slicing(node: ast.Slicing, at: Setting, most: int) -> Value:
    value = evaluate(node.value, at, most)
    if not isinstance(value, tuple | range | str):
        raise NoValue(f"{kind_of(value)} has no items")
    bounds = [
        None if bound is None else integer(evaluate(bound, at, most), "an index")
        for bound in (node.start, node.stop, node.step)
    ]
    if bounds[2] == 0:
        raise NoValue("the step of a slice can't be 0")
    part = slice(*bounds)
    if not isinstance(value, range):
        count = at.text if isinstance(value, str) else at.step
        count(node.span, len(range(len(value))[part]))
    return value[part]


def _shape_of(node: ast.ShapeOf, at: Setting, most: int) -> Value:
    return at.shape_of(node.reference)


def _tensor_of(node: ast.TensorOf, at: Setting, most: int) -> Value:
    raise NoValue(
        "a tensor is no value, and only a parameter of a layer can be that of another",
        "write so in a stage: `Linear(10, bias = false, weight = from embed.weight)`",
    )


def _call(node: ast.Call, at: Setting, most: int) -> Value:
    if found := at.call_function(node):
        return found[0]
    if node.name.name not in operations.FUNCTIONS:
        raise unknown("function", node.name, (*operations.FUNCTIONS, *at.known_names()), at)
    for argument in node.arguments:
        if argument.name:
            raise NoValue(f"`{node.name.name}` takes its arguments by position")
    values = tuple([evaluate(argument.value, at, most) for argument in node.arguments])
    at.step(node.span, operations.cost_of_call(node.name.name, values))
    return placed(operations.call(node.name.name, values), node, at, *values)


EVALUATORS: dict[type, Callable[[Any, Setting, int], Value]] = {
    ast.Name: _name,
    ast.Flow: _flow,
    ast.Text: _text,
    ast.Listing: _listing,
    ast.Comprehension: _comprehension,
    ast.Indexed: _indexed,
    ast.Unary: _unary,
    ast.Chain: _chain,
    ast.Logical: _logical,
    ast.Comparison: _comparison,
    ast.Conditional: _conditional,
    ast.Attribute: _attribute,
    ast.Index: _index,
    ast.Slicing: _slicing,
    ast.ShapeOf: _shape_of,
    ast.TensorOf: _tensor_of,
    ast.Call: _call,
}
