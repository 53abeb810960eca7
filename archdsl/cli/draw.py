"""archdsl draw"""

from __future__ import annotations

import sys

import click

from archdsl.cli.destination import destination
from archdsl.cli.options import Reading, graph_of, network, reading
from archdsl.cli.terminal import WRONG_USAGE, complain_of, is_colorful, mention
from archdsl.diagnostics import ArchError


@click.command("draw")
@click.argument("name", metavar="SPEC")
@network
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="File to write: .svg, .png, .pdf, .dot, .html, .mmd or .tex; - is standard output.",
)
@click.option("--format", "form", metavar="FORMAT", help="svg, png, ...; else the file's ending.")
@click.option("--depth", type=click.IntRange(0), metavar="N", help="Fold blocks below this depth.")
@click.option("--unfold", multiple=True, metavar="PATH", help="Open this block: layer1.0, layer1.*")
@click.option("--direction", type=click.Choice(["TB", "LR"]), default="TB", help="Of the flow.")
@click.option("--theme", type=click.Choice(["light", "dark"]), default="light")
@click.option(
    "--heat",
    type=click.Choice(["macs", "parameters", "memory"]),
    help="Colour boxes by what they cost.",
)
@click.option("--counts", is_flag=True, help="Write parameters and multiply-accumulates.")
@click.option("--engine", metavar="NAME", help="graphviz-pure, dot or pygraphviz.")
@click.option("--force", is_flag=True, help="Overwrite a file that archdsl did not write.")
@reading
def command(
    name: str,
    parameters: tuple[str, ...],
    inputs: tuple[str, ...],
    output: str | None,
    form: str | None,
    depth: int | None,
    unfold: tuple[str, ...],
    direction: str,
    theme: str,
    heat: str | None,
    counts: bool,
    engine: str | None,
    force: bool,
    reading: Reading,
) -> None:
    """Draw a network.

    Without -o it goes to NETWORK.svg in the present folder. Large networks are folded so that
    they stay readable; --depth and --unfold show more.
    """
    checked = graph_of(reading.spec(name), parameters, inputs)
    mention(checked.warnings)
    # imported late: who has something wrong in a spec need not wait for that
    from archdsl.backends.diagram import draw, is_drawn

    goes_to = destination(output, checked.name, f".{form or 'svg'}", force, is_drawn)
    try:
        picture = draw(
            checked,
            format=form or goes_to.ending.removeprefix(".") or "svg",
            depth=depth,
            unfold=unfold,
            direction=direction,
            theme=theme,
            heat=heat,
            counts=counts,
            engine=engine,
        )
    except ArchError as error:  # the spec is right: it is the options, or what is installed
        complain_of(error, is_colorful(sys.stderr))
        raise click.exceptions.Exit(WRONG_USAGE) from None
    goes_to.write(picture.data)
    if not goes_to.is_standard_output:
        click.echo(f"wrote {goes_to}")
