"""Which rows and columns of a count are shown, and in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from archdsl.analysis.report import Report
from archdsl.backends.columns import (
    BOUNDS_OF_NETWORKS,
    OF_BOUNDS,
    OF_NETWORKS,
    OF_ROWS,
    OF_STEPS,
    Column,
    share,
)
from archdsl.diagnostics import ArchError, printable
from archdsl.elaborate.wording import did_you_mean
from archdsl.layers.sizes import Formula, Size, total
from archdsl.variants.choosing import asked, ordered, wishes
from archdsl.variants.conditions import Conditions
from archdsl.variants.errors import BadSweep
from archdsl.variants.figures import SHORT

PERCENT = "%"
NAMES_OF_NETWORKS = {**SHORT, "name": "network"}
NAMES_OF_ROWS = {"output_shape": "output"}  # which is a word of the language


def chosen(reports: Sequence[Report], where: Sequence[str], sort: str | None) -> list[Report]:
    """Return the reports that conditions are true of, in order; of one report the rows.

    Raises:
        ArchError: the condition makes no sense, or there is no such column.
    """
    if not where and sort is None:
        return list(reports)
    alone = len(reports) == 1
    known = _known(reports)
    longer = NAMES_OF_ROWS if alone else NAMES_OF_NETWORKS
    rows = [_values(of, known) for of in (reports[0].rows if alone else reports)]
    names = [*known]
    shorter = {short: name for short, name in longer.items() if name in names}
    sayable = [name for name in names if name not in NAMES_OF_ROWS.values()]
    conditions = Conditions(where, None, (), [*sayable, *shorter])
    plain = [name for name in names if not any(isinstance(row[name], tuple) for row in rows)]
    for part in (sort or "").split(","):
        if (name := part.strip().removeprefix("-").strip()) in names and name not in plain:
            raise ArchError(BadSweep(reason=f"--sort names `{name}`, and lists have no order"))
    by = wishes("--sort", sort, plain, shorter) if sort is not None else []
    kept = [
        row
        for row in rows
        if conditions.hold(
            [*conditions.early, *conditions.late],
            row | {short: row[name] for short, name in shorter.items()},
        )
    ]
    found = [row["of"] for row in ordered(kept, by)]
    return [reports[0]._replace(rows=tuple(found))] if alone else found


def _known(reports: Sequence[Report]) -> Mapping[str, Column[Any]]:
    """Return all columns of a count, or of a comparison."""
    timed = any(report.roofline for report in reports)
    if len(reports) == 1:
        training = reports[0].training
        steps = OF_STEPS if training.shown and not training.unknown else {}
        return {**OF_ROWS, **steps, **(OF_BOUNDS if timed else {})}
    return {**OF_NETWORKS, **(BOUNDS_OF_NETWORKS if timed else {})}


def _values(of: Any, columns: Mapping[str, Column[Any]]) -> dict[str, Any]:
    """Return what conditions and orders know of a row: numbers, formulas, texts, and lists."""
    found: dict[str, Any] = {"of": of}
    for name, column in columns.items():
        value = column.value(of)
        # numbers by heading are one, together
        found[name] = _value(total(value.values()) if isinstance(value, Mapping) else value)
    return found


def _value(value: Any) -> Any:
    """Return a value of the language: shapes and what there is along axes are lists."""
    if isinstance(value, Fraction):
        return float(value)
    if value is None or isinstance(value, Formula | bool | int | float | str):
        return value
    return tuple(map(_value, value))


def columns(reports: Sequence[Report], text: str) -> list[Column[Any]]:
    """Return the columns of `name,parameters,parameters %`.

    A percentage is of all rows, and where networks are compared, of the first.

    Raises:
        ArchError: there is no such column.
    """
    alone = len(reports) == 1
    known = _known(reports)
    longer = NAMES_OF_ROWS if alone else NAMES_OF_NETWORKS
    found: list[Column[Any]] = []
    for part in asked("--columns", text, [*known, *longer]):
        name = part.removesuffix(PERCENT).rstrip()
        percent = part.endswith(PERCENT)
        column = known.get(longer.get(name, name))
        if column is None:
            every = [*known, *longer]
            reason = f"--columns names `{printable(name, 60)}`, and there is no such column"
            hint = did_you_mean(name, every) or f"there are {', '.join(every)}"
            raise ArchError(BadSweep(reason=reason, hint=hint))
        if not column.heading:
            column = column._replace(
                heading=next((s for s, n in longer.items() if n == column.name), column.name)
            )
        if percent:
            values = [column.value(of) for of in (reports[0].rows if alone else reports[:1])]
            if not all(isinstance(value, int | Formula | Mapping) for value in values):
                reason = f"--columns has `{printable(part, 60)}`, and that has no share"
                raise ArchError(BadSweep(reason=reason, hint="write `parameters %` or `macs %`"))
            column = share(column, total(map(number, values)))
        found.append(column)
    return found


def number(value: Any) -> Size:
    """Return what is counted as one number."""
    size: Size = total(value.values()) if isinstance(value, Mapping) else value
    return size
