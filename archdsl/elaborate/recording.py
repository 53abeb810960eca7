"""Makes layers, works out their facts, and counts what is made against the limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from archdsl.diagnostics import ArchError, Span, Use
from archdsl.layers.base import Facts, Layer, LayerError, Shapes, construct
from archdsl.layers.own import asked, require_facts
from archdsl.layers.sizes import Formula, FormulaError
from archdsl.layers.traced import all_marks, marks
from archdsl.limits import CHARACTERS_OF_STEP, LARGEST, Limits


class Equal:
    """Layers by kind and arguments, and their facts by layer and inputs: equal ones are one."""

    def __init__(self) -> None:
        self.layers: dict[tuple[type[Layer], str, object], Layer] = {}
        self.facts: dict[tuple[int, Shapes, tuple[bool, ...], object], Facts] = {}


class Recorder:
    """Makes layers and nodes. Equal layers, and equal facts, are made once."""

    def __init__(
        self, limits: Limits, step: Callable[[Span, int], None], made: Equal, traces: bool = False
    ) -> None:
        self.limits = limits
        self.step = step  # counts work before it is done
        self.traces = traces  # whether numbers are followed: equal ones then may differ
        self.nodes = 0
        self.edges = 0
        self._layers, self._facts = made.layers, made.facts

    def layer(self, kind: type[Layer], arguments: Mapping[str, object]) -> Layer:
        """Return the layer with those arguments.

        Raises:
            ArgumentErrors: a value is not of the kind that its argument takes.
        """
        traced = all_marks(tuple(arguments.values())) if self.traces else ()
        key = kind, repr(arguments), traced  # unlike a hash, it tells 1 from 1.0 and true
        layer = self._layers.get(key)
        if layer is None:
            layer = self._layers[key] = construct(kind, arguments)
        return layer

    def infer(self, layer: Layer, read: Sequence[Facts], inputs: Shapes | None = None) -> Facts:
        """Return the facts of a layer that was made here, of what it reads.

        `inputs` are the shapes as seen from where the layer stands, if numbers are followed.

        Raises:
            LayerError: it can't take the inputs.
        """
        if inputs is None:
            inputs = tuple([facts.output for facts in read])
        batched = tuple([facts.batched for facts in read])
        # the layer lives as long as what is kept, so that its id is that of no other
        key = id(layer), inputs, batched, marks(inputs) if self.traces else ()
        facts = self._facts.get(key)
        if facts is None:
            try:
                if all(batched):
                    facts = asked(layer, layer.infer, inputs)
                else:
                    facts = asked(layer, layer.infer_shared, inputs, batched)
            except FormulaError as error:
                raise LayerError(f"gives a size that {error}") from None
            require_facts(layer, facts)
            self.check(facts)
            self._facts[key] = facts
        return facts

    def check(self, facts: Facts) -> None:
        """Refuse shapes that torch can't count, and those with too many axes."""
        most = self.limits.dimensions
        for shape in (facts.output, *facts.params.values()):
            if len(shape) > most:
                raise LayerError(
                    f"gives a tensor with {len(shape)} axes, more than the limit of "
                    f"{self.limits.dimensions} (raise with --limit dimensions={len(shape)})"
                )
            for size in shape:
                if isinstance(size, int) and size > LARGEST:
                    raise LayerError("gives a size beyond 9223372036854775807, where torch's end")

    def count(
        self, nodes: int, edges: int, steps: int, span: Span, trail: Callable[[], tuple[Use, ...]]
    ) -> None:
        """Count nodes that are about to be made, before they are."""
        if self.nodes + nodes > self.limits.layers:
            self.reserve(nodes, span, trail())
        self.step(span, steps)
        self.nodes += nodes
        self.edges += edges
        if self.edges > self.limits.edges:
            self.refuse("edges", self.edges, "inputs of layers", span, trail())

    def reserve(self, more: int, span: Span, trail: tuple[Use, ...]) -> None:
        """Refuse before `more` nodes are made if they are too many."""
        if (total := self.nodes + more) > self.limits.layers:
            self.refuse("layers", total, "layers", span, trail)

    def refuse(
        self, limit: str, number: int, what: str, span: Span, trail: tuple[Use, ...]
    ) -> None:
        asks = f"expands to {number:,} {what}"
        raise ArchError(self.limits.over(limit, asks, span, trail, needed=number))


def cost_of(characters: int, facts: Facts) -> int:
    """Return the cost in steps of a name, and of going through formulas."""
    formulas = 0
    for size in facts.output:
        if type(size) is not int and isinstance(size, Formula):
            formulas += size.atoms
    return characters // CHARACTERS_OF_STEP + formulas // 2
