"""Elaborates a network of a file: from its name and parameters to a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from archdsl.diagnostics import ArchError, Span
from archdsl.elaborate.ahead import require_affordable
from archdsl.elaborate.binding import bind
from archdsl.elaborate.bodies import Body, Made
from archdsl.elaborate.calls import infer
from archdsl.elaborate.elaborator import Elaborator
from archdsl.elaborate.errors import BadNetwork, BadValue, Enough, NameClash, Recursion, Spoiled
from archdsl.elaborate.expressions import evaluate
from archdsl.elaborate.flat import Flat
from archdsl.elaborate.frames import Frame
from archdsl.elaborate.labels import settle_order, single
from archdsl.elaborate.naming import Entry, Place
from archdsl.elaborate.recipes import Recipe
from archdsl.elaborate.recording import Recorder
from archdsl.elaborate.stages import ends_aside
from archdsl.elaborate.tracing import bind_for_compiler
from archdsl.elaborate.uses import remade
from archdsl.elaborate.values import NoValue, Value, items
from archdsl.elaborate.wording import did_you_mean
from archdsl.elaborate.world import FileSetting, World, signature_of
from archdsl.graph import Graph, Later, Nodes, Output
from archdsl.layers.base import ArgumentErrors, Shape
from archdsl.layers.sizes import Formula, Size
from archdsl.layers.tensor import InputTensor
from archdsl.layers.traced import Trace
from archdsl.limits import HIGHEST, Limits
from archdsl.records import Record
from archdsl.syntax import ast
from archdsl.syntax.spec_file import SpecFile

Shapes = Mapping[str, tuple[Size | str, ...]]  # of inputs; a string is the name of a free size


def network_names(file: SpecFile) -> list[str]:
    """List the networks that a file defines, in its order."""
    kinds = ast.Network | ast.NetworkAlias
    return [item.name for item in file.program.items if isinstance(item, kinds)]


def open_parameters(file: SpecFile, name: str) -> list[ast.Parameter]:
    """Return the parameters that a network leaves open.

    Raises:
        ArchError: there is no such network.
    """
    aliases, last = _followed(*_network(file, name, None))
    fixed: set[str] = set()
    for alias in reversed(aliases):
        given = alias.call.arguments
        names = [one.name for one in last.parameters if one.name not in fixed]
        positions = [argument for argument in given if not argument.name]
        fixed |= {*names[: len(positions)], *(argument.name for argument in given)}
    return [parameter for parameter in last.parameters if parameter.name not in fixed]


def _followed(
    home: SpecFile, item: ast.Network | ast.NetworkAlias
) -> tuple[list[ast.NetworkAlias], ast.Network]:
    """Follow `network a = B(...)` to the network with a body, with all aliases on the way."""
    way: list[ast.NetworkAlias] = []
    while isinstance(item, ast.NetworkAlias):
        for number, one in enumerate(way):
            if one is item:
                ring = (*(other.name for other in way[number:]), item.name)
                hint = "say what it is made of: `network name { ... }`"
                raise ArchError(Recursion(item.span, ring=ring, hint=hint))
        way.append(item)
        _check_aliases(len(way), HIGHEST, item.span)
        home, item = _network(home, item.call.name.name, item.call.name.span)
    return way, item


def bodies(file: SpecFile, names: Sequence[str]) -> list[tuple[ast.Network, SpecFile]]:
    """Return the networks with a body that networks are made of, with their files.

    Raises:
        ArchError: there is no such network.
    """
    found = []
    for name in names:
        home, item = _network(file, name, None)
        while isinstance(item, ast.NetworkAlias):
            _followed(home, item)  # there is an end
            home, item = _network(home, item.call.name.name, item.call.name.span)
        found.append((item, home))
    return found


def _check_aliases(number: int, limits: Limits, span: Span) -> None:
    if number > limits.nesting:
        asks = f"networks are made of each other {number} deep"
        raise ArchError(limits.over("nesting", asks, span))


def description_of(file: SpecFile, name: str) -> str:
    """Return the text that describes a network, or ""."""
    home, item = _network(file, name, None)
    own = item.description if isinstance(item, ast.NetworkAlias) else ""
    return own or _followed(home, item)[1].body.description


def default_network(file: SpecFile, stem: str) -> str | None:
    """Name the network that a file stands for: the one named like it, else its last."""
    names = network_names(file)
    return stem if stem in names else names[-1] if names else None


class Worked(Record):
    """A network that was worked out: its body, and what is known beside that.

    Attributes:
        outputs: name and number of each, whether it is one of training only, and where it stands.
        inputs: the shape of each.
        declared: what the spec says of inputs whose shape is given from outside.
        trace, counts, turns: see `Graph`.
    """

    body: Body
    outputs: list[tuple[str, int, bool, Span]]
    inputs: Mapping[str, Shape]
    declared: Mapping[str, Shape]
    trace: Trace | None
    counts: frozenset[str]
    turns: Mapping[str, int]

    def graph(self, contents: tuple[bytes, ...] = ()) -> Graph:
        """Return the graph of it; `contents` are those of the files that it is made of."""
        body, flat = self.body, Flat(self.body)
        return Graph(
            name=body.block,
            description=body.description,
            arguments=body.arguments,
            inputs=self.inputs,
            nodes=Nodes(flat.nodes, body.size, lambda: flat.arrays, flat.outline),
            outputs=tuple(
                Output(name, flat.name, training, span, number)
                for name, number, training, span in self.outputs
            ),
            scopes=Later(flat.scopes),
            span=body.span,
            agreements=_agreements(flat),
            contents=contents,
            registered=Later(flat.registered),
            declared=self.declared,
            trace=self.trace,
            counts=self.counts,
            turns=self.turns,
        )


def elaborate(
    world: World,
    file: SpecFile,
    name: str,
    parameters: Mapping[str, Value],
    shapes: Shapes,
    contents: tuple[bytes, ...] = (),
) -> Graph:
    """Return the graph of a network: see `work_out`.

    Raises:
        ArchError: with everything that is wrong.
    """
    return work_out(world, file, name, parameters, shapes).graph(contents)


def work_out(
    world: World, file: SpecFile, name: str, parameters: Mapping[str, Value], shapes: Shapes
) -> Worked:
    """Work out a network.

    Args:
        parameters: values for parameters of the network that it leaves open.
        shapes: shapes for some of its inputs, instead of those in the spec.

    Raises:
        ArchError: with everything that is wrong.
    """
    recorder = world.recorder
    try:
        declaration, home, bound, alias = _resolve(world, file, name, parameters)
        require_affordable(world, [(declaration, home)])
        frame = _begin(world, home, recorder, declaration, bound, name, alias)
        declared = _inputs(declaration, frame, shapes)
    except ArchError as error:
        raise ArchError(*world.errors, *error.diagnostics) from None
    except (Spoiled, Enough):  # by what was reported already
        raise ArchError(*world.errors) from None
    if world.errors:
        raise ArchError(*world.errors)
    came = [one for one in frame.body.items if isinstance(one, Made)]
    given = {one.tail: one.facts.output for one in came}
    recipes = None if world.trace is not None or world.instead else world.kept.recipes
    key = id(declaration), tuple([(id(one.layer), id(one.facts)) for one in came])
    end = None if recipes is None else remade(recipes, key, name, frame)
    if end is not None:
        body = end.body
        nodes = body.size - len(came)
        recorder.count(nodes, body.edges, body.steps, declaration.span, lambda: ())
        return Worked(body, _outputs(declaration, end), given, declared, None, frozenset(), {})
    if recipes is not None:
        frame.recipe = recipe = Recipe([frame])
    before = world.steps_left
    with suppress(Enough):
        Elaborator(world).run(declaration.body, frame)
        outputs = _outputs(declaration, frame)
    if world.errors:
        raise ArchError(*world.errors)
    settle_order(frame)
    if recipes is not None:
        frame.body.flow, frame.body.steps = frame.flowing, before - world.steps_left
        recipes.keep(key, recipe, frame.body)
    counts = frozenset(world.counts)
    return Worked(frame.body, outputs, given, declared, world.trace, counts, world.turns)


def _resolve(
    world: World, file: SpecFile, name: str, parameters: Mapping[str, Value]
) -> tuple[ast.Network, SpecFile, dict[str, tuple[Value, Span]], ast.NetworkAlias | None]:
    """Follow `network a = B(...)` to the network with a body, collecting what is fixed."""
    aliases: list[tuple[ast.NetworkAlias, SpecFile]] = []
    home, item = _network(file, name, None)
    first = item
    while isinstance(item, ast.NetworkAlias):
        world.enter(item, item.name, item.call.span, ())
        aliases.append((item, home))
        _check_aliases(len(aliases), world.limits, item.span)
        home, item = _network(home, item.call.name.name, item.call.name.span)
    assert isinstance(item, ast.Network)
    bound: dict[str, tuple[Value, Span]] = {}
    signature = signature_of(item.name, item.parameters)
    for alias, where in reversed(aliases):
        world.leave()
        given = world.given(alias.call.arguments, FileSetting(world, where))
        bound = bind(signature, given, bound, alias.call.span, (), complete=False)
    span = first.span
    for key in parameters:
        if key not in signature.names or key in bound:
            open_names = [one for one in signature.names if one not in bound]
            has = f"has fixed `{key}`" if key in bound else f"has no parameter called `{key}`"
            hint = did_you_mean(key, open_names) or "it has no open parameters"
            reason = f"network `{name}` {has}"
            raise ArchError(BadNetwork(span, reason=reason, hint=hint))
    bound |= {key: (value, span) for key, value in parameters.items()}
    missing = sorted(signature.required - bound.keys(), key=signature.names.index)
    if missing:
        quoted = " and ".join(f"`{key}`" for key in missing)
        reason = f"network `{name}` needs a value for {quoted}"
        hint = f"give it one with -p {missing[0]}=..."
        raise ArchError(BadNetwork(span, reason=reason, hint=hint))
    return item, home, bound, first if isinstance(first, ast.NetworkAlias) else None


def _network(
    file: SpecFile, name: str, span: Span | None
) -> tuple[SpecFile, ast.Network | ast.NetworkAlias]:
    found = file.find(name)
    if found is not None and isinstance(found[1], ast.Network | ast.NetworkAlias):
        return found[0], found[1]
    names = network_names(file)
    if not names:
        reason = f"{file.source.path} defines no network"
        hint = "networks begin with `network name { ... }`"
        raise ArchError(BadNetwork(span, reason=reason, hint=hint))
    reason = f"{file.source.path} defines no network called `{name}`"
    hint = did_you_mean(name, names) or f"it defines {', '.join(names[:8])}"
    raise ArchError(BadNetwork(span, reason=reason, hint=hint))


def _begin(
    world: World,
    home: SpecFile,
    recorder: Recorder,
    declaration: ast.Network,
    bound: Mapping[str, tuple[Value, Span]],
    name: str,
    alias: ast.NetworkAlias | None,
) -> Frame:
    """Return the frame in which the body of a network is worked out."""
    setting = FileSetting(world, home)
    if world.trace is None and not world.instead:
        world.bind_parameters(name, declaration.parameters, bound, setting, ())
    else:
        bind_for_compiler(world, declaration, bound, setting)
    text = (alias.description if alias else "") or declaration.body.description
    body = Body(name, declaration.span, (), dict(setting.names.given), text)
    place = Place("", None, outside=False)
    return Frame(world, home, recorder, body, place, (), declaration.span, names=setting.names)


def _agreements(flat: Flat) -> tuple[tuple[Size, Size], ...]:
    """Return which sizes must be equal for the shapes to agree."""
    different = {id(facts): facts for facts in flat.arrays.facts}
    pairs = (pair for facts in different.values() for pair in facts.agreements)
    return tuple(dict.fromkeys(pairs))


def _inputs(declaration: ast.Network, frame: Frame, shapes: Shapes) -> dict[str, Shape]:
    """Make the inputs of a network; together they are what flows at its start.

    What the spec says of those whose shape is given from outside is returned.
    """
    inputs = [one for one in declaration.body.statements if isinstance(one, ast.Input)]
    names = dict.fromkeys(one.name for one in inputs)
    if unknown := [name for name in shapes if name not in names]:
        reason = f"network `{declaration.name}` has no input called `{unknown[0]}`"
        hint = did_you_mean(unknown[0], names)
        raise ArchError(BadNetwork(declaration.span, reason=reason, hint=hint))
    if not inputs:
        reason = f"network `{declaration.name}` has no input"
        hint = "begin it with `input image: [3, 224, 224]`"
        raise ArchError(BadNetwork(declaration.span, reason=reason, hint=hint))
    frame.names.given.update(_free_sizes(inputs, frame, shapes))
    flowing: list[int] = []
    declared: dict[str, Shape] = {}
    for one in inputs:
        if one.name in frame.place.entries:
            first = frame.place.entries[one.name].span
            raise ArchError(NameClash(one.span, name=one.name, first=first, what="inputs are"))
        shape = _input_shape(one, frame, shapes.get(one.name), declared)
        try:
            layer = frame.recorder.layer(InputTensor, {"shape": shape})
        except ArgumentErrors as error:
            assert one.shape is not None
            reason = f"each size of an input {next(iter(error.reasons.values()))}"
            hint = f"a free size has a name: `input {one.name}: [3, H, W]`"
            raise ArchError(BadValue(one.shape.span, reason=reason, hint=hint)) from None
        facts = infer(layer, (), one.span, frame)
        number = frame.make(Made(one.name, one.name, layer, (), facts, None, one.span, None))
        frame.place.enter(one.name, Entry(one.span, (number,)))
        flowing.append(number)
    frame.flowing = tuple(flowing)
    frame.last = inputs[-1].span
    return declared


def _free_sizes(inputs: list[ast.Input], frame: Frame, shapes: Shapes) -> dict[str, Size]:
    """Return the sizes that shapes of inputs leave free: names in them that mean nothing else.

    A shape given for an input gives those in it their sizes, in all inputs.
    """
    sizes: dict[str, Size] = {}
    for one in inputs:
        listed = one.shape.items if isinstance(one.shape, ast.Listing) else ()
        given = shapes.get(one.name, ())
        for axis, item in enumerate(listed):
            if not isinstance(item, ast.Name) or frame.names.find(item.name):
                continue
            if frame.global_value(item) is not None:
                continue
            free = sizes.setdefault(item.name, Formula.named(item.name))
            if axis >= len(given):
                continue
            size = given[axis]
            sizes[item.name] = Formula.named(size) if isinstance(size, str) else size
            if free not in (Formula.named(item.name), sizes[item.name]):
                reason = f"`{item.name}` can't be both {free} and {size}"
                raise ArchError(BadValue(item.span, reason=reason))
    return sizes


def _input_shape(
    one: ast.Input,
    frame: Frame,
    given: tuple[Size | str, ...] | None,
    instead_of: dict[str, Shape],
) -> Shape:
    """Return the shape of an input, whose free sizes have their names by now."""
    if one.shape is None:
        hint = f"write `input {one.name}: [3, 224, 224]`"
        reason = "an input of a network needs a shape"
        raise ArchError(BadValue(one.span, reason=reason, hint=hint))
    most = frame.world.limits.steps
    try:
        declared = items(evaluate(one.shape, frame, most), "the shape of an input", most)
        frame.weigh(declared, one.shape.span)
    except NoValue as error:
        raise error.at(one.shape.span, ()) from None
    except Spoiled:
        raise ArchError(BadValue(one.shape.span, reason="this shape is not known")) from None
    if given is None:
        return declared
    instead_of[one.name] = declared
    if len(given) != len(declared):
        text = "x".join(map(str, given))
        reason = f"input `{one.name}` has {len(declared)} axes, and {text} has {len(given)}"
        raise ArchError(BadValue(one.shape.span, reason=reason))
    return tuple(Formula.named(size) if isinstance(size, str) else size for size in given)


def _outputs(declaration: ast.Network, frame: Frame) -> list[tuple[str, int, bool, Span]]:
    """List the outputs of a network: the main one first, then the others as written."""
    found = [
        (name, entry.flow[0], entry.training, entry.span)
        for name, entry in frame.home.outputs.items()
        if entry.flow
    ]
    last = declaration.body.statements[-1] if declaration.body.statements else None
    if (last is not None and ends_aside(last)) or frame.flowing is None:
        return found
    if isinstance(last, ast.Output) and not last.training and found:
        return [found[-1], *found[:-1]]
    if "output" in frame.home.outputs:
        frame.world.report(
            NameClash(
                frame.home.outputs["output"].span,
                name="output",
                first=frame.last,
                what="outputs are",
                hint="the end of the flow is called so; `output name` at the end gives it a name",
            )
        )
    try:
        single(frame.flowing, "the main output", frame.last, frame)
    except ArchError as error:
        frame.world.report(*error.diagnostics)
        return found
    return [("output", frame.flowing[0], False, frame.last), *found]
