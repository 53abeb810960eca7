"""archdsl check"""

from __future__ import annotations

import sys

import click

from archdsl.cli.options import Reading, reading
from archdsl.cli.terminal import as_json, is_colorful, mention
from archdsl.diagnostics import MOST_ERRORS, ArchError, Diagnostic, printable, render_all
from archdsl.pipeline import in_order


@click.command("check")
@click.argument("specs", nargs=-1, required=True, metavar="SPEC...")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    help="Of what is wrong.",
)
@reading
def command(specs: tuple[str, ...], form: str, reading: Reading) -> int:
    """Say what is wrong with specs, and what looks as if it weren't meant.

    Every network of a file that needs no further values is worked out, and the rest reviewed.
    """
    found: list[Diagnostic] = []
    for name in specs:
        try:
            checked, warnings = _check(reading, name)
        except ArchError as error:
            found += error.diagnostics
            if form == "text":
                print(render_all(error.diagnostics, is_colorful(sys.stderr)), file=sys.stderr)
        else:
            if form == "text":
                mention(warnings)
                print(f"{printable(name)}: ok ({', '.join(checked) or 'no network to work out'})")
    if form == "json":
        print(as_json(found))
    return 1 if found else 0


def _check(reading: Reading, name: str) -> tuple[list[str], list[Diagnostic]]:
    """Return the names of the networks that were worked out, and what is worth saying of them."""
    spec = reading.spec(name)
    names = [spec.asked] if spec.asked else [one for one in spec.networks if spec.is_complete(one)]
    found: dict[object, Diagnostic] = {}
    warnings: list[Diagnostic] = []
    spec.require_affordable(names)  # a file may define any number
    for network in names:
        try:
            warnings += spec.graph(network).warnings
        except ArchError as error:
            for diagnostic in error.diagnostics:  # of blocks that networks share, once
                found.setdefault((diagnostic.code, diagnostic.span), diagnostic)
        exceeded = spec.exceeded
        if exceeded and not found:  # what is wrong is worth more than that it takes long
            raise ArchError(exceeded)
        if exceeded or len(found) > MOST_ERRORS:
            break
    if found:
        raise ArchError(*in_order(found.values()))
    spec.require_sound()
    return names, in_order(warnings)
