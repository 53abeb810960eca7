"""What a count prints: one network row by row, or several compared, in any of the formats.

Texts of a spec are escaped where they enter a format (`grid.py`); JSON escapes for itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, repeat
from textwrap import fill, wrap
from typing import Any

from archdsl.analysis.agreement import without_rounding
from archdsl.analysis.cost import Usage
from archdsl.analysis.report import Report, different
from archdsl.analysis.roofline import Roofline
from archdsl.analysis.rows import Row
from archdsl.analysis.training import Training
from archdsl.backends import grid
from archdsl.backends.columns import (
    ALONG_AXES,
    BOUNDS_OF_NETWORKS,
    BYTES,
    IN_CSV,
    OF_BOUNDS,
    OF_NETWORKS,
    OF_ROWS,
    OF_STEPS,
    SHOWN,
    SHOWN_BOUND,
    SHOWN_EXPLAINED,
    SHOWN_FOLDED,
    SHOWN_STEPS,
    TOO_LONG,
    Column,
    Of,
    Writer,
    listed,
    plain,
)
from archdsl.backends.formulas import in_bytes, in_seconds, rounded
from archdsl.backends.grid import Grid, Heading
from archdsl.diagnostics import printable
from archdsl.layers.sizes import Formula, Size
from archdsl.records import Record

FORMATS = ("table", "json", "csv", "markdown", "latex")
MARK_EXPLAINED = "* runs in training only"
WIDTH = 100  # of the lines above the table
MOST_TITLE = 2_000
BOOKTABS = "% needs \\usepackage{booktabs}"
LATIN = r"[\n -~À-ÏÑ-Ýß-ïñ-ýÿ]*"  # what pdflatex has letters for
SCROLLED = ' style="max-height: 50em; overflow: auto"'
LONGEST_SUM = 100
MOST_LABELS = 6
MOST_ORDERS = 8
MOST_AT_ONCE = 100  # rows that a notebook shows without scrolling


def render(
    reports: Sequence[Report],
    form: str = "table",
    explain: bool = False,
    columns: Sequence[Column[Any]] = (),
    compared: bool = False,
) -> str:
    """Write the report of one network, or a comparison of several, in one of `FORMATS`.

    The report of one may be written as "html" as well, for notebooks. `columns` are shown instead
    of the usual ones, where there are some; `compared` makes a comparison of one network too.
    `explain` writes each number of parameters with the arithmetic that leads to it.
    """
    if form == "json":
        return _json(reports, compared)
    if form == "csv":
        if len(reports) == 1 and not compared:
            usual = [*(OF_ROWS[name] for name in IN_CSV), *_steps(reports[0])]
            return _csv(columns or [*usual, *_bounds(reports, OF_BOUNDS)], reports[0].rows)
        networks = [*OF_NETWORKS.values(), *_bounds(reports, BOUNDS_OF_NETWORKS)]
        return _csv(columns or networks, reports)
    if len(reports) != 1 or compared:
        return _compared(reports, form, columns)
    report, write = reports[0], writer(reports[0])
    table = _layers(report, explain, write, columns)
    mark = MARK_EXPLAINED if any(row.training_only for row in different(report.rows)) else ""
    if form == "latex":
        return _latex(table, mark)
    lines = list(summary(report, write, explain))
    if any(TOO_LONG in cells for cells in table.columns):
        lines.insert(0, Line(f"{TOO_LONG} is a formula that is too long; JSON and CSV have it"))
    if form in ("markdown", "html"):
        lines += map(Line, report.warnings)
        written = _markdown if form == "markdown" else _html
        return written(list(title(report, write)), table, mark, lines)
    titles = [printable(line, MOST_TITLE) for line in title(report, write)]
    head = [part for line in titles for part in wrap(line, WIDTH)]
    below = f"{mark}\n" if mark else ""
    # at the end, where whoever sees a long table on a terminal looks
    said = "".join(f"\n{fill(printable(line, MOST_TITLE), WIDTH)}\n" for line in report.warnings)
    return "\n".join([*head, "", _written(table, form) + below, _aligned(lines)]) + said


def tells_warnings(form: str, networks: int) -> bool:
    """Tell whether what `render` writes of so many networks has their warnings in it."""
    return form == "json" or (networks == 1 and form in ("table", "markdown", "html"))


def _latex(table: Grid, mark: str = "") -> str:
    written = grid.latex_table(table, mark)
    others = (
        "" if re.fullmatch(LATIN, written) else ", and lualatex: some names are not in Latin script"
    )
    return f"{BOOKTABS}{others}\n{written}"


def _written(table: Grid, form: str) -> str:
    if form == "latex":
        return _latex(table)
    return grid.markdown(table) if form == "markdown" else grid.plain(table)


def _aligned(lines: Sequence[Line]) -> str:
    """Set the figures of the totals below each other."""
    labels = [f"{'  ' * line.level}{printable(line.label)}" for line in lines]
    beside = [line.figure or line.note for line in lines]
    wide = max(len(label) for label, shown in zip(labels, beside, strict=True) if shown)
    figures = max(len(line.figure) for line in lines)
    texts = [
        f"{label:<{wide}}  {line.figure:>{figures}}  {printable(line.note)}"
        if line.figure
        else f"{label:<{wide}}  {printable(line.note)}"
        for label, line in zip(labels, lines, strict=True)
    ]
    return "".join(f"{text.rstrip()}\n" for text in texts)


def _markdown(titles: Sequence[str], table: Grid, mark: str, lines: Sequence[Line]) -> str:
    head = "  \n".join(map(grid.markdown_text, titles))
    items = [f"{'  ' * line.level}- {grid.markdown_sentence(_sentence(line))}\n" for line in lines]
    below = f"\n{grid.markdown_text(mark)}\n" if mark else ""
    return f"{head}\n\n{grid.markdown(table)}{below}\n{''.join(items)}"


def _html(titles: Sequence[str], table: Grid, mark: str, lines: Sequence[Line]) -> str:
    """Write what a notebook shows; a long table scrolls in itself."""
    scrolled = SCROLLED if len(table.columns[0]) > MOST_AT_ONCE else ""
    head = "<br>\n".join(grid.html_sentence(line) for line in titles)
    below = f"<p>{grid.html_sentence(mark)}</p>\n" if mark else ""
    return (
        f"<p>{head}</p>\n<div{scrolled}>\n{grid.html(table)}</div>\n{below}"
        f"<table>\n{''.join(map(_html_total, lines))}</table>\n"
    )


def _html_total(line: Line) -> str:
    indent = f"padding-left: {0.5 + 1.5 * line.level}em"
    label = f'<td style="text-align: left; {indent}">{grid.html_sentence(line.label)}</td>'
    if not line.figure:
        note = grid.html_sentence(line.note)
        return f'<tr>{label}<td colspan="2" style="text-align: left">{note}</td></tr>\n'
    return (
        f'<tr>{label}<td style="text-align: right">{grid.html_sentence(line.figure)}</td>'
        f'<td style="text-align: left">{grid.html_sentence(line.note)}</td></tr>\n'
    )


def _sentence(line: Line) -> str:
    if not line.figure:
        return f"{line.label}: {line.note}" if line.note else line.label
    return f"{line.label}: {line.figure}" + (f" ({line.note})" if line.note else "")


# --- the table ------------------------------------------------------------------------------


def _layers(
    report: Report, explain: bool, write: Writer, chosen: Sequence[Column[Row]] = ()
) -> Grid:
    """Lay out a row for each layer or folded block, for people."""
    if chosen:
        totals = _totals(report, chosen, write) if chosen[0].total is None else []
        return _grid(chosen, report.rows, repeat(write), totals)
    shown: Sequence[str] = SHOWN_FOLDED if report.folded is not None else SHOWN
    if report.roofline:
        shown = SHOWN_BOUND
    if explain:
        shown = SHOWN_EXPLAINED
    kept = [name for name in shown if name != "frozen" or report.frozen.training != 0]
    columns = [OF_ROWS[name] for name in kept]
    if steps := _steps(report):
        columns = [*(OF_ROWS[name] for name in SHOWN_STEPS), *steps]
    columns += [one for one in _bounds([report], OF_BOUNDS) if one.heading]
    return _grid(columns, report.rows, repeat(write), _totals(report, columns, write))


def _bounds(reports: Sequence[Report], columns: Mapping[str, Column[Of]]) -> Sequence[Column[Of]]:
    """Return the columns of least times, if a device was asked for."""
    return [*columns.values()] if any(report.roofline for report in reports) else []


def _steps(report: Report) -> list[Column[Row]]:
    """Return the columns of a training step, if one is counted: what is 0 for all is left out."""
    training = report.training
    if not training.shown or training.unknown:
        return []
    again = training.options.checkpoint
    return [column for name, column in OF_STEPS.items() if name != "again" or again]


def _totals(report: Report, columns: Sequence[Column[Row]], write: Writer) -> list[list[str]]:
    """Return the totals, at inference and in training where these differ."""
    usages = [each.total(report) if each.total else None for each in columns]
    if all(usage is None or usage.inference == usage.training for usage in usages):
        rows = [("total", 0)]
    else:
        rows = [("total at inference", 0), ("total in training", 1)]
    return [
        [
            label if at == 0 else "" if usage is None else _sum_of(column, write, usage[which])
            for at, (column, usage) in enumerate(zip(columns, usages, strict=True))
        ]
        for label, which in rows
    ]


def _sum_of(column: Column[Row], write: Writer, size: Size) -> str:
    return write.bytes(size) if column.format is BYTES else write.number(size)


def _compared(reports: Sequence[Report], form: str, chosen: Sequence[Column[Report]] = ()) -> str:
    """Lay out one row a network, for people."""
    writers = [writer(report) for report in reports]
    left_out = set()
    if all(report.parameters.total == report.parameters.inference for report in reports):
        left_out.add("parameters_inference")
    if all(report.parameters.frozen == 0 for report in reports):
        left_out.add("parameters_trainable")
    if not any(report.training.shown for report in reports):
        left_out.add("memory_step")
    every = [*OF_NETWORKS.values(), *_bounds(reports, BOUNDS_OF_NETWORKS)]
    columns = [one for one in every if one.heading and one.name not in left_out]
    text = _written(_grid(chosen or columns, reports, writers), form)
    if form == "latex":
        return text
    notes = {rounding(report, write): None for report, write in zip(reports, writers, strict=True)}
    between = "\n\n" if form == "markdown" else "\n"
    below = between.join(note for note in notes if note)
    return f"{text}\n{below}\n" if below else text


def _grid(
    columns: Sequence[Column[Of]],
    rows: Sequence[Of],
    writers: Iterable[Writer],
    totals: Sequence[Sequence[str]] = (),
) -> Grid:
    """Lay out what people see of columns, each row with what writes its sizes."""
    return Grid(
        tuple(Heading(each.heading, each.format.numeric, each.spare) for each in columns),
        [each.cells(writers, rows) for each in columns],
        totals,
    )


def _csv(columns: Iterable[Column[Of]], rows: Sequence[Of]) -> str:
    """Write what programs see of columns: sizes as they are, under names that stay."""
    columns = [*columns]
    cells = [[each.format.csv(each.value(row)) for each in columns] for row in rows]
    return grid.csv(grid.of_rows(tuple(Heading(each.name) for each in columns), cells))


# --- JSON -----------------------------------------------------------------------------------


def as_data(report: Report) -> dict[str, object]:
    """Return a report as what JSON has: numbers, strings (of formulas), lists and objects."""
    return {
        "network": report.network,
        "description": report.description,
        "inputs": {name: listed(shape) for name, shape in report.inputs.items()},
        "outputs": {each.name: listed(each.shape) for each in report.outputs},
        "training_outputs": [each.name for each in report.outputs if each.training_only],
        "parameters": {name: plain(size) for name, size in report.parameters._asdict().items()},
        "buffers": _usage(report.buffers),
        "macs": _usage(report.macs),
        "other": {heading: _usage(usage) for heading, usage in report.other.items()},
        "memory": {
            "parameters": plain(report.memory.parameters),
            "buffers": plain(report.memory.buffers),
            "inputs": plain(report.memory.inputs),
            "activations": plain(report.memory.training),
            "kept": None if report.training.kept is None else plain(report.training.kept),
            "peak": plain(report.memory.peak),
            "bytes_per_number": report.memory.bytes_per_number,
        },
        **({"training": _training(report.training)} if report.training.shown else {}),
        "depth": report.depth,
        "assumptions": list(report.assumptions.sentences()),
        "warnings": list(report.warnings),
        "registered": {name: list(labels) for name, labels in report.registered.items()},
        **({"roofline": _roofline(report.roofline)} if report.roofline else {}),
        "layers": [_row(row, _steps(report)) for row in report.rows],
    }


def _roofline(found: Roofline) -> dict[str, object]:
    return {
        "device": found.device.name,
        "batch": found.batch,
        "dtype": found.dtype,
        "bytes_moved": found.total.bytes,
        "operations": found.total.operations,
        "least_seconds": found.total.seconds,
        "bound_by": found.total.by or None,
        "waiting_seconds": found.total.waiting,
    }


def _training(training: Training) -> dict[str, object]:
    """Return what a training step takes as JSON has it."""
    batch, dtype, optimizer, checkpoint = training.options
    data: dict[str, object] = {"batch": batch, "dtype": dtype, "optimizer": optimizer}
    data["checkpoint"] = sorted(checkpoint)
    if training.unknown:
        return data | {"unknown": training.unknown}
    sums, peak, plainly = training.sums, training.peak, training.kept_unfused
    return data | {
        "parameters": plain(sums.parameters),
        "gradients": plain(sums.gradients),
        "optimizer_state": plain(sums.optimizer),
        "kept": plain(sums.kept),
        "kept_without_fused_attention": None if plainly is None else plain(plainly),
        "macs_again": plain(sums.again),
        "peak": None if peak is None else peak.size,
        "peak_phase": None if peak is None else peak.phase,
        "peak_layer": training.peak_layer,
        "note": training.note,
    }


def _row(row: Row, steps: Sequence[Column[Row]]) -> dict[str, object]:
    data = {name: _json_of(column, row) for name, column in OF_ROWS.items()}
    data |= {column.name: _json_of(column, row) for column in steps}
    if row.bound is not None:
        data |= {name: _json_of(column, row) for name, column in OF_BOUNDS.items()}
    if len(row.fields) > 1:
        alone = {of: row._replace(fields={of: fields}) for of, fields in row.fields.items()}
        data["fields"] = {
            of: {name: _json_of(OF_ROWS[name], one) for name in ALONG_AXES}
            for of, one in alone.items()
        }
    return data


def _json_of(column: Column[Of], of: Of) -> object:
    return column.format.json(column.value(of))


def _usage(usage: Usage) -> dict[str, object]:
    return {name: plain(size) for name, size in usage._asdict().items()}


def _json(reports: Sequence[Report], compared: bool) -> str:
    """Write an object, or an array of several, with one line for each layer."""
    objects = [_object(as_data(report)) for report in reports]
    if len(objects) == 1 and not compared:
        return objects[0] + "\n"
    return "[\n" + ",\n".join(objects) + "\n]\n"


def _object(data: Mapping[str, object]) -> str:
    from json import dumps

    entries = []
    for key, value in data.items():
        text = dumps(value)
        if isinstance(value, list) and value and isinstance(value[0], dict):
            text = "[\n" + ",\n".join(f"    {dumps(item)}" for item in value) + "\n  ]"
        entries.append(f"  {dumps(key)}: {text}")
    return "{\n" + ",\n".join(entries) + "\n}"


# --- the totals in plain words, below the table -----------------------------------------------


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
    totals = [report.macs.training, report.memory.training, report.training.kept or 0]
    rows = [size for row in different(report.rows) for size in row.output]
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
    yield from _memory(report, write)
    if report.training.shown:
        yield from _step(report.training, write)
    if report.roofline:
        yield from _least_times(report.roofline)


def _least_times(found: Roofline) -> Iterator[Line]:
    what = f"{found.device.title}, batch of {found.batch:,}, {found.dtype}"
    yield Line("Least time", in_seconds(found.total.seconds), f"a bound and no forecast: {what}")
    if found.total.seconds:
        part = found.total.waiting / found.total.seconds
        yield Line("bound by memory", f"{100 * part:.1f} %", "of it; else by arithmetic", level=1)
        yield Line("moved", in_bytes(found.total.bytes), level=1)


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
    yield _line(write, "Multiply-accumulates", macs.inference, rounded(macs.inference))
    if macs.training != macs.inference:
        yield _line(write, "in training", macs.training, "forward pass", level=1)
    if report.other:
        yield Line("Other operations")
    for heading, usage in report.other.items():
        differs = usage.training != usage.inference
        note = f"{write.size(usage.training)} in training" if differs else ""
        yield _line(write, heading, usage.inference, note, level=1)


def _memory(report: Report, write: Writer) -> Iterator[Line]:
    memory, training = report.memory, report.training
    yield Line("Memory", note=f"{memory.bytes_per_number} bytes a number, batch of one")
    stored = memory.parameters + memory.buffers
    yield _bytes(write, "parameters and buffers", stored)
    if training.shown:
        pass  # it stands with the training step
    elif training.kept is None:
        yield Line("kept for the backward pass", "unknown", training.unknown, level=1)
    else:
        yield _bytes(write, "kept for the backward pass", training.kept, training.note)
    if memory.peak is None:
        yield Line("activations, peak at inference", "unknown", memory.unknown, level=1)
    else:
        at = f"while `{memory.peak_at}` runs" if memory.peak_at else ""
        yield _bytes(write, "activations, peak at inference", memory.peak, at)


def _step(training: Training, write: Writer) -> Iterator[Line]:
    """Yield what a training step takes."""
    batch, dtype, optimizer, checkpoint = training.options
    yield Line("Training step", note=f"batch of {batch:,}, {dtype}, {optimizer}")
    if training.unknown:
        yield Line("all of it", "unknown", training.unknown, level=1)
        return
    sums = training.sums
    yield _bytes(write, "parameters and buffers", sums.parameters)
    yield _bytes(write, "gradients", sums.gradients)
    yield _bytes(write, "optimizer state", sums.optimizer)
    yield _bytes(write, "kept for the backward pass", sums.kept, training.note)
    if training.kept_unfused is not None:
        yield _bytes(write, "without fused attention", training.kept_unfused)
    if checkpoint:
        note = f"of {write.size(batch * training.forward)} multiply-accumulates"
        yield _line(write, "computed again", sums.again, note, level=1)
    if training.peak is None:
        yield Line("peak", "unknown", "it depends on the free sizes", level=1)
    else:
        yield _bytes(write, "peak", training.peak.size, training.peak_at)


def _bytes(write: Writer, label: str, size: Size, note: str = "") -> Line:
    written = in_bytes(size, write)
    if isinstance(size, Formula):
        return Line(label, note=f"{written}  {note}".rstrip(), level=1)
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
