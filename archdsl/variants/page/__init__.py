"""The rows of a sweep as one HTML file: a table to sort and filter, and a scatter, linked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from archdsl.backends.html_page import html_page
from archdsl.diagnostics import ArchError, printable
from archdsl.variants.errors import BadSweep
from archdsl.variants.figures import SHOWN
from archdsl.variants.sweep import Row, Sweep

MOST_ROWS = 50_000  # that a browser sorts and draws while somebody waits


def page(sweep: Sweep, rows: Sequence[Row]) -> str:
    """Write a page that needs no other file.

    Raises:
        ArchError: it would have more rows than a browser can show well.
    """
    if len(rows) > MOST_ROWS:
        reason = f"the page would have {len(rows):,} rows, more than the {MOST_ROWS:,} it can show"
        hint = "choose with --where, --pareto or --top, or write .csv"
        raise ArchError(BadSweep(reason=reason, hint=hint))
    columns = [_column(sweep, name, rows) for name in _shown(sweep, rows)]
    names = [column["name"] for column in columns]
    data = {
        "columns": columns,
        "rows": [[row[name] for name in names] for row in rows],
        "error": sweep.error,
        "x": sweep.named("parameters"),
        "y": sweep.named("macs"),
    }
    return html_page(
        "archdsl.variants.page",
        ("page.js",),
        data,
        title=printable(f"{sweep.plan.network}: variants"),
    )


def _shown(sweep: Sweep, rows: Sequence[Row]) -> list[str]:
    """Return the columns in the order of the page, those that say the same as another left out."""
    first = [sweep.named(figure) for figure in SHOWN]
    again = [
        sweep.named(figure)
        for figure, of in (
            ("parameters_inference", "parameters"),
            ("macs_training", "macs"),
            ("other_training", "other"),
        )
        if all(row[sweep.named(figure)] == row[sweep.named(of)] for row in rows)
    ]
    figures = [*first, *(name for name in sweep.figures if name not in (*first, *again))]
    errors = [sweep.error] if any(row[sweep.error] for row in rows) else []
    return [*sweep.parameters, *figures, *errors]


def _column(sweep: Sweep, name: str, rows: Sequence[Row]) -> dict[str, Any]:
    """Return what a page knows of a column."""
    values = [row[name] for row in rows]
    figure = name in sweep.figures
    kind = "figure" if figure else "error" if name == sweep.error else "parameter"
    numeric = all(type(value) in (int, float) for value in values if value is not None)
    return {
        "name": name,
        "kind": kind,
        "numeric": kind != "error" and numeric and (figure or bool(values)),
        "bytes": figure and name in sweep.in_bytes,
    }
