"""archdsl count"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from archdsl.analysis.report import Report
from archdsl.analysis.training import DTYPES as WIDTHS
from archdsl.backends.table import FORMATS, render, tells_warnings
from archdsl.cli.modules import graphs_of, modules
from archdsl.cli.on_device import DTYPES, least_times
from archdsl.cli.options import Reading, freezing, graph_of, names, network, one_of, reading
from archdsl.cli.options import training as training_options
from archdsl.cli.options import where as conditions
from archdsl.cli.terminal import WRONG_USAGE, complain_of, is_colorful, mention
from archdsl.counting import LARGEST_BATCH, count, options_of
from archdsl.diagnostics import ArchError


@click.command("count")
@click.argument("specs", nargs=-1, metavar="SPEC...")
@modules
@network
@click.option(
    "--depth", type=click.IntRange(0), metavar="N", help="Make blocks N deep one row each."
)
@click.option("--explain", is_flag=True, help="Show how each number of parameters comes about.")
@freezing
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="table", help="Of the result."
)
@click.option(
    "--device", metavar="NAME", help="Least times on it: h100-sxm, cpu:2e12:80e9, FILE.json."
)
@click.option(
    "--training", is_flag=True, help="Show what a training step takes in memory, block by block."
)
@training_options
@click.option(
    "--batch",
    type=click.IntRange(1, LARGEST_BATCH),
    metavar="N",
    help="Samples, for --device and --training.",
)
@click.option("--dtype", type=click.Choice(DTYPES), help="Of the numbers, for both as well.")
@conditions("macs < 3e8")
@names("--sort", "Sort by these; --sort=-macs has the most first.")
@names("--columns", "Show these: name,parameters,'parameters %'; not in JSON.")
@reading
def command(
    specs: tuple[str, ...],
    modules: tuple[str, ...],
    arguments: tuple[str, ...],
    parameters: tuple[str, ...],
    inputs: tuple[str, ...],
    depth: int | None,
    explain: bool,
    freeze: tuple[str, ...],
    freeze_but: tuple[str, ...],
    form: str,
    device: str | None,
    training: bool,
    step: dict[str, Any],
    batch: int | None,
    dtype: str | None,
    where: tuple[str, ...],
    sort: str | None,
    columns: str | None,
    reading: Reading,
) -> None:
    """Count parameters, multiply-accumulates, memory and receptive fields.

    Of a spec, or of a PyTorch module: --module torchvision.models:resnet50 --input 3x224x224.
    One row a layer and the totals below; several specs give one table to compare them. --where,
    --sort and --columns are about those rows: totals, and percentages, are of all layers. Where
    networks are compared, percentages are of the first.
    Multiply-accumulates are those of convolutions, linear layers and matrix products; what else
    a network computes stands under "other operations".
    """
    if not specs and not modules:
        raise click.UsageError("Missing argument 'SPEC...', or --module MODULE:NAME.")
    networks = [
        *(graph_of(reading.spec(name), parameters, inputs) for name in specs),
        *graphs_of(modules, arguments, inputs),
    ]
    if step and not training:
        raise click.UsageError(f"--{next(iter(step))} is of --training, which is not given")
    if training:
        depth = 1 if depth is None else depth
        step |= {"batch": batch or 1, "dtype": dtype or "float32"}
        one_of(step["dtype"], tuple(WIDTHS), "--dtype")
    reports = [
        count(
            checked,
            depth,
            freeze,
            freeze_but,
            None if training and not device else least_times(checked, device, batch, dtype),
            options_of(checked, step, mention) if training else None,
        )
        for checked in networks
    ]
    text = _asked(reports, form, explain, where, sort, columns)
    if not tells_warnings(form, len(reports)):
        mention([one for checked in networks for one in checked.warnings])
    click.echo(text.removesuffix("\n"))


def _asked(
    reports: Sequence[Report],
    form: str,
    explain: bool,
    where: tuple[str, ...],
    sort: str | None,
    columns: str | None,
) -> str:
    """Write reports, or of them what is asked for."""
    if not where and sort is None and columns is None:
        return render(reports, form, explain)
    # imported late: most counts need none of it
    from archdsl.variants.counted import chosen
    from archdsl.variants.counted import columns as named

    if columns is not None and (form == "json" or explain):
        other = "--explain" if explain else "--format json, which has them all"
        raise click.UsageError(f"--columns can't be given with {other}")
    try:
        shown = named(reports, columns) if columns is not None else ()
        return render(chosen(reports, where, sort), form, explain, shown, len(reports) > 1)
    except ArchError as error:  # the specs are right: it is the options
        complain_of(error, is_colorful(sys.stderr))
        raise click.exceptions.Exit(WRONG_USAGE) from None
