"""Names for the tensors of a forward pass.

What flows is `x`, as in hand-written modules. A branch is called after the labels of its stages
(`branch5x5_1` and `branch5x5_2` give `branch5x5`), and so is a tensor that is read several times.
A variable is used again once the tensor that it held is not needed any more.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

from archdsl.backends.python_source.names import countable, variable
from archdsl.backends.python_source.uses import Action

FLOW = ("x", "out", "y", "z")
BRANCH = ("out", "y", "z", "x")  # what goes beside the flow and has no label
SHORTEST_PREFIX = 3
FEWEST_ALIKE = 4


@dataclass(slots=True)
class Chain:
    """Tensors of which each is computed from the one before alone, so that they share a name."""

    tensors: list[int]
    start: int  # the action that gives the first of them; -1 for what comes in
    aside: bool = False  # whether it begins with a tensor that others read as well


@dataclass(slots=True)
class Tensors:
    """The tensors of a forward pass.

    Attributes:
        names: the variable that holds it, or the expression for one that the module owns.
        stems: what labels have in common that differ but in the number at their end, where many
            do and each tensor is gone before the next one comes.
        chain: of each tensor the number of its chain.
        readers: of each tensor how many actions read it.
        plain_readers: how many of them are not for training alone.
        before: the tensor in the chain from which it is computed.
        labels: what the spec calls it, or "".
        last_use: the action that reads it last, else the one that gives it.
        owned: those that belong to the module.
        chain_sizes: how many tensors each chain has.
        long_chains: how many chains have several.
        holders: by name of a variable, the last tensor that it was given.
        searched: by the stem of numbered variables, up to which number all are taken, and by
            which action the first of them is free again.
    """

    names: dict[int, str]
    chain: dict[int, int]
    stems: frozenset[str]
    readers: dict[int, int]
    plain_readers: dict[int, int]
    before: dict[int, int]
    labels: dict[int, str]
    last_use: dict[int, int]
    owned: frozenset[int]
    chain_sizes: dict[int, int] = field(default_factory=dict)
    long_chains: int = 0
    holders: dict[str, int] = field(default_factory=dict)
    searched: dict[str, tuple[int, float]] = field(default_factory=dict)

    def is_free(self, name: str, at: int) -> bool:
        """Tell whether a variable may be written by an action: what it held isn't read later."""
        holder = self.holders.get(name)
        return holder is None or self.last_use.get(holder, -1) <= at

    def hold(self, name: str, tensor: int) -> None:
        """Give a tensor its name."""
        self.names[tensor] = name
        self.holders[name] = tensor


def is_owned(action: Action) -> bool:
    """Tell whether an action only reads a tensor of the module: then it needs no variable."""
    return action.parts == ("{tensor}",)


def name_tensors(
    parameters: Sequence[str],
    actions: Sequence[Action],
    outputs: Mapping[int, str],
    modules: Sequence[str],
    reserved: frozenset[str],
    flows: bool,
    fewest_alike: int = FEWEST_ALIKE,
) -> Tensors:
    """Name the tensors of a forward pass.

    `parameters` are the names of those that come in; `outputs` are those that go out, with the
    names of network outputs. `modules` are the names of what the actions call. `flows` says
    whether what comes in may be written over. So many labels that differ in a number alone, and
    one of which is needed at a time, give one name.
    """
    tensors = _read(len(parameters), actions, outputs)
    chains = _chains(len(parameters), actions, tensors, outputs, flows)
    tensors.chain_sizes = {number: len(chain.tensors) for number, chain in enumerate(chains)}
    tensors.stems = _stems(chains, tensors, fewest_alike)
    tensors.long_chains = sum(len(chain.tensors) > 1 for chain in chains)
    for number, name in enumerate(parameters):
        tensors.hold(name, number)
    given = set(map(variable, outputs.values()))
    for at, action in enumerate(actions):
        several = len(action.outputs) > 1
        for tensor in action.outputs:
            if tensor not in tensors.owned:
                chain = chains[tensors.chain[tensor]]
                wanted = _wanted(chain, tensor, several, tensors, outputs)
                others = _fallbacks(chain, actions, modules, tensors, outputs)
                wanted += [name for name in others if name not in given] or ["x1"]
                tensors.hold(_free(wanted, at, tensors, reserved), tensor)
    return tensors


def _read(count: int, actions: Sequence[Action], outputs: Mapping[int, str]) -> Tensors:
    readers: dict[int, int] = dict.fromkeys(range(count), 0)
    plain = dict(readers)
    last_use: dict[int, int] = dict.fromkeys(range(count), -1)
    owned: set[int] = set()
    for at, action in enumerate(actions):
        for tensor in dict.fromkeys(action.inputs):
            readers[tensor] += 1
            plain[tensor] += not action.training_only
            last_use[tensor] = at
        readers |= dict.fromkeys(action.outputs, 0)
        plain |= dict.fromkeys(action.outputs, 0)
        last_use |= dict.fromkeys(action.outputs, at)
        if is_owned(action):
            owned |= set(action.outputs)
    for tensor in outputs:
        last_use[tensor] = len(actions)
    labels = {
        tensor: label
        for action in actions
        for tensor, label in zip(action.outputs, action.names, strict=True)
    }
    return Tensors({}, {}, frozenset(), readers, plain, {}, labels, last_use, frozenset(owned))


def _chains(
    count: int,
    actions: Sequence[Action],
    tensors: Tensors,
    outputs: Mapping[int, str],
    flows: bool,
) -> list[Chain]:
    """Put the tensors together that can share a name."""
    chains: list[Chain] = []
    several: set[int] = set()  # those that come several at once have each a name of its own
    for number in range(count):
        tensors.chain[number] = len(chains)
        chains.append(Chain([number], -1))
    for at, action in enumerate(actions):
        read = [t for t in dict.fromkeys(action.inputs) if t not in tensors.owned]
        before = read[0] if len(read) == 1 and len(action.outputs) == 1 else -1
        goes_on = (
            before >= (0 if flows else count)
            and tensors.plain_readers[before] == (not action.training_only)
            and tensors.last_use[before] == at
            and before not in several
        )
        for tensor in action.outputs:
            if goes_on:
                tensors.before[tensor] = before
                tensors.chain[tensor] = tensors.chain[before]
                chains[tensors.chain[tensor]].tensors.append(tensor)
            else:
                several |= set(action.outputs) if len(action.outputs) > 1 else set()
                tensors.chain[tensor] = len(chains)
                aside = len(read) == 1 and tensors.readers[read[0]] > 1
                chains.append(Chain([tensor], at, aside))
    return chains


def _stems(chains: Sequence[Chain], tensors: Tensors, fewest: int) -> frozenset[str]:
    """Return what those labels have in common of whose tensors each comes when the last is gone."""
    labels = [label for label in tensors.labels.values() if label]
    many = Counter(_unnumbered(label) for label in labels)
    last_use: dict[str, int] = {}
    together: set[str] = set()
    for chain in chains:
        named = [label for tensor in chain.tensors if (label := tensors.labels.get(tensor))]
        if len(named) != 1:
            continue
        stem = _unnumbered(named[0])
        if last_use.get(stem, -1) > chain.start:
            together.add(stem)
        last_use[stem] = tensors.last_use[chain.tensors[-1]]
    return frozenset(stem for stem in last_use if many[stem] >= fewest and stem not in together)


def _unnumbered(label: str) -> str:
    """Return a label less the digits at its end; `numbered` keeps zeros in front of a number."""
    return label.rstrip("0123456789")


def _wanted(
    chain: Chain, tensor: int, several: bool, tensors: Tensors, outputs: Mapping[int, str]
) -> list[str]:
    """Return what a tensor should be called, the best first."""
    wanted: list[str] = []
    end = chain.tensors[-1]
    label = variable(tensors.labels[tensor])
    if outputs.get(tensor):
        wanted.append(variable(outputs[tensor]))
    if several:
        wanted.append(label)
    if chain.aside and len(chain.tensors) > 1 and end not in outputs:
        wanted.append(_branch_name(chain, tensors))
    if tensor == end and tensors.readers[end] > 1 and end not in outputs:
        wanted.append(label)
    if tensor in tensors.before:
        wanted.append(tensors.names[tensors.before[tensor]])
    elif _is_branch(chain, tensors, outputs):
        wanted.append(_branch_name(chain, tensors))
    return [name for name in wanted if name]


def _is_branch(chain: Chain, tensors: Tensors, outputs: Mapping[int, str]) -> bool:
    """Tell whether the last tensor of a chain goes into a merge and nowhere else."""
    end = chain.tensors[-1]
    return tensors.readers[end] == 1 and end not in outputs


def _fallbacks(
    chain: Chain,
    actions: Sequence[Action],
    modules: Sequence[str],
    tensors: Tensors,
    outputs: Mapping[int, str],
) -> list[str]:
    """Return names for what has no label."""
    if not _is_branch(chain, tensors, outputs) or chain.start < 0:
        return list(FLOW)
    first = actions[chain.start]
    if len(first.inputs) > 1:  # a merge within a branch: what the merged have in common
        operands = [tensors.names.get(tensor, "") for tensor in first.inputs]
        return [name for name in (_stem(operands), *FLOW) if name]
    if not chain.aside:
        return list(FLOW)
    alone = variable(modules[chain.start]) if len(chain.tensors) == 1 else ""
    return [name for name in (alone, *BRANCH) if name]


def _free(wanted: Sequence[str], at: int, tensors: Tensors, reserved: frozenset[str]) -> str:
    """Return the first name that an action may write to."""
    for name in wanted:
        if name not in reserved and tensors.is_free(name, at):
            return name
    stem = countable(wanted[0])
    number, until = tensors.searched.get(stem, (2, inf))
    if at >= until:
        number, until = 2, inf
    while (name := f"{stem}{number}") in reserved or not tensors.is_free(name, at):
        if name not in reserved:
            until = min(until, tensors.last_use[tensors.holders[name]])
        number += 1
    tensors.searched[stem] = number, until
    return name


def _branch_name(chain: Chain, tensors: Tensors) -> str:
    """Return what the labels of a branch have in common, or its only label."""
    labels = [label for tensor in chain.tensors if variable(label := tensors.labels[tensor])]
    if len(labels) != 1:
        return _stem(labels)
    # in a long row of branches that go one by one, all have the same name
    stem, gone = _unnumbered(labels[0]), tensors.readers[chain.tensors[-1]] <= 1
    return variable(stem if gone and stem in tensors.stems else labels[0]) or variable(labels[0])


def _stem(names: Sequence[str]) -> str:
    """Return what names have in common, less the number after it: `branch5x5` of `branch5x5_1`."""
    stem = re.sub(r"_\d*$", "", _common_prefix(names))
    return variable(stem) if len(stem) >= SHORTEST_PREFIX else ""


def _common_prefix(labels: Sequence[str]) -> str:
    """Return what all labels begin with."""
    first, last = min(labels, default=""), max(labels, default="")
    same = (at for at in range(len(first)) if first[at] != last[at])
    return first[: next(same, len(first))]
