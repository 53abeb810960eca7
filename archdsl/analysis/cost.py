"""What a network costs in parameters and arithmetic, node by node and in total."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set

from archdsl.graph import CheckedGraph, Later, Node, tally
from archdsl.layers.base import Facts, Shape, numel
from archdsl.layers.sizes import Size, total
from archdsl.records import Record


class Cost(Record):
    """What one node costs for one sample.

    Attributes:
        parameters: how many numbers it learns; 0 where it applies the module of another node
            again, since they are counted there.
        buffers: how many numbers it stores in the state_dict without learning them.
        macs: multiply-accumulates of convolutions, linear layers and matrix products.
        other: arithmetic operations beyond those, by heading.
        frozen: how many of the parameters are kept from learning.
    """

    parameters: Size
    buffers: Size
    macs: Size
    other: Mapping[str, Size]
    frozen: Size = 0


class Parameters(Record):
    """Numbers of parameters.

    `inference` leaves out the modules that only training-only outputs use; `trainable` and
    `frozen` make up `total`.
    """

    total: Size
    trainable: Size
    inference: Size
    frozen: Size = 0


class Usage(Record):
    """The same figure at inference, and in training, where training-only nodes run as well."""

    inference: Size
    training: Size


class CostTable(Record):
    """The costs of a network.

    Attributes:
        nodes: by name, in the order of the graph, the inputs among them.
        frozen: parameters that are kept from learning.
        buffers: of the whole network, and of what inference needs.
        macs: for one sample, forward only. What is applied several times counts each time.
        other: the same for other operations, by heading.
    """

    nodes: Mapping[str, Cost]
    parameters: Parameters
    frozen: Usage
    buffers: Usage
    macs: Usage
    other: Mapping[str, Usage]


class Totals(Record):
    """The parameters of a network, and its multiply-accumulates for one sample."""

    parameters: Parameters
    macs: Usage


def cost(checked: CheckedGraph, frozen: Set[str] = frozenset()) -> CostTable:
    """Count parameters, multiply-accumulates and other operations of every node.

    Args:
        frozen: names of the parameters that are kept from learning, as in the state_dict.

    Raises:
        FormulaError: a total depends on free sizes in too intricate a way to write it down.
    """
    whole = totals(checked)
    kept: list[tuple[int, Size]] = []
    if frozen:
        for number, node in enumerate(checked.nodes.values()):
            if (held := _of(node, frozen).frozen) != 0:
                kept.append((number, held))
    idle = _idle(checked)
    frozen_inference = total([size for number, size in kept if number not in idle])
    frozen_all = total([size for _, size in kept])
    learned = whole.parameters
    return CostTable(
        nodes=Later(lambda: _by_name(checked, frozen)),
        parameters=learned._replace(trainable=learned.total - frozen_all, frozen=frozen_all),
        frozen=Usage(frozen_inference, frozen_all),
        buffers=_kept(checked, idle, lambda facts: facts.buffers),
        macs=whole.macs,
        other=_headings(checked),
    )


def totals(checked: CheckedGraph) -> Totals:
    """Return the totals of `cost` without the costs of each node.

    Raises:
        FormulaError: a total depends on free sizes in too intricate a way to write it down.
    """
    learned = _kept(checked, _idle(checked), lambda facts: facts.params)
    macs = _computed(checked, lambda facts: facts.macs)
    return Totals(Parameters(learned.training, learned.training, learned.inference), macs)


def _tally(checked: CheckedGraph, numbers: Iterable[int]) -> Sequence[tuple[Facts, int]]:
    """Return how often facts come among some nodes."""
    facts = checked.arrays.facts
    return tally([facts[number] for number in numbers])


def _idle(checked: CheckedGraph) -> frozenset[int]:
    """Return the nodes whose own modules no other than training-only nodes apply."""
    aside, shares = checked.aside, checked.arrays.shares
    if not aside:
        return aside
    # what training alone applies first may be applied again at inference, which needs it then
    return aside - {owner for number, owner in shares.items() if number not in aside}


def _kept(
    checked: CheckedGraph, idle: frozenset[int], held: Callable[[Facts], Mapping[str, Shape]]
) -> Usage:
    """Count the numbers of parameters or buffers, each where its module is first applied."""
    shares = checked.arrays.shares

    def numbers(of_facts: Sequence[tuple[Facts, int]]) -> Size:
        times: Counter[Shape] = Counter()  # shapes are few, and products of formulas take long
        for facts, often in of_facts:
            for shape in held(facts).values():
                times[shape] += often
        return total([often * numel(shape) for shape, often in times.items()])

    # `reuse` applies a module again, whose parameters are there once
    again = numbers(_tally(checked, shares)) if shares else 0
    training = numbers(checked.tally) - again
    unused = [number for number in idle if number not in shares]
    return Usage(training - numbers(_tally(checked, unused)), training)


def _computed(checked: CheckedGraph, of: Callable[[Facts], Size]) -> Usage:
    """Add up what nodes compute, each time that they do."""

    def numbers(of_facts: Sequence[tuple[Facts, int]]) -> Size:
        return total([often * size for facts, often in of_facts if (size := of(facts)) != 0])

    training = numbers(checked.tally)
    return Usage(training - numbers(_tally(checked, checked.aside)), training)


def in_state(node: Node, tensors: Mapping[str, Shape]) -> dict[str, Shape]:
    """Return a node's parameters or buffers by their names in the state_dict.

    There are none where it applies the module of another node.
    """
    if node.shares:
        return {}
    return {f"{node.name}.{name}" if name else node.name: tensors[name] for name in tensors}


def _by_name(checked: CheckedGraph, frozen: Set[str]) -> Mapping[str, Cost]:
    if frozen:
        return {name: _of(node, frozen) for name, node in checked.nodes.items()}
    each = each_cost(checked)
    return {name: each(number) for number, name in enumerate(checked.names)}


def each_cost(checked: CheckedGraph) -> Callable[[int], Cost]:
    """Return what gives the cost of a node, by its number, where nothing is frozen."""
    facts, shares = checked.arrays.facts, checked.arrays.shares
    known: dict[tuple[int, bool], Cost] = {}  # nodes whose facts are one object share their costs

    def each(number: int) -> Cost:
        key = id(facts[number]), number in shares
        if (found := known.get(key)) is None:
            found = known[key] = _cost(facts[number], number in shares)
        return found

    return each


def _of(node: Node, frozen: Set[str]) -> Cost:
    found = _cost(node.facts, node.shares != "")
    if node.shares or not node.facts.params:
        return found
    named = in_state(node, node.facts.params)
    return found._replace(
        frozen=_numbers({name: shape for name, shape in named.items() if name in frozen})
    )


def _cost(facts: Facts, shared: bool) -> Cost:
    # what it computes it computes again, and what it holds is counted with its owner
    if shared:
        return Cost(0, 0, facts.macs, facts.other)
    return Cost(_numbers(facts.params), _numbers(facts.buffers), facts.macs, facts.other)


def _numbers(tensors: Mapping[str, Shape]) -> Size:
    return total(map(numel, tensors.values())) if tensors else 0


def _headings(checked: CheckedGraph) -> Mapping[str, Usage]:
    """Add up other operations, by heading."""
    found: dict[str, list[Size]] = {}
    aside: dict[str, list[Size]] = {}
    pairs = (found, checked.tally), (aside, _tally(checked, checked.aside))
    for into, of_facts in pairs:
        for facts, often in of_facts:
            for heading, operations in facts.other.items():
                into.setdefault(heading, []).append(often * operations)
    usages: dict[str, Usage] = {}
    for heading in sorted(found):
        training = total(found[heading])
        usages[heading] = Usage(training - total(aside.get(heading, ())), training)
    return usages
