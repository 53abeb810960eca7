"""The columns of a count: each is declared once, for people and for programs alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import repeat
from typing import Any, Generic, TypeVar

from archdsl.analysis.cost import Usage
from archdsl.analysis.receptive_field import Extent, straight
from archdsl.analysis.report import Report, parts_of
from archdsl.analysis.rows import Row, Turns, first_fields
from archdsl.backends.formulas import Formulas, in_bytes, in_seconds, separated
from archdsl.layers.base import Shape
from archdsl.layers.sizes import Formula, Size, total
from archdsl.records import Record

NOTHING = "-"
TOO_LONG = "..."
TRAINING_MARK = " *"
LONGEST_CELL = 60
MOST_SHAPES = 2  # of the inputs of a block


class Writer(Formulas):
    """Writes sizes and what is made of them as the cells of a table."""

    def number(self, size: Size) -> str:
        """Write a count for a cell: a dash for none, dots for a formula that is too long."""
        text = self.size(size)
        return NOTHING if size == 0 else text if len(text) <= LONGEST_CELL else TOO_LONG

    def shapes(self, several: Iterable[Shape]) -> str:
        """Write shapes one after the other, those that repeat as `2 of 64 x 35 x 35`."""
        counts: dict[str, int] = {}
        for each in several:
            text = self.shape(each)
            counts[text] = counts.get(text, 0) + 1
        parts = [f"{n} of {text}" if n > 1 else text for text, n in counts.items()]
        return f"{len(parts)} shapes" if len(parts) > MOST_SHAPES else ", ".join(parts) or NOTHING

    def along_axes(self, extents: Iterable[Extent]) -> str:
        """Write what there is along each axis: `7`, or `7x1` if the axes differ."""
        texts = [self._extent(each) for each in extents]
        if len(set(texts)) == 1:
            return texts[0]
        return "x".join(f"({text})" if " " in text else text for text in texts) or NOTHING

    def _extent(self, extent: Extent) -> str:
        if isinstance(extent, Formula):
            return self.length(extent)
        return NOTHING if extent is None else str(extent)

    def bytes(self, size: Size | None) -> str:
        """Write bytes; None is what is not known."""
        return "unknown" if size is None else in_bytes(size, self)


def plain(extent: Extent | float) -> int | float | str | None:
    """Return a size as JSON has it; a formula is a string."""
    if isinstance(extent, Formula):
        return str(extent)
    return float(extent) if isinstance(extent, Fraction) else extent


def listed(extents: Sequence[Extent]) -> list[object]:
    """Return sizes as JSON has them."""
    return [plain(each) for each in extents]


def _compact(extents: Sequence[Extent]) -> str:
    return "x".join(map(_blank, extents))


def _blank(extent: Extent) -> str:
    return "" if extent is None else str(extent)


class Format(Record):
    """How values of a kind are written.

    Attributes:
        text: for people, as the cell of a table.
        csv: in a file for programs that has nothing but text.
        json: as what JSON has: numbers, strings, lists and objects.
        numeric: they are numbers, which stand to the right.
    """

    text: Callable[[Writer, Any], str]
    csv: Callable[[Any], str]
    json: Callable[[Any], object]
    numeric: bool = False


TEXT = Format(lambda write, value: str(value), str, lambda value: value)
COUNT = Format(lambda write, value: str(value), str, lambda value: value, numeric=True)
NUMBER = Format(Writer.number, str, plain, numeric=True)
BYTES = Format(Writer.bytes, _blank, plain, numeric=True)
ARITHMETIC = TEXT._replace(numeric=True)  # of numbers
TRUTH = Format(lambda write, value: str(value), lambda value: str(value).lower(), bool)
SHAPE = Format(Writer.shape, _compact, listed)
SHAPES = Format(
    Writer.shapes,
    lambda shapes: ";".join(map(_compact, shapes)),
    lambda shapes: [*map(listed, shapes)],
)
AXES = Format(Writer.along_axes, _compact, listed, numeric=True)
BY_HEADING = Format(  # numbers by what they count, of which tables have the sum
    lambda write, numbers: write.number(total(numbers.values())),
    lambda numbers: str(total(numbers.values())),
    lambda numbers: {heading: plain(size) for heading, size in numbers.items()},
    numeric=True,
)

BYTES_OR_NONE = BYTES._replace(text=lambda write, size: in_bytes(size) if size else NOTHING)
INTENSITY = Format(
    lambda write, value: NOTHING if value is None else f"{value:.1f}",
    lambda value: "" if value is None else f"{value:.4g}",
    lambda value: value,
    numeric=True,
)
SECONDS = Format(
    lambda write, value: in_seconds(value) if value else NOTHING, _blank, plain, numeric=True
)
WORD_OR_NONE = Format(lambda write, value: value or NOTHING, _blank, lambda value: value or None)
SHARE = Format(  # in percent; None is what is not known
    lambda write, value: NOTHING if value is None else f"{value:.1f}",
    lambda value: "" if value is None else f"{value:.4f}",
    lambda value: value,
    numeric=True,
)

Of = TypeVar("Of")  # what has a row: a `Row`, or in a comparison a `Report`


class Column(Record, Generic[Of]):
    """A column of a count.

    Attributes:
        name: what programs know it by.
        value: what a row has there.
        format: how that is written.
        heading: what people see above it.
        text: what people see in it, where that is not the value alone.
        total: what stands below it, if anything, at inference and in training.
        spare: a terminal may do without it, if the table is too wide.
        turning: what people see in rows of turns of a loop; without it, in each turn the same.
    """

    name: str
    value: Callable[[Of], object]
    format: Format
    heading: str = ""
    text: Callable[[Writer, Of], str] | None = None
    total: Callable[[Report], Usage] | None = None
    spare: bool = False
    turning: Callable[[Writer, Turns], list[str]] | None = None

    def cells(self, writers: Iterable[Writer], rows: Iterable[Of]) -> list[str]:
        """Return what people see in each row, of which each has what writes its sizes."""
        found: list[str] = []
        value, text, written = self.value, self.text, self.format.text
        # a value that comes again mostly does so in the next row, as the same object
        before, by, said = object(), None, ""
        for part, write in zip(parts_of(rows), writers, strict=False):
            if isinstance(part, Turns):
                alike: tuple[Any, ...] = part.rows
                if self.turning:
                    found += self.turning(write, part)
                else:
                    found += self.cells(repeat(write), alike) * part.turns
            elif text:
                found.append(text(write, part))
            else:
                of = value(part)
                if of is not before or write is not by:
                    before, by, said = of, write, written(write, of)
                found.append(said)
        return found


def _by_name(*columns: Column[Of]) -> Mapping[str, Column[Of]]:
    return {column.name: column for column in columns}


def share(column: Column[Of], whole: Size) -> Column[Of]:
    """Return the column that says which part of a whole each row has, in percent."""

    def value(of: Of) -> object:
        part = column.value(of)
        if isinstance(part, Mapping):
            part = total(part.values())
        if isinstance(part, int) and isinstance(whole, int) and whole:
            return 100 * part / whole
        return None

    return Column(f"{column.name} %", value, SHARE, f"{column.heading} %")


# --- of the rows of one network -------------------------------------------------------------


def _learned(report: Report) -> Usage:
    return Usage(report.parameters.inference, report.parameters.total)


def _other(report: Report) -> Usage:
    usages = report.other.values()
    return Usage(total(u.inference for u in usages), total(u.training for u in usages))


def _name(write: Writer, row: Row) -> str:
    return f"{row.name}{TRAINING_MARK if row.training_only else ''}"


def _names(write: Writer, turns: Turns) -> list[str]:
    if not any(row.training_only for row in turns.rows):
        return [*turns.names]
    return [_name(write, row) for row in turns.each()]


def _parameters(write: Writer, row: Row) -> str:
    if row.parameters == 0 and (row.shares or row.tied):
        return "reused" if row.shares else "tied"
    return write.number(row.parameters)


def _arithmetic(row: Row) -> str:
    return row.arithmetic


def _explained(write: Writer, row: Row) -> str:
    """Write `(5 x 5 x 1 + 1) x 6 = 156`."""
    result = _parameters(write, row)
    arithmetic = separated(row.arithmetic)
    return f"{arithmetic} = {result}" if arithmetic not in ("", result) else result


def _sizes(row: Row) -> list[Extent]:
    return [field.size for field in first_fields(row)]


def _strides(row: Row) -> list[Extent]:
    return [field.stride for field in first_fields(row)]


def _offsets(row: Row) -> list[Extent]:
    return [field.start for field in first_fields(row)]


def _moving(of: Callable[[Row], list[Extent]]) -> Callable[[Writer, Turns], list[str]]:
    """Return what writes places that each turn of a loop sees further on than the one before."""

    def cells(write: Writer, turns: Turns) -> list[str]:
        found = [""] * len(turns.names)
        for at, row in enumerate(turns.rows):
            extents = of(row)
            alike = len({*extents}) == 1
            if alike and (line := straight(extents[0])):
                start, by = line
                # as `along_axes` writes them, without asking what each of thousands is
                texts = [str(start + by * turn) for turn in range(1, turns.turns + 1)]
            else:
                texts = [write.along_axes(of(turns.row(at, turn))) for turn in range(turns.turns)]
            found[at :: len(turns.rows)] = texts
        return found

    return cells


def _of_bound(name: str) -> Callable[[Row], object]:
    return lambda row: None if row.bound is None else getattr(row.bound, name)


# On a device that is asked for; see `analysis/roofline.py`.
OF_BOUNDS: Mapping[str, Column[Row]] = _by_name(
    Column("bytes_moved", _of_bound("bytes"), BYTES_OR_NONE, "moved"),
    Column("operations", _of_bound("operations"), COUNT),
    Column("intensity", _of_bound("intensity"), INTENSITY, "op/byte"),
    Column("least_seconds", _of_bound("seconds"), SECONDS, "least time"),
    Column("bound_by", _of_bound("by"), WORD_OR_NONE, "bound by"),
)

# In the order of JSON, which has them all.
OF_ROWS: Mapping[str, Column[Row]] = _by_name(
    Column("name", lambda row: row.name, TEXT, "layer", _name, turning=_names),
    Column("type", lambda row: row.type, TEXT, "type"),
    Column("inputs", lambda row: row.inputs, SHAPES, "input"),
    Column("output", lambda row: row.output, SHAPE, "output"),
    Column("parameters", lambda row: row.parameters, NUMBER, "parameters", _parameters, _learned),
    Column("frozen", lambda row: row.frozen, NUMBER, "frozen", total=lambda of: of.frozen),
    Column("buffers", lambda row: row.buffers, NUMBER),
    Column("macs", lambda row: row.macs, NUMBER, "macs", total=lambda of: of.macs),
    Column("other", lambda row: row.other, BY_HEADING, "other ops", total=_other),
    Column("memory", lambda row: row.memory, NUMBER),
    Column("receptive_field", _sizes, AXES, "field", spare=True, turning=_moving(_sizes)),
    Column("stride", _strides, AXES, "stride", spare=True),
    Column("offset", _offsets, AXES, turning=_moving(_offsets)),
    Column(
        "arithmetic", lambda row: row.arithmetic, ARITHMETIC, "parameters", _explained, _learned
    ),
    Column("training_only", lambda row: row.training_only, TRUTH),
    Column("shares", lambda row: row.shares, TEXT),
    Column("tied", lambda row: ", ".join(row.tied), TEXT),
)

IN_CSV = (
    "name", "type", "inputs", "output", "parameters", "arithmetic", "frozen", "buffers", "macs",
    "other", "memory", "receptive_field", "stride", "training_only",
)  # fmt: skip
SHOWN = (
    "name", "type", "output", "parameters", "frozen", "macs", "other", "receptive_field", "stride"
)  # fmt: skip
SHOWN_BOUND = ("name", "type", "output", "parameters", "macs")  # before those of bounds
SHOWN_FOLDED = (
    "name", "type", "inputs", "output", "parameters", "frozen", "macs", "receptive_field", "stride"
)  # fmt: skip
ALONG_AXES = ("receptive_field", "stride", "offset")  # of the first input that a row sees
SHOWN_EXPLAINED = ("name", "type", "output", "arithmetic", "frozen", "macs")


# --- of a training step ---------------------------------------------------------------------


def _column(name: str, of: str, format: Format, heading: str) -> Column[Row]:
    return Column(
        name,
        lambda row: getattr(row.step, of),
        format,
        heading,
        total=lambda report: Usage(*[getattr(report.training.sums, of)] * 2),
    )


# Beside those of rows, where a training step is counted.
OF_STEPS: Mapping[str, Column[Row]] = _by_name(
    _column("parameter_bytes", "parameters", BYTES, "parameters"),
    _column("gradients", "gradients", BYTES, "gradients"),
    _column("optimizer", "optimizer", BYTES, "optimizer"),
    _column("kept", "kept", BYTES, "kept"),
    _column("again", "again", NUMBER, "macs again"),
)
SHOWN_STEPS = ("name", "type", "output")  # before those of the step


# --- of a comparison, whose rows are networks -----------------------------------------------


def _other_inference(report: Report) -> Size:
    return _other(report).inference


def _step(report: Report) -> Size | None:
    """Return the peak of a training step; None if it isn't known, or wasn't asked for."""
    training = report.training
    return training.peak.size if training.shown and training.peak else None


def _other_training(report: Report) -> Size:
    return _other(report).training


def _bound(name: str) -> Callable[[Report], object]:
    return lambda of: None if of.roofline is None else getattr(of.roofline.total, name)


# Of networks on a device that is asked for.
BOUNDS_OF_NETWORKS: Mapping[str, Column[Report]] = _by_name(
    Column("bytes_moved", _bound("bytes"), BYTES_OR_NONE),
    Column("operations", _bound("operations"), COUNT),
    Column("least_seconds", _bound("seconds"), SECONDS, "least time"),
    Column("bound_by", _bound("by"), WORD_OR_NONE, "bound by"),
)

# In the order of CSV, which has them all; people see those with a heading.
OF_NETWORKS: Mapping[str, Column[Report]] = _by_name(
    Column("network", lambda of: of.network, TEXT, "network"),
    Column("inputs", lambda of: of.inputs.values(), SHAPES, "input"),
    Column("depth", lambda of: of.depth, COUNT, "depth"),
    Column("parameters", lambda of: of.parameters.total, NUMBER, "parameters"),
    Column("parameters_trainable", lambda of: of.parameters.trainable, NUMBER, "trainable"),
    Column("parameters_frozen", lambda of: of.parameters.frozen, NUMBER),
    Column("parameters_inference", lambda of: of.parameters.inference, NUMBER, "at inference"),
    Column("buffers", lambda of: of.buffers.training, NUMBER),
    Column("macs_inference", lambda of: of.macs.inference, NUMBER, "macs"),
    Column("macs_training", lambda of: of.macs.training, NUMBER),
    Column("other_inference", _other_inference, NUMBER),
    Column("other_training", _other_training, NUMBER),
    Column("memory_parameters", lambda of: of.memory.parameters, BYTES),
    Column("memory_activations", lambda of: of.memory.training, BYTES),
    Column("memory_kept", lambda of: of.training.kept, BYTES, "kept"),
    Column("memory_peak", lambda of: of.memory.peak, BYTES, "peak"),
    Column("memory_step", _step, BYTES, "training step"),
)
