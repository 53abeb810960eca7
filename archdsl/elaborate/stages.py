"""Works out stages: layers, blocks, groups, and what sets the flow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from archdsl.elaborate.binding import bind
from archdsl.elaborate.errors import BadFlow, BadStructure, Problem, Spoiled
from archdsl.elaborate.frames import Frame
from archdsl.elaborate.labels import declare, enter_scope, name_tensor
from archdsl.elaborate.making import callee, expanded, further, infer, make_layer
from archdsl.elaborate.modules import COST_OF_CALL
from archdsl.elaborate.naming import Entry
from archdsl.elaborate.recording import Record, Way
from archdsl.elaborate.reuse import replay
from archdsl.elaborate.tracing import enter_block, enter_group
from archdsl.elaborate.values import BlockValue
from archdsl.graph import NOTHING, Scope
from archdsl.syntax import ast

if TYPE_CHECKING:
    from archdsl.elaborate.elaborator import Elaborator, Work


def flow(maker: Elaborator, operation: ast.Flow, stage: ast.Stage, frame: Frame) -> None:
    if stage.label is not None:
        name_tensor(stage.label, frame)


def from_(maker: Elaborator, operation: ast.From, stage: ast.Stage, frame: Frame) -> None:
    flow: list[int] = []
    for reference in operation.references:
        found = frame.follow(reference)
        if found is None:
            raise Spoiled
        frame.step(reference.span, len(found))
        flow += found
    frame.flowing = tuple(flow)
    frame.last = stage.span
    if stage.label is not None:
        name_tensor(stage.label, frame)


def call(maker: Elaborator, operation: ast.Call, stage: ast.Stage, frame: Frame) -> Work | None:
    block, operation = expanded(callee(operation, frame), operation, frame)
    if block.layer is not None:
        use_layer(maker, block, operation, stage, frame)
        return None
    return use_block(maker, block, operation, stage, frame)


def use_layer(
    maker: Elaborator, block: BlockValue, operation: ast.Call, stage: ast.Stage, frame: Frame
) -> None:
    assert block.layer is not None
    name, entry = declare(frame, stage.label, stage.span)
    label = "" if stage.label is None else name
    incoming = frame.flowing
    layer = make_layer(maker, block.layer, block, operation, frame)
    if incoming is None:
        raise Spoiled
    facts = infer(layer, incoming, operation.span, frame, operation)
    number = frame.recorder.add(
        Record(name, label, layer, incoming, facts, frame.place.scope, operation.span, frame.way)
    )
    entry.flow = frame.flowing = (number,)
    entry.first, entry.end, entry.incoming = number, number + 1, incoming
    frame.last = stage.span


def group(maker: Elaborator, operation: ast.Group, stage: ast.Stage, frame: Frame) -> Work:
    label, entry = declare(frame, stage.label, stage.span)
    scope = Scope(frame.place.full_name(label), frame.place.scope, "", stage.span)
    place = enter_scope(scope, entry, frame)
    inner = frame.inner(place)
    if frame.world.trace is not None:
        enter_group(frame.world.trace, scope.name, inner)
    first = len(frame.recorder.records)
    yield maker.body(operation.body, inner), inner
    close(entry, first, frame, inner)
    frame.last = stage.span


def use_block(
    maker: Elaborator, block: BlockValue, operation: ast.Call, stage: ast.Stage, frame: Frame
) -> Work:
    declaration = block.declaration
    assert declaration is not None
    assert block.module is not None
    frame.step(operation.span, COST_OF_CALL)
    label, entry = declare(frame, stage.label, stage.span)
    name = frame.place.full_name(label)
    inside = Frame(
        frame.world,
        block.module,
        frame.recorder,
        frame.place,
        frame.flowing,
        operation.span,
        further(name, stage.span, frame.trail, frame.world),
    )
    inside.way = Way(name, stage.span, frame.way)
    inside.inside = frame.inside
    bind_block(block, operation, frame, inside)
    scope = Scope(
        name,
        frame.place.scope,
        block.name,
        declaration.span,
        inside.names.given.copy() if inside.names.given else NOTHING,
        declaration.body.description,
        tuple(named_inputs(declaration, inside)),
    )
    inside.place = inside.home = enter_scope(scope, entry, frame, outside=False)
    for one in inputs_of(declaration):
        inside.place.entries[one.name] = Entry(one.span, inside.maps[one.name])
    if frame.world.trace is not None:
        enter_block(frame.world.trace, scope, declaration, operation, frame, inside)
    first = len(frame.recorder.records)
    # without arguments a block makes as much of the same shapes as it did before
    alike = None
    if frame.flowing is not None and not operation.arguments and not block.fixed:
        alike = id(declaration), tuple([frame.recorder.shape(number) for number in frame.flowing])
        frame.recorder.reserve(maker.made.get(alike, 0), operation.span, frame.trail)
    frame.world.enter(declaration, block.name, operation.span, frame.trail)
    try:
        yield maker.body(declaration.body, inside), inside
    finally:
        frame.world.leave()
    if alike is not None:
        maker.made[alike] = len(frame.recorder.records) - first
    close(entry, first, frame, inside)
    frame.last = stage.span
    if declaration.body.statements and ends_aside(declaration.body.statements[-1]):
        entry.flow = frame.flowing = ()  # it has named outputs only


def inline(maker: Elaborator, operation: ast.Inline, stage: ast.Stage, frame: Frame) -> Work:
    block, call = expanded(callee(operation.call, frame), operation.call, frame)
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
    frame.step(operation.span, COST_OF_CALL)
    inside = Frame(
        frame.world,
        block.module,
        frame.recorder,
        frame.place,
        frame.flowing,
        operation.span,
        further(block.name, stage.span, frame.trail, frame.world),
    )
    inside.way = Way(block.name, stage.span, frame.way)
    inside.home = frame.home
    inside.inside = frame.inside
    bind_block(block, call, frame, inside)
    frame.world.enter(declaration, block.name, operation.span, frame.trail)
    try:
        yield maker.body(declaration.body, inside), inside
    finally:
        frame.world.leave()
    frame.flowing = inside.flowing
    frame.last = stage.span


def reuse(maker: Elaborator, operation: ast.Reuse, stage: ast.Stage, frame: Frame) -> None:
    entry = frame.find(operation.path)
    if frame.flow_of(entry, operation.span) is None or frame.flowing is None:
        raise Spoiled
    name = ".".join(frame.parts(operation.path))
    label = ".".join(frame.parts(stage.label)) if stage.label else ""
    frame.flowing = replay(name, entry, operation.span, label, frame)
    frame.last = stage.span
    if stage.label is not None:
        name_tensor(stage.label, frame)


def close(entry: Entry, first: int, frame: Frame, inner: Frame) -> None:
    """Remember what a scope did, for references and `reuse`, and go on with its result."""
    entry.first, entry.end = first, len(frame.recorder.records)
    entry.incoming, entry.flow = frame.flowing, inner.flowing
    frame.flowing = inner.flowing


def bind_block(block: BlockValue, operation: ast.Call, frame: Frame, inside: Frame) -> None:
    """Give a block its parameters, and its inputs what flows."""
    declaration = block.declaration
    assert declaration is not None
    if declaration.parameters or operation.arguments:
        given = frame.world.given(operation.arguments, frame)
        signature = frame.world.signature(block)
        trail = (*block.trail, *frame.trail)
        bound = bind(signature, given, block.fixed, operation.span, trail)
        frame.world.bind_parameters(block.name, declaration.parameters, bound, inside, trail)
    inputs = inputs_of(declaration)
    if not inputs or frame.flowing is None:
        inside.maps = {one.name: None for one in inputs}
        return
    flow = frame.flowing
    many = inputs[-1].many
    if len(flow) < len(inputs) - many or (len(flow) > len(inputs) and not many):
        takes = " and ".join(f"`{one.name}{'[]' * one.many}`" for one in inputs)
        come = "one tensor comes in" if len(flow) == 1 else f"{len(flow)} tensors come in"
        raise Problem(
            BadFlow(
                span=operation.span,
                trail=frame.trail,
                reason=f"`{block.name}` takes {takes}, and {come}",
                hint="hand them over with `from a, b`",
            )
        )
    for number, one in enumerate(inputs):
        inside.maps[one.name] = flow[number:] if one.many else flow[number : number + 1]
        if one.many:
            inside.names.given[one.name] = frame.shapes(flow[number:], one.name)


def inputs_of(declaration: ast.Block) -> list[ast.Input]:
    return [one for one in declaration.body.statements if isinstance(one, ast.Input)]


def named_inputs(declaration: ast.Block, inside: Frame) -> Iterator[tuple[str, int]]:
    """Yield the tensors that come into a block, by their names; `maps[]` gives `maps_0` and on."""
    for one in inputs_of(declaration):
        for at, number in enumerate(inside.maps[one.name] or ()):
            yield (f"{one.name}_{at}" if one.many else one.name), number


def ends_aside(statement: ast.Statement) -> bool:
    """Tell whether a last statement gives an output of its own, so that nothing flows on."""
    return (
        isinstance(statement, ast.Output) and statement.body is not None and not statement.training
    )
