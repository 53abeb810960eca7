"""`parameter`, `buffer` and `constant`: tensors that a network owns itself."""

from __future__ import annotations

from contextlib import suppress
from math import prod

from archdsl.diagnostics import ArchError, Span
from archdsl.elaborate.bodies import Made
from archdsl.elaborate.by_place import by_place_of
from archdsl.elaborate.errors import BadValue
from archdsl.elaborate.expressions import evaluate
from archdsl.elaborate.frames import Frame
from archdsl.elaborate.values import NoValue, Value, integer, items, kind_of, number
from archdsl.layers.arguments import LARGEST
from archdsl.layers.base import ArgumentErrors, Layer, LayerError
from archdsl.layers.sizes import Formula
from archdsl.layers.tensor import DISTRIBUTIONS, Distribution, Formulas, InputTensor, OwnTensor
from archdsl.syntax import ast


def own_tensor(statement: ast.OwnTensor, frame: Frame) -> tuple[Layer, tuple[int, ...]]:
    """Return the layer that gives the tensor which a statement declares, and what it reads.

    That is a tensor whose sizes are its own, where some are free; else nothing.

    Raises:
        ArchError: the shape or the first values make no sense.
    """
    shape, batched = _shape(statement.shape, frame)
    stored = statement.word != "constant"
    learnable = statement.word == "parameter"
    arguments = {"shape": shape, "learnable": learnable, "batched": batched, "stored": stored}
    try:
        by_place = isinstance(statement.value, ast.Indexed)
        free = by_place and not stored and any(isinstance(size, Formula) for size in shape)
        sizes = (
            () if free else tuple(integer(one, "a size of a tensor of its own") for one in shape)
        )
        layer = frame.recorder.layer(OwnTensor, arguments)
    except ArgumentErrors as error:
        reason = f"each size of a shape {next(iter(error.reasons.values()))}"
        raise ArchError(BadValue(statement.shape.span, frame.trail, reason=reason)) from None
    except NoValue as error:
        raise error.at(statement.shape.span, frame.trail) from None
    if statement.value is None:
        if not stored:
            reason = "a constant needs a value: it is never learned"
            raise ArchError(BadValue(statement.span, frame.trail, reason=reason))
        return layer, ()
    try:
        if isinstance(statement.value, ast.Indexed):
            value: object = by_place_of(statement.value, shape, learnable, frame)
        else:
            value = _first_values(statement.value, frame, learnable)
            if isinstance(value, Distribution) and not stored:
                reason = "a constant holds the same in every module, and these numbers are drawn"
                raise NoValue(reason, "a `buffer` is stored")
        if isinstance(value, tuple):
            _check_values(value, sizes)
            value = _without_ranges(value)
    except NoValue as error:
        raise error.at(statement.value.span, frame.trail) from None
    layer = frame.recorder.layer(OwnTensor, {**arguments, "value": value})
    if isinstance(value, Formulas) and any(isinstance(part, Formula) for part in value.parts):
        return layer, (_example(layer, statement, frame),)
    return layer, ()


def _example(layer: Layer, statement: ast.OwnTensor, frame: Frame) -> int:
    """Return a tensor that has the free sizes of a constant among its own: what flows, or came in.

    Raises:
        ArchError: there is none.
    """
    body = frame.body
    came = [~at for at in range(len(body.incoming))]
    for at, item in enumerate(body.items):
        if not (isinstance(item, Made) and isinstance(item.layer, InputTensor)):
            break
        came.append(at)
    for at in (*(frame.flowing or ()), *came):
        facts = body.facts(at)
        if facts.batched:
            with suppress(LayerError):
                layer.infer((facts.output,))
                return at
    reason = "a free size of a constant is that of a tensor that flows where it stands, or came in"
    hint = "declare it where a tensor with that size flows"
    raise ArchError(BadValue(statement.span, frame.trail, reason=reason, hint=hint))


def _check_values(value: tuple[Value, ...], shape: tuple[int, ...]) -> None:
    """Refuse lists that don't hold the numbers of a tensor: all in a row, or nested as it is."""
    flat = _flat(value)
    if len(flat) != prod(shape):
        numbers = "1 number" if prod(shape) == 1 else f"{prod(shape)} numbers"
        raise NoValue(f"a tensor of this shape holds {numbers}, and these are {len(flat)}")
    in_a_row = not any(isinstance(item, tuple | range) for item in value)
    if not in_a_row and not _is_nested(value, shape):
        raise NoValue(
            f"these lists are not nested as the shape {list(shape)} is",
            f"nest them so, or write all {len(flat)} numbers in one list",
        )


def _is_nested(value: tuple[Value, ...], shape: tuple[int, ...]) -> bool:
    row: list[Value] = [value]
    for size in shape:
        if any(not isinstance(item, tuple | range) or len(item) != size for item in row):
            return False
        row = [part for item in row for part in item]
    return not any(isinstance(item, tuple | range) for item in row)


def _shape(node: ast.Expression, frame: Frame) -> tuple[tuple[Value, ...], bool]:
    """Return a shape, and whether it begins with `batch`."""
    if isinstance(node, ast.Listing) and node.items:
        first = node.items[0]
        if isinstance(first, ast.Name) and first.name == "batch" and not frame.names.find("batch"):
            rest = node._replace(items=node.items[1:])
            return _sizes(rest, node.span, frame), True
    return _sizes(node, node.span, frame), False


def _sizes(node: ast.Expression, span: Span, frame: Frame) -> tuple[Value, ...]:
    most = frame.world.limits.steps
    try:
        sizes = items(evaluate(node, frame, most), "a shape", most)
        frame.weigh(sizes, span)
        return sizes
    except NoValue as error:
        raise error.at(span, frame.trail) from None


def _first_values(node: ast.Expression, frame: Frame, learnable: bool) -> object:
    """Return a number, nested lists of numbers, or a distribution."""
    most = frame.world.limits.steps
    if isinstance(node, ast.Call) and node.name.name in DISTRIBUTIONS:
        known = DISTRIBUTIONS[node.name.name]
        arguments: dict[str, float] = {}
        for position, argument in enumerate(node.arguments):
            name = argument.name or (list(known)[position] if position < len(known) else "")
            if name not in known or name in arguments:
                raise NoValue(f"`{node.name.name}` takes {', '.join(known)}, once each")
            value = evaluate(argument.value, frame, most)
            given = number(value, f"`{name}` of `{node.name.name}`")
            if not isinstance(given, int | float):
                raise NoValue(f"`{name}` can't depend on a free size")
            if name == "std" and given < 0:
                raise NoValue("`std` must be at least 0")
            arguments[name] = given
        drawn = known | arguments
        if drawn.get("low", 0) > drawn.get("high", 1):
            raise NoValue(f"`low` must be at most `high`, which is {drawn['high']}")
        return Distribution(node.name.name, tuple(arguments.items()))
    value = evaluate(node, frame, most)
    frame.weigh(value, node.span)
    flat = _flat(value)
    for item in flat:
        if not isinstance(item, int | float):
            known_names = ", ".join(f"{name}(...)" for name in DISTRIBUTIONS)
            raise NoValue(
                f"a tensor begins with a number, a list of numbers, or a distribution; "
                f"this is {kind_of(item)}",
                f"distributions are {known_names}",
            )
    if any(isinstance(item, bool) for item in flat):
        if learnable:
            reason = "a parameter is learned, so it holds numbers, and neither true nor false"
            raise NoValue(reason, "a `buffer` may hold them")
        if not all(isinstance(item, bool) for item in flat):
            raise NoValue("a tensor holds numbers, or true and false, and not both")
    for item in flat:
        if isinstance(item, float) and abs(item) > LARGEST[float]:
            raise NoValue(f"{item} is more than a number of torch holds: at most 3.4e38")
    return tuple(value) if isinstance(value, range) else value


def _without_ranges(value: object) -> object:
    """Return lists that are nested as a tensor is, with the ranges in them as lists."""
    return tuple(map(_without_ranges, value)) if isinstance(value, tuple | range) else value


def _flat(value: Value) -> list[Value]:
    """Return the numbers in nested lists, in no order, or the one that is no list."""
    flat: list[Value] = []
    stack: list[Value] = [value]  # lists may be nested deeper than Python's stack allows
    while stack:
        item = stack.pop()
        if isinstance(item, tuple | range):
            stack.extend(item)
        else:
            flat.append(item)
    return flat
