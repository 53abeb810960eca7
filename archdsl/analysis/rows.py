"""The rows of a count: one for each layer, or for each block that is folded.

What has a row:

* Every layer, with parameters or without, in the order of the spec, and so have merges and
  tensors of the network's own: someone who follows the shapes down the table needs the line on
  which four branches become 256 channels, and the columns must add up. Inputs have none: they
  stand above the table.
* At a depth, a block or group that deep becomes one row: the sums of all that is in it, the
  shapes that go in, and the shape and receptive field of what comes out last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from archdsl.analysis.cost import Cost, CostTable, each_cost
from archdsl.analysis.loops import Alike
from archdsl.analysis.memory import MemoryTable
from archdsl.analysis.receptive_field import Fields, Seen, Stretch, in_turn
from archdsl.analysis.roofline import Bound, together
from archdsl.analysis.training import Step, Training
from archdsl.graph import CheckedGraph, Scope, sources_of, type_of
from archdsl.layers.base import NOTHING, Facts, Shape, by
from archdsl.layers.sizes import Formula, Size, total
from archdsl.layers.tensor import InputTensor
from archdsl.records import Record

MOST_SUMMANDS = 6  # of a folded block's parameters, written as a sum


class Row(Record):
    """One layer, or one block or group that is folded.

    Attributes:
        name: the node's, or the scope's.
        type: name of the layer or block; "concat" and the like for merges, "group" for a group.
        inputs: shapes of the tensors that go in.
        output: shape of the tensor that comes out, the last one if there are several.
        memory: bytes of all outputs, as training keeps them.
        fields: receptive fields of the output by name of the input, for the inputs it sees.
        arithmetic: how the parameters come about: "(5 x 5 x 1 + 1) x 6".
        training_only: nothing in it runs at inference.
        shares: name of the row's node whose module is applied again, or "".
        layers: how many nodes it stands for.
        frozen: how many of the parameters are kept from learning.
        step: what it takes in a training step, if that is counted.
        tied: the parameters of others that its module has as its own, by their names in the
            state_dict; they are counted there.
        bound: the least time on a device; None where none is asked for, or it doesn't run.
    """

    name: str
    type: str
    inputs: tuple[Shape, ...]
    output: Shape
    parameters: Size
    buffers: Size
    macs: Size
    other: Mapping[str, Size]
    memory: Size
    fields: Mapping[str, Fields]
    arithmetic: str
    training_only: bool
    shares: str
    layers: int
    frozen: Size = 0
    tied: tuple[str, ...] = ()
    bound: Bound | None = None
    step: Step | None = None


def first_fields(row: Row) -> Fields:
    """Return a row's receptive fields with respect to the first input that it sees."""
    return next(iter(row.fields.values()), ())


class Parts(Record):
    """What rows are made of: the network, and its tables."""

    checked: CheckedGraph
    costs: CostTable
    memory: MemoryTable
    seen: Mapping[str, Seen]  # by the names of the inputs
    bounds: Mapping[str, Bound]
    training: Training | None = None

    def step(self, *numbers: int) -> Step | None:
        """Return what nodes take together in a training step."""
        return None if self.training is None else self.training.of(numbers)


class Turns(Record):
    """Rows of turns of a loop which differ in their names and fields alone.

    Attributes:
        rows: of one turn. Sizes in their fields may be formulas in `receptive_field.TURN`.
        names: of all rows, turn by turn.
    """

    rows: tuple[Row, ...]
    names: Sequence[str]

    @property
    def turns(self) -> int:
        """How many there are."""
        return len(self.names) // len(self.rows)

    def row(self, at: int, turn: int) -> Row:
        """Return one of the rows of a turn, counted from 0 on."""
        row = self.rows[at]
        fields = {of: in_turn(fields, turn + 1) for of, fields in row.fields.items()}
        return row._replace(name=self.names[turn * len(self.rows) + at], fields=fields)

    def each(self) -> Iterator[Row]:
        """Yield the rows of all turns."""
        for number in range(len(self.names)):
            turn, at = divmod(number, len(self.rows))
            yield self.row(at, turn)


def rows_of(parts: Parts, depth: int | None) -> Iterator[Row | Turns]:
    """Yield the rows in the order of the spec; blocks `depth` scopes deep are one row each."""
    checked = parts.checked
    layers, scopes = checked.arrays.layers, checked.around if depth is not None else ()
    stretches = {one.first: one for one in _stretches(parts)}
    folds: dict[int | Scope, list[int]] = {}
    turns: dict[int, Stretch] = {}
    ancestors: dict[Scope, Scope | None] = {}
    number, stop = 0, len(layers)
    while number < stop:
        fold: Scope | None = None
        if depth is not None:
            scope = scopes[number]
            # nodes are many, and scopes are few
            if scope not in ancestors:
                ancestors[scope] = _ancestor(scope, depth)
            fold = ancestors[scope]
        if fold is None and number in stretches:
            one = stretches[number]
            turn = range(number, number + one.size)
            if depth is None or not any(_ancestor(scopes[each], depth) for each in turn):
                turns[number] = one
                folds[number] = [number]
                number += one.size * one.turns
                continue
        if not isinstance(layers[number], InputTensor):
            folds.setdefault(number if fold is None else fold, []).append(number)
        number += 1
    # a folded block is seen from outside: what comes out of it is what others read
    folded = [numbers for fold, numbers in folds.items() if isinstance(fold, Scope)]
    leaving = _leaving(checked, folded)
    known = _Known(parts)
    for key, numbers in folds.items():
        if isinstance(key, Scope):
            yield _block_row(parts, key, numbers, leaving.get(numbers[0], numbers[-1]), known)
        elif key in turns:
            yield _turns(parts, turns[key], known)
        else:
            yield _layer_row(parts, key, known)


def _stretches(parts: Parts) -> Iterator[Stretch]:
    """Yield turns of loops whose rows differ in names and fields alone."""
    checked, sizes = parts.checked, parts.memory.nodes.by_number
    # least times, steps and what is frozen are known by the node, and may be others in each turn
    if parts.bounds or parts.training or parts.costs.frozen.training != 0:
        return
    if checked.arrays.shares or checked.arrays.ties:
        return
    alike = Alike(checked)
    first, *others = [{one[:3]: one for one in seen.stretches} for seen in parts.seen.values()] or [
        {}
    ]
    for key, one in first.items():
        start, size, turns = key
        stop = start + (turns - 1) * size
        if (
            all(key in other for other in others)
            and alike(start, size, turns - 1)
            and sizes[start:stop] == sizes[start + size : stop + size]
        ):
            yield one


def _ancestor(scope: Scope, depth: int | None) -> Scope | None:
    """Return the scope at a depth that holds another, or None if that lies less deep."""
    if depth is None:
        return None
    path = [scope]
    while path[-1].parent:
        path.append(path[-1].parent)
    return path[-1 - depth] if len(path) > depth else None


def _leaving(checked: CheckedGraph, folds: Iterable[Sequence[int]]) -> Mapping[int, int]:
    """Return, by the first node of each fold, the last of its nodes that is read outside it."""
    fold_of = {number: numbers[0] for numbers in folds for number in numbers}
    if not fold_of:
        return {}
    left = {*checked.ends}
    for number, reads in enumerate(checked.arrays.reads):
        left.update([read for read in reads if fold_of.get(read) != fold_of.get(number)])
    return {fold_of[number]: number for number in fold_of if number in left}


def _turns(parts: Parts, stretch: Stretch, known: _Known) -> Turns:
    first, size = stretch.first, stretch.size
    rows = [_layer_row(parts, number, known) for number in range(first, first + size)]
    # in the place of those of the first turn come the fields of all
    every = [
        {of: fields for of, seen in parts.seen.items() if (fields := seen.evenly(number))}
        for number in range(first, first + size)
    ]
    return Turns(
        tuple([row._replace(fields=fields) for row, fields in zip(rows, every, strict=True)]),
        parts.checked.names[first : first + size * stretch.turns],
    )


class _Known:
    """What nodes that are alike share of their rows."""

    def __init__(self, parts: Parts) -> None:
        checked, costs = parts.checked, parts.costs
        self.cost = each_cost(checked)
        if costs.frozen.training != 0:
            self.cost = lambda number: costs.nodes[checked.names[number]]
        self.rows: dict[tuple[int, ...], Row] = {}


def _layer_row(parts: Parts, number: int, known: _Known) -> Row:
    """Return the row of a node."""
    checked, name, each = parts.checked, parts.checked.names[number], known.cost(number)
    layer, facts = checked.arrays.layers[number], checked.arrays.facts[number]
    sources = [
        checked.arrays.facts[read] for read in sources_of(facts, checked.arrays.reads[number])
    ]
    # layers, facts and costs that are equal are mostly one object, which lives as long as `parts`
    key = (id(layer), id(facts), id(each), *map(id, sources))
    like = known.rows.get(key)
    own = number in checked.arrays.shares or number in checked.arrays.ties
    if like is None or own:
        node = checked.nodes[name] if own else None
        shares = node.shares if node else ""
        like = known.rows[key] = Row(
            name="",
            type=type_of(layer),
            inputs=tuple([read.output for read in sources]),
            output=facts.output,
            parameters=each.parameters,
            buffers=each.buffers,
            macs=each.macs,
            other=each.other,
            memory=0,
            fields=NOTHING,
            arithmetic="" if shares else arithmetic(facts),
            training_only=False,
            shares=shares,
            layers=1,
            frozen=each.frozen,
            tied=tuple([tie.path for tie in node.ties]) if node else (),
        )
    return like._replace(
        name=name,
        memory=parts.memory.nodes.by_number[number],
        fields=_fields_of(parts, number),
        training_only=number in checked.aside,
        step=parts.step(number),
        bound=parts.bounds.get(name),
    )


def _block_row(parts: Parts, scope: Scope, numbers: Sequence[int], last: int, known: _Known) -> Row:
    arrays, names, bounds = parts.checked.arrays, parts.checked.names, parts.bounds
    inside = {*numbers}
    read = dict.fromkeys(
        read
        for number in numbers
        for read in sources_of(arrays.facts[number], arrays.reads[number])
    )
    costs = [*map(known.cost, numbers)]
    return Row(
        name=scope.name or parts.checked.name,
        type=(scope.block or "group") if scope.name else "network",
        inputs=tuple([arrays.facts[number].output for number in read if number not in inside]),
        output=arrays.facts[last].output,
        parameters=total(each.parameters for each in costs),
        buffers=total(each.buffers for each in costs),
        macs=total(each.macs for each in costs),
        other=_headings(costs),
        memory=total(map(parts.memory.nodes.by_number.__getitem__, numbers)),
        fields=_fields_of(parts, last),
        arithmetic=_sum([each.parameters for each in costs if each.parameters != 0]),
        training_only=inside <= parts.checked.aside,
        shares="",
        layers=len(numbers),
        frozen=total(each.frozen for each in costs),
        bound=together([bounds[names[number]] for number in numbers if names[number] in bounds])
        if bounds
        else None,
        step=parts.step(*numbers),
    )


def _headings(costs: Iterable[Cost]) -> Mapping[str, Size]:
    found: dict[str, list[Size]] = {}
    for each in costs:
        for heading, operations in each.other.items():
            found.setdefault(heading, []).append(operations)
    return {heading: total(found[heading]) for heading in sorted(found)}


def _fields_of(parts: Parts, number: int) -> Mapping[str, Fields]:
    return {of: seen.fields(number) for of, seen in parts.seen.items() if seen.has(number)}


def arithmetic(facts: Facts) -> str:
    """Write how many parameters a node has as a product or sum of products of sizes."""
    if facts.arithmetic or not facts.params:
        return facts.arithmetic
    return " + ".join(by(shape) if shape else "1" for shape in facts.params.values())


def _sum(sizes: Sequence[Size]) -> str:
    if len(sizes) > MOST_SUMMANDS:
        return ""
    return " + ".join(f"({size})" if isinstance(size, Formula) else str(size) for size in sizes)
