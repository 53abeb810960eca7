"""The stages in order, from a SPEC to a checked graph. The only file that knows them all."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from archdsl.check import check
from archdsl.diagnostics import ArchError, Diagnostic, Source
from archdsl.elaborate.ahead import require_affordable
from archdsl.elaborate.errors import BadNetwork, UnknownName
from archdsl.elaborate.expressions import evaluate
from archdsl.elaborate.network import (
    bodies,
    default_network,
    description_of,
    elaborate,
    network_names,
    open_parameters,
)
from archdsl.elaborate.review import review
from archdsl.elaborate.values import BlockValue, NoValue, Value, bounded
from archdsl.elaborate.wording import nearest
from archdsl.elaborate.world import FileSetting, Kept, World
from archdsl.given_shapes import compare, suspicious
from archdsl.graph import CheckedGraph, Graph
from archdsl.layers.base import Layer
from archdsl.layers.registry import Registry
from archdsl.layers.sizes import Formula, Size
from archdsl.layers.traced import Trace
from archdsl.limits import Limits, OverLimit
from archdsl.records import Record
from archdsl.sources import Reader, locate, shipped_item
from archdsl.syntax import ast
from archdsl.syntax.spec_file import SpecFile
from archdsl.torch_order import in_torch_order

Shapes = Mapping[str, tuple[Size | str, ...]]


def in_order(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Leave out what is said twice, and sort the rest as the places stand in the files."""
    found: dict[object, Diagnostic] = {}
    for one in diagnostics:
        found.setdefault((one.code, one.span), one)
    files: dict[str, int] = {}
    for one in found.values():
        if one.span is not None:
            files.setdefault(one.span.source.path, len(files))
    return sorted(
        found.values(),
        key=lambda one: (files[one.span.source.path], one.span.start) if one.span else (-1, 0),
    )


def _with_shipped(diagnostic: Diagnostic) -> Diagnostic:
    """Say where a layer or block is that nothing else helps to find: in a shipped spec."""
    if (
        isinstance(diagnostic, UnknownName)
        and diagnostic.what == "layer or block"
        and not diagnostic.hint
        and not nearest(diagnostic.name, diagnostic.known)
        and (hint := shipped_item(diagnostic.name))
    ):
        return diagnostic.but(hint=hint)
    return diagnostic


class _Reviewed(Record):
    """A file that was read, what is wrong with it, and what was worked out for it so far."""

    file: SpecFile
    files: tuple[SpecFile, ...]  # which keep alive what the key is made of
    layers: Registry
    errors: list[Diagnostic]
    kept: Kept


MOST_REVIEWED = 16  # files that are remembered, and how much may be kept for each
MOST_KEPT = 50_000
_known: dict[object, _Reviewed] = {}


def _reviewed(
    file: SpecFile, files: tuple[SpecFile, ...], layers: Registry, limits: Limits
) -> _Reviewed:
    """Review a file with all that it imports, or return what is known of it.

    The parser gives the same syntax tree for the same text, so what was read is known by its trees.
    """
    key = (
        tuple((one.source.path, id(one.program)) for one in files),
        tuple((name, id(kind)) for name, kind in layers.own.items()),
        repr(limits),
    )
    for old, one in [*_known.items()]:  # other threads may change it meanwhile
        if one.kept.size > MOST_KEPT:
            _known.pop(old, None)
    found = _known.pop(key, None)
    if found is None:
        errors = [
            diagnostic for one in files for diagnostic in map(_with_shipped, review(one, layers))
        ]
        found = _Reviewed(file, files, layers, errors, Kept())
    for old in [*_known][: max(0, len(_known) - MOST_REVIEWED + 1)]:
        _known.pop(old, None)
    _known[key] = found  # the one that was asked for last is forgotten last
    return found


class Spec:
    """A file that was read and reviewed, with all that it imports.

    Attributes:
        network: the network that it stands for; None if it defines none.
        errors: what is wrong with the file whichever of its networks is worked out.
        steps, nodes: that were taken, and made, to work out networks, all together.
    """

    def __init__(
        self,
        spec: str,
        *,
        limits: Limits | None = None,
        search: Sequence[str] = (),
        layers: Mapping[str, type[Layer]] | None = None,
    ) -> None:
        """Read a SPEC: a path, `path:network`, or the name of a shipped network.

        Raises:
            ArchError: with everything that is wrong with its text.
        """
        path, network = locate(spec)
        self.limits = limits or Limits()
        self.layers = Registry(layers)
        self.reader = Reader(self.limits, search)
        read = self.reader.read(path)
        known = _reviewed(read, tuple(self.reader.files.values()), self.layers, self.limits)
        self.file, self.errors, self.kept = known.file, known.errors, known.kept
        if any(file.ambiguous for file in self.reader.files.values()):
            self.require_sound()  # what networks there are is not known
        self.steps = 0
        self.nodes = 0
        self._given = World(
            self.layers, self.limits, self.kept
        )  # where values from outside are worked out
        self.asked = network
        stem = os.path.splitext(os.path.basename(path))[0]
        self.network = network or default_network(self.file, stem)

    @property
    def networks(self) -> list[str]:
        """Names of the networks that the file defines, in its order."""
        return network_names(self.file)

    def is_complete(self, network: str) -> bool:
        """Tell whether a network can be worked out without further values."""
        return all(one.default is not None for one in self.parameters(network))

    def describe(self, network: str) -> tuple[str, str]:
        """Return how a network is asked for, `net(classes: int = 10)`, and its description."""
        parts = []
        for one in self.parameters(network):
            kind = f": {one.type}" if one.type else ""
            default = ""
            if one.default is not None:
                span = one.default.span
                default = f" = {span.source.text[span.start : span.end]}"
            parts.append(f"{one.name}{kind}{default}")
        signature = f"{network}({', '.join(parts)})" if parts else network
        return signature, description_of(self.file, network)

    def parameters(self, network: str) -> Sequence[ast.Parameter]:
        """Return the parameters that a network leaves open.

        Raises:
            ArchError: there is no such network.
        """
        return open_parameters(self.file, network)

    def axes(self, network: str | None) -> dict[str, int]:
        """Return how many axes each input of a network has, as far as its text says."""
        if network is None:
            return {}
        ((declared, _),) = bodies(self.file, [network])
        return {
            one.name: len(one.shape.items)
            for one in declared.body.statements
            if isinstance(one, ast.Input) and isinstance(one.shape, ast.Listing)
        }

    def parameter_types(self, network: str | None) -> dict[str, str]:
        """Return the types of the parameters that a network leaves open; "" where it has none."""
        return {one.name: one.type for one in self.parameters(network)} if network else {}

    def values(self, network: str | None, given: Mapping[str, object]) -> dict[str, Value]:
        """Return Python values as values of the language.

        Lists become lists. A string is the value of a parameter of the type `str` or of none; for
        one that takes a block or a list, it is an expression of the language: "Unit(groups = 32)".

        Raises:
            ArchError: a value is of a kind that the language doesn't have, or an expression wrong.
        """
        kinds = self.parameter_types(network)
        return {
            name: self._value(name, value, kinds.get(name, "")) for name, value in given.items()
        }

    def _value(self, name: str, value: object, kind: str) -> Value:
        if kind in ("block", "list") and isinstance(value, str):
            return self._expression(name, value, kind)
        if isinstance(value, list | tuple | range):
            return tuple(self._value(name, item, "") for item in value)
        if value is None or isinstance(value, str | bool | int | float | BlockValue):
            try:
                return bounded(value)
            except NoValue as error:
                reason = f"`{name}` can't have this value: {error.reason}"
                raise ArchError(BadNetwork(reason=reason)) from None
        reason = f"`{name}` can't be {type(value).__name__}: values are numbers, strings and lists"
        raise ArchError(BadNetwork(reason=reason))

    def parse_value(self, name: str, text: str, network: str | None) -> Value:
        """Return the value of an expression for a parameter: `[3, 4, 6, 3]`, `Unit(groups = 32)`.

        It may name the items of the file, and is worked out within the limits of a spec. For a
        parameter of the type str, a text that is no string in quotes is taken as it is.

        Raises:
            ArchError: it is no value.
        """
        kind = self.parameter_types(network).get(name, "")
        if kind == "str" and not text.startswith('"'):
            if len(text) > self.limits.string:
                asks = f"-p {name} has {len(text):,} characters"
                raise ArchError(self.limits.over("string", asks, needed=len(text)))
            return text
        return self._expression(f"-p {name}", text, kind)

    def _expression(self, path: str, text: str, kind: str) -> Value:
        world = self._given
        setting = FileSetting(world, self.file)
        node = self.reader.parser.expression(Source(path, text))
        try:
            return evaluate(node, setting, self.limits.steps)
        except ArchError as error:
            (wrong,) = error.diagnostics
            first = wrong.span is not None and wrong.span.start == 0
            if kind == "block" and first and isinstance(wrong, UnknownName):
                known = tuple(world.block_names(self.file))
                wrong = wrong.but(what="layer or block", known=known, hint="")
            raise ArchError(wrong) from None

    def graph(
        self,
        network: str | None = None,
        parameters: Mapping[str, Value] | None = None,
        shapes: Shapes | None = None,
    ) -> CheckedGraph:
        """Return the checked graph of a network.

        Args:
            network: its name; the one that the file stands for if it is left out.
            parameters: values for its parameters.
            shapes: shapes of its inputs, instead of those in the spec; a string is a free size.

        Raises:
            ArchError: with everything that is wrong.
        """
        name = network or self.network
        if name is None:
            path = self.file.source.path
            hint = "networks begin with `network name { ... }`"
            raise ArchError(BadNetwork(reason=f"{path} defines no network", hint=hint))
        world = World(self.layers, self.limits, self.kept)
        contents = tuple(self.reader.contents)
        again = _Again(
            self.layers,
            self.limits,
            self.kept,
            self.file,
            name,
            parameters or {},
            shapes or {},
            contents,
        )
        try:
            graph = elaborate(world, self.file, name, parameters or {}, shapes or {}, contents)
        except ArchError as error:
            found = in_order([*self.errors, *error.diagnostics])
            if not any(isinstance(one, OverLimit) for one in found):  # else it takes long again
                found += suspicious(again.with_shapes, shapes or {})
            raise ArchError(*found) from None
        finally:
            self.steps += self.limits.steps - world.steps_left
            self.nodes += world.recorder.nodes
        self.require_sound()
        said = (*compare(graph, again.with_shapes), *in_torch_order(graph))
        return replace(check(graph), again=again, warnings=said)

    def require_affordable(self, networks: Sequence[str]) -> None:
        """Raise ArchError if it is clear from the text that networks are too much together."""
        world = World(self.layers, self.limits, self.kept)
        require_affordable(world, bodies(self.file, networks))

    @property
    def exceeded(self) -> OverLimit | None:
        """What is passed by the networks that were worked out so far, all together."""
        for limit, number, does in (
            ("steps", self.steps, "takes"),
            ("layers", self.nodes, "makes"),
        ):
            if number > getattr(self.limits, limit):
                asks = f"working out its networks {does} {number:,} {limit} or more"
                return self.limits.over(limit, asks)
        return None

    def require_sound(self) -> None:
        """Raise ArchError if a part of the file is wrong, whether a network uses it or not."""
        if self.errors:
            raise ArchError(*self.errors)


@dataclass(frozen=True, slots=True)
class _Again:
    """Works out a network of a sound file with other values for some of its parameters."""

    layers: Registry
    limits: Limits
    kept: Kept
    file: SpecFile
    network: str
    parameters: Mapping[str, Value]
    shapes: Shapes
    contents: tuple[bytes, ...]

    def with_shapes(self, shapes: Shapes) -> Graph | None:
        """Return the graph for other shapes of inputs, or None where they can't be worked out."""
        world = World(self.layers, self.limits, self.kept)
        try:
            return elaborate(world, self.file, self.network, self.parameters, shapes)
        except ArchError:
            return None

    def __call__(
        self, others: Mapping[str, Value], follows: Collection[str] | None = None
    ) -> CheckedGraph:
        trace = None if follows is None else Trace(follows)
        # a body that was worked out before doesn't say again by what its loops turn
        left_open = any(isinstance(value, Formula | tuple) for value in others.values())
        kept = None if trace is not None or left_open else self.kept
        world = World(self.layers, self.limits, kept, trace, others)
        return check(
            elaborate(world, self.file, self.network, self.parameters, self.shapes, self.contents)
        )
