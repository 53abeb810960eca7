"""What a training step needs in memory: see `docs/counting.md`.

The operations of a step are taken down layer by layer (`Layer.trained`), with what autograd keeps
of each. From them follow the bytes that are kept from the forward pass to the backward pass, and
the most that is held at once (`peak.py`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence, Set
from functools import cached_property

from archdsl.analysis.checkpoints import groups
from archdsl.analysis.loops import Alike, go_through
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
from archdsl.layers.autograd import INDEX, Autograd, Storage, Tensor, own_tensors
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
    at_once: bool = False,
) -> Autograd:
    """Take down the forward pass of a training step, in which scopes are computed `again`.

    `at_once` takes down once what comes again in the turns of a loop: that tells what is kept
    (`Autograd.kept_sizes`), and nothing else.

    Raises:
        LayerError: a layer doesn't say what its backward pass keeps.
    """
    tape = Autograd(width, batch, fused)
    arrays, held, overwrites = checked.arrays, checked.held, overwriting(checked, again)
    own: dict[int, dict[str, Tensor]] = {}
    made: list[Tensor] = []

    def take_down(number: int) -> None:
        layer, facts, reads = arrays.layers[number], arrays.facts[number], arrays.reads[number]
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
            return
        inputs, before = [made[read] for read in reads], len(tape.ops)
        given = asked(layer, layer.trained, tape, *inputs)
        if len(tape.ops) > before + 1:  # who calls it holds what goes in until it is done
            tape.lives(*inputs)
        if is_own(type(layer)) and not (isinstance(given, Tensor) and given.shape == output):
            raise fault(layer, f"{type(layer).__name__}.trained doesn't give a tensor of {output}")
        made.append(given)

    def go(at: int, stop: int) -> None:
        for number in range(at, stop):
            take_down(number)

    alike, turns = Alike(checked), _Turns(tape, arrays.reads, made)

    def settles(at: int, size: int, left: int) -> bool:
        if not alike(at, size, left) or not turns.are_alike(at, size):
            return False
        tape.further.append((turns.begins(at), len(tape.ops), left))
        made.extend(made[at:] * left)
        return True

    # a parameter that stands in several turns, or is frozen in some, makes them differ
    simple = at_once and not (frozen or again or arrays.shares or arrays.ties)
    go_through(len(arrays.facts), checked.loops if simple else (), go, settles)
    tape.results = made
    tape.ends = [made[end] for end in checked.ends]
    return tape


class _Turns:
    """Compares turns of a loop in all that later ones can see of them.

    What a turn does follows from the tensors that it reads: their shapes, how they lie, whether
    they get gradients, whose memory they share, and whether that is kept already.
    """

    def __init__(self, tape: Autograd, reads: Sequence[Sequence[int]], made: list[Tensor]) -> None:
        self.tape = tape
        self.reads = reads
        self.made = made
        self.savers: dict[Storage, int] = {}  # the first operation that keeps it
        self.done = 0  # the operations in `savers`

    def begins(self, number: int) -> int:
        """Return the place of the first operation of a node, or of the next that has one."""
        return bisect_left(self.tape.ops, number, key=lambda op: op.node)

    def are_alike(self, at: int, size: int) -> bool:
        """Tell whether the last turn, which begins with a node, came to what the one before did."""
        ops = self.tape.ops
        for index in range(self.done, len(ops)):
            for storage in ops[index].saved:
                self.savers.setdefault(storage, index)
        self.done = len(ops)
        before, last = self.begins(at - size), self.begins(at)
        new, old = self._new(at, size, last, len(ops)), self._new(at - size, size, before, last)
        older = self._new(at - 2 * size, size, self.begins(at - 2 * size), before)
        now = self._state(at, size, last, len(ops), new, old)
        return now == self._state(at - size, size, before, last, old, older)

    def _new(self, at: int, size: int, first: int, stop: int) -> dict[Storage, int]:
        """Return the memory that a turn made, by the order in which it came."""
        numbers = range(max(at, 0), at + size)
        outside = {self.made[read].storage for n in numbers for read in self.reads[n] if read < at}
        found: dict[Storage, int] = {}
        for op in self.tape.ops[first:stop]:
            for storage in (*[one.storage for one in op.inputs], *op.held, op.output.storage):
                if storage not in outside and not storage.own:
                    found.setdefault(storage, len(found))
        return found

    def _state(
        self,
        at: int,
        size: int,
        first: int,
        stop: int,
        new: Mapping[Storage, int],
        old: Mapping[Storage, int],
    ) -> object:
        def memory(storage: Storage) -> object:
            if storage in new:
                return "here", new[storage]
            return ("before", old[storage]) if storage in old else id(storage)

        tensors = [
            (one.shape, one.strides, one.width, one.needs_grad, memory(one.storage),
             one.storage.size, self.savers.get(one.storage, stop) < stop)
            for one in self.made[at : at + size]
        ]  # fmt: skip
        kept = [
            (memory(storage), storage.size)
            for index in range(first, stop)
            for storage in dict.fromkeys(self.tape.ops[index].saved)
            if not storage.own and self.savers[storage] == index
        ]
        further = [
            (begin - first, end - first, more)
            for begin, end, more in self.tape.further
            if first <= begin < stop
        ]
        return tensors, kept, further, stop - first


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
        return self._take_down(at_once=False)

    def _take_down(self, at_once: bool) -> Autograd | str:
        try:
            batch, again = self.options.batch, self.options.checkpoint
            return taken_down(self.checked, self.width, batch, True, self.frozen, again, at_once)
        except LayerError as error:
            return str(error)
        except FormulaError:
            return "it depends on the free sizes in too intricate a way"

    @cached_property
    def _alone(self) -> Autograd | str:
        """What tells no more than what is kept; mostly nobody asks for more."""
        return self._found if self.shown else self._take_down(at_once=True)

    @property
    def unknown(self) -> str:
        """Why nothing is known, or ""."""
        return self._alone if isinstance(self._alone, str) else ""

    @property
    def note(self) -> str:
        """What to know of what is kept, or ""."""
        return "" if isinstance(self._alone, str) else "; ".join(self._alone.notes)

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
        if isinstance(self._alone, str):
            return None
        try:
            if self.options.checkpoint:
                return total([size for size, _ in self._kept.values()])
            return total(self._alone.kept_sizes())
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
        if isinstance(self._alone, str) or not self._alone.asked or self.options.checkpoint:
            return None
        batch, frozen = self.options.batch, self.frozen
        plain = taken_down(self.checked, self.width, batch, False, frozen, at_once=True)
        return total(plain.kept_sizes())

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
        # of the optimizer too: it is a step after the first, so its state is there from the start
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

    def of(self, numbers: Iterable[int]) -> Step:
        """Return what some nodes take together."""
        found = Step()
        for number in numbers:
            if step := self.nodes.get(number):
                found = found + step
        return found
