"""Works out stages: layers, blocks, groups, and what sets the flow."""

from __future__ import annotations

from archdsl.diagnostics import ArchError
from archdsl.elaborate.bodies import Body, Instance, Made, Way
from archdsl.elaborate.calls import (
    callee,
    expanded,
    further,
    infer,
    make_layer,
)
from archdsl.elaborate.errors import BadStructure, Spoiled
from archdsl.elaborate.frames import Frame, Named, Work
from archdsl.elaborate.labels import (
    declare,
    depth_of,
    enter_scope,
    name_tensor,
    open_group,
    settle_order,
)
from archdsl.elaborate.naming import Entry
from archdsl.elaborate.recipes import Recipe
from archdsl.elaborate.reuse import replay
from archdsl.elaborate.ties import computed, tied, tied_arguments, without_tied
from archdsl.elaborate.tracing import enter_block, enter_group
from archdsl.elaborate.uses import (
    Asked,
    InlineAgain,
    LayerAgain,
    begin_block,
    bind_block,
    fixed_parameters,
    inputs_of,
    keep_use,
    key_of,
    kind_of_block,
    known_body,
    recipe_key,
)
from archdsl.elaborate.values import BlockValue
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
    before = frame.world.steps_left
    named = callee(operation, frame)
    block, call = expanded(named, operation, frame)
    found = Asked(operation, before - frame.world.steps_left)
    if block.layer is None:
        return use_block(block, call, stage, frame, found)
    asked = None
    if frame.recipe is not None:
        fixed = named is block and frame.names.is_fixed((operation.name.name,))
        asked = None if fixed and frame.are_fixed(operation.arguments) else found
    use_layer(block, call, stage, frame, asked)
    return None


def use_layer(
    block: BlockValue,
    operation: ast.Call,
    stage: ast.Stage,
    frame: Frame,
    asked: Asked | None,
) -> None:
    """Make the node of a layer; `asked` is how the spec asks for it, if that hangs on values."""
    assert block.layer is not None
    position = -1 if stage.label else frame.place.position
    name, entry = declare(frame, stage.label, stage.span)
    label = "" if stage.label is None else name
    incoming = frame.flowing
    given, operation = tied_arguments(operation)
    if given:
        frame.cannot_repeat()
    before = frame.world.steps_left
    layer = make_layer(block.layer, block, operation, frame)
    cost = before - frame.world.steps_left
    if incoming is None:
        raise Spoiled
    reads = incoming
    if weights := computed(given, frame) if given else {}:
        layer = frame.recorder.layer(with_given(type(layer), tuple(weights)), vars(layer))
        reads, given = (*incoming, *weights.values()), ()
    facts = infer(layer, reads, operation.span, frame, operation)
    ties = tied(layer, facts, given, frame) if given else ()
    made = Made(
        name, label, layer, reads, without_tied(facts, ties), frame.place.opened,
        operation.span, frame.way, position=position, ties=ties,
    )  # fmt: skip
    number = frame.make(made)
    again = None
    if frame.recipe is not None and asked is not None:
        again = LayerAgain(frame, asked.call, block, layer)
        cost += asked.cost
        frame.recipe.decided(again.kind)
    frame.keep_node(made, again, cost if again else 0)
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


def use_block(
    block: BlockValue, operation: ast.Call, stage: ast.Stage, frame: Frame, asked: Asked
) -> Work:
    """Work out a block, or use its body again where it was worked out for the same.

    `asked` is the call as it stands in the spec.
    """
    declaration = block.declaration
    assert declaration is not None
    assert block.file is not None
    frame.step(operation.span, COST_OF_CALL)
    position = -1 if stage.label else frame.place.position
    label, entry = declare(frame, stage.label, stage.span)
    name = frame.place.full_name(label)
    trail = further(name, stage.span, frame.trail, frame)
    incoming = frame.flowing
    before = frame.world.steps_left
    inside = begin_block(block, operation, frame, name, trail)
    body, place = inside.body, inside.place
    cost = asked.cost + before - frame.world.steps_left
    enter_scope(name, len(label), entry.span, frame)
    where = frame.place.opened, stage.span, frame.way
    key = None
    if incoming is not None and frame.world.trace is None:
        key = key_of(block, body, incoming)
        known = known_body(key, asked.call, inside)
        # its nodes and steps are counted anew; how deep it is nested hangs on where it is used
        if known is not None and fits(known, name, frame):
            steps = known.steps + cost_of_names(known, label)
            frame.recorder.count(
                known.size, known.edges, steps, operation.span, lambda: frame.trail
            )
            keep(Instance(known, label, incoming, *where, position), entry, frame)
            keep_use(asked.call, known, incoming, frame, cost)
            frame.last = stage.span
            return
    recipes = frame.world.kept.recipes if key is not None else None
    if recipes is not None:
        inside.recipe = recipe = Recipe([inside])
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
        place.around = None  # else what is kept would keep all that is around this use
        frame.world.kept.keep(key, body)
        if recipes is not None:
            recipes.keep(recipe_key(key), recipe, body)
    inside.recipe = None
    frame.step(operation.span, cost_of_names(body, label))
    keep(Instance(body, label, incoming or (), *where, position), entry, frame)
    keep_use(asked.call, body, incoming, frame, cost)
    frame.last = stage.span


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
    before = frame.world.steps_left
    named = callee(operation.call, frame)
    block, call = expanded(named, operation.call, frame)
    cost = before - frame.world.steps_left
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
    inside.follow_recipe(frame)
    inside.outside = frame.outside
    inside.way = Way(block.name, stage.span, frame.way)
    inside.home = frame.home
    inside.inside = frame.inside
    before = frame.world.steps_left
    fixed = None
    if frame.recipe is not None:
        known = named is block and frame.names.is_fixed((operation.call.name.name,))
        fixed = fixed_parameters(block, call, known, frame)
    bind_block(block, call, frame, inside)
    if frame.recipe is not None and fixed is not None:
        inside.names.fixed = fixed
        cost += before - frame.world.steps_left
        if known and fixed >= inside.names.given.keys():
            frame.recipe.add(Named(inside.names, inside.names.given.copy()), 0)
        else:
            frame.recipe.decided(kind_of_block(block))
            frame.recipe.add(InlineAgain(frame, operation.call, inside), cost)
    frame.world.enter(declaration, block.name, operation.span, frame.trail)
    try:
        yield declaration.body, inside
    finally:
        frame.world.leave()
    frame.flowing = inside.flowing
    frame.last = stage.span


def reuse(operation: ast.Reuse, stage: ast.Stage, frame: Frame) -> None:
    frame.cannot_repeat()
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


def cost_of_names(body: Body, label: str) -> int:
    """Return what a label costs, in steps, that all names in a body begin with."""
    return body.size * len(label) // CHARACTERS_OF_STEP


def ends_aside(statement: ast.Statement) -> bool:
    """Tell whether a last statement gives an output of its own, so that nothing flows on."""
    return (
        isinstance(statement, ast.Output) and statement.body is not None and not statement.training
    )
