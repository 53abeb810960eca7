"""The totals of a count in plain words, for below the table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from archdsl.analysis.agreement import without_rounding
from archdsl.analysis.memory import MemoryTable
from archdsl.analysis.report import Report
from archdsl.backends import table_cells as cells
from archdsl.backends.table_cells import Writer
from archdsl.layers.sizes import Formula, Size
from archdsl.records import Record

LONGEST_SUM = 100
MOST_LABELS = 6
MOST_ORDERS = 8


class Line(Record):
    """One total: what it is, the figure, and what there is to know about it.

    A line without figure and note is a heading; those below it are set in.
    """

    label: str
    figure: str = ""
    note: str = ""
    level: int = 0


def writer(report: Report) -> Writer:
    """Return what writes the sizes of a network for people: without rounding, if possible."""
    totals = [report.macs.training, report.memory.training]
    rows = [size for row in report.rows for size in row.output]
    return Writer(without_rounding(report.assumptions, [*totals, *rows]))


def rounding(report: Report, write: Writer) -> str:
    """Say for which sizes the formulas are written, if not for all that are possible."""
    if write.known == report.assumptions:
        return ""
    multiples = [
        f"{each.name} a multiple of {each.modulus}"
        for each in write.known.requirements.values()
        if each != report.assumptions.requirements[each.name]
    ]
    return f"Formulas are written for {' and '.join(multiples)}; JSON and CSV have them for all"


def title(report: Report, write: Writer) -> Iterator[str]:
    """Yield the lines above the table: the network, and what goes in and comes out."""
    description = " ".join(report.description.split())
    yield f"{report.network}: {description}" if description else report.network
    inputs = ", ".join(f"{name} {write.shape(shape)}" for name, shape in report.inputs.items())
    outputs = ", ".join(
        f"{each.name} {write.shape(each.shape)}{' (in training only)' * each.training_only}"
        for each in report.outputs
    )
    yield f"{inputs or 'no input'} -> {outputs}"


def summary(report: Report, write: Writer, explain: bool = False) -> Iterator[Line]:
    """Yield the totals line by line."""
    if rounded := rounding(report, write):
        yield Line(rounded)
    if report.assumptions.sentences():
        yield Line("Assumed")
        for sentence in report.assumptions.sentences():
            yield Line(sentence, level=1)
    yield from _parameters(report, explain, write)
    yield from _operations(report, write)
    yield from _memory(report.memory, write)


def _parameters(report: Report, explain: bool, write: Writer) -> Iterator[Line]:
    total, trainable, inference, frozen = report.parameters
    note = "all trainable"
    if frozen != 0:
        note = f"{write.size(trainable)} trainable, {write.size(frozen)} frozen"
    yield _line(write, "Parameters", total, "" if total == 0 else note)
    if inference != total:
        only = [f"`{each.name}`" for each in report.outputs if each.training_only]
        needed = f"{' and '.join(only)} {'needs' if len(only) == 1 else 'need'}"
        spared = f"without {write.size(total - inference)} that only {needed}"
        yield _line(write, "at inference", inference, spared, level=1)
    if explain and (written := _sum(report, write)):
        yield Line(written, level=1)
    if report.buffers.training != 0:
        yield _line(write, "Buffers", report.buffers.training, "stored, not learned")
    if report.registered:
        yield Line("Order in the state_dict")
    orders: dict[tuple[str, ...], list[str]] = {}
    for name, labels in report.registered.items():
        orders.setdefault(labels, []).append(f"`{name}`" if name else "the network")
    for labels, names in islice(orders.items(), MOST_ORDERS):
        yield Line(_first(names), note=_first(labels), level=1)
    if len(orders) > MOST_ORDERS:
        yield Line(f"and {len(orders) - MOST_ORDERS} more", level=1)


def _first(names: Sequence[str]) -> str:
    return ", ".join([*names[:MOST_LABELS], *["..."] * (len(names) > MOST_LABELS)])


def _operations(report: Report, write: Writer) -> Iterator[Line]:
    macs = report.macs
    yield _line(write, "Multiply-accumulates", macs.inference, cells.rounded(macs.inference))
    if macs.training != macs.inference:
        yield _line(write, "in training", macs.training, "forward pass", level=1)
    if report.other:
        yield Line("Other operations")
    for heading, usage in report.other.items():
        differs = usage.training != usage.inference
        note = f"{write.size(usage.training)} in training" if differs else ""
        yield _line(write, heading, usage.inference, note, level=1)


def _memory(memory: MemoryTable, write: Writer) -> Iterator[Line]:
    yield Line("Memory", note=f"{memory.bytes_per_number} bytes a number, batch of one")
    stored = memory.parameters + memory.buffers
    yield _bytes(write, "parameters and buffers", stored)
    yield _bytes(write, "activations, all kept for training", memory.training)
    if memory.peak is None:
        yield Line("activations, peak at inference", "unknown", memory.unknown, level=1)
    else:
        at = f"while `{memory.peak_at}` runs" if memory.peak_at else ""
        yield _bytes(write, "activations, peak at inference", memory.peak, at)


def _bytes(write: Writer, label: str, size: Size, note: str = "") -> Line:
    written = cells.in_bytes(size, write)
    if isinstance(size, Formula):
        return Line(label, note=written, level=1)
    return Line(label, written, note, level=1)


def _line(write: Writer, label: str, size: Size, note: str = "", level: int = 0) -> Line:
    """Put a number into the column of figures, and a formula, which is long, after it."""
    if isinstance(size, Formula):
        return Line(label, note=f"{write.size(size)}  {note}".rstrip(), level=level)
    return Line(label, write.size(size), note, level)


def _sum(report: Report, write: Writer) -> str:
    """Write the sum of all rows' parameters, if it fits on a line."""
    parts = [write.size(row.parameters) for row in report.rows if row.parameters != 0]
    text = f"{' + '.join(parts)} = {write.size(report.parameters.total)}"
    return text if len(parts) > 1 and len(text) <= LONGEST_SUM else ""
