"""archdsl compile --optimize"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import click

from archdsl.cli.destination import destination
from archdsl.cli.terminal import WRONG_USAGE, complain
from archdsl.graph import CheckedGraph
from archdsl.network import Network
from archdsl.output import write_all

# What is about training, or about another kind of module
OTHERS = ("freeze", "freeze_but", "verify", "torch_compile", "channels_last")
MARK = {"made": "by archdsl compile --optimize"}  # in the head of a file of safetensors
IN_SOURCE = ("native", "eager")  # engines that source can be written for


def command(
    checked: CheckedGraph,
    output: str | None,
    force: bool,
    is_ours: Callable[[str], bool],
    faster: Mapping[str, Any],
    renames: Mapping[str, str],
    wishes: Mapping[str, Any],
) -> int:
    """Write the source of a network that was made faster, and its weights beside it.

    Args:
        faster: what was said of how, by the option.
        wishes: the other options.
    """
    for name in OTHERS:
        if wishes[name]:
            option = f"--{name.replace('_', '-')}"
            raise click.UsageError(f"{option} and --optimize don't go together")
    if wishes["weights"] is None:
        reason = "--optimize works weights into each other: give them with --weights FILE"
        raise click.UsageError(reason)
    engine = faster["--engine"] or IN_SOURCE[0]
    if engine not in IN_SOURCE:
        reason = f"source is written for {' or '.join(IN_SOURCE)}, and not for `{engine}`"
        raise click.BadParameter(
            f"{reason}: use `network.optimize` in Python", param_hint="--engine"
        )
    goes_to = destination(output, f"{checked.name}_fast", ".py", force, is_ours)
    if goes_to.is_standard_output or goes_to.ending != ".py":
        raise click.UsageError("--optimize writes two files: name one that ends in .py")
    beside = f"{os.path.splitext(goes_to.path)[0]}.safetensors"
    destination(beside, "", "", force, is_weights)
    try:
        from archdsl.backends.export import weights_as_bytes
        from archdsl.backends.optimizing import optimize
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        complain("torch is not installed: pip install 'archdsl[torch]'")
        return WRONG_USAGE
    names = None if faster["--passes"] is None else [*filter(None, faster["--passes"].split(","))]
    plain = Network(checked).compile(
        weights=wishes["weights"], allow_mismatch=wishes["allow_mismatch"], rename=renames
    )
    fast = optimize(
        checked, plain, device=wishes["device"] or "cpu", dtype=wishes["dtype"], engine=engine,
        batch=1 if faster["--batch"] is None else faster["--batch"], passes=names,
    )  # fmt: skip
    write_all({goes_to.path: fast.source.encode(), beside: weights_as_bytes(fast.weights, **MARK)})
    for line in fast.report.lines():
        click.echo(line)
    click.echo(f"wrote       {goes_to} and {beside}")
    return 0


def is_weights(path: str) -> bool:
    """Tell whether a file says that these are weights which this command wrote."""
    with open(path, "rb") as file:
        return MARK["made"].encode() in file.read(300)
