"""Uses of blocks and layers: their parameters, and how they are made again by a recipe."""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from archdsl.diagnostics import ArchError, Use
from archdsl.elaborate.binding import Given, bind
from archdsl.elaborate.bodies import Body, Instance
from archdsl.elaborate.calls import (
    arguments_of,
    callee,
    expanded,
    layer_of,
)
from archdsl.elaborate.errors import BadFlow
from archdsl.elaborate.expressions import names_read
from archdsl.elaborate.frames import Frame
from archdsl.elaborate.naming import Place
from archdsl.elaborate.recipes import Recipe, Recipes, Remade, Unfit
from archdsl.elaborate.values import BlockValue, Value, identity
from archdsl.layers.base import Layer
from archdsl.records import Record
from archdsl.syntax import ast

MOST_TURNS = 8  # a larger number is a width rather than a stride

# Of the use of a block: its declaration, arguments, what comes in, and which of that is the same.
Key = tuple[int, Hashable, tuple[Hashable, ...], Hashable]


class Asked(Record):
    """A call as it stands in the spec, and what it cost in steps to find out what it calls."""

    call: ast.Call
    cost: int


class LayerAgain:
    """Makes the layer of a stage again, where its arguments or its kind hang on values."""

    __slots__ = ("asked", "block", "fixed", "frame", "kind", "layer")

    def __init__(self, frame: Frame, asked: ast.Call, block: BlockValue, layer: Layer) -> None:
        self.frame, self.asked, self.block, self.layer = frame, asked, block, layer
        self.kind = kind_of_block(block)
        self.fixed = frame.are_fixed(asked.arguments)

    def __call__(self, made: Remade) -> Layer:
        frame = self.frame
        block, call = expanded(callee(self.asked, frame), self.asked, frame)
        made.decide(kind_of_block(block))
        if block is self.block and self.fixed:
            return self.layer
        assert block.layer is not None
        _, bound = arguments_of(block.layer, block, call, frame)
        return layer_of(block.layer, bound, frame)


def kind_of_block(block: BlockValue) -> Hashable:
    """Return what is equal for blocks and layers that differ in values of arguments at most."""
    return id(block.layer or block.declaration), tuple(block.fixed)


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
        again = remade(kept.recipes, recipe_key(key), id(asked), inside)
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
        return kind_of_block(value)
    # a guess, which only says which recipe is tried first: a wrong one is found out, and costs time
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


def recipe_key(key: Key) -> Hashable:
    """Return what uses of a block must have in common for one recipe."""
    declaration, _, coming, same = key
    return declaration, len(coming), same


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


class InlineAgain:
    """A step of a recipe that gives the statements of a block their parameters."""

    __slots__ = ("asked", "flow", "frame", "inside")

    def __init__(self, frame: Frame, asked: ast.Call, inside: Frame) -> None:
        self.frame, self.asked, self.inside, self.flow = frame, asked, inside, frame.flowing

    def again(self, made: Remade) -> None:
        frame, inside = self.frame, self.inside
        frame.flowing = inside.flowing = self.flow
        block, call = expanded(callee(self.asked, frame), self.asked, frame)
        made.decide(kind_of_block(block))
        bind_block(block, call, frame, inside)


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
