"""Finds the scopes that layers stand in, by their names: `conv2_block1_1_conv` stands in a block.

Names that Keras makes of a class (`conv2d_5`) tell nothing. Such a layer stands where those are
that it follows; and a convolution with its normalization and activation is a scope of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from archdsl.importing.keras.models import Ref, Use
from archdsl.importing.keras.parsing import snake
from archdsl.importing.naming import fresh_in
from archdsl.importing.ordering import Scopes, by_scopes

DEEPEST = 8  # scopes in each other
ROUNDS = 12  # in which scopes are given up that don't stand together
NUMBERED = re.compile(r"\d[a-z]?$")
SUMS = ("Add", "Multiply")
ACTIVATIONS = ("Activation", "ReLU", "LeakyReLU", "ELU", "PReLU", "Softmax")


@dataclass(eq=False)
class Leaf:
    """A layer where it is called, and by which label."""

    use: Use
    label: str


@dataclass(eq=False)
class Part:
    """Layers in a row that stand in the same scope.

    Attributes:
        reads, gives: tensors that go in and out.
    """

    label: str
    kind: str
    steps: list[Step] = field(default_factory=list)
    module: Any = None
    reads: list[Ref] = field(default_factory=list)
    gives: list[Ref] = field(default_factory=list)


Step = Leaf | Part


@dataclass(eq=False)
class Place:
    """The scopes of a layer, outermost first, and its label in them."""

    scopes: Scopes
    label: str
    bare: bool = False  # whether the label says nothing but the class of the layer
    made: bool = False  # whether the name tells nothing of the scopes


def planned(uses: Sequence[Use], outputs: Sequence[Ref]) -> list[Step]:
    """Return the calls of a model in their scopes, in an order in which they can be computed."""
    calls = [use for use in in_branches(uses, outputs) if use.layer.kind != "InputLayer"]
    makers = {(use.layer.name, use.number): place for place, use in enumerate(calls)}
    waits = [
        {makers[key] for ref in use.reads if (key := (ref.layer, ref.call)) in makers}
        for use in calls
    ]
    readers: list[list[int]] = [[] for _ in calls]
    for number, others in enumerate(waits):
        for other in sorted(others):
            readers[other].append(number)
    places = placed(calls, waits, readers)
    order: list[int] = []
    for _ in range(ROUNDS):
        order = [*by_scopes(waits, [place.scopes for place in places])]
        lost = apart([places[one].scopes for one in order])
        if not lost:
            break
        for place in places:
            place.scopes, place.label, place.bare = without(place, lost)
    steps = nested([(calls[one], places[one]) for one in order])
    for part in parts_in(steps):
        bounds(part, readers, makers, calls, {*outputs})
    return steps


# --- names ----------------------------------------------------------------------------------------


def tokens(name: str) -> list[str]:
    """Return the parts of a name; a number belongs to the word before it, or else behind it."""
    found: list[str] = []
    number = ""
    for part in filter(None, re.split(r"[^A-Za-z0-9]+", name)):
        if not part.isdigit():
            found.append(part + number)
            number = ""
        elif found and not number and not NUMBERED.search(found[-1]):
            found[-1] += f"_{part}"
        else:
            if number:
                found.append(number)
            number = part
    return [*found, number] if number else found


def is_made(use: Use) -> bool:
    """Tell whether Keras made the name of a layer of its class."""
    name = use.layer.name
    return re.sub(r"_\d+$", "", name) in (snake(use.layer.kind), use.layer.kind.lower())


def placed(
    calls: Sequence[Use], waits: Sequence[set[int]], readers: Sequence[Sequence[int]]
) -> list[Place]:
    """Return where each call stands by the names."""
    made = [is_made(use) or use.layer.model is not None for use in calls]
    words = [
        [] if made[n] else tokens(use.layer.name)[: DEEPEST + 1] for n, use in enumerate(calls)
    ]
    held: dict[Scopes, int] = {}
    for one in words:
        for depth in range(1, len(one) + 1):
            held[tuple(one[:depth])] = held.get(tuple(one[:depth]), 0) + 1
    places: list[Place] = []
    for use, one in zip(calls, words, strict=True):
        scopes: list[str] = []
        before = ""
        rest: list[str] = []
        for depth, word in enumerate(one, 1):
            joined = f"{before}_{word}" if before else word
            if re.search(r"\d", word) and held[tuple(one[:depth])] > 1:
                scopes.append(joined)
                before = ""
                rest = []
            else:
                before = joined
                rest.append(word)
        bare = bool(one) and not rest
        label = (
            snake(use.layer.kind) if bare else "_".join(rest) or use.layer.name.replace(".", "_")
        )
        places.append(Place(tuple(scopes), label, bare, not one))
    adopt(calls, waits, readers, places, made)
    group(calls, readers, places, made)
    return places


def adopt(
    calls: Sequence[Use],
    waits: Sequence[set[int]],
    readers: Sequence[Sequence[int]],
    places: Sequence[Place],
    made: Sequence[bool],
) -> None:
    """Let layers whose names tell nothing stand where those are that are around them."""
    before: list[Scopes] = []
    for number in range(len(calls)):
        given = [before[one] for one in sorted(waits[number])]
        before.append(common(given) if made[number] else places[number].scopes)
    behind: list[Scopes] = [()] * len(calls)
    for number in reversed(range(len(calls))):
        given = [behind[one] for one in readers[number]]
        behind[number] = common(given) if made[number] else places[number].scopes
    for number, use in enumerate(calls):
        if not made[number]:
            continue
        follows = use.layer.kind in ACTIVATIONS and len(waits[number]) == 1
        scopes = before[number] if follows else common([before[number], behind[number]])
        places[number].scopes = scopes


def common(given: Sequence[Scopes]) -> Scopes:
    """Return the scopes that hold all of some."""
    if not given:
        return ()
    found = given[0]
    for one in given[1:]:
        length = 0
        while length < min(len(found), len(one)) and found[length] == one[length]:
            length += 1
        found = found[:length]
    return found


def group(
    calls: Sequence[Use],
    readers: Sequence[Sequence[int]],
    places: Sequence[Place],
    made: Sequence[bool],
) -> None:
    """Put convolutions with their normalization and activation into scopes of their own."""
    for number, use in enumerate(calls):
        kind = use.layer.kind
        chain = [number] if made[number] and ("Conv" in kind or kind == "Dense") else []
        for wanted in (("BatchNormalization",), ACTIVATIONS):
            after = readers[chain[-1]] if chain else ()
            if len(after) == 1 and made[after[0]] and calls[after[0]].layer.kind in wanted:
                chain.append(after[0])
            else:
                break
        if len(chain) == 3:
            scopes = (*common([places[one].scopes for one in chain]), use.layer.name)
            for one, label in zip(chain, ("conv", "norm", "activation"), strict=True):
                places[one].scopes, places[one].label = scopes, label


# --- order ----------------------------------------------------------------------------------------


def in_branches(uses: Sequence[Use], outputs: Sequence[Ref]) -> list[Use]:
    """Return calls as a text has them: a branch to its end before the next, the longest of a sum
    first."""
    by = {(use.layer.name, use.number): use for use in uses}
    depth: dict[Use, int] = {}
    for use in uses:  # each comes after those that it reads
        reads = [by[ref.layer, ref.call] for ref in use.reads]
        depth[use] = 1 + max((depth[one] for one in reads), default=0)
    found: dict[Use, None] = {}
    todo = [(by[ref.layer, ref.call], False) for ref in reversed(outputs)]
    while todo:
        use, ready = todo.pop()
        if use in found:
            continue
        if ready:
            found[use] = None
            continue
        todo.append((use, True))
        reads = [by[ref.layer, ref.call] for ref in use.reads]
        if use.layer.kind in SUMS:
            reads.sort(key=lambda one: -depth[one])
        todo += [(one, False) for one in reversed(reads) if one not in found]
    return [*found]


def apart(order: Sequence[Scopes]) -> set[Scopes]:
    """Return the scopes that are left and come again."""
    seen: set[Scopes] = set()
    lost: set[Scopes] = set()
    here: Scopes = ()
    for scopes in order:
        shared = len(common([here, scopes]))
        for depth in range(shared + 1, len(scopes) + 1):
            (lost if scopes[:depth] in seen else seen).add(scopes[:depth])
        here = scopes
    return lost


def without(place: Place, lost: set[Scopes]) -> tuple[Scopes, str, bool]:
    """Return scopes and label without scopes that are given up: what they hold is called after."""
    kept: list[str] = []
    rest = ""
    for depth, one in enumerate(place.scopes, 1):
        joined = f"{rest}_{one}" if rest else one
        if place.scopes[:depth] in lost:
            rest = "" if place.made else joined
        else:
            kept.append(joined)
            rest = ""
    if not rest:
        return tuple(kept), place.label, place.bare
    return tuple(kept), rest if place.bare else f"{rest}_{place.label}", False


# --- scopes ---------------------------------------------------------------------------------------


def nested(calls: Sequence[tuple[Use, Place]]) -> list[Step]:
    """Put calls in a row into the scopes that hold them."""
    root = Part("", "")
    stack = [root]
    names: list[str] = []
    taken: dict[Part, set[str]] = {root: set()}
    for use, place in calls:
        depth = len(common([tuple(names), place.scopes]))
        del stack[depth + 1 :], names[depth:]
        for label in place.scopes[depth:]:
            part = Part(fresh_in(label, taken[stack[-1]]), kind_of(label))
            taken[part] = set()
            stack[-1].steps.append(part)
            stack.append(part)
            names.append(label)
        stack[-1].steps.append(Leaf(use, place.label))
    return without_single(root.steps)


def without_single(steps: Sequence[Step]) -> list[Step]:
    """Let a scope that holds one thing be that thing, with both names."""
    found: list[Step] = []
    for one in steps:
        if isinstance(one, Part):
            one.steps = without_single(one.steps)
            if len(one.steps) == 1:
                (inner,) = one.steps
                bare = isinstance(inner, Leaf) and inner.label == snake(inner.use.layer.kind)
                inner.label = one.label if bare else f"{one.label}_{inner.label}"
                one = inner
        found.append(one)
    return found


def kind_of(label: str) -> str:
    """Return a class for a scope: its name without numbers."""
    stem = re.sub(r"[^A-Za-z0-9]+", "_", label)
    parts = [re.sub(r"\d+[a-z]?$", "", part) for part in stem.split("_")]
    name = "".join(part[0].upper() + part[1:] for part in parts if part and not part.isdigit())
    return name if name and not name[0].isdigit() else "Block"


def parts_in(steps: Sequence[Step]) -> list[Part]:
    """Return the scopes in steps, with those in them."""
    found: list[Part] = []
    for one in steps:
        if isinstance(one, Part):
            found += [one, *parts_in(one.steps)]
    return found


def calls_in(steps: Sequence[Step]) -> list[Use]:
    """Return the calls in steps, with those in their scopes."""
    found: list[Use] = []
    for one in steps:
        found += [one.use] if isinstance(one, Leaf) else calls_in(one.steps)
    return found


def bounds(
    part: Part,
    readers: Sequence[Sequence[int]],
    makers: Mapping[tuple[str, int], int],
    calls: Sequence[Use],
    outputs: set[Ref],
) -> None:
    """Find what goes into a scope, and what comes out of it."""
    inside = calls_in(part.steps)
    keys = {(use.layer.name, use.number) for use in inside}
    reads = dict.fromkeys(ref for use in inside for ref in use.reads)
    part.reads = [ref for ref in reads if (ref.layer, ref.call) not in keys]
    wanted = dict.fromkeys(ref for ref in outputs if (ref.layer, ref.call) in keys)
    for key in keys:
        for reader in readers[makers[key]]:
            use = calls[reader]
            if (use.layer.name, use.number) not in keys:
                wanted.update((ref, None) for ref in use.reads if (ref.layer, ref.call) == key)
    part.gives = sorted(wanted)
