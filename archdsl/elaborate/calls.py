"""Makes layers from calls, and works out what they do to what comes in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from archdsl.diagnostics import ArchError, Span, Use
from archdsl.elaborate.binding import Given, bind
from archdsl.elaborate.errors import BadValue, CannotTake, Spoiled
from archdsl.elaborate.expressions import unknown
from archdsl.elaborate.frames import Frame
from archdsl.elaborate.tracing import follow_flags
from archdsl.elaborate.values import SPOILED, BlockValue, Tensors, Value, bad_argument, kind_of
from archdsl.elaborate.world import FileSetting
from archdsl.layers.base import ArgumentErrors, Facts, Layer, LayerError, Shape
from archdsl.syntax import ast
from archdsl.syntax.spec_file import SpecFile

# In steps: a second call with its arguments, and a copy of the value of the block.
COST_OF_ALIAS = 12


def callee(operation: ast.Call, frame: Frame) -> BlockValue:
    """Return the layer or block that a stage names."""
    name = operation.name
    local = frame.names.find(name.name)
    value = (
        local[0]
        if local
        else frame.world.block_named(frame.file, name.name, name.span, frame.trail)
    )
    if isinstance(value, BlockValue):
        return value
    if value is SPOILED:
        raise Spoiled
    if local or value is not None:
        hint = ""
        if value is None:
            hint = f"guard it: `if {name.name} != none {{ {name.name} }}`"
        reason = f"`{name.name}` is no layer or block: it is {kind_of(value)}"
        raise ArchError(BadValue(name.span, frame.trail, reason=reason, hint=hint))
    raise unknown("layer or block", name, frame.world.block_names(frame.file), frame)


class _InAlias(FileSetting):
    """Where the call stands that a block with parameters is: it sees those, and what flows."""

    def __init__(self, file: SpecFile, frame: Frame, trail: tuple[Use, ...]) -> None:
        super().__init__(frame.world, file, trail)
        self.frame = frame

    def flow(self) -> Tensors:
        return self.frame.flow()


def expanded(block: BlockValue, call: ast.Call, frame: Frame) -> tuple[BlockValue, ast.Call]:
    """Return what a use of `block F(out) = Conv2d(out, 3)` comes to, and its call.

    All arguments are fixed by then, so that the call holds none. Others are returned as they are.
    """
    world = frame.world
    trail: tuple[Use, ...] = ()
    entered = 0
    try:
        # an alias may be that of an alias; `enter` refuses one that leads back to itself
        while (alias := block.alias) is not None and block.file is not None:
            given = world.given(call.arguments, frame)
            outer = (*trail, *frame.trail)
            bound = bind(world.signature(block), given, block.fixed, call.span, outer)
            world.step(call.span, COST_OF_ALIAS)
            world.enter(alias, alias.name, call.span, outer)
            entered += 1
            inside = _InAlias(block.file, frame, further(alias.name, call.span, outer, frame))
            world.bind_parameters(alias.name, alias.parameters or (), bound, inside, outer)
            trail = (Use(alias.name, call.span), *trail)
            block = replace(world.partial(alias.call, inside, complete=True), trail=trail)
            call = call._replace(arguments=())
    finally:
        for _ in range(entered):
            world.leave()
    return block, call


def further(name: str, span: Span, trail: tuple[Use, ...], frame: Frame) -> tuple[Use, ...]:
    """Return the way to the inside of a block, which must not be too long."""
    allowed = frame.world.limits.nesting
    frame.body.uses = max(frame.body.uses, len(trail) + 1 - frame.outside)
    if len(trail) >= allowed:
        asks = f"blocks are used inside each other {len(trail) + 1} deep"
        raise ArchError(frame.world.limits.over("nesting", asks, span, trail))
    return (Use(name, span), *trail)


def make_layer(kind: type[Layer], block: BlockValue, operation: ast.Call, frame: Frame) -> Layer:
    """Return the layer with the arguments of a call."""
    given, bound = arguments_of(kind, block, operation, frame)
    if frame.world.trace is not None:
        follow_flags(frame.world.trace, bound, operation, frame)
    try:
        return layer_of(kind, bound, frame)
    except ArgumentErrors as error:
        trail = (*block.trail, *frame.trail)
        for name, reason in error.reasons.items():
            value, span = bound[name]
            hint = "" if kind.word else f"`archdsl layers {kind.__name__}` explains it"
            hint = input_given(given, frame, least=1) or hint
            called = kind.word or kind.__name__
            frame.world.report(bad_argument(called, name, reason, value, span, trail, hint))
        raise Spoiled from None


def arguments_of(
    kind: type[Layer], block: BlockValue, operation: ast.Call, frame: Frame
) -> tuple[Given, Mapping[str, tuple[Value, Span]]]:
    """Return what a call of a layer gives it, and that by name."""
    signature = frame.world.signature_of_layer(kind, kind.word or kind.__name__)
    given = frame.world.given(operation.arguments, frame)
    trail = (*block.trail, *frame.trail)
    bound = bind(signature, given, block.fixed, operation.span, trail)
    for value, span in bound.values():
        frame.weigh(value, span)
    return given, bound


def layer_of(kind: type[Layer], bound: Mapping[str, tuple[Value, Span]], frame: Frame) -> Layer:
    """Return the layer with arguments by name.

    Raises:
        ArgumentErrors: it doesn't take some of them.
    """
    values = {
        name: tuple(value) if isinstance(value, range) else value
        for name, (value, _) in bound.items()
    }
    return frame.recorder.layer(kind, values)


def is_constant(call: ast.Call) -> bool:
    """Tell whether the arguments of a call stand there as they are."""
    return all(type(argument.value) is ast.Literal for argument in call.arguments)


def input_given(given: Given, frame: Frame, least: int) -> str:
    """Suggest to leave out the size of the input, which torch takes first, if it may be there.

    `least` is how many arguments by position there must be to think so.
    """
    by_position = [value for name, value, _ in given if not name]
    if len(by_position) < least or type(by_position[0]) is not int:
        return ""
    sizes = [shape for shape in frame.flow().shapes if shape] if frame.flowing else []
    if all(by_position[0] not in (shape[0], shape[-1]) for shape in sizes):
        return ""
    return f"if {by_position[0]} is the size of what comes in, leave it out: that is always known"


def batch_given(reason: str, shapes: tuple[Shape, ...]) -> str:
    """Suggest to leave out the batch where a shape has one size too many, or ""."""
    takes = re.search(r"of the shape \[([^\]]*)\]", reason)
    if takes and [len(shape) for shape in shapes] == [takes[1].count(",") + 2]:
        return "the batch is implied: if that is what the first size is, leave it out"
    return ""


def infer(
    layer: Layer,
    incoming: tuple[int, ...],
    span: Span,
    frame: Frame,
    call: ast.Call | None = None,
) -> Facts:
    """Return the facts of a layer, or report that it can't take what comes in."""
    shapes = tuple([frame.shape(number) for number in incoming])
    reason = hint = ""
    if not incoming and not layer.word:
        reason = "needs a tensor, and none flows here"
        hint = "go on from an earlier stage, or from an output of a block, with `from`"
    else:
        try:
            return frame.recorder.infer(layer, [*map(frame.body.facts, incoming)], shapes)
        except LayerError as error:
            reason, hint = str(error), error.help
            if call is not None and not hint:
                hint = input_given(frame.world.given(call.arguments, frame), frame, least=3)
            hint = hint or batch_given(reason, shapes)
    name, trail = layer.word or type(layer).__name__, frame.trail
    raise ArchError(CannotTake(span, trail, layer=name, inputs=shapes, reason=reason, hint=hint))
