"""archdsl layers"""

from __future__ import annotations

import click

from archdsl.cli.options import Reading, reading
from archdsl.layers.registry import Registry
from archdsl.layers.signature import reference, signature, summary


@click.command("layers")
@click.argument("name", required=False)
@reading
def command(name: str | None, reading: Reading) -> None:
    """Explain a layer, or list all of them."""
    from archdsl.own_layers import registered

    layers = Registry(registered() if reading.layers else {})
    if name is None:
        family = ""
        for kind in sorted(layers.values(), key=lambda kind: (kind.family, kind.__name__)):
            if kind.family != family:
                click.echo(("\n" if family else "") + kind.family)
                family = kind.family
            click.echo(f"  {signature(kind)}")
            click.echo(f"      {summary(kind)}")
    elif name in layers:
        click.echo(reference(layers[name]))
    else:
        from archdsl.elaborate import elsewhere
        from archdsl.elaborate.wording import did_you_mean

        hint = layers.elsewhere(name)
        hint = (f"here it is `{hint}`" if hint else "") or elsewhere.layer(name)
        hint = hint or did_you_mean(name, layers) or elsewhere.LIST
        raise click.BadParameter(f"there is no layer called `{name}`; {hint}")
