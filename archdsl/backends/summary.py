"""The totals of a count in plain words, for below the table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from archdsl.analysis.cost import Usage
from archdsl.analysis.report import Report
from archdsl.backends import table_cells as cells
from archdsl.layers.sizes import Formula, Size

LONGEST_SUM = 100


class Line(NamedTuple):
    """One total: what it is, the figure, and what there is to know about it.

    A line without figure and note is a heading; those below it are set in.
    """

    label: str
    figure: str = ""
    note: str = ""
    level: int = 0


def title(report: Report) -> Iterator[str]:
    """Yield the lines above the table: the network, and what goes in and comes out."""
    description = " ".join(report.description.split())
    about = f": {description}" if description else ""
    yield f"{report.network}{about}"
    known = report.assumptions
    inputs = ", ".join(
        f"{name} {cells.shape(shape, known)}" for name, shape in report.inputs.items()
    )
    outputs = ", ".join(
        f"{each.name} {cells.shape(each.shape, known)}{' (in training only)' * each.training_only}"
        for each in report.outputs
    )
    yield f"{inputs} -> {outputs}"


def summary(report: Report, explain: bool = False) -> Iterator[Line]:
    """Yield the totals line by line."""
    if report.assumptions.sentences():
        yield Line("Assumed")
        for sentence in report.assumptions.sentences():
            yield Line(sentence, level=1)
    yield from _parameters(report, explain)
    yield from _operations(report)
    yield from _memory(report)


def _parameters(report: Report, explain: bool) -> Iterator[Line]:
    total, trainable, inference = report.parameters
    note = (
        "all trainable"
        if trainable == total
        else f"{cells.simplified(trainable, report.assumptions)} trainable"
    )
    yield _line(report, "Parameters", total, "" if total == 0 else note)
    if inference != total:
        only = _names(each.name for each in report.outputs if each.training_only)
        spared = cells.simplified(total - inference, report.assumptions)
        yield _line(
            report, "at inference", inference, f"without {spared} that only {only} needs", level=1
        )
    if explain and (written := _sum(report)):
        yield Line(written, level=1)
    if report.buffers.training != 0:
        yield _line(report, "Buffers", report.buffers.training, "stored, not learned")


def _operations(report: Report) -> Iterator[Line]:
    macs = report.macs
    yield _line(report, "Multiply-accumulates", macs.inference, cells.rounded(macs.inference))
    if macs.training != macs.inference:
        yield _line(report, "in training", macs.training, "forward pass", level=1)
    if report.other:
        yield Line("Other operations")
    for heading, usage in report.other.items():
        yield _line(report, heading, usage.inference, _in_training(report, usage), level=1)


def _in_training(report: Report, usage: Usage) -> str:
    if usage.training == usage.inference:
        return ""
    return f"{cells.simplified(usage.training, report.assumptions)} in training"


def _memory(report: Report) -> Iterator[Line]:
    memory = report.memory
    numbers = f"{memory.bytes_per_number} bytes a number, batch of one"
    yield Line("Memory", note=numbers)
    stored = memory.parameters + memory.buffers
    yield _bytes(report, "parameters and buffers", stored)
    yield _bytes(report, "activations, all kept for training", memory.training)
    if memory.peak is None:
        yield Line("activations, peak at inference", "unknown", memory.unknown, level=1)
    else:
        at = f"while `{memory.peak_at}` runs" if memory.peak_at else ""
        yield _bytes(report, "activations, peak at inference", memory.peak, at)


def _bytes(report: Report, label: str, size: Size, note: str = "") -> Line:
    if isinstance(size, Formula):
        written = f"{cells.simplified(size, report.assumptions)} bytes"
        return Line(label, note=written, level=1)
    return Line(label, cells.in_bytes(size), note, level=1)


def _line(report: Report, label: str, size: Size, note: str = "", level: int = 0) -> Line:
    """Put a number into the column of figures, and a formula, which is long, after it."""
    if not isinstance(size, Formula):
        return Line(label, f"{size:,}", note, level)
    written = cells.simplified(size, report.assumptions)
    return Line(label, note=f"{written}  {note}".rstrip(), level=level)


def _sum(report: Report) -> str:
    """Write the sum of all rows' parameters, if it fits on a line."""
    known = report.assumptions
    parts = [cells.number(row.parameters, known) for row in report.rows if row.parameters != 0]
    text = f"{' + '.join(parts)} = {cells.number(report.parameters.total, known)}"
    return text if len(parts) > 1 and len(text) <= LONGEST_SUM else ""


def _names(names: Iterator[str]) -> str:
    return " and ".join(f"`{name}`" for name in names)
