"""Works out stages: layers, blocks, groups, and what sets the flow."""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from archdsl.diagnostics import ArchError, Use
from archdsl.elaborate.binding import Given, bind
from archdsl.elaborate.bodies import Body, Instance, Made, Way
from archdsl.elaborate.calls import (
    arguments_of,
    callee,
    expanded,
    further,
    infer,
    layer_of,
    make_layer,
)
from archdsl.elaborate.errors import BadFlow, BadStructure, Spoiled
from archdsl.elaborate.expressions import names_read
from archdsl.elaborate.frames import Frame, Named, Work
from archdsl.elaborate.labels import (
    declare,
    depth_of,
    enter_scope,
    name_tensor,
    open_group,
    settle_order,
)
from archdsl.elaborate.naming import Entry, Place
from archdsl.elaborate.recipes import Recipe, Recipes, Remade, Unfit
from archdsl.elaborate.reuse import replay
from archdsl.elaborate.ties import computed, tied, tied_arguments, without_tied
from archdsl.elaborate.tracing import enter_block, enter_group
from archdsl.elaborate.values import BlockValue, Value, identity
from archdsl.elaborate.world import COST_OF_CALL
from archdsl.layers.base import Layer
from archdsl.layers.given import with_given
from archdsl.limits import CHARACTERS_OF_STEP
from archdsl.records import Record
from archdsl.syntax import ast

MOST_TURNS = 8  # a larger number is a width rather than a stride

# Of the use of a block: its declaration, arguments, what comes in, and which of that is the same.
Key = tuple[int, Hashable, tuple[Hashable, ...], Hashable]


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
        again = _LayerAgain(frame, asked.call, block, layer)
        cost += asked.cost
        frame.recipe.decided(again.kind)
    frame.keep_node(made, again, cost if again else 0)
    entry.flow = frame.flowing = (number,)
    entry.first, entry.end, entry.incoming = number, number + 1, incoming
    frame.last = stage.span


class Asked(Record):
    """A call as it stands in the spec, and what it cost in steps to find out what it calls."""

    call: ast.Call
    cost: int


class _LayerAgain:
    """Makes the layer of a stage again, where its arguments or its kind hang on values."""

    __slots__ = ("asked", "block", "fixed", "frame", "kind", "layer")

    def __init__(self, frame: Frame, asked: ast.Call, block: BlockValue, layer: Layer) -> None:
        self.frame, self.asked, self.block, self.layer = frame, asked, block, layer
        self.kind = _kind_of(block)
        self.fixed = frame.are_fixed(asked.arguments)

    def __call__(self, made: Remade) -> Layer:
        frame = self.frame
        block, call = expanded(callee(self.asked, frame), self.asked, frame)
        made.decide(_kind_of(block))
        if block is self.block and self.fixed:
            return self.layer
        assert block.layer is not None
        _, bound = arguments_of(block.layer, block, call, frame)
        return layer_of(block.layer, bound, frame)


def _kind_of(block: BlockValue) -> Hashable:
    """Return what is equal for blocks and layers that differ in values of arguments at most."""
    return id(block.layer or block.declaration), tuple(block.fixed)


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
        place.around = None
        frame.world.kept.keep(key, body)
        if recipes is not None:
            recipes.keep(_recipe_key(key), recipe, body)
    inside.recipe = None
    frame.step(operation.span, cost_of_names(body, label))
    keep(Instance(body, label, incoming or (), *where, position), entry, frame)
    keep_use(asked.call, body, incoming, frame, cost)
    frame.last = stage.span


def begin_block(
    block: BlockValue,
    operation: ast.Call,
    frame: Frame,
    name: str,
    trail: tuple[Use, ...],
    given: Given | None = None,
) -> Frame:
    """Return the frame in which a block is worked out that takes what flows.

    `given` are the arguments of the call, if they are known.
    """
    declaration, incoming = block.declaration, frame.flowing
    assert declaration is not None
    assert block.file is not None
    coming = tuple([frame.body.facts(number) for number in incoming or ()])
    body = Body(block.name, declaration.span, coming, description=declaration.body.description)
    place = Place(name, None, frame.place, outside=False, open=False)
    flow = None if incoming is None else tuple([~number for number in range(len(incoming))])
    inside = Frame(
        frame.world, block.file, frame.recorder, body, place, flow, operation.span, trail
    )
    bind_block(block, operation, frame, inside, given)
    if inside.names.given:
        body.arguments = inside.names.given.copy()
    body.inputs = tuple(named_inputs(declaration, inside))
    return inside


def known_body(key: Key, asked: ast.Call, inside: Frame) -> Body | None:
    """Return the body of a block that was worked out for the same, or can be made by a recipe."""
    kept = inside.world.kept
    known = kept.bodies.get(key)
    if known is None and kept.recipes is not None:
        again = remade(kept.recipes, _recipe_key(key), id(asked), inside)
        if again is not None:
            known = again.body
            kept.keep(key, known)
    return known


def remade(recipes: Recipes[Frame], key: Hashable, place: Hashable, root: Frame) -> Frame | None:
    """Make the body that a frame begins by a recipe, if one fits; nothing is counted for it.

    At the same place, and for arguments that differ in numbers alone, it likely is the same.

    Returns:
        The frame at the end of the body.
    """
    world, given = root.world, root.names.given
    before = world.steps_left

    def begin(recipe: Recipe[Frame], body: Body) -> None:
        world.steps_left = before
        for frame in recipe.frames:
            frame.begin_again(world, body)
        recipe.frames[0].names.given = given.copy()

    hint = place, tuple([_deciding(value) for value in root.body.arguments.values()])
    end = recipes.make(key, hint, root.body, begin)
    if end is not None:
        end.body.steps += before - world.steps_left
        end.flowing = end.body.flow
    world.steps_left = before
    return end


def _deciding(value: Value) -> Hashable:
    """Return that of an argument on which more than numbers is likely to hang."""
    if isinstance(value, BlockValue):
        return _kind_of(value)
    many = isinstance(value, int | float) and not isinstance(value, bool) and value > MOST_TURNS
    return None if many or isinstance(value, float) else identity(value)


def keep_use(
    asked: ast.Call, body: Body, incoming: tuple[int, ...] | None, frame: Frame, cost: int
) -> None:
    """Keep how the use of a block that was made last is made again."""
    if frame.recipe is None:
        return
    if incoming is None:
        frame.cannot_repeat()
        return
    frame.recipe.decided(body.recipe or body)
    frame.recipe.add(_UseAgain(frame, asked, incoming), cost + body.steps)


class _UseAgain:
    """A step of a recipe that uses a block: another body by the same recipe, or the same body."""

    __slots__ = ("asked", "at", "fixed", "flow", "frame", "given")

    def __init__(self, frame: Frame, asked: ast.Call, flow: tuple[int, ...]) -> None:
        self.frame, self.asked, self.flow = frame, asked, flow
        self.at = len(frame.body.items) - 1
        self.fixed = frame.are_fixed(asked.arguments)
        self.given: tuple[Given, int, Hashable] | None = None  # with what they cost

    def again(self, made: Remade) -> None:
        frame = self.frame
        frame.flowing = self.flow
        named = callee(self.asked, frame)
        block, call = expanded(named, self.asked, frame)
        if block.declaration is None:
            raise Unfit
        body = self.known(block, made) if self.fixed and named is block else None
        if body is None:
            inside = begin_block(block, call, frame, "", frame.trail)
            body = self.body_of(block, inside)
        made.decide(body.recipe or body)
        frame.step(self.asked.span, body.steps)
        old = made.body.items[self.at]
        assert type(old) is Instance
        if body is not old.body:
            made.body.items[self.at] = Instance(
                body, old.tail, old.incoming, old.scope, old.span, old.way, old.position
            )

    def known(self, block: BlockValue, made: Remade) -> Body:
        """Return the body where the arguments are fixed, so that few things can be others."""
        frame = self.frame
        world, facts = frame.world, made.body.facts
        before = world.steps_left
        if self.given is None:
            given = world.given(self.asked.arguments, frame)
            same = id(self.asked), tuple([identity(value) for _, value, _ in given])
            self.given = given, before - world.steps_left, same
            world.steps_left = before
        known, cost, values = self.given
        coming = tuple([id(facts(number)) for number in self.flow])
        key = values, id(block), coming, alike(self.flow)
        found = made.uses.get(key)
        if found is None:
            inside = begin_block(block, self.asked, frame, "", frame.trail, known)
            body = self.body_of(block, inside)
            found = made.uses[key] = body, cost + before - world.steps_left, block
            world.steps_left = before
        body, cost, _ = found
        world.steps_left -= cost
        return body

    def body_of(self, block: BlockValue, inside: Frame) -> Body:
        body = known_body(key_of(block, inside.body, self.flow), self.asked, inside)
        if body is None:
            raise Unfit
        return body


def key_of(block: BlockValue, body: Body, incoming: tuple[int, ...]) -> Key:
    """Return what is equal for uses of a block that make the same."""
    return (
        id(block.declaration),
        tuple([identity(value) for value in body.arguments.values()]),
        tuple([(facts.output, facts.batched) for facts in body.incoming]),
        alike(incoming),
    )


def alike(incoming: tuple[int, ...]) -> tuple[int, ...]:
    """Return what is equal where the same ones of several tensors are the same."""
    return tuple(map(incoming.index, incoming)) if len(incoming) > 1 else ()


def _recipe_key(key: Key) -> Hashable:
    """Return what uses of a block must have in common for one recipe."""
    declaration, _, coming, same = key
    return declaration, len(coming), same


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
            frame.recipe.decided(_kind_of(block))
            frame.recipe.add(_InlineAgain(frame, operation.call, inside), cost)
    frame.world.enter(declaration, block.name, operation.span, frame.trail)
    try:
        yield declaration.body, inside
    finally:
        frame.world.leave()
    frame.flowing = inside.flowing
    frame.last = stage.span


def fixed_parameters(
    block: BlockValue, call: ast.Call, known: bool, frame: Frame
) -> frozenset[str]:
    """Return the parameters of a block that are the same whatever the body around it is given.

    `known` tells whether the block itself is, with what is fixed in it.
    """
    declaration = block.declaration
    assert declaration is not None
    found: set[str] = set(block.fixed) if known else set()
    given: set[str] = set(block.fixed)
    positions = [one.name for one in declaration.parameters if one.name not in given]
    by_position = iter(positions)
    for argument in call.arguments:
        name = argument.name or next(by_position, "")
        given.add(name)
        if frame.are_fixed((argument,)):
            found.add(name)
    for one in declaration.parameters:
        if one.name in given or one.default is None:
            continue
        read = names_read(one.default)
        own = {parameter.name for parameter in declaration.parameters}
        if read is not None and all(name in found or name not in own for name in read):
            found.add(one.name)
    return frozenset(found)


class _InlineAgain:
    """A step of a recipe that gives the statements of a block their parameters."""

    __slots__ = ("asked", "flow", "frame", "inside")

    def __init__(self, frame: Frame, asked: ast.Call, inside: Frame) -> None:
        self.frame, self.asked, self.inside, self.flow = frame, asked, inside, frame.flowing

    def again(self, made: Remade) -> None:
        frame, inside = self.frame, self.inside
        frame.flowing = inside.flowing = self.flow
        block, call = expanded(callee(self.asked, frame), self.asked, frame)
        made.decide(_kind_of(block))
        bind_block(block, call, frame, inside)


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


def bind_block(
    block: BlockValue,
    operation: ast.Call,
    frame: Frame,
    inside: Frame,
    given: Given | None = None,
) -> None:
    """Give a block its parameters, and its inputs what flows.

    `given` are the arguments of the call, if they are known.
    """
    declaration = block.declaration
    assert declaration is not None
    if declaration.parameters or operation.arguments:
        if given is None:
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
