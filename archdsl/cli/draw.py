"""archdsl draw"""

from __future__ import annotations

import sys

import click

from archdsl.cli.destination import destination
from archdsl.cli.modules import graphs_of, modules
from archdsl.cli.options import Reading, graph_of, network, reading
from archdsl.cli.terminal import WRONG_USAGE, complain_of, is_colorful, mention
from archdsl.diagnostics import ArchError, printable
from archdsl.reading import read_regular, reason_of

MOST_BYTES = 2**28  # of a file of times
MOST_SECONDS = 1e9  # that a layer took


@click.command("draw")
@click.argument("name", metavar="SPEC", required=False)
@modules
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
    type=click.Choice(["macs", "parameters", "memory", "time"]),
    help="Colour boxes by what they cost.",
)
@click.option("--times", metavar="FILE", help="What bench printed as JSON, for --heat time.")
@click.option("--counts", is_flag=True, help="Write parameters and multiply-accumulates.")
@click.option("--engine", metavar="NAME", help="graphviz-pure, dot or pygraphviz.")
@click.option("--force", is_flag=True, help="Overwrite a file that archdsl did not write.")
@reading
def command(
    name: str | None,
    modules: tuple[str, ...],
    arguments: tuple[str, ...],
    parameters: tuple[str, ...],
    inputs: tuple[str, ...],
    output: str | None,
    form: str | None,
    depth: int | None,
    unfold: tuple[str, ...],
    direction: str,
    theme: str,
    heat: str | None,
    times: str | None,
    counts: bool,
    engine: str | None,
    force: bool,
    reading: Reading,
) -> None:
    """Draw a network: that of a spec, or of a PyTorch module with --module.

    Without -o it goes to NETWORK.svg in the present folder. Large networks are folded so that
    they stay readable; --depth and --unfold show more.
    """
    if (name is not None) + len(modules) != 1:
        raise click.UsageError("Give one SPEC, or one --module MODULE:NAME.")
    if name is not None:
        checked = graph_of(reading.spec(name), parameters, inputs)
        graphs_of(modules, arguments, inputs)
    else:
        (checked,) = graphs_of(modules, arguments, inputs)
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
            times=_measured(times) if times is not None else None,
        )
    except ArchError as error:  # the spec is right: it is the options, or what is installed
        complain_of(error, is_colorful(sys.stderr))
        raise click.exceptions.Exit(WRONG_USAGE) from None
    goes_to.write(picture.data)
    if not goes_to.is_standard_output:
        click.echo(f"wrote {goes_to}")


def _measured(path: str) -> dict[str, float]:
    """Read how many seconds layers took, from what `archdsl bench --format json` printed.

    Raises:
        click.BadParameter: the file can't be read, or is none of that form.
    """
    import json

    try:
        data = read_regular(path, MOST_BYTES)
    except OSError as error:
        reason = f"{printable(path)} {reason_of(error)}"
        raise click.BadParameter(reason, param_hint="--times") from None
    try:
        layers = json.loads(data)["layers"]
        found = {str(one["name"]): float(one["seconds"]) for one in layers}
        right = all(0 <= seconds < MOST_SECONDS for seconds in found.values())
    except (ValueError, TypeError, KeyError, RecursionError):
        right = False
    if not right:
        reason = f"{printable(path)} is not what `archdsl bench --format json` prints"
        raise click.BadParameter(reason, param_hint="--times")
    return found
