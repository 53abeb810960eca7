"""Records nodes as they are made, and puts them together as a graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from archdsl.diagnostics import Span, Use
from archdsl.elaborate.errors import Problem
from archdsl.elaborate.naming import Place
from archdsl.graph import Graph, Node, Output, Scope
from archdsl.layers.base import Facts, Layer, LayerError, Shape, Shapes, construct
from archdsl.layers.registry import is_own
from archdsl.layers.sizes import Formula, FormulaError, Size
from archdsl.layers.traced import Trace, marks
from archdsl.limits import CHARACTERS_OF_STEP, LARGEST, Limits, OverLimit


class Way(NamedTuple):
    """The last use of a block on the way to a node, and the way there: most of it is shared."""

    name: str
    span: Span
    outer: Way | None


def trail_of(way: Way | None) -> tuple[Use, ...]:
    """Return the uses of blocks that led to a node, innermost first."""
    trail: list[Use] = []
    while way is not None:
        trail.append(Use(way.name, way.span))
        way = way.outer
    return tuple(trail)


def _trails_of(way: Way | None, known: dict[int, tuple[Use, ...]]) -> tuple[Use, ...]:
    """Return the same as `trail_of`, made of uses that are known from other ways."""
    new: list[Way] = []
    while way is not None and id(way) not in known:
        new.append(way)
        way = way.outer
    trail = () if way is None else known[id(way)]
    for one in reversed(new):
        trail = known[id(one)] = (Use(one.name, one.span), *trail)
    return trail


@dataclass(slots=True, eq=False)
class Record:
    """A node in the making.

    Its name is its label or position in its scope, which may be dotted; "" for wiring, which is
    named at the end, when all labels are known.
    """

    name: str
    label: str
    layer: Layer
    inputs: tuple[int, ...]
    facts: Facts
    scope: Scope
    span: Span
    way: Way | None
    shares: int = -1


class Recorder:
    """Makes layers and nodes. Equal layers, and equal facts, are made once."""

    def __init__(
        self, limits: Limits, step: Callable[[Span, int], None], traces: bool = False
    ) -> None:
        self.limits = limits
        self.step = step  # counts work before it is done
        self.traces = traces  # whether numbers are followed: equal ones then may differ
        self.records: list[Record] = []
        self.scopes: dict[str, Scope] = {}
        self.ordered: list[Place] = []  # with a `register`
        self.declared: dict[str, Shape] = {}  # of inputs whose shape was given from outside
        self.edges = 0
        self._layers: dict[tuple[type[Layer], str, object], Layer] = {}
        self._facts: dict[tuple[int, Shapes, tuple[bool, ...], object], Facts] = {}

    def layer(self, kind: type[Layer], arguments: Mapping[str, object]) -> Layer:
        """Return the layer with those arguments.

        Raises:
            ArgumentErrors: a value is not of the kind that its argument takes.
        """
        traced = marks(tuple(arguments.values())) if self.traces else ()
        key = kind, repr(arguments), traced  # unlike a hash, it tells 1 from 1.0 and true
        layer = self._layers.get(key)
        if layer is None:
            layer = self._layers[key] = construct(kind, arguments)
        return layer

    def infer(self, layer: Layer, incoming: Sequence[int], seen: Shapes | None = None) -> Facts:
        """Return the facts of a layer that was made here, of nodes that it reads.

        `seen` are their shapes as seen from where the layer stands, if numbers are followed.

        Raises:
            LayerError: it can't take the inputs.
        """
        read = [self.records[number].facts for number in incoming]
        inputs = tuple([facts.output for facts in read]) if seen is None else seen
        batched = tuple([facts.batched for facts in read])
        key = id(layer), inputs, batched, marks(inputs) if self.traces else ()
        facts = self._facts.get(key)
        if facts is None:
            try:
                shared = not all(batched)
                facts = layer.infer_shared(inputs, batched) if shared else layer.infer(inputs)
            except FormulaError as error:
                raise LayerError(f"gives a size that {error}") from None
            except LayerError:
                raise
            except Exception as error:
                if not is_own(type(layer)):
                    raise
                home = type(layer).__module__
                reason = f"fails with {type(error).__name__}: {error}"
                raise LayerError(reason, f"the fault is in {home}, not in the spec") from error
            self.check(facts)
            self._facts[key] = facts
        return facts

    def check(self, facts: Facts) -> None:
        """Refuse shapes that torch can't count, and those with too many axes."""
        for shape in (facts.output, *facts.params.values()):
            if len(shape) > self.limits.dimensions:
                raise LayerError(
                    f"gives a tensor with {len(shape)} axes, more than the limit of "
                    f"{self.limits.dimensions} (raise with --limit dimensions={len(shape)})"
                )
            if any(isinstance(size, int) and size > LARGEST for size in shape):
                raise LayerError("gives a size beyond 9223372036854775807, where torch's end")
        for count in (facts.macs, *facts.other.values()):
            if not isinstance(count, Size):  # a layer of a user's own may give what it likes
                raise LayerError(f"counts {count} operations, and a count is an integer")

    def shape(self, number: int) -> Shape:
        """Return the shape of a node's output."""
        return self.records[number].facts.output

    def add(self, record: Record) -> int:
        """Keep a node and return its number."""
        if len(self.records) >= self.limits.layers:
            self.reserve(1, record.span, trail_of(record.way))
        self.step(record.span, self._cost(record))
        self.edges += len(record.inputs)
        if self.edges > self.limits.edges:
            trail = trail_of(record.way)
            self.refuse("edges", self.edges, "inputs of layers", record.span, trail)
        self.records.append(record)
        return len(self.records) - 1

    def _cost(self, record: Record) -> int:
        """Return the cost of a full name, and of going through formulas, in steps."""
        length = len(record.scope.name) + len(record.name)
        sizes = record.facts.output
        formulas = sum([size.atoms for size in sizes if isinstance(size, Formula)])
        return length // CHARACTERS_OF_STEP + formulas // 2

    def reserve(self, more: int, span: Span, trail: tuple[Use, ...]) -> None:
        """Refuse before `more` nodes are made if they are too many."""
        if (total := len(self.records) + more) > self.limits.layers:
            self.refuse("layers", total, "layers", span, trail)

    def refuse(
        self, limit: str, number: int, what: str, span: Span, trail: tuple[Use, ...]
    ) -> None:
        raise Problem(
            OverLimit(
                span=span,
                trail=trail,
                limit=limit,
                asks=f"expands to {number:,} {what}",
                allowed=getattr(self.limits, limit),
                needed=number,
            )
        )

    def graph(
        self,
        scope: Scope,
        inputs: Mapping[str, int],
        outputs: list[tuple[str, int, bool, Span]],
        files: tuple[bytes, ...],
        trace: Trace | None = None,
    ) -> Graph:
        """Return the graph of all nodes made here."""
        names = self._names()
        nodes: dict[str, Node] = {}
        agreements: dict[tuple[Size, Size], None] = {}
        trails: dict[int, tuple[Use, ...]] = {}  # one for all nodes of a block
        for name, record in zip(names, self.records, strict=True):
            trail = trails.get(id(record.way))
            if trail is None:
                trail = _trails_of(record.way, trails)
            nodes[name] = Node(
                name,
                record.label,
                record.layer,
                tuple([names[number] for number in record.inputs]),
                record.facts,
                record.scope,
                record.span,
                trail,
                names[record.shares] if record.shares >= 0 else "",
            )
            for pair in record.facts.agreements:
                agreements.setdefault(pair)
        return Graph(
            name=scope.block,
            description=scope.description,
            arguments=scope.arguments,
            inputs={name: self.shape(number) for name, number in inputs.items()},
            nodes=nodes,
            outputs=tuple(
                Output(name, names[n], training, span) for name, n, training, span in outputs
            ),
            scopes=self.scopes,
            span=scope.span,
            agreements=tuple(agreements),
            files=files,
            declared=self.declared,
            trace=trace,
        )

    def _names(self) -> list[str]:
        """Name wiring after its scope and word, with a number where there are several."""
        given = [_full_name(record) for record in self.records]
        taken = {*given, *self.scopes}
        counts: dict[str, int] = {}
        names: list[str] = []
        for record, name in zip(self.records, given, strict=True):
            if record.shares >= 0:
                name = self._free(f"{names[record.shares]}@", counts, taken, first=2)
            elif not name:
                word = record.layer.word or type(record.layer).__name__
                name = self._free(record.scope.full_name(word), counts, taken, first=1)
            taken.add(name)
            names.append(name)
        return names

    def _free(self, stem: str, counts: dict[str, int], taken: set[str], first: int) -> str:
        """Return the next name with that stem that nothing else has."""
        while True:
            count = counts[stem] = counts.get(stem, first - 1) + 1
            name = (
                stem
                if count == 1
                else f"{stem}{count}"
                if stem.endswith("@")
                else f"{stem}_{count}"
            )
            if name not in taken:
                return name


def _full_name(record: Record) -> str:
    return record.scope.full_name(record.name) if record.name else ""
