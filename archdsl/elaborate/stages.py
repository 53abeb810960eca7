"""Works out stages: layers, blocks, groups, and what sets the flow."""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from archdsl.diagnostics import ArchError
from archdsl.elaborate.binding import bind
from archdsl.elaborate.bodies import Body, Instance, Made, Way
from archdsl.elaborate.calls import callee, expanded, further, infer, make_layer
from archdsl.elaborate.errors import BadFlow, BadStructure, Spoiled
from archdsl.elaborate.frames import Frame, Work
from archdsl.elaborate.labels import (
    declare,
    depth_of,
    enter_scope,
    name_tensor,
    open_group,
    settle_order,
)
from archdsl.elaborate.naming import Entry, Place
from archdsl.elaborate.reuse import replay
from archdsl.elaborate.ties import computed, tied, tied_arguments, without_tied
from archdsl.elaborate.tracing import enter_block, enter_group
from archdsl.elaborate.values import BlockValue, identity
from archdsl.elaborate.world import COST_OF_CALL
from archdsl.layers.given import with_given
from archdsl.limits import CHARACTERS_OF_STEP
from archdsl.syntax import ast


def flow(operation: ast.Flow, stage: ast.Stage, frame: Frame) -> None:
    if stage.label is not None:
        name_tensor(stage.label, frame)


def from_(operation: ast.From, stage: ast.Stage, frame: Frame) -> None:
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


def call(operation: ast.Call, stage: ast.Stage, frame: Frame) -> Work | None:
    block, operation = expanded(callee(operation, frame), operation, frame)
    if block.layer is not None:
        use_layer(block, operation, stage, frame)
        return None
    return use_block(block, operation, stage, frame)


def use_layer(block: BlockValue, operation: ast.Call, stage: ast.Stage, frame: Frame) -> None:
    assert block.layer is not None
    position = -1 if stage.label else frame.place.position
    name, entry = declare(frame, stage.label, stage.span)
    label = "" if stage.label is None else name
    incoming = frame.flowing
    given, operation = tied_arguments(operation)
    layer = make_layer(block.layer, block, operation, frame)
    if incoming is None:
        raise Spoiled
    reads = incoming
    if weights := computed(given, frame) if given else {}:
        layer = frame.recorder.layer(with_given(type(layer), tuple(weights)), vars(layer))
        reads, given = (*incoming, *weights.values()), ()
    facts = infer(layer, reads, operation.span, frame, operation)
    ties = tied(layer, facts, given, frame) if given else ()
    number = frame.make(
        Made(
            name, label, layer, reads, without_tied(facts, ties), frame.place.opened,
            operation.span, frame.way, position=position, ties=ties,
        )
    )  # fmt: skip
    entry.flow = frame.flowing = (number,)
    entry.first, entry.end, entry.incoming = number, number + 1, incoming
    frame.last = stage.span


def group(operation: ast.Group, stage: ast.Stage, frame: Frame) -> Work:
    position = -1 if stage.label else frame.place.position
    label, entry = declare(frame, stage.label, stage.span)
    place = open_group(frame, label, entry, stage.span, position)
    inner = frame.inner(place)
    if frame.world.trace is not None:
        enter_group(frame.world.trace, place.name, inner)
    first = frame.body.size
    yield operation.body, inner
    close(entry, first, frame, inner)
    frame.last = stage.span


def use_block(block: BlockValue, operation: ast.Call, stage: ast.Stage, frame: Frame) -> Work:
    """Work out a block, or use its body again where it was worked out for the same."""
    declaration = block.declaration
    assert declaration is not None
    assert block.file is not None
    frame.step(operation.span, COST_OF_CALL)
    position = -1 if stage.label else frame.place.position
    label, entry = declare(frame, stage.label, stage.span)
    name = frame.place.full_name(label)
    trail = further(name, stage.span, frame.trail, frame)
    incoming = frame.flowing
    coming = tuple([frame.body.facts(number) for number in incoming or ()])
    body = Body(block.name, declaration.span, coming, description=declaration.body.description)
    place = Place(name, None, frame.place, outside=False, open=False)
    flow = None if incoming is None else tuple([~number for number in range(len(incoming))])
    inside = Frame(
        frame.world, block.file, frame.recorder, body, place, flow, operation.span, trail
    )
    bind_block(block, operation, frame, inside)
    if inside.names.given:
        body.arguments = inside.names.given.copy()
    body.inputs = tuple(named_inputs(declaration, inside))
    enter_scope(name, len(label), entry.span, frame)
    where = frame.place.opened, stage.span, frame.way
    key = None
    if incoming is not None and frame.world.trace is None:
        key = key_of(block, body, incoming)
        known = frame.world.kept.bodies.get(key)
        if known is not None and fits(known, name, frame):
            steps = known.steps + cost_of_names(known, label)
            frame.recorder.count(
                known.size, known.edges, steps, operation.span, lambda: frame.trail
            )
            keep(Instance(known, label, incoming, *where, position), entry, frame)
            frame.last = stage.span
            return
    for one in inputs_of(declaration, frame):
        place.enter(one.name, Entry(one.span, inside.maps[one.name]))
    if frame.world.trace is not None:
        enter_block(frame.world.trace, name, declaration, operation, frame, inside)
    before = frame.world.steps_left
    frame.world.enter(declaration, block.name, operation.span, frame.trail)
    try:
        yield declaration.body, inside
    finally:
        frame.world.leave()
    settle_order(inside)
    body.steps = before - frame.world.steps_left
    body.flow, body.place = inside.flowing, place
    if declaration.body.statements and ends_aside(declaration.body.statements[-1]):
        body.flow = ()  # it has named outputs only
    if key is not None and body.flow is not None and not frame.world.errors:
        place.around = None
        frame.world.kept.keep(key, body)
    frame.step(operation.span, cost_of_names(body, label))
    keep(Instance(body, label, incoming or (), *where, position), entry, frame)
    frame.last = stage.span


def key_of(block: BlockValue, body: Body, incoming: tuple[int, ...]) -> Hashable:
    """Return what is equal for uses of a block that make the same."""
    alike = tuple(map(incoming.index, incoming)) if len(incoming) > 1 else ()
    return (
        id(block.declaration),
        tuple([identity(value) for value in body.arguments.values()]),
        tuple([(facts.output, facts.batched) for facts in body.incoming]),
        alike,
    )


def fits(body: Body, name: str, frame: Frame) -> bool:
    """Tell whether a body may be used where a frame is, as deeply as that is nested."""
    allowed = frame.world.limits.nesting
    return len(frame.trail) + 1 + body.uses <= allowed and depth_of(name) + body.scopes <= allowed


def keep(instance: Instance, entry: Entry, frame: Frame) -> None:
    """Make the use of a block a part of the body in which it stands, and go on with its result."""
    body, around = instance.body, frame.body
    name = frame.place.full_name(instance.tail)
    around.uses = max(around.uses, len(frame.trail) + 1 - frame.outside + body.uses)
    nested = depth_of(name) - depth_of(frame.home.name)
    around.scopes = max(around.scopes, nested + body.scopes)
    around.edges += body.edges
    start = around.add(instance, body.size)
    entry.move = move = body.lead_in(start, instance.incoming)
    entry.first, entry.end, entry.place = start, start + body.size, body.place
    entry.incoming = frame.flowing
    entry.flow = None if body.flow is None else tuple(map(move, body.flow))
    frame.flowing = entry.flow


def inline(operation: ast.Inline, stage: ast.Stage, frame: Frame) -> Work:
    block, call = expanded(callee(operation.call, frame), operation.call, frame)
    declaration = block.declaration
    if declaration is None:
        reason = f"`{block.name}` is a layer, and only blocks can be put in with `inline`"
        raise ArchError(BadStructure(operation.span, frame.trail, reason=reason))
    assert block.file is not None
    frame.step(operation.span, COST_OF_CALL)
    inside = Frame(
        frame.world,
        block.file,
        frame.recorder,
        frame.body,
        frame.place,
        frame.flowing,
        operation.span,
        further(block.name, stage.span, frame.trail, frame),
    )
    inside.outside = frame.outside
    inside.way = Way(block.name, stage.span, frame.way)
    inside.home = frame.home
    inside.inside = frame.inside
    bind_block(block, call, frame, inside)
    frame.world.enter(declaration, block.name, operation.span, frame.trail)
    try:
        yield declaration.body, inside
    finally:
        frame.world.leave()
    frame.flowing = inside.flowing
    frame.last = stage.span


def reuse(operation: ast.Reuse, stage: ast.Stage, frame: Frame) -> None:
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
    entry.first, entry.end = first, frame.body.size
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
    inputs = inputs_of(declaration, frame)
    if not inputs or inside.flowing is None:
        inside.maps = {one.name: None for one in inputs}
        return
    flow = inside.flowing
    many = inputs[-1].many
    if len(flow) < len(inputs) - many or (len(flow) > len(inputs) and not many):
        takes = " and ".join(f"`{one.name}{'[]' * one.many}`" for one in inputs)
        come = "one tensor comes in" if len(flow) == 1 else f"{len(flow)} tensors come in"
        reason = f"`{block.name}` takes {takes}, and {come}"
        hint = "hand them over with `from a, b`"
        raise ArchError(BadFlow(operation.span, frame.trail, reason=reason, hint=hint))
    for number, one in enumerate(inputs):
        inside.maps[one.name] = flow[number:] if one.many else flow[number : number + 1]
        if one.many:
            inside.names.given[one.name] = inside.shapes(flow[number:], one.name)


def cost_of_names(body: Body, label: str) -> int:
    """Return what a label costs, in steps, that all names in a body begin with."""
    return body.size * len(label) // CHARACTERS_OF_STEP


def inputs_of(declaration: ast.Block, frame: Frame) -> tuple[ast.Input, ...]:
    known = frame.world.kept.inputs.get(id(declaration))
    if known is None:
        known = tuple([one for one in declaration.body.statements if isinstance(one, ast.Input)])
        frame.world.kept.inputs[id(declaration)] = known
    return known


def named_inputs(declaration: ast.Block, inside: Frame) -> Iterator[tuple[str, int]]:
    """Yield the tensors that come into a block, by their names; `maps[]` gives `maps_0` and on."""
    for one in inputs_of(declaration, inside):
        for at, number in enumerate(inside.maps[one.name] or ()):
            yield (f"{one.name}_{at}" if one.many else one.name), number


def ends_aside(statement: ast.Statement) -> bool:
    """Tell whether a last statement gives an output of its own, so that nothing flows on."""
    return (
        isinstance(statement, ast.Output) and statement.body is not None and not statement.training
    )
