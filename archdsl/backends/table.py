"""What a count prints: one network row by row, or several compared, in any of the formats.

Texts of a spec are escaped where they enter a format (`grid.py`); JSON escapes for itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from textwrap import fill, wrap

from archdsl.analysis.cost import Usage
from archdsl.analysis.report import Report, as_data
from archdsl.analysis.rows import Row, first_fields
from archdsl.backends import grid
from archdsl.backends import table_cells as cells
from archdsl.backends.formulas import separated
from archdsl.backends.grid import Column, Grid
from archdsl.backends.summary import Line, rounding, summary, title, writer
from archdsl.backends.table_cells import TOO_LONG, Writer
from archdsl.backends.table_raw import raw, raw_comparison
from archdsl.diagnostics import printable
from archdsl.layers.sizes import total
from archdsl.records import Record

FORMATS = ("table", "json", "csv", "markdown", "latex")
TRAINING_MARK = " *"
MARK_EXPLAINED = "* runs in training only"
WIDTH = 100  # of the lines above the table
MOST_TITLE = 2_000
BOOKTABS = "% needs \\usepackage{booktabs}"
LATIN = re.compile(r"[\n -~À-ÏÑ-Ýß-ïñ-ýÿ]*")  # what pdflatex has letters for
SCROLLED = ' style="max-height: 50em; overflow: auto"'
MOST_AT_ONCE = 100  # rows that a notebook shows without scrolling


def render(reports: Sequence[Report], form: str = "table", explain: bool = False) -> str:
    """Write the report of one network, or a comparison of several, in one of `FORMATS`.

    The report of one may be written as "html" as well, for notebooks.
    `explain` writes each number of parameters with the arithmetic that leads to it.
    """
    if form == "json":
        return _json(reports)
    if form == "csv":
        return grid.csv(raw(reports[0]) if len(reports) == 1 else raw_comparison(reports))
    if len(reports) > 1:
        return _compared(reports, form)
    report, write = reports[0], writer(reports[0])
    table = _layers(report, explain, write)
    mark = MARK_EXPLAINED if any(row.training_only for row in report.rows) else ""
    if form == "latex":
        return _latex(table, mark)
    lines = list(summary(report, write, explain))
    if any(TOO_LONG in row for row in table.rows):
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
        "" if LATIN.fullmatch(written) else ", and lualatex: some names are not in Latin script"
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
    scrolled = SCROLLED if len(table.rows) > MOST_AT_ONCE else ""
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


class Cell(Record):
    """A column: its heading, what a row has there, and its total."""

    column: Column
    text: Callable[[Row], str]
    total: Callable[[Report], Usage] | None = None


def _cells(report: Report, explain: bool, write: Writer) -> Sequence[Cell]:
    """Return the columns for people; JSON and CSV have more."""
    layer = Cell(Column("layer"), _name)
    kind = Cell(Column("type"), lambda row: row.type)
    goes_in = Cell(Column("input"), lambda row: write.shapes(row.inputs))
    comes_out = Cell(Column("output"), lambda row: write.shape(row.output))
    parameters = Cell(Column("parameters", True), lambda row: _parameters(row, write), _learned)
    explained = Cell(Column("parameters", True), lambda row: _explained(row, write), _learned)
    frozen = Cell(Column("frozen", True), lambda row: write.number(row.frozen), lambda r: r.frozen)
    kept = (frozen,) if report.frozen.training != 0 else ()
    macs = Cell(Column("macs", True), lambda row: write.number(row.macs), lambda r: r.macs)
    other = Cell(
        Column("other ops", True), lambda row: write.number(total(row.other.values())), _other
    )
    field = Cell(
        Column("field", True, spare=True), lambda row: write.receptive_field(first_fields(row))
    )
    stride = Cell(Column("stride", True, spare=True), lambda row: write.stride(first_fields(row)))
    if explain:
        return layer, kind, comes_out, explained, *kept, macs
    if report.folded is not None:
        return layer, kind, goes_in, comes_out, parameters, *kept, macs, field, stride
    return layer, kind, comes_out, parameters, *kept, macs, other, field, stride


def _layers(report: Report, explain: bool, write: Writer) -> Grid:
    columns = _cells(report, explain, write)
    return Grid(
        tuple(each.column for each in columns),
        [[each.text(row) for each in columns] for row in report.rows],
        _totals(report, columns, write),
    )


def _totals(report: Report, columns: Sequence[Cell], write: Writer) -> list[list[str]]:
    """Return the totals, at inference and in training where these differ."""
    usages = [each.total(report) if each.total else None for each in columns]
    if all(usage is None or usage.inference == usage.training for usage in usages):
        rows = [("total", 0)]
    else:
        rows = [("total at inference", 0), ("total in training", 1)]
    return [
        [
            label if at == 0 else "" if usage is None else write.number(usage[which])
            for at, usage in enumerate(usages)
        ]
        for label, which in rows
    ]


def _learned(report: Report) -> Usage:
    return Usage(report.parameters.inference, report.parameters.total)


def _other(report: Report) -> Usage:
    usages = report.other.values()
    return Usage(total(u.inference for u in usages), total(u.training for u in usages))


def _name(row: Row) -> str:
    return f"{row.name}{TRAINING_MARK if row.training_only else ''}"


def _parameters(row: Row, write: Writer) -> str:
    if row.shares and row.parameters == 0:
        return "reused"
    return write.number(row.parameters)


def _explained(row: Row, write: Writer) -> str:
    """Write `(5 x 5 x 1 + 1) x 6 = 156`."""
    result = _parameters(row, write)
    arithmetic = separated(row.arithmetic)
    return f"{arithmetic} = {result}" if arithmetic not in ("", result) else result


def _compared(reports: Sequence[Report], form: str) -> str:
    """Lay out one row a network, for people."""
    columns = (
        Column("network"),
        Column("input"),
        Column("depth", True),
        Column("parameters", True),
        Column("trainable", True),
        Column("at inference", True),
        Column("macs", True),
        Column("activations", True),
        Column("peak", True),
    )
    writers = [writer(report) for report in reports]
    table = Grid(columns, list(map(_network, reports, writers)))
    if all(report.parameters.total == report.parameters.inference for report in reports):
        table = table.without(5)
    if all(report.parameters.frozen == 0 for report in reports):
        table = table.without(4)
    text = _written(table, form)
    if form == "latex":
        return text
    notes = {rounding(report, write): None for report, write in zip(reports, writers, strict=True)}
    between = "\n\n" if form == "markdown" else "\n"
    below = between.join(note for note in notes if note)
    return f"{text}\n{below}\n" if below else text


def _network(report: Report, write: Writer) -> list[str]:
    memory = report.memory
    return [
        report.network,
        write.shapes(report.inputs.values()),
        str(report.depth),
        write.number(report.parameters.total),
        write.number(report.parameters.trainable),
        write.number(report.parameters.inference),
        write.number(report.macs.inference),
        cells.in_bytes(memory.training, write),
        "unknown" if memory.peak is None else cells.in_bytes(memory.peak, write),
    ]


def _json(reports: Sequence[Report]) -> str:
    """Write an object, or an array of several, with one line for each layer."""
    objects = [_object(as_data(report)) for report in reports]
    if len(objects) == 1:
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
