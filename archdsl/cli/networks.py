"""archdsl networks"""

from __future__ import annotations

import os

import click

from archdsl.cli.options import Reading, reading
from archdsl.diagnostics import printable
from archdsl.sources import shipped, shipped_specs


@click.command("networks")
@click.argument("specs", nargs=-1, metavar="[SPEC]...")
@reading
def command(specs: tuple[str, ...], reading: Reading) -> None:
    """List the networks that specs define, with their parameters.

    Without a SPEC, those that come with the package.
    """
    names = specs or tuple(os.path.join(shipped(), file) for file in shipped_specs())
    for number, name in enumerate(names):
        spec = reading.spec(name)
        if len(names) > 1:
            click.echo(("\n" if number else "") + printable(spec.file.source.path))
        indent = "  " if len(names) > 1 else ""
        for network in [spec.asked] if spec.asked else spec.networks:
            signature, text = spec.describe(network)
            click.echo(f"{indent}{printable(signature)}")
            if text:
                click.echo(f"{indent}    {printable(text)}")
