"""archdsl count"""

from __future__ import annotations

import click

from archdsl.backends.table import FORMATS, render
from archdsl.cli.options import Reading, graph_of, network, reading
from archdsl.counting import count


@click.command("count")
@click.argument("specs", nargs=-1, required=True, metavar="SPEC...")
@network
@click.option(
    "--depth", type=click.IntRange(0), metavar="N", help="Make blocks N deep one row each."
)
@click.option("--explain", is_flag=True, help="Show how each number of parameters comes about.")
@click.option(
    "--freeze", multiple=True, metavar="PATTERN", help="Keep these from learning: 'features.*'."
)
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="table", help="Of the result."
)
@reading
def command(
    specs: tuple[str, ...],
    parameters: tuple[str, ...],
    inputs: tuple[str, ...],
    depth: int | None,
    explain: bool,
    freeze: tuple[str, ...],
    form: str,
    reading: Reading,
) -> None:
    """Count parameters, multiply-accumulates, memory and receptive fields.

    One row a layer and the totals below; several specs give one table to compare them.
    Multiply-accumulates are those of convolutions, linear layers and matrix products; what else
    a network computes stands under "other operations".
    """
    reports = [
        count(graph_of(reading.spec(name), parameters, inputs), depth, freeze) for name in specs
    ]
    text = render(reports, form, explain)
    click.echo(text.removesuffix("\n"))
