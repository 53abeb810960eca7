"""Everything that a count says about a network, as one value that every format is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from functools import cached_property
from typing import Any, overload

from archdsl.analysis.agreement import Assumptions, assumptions
from archdsl.analysis.cost import Parameters, Usage, cost
from archdsl.analysis.loops import Alike, go_through
from archdsl.analysis.memory import BYTES_PER_NUMBER, MemoryTable, memory
from archdsl.analysis.receptive_field import seen_by_input
from archdsl.analysis.roofline import Roofline
from archdsl.analysis.rows import Parts, Row, Turns, rows_of
from archdsl.analysis.training import Options, Training
from archdsl.graph import CheckedGraph
from archdsl.layers.base import Shape
from archdsl.layers.sizes import Formula
from archdsl.records import Record


class OutputShape(Record):
    """An output of a network: its name, its shape, and whether it is one of training only."""

    name: str
    shape: Shape
    training_only: bool


class Rows(Sequence[Row]):
    """The rows of a count, worked out when one is asked for: totals need none.

    Turns of a loop are together in `parts`, as long as nobody asks for each of their rows.
    """

    def __init__(self, make: Callable[[], Iterable[Row | Turns]]) -> None:
        self._make = make

    @cached_property
    def parts(self) -> tuple[Row | Turns, ...]:
        """The rows, those of turns of a loop as one."""
        return tuple(self._make())

    @cached_property
    def _rows(self) -> tuple[Row, ...]:
        found: list[Row] = []
        for part in self.parts:
            found += part.each() if isinstance(part, Turns) else (part,)
        return tuple(found)

    @overload
    def __getitem__(self, at: int) -> Row: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Row]: ...
    def __getitem__(self, at: int | slice) -> Row | Sequence[Row]:
        return self._rows[at]

    def __len__(self) -> int:
        return sum([len(part.names) if isinstance(part, Turns) else 1 for part in self.parts])

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rows) and self._rows == other._rows

    def __reduce__(self) -> tuple[type, tuple[tuple[Row, ...]]]:
        return tuple, (self._rows,)


def parts_of(rows: Iterable[Any]) -> Iterable[Any]:
    """Return rows, or whatever there is a line of, with those of turns of a loop as `Turns`."""
    return rows.parts if isinstance(rows, Rows) else rows


def different(rows: Sequence[Row]) -> Iterator[Row]:
    """Yield rows, of those of turns of a loop those of one turn."""
    for part in parts_of(rows):
        yield from part.rows if isinstance(part, Turns) else (part,)


class Report(Record):
    """The counts of a network; sizes are numbers, or formulas where the spec leaves some open.

    Attributes:
        arguments: the values of the network's parameters.
        frozen: parameters that are kept from learning.
        training: a training step; of one sample in single precision, unless it was asked for.
        depth: how many layers with multiply-accumulates lie on the longest path at inference.
        folded: the depth at which blocks are folded, or None.
        assumptions: what the free sizes must be for the shapes to agree.
        registered: labels of scopes in the order of the state_dict, where `register` gives it.
        warnings: sentences on what is unusual.
        roofline: the least times on a device, if one was asked for.
    """

    network: str
    description: str
    arguments: Mapping[str, object]
    inputs: Mapping[str, Shape]
    outputs: tuple[OutputShape, ...]
    rows: Sequence[Row]
    parameters: Parameters
    frozen: Usage
    buffers: Usage
    macs: Usage
    other: Mapping[str, Usage]
    memory: MemoryTable
    training: Training
    depth: int
    folded: int | None
    assumptions: Assumptions
    registered: Mapping[str, tuple[str, ...]]
    warnings: tuple[str, ...] = ()
    roofline: Roofline | None = None

    def __repr__(self) -> str:
        return f"<Report of {totals_of(self)}, {len(self.rows):,} rows>"


def totals_of(report: Report) -> str:
    """Say in a line what a network costs."""
    parameters, macs = (
        f"{size:,}" if isinstance(size, int) else str(size)
        for size in (report.parameters.total, report.macs.inference)
    )
    return f"{report.network}: {parameters} parameters, {macs} multiply-accumulates"


def report(
    checked: CheckedGraph,
    depth: int | None = None,
    bytes_per_number: int = BYTES_PER_NUMBER,
    frozen: Set[str] = frozenset(),
    roofline: Roofline | None = None,
    options: Options | None = None,
) -> Report:
    """Count a network; blocks `depth` scopes deep become one row (0 makes one row of all).

    `frozen` are the names of parameters that are kept from learning; `options` ask for a training
    step row by row.

    Raises:
        FormulaError: a total depends on free sizes in too intricate a way to write it down.
    """
    costs = cost(checked, frozen)
    table = memory(checked, costs, bytes_per_number)
    training = Training(checked, options or Options(), frozen, shown=options is not None)
    step = training if training.shown and not training.unknown else None
    bounds = roofline.nodes if roofline else {}
    rows = Rows(
        lambda: rows_of(Parts(checked, costs, table, seen_by_input(checked), bounds, step), depth)
    )
    if any(isinstance(size, Formula) for shape in checked.inputs.values() for size in shape):
        len(rows)  # sums of formulas may be too intricate, which is to be said here
    return Report(
        network=checked.name,
        description=checked.description,
        arguments=checked.arguments,
        inputs=checked.inputs,
        outputs=tuple(
            OutputShape(each.name, checked.arrays.facts[end].output, each.training_only)
            for each, end in zip(checked.outputs, checked.ends, strict=True)
        ),
        rows=rows,
        parameters=costs.parameters,
        frozen=costs.frozen,
        buffers=costs.buffers,
        macs=costs.macs,
        other=costs.other,
        memory=table,
        training=training,
        depth=_longest(checked),
        folded=depth,
        assumptions=assumptions(checked),
        warnings=tuple(each.sentence() for each in checked.warnings),
        registered=checked.registered,
        roofline=roofline,
    )


def _longest(checked: CheckedGraph) -> int:
    longest: list[int] = []
    # nodes come after those they read, so one pass is enough
    arrays, aside, alike = checked.arrays, checked.aside, Alike(checked)

    def go(at: int, stop: int) -> None:
        for number in range(at, stop):
            before = max([longest[read] for read in arrays.reads[number]], default=0)
            # papers count the layers with weights; merges and activations add none
            longest.append(before + (arrays.facts[number].macs != 0 and number not in aside))

    def settles(at: int, size: int, left: int) -> bool:
        turn = longest[at:]
        more = {now - then for now, then in zip(turn, longest[at - size : at], strict=True)}
        if len(more) > 1 or not alike(at, size, left):
            return False
        # where all of a turn became longer, nothing from before the loop is as long any more
        (each,) = more
        for times in range(1, left + 1):
            longest.extend([length + times * each for length in turn])
        return True

    go_through(len(arrays.facts), checked.loops, go, settles)
    return max(longest, default=0)
