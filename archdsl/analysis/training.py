"""What a training step needs in memory: see `docs/counting.md`.

The operations of a step are taken down layer by layer (`Layer.trained`), with what autograd keeps
of each. From them follow the bytes that are kept from the forward pass to the backward pass, and
the most that is held at once (`peak.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from functools import cached_property

from archdsl.analysis.checkpoints import groups
from archdsl.analysis.overwriting import overwriting
from archdsl.analysis.peak import (
    OPTIMIZERS,
    Optimizer,
    Peak,
    Region,
    Walk,
    needed,
    regions_of,
    updated,
)
from archdsl.graph import CheckedGraph
from archdsl.layers.autograd import INDEX, Autograd, Tensor, own_tensors
from archdsl.layers.base import LayerError
from archdsl.layers.homes import is_own
from archdsl.layers.own import asked, fault
from archdsl.layers.sizes import FormulaError, Size, total
from archdsl.layers.tensor import InputTensor
from archdsl.records import Record

WIDTHS: Mapping[str, int] = {"int": INDEX, "bool": 1}  # of what is no float


def taken_down(
    checked: CheckedGraph,
    width: int,
    batch: Size = 1,
    fused: bool = True,
    frozen: Set[str] = frozenset(),
    again: Set[str] = frozenset(),
) -> Autograd:
    """Take down the forward pass of a training step, in which scopes are computed `again`.

    Raises:
        LayerError: a layer doesn't say what its backward pass keeps.
    """
    tape = Autograd(width, batch, fused)
    arrays, held, overwrites = checked.arrays, checked.held, overwriting(checked, again)
    own: dict[int, dict[str, Tensor]] = {}
    made: list[Tensor] = []
    for number, (layer, facts, reads) in enumerate(
        zip(arrays.layers, arrays.facts, arrays.reads, strict=True)
    ):
        owner = arrays.shares.get(number, number)
        if owner not in own and (facts.params or facts.buffers or owner in arrays.ties):
            names = _frozen(checked, owner, frozen) if frozen else ()
            own[owner] = own_tensors(facts.params, facts.buffers, width, names)
            tape.owned[owner] = list(own[owner].values())
            if owner in arrays.ties:
                for tie in checked.nodes[checked.names[owner]].ties:
                    own[owner][tie.name] = own[checked.numbers[tie.owner]][tie.of]
        output = (batch, *facts.output) if facts.batched else facts.output
        tape.begin(number, output, own.get(owner, {}), owner in overwrites)
        if isinstance(layer, InputTensor):
            made.append(tape.new(tape.output, WIDTHS.get(held.get(number, ""), width)))
            tape.inputs.append(made[-1])
            continue
        inputs, before = [made[read] for read in reads], len(tape.ops)
        given = asked(layer, layer.trained, tape, *inputs)
        if len(tape.ops) > before + 1:  # who calls it holds what goes in until it is done
            tape.lives(*inputs)
        if is_own(type(layer)) and not (isinstance(given, Tensor) and given.shape == output):
            raise fault(layer, f"{type(layer).__name__}.trained doesn't give a tensor of {output}")
        made.append(given)
    tape.results = made
    tape.ends = [made[end] for end in checked.ends]
    return tape


def _frozen(checked: CheckedGraph, owner: int, frozen: Set[str]) -> list[str]:
    name = checked.names[owner]
    facts = checked.arrays.facts[owner]
    return [each for each in facts.params if (f"{name}.{each}" if each else name) in frozen]


class Options(Record):
    """How a network is trained.

    Attributes:
        batch: samples at once.
        dtype: of parameters and inputs.
        checkpoint: scopes that are computed again in the backward pass, each as one.
    """

    batch: int = 1
    dtype: str = "float32"
    optimizer: str = "sgd"
    checkpoint: frozenset[str] = frozenset()


DTYPES: Mapping[str, int] = {"float32": 4, "bfloat16": 2}  # bytes of a number


class Step(Record):
    """What a node takes in a training step, in bytes.

    Attributes:
        gradients: of the parameters that learn.
        optimizer: what the optimizer keeps for them.
        kept: for the backward pass; each storage stands where it is first needed.
        again: multiply-accumulates that are computed again, for all samples.
    """

    parameters: Size = 0
    gradients: Size = 0
    optimizer: Size = 0
    kept: Size = 0
    again: Size = 0

    def __add__(self, other: object) -> Step:
        assert isinstance(other, Step)
        return Step(*(one + more for one, more in zip(self, other, strict=True)))


class Training:
    """A training step of a network. Figures are worked out when they are asked for.

    Attributes:
        shown: whether it was asked for, or stands for what is kept alone.
    """

    def __init__(
        self,
        checked: CheckedGraph,
        options: Options,
        frozen: Set[str] = frozenset(),
        shown: bool = False,
    ) -> None:
        self.checked = checked
        self.options = options
        self.frozen = frozen
        self.shown = shown

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Training):
            return NotImplemented
        return (self.options, self.frozen, self.unknown, self.kept) == (
            other.options, other.frozen, other.unknown, other.kept
        )  # fmt: skip

    def __hash__(self) -> int:
        return hash((self.options, frozenset(self.frozen)))

    @property
    def width(self) -> int:
        """Bytes of a float."""
        return DTYPES[self.options.dtype]

    @cached_property
    def _found(self) -> Autograd | str:
        try:
            batch, again = self.options.batch, self.options.checkpoint
            return taken_down(self.checked, self.width, batch, True, self.frozen, again)
        except LayerError as error:
            return str(error)
        except FormulaError:
            return "it depends on the free sizes in too intricate a way"

    @property
    def unknown(self) -> str:
        """Why nothing is known, or ""."""
        return self._found if isinstance(self._found, str) else ""

    @property
    def note(self) -> str:
        """What to know of what is kept, or ""."""
        return "" if self.unknown else "; ".join(self.tape.notes)

    @property
    def tape(self) -> Autograd:
        """The operations of the step."""
        assert isinstance(self._found, Autograd), self._found
        return self._found

    @cached_property
    def regions(self) -> list[Region]:
        """What is checkpointed."""
        again = groups(self.checked, self.options.checkpoint)
        return regions_of(self.tape, again, self.checked.arrays.reads)

    @cached_property
    def kept(self) -> Size | None:
        """Bytes that are kept for the backward pass; None if that isn't known."""
        if self.unknown:
            return None
        try:
            return total([size for size, _ in self._kept.values()])
        except FormulaError:
            return None

    @cached_property
    def _kept(self) -> Mapping[int, tuple[Size, int]]:
        """What is kept, with the node that needs it first."""
        if not self.regions:
            return {id(one): (one.size, node) for one, node in self.tape.kept().items()}
        walk = Walk(self.tape, self.regions)
        return {
            id(one): (one.size, self.tape.ops[at].node)
            for one, at in walk.first_saver.items()
            if not one.own
        }

    @cached_property
    def kept_unfused(self) -> Size | None:
        """The same without fused kernels of attention; None if there is nothing to choose."""
        if self.unknown or not self.tape.asked or self.regions:
            return None
        plain = taken_down(self.checked, self.width, self.options.batch, False, self.frozen)
        return total([one.size for one in plain.kept()])

    @cached_property
    def learned(self) -> Mapping[int, list[tuple[Tensor, Optimizer]]]:
        """The parameters that learn by their nodes, with what the optimizer takes for each."""
        of = OPTIMIZERS[self.options.optimizer]
        return {
            number: [(one, of(one)) for one in own if one.needs_grad]
            for number, own in self.tape.owned.items()
        }

    @cached_property
    def sums(self) -> Step:
        """Of the whole network."""
        found = Step()
        for step in self.nodes.values():
            found = found + step
        return found

    @cached_property
    def nodes(self) -> Mapping[int, Step]:
        """Of each node that takes anything, by its number."""
        kept: dict[int, Size] = {}
        for size, node in self._kept.values():
            kept[node] = kept.get(node, 0) + size
        again = self.again
        return {
            number: Step(
                total([one.bytes for one in self.tape.owned.get(number, ())]),
                total([one.bytes for one, _ in self.learned.get(number, ())]),
                total([each.state for _, each in self.learned.get(number, ())]),
                kept.get(number, 0),
                again.get(number, 0),
            )
            for number in sorted({*kept, *again, *self.tape.owned})
        }

    @cached_property
    def again(self) -> Mapping[int, Size]:
        """Multiply-accumulates that nodes compute again.

        torch stops as soon as it has all that the backward pass needs.
        """
        facts, found = self.checked.arrays.facts, {}
        for region in self.regions:
            stop = needed(self.tape, region)
            for op in self.tape.ops[region.first : stop]:
                if facts[op.node].macs != 0:
                    found[op.node] = self.options.batch * facts[op.node].macs
        return found

    @cached_property
    def peak(self) -> Peak | None:
        """The most that is held at once; None where sizes are free."""
        if self.unknown:
            return None
        sums = self.sums
        held = sums.parameters + sums.optimizer
        if not isinstance(held, int) or not isinstance(self.kept, int):
            return None
        walk = Walk(self.tape, self.regions)
        found = walk.peak()
        scratch = [each.scratch for own in self.learned.values() for _, each in own]
        found = updated(found, walk.held, [one for one in scratch if isinstance(one, int)])
        return found._replace(size=found.size + held)

    @property
    def forward(self) -> Size:
        """Multiply-accumulates of the forward pass, for one sample."""
        return total([facts.macs for facts in self.checked.arrays.facts if facts.macs != 0])

    @property
    def peak_layer(self) -> str:
        """The layer that runs, or whose gradients are worked out, when the most is held; or ""."""
        if self.peak is None or self.peak.node is None:
            return ""
        return self.checked.names[self.peak.node]

    @property
    def peak_at(self) -> str:
        """When the most is held, as the end of a sentence that begins with it."""
        if self.peak is None:
            return ""
        if not (name := self.peak_layer):
            return "while the parameters are changed"
        if self.peak.phase == "forward":
            return f"while `{name}` runs"
        return f"while the gradients of `{name}` are worked out"

    def of(self, names: Sequence[str]) -> Step:
        """Return what some nodes take together."""
        found, numbers = Step(), self.checked.numbers
        for name in names:
            if step := self.nodes.get(numbers[name]):
                found = found + step
        return found
