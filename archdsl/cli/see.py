"""archdsl see"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from archdsl.backends.deconvnet.way_back import RULES
from archdsl.cli.destination import destination
from archdsl.cli.options import (
    Reading,
    graph_of,
    network,
    preparing,
    reading,
    renames_of,
    stored,
)
from archdsl.cli.terminal import WRONG_USAGE, complain, mention
from archdsl.diagnostics import printable
from archdsl.network import SEEING, Network
from archdsl.output import write_all

if TYPE_CHECKING:
    from archdsl.backends.seeing import Seen

MANY = ("--image", "--checkpoints")  # options that take all that follows up to the next one


class TakesMany(click.Command):
    """A command with options that take several values: `--checkpoints a b c`."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        spread: list[str] = []
        option = ""
        for place, text in enumerate(args):
            if text.startswith("-") and text != "-":
                option = text if text in MANY else ""
            elif option and place and args[place - 1] != option:
                spread.append(option)
            spread.append(text)
        return super().parse_args(context, spread)


def size_of(context: click.Context, option: click.Parameter, text: str | None) -> Any:
    """Read a size: 224, or 224x320."""
    if text is None:
        return None
    parts = text.split("x")
    right = all(part.isascii() and part.isdigit() and 0 < len(part) < 7 for part in parts)
    if not right or len(parts) > 2 or not all(map(int, parts)):
        reason = f"`{printable(text, 60)}` is no size, as in 224 or 224x320 (height x width)"
        raise click.BadParameter(reason, context, option)
    return tuple(map(int, parts))


@click.command("see", cls=TakesMany)
@click.argument("name", metavar="SPEC")
@network
@stored
@click.option("--image", "images", multiple=True, metavar="FILE...", help="Images to look at.")
@click.option("--images", "folder", metavar="DIR", help="Find what excites channels most in here.")
@click.option("--top", default=9, metavar="N", help="How many images of the folder for a channel.")
@click.option(
    "--layer", "shown", multiple=True, metavar="LABEL", help="Layer to show; else some of them."
)
@click.option("--channels", default=8, metavar="N", help="How many channels of a layer.")
@click.option("--classes", metavar="FILE", help="What the classes are called, one name a line.")
@click.option("--class", "target", metavar="NAME", help="Class to look for, by name or number.")
@click.option("--occlude", type=int, metavar="N", help="Move a grey square of N pixels over it.")
@click.option("--step", default=8, metavar="N", help="By so many pixels each time.")
@click.option("--checkpoints", multiple=True, metavar="FILE...", help="Weights in training.")
@click.option(
    "--rule",
    type=click.Choice(RULES),
    default=RULES[0],
    help="By which activations are led back to pixels.",
)
@preparing
@click.option("--size", callback=size_of, metavar="N", help="Of images, if the network takes any.")
@click.option("--batch", default=16, metavar="N", help="Images that are computed at once.")
@click.option("--device", default="cpu", metavar="DEVICE", help="cpu, cuda, cuda:N or mps.")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Page to write (.html), or pictures (.png), one for each figure.",
)
@click.option("--force", is_flag=True, help="Overwrite a file that archdsl did not write.")
@reading
def command(
    name: str,
    parameters: tuple[str, ...],
    inputs: tuple[str, ...],
    output: str | None,
    force: bool,
    rename: tuple[str, ...],
    size: Sequence[int] | None,
    images: tuple[str, ...],
    shown: tuple[str, ...],
    reading: Reading,
    **wishes: Any,
) -> int:
    """Show images to a network, and write a page of what it sees in them.

    Without -o the page goes to NETWORK_seen.html in the present folder. Images are prepared as
    torchvision does it, unless --mean, --std and --crop say otherwise; the page says how.
    """
    if (
        wishes["weights"] is None
        and not wishes["checkpoints"]
        and (rename or wishes["allow_mismatch"])
    ):
        option = "--rename" if rename else "--allow-mismatch"
        raise click.UsageError(f"{option} is about weights: give them with --weights FILE")
    spec = reading.spec(name)
    checked = graph_of(spec, parameters, inputs)
    mention(checked.warnings)
    try:
        from archdsl.backends import seeing
    except ModuleNotFoundError as error:
        if error.name not in SEEING:
            raise
        complain(f"{SEEING[error.name]} is not installed: pip install 'archdsl[torch,see]'")
        return WRONG_USAGE
    from archdsl.backends.marks import is_drawn

    goes_to = destination(output, f"{checked.name}_seen", ".html", force, is_drawn)
    if goes_to.is_standard_output:
        raise click.UsageError("-o - can't hold pictures: name a file that ends in .html or .png")
    seeing.require_format(goes_to.path)
    if shape := seeing.sizes_to_give(checked, size):
        (image,) = checked.inputs
        others = tuple(each for each in inputs if not each.strip().startswith(f"{image}="))
        given = f"{image}={'x'.join(map(str, shape))}"
        checked = graph_of(spec, parameters, (*others, given))
    seen = _with_progress(
        lambda progress: Network(checked).see(
            list(images), layers=shown, rename=renames_of(rename), progress=progress, **wishes
        )
    )
    files = seen.files(goes_to.path)
    for path in files:
        destination(path, "", "", force, is_drawn)
    write_all(files)
    for path in files:
        click.echo(f"wrote {printable(path)}")
    return 0


def _with_progress(work: Callable[[Callable[[int, int], None]], Seen]) -> Seen:
    """Show how far it is, where there is a terminal and a folder of images."""
    bar: Any = None

    def progress(done: int, total: int) -> None:
        nonlocal bar
        if bar is None and os.isatty(2):
            bar = click.progressbar(length=total, label="images", file=sys.stderr, show_pos=True)
        if bar:
            bar.update(done - bar.pos)

    try:
        return work(progress)
    finally:
        if bar:
            bar.render_finish()
