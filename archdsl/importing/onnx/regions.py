"""Finds structures that come several times in a file whose names tell of no scopes.

A region is what lies between a tensor and a node that joins several ways from it, as a residual
branch with its sum, or a gate with its product; nothing in it is read from outside. Regions of the
same structure are uses of one block, wherever they stand and whatever their widths are. Which
structure is the same: the operators in order, and how they are joined; of sums, those on the
longest way alone, since the shortcut is often missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from archdsl.importing.naming import fresh_in
from archdsl.importing.onnx.reading import OnnxFile, OnnxNode, tells_apart

MOST = 300  # nodes in a region
LEAST = 3
LONGEST_CHAIN = 12
NOWHERE = -1  # in the place of a node, where several inputs come together
SUMS = ("Add", "Sum")
ATTENTION = "archdsl.Attention"
ACTIVATIONS = (
    "Relu", "Clip", "LeakyRelu", "PRelu", "Elu", "Selu", "Sigmoid", "HardSigmoid", "HardSwish",
    "Tanh", "Gelu", "Mish", "Softplus", "archdsl.SiLU",
)  # fmt: skip
MAPS = ("MatMul", "Gemm", "Conv")
NUMBER_BY_NUMBER = (
    *ACTIVATIONS, "Add", "Sub", "Mul", "Div", "Pow", "Sqrt", "Erf", "Exp", "Log", "Neg", "Abs",
)  # fmt: skip
# what a region goes on with where all of its kind do
BEHIND = {ATTENTION: ("Transpose", "Reshape", *MAPS, "Add")}
Scopes = tuple[str, ...]


class Place(Protocol):
    """Where a node stands: in which scopes, outermost first, and under which label."""

    scopes: Scopes
    label: str


@dataclass(eq=False)
class Region:
    """Nodes by their numbers, in order, and the one that they start from."""

    entry: int
    nodes: list[int]
    join: str  # the operator of the node that joins, "" of a chain
    way: list[int] = field(default_factory=list)  # the longest one

    @property
    def exit(self) -> int:
        return self.nodes[-1]


class Wiring:
    """Which node reads which: what is known before is no node here.

    Attributes:
        before, after: of each node, those whose results it reads in order, and those that read its.
        above: the nearest node that all ways to a node go through.
    """

    def __init__(self, file: OnnxFile, known: set[OnnxNode]) -> None:
        self.file = file
        self.nodes = [node for node in file.nodes if node not in known]
        count = len(self.nodes)
        makers = {name: n for n, node in enumerate(self.nodes) for name in node.outputs if name}
        makers |= {one.name: count + n for n, one in enumerate(file.inputs)}
        self.before = [
            [makers[name] for name in node.inputs if name in makers] for node in self.nodes
        ]
        self.after: list[list[int]] = [[] for _ in range(count + len(file.inputs))]
        for number, others in enumerate(self.before):
            for other in dict.fromkeys(others):
                self.after[other].append(number)
        self.ends = {makers[name] for name in file.outputs if name in makers}
        self.above: dict[int, int] = {count + n: NOWHERE for n in range(len(file.inputs))}
        self.depth: dict[int, int] = {NOWHERE: 0} | dict.fromkeys(self.above, 1)
        for number, others in enumerate(self.before):
            joint = self.joint(others)
            self.above[number], self.depth[number] = joint, self.depth[joint] + 1

    def joint(self, numbers: Sequence[int]) -> int:
        """Return the nearest node that all ways to some go through."""
        found = numbers[0] if numbers else NOWHERE
        for other in numbers[1:]:
            while other != found:
                if self.depth[other] >= self.depth[found]:
                    other = self.above[other]
                else:
                    found = self.above[found]
        return found

    def next(self, number: int) -> int | None:
        """Return the only node that reads one and reads nothing else, if there is such a one."""
        if number in self.ends or len(self.after[number]) != 1:
            return None
        (found,) = self.after[number]
        return found if {*self.before[found]} == {number} else None

    # --- regions --------------------------------------------------------------------------------

    def regions(self) -> Iterator[Region]:
        """Yield the regions that end at nodes which join several ways."""
        for number, others in enumerate(self.before):
            if len({*others}) > 1:
                found = self.region(number)
                if found is not None and len(found.nodes) >= LEAST:
                    yield found

    def region(self, join: int) -> Region | None:
        """Return what ends at a node and starts at one that all ways to it go through."""
        entry = self.above[join]
        parted = []
        # the parts of a tensor begin with the node that parts it
        while 0 <= entry < len(self.nodes) and len(self.nodes[entry].outputs) > 1:
            parted.append(entry)
            entry = self.above[entry]
        if entry == NOWHERE:
            return None
        inside, todo = {join, *parted}, [*self.before[join], *(self.above[p] for p in parted)]
        while todo:
            one = todo.pop()
            if one == entry or one in inside:
                continue
            if len(inside) >= MOST or one >= len(self.nodes):
                return None
            inside.add(one)
            todo += self.before[one]
        for one in inside - {join}:
            if one in self.ends or any(reader not in inside for reader in self.after[one]):
                return None
        nodes = sorted(inside)
        return Region(entry, nodes, self.nodes[join].op, self.longest(nodes))

    def longest(self, nodes: Sequence[int]) -> list[int]:
        """Return the longest way through nodes to the last of them."""
        inside = {*nodes}
        length: dict[int, int] = {}
        from_: dict[int, int | None] = {}
        for one in nodes:
            best = max(
                (other for other in self.before[one] if other in inside),
                key=lambda other: length[other],
                default=None,
            )
            from_[one], length[one] = best, 1 + (length[best] if best is not None else 0)
        way: list[int] = []
        at: int | None = nodes[-1]
        while at is not None:
            way.append(at)
            at = from_[at]
        return way[::-1]

    def chains(self) -> Iterator[Region]:
        """Yield convolutions with their normalization and activation."""
        for number, node in enumerate(self.nodes):
            norm = self.next(number) if node.op == "Conv" else None
            if norm is not None and self.nodes[norm].op == "BatchNormalization":
                last = self.next(norm)
                if last is not None and self.nodes[last].op in ACTIVATIONS:
                    nodes = [number, norm, last]
                    yield Region(self.before[number][0], nodes, "", nodes)

    # --- kinds ----------------------------------------------------------------------------------

    def structure(self, one: Region) -> Any:
        """Return what regions have in common that may be uses of one block."""
        if one.join in SUMS:
            return (one.join, *(self.nodes[n].op for n in one.way))
        local = {number: place for place, number in enumerate(one.nodes)}
        return tuple(
            (self.nodes[n].op, tuple(local.get(other, -1) for other in self.before[n]))
            for n in one.nodes
        )

    def groups(self) -> list[list[Region]]:
        """Return the regions that come several times, those of a structure together."""
        found: dict[Any, list[Region]] = {}
        for one in [*self.regions(), *self.chains()]:
            found.setdefault(self.structure(one), []).append(one)
        groups = [group for group in found.values() if len(group) > 1 and self.says(group[0])]
        for group in groups:
            self.go_on(group)
        groups = self.merged(groups)
        self.without_sum(groups)
        tied = self.tied()
        groups = [[one for one in group if not tied(one)] for group in groups]
        return [group for group in groups if len(group) > 1]

    def tied(self) -> Callable[[Region], bool]:
        """Return what tells whether a region holds a weight that a node outside holds as well.

        Such a weight is one layer that is called several times, and stands in no block.
        """
        users: dict[int, set[int]] = {}
        of: list[list[int]] = []
        for number, node in enumerate(self.nodes):
            held = [self.file.tensors[name] for name in node.inputs if name in self.file.tensors]
            of.append([id(one) for one in held if tells_apart(one)])
            for one in of[-1]:
                users.setdefault(one, set()).add(number)

        def holds(one: Region) -> bool:
            inside = {*one.nodes}
            return any(not users[held] <= inside for number in inside for held in of[number])

        return holds

    def says(self, one: Region) -> bool:
        """Tell whether a structure does something of its own: it has weights, or is a function."""
        plain = all(self.nodes[n].op in NUMBER_BY_NUMBER for n in one.nodes)
        return plain or any(self.weight(n) for n in one.nodes)

    def without_sum(self, groups: Sequence[list[Region]]) -> None:
        """Add to residual regions what is the same without the sum, as where the width changes."""
        wanted: dict[tuple[Any, ...], int] = {}  # the first group whose shortest way it is
        for number, group in enumerate(groups):
            first = group[0]
            if first.join not in SUMS or len(first.way) - 1 > LONGEST_CHAIN:
                continue
            if self.nodes[first.exit].op not in SUMS:
                continue  # it goes on behind the sum
            ways = {tuple(map(self.sort, one.way[:-1])) for one in group}
            least = min(map(len, ways))
            for way in ways:
                if len(way) == least:
                    wanted.setdefault(way, number)
        found: list[tuple[int, list[int]]] = []
        for start in range(len(self.nodes)) if wanted else ():
            chain = [start]
            sorts: tuple[Any, ...] = (self.sort(start),)
            while len(chain) <= LONGEST_CHAIN:
                if sorts in wanted:
                    found.append((wanted[sorts], [*chain]))
                after = self.next(chain[-1])
                if after is None:
                    break
                chain.append(after)
                sorts = (*sorts, self.sort(after))
        inside = {n for group in groups for one in group for n in one.nodes}
        for number, chain in sorted(found):
            if inside.isdisjoint(chain):
                inside.update(chain)
                group = groups[number]
                group.append(Region(self.above[chain[0]], chain, group[0].join, chain))
                group.sort(key=lambda one: one.nodes[0])

    def sort(self, number: int) -> Any:
        """Return what a node is, and of a convolution whether it looks around and is in groups."""
        node, shape = self.nodes[number], self.weight(number)
        grouped = node.attributes.get("group", 1) > 1
        return (node.op, grouped, any(size > 1 for size in shape[2:]))

    def go_on(self, group: Sequence[Region]) -> None:
        """Let regions hold what follows, as an activation, where it follows all of them."""
        wanted = BEHIND.get(group[0].join, ACTIVATIONS)
        while group[0].join:
            after = [self.next(one.exit) for one in group]
            ops = {self.nodes[n].op if n is not None else "" for n in after}
            if len(ops) > 1 or not ops <= {*wanted}:
                return
            for one, number in zip(group, after, strict=True):
                assert number is not None
                one.nodes.append(number)
                one.way.append(number)

    def merged(self, groups: list[list[Region]]) -> list[list[Region]]:
        """Make one region of two, where each of a kind is followed by one of the other kind."""
        # looked up by where they start: in a file of many structures, pairs are too many to try
        starts: dict[frozenset[int], list[list[Region]]] = {}
        for group in groups:
            starts.setdefault(frozenset(one.entry for one in group), []).append(group)
        gone: set[int] = set()
        for first in groups:
            while id(first) not in gone:
                behind = starts.get(frozenset(one.exit for one in first), [])
                second = next((each for each in behind if self.follow(first, each)), None)
                if second is None:
                    break
                by = {one.entry: one for one in second}
                for one in first:
                    other = by[one.exit]
                    one.nodes, one.way = one.nodes + other.nodes, one.way + other.way
                behind.remove(second)
                gone.add(id(second))
        return [group for group in groups if id(group) not in gone]

    def follow(self, first: Sequence[Region], second: Sequence[Region]) -> bool:
        """Tell whether each of a kind starts where one of the other kind ends, and there alone."""
        if len(first) != len(second) or not first[0].join or not second[0].join:
            return False
        by = {one.entry: {*one.nodes} for one in second}
        if len(by) < len(second) or {*by} != {one.exit for one in first}:
            return False
        return all(
            {*self.after[end]} <= inside and end not in self.ends for end, inside in by.items()
        )

    # --- names ----------------------------------------------------------------------------------

    def units(
        self, groups: Sequence[Sequence[Region]], names: Sequence[str]
    ) -> list[tuple[str, Region, tuple[str, dict[int, str]] | None]]:
        """Return the regions, outer ones first, with the names of their blocks and nodes."""
        taken: set[str] = set()
        found: list[tuple[str, Region, tuple[str, dict[int, str]] | None]] = []
        for group in groups:
            kind, kept = fresh_in(self.name(group), taken), common_names(group, names)
            found += [(kind, one, kept[n] if kept else None) for n, one in enumerate(group)]
        return sorted(found, key=lambda unit: (-len(unit[1].nodes), unit[1].nodes[0]))

    def name(self, group: Sequence[Region]) -> str:
        """Return a name for a block after what it does."""
        one = max(group, key=lambda region: len(region.nodes))
        ops = [self.nodes[n].op for n in one.nodes]
        if not one.join:
            return "ConvBlock"
        if not any(self.weight(n) for n in one.nodes):
            return "Activation"
        if one.join == ATTENTION:
            return "SelfAttention"
        if one.join in SUMS:
            if ATTENTION in ops:
                return "TransformerBlock" if ops.count("Add") > 2 else "AttentionBlock"
            return self.name_of_residual(one)
        if one.join == "Mul":
            pooled = {"GlobalAveragePool", "ReduceMean", "AveragePool"} & {*ops}
            return "SqueezeExcite" if pooled else "Gate"
        return "Branches" if one.join == "Concat" else "Joined"

    def name_of_residual(self, one: Region) -> str:
        """Return a name for a residual block by the kernels on its longest way."""
        kernels = [w for n in one.way if self.nodes[n].op == "Conv" and (w := self.weight(n))]
        points = [all(size == 1 for size in kernel[2:]) for kernel in kernels]
        if points == [True, False, True]:
            wide = kernels[0][0] > kernels[-1][0]
            return "InvertedResidual" if wide else "Bottleneck"
        return "BasicBlock" if points == [False, False] else "Residual"

    def weight(self, number: int) -> tuple[int, ...]:
        """Return the shape of the weight of a node, () if it has none."""
        held = self.file.tensors
        shapes = (held[name].shape for name in self.nodes[number].inputs[1:] if name in held)
        return next((shape for shape in shapes if len(shape) > 1), ())


def found_in(
    file: OnnxFile, known: set[OnnxNode], places: Mapping[OnnxNode, Place]
) -> tuple[dict[Scopes, str], set[Scopes]]:
    """Put nodes into scopes for the structures that come several times.

    Nothing is done where names tell of scopes. Names that a structure has in all its uses, but for
    what comes before them (`block_3_expand`), stay.

    Returns:
        the classes of the scopes, and those of them to which no name was given.
    """
    wiring = Wiring(file, known)
    groups = wiring.groups()
    whole = [places[node].scopes if node in places else None for node in wiring.nodes]
    if not groups or told(groups, whole):
        return {}, set()
    names = [
        "_".join([*places[node].scopes, places[node].label]) if node in places else ""
        for node in wiring.nodes
    ]
    names = [re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_") for name in names]
    inside: dict[int, Scopes] = {}
    labels: dict[int, str] = {}
    starts: dict[Scopes, str] = {(): ""}  # of scopes, what their names begin with
    classes: dict[Scopes, str] = {}
    nameless: set[Scopes] = set()
    for kind, one, kept in wiring.units(groups, names):
        around = {inside.get(n, ()) for n in one.nodes}
        if len(around) > 1:
            continue  # it stands in another one by half
        (before,) = around
        start, own = kept if kept else ("", {})
        label = start.removeprefix(starts[before]).strip("_")
        scope = (*before, label)
        if not label or scope in classes:
            scope = (*before, f"{kind.lower()} {one.nodes[0]}")
            nameless.add(scope)
        classes[scope], starts[scope] = kind, start
        for n in one.nodes:
            inside[n], labels[n] = scope, own.get(n, "")
    for n, node in enumerate(wiring.nodes):
        if n in inside and node in places:
            places[node].scopes, places[node].label = inside[n], labels[n]
    return classes, nameless


def told(groups: Sequence[Sequence[Region]], scopes: Sequence[Scopes | None]) -> bool:
    """Tell whether names tell of scopes: whether most regions stand in one of their own."""
    inside: list[bool] = []
    for one in (one for group in groups for one in group):
        known = [where for n in one.nodes if (where := scopes[n]) is not None]
        inside.append(len(shared(known)) > 0)
    return sum(inside) * 2 > len(inside)


def shared(parts: Sequence[Sequence[str]]) -> Sequence[str]:
    """Return what all of some begin with: scopes, or the characters of names."""
    rows = enumerate(zip(*parts, strict=False))
    least = min(map(len, parts), default=0)
    return parts[0][: next((n for n, row in rows if len({*row}) > 1), least)] if parts else ()


def common_names(group: Sequence[Region], names: Sequence[str]) -> list[tuple[str, dict[int, str]]]:
    """Return for each use what its names begin with, and the rest of them; [] if that differs."""
    found: list[tuple[str, dict[int, str]]] = []
    for one in group:
        named = {n: names[n] for n in one.nodes if names[n]}
        start = "".join(shared([*named.values()]))
        start = start[: start.rfind("_") + 1]
        found.append((start, {n: name.removeprefix(start) for n, name in named.items()}))
    rows = {
        tuple(own.get(n, "") for n in one.way) for one, (_, own) in zip(group, found, strict=True)
    }
    return found if len(rows) == 1 and any(next(iter(rows))) else []
