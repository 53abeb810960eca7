"""archdsl import"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from archdsl.cli.destination import Destination, destination
from archdsl.cli.modules import ARGUMENTS, numbers, require_torch, shapes_of, values
from archdsl.cli.terminal import WRONG_INPUT, complain

if TYPE_CHECKING:
    from archdsl.importing.imported import Imported

MARK = "Written by archdsl import"  # at the head of what it writes


@click.command("import")
@click.argument("what", metavar="MODULE:NAME")
@click.option("-o", "--output", metavar="FILE", help="File to write: .arch; - is standard output.")
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="[NAME=]SHAPE",
    help="Shape of an input, without the batch: 3x224x224.",
)
@ARGUMENTS
@click.option("--weights", metavar="FILE", help="Weights of the module, to compare it with them.")
@click.option("--batch", type=click.IntRange(min=2), default=2, help="Samples to run it on.")
@click.option("--force", is_flag=True, help="Overwrite a file that archdsl did not write.")
def command(
    what: str,
    output: str | None,
    inputs: tuple[str, ...],
    arguments: tuple[str, ...],
    weights: str | None,
    batch: int,
    force: bool,
) -> int:
    """Write a PyTorch module as a spec, and prove that it is the same.

    MODULE:NAME is a module, its class, or a function that makes one, in an importable place:
    torchvision.models:resnet50. Naming it runs its code.
    """
    require_torch()
    from archdsl.importing.made import from_here, made, random_inputs

    given_values = values(arguments)
    shapes = numbers(shapes_of(inputs))
    click.get_current_context().with_resource(from_here())
    module, title = made(what, given_values, weights)
    goes_to = _destination(output, title, force)
    from archdsl.importing.imported import Unproven, from_torch

    given = random_inputs(module, [shape for _, shape in shapes], batch)
    names = [name for name, _ in shapes]
    try:
        found = from_torch(module, given, name=title, inputs=names, source=what)
    except Unproven as error:
        goes_to.write(error.marked.encode())
        complain(error.sentence)
        return WRONG_INPUT
    return _report(found, goes_to)


def _report(found: Imported, goes_to: Destination) -> int:
    """Write the text, and say what came out of the comparison."""
    goes_to.write(found.spec.encode())  # or say what is missing
    if not goes_to.is_standard_output:
        lines = len(found.spec.splitlines())
        click.echo(f"network     {found.name}")
        click.echo(f"compared    {found.proof.sentence()}")
        for note in found.notes:
            click.echo(f"not said    {note}")
        click.echo(f"wrote       {goes_to}, {lines} lines")
    else:
        print(found.proof.sentence(), file=sys.stderr)
    return 0 if found.proof.same else WRONG_INPUT


def _destination(output: str | None, title: str, force: bool) -> Destination:
    """Return where the text goes; a file of somebody else's is left alone."""
    goes_to = destination(output, title, ".arch", force, _is_ours)
    plain = goes_to.is_standard_output or goes_to.path.startswith("/dev/")
    if goes_to.ending != ".arch" and not plain:
        raise click.UsageError(f"{goes_to} must end in .arch")
    return goes_to


def _is_ours(path: str) -> bool:
    """Tell whether a file says that it was written by this command."""
    with open(path, "rb") as file:
        return MARK.encode() in file.read(4096)
