"""Where a statement is worked out: what flows, what is named, and how the way led there."""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable
from typing import TypeVar

from archdsl.diagnostics import ArchError, Label, Span, Use
from archdsl.elaborate.bodies import Body, Made, Way
from archdsl.elaborate.errors import BadFlow, BadLabel, BadValue, Spoiled, UnknownLabel
from archdsl.elaborate.expressions import Names, evaluate, names_read
from archdsl.elaborate.inside import Inside
from archdsl.elaborate.naming import Entry, Flow, Place, fault_of
from archdsl.elaborate.recipes import Recipe, Remade
from archdsl.elaborate.recording import Recorder, cost_of
from archdsl.elaborate.values import Tensors, Value, integer
from archdsl.elaborate.wording import written
from archdsl.elaborate.world import FileSetting, World
from archdsl.layers.base import Layer, Shape
from archdsl.layers.sizes import Formula
from archdsl.syntax import ast
from archdsl.syntax.spec_file import SpecFile

Answer = TypeVar("Answer", bound=Hashable)


class Frame(FileSetting):
    """A body while its statements are worked out one after the other.

    Attributes:
        body: what is made here is a part of it.
        flowing: the nodes that flow; None once something is wrong, until the flow is set anew.
        place: the scope that labels go to.
        branches: collects the branches of a merge, in whose body this is; None elsewhere.
        last: the stage whose result flows, and where it stands.
        maps: the tensors that the inputs of a block stand for, by name.
        home: the scope of the block or network that this belongs to; its outputs go there.
        way: the end of `trail` that lies in the body, as nodes keep it.
        outside: how much of `trail` leads to the body.
        inside: the use of a block or the group that this belongs to, where numbers are followed.
        recipe: how the body could be made again, if that is kept.
    """

    def __init__(
        self,
        world: World,
        file: SpecFile,
        recorder: Recorder,
        body: Body,
        place: Place,
        flowing: Flow,
        span: Span,
        trail: tuple[Use, ...] = (),
        names: Names | None = None,
    ) -> None:
        super().__init__(world, file, trail, names)
        self.recorder = recorder
        self.body = body
        self.place = place
        self.flowing = flowing
        self.last = span
        self.branches: list[Branched] | None = None
        self.maps: dict[str, Flow] = {}  # what the inputs of a block stand for
        self.home = place
        self.way: Way | None = None
        self.outside = len(trail)
        self.inside: Inside | None = None
        self.recipe: Recipe[Frame] | None = None

    def inner(self, place: Place | None = None) -> Frame:
        """Return a frame for a body inside this one, with the same flow."""
        frame = Frame(
            self.world,
            self.file,
            self.recorder,
            self.body,
            place or self.place,
            self.flowing,
            self.last,
            self.trail,
            Names(self.names),
        )
        frame.maps = self.maps
        frame.home = self.home
        frame.way = self.way
        frame.outside = self.outside
        frame.inside = self.inside
        frame.follow_recipe(self)
        return frame

    def turn(self) -> Frame:
        """Return a frame for the body of a loop or condition, which may hold branches as well."""
        frame = self.inner()
        frame.branches = self.branches
        return frame

    def after(self, inner: Frame) -> None:
        """Go on where a body inside this one has ended."""
        self.flowing = inner.flowing
        self.last = inner.last

    # --- how the body could be made again ---------------------------------------------------

    def follow_recipe(self, around: Frame) -> None:
        """Keep the recipe of the frame in whose body this is."""
        self.recipe = around.recipe
        if self.recipe is not None:
            self.recipe.frames.append(self)

    def begin_again(self, world: World, body: Body) -> None:
        """Work on another body; names are given anew."""
        self.world, self.recorder, self.body = world, world.recorder, body
        self.names.given = {}

    def is_fixed(self, expression: ast.Expression | None) -> bool:
        """Tell whether an expression has the same value whatever the body is given."""
        if expression is None:
            return False
        known = self.world.kept.read
        key = id(expression)
        if key not in known:
            known[key] = names_read(expression)
        read = known[key]
        return read is not None and self.names.is_fixed(read)

    def are_fixed(self, arguments: tuple[ast.Argument, ...]) -> bool:
        """Tell whether arguments have the same values whatever the body is given."""
        return all(type(one.value) is ast.Literal or self.is_fixed(one.value) for one in arguments)

    def asked(self, ask: Callable[[], Answer], of: ast.Expression | None = None) -> Answer:
        """Return an answer that decides what is made, and hangs on one expression or on more."""
        before = self.world.steps_left
        answer = ask()
        if self.recipe is not None and not self.is_fixed(of):
            self.recipe.decided(answer)
            self.recipe.add(Decided(self, ask), before - self.world.steps_left)
        return answer

    def names_given(
        self, targets: tuple[ast.Name, ...], give: Callable[[], None], of: ast.Expression
    ) -> None:
        """Give names to what hangs on an expression."""
        before = self.world.steps_left
        fixed = self.recipe is not None and self.is_fixed(of)
        give()
        if self.recipe is None:
            return
        if fixed:
            names = {target.name for target in targets}
            self.names.fixed |= names
            given = {name: self.names.given[name] for name in names}
            self.recipe.add(Named(self.names, given), 0)
        else:
            self.recipe.add(Done(self, give), before - self.world.steps_left)

    def keep_node(
        self, made: Made, layer: Callable[[Remade], Layer] | None = None, cost: int = 0
    ) -> None:
        """Keep how a node that was made last is made again; its layer is the same by default."""
        if self.recipe is not None:
            self.recipe.add(MadeAgain(self, made, layer), cost)

    def cannot_repeat(self) -> None:
        """Say that the body can't be made by a recipe."""
        if self.recipe is not None:
            self.recipe.usable = False

    # --- what expressions ask for -----------------------------------------------------------

    def flow(self) -> Tensors:
        if self.flowing is None:
            raise Spoiled
        return self.shapes(self.flowing, "in")

    def shapes(self, flow: tuple[int, ...], what: str) -> Tensors:
        """Return the shapes of nodes as a value."""
        return Tensors(tuple(self.shape(number) for number in flow), what)

    def shape(self, number: int) -> Shape:
        """Return the shape of a node; where numbers are followed, as it is seen from here."""
        inside = self.inside
        return self.body.facts(number).output if inside is None else inside.shape(number)

    def shape_of(self, reference: ast.Reference) -> Tensors:
        self.cannot_repeat()  # what a name finds hangs on what is there by then
        flow = self.follow(reference)
        if flow is None:
            raise Spoiled
        return self.shapes(flow, "shape(...)")

    # --- what is made -----------------------------------------------------------------------

    def make(self, made: Made) -> int:
        """Keep a node and return its number."""
        characters = len(made.tail) + len(self.place.name) - len(self.home.name)
        steps = cost_of(characters, made.facts)
        self.recorder.count(1, len(made.inputs), steps, made.span, lambda: self.trail)
        return self.body.make(made)

    # --- labels -----------------------------------------------------------------------------

    def parts(self, path: ast.Path) -> list[str]:
        """Return the parts of a label or reference, with holes filled; dots part strings too."""
        known = self.world.kept.labels.get(id(path))
        if known is not None:
            return [*known]
        if self.recipe is None or all(type(part) is str for part in path.parts):
            return self._parts(path)
        if all(isinstance(part, str) or self.is_fixed(part) for part in path.parts):
            return self._parts(path)
        return [*self.asked(lambda: tuple(self._parts(path)))]

    def _parts(self, path: ast.Path) -> list[str]:
        parts: list[str] = []
        for part in path.parts:
            parts += str(part if isinstance(part, str) else self.filled(part)).split(".")
        for part in parts:
            if reason := fault_of(part):
                raise ArchError(BadLabel(path.span, self.trail, name=part, reason=reason))
            if len(part) > self.world.limits.name:
                asks = f"a label has {len(part):,} characters"
                raise ArchError(self.world.limits.over("name", asks, path.span, self.trail))
        if all(type(part) is str for part in path.parts):  # no holes
            self.world.kept.labels[id(path)] = tuple(parts)
        return parts

    def filled(self, text: ast.Text) -> str:
        """Return a string of a label with its holes filled; they take no fractions."""
        parts: list[Value] = []
        self.step(text.span)
        for hole in text.parts:
            if isinstance(hole, str):
                parts.append(hole)
                continue
            value = evaluate(hole, self, self.most)
            if isinstance(value, float):
                reason = f"a hole of a label takes an integer or a string, and this is {value}"
                raise ArchError(BadValue(hole.span, self.trail, reason=reason))
            parts.append(self.numbered(value) if self.world.turns else value)
        if not all(type(part) in (str, int) for part in parts):
            return str(evaluate(text, self, self.most))  # or what is wrong with it
        shown = [part if type(part) is str else str(part) for part in parts]
        self.text(text.span, sum(map(len, shown)))
        return "".join(shown)

    def numbered(self, value: Value) -> Value:
        """Return the number in a label of a loop whose number of turns the compiler leaves open.

        A label may say which turn it is, and count from where it likes, but no more than that.
        """
        if not isinstance(value, Formula) or len(value.names) != 1:
            return value
        turn = Formula.named(next(iter(value.names)))
        if not isinstance(value - turn, int):
            return value
        return value.evaluate(self.world.turns)

    def find(self, path: ast.Path) -> Entry:
        """Return what a reference stands for."""
        parts = self.parts(path)
        self.body.references += 1
        entry = self.place.find(parts)
        if entry is None:
            raise self.unknown(parts, path.span)
        return entry

    def unknown(self, parts: list[str], span: Span) -> ArchError:
        """Say that a reference finds nothing, and what it could find."""
        known = self.place.labels()
        for depth in range(len(parts) - 1, 0, -1):
            outer = self.place.find(parts[:depth])
            if outer is None:
                continue
            if outer.flow is None and outer.place not in [*self.place.chain()]:
                raise Spoiled  # what it holds was not worked out, because of another error
            if outer.place:
                known = [".".join([*parts[:depth], name]) for name in outer.place.names()]
            break
        outside = any(parts[0] in place.entries for place in self.place.chain())
        return ArchError(
            UnknownLabel(
                span,
                self.trail,
                reference=".".join(parts),
                inside=self.place.name,
                known=tuple(known),
                outside=outside and self.place.find(parts[:1]) is None,
            )
        )

    def flow_of(self, entry: Entry, span: Span) -> Flow:
        """Return what a label stands for, which must not be under way."""
        if entry.flow is None and entry.place in [*self.place.chain()]:
            reason = "this is not worked out yet: the reference stands inside it"
            hint = "what comes in can be named with a label: `x0: in`"
            raise ArchError(BadFlow(span, self.trail, reason=reason, hint=hint))
        return entry.flow

    def no_tensor(self, path: ast.Path) -> ArchError:
        """Say that a label stands for a block with named outputs only, or for a mere scope."""
        name = ".".join(self.parts(path))
        place = self.find(path).place
        names = (place.outputs or place.names()) if place else ()
        inside = " or ".join(f"`from {written(f'{name}.{inner}')}`" for inner in list(names)[:4])
        reason = f"`{name}` has no main output"
        hint = f"name what is inside: {inside}" if inside else ""
        return ArchError(BadFlow(path.span, self.trail, reason=reason, hint=hint))

    def follow(self, reference: ast.Reference) -> Flow:
        """Return the tensors that a reference names."""
        if reference.path is None:
            flow = self.flowing
        elif len(reference.path.parts) == 1 and reference.path.parts[0] in self.maps:
            flow = self.maps[str(reference.path.parts[0])]
        else:
            flow = self.flow_of(self.find(reference.path), reference.span)
            if flow == ():
                raise self.no_tensor(reference.path)
        if reference.item is None or flow is None:
            return flow
        index = self.asked(lambda: self._index(reference))
        if not -len(flow) <= index < len(flow):
            reason = f"there is no tensor number {index}: there are {len(flow)}, the first is 0"
            raise ArchError(BadFlow(reference.span, self.trail, reason=reason))
        return (flow[index],)

    def _index(self, reference: ast.Reference) -> int:
        assert reference.item is not None
        return integer(evaluate(reference.item, self, self.world.limits.steps), "an index")


class MadeAgain:
    """A step of a recipe that makes a node; its layer is the same where `layer` gives none."""

    __slots__ = ("at", "flow", "frame", "layer", "made", "number")

    def __init__(self, frame: Frame, made: Made, layer: Callable[[Remade], Layer] | None) -> None:
        self.frame, self.made, self.layer = frame, made, layer
        self.flow = made.inputs
        self.at, self.number = len(frame.body.items) - 1, frame.body.size - 1

    def again(self, made: Remade) -> None:
        frame, old = self.frame, self.made
        frame.flowing = self.flow
        layer = old.layer if self.layer is None else self.layer(made)
        facts = frame.recorder.infer(layer, [*map(made.body.facts, old.inputs)])
        made.node(self.at, self.number, layer, facts)


class Named:
    """A step of a recipe that gives names to what is the same each time."""

    __slots__ = ("given", "names")

    def __init__(self, names: Names, given: dict[str, Value]) -> None:
        self.names, self.given = names, given

    def again(self, made: Remade) -> None:
        self.names.given.update(self.given)


class Done:
    """A step of a recipe that gives names, and decides nothing."""

    __slots__ = ("do", "flow", "frame")

    def __init__(self, frame: Frame, do: Callable[[], Hashable]) -> None:
        self.frame, self.flow, self.do = frame, frame.flowing, do

    def again(self, made: Remade) -> None:
        self.frame.flowing = self.flow
        self.do()


class Decided(Done):
    """A step of a recipe that decides something."""

    __slots__ = ()

    def again(self, made: Remade) -> None:
        self.frame.flowing = self.flow
        made.decide(self.do())


# A body under way. It yields the bodies inside it, so that nesting costs no Python stack.
Work = Generator[tuple[ast.Body, Frame], None, None]


class Branched:
    """A branch of a merge that was worked out: its result, and where it came by it."""

    __slots__ = ("end", "first", "flow", "label")

    def __init__(self, flow: Flow, label: Label, first: int, end: int) -> None:
        self.flow = flow
        self.label = label
        self.first = first
        self.end = end
