"""archdsl sweep"""

from __future__ import annotations

import sys
import time

import click

from archdsl.cli.destination import Destination, destination
from archdsl.cli.options import Reading, input_shapes, names, pairs, reading
from archdsl.cli.options import where as conditions
from archdsl.cli.terminal import (
    INTERRUPTED,
    OK,
    WRONG_INPUT,
    WRONG_USAGE,
    complain,
    complain_of,
    is_colorful,
)
from archdsl.diagnostics import ArchError
from archdsl.output import Journal
from archdsl.pipeline import Spec
from archdsl.records import Record
from archdsl.variants.axes import Axis, axis_of
from archdsl.variants.choosing import Wish, front, ordered, wishes
from archdsl.variants.errors import BadSweep, OtherSweep
from archdsl.variants.request import request
from archdsl.variants.sweep import Row, Sweep
from archdsl.variants.writing import FORMS, is_sweep, table

UNFINISHED = ".unfinished"  # follows the name of a result that isn't there yet


@click.command("sweep")
@click.argument("name", metavar="SPEC")
@click.option(
    "-p",
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=VALUES",
    help="Values of a parameter: width=0.5,0.75 or depth=1..6 or 'channels=16..256 by 16'.",
)
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="NAME=SHAPE",
    help="Shape of an input: image=3x224x224.",
)
@conditions("parameters < 5e6 and width < 2")
@click.option(
    "--random", type=click.IntRange(1), metavar="N", help="Draw N variants instead of taking all."
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, metavar="N", help="Decides which are drawn."
)
@names("--sort", "Sort by these; --sort=-macs has the most first.")
@click.option("--top", type=click.IntRange(1), metavar="N", help="Keep the first N only.")
@names("--pareto", "Keep the front: macs,parameters; - asks for more.")
@click.option(
    "--jobs", type=click.IntRange(1, 1024), default=1, metavar="N", help="Processes that count."
)
@click.option(
    "--scheduler", default="", metavar="ADDRESS", help="Dask cluster that counts: tcp://..."
)
@click.option(
    "-o", "--output", metavar="FILE", help="File to write: .csv, .json, .md, .parquet or .html."
)
@click.option("--force", is_flag=True, help="Overwrite, and throw away what was begun.")
@reading
def command(
    name: str,
    parameters: tuple[str, ...],
    inputs: tuple[str, ...],
    where: tuple[str, ...],
    random: int | None,
    seed: int,
    sort: str | None,
    top: int | None,
    pareto: str | None,
    jobs: int,
    scheduler: str,
    output: str | None,
    force: bool,
    reading: Reading,
) -> int | None:
    """Count a network for all values of its parameters.

    Each variant is a row; what can't be built is a row with its error. Without -o the table is
    printed. With it, what is done stands in FILE.unfinished until all is: the same command goes on.
    """
    try:
        sweep, choose = _asked(
            reading.spec(name), parameters, inputs, where, random, seed, jobs, scheduler,
            sort, top, pareto,
        )  # fmt: skip
        goes_to = None
        if output is not None:
            goes_to = destination(
                output, sweep.plan.network, ".csv", force, lambda path: is_sweep(path, sweep)
            )
            _require_form(goes_to)
        return _run(sweep, choose, goes_to, force)
    except ArchError as error:  # the spec is right: it is the options, or what is installed
        if not isinstance(error.diagnostics[0], BadSweep | OtherSweep):
            raise
        complain_of(error, is_colorful(sys.stderr))
        raise click.exceptions.Exit(WRONG_USAGE) from None


class _Choice(Record):
    """Which rows are wanted of all, and in which order."""

    sort: list[Wish]
    top: int | None
    pareto: list[Wish]

    def of(self, rows: list[Row], error: str) -> list[Row]:
        """Return them, of rows whose errors stand in a column of that name."""
        if self.pareto:
            rows = front(rows, self.pareto)
        rows = ordered(rows, self.sort)
        return [row for row in rows if not row[error]][: self.top] if self.top else rows


def _asked(
    spec: Spec,
    parameters: tuple[str, ...],
    inputs: tuple[str, ...],
    where: tuple[str, ...],
    random: int | None,
    seed: int,
    jobs: int,
    scheduler: str,
    sort: str | None,
    top: int | None,
    pareto: str | None,
) -> tuple[Sweep, _Choice]:
    types = spec.parameter_types(spec.network)

    def axis(key: str, text: str) -> Axis:
        return axis_of(
            key, text, lambda part: spec.parse_value(key, part, spec.network), types.get(key, "")
        )

    axes = [axis(key, text) for key, text in pairs(parameters, "-p").items()]
    shapes = input_shapes(spec, spec.network, inputs)
    sweep = request(spec, spec.network, axes, shapes, where, random, seed, jobs, scheduler)
    columns, longer = sweep.columns[:-1], sweep.further
    by = wishes("--sort", sort, columns, longer) if sort is not None else []
    best = wishes("--pareto", pareto, columns, longer) if pareto is not None else []
    return sweep, _Choice(by, top, best)


def _require_form(goes_to: Destination) -> None:
    form = goes_to.ending.removeprefix(".")
    if form not in FORMS:
        kinds = ", ".join(f".{form}" for form in FORMS)
        raise click.BadParameter(f"`{goes_to}` ends in none of {kinds}", param_hint="-o")


def _run(sweep: Sweep, choose: _Choice, goes_to: Destination | None, force: bool) -> int:
    """Count, and write what is asked for; Ctrl-C keeps what is done."""
    progress = _Progress()
    journal = None
    if goes_to is not None:
        FORMS[goes_to.ending.removeprefix(".")].require()
        journal = Journal(f"{goes_to.path}{UNFINISHED}")
    try:
        if journal is not None and (found := sweep.keep_in(journal, force)):
            complain(f"going on after {found:,} of {len(sweep.chosen):,} variants")
        sweep.run(progress)
    except KeyboardInterrupt:
        progress.end()
        _interrupted(sweep, choose, journal)
        return INTERRUPTED
    except BaseException:
        progress.end()
        if journal is not None:
            journal.close()
        raise
    progress.end()
    if sweep.random is not None and len(sweep.chosen) < min(sweep.random, sweep.plan.space.size):
        complain(
            f"{len(sweep.chosen):,} variants were found, and not {sweep.random:,}: of "
            f"{sweep.looked_at:,} that were drawn no others fulfil the conditions on parameters"
        )
    every = [*sweep.rows()]
    failed = [row[sweep.error] for row in every if row[sweep.error]]
    rows = choose.of(every, sweep.error)
    if goes_to is None:
        click.echo(table(sweep, rows).removesuffix("\n"))
    else:
        goes_to.write(FORMS[goes_to.ending.removeprefix(".")].write(sweep, rows))
        assert journal is not None
        journal.remove()
        click.echo(f"wrote {goes_to}: {len(rows):,} of {sweep.plan.space.size:,} variants")
    if failed:
        complain(
            f"{len(failed):,} of {len(sweep.chosen):,} variants failed, the first with {failed[0]}"
        )
    return WRONG_INPUT if failed and len(failed) == len(sweep.chosen) else OK


def _interrupted(sweep: Sweep, choose: _Choice, journal: Journal | None) -> None:
    """Say what is done, and where it is."""
    if not sweep.begun:
        if journal is not None:
            journal.close()
        complain("stopped while it was still deciding which variants to count")
        return
    done, of = sweep.done, len(sweep.chosen)
    if journal is not None:
        journal.close()
        complain(
            f"stopped after {done:,} of {of:,} variants, which are in {journal.path}: the same "
            f"command goes on"
        )
    else:
        rows = choose.of([*sweep.rows()], sweep.error)
        click.echo(table(sweep, rows).removesuffix("\n"))
        complain(f"stopped after {done:,} of {of:,} variants; with -o FILE the next one goes on")


class _Progress:
    """How far a sweep is, on a terminal: how many are done, the rate, and the time left."""

    def __init__(self) -> None:
        self.shown = sys.stderr.isatty()
        self.began = self.last = time.monotonic()
        self.before: int | None = None  # that were done when it began

    def __call__(self, done: int, of: int) -> None:
        now = time.monotonic()
        if self.before is None:
            self.before = done
        if not self.shown or (now - self.last < 0.2 and done < of):
            return
        self.last = now
        rate = (done - self.before) / max(now - self.began, 1e-3)
        left = f", {_duration((of - done) / rate)} left" if rate else ""
        text = f"{done:,} of {of:,} variants, {rate:,.0f} a second{left}"
        print(f"\r\x1b[K{_bar(done, of)} {text}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Take the line away."""
        if self.shown and self.before is not None:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _bar(done: int, of: int, wide: int = 20) -> str:
    full = wide * done // max(of, 1)
    return f"[{'#' * full}{'.' * (wide - full)}]"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours} h {minutes} min"
        if hours
        else f"{minutes} min {rest} s"
        if minutes
        else f"{rest} s"
    )
