"""Writes the rows of a sweep: as a table, CSV, JSON, Markdown, Parquet or a page."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import Any

from archdsl.backends import grid
from archdsl.backends.formulas import in_bytes
from archdsl.backends.grid import Grid, Heading
from archdsl.diagnostics import ArchError, printable
from archdsl.reading import read_regular
from archdsl.records import Record
from archdsl.variants.errors import BadSweep
from archdsl.variants.figures import SHOWN
from archdsl.variants.sweep import Row, Sweep
from archdsl.version import __version__

NOTHING = "-"
MOST_SHOWN = 100  # rows that a terminal gets, if nobody says how many
LONGEST_CELL = 60
MADE = f"archdsl sweep, version {__version__}"


class Form(Record):
    """A way in which rows are written.

    Attributes:
        write: gives the content of a file.
        ours: what a file that archdsl wrote so holds near its start.
        require: raises ArchError where a library is missing that it needs.
    """

    write: Callable[[Sweep, Sequence[Row]], bytes]
    ours: bytes
    require: Callable[[], None] = lambda: None


def text_of(value: Any) -> str:
    """Write a value as the language does, a text as it is."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_item, value))}]"
    return str(value)


def _item(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else text_of(value)


# --- for people -------------------------------------------------------------------------------


def table(sweep: Sweep, rows: Sequence[Row]) -> str:
    """Lay out aligned columns for a terminal, and say what is left out."""
    shown = rows[:MOST_SHOWN]
    text = grid.plain(_grid(sweep, shown))
    if len(rows) > len(shown):
        text += f"... and {len(rows) - len(shown):,} more: -o FILE writes all, --top N fewer\n"
    return text


def _grid(sweep: Sweep, rows: Sequence[Row]) -> Grid:
    """Lay out the parameters that differ, the figures that are asked for most, and errors."""
    several = {axis.name for axis in sweep.plan.space.axes if axis.length > 1}
    columns = [name for name in sweep.parameters if name in several]
    columns += map(sweep.named, SHOWN)
    if any(row[sweep.error] for row in rows):
        columns.append(sweep.error)
    numeric = {
        name for name in columns if all(isinstance(row[name], int | float | None) for row in rows)
    }
    return grid.of_rows(
        tuple(Heading(name, name in numeric) for name in columns),
        [[_cell(sweep, name, row) for name in columns] for row in rows],
    )


def _cell(sweep: Sweep, name: str, row: Row) -> str:
    value = row[name]
    if name == sweep.error:
        return printable(value)
    if name in sweep.figures:
        if value is None:
            return NOTHING
        return in_bytes(value) if name in sweep.in_bytes else f"{value:,}"
    return printable(text_of(value), LONGEST_CELL)


def _markdown(sweep: Sweep, rows: Sequence[Row]) -> bytes:
    return f"<!-- {MADE} -->\n\n{grid.markdown(_grid(sweep, rows))}".encode()


# --- for programs -----------------------------------------------------------------------------


def _csv(sweep: Sweep, rows: Sequence[Row]) -> bytes:
    cells = [
        [
            "" if row[name] is None and name in sweep.figures else text_of(row[name])
            for name in sweep.columns
        ]
        for row in rows
    ]
    return grid.csv(grid.of_rows(tuple(map(Heading, sweep.columns)), cells)).encode()


def _json(sweep: Sweep, rows: Sequence[Row]) -> bytes:
    head = json.dumps(about(sweep))[1:-1]
    lines = ",\n".join(f"  {json.dumps(row)}" for row in rows)
    return f'{{"made": "{MADE}", {head}, "rows": [\n{lines}\n]}}\n'.encode()


def about(sweep: Sweep) -> dict[str, Any]:
    """Return what a sweep was of, as what JSON has."""
    values: Any = sweep.facts["values"]
    sample = {} if sweep.random is None else {"random": sweep.random, "seed": sweep.seed}
    return {
        "network": sweep.plan.network,
        "parameters": list(sweep.parameters),
        "figures": list(sweep.figures),
        "values": dict(values),
        "inputs": sweep.facts["inputs"],
        **sample,
    }


def _require_pyarrow() -> None:
    from importlib.util import find_spec

    if find_spec("pyarrow") is None:
        reason = ".parquet files need pyarrow, which is not installed"
        hint = "install it: `pip install 'archdsl[parquet]'`"
        raise ArchError(BadSweep(reason=reason, hint=hint))


def _parquet(sweep: Sweep, rows: Sequence[Row]) -> bytes:
    import pyarrow
    from pyarrow import parquet

    columns = {}
    for name in sweep.columns:
        values = [row[name] for row in rows]
        kinds = {type(value) for value in values if value is not None}
        plain = kinds in ({int}, {float}, {bool}, {str}, {int, float})
        if kinds == {int, float}:
            values = [None if value is None else float(value) for value in values]
        # figures are integers, even where no variant has any
        kind = pyarrow.int64() if name in sweep.figures else None
        columns[name] = pyarrow.array(
            values if plain or not kinds else [text_of(value) for value in values], kind
        )
    made = pyarrow.table(columns).replace_schema_metadata({"archdsl": MADE})
    file = BytesIO()
    parquet.write_table(made, file)
    content: bytes = file.getvalue()
    return content


def _page(sweep: Sweep, rows: Sequence[Row]) -> bytes:
    from archdsl.variants.page import page

    return page(sweep, rows).encode()


FORMS: Mapping[str, Form] = {
    "csv": Form(_csv, b""),
    "json": Form(_json, b'{"made": "archdsl sweep'),
    "md": Form(_markdown, b"<!-- archdsl sweep"),
    "parquet": Form(_parquet, b"PAR1", _require_pyarrow),
    "html": Form(_page, b'<meta name="generator" content="archdsl sweep'),
}


def is_sweep(path: str, sweep: Sweep) -> bool:
    """Tell whether a file is one that a sweep wrote, which may be written again."""
    form = path.rpartition(".")[2].lower()
    try:
        start = read_regular(path, 65_536)
    except OSError:
        return False
    if form == "csv":  # which has no place to say so, but its columns do
        return start.split(b"\n")[0].endswith(
            ",".join(sweep.columns[len(sweep.parameters) :]).encode()
        )
    return form in FORMS and FORMS[form].ours in start
