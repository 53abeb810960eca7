"""Files as the elaborator sees them: what each calls by a name, and what that stands for."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from archdsl.diagnostics import ArchError, Diagnostic, Span, Use
from archdsl.elaborate.binding import Signature, bind
from archdsl.elaborate.bodies import Body
from archdsl.elaborate.errors import BadFlow, BadValue, Enough, Recursion, Spoiled
from archdsl.elaborate.expressions import Names, bind_targets, evaluate, placed, unknown
from archdsl.elaborate.recipes import Recipes
from archdsl.elaborate.recording import Equal, Recorder
from archdsl.elaborate.values import (
    SPOILED,
    TYPES,
    BlockValue,
    NoValue,
    Tensors,
    Value,
    WorkedOut,
    bad_argument,
    kind_of,
    matches,
    weight,
)
from archdsl.layers.base import Layer
from archdsl.layers.registry import Registry
from archdsl.layers.traced import LeftOpen, Trace
from archdsl.limits import CHARACTERS_OF_STEP, Limits, OverLimit
from archdsl.syntax import ast
from archdsl.syntax.spec_file import SpecFile

MOST_ERRORS = 20
MOST_REPORTS = 200  # of the same errors, in loops
WEIGHTLESS = frozenset({int, bool, float, WorkedOut, BlockValue, type(None)})  # see `weight`
COST_OF_CALL = 4  # of a function or block, in steps: names and arguments


class Kept:
    """What holds for all networks of some files, with whatever parameters: worked out once.

    Attributes:
        blocks: by the file and the name there.
        signatures: of what can be called, by declaration and name.
        bodies: of blocks, by all that they follow from.
        made: layers and facts; see `Recorder`.
        recipes: by which bodies of other numbers can be made; None where that is not kept.
        least: how many layers and steps a network takes at least, by its declaration and file.
        read: the names that expressions hang on, by their place in the syntax tree.
        labels: the parts of those without holes, by their place in the syntax tree.
        inputs: those that a block declares, likewise.
    """

    def __init__(self, recipes: bool = False) -> None:
        """Keep how bodies are made as well, which pays where blocks are used with many numbers."""
        self.blocks: dict[tuple[int, str], BlockValue] = {}
        self.signatures: dict[tuple[int, str], Signature] = {}
        self.bodies: dict[Hashable, Body] = {}
        self.made = Equal()
        self.read: dict[int, tuple[str, ...] | None] = {}
        self.labels: dict[int, tuple[str, ...]] = {}
        self.inputs: dict[int, tuple[ast.Input, ...]] = {}
        self.least: dict[tuple[int, int], tuple[int, int]] = {}
        self.recipes: Recipes[Any] | None = Recipes() if recipes else None
        self.items = 0

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return Kept, ()  # it is worked out again

    @property
    def size(self) -> int:
        """How much it is, in facts and items of bodies."""
        return len(self.made.facts) + self.items

    def keep(self, key: Hashable, body: Body) -> None:
        """Keep the body of a block for further uses that are alike."""
        self.bodies[key] = body
        self.items += len(body.items)


class World:
    """What all parts of an elaboration share: the layers, the limits, and the work done so far."""

    def __init__(
        self,
        layers: Registry,
        limits: Limits,
        kept: Kept | None = None,
        trace: Trace | None = None,
        instead: Mapping[str, Value] | None = None,
    ) -> None:
        self.layers = layers
        self.kept = kept = kept or Kept()
        self.limits = limits
        self.steps_left = limits.steps
        self.values: dict[tuple[SpecFile, str], Value] = {}  # of the `let` of files
        self.active: list[tuple[object, str]] = []  # what is being worked out, outermost first
        self.depth = 0  # of expressions inside functions that call each other
        self.trace = trace  # follows numbers, for what compiles
        self.instead = instead or {}  # of what the network's parameters are, for what compiles
        self.usual: dict[str, int] = {}  # what those are that the compiler leaves open
        self.counts: dict[str, None] = {}  # those of them by which loops turn
        self.turns: dict[str, int] = {}  # which turn of such a loop it is
        self.recorder = Recorder(limits, self.step, kept.made, trace is not None)
        self.errors: list[Diagnostic] = []
        self._seen: set[tuple[str, Span | None]] = set()
        self._reports = 0

    def report(self, diagnostic: Diagnostic) -> None:
        """Keep a diagnostic; the same thing at the same place is said once, loops or not.

        So is that an expression makes a float where an integer is needed, wherever that is used.

        Raises:
            Enough: no more is to be worked out.
        """
        made: Span | None = getattr(diagnostic, "made", None)
        keys = {(diagnostic.code, diagnostic.span), ("", made)} - {("", None)}
        self._reports += 1
        if not keys & self._seen:
            self.errors.append(diagnostic)
        self._seen |= keys
        if (
            len(self.errors) >= MOST_ERRORS
            or self._reports >= MOST_REPORTS
            or isinstance(diagnostic, OverLimit)
        ):
            raise Enough

    def step(self, span: Span, count: int = 1) -> None:
        """Count steps of work before they are done."""
        # a number that knows its formula would begin a long one
        self.steps_left -= count if type(count) is int else int(count)
        if self.steps_left < 0:
            needed = self.limits.steps - self.steps_left
            asks = f"takes {needed:,} steps or more"
            raise ArchError(self.limits.over("steps", asks, span, needed=needed))

    def text(self, span: Span, length: int) -> None:
        """Count a string before it is made."""
        if length > self.limits.string:
            asks = f"makes a string of {length:,} characters"
            raise ArchError(self.limits.over("string", asks, span, needed=length))
        self.step(span, length // CHARACTERS_OF_STEP)

    def enter(self, item: object, name: str, span: Span, trail: tuple[Use, ...]) -> None:
        """Begin to work out an item, which must not be under way already."""
        for number, (active, _) in enumerate(self.active):
            if active is item:
                ring = (*(called for _, called in self.active[number:]), name)
                hint = {"hint": "work out one of them without the others"}
                more = hint if isinstance(item, ast.Let) else {}
                raise ArchError(Recursion(span, trail, ring=ring, **more))
        self.active.append((item, name))

    def leave(self) -> None:
        """End the work on the item entered last."""
        self.active.pop()

    # --- names of a file --------------------------------------------------------------------

    def block_named(self, file: SpecFile, name: str, span: Span, trail: tuple[Use, ...]) -> Value:
        """Return the block or layer of that name, or what a `let` holds; None if there is none."""
        known = self.kept.blocks.get((id(file), name))
        if known is not None:
            return known
        found = file.find(name)
        if found is None:
            layer = self.layers.get(name)
            if layer is None:
                return None
            block = self.kept.blocks[id(file), name] = BlockValue(name, layer=layer)
            return block
        home, item = found
        if isinstance(item, ast.Block):
            block = BlockValue(item.name, declaration=item, file=home)
            self.kept.blocks[id(file), name] = block
            return block
        if isinstance(item, ast.Let):
            return self.let_value(file, name, item, span, trail)
        if isinstance(item, ast.BlockAlias) and item.parameters is not None:
            return BlockValue(item.name, alias=item, file=home)
        if isinstance(item, ast.BlockAlias):
            self.enter(item, item.name, span, trail)
            deeper = self.deepen(item.call, span)
            try:
                return self.partial(item.call, FileSetting(self, home, trail))
            finally:
                self.depth -= deeper
                self.leave()
        return None

    def value_named(
        self, file: SpecFile, name: ast.Name, trail: tuple[Use, ...]
    ) -> tuple[Value] | None:
        """Return the `let`, block or layer of that name, in a tuple."""
        found = file.find(name.name)
        if found is not None and isinstance(found[1], ast.Let):
            return (self.let_value(file, name.name, found[1], name.span, trail),)
        block = self.block_named(file, name.name, name.span, trail)
        return None if block is None else (block,)

    def let_value(
        self, file: SpecFile, name: str, item: ast.Let, span: Span, trail: tuple[Use, ...]
    ) -> Value:
        """Return the value of a `let`, which the file that it is written in works out once."""
        file, name = file.origin(name) or (file, name)
        if (file, name) not in self.values:
            self.enter(item, name, span, trail)
            deeper = self.deepen(item.value, span)
            given: dict[str, Value] = {}
            try:
                names = Names()
                setting = FileSetting(self, file, trail)
                value = evaluate(item.value, setting, self.limits.steps)
                setting.bind(item, value, names)
                given = names.given
            except ArchError:
                given = {target.name: SPOILED for target in item.targets}
                raise
            finally:
                self.values |= {(file, target): value for target, value in given.items()}
                self.depth -= deeper
                self.leave()
        value = self.values[file, name]
        if value is SPOILED:
            raise Spoiled
        return value

    def deepen(self, value: ast.Expression, span: Span) -> int:
        """Count how deeply expressions are nested through functions; Python's stack is finite."""
        deeper = getattr(value, "depth", 0) + 2
        self.depth += deeper
        if self.depth > self.limits.nesting:
            self.depth -= deeper
            asks = f"functions and values are nested {self.depth + deeper} deep"
            raise ArchError(self.limits.over("nesting", asks, span))
        return deeper

    # --- calls ------------------------------------------------------------------------------

    def partial(self, call: ast.Call, setting: FileSetting, complete: bool = False) -> BlockValue:
        """Return a block or layer of which a call fixes some arguments, or all it needs."""
        self.step(call.span, COST_OF_CALL)
        name = call.name
        block = setting.names.find(name.name)
        value = (
            block[0]
            if block
            else self.block_named(setting.file, name.name, name.span, setting.trail)
        )
        if not isinstance(value, BlockValue):
            raise unknown("layer or block", name, self.block_names(setting.file), setting)
        given = self.given(call.arguments, setting)
        for _, each, span in given if self.instead and not complete else ():
            if isinstance(each, LeftOpen):  # blocks may be compared, and are by what they fix
                reason = f"more depends on {each.name} than arguments"
                raise ArchError(BadValue(span, setting.trail, reason=reason))
        signature = self.signature(value)
        fixed = bind(signature, given, value.fixed, call.span, setting.trail, complete)
        return replace(value, fixed=fixed)

    def block_names(self, file: SpecFile) -> Iterator[str]:
        """Yield the names of all blocks and layers that a file can use."""
        for name in (*file.items, *file.imported):
            found = file.find(name)
            if found and isinstance(found[1], ast.Block | ast.BlockAlias):
                yield name
        yield from self.layers

    def given(
        self, arguments: tuple[ast.Argument, ...], setting: FileSetting
    ) -> list[tuple[str, Value, Span]]:
        """Work out the arguments of a call."""
        if self.instead:
            return [(a.name, self.handed_on(a.value, setting), a.span) for a in arguments]
        most = self.limits.steps
        return [(a.name, evaluate(a.value, setting, most), a.span) for a in arguments]

    def handed_on(self, argument: ast.Expression, setting: FileSetting) -> Value:
        """Return the value of an argument, which may be a float that the compiler leaves open."""
        if isinstance(argument, ast.Name):
            found = setting.names.find(argument.name)
            if found and isinstance(found[0], LeftOpen):
                return found[0]
        return evaluate(argument, setting, self.limits.steps)

    def signature(self, block: BlockValue) -> Signature:
        """Return what a block or layer takes."""
        if block.layer is not None:
            return self.signature_of_layer(block.layer, block.name)
        declared = block.declaration or block.alias
        assert declared is not None
        key = id(declared), block.name  # what is declared is kept by the syntax tree
        known = self.kept.signatures.get(key)
        if known is None:
            known = self.kept.signatures[key] = signature_of(block.name, declared.parameters or ())
        return known

    def signature_of_layer(self, kind: type[Layer], name: str) -> Signature:
        """Return what a layer takes, which a spec knows by a name."""
        known = self.kept.signatures.get((id(kind), name))
        if known is None:
            fields = kind.model_fields
            required = frozenset(one for one, field in fields.items() if field.is_required())
            known = self.kept.signatures[id(kind), name] = Signature(name, tuple(fields), required)
        return known

    def call_function(
        self, call: ast.Call, function: ast.Function, home: SpecFile, caller: FileSetting
    ) -> Value:
        """Return the value of a function of a file."""
        self.step(call.span, COST_OF_CALL)
        given = self.given(call.arguments, caller)
        trail = (Use(function.name, call.span), *caller.trail)
        signature = signature_of(function.name, function.parameters)
        bound = bind(signature, given, {}, call.span, caller.trail)
        self.enter(function, function.name, call.span, caller.trail)
        deeper = 0
        try:
            deepest = max((*(let.value for let in function.lets), function.value), key=_depth)
            deeper = self.deepen(deepest, call.span)
            inside = FileSetting(self, home, trail)
            self.bind_parameters(function.name, function.parameters, bound, inside, caller.trail)
            for let in function.lets:
                self.step(let.span)
                value = evaluate(let.value, inside, self.limits.steps)
                inside.bind(let, value, inside.names)
            return evaluate(function.value, inside, self.limits.steps)
        finally:
            self.depth -= deeper
            self.leave()

    def bind_parameters(
        self,
        callee: str,
        parameters: tuple[ast.Parameter, ...],
        bound: Mapping[str, tuple[Value, Span]],
        inside: FileSetting,
        trail: tuple[Use, ...],
    ) -> None:
        """Give each parameter its value or its default, and check its type.

        `trail` leads to where the values were given, as that of `inside` to where defaults are.
        """
        if parameters:
            self.step(parameters[0].span, 1 + len(parameters) // 2)
        for parameter in parameters:
            if parameter.name in bound:
                value, span = bound[parameter.name]
            elif parameter.default is not None:
                value, span = evaluate(parameter.default, inside, self.limits.steps), parameter.span
                value = placed(value, parameter.default, inside)
            else:
                continue
            if (
                parameter.type
                and not matches(value, parameter.type)
                and not (value is None and _is_optional(parameter))
            ):
                way = trail if parameter.name in bound else inside.trail
                name, reason = parameter.name, f"must be {TYPES[parameter.type]}"
                raise ArchError(bad_argument(callee, name, reason, value, span, way))
            if type(value) not in WEIGHTLESS:
                inside.weigh(value, span)
            inside.names.given[parameter.name] = value


def _is_optional(parameter: ast.Parameter) -> bool:
    return isinstance(parameter.default, ast.Literal) and parameter.default.value is None


def _depth(expression: ast.Expression) -> int:
    return getattr(expression, "depth", 0)


def signature_of(callee: str, parameters: tuple[ast.Parameter, ...]) -> Signature:
    """Return what a declaration with those parameters takes."""
    required = frozenset(parameter.name for parameter in parameters if parameter.default is None)
    return Signature(callee, tuple(parameter.name for parameter in parameters), required)


class FileSetting:
    """Where an expression stands that belongs to no body: in a `let`, a default, a function."""

    def __init__(
        self, world: World, file: SpecFile, trail: tuple[Use, ...] = (), names: Names | None = None
    ) -> None:
        self.world = world
        self.file = file
        self.trail = trail
        self.names = names or Names()

    @property
    def traces(self) -> bool:
        """Whether numbers are followed."""
        return self.world.trace is not None

    @property
    def most(self) -> int:
        """How many items a list may have."""
        return self.world.limits.steps

    def flow(self) -> Tensors:
        raise NoValue("nothing flows here: `in` has a meaning in networks and blocks only")

    def shape_of(self, reference: ast.Reference) -> Tensors:
        raise ArchError(BadFlow(reference.span, self.trail, reason="there are no stages here"))

    def global_value(self, name: ast.Name) -> tuple[Value] | None:
        return self.world.value_named(self.file, name, self.trail)

    def call_function(self, call: ast.Call) -> tuple[Value] | None:
        found = self.file.find(call.name.name)
        if found is not None and isinstance(found[1], ast.Function):
            return (self.world.call_function(call, found[1], found[0], self),)
        local = self.names.find(call.name.name)
        value = (
            local[0]
            if local is not None
            else self.world.block_named(self.file, call.name.name, call.name.span, self.trail)
        )
        if value is not None and not isinstance(value, BlockValue):
            raise NoValue(f"`{call.name.name}` can't be called: it is {kind_of(value)}")
        return None if value is None else (self.world.partial(call, self),)

    def step(self, span: Span, count: int = 1) -> None:
        self.world.step(span, count)

    def text(self, span: Span, length: int) -> None:
        self.world.text(span, length)

    def weigh(self, value: Value, span: Span) -> None:
        """Count what it takes to go through all of a value, lists in lists included."""
        if type(value) in WEIGHTLESS:
            return
        try:
            self.world.step(span, weight(value, self.most))
        except NoValue as error:
            raise error.at(span, self.trail) from None

    def known_names(self) -> Iterator[str]:
        yield from self.names
        for name, item in self.file.items.items():
            if not isinstance(item, ast.Network | ast.NetworkAlias):
                yield name
        yield from self.file.imported

    def bind(self, let: ast.Let, value: Value, names: Names) -> None:
        """Give the names of a `let` their values."""
        try:
            value = placed(value, let.value, self)
            bind_targets(let.targets, value, names, self.world.limits.steps)
        except NoValue as error:
            raise error.at(let.span, self.trail) from None
