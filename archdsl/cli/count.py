"""archdsl count"""

from __future__ import annotations

import click

from archdsl.backends.table import FORMATS, render, tells_warnings
from archdsl.cli.options import Reading, graph_of, network, reading
from archdsl.cli.terminal import mention
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
    networks = [graph_of(reading.spec(name), parameters, inputs) for name in specs]
    reports = [count(checked, depth, freeze) for checked in networks]
    text = render(reports, form, explain)
    if not tells_warnings(form, len(reports)):
        mention([one for checked in networks for one in checked.warnings])
    click.echo(text.removesuffix("\n"))
