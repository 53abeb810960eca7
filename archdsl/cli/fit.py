"""archdsl fit"""

from __future__ import annotations

import re
from json import dumps
from typing import Any

import click

from archdsl.analysis.fitting import Fit, Unfit, fit
from archdsl.analysis.training import DTYPES
from archdsl.backends.formulas import apart_in_bytes
from archdsl.cli.options import Reading, freezing, graph_of, network, one_of, reading
from archdsl.cli.options import training as training_options
from archdsl.cli.terminal import WRONG_INPUT, mention
from archdsl.counting import options_of
from archdsl.diagnostics import printable
from archdsl.patterns import frozen_parameters, pattern_of

UNITS = {"": 1} | {
    f"{letter}{ending}": (1024 if ending == "iB" else 1000) ** power
    for power, letter in enumerate("kmgt", start=1)
    for ending in ("iB", "B")
}


def memory_of(text: str) -> int:
    """Read an amount of memory: 24GiB, 80GB, 512MiB, or bytes.

    Raises:
        click.BadParameter: it is none.
    """
    form = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,6})?) *([a-zA-Z]{0,3})", text.strip(), re.ASCII)
    units = {unit.lower(): size for unit, size in UNITS.items()} | {"b": 1}
    unit = form[2].lower() if form else ""
    if form is None or unit not in units or float(form[1]) == 0:
        reason = f"`{printable(text, 100)}` is no amount of memory, as in 24GiB or 512MiB"
        raise click.BadParameter(reason, param_hint="--memory")
    return int(float(form[1]) * units[unit])


@click.command("fit")
@click.argument("name", metavar="SPEC")
@network
@click.option("--memory", required=True, metavar="SIZE", help="What there is: 24GiB, 512MiB.")
@freezing
@training_options
@click.option("--dtype", metavar="TYPE", help=f"Of the numbers: {' or '.join(DTYPES)}.")
@click.option("--format", "form", type=click.Choice(("text", "json")), default="text")
@reading
def command(
    name: str,
    parameters: tuple[str, ...],
    inputs: tuple[str, ...],
    memory: str,
    freeze: tuple[str, ...],
    freeze_but: tuple[str, ...],
    step: dict[str, Any],
    dtype: str | None,
    form: str,
    reading: Reading,
) -> int | None:
    """Find the largest batch whose training step fits into a memory.

    If none does, the blocks are chosen that have to be computed again for it, with the least work.
    """
    there = memory_of(memory)
    if dtype is not None:
        one_of(dtype, tuple(DTYPES), "--dtype")
        step["dtype"] = dtype
    checked = graph_of(reading.spec(name), parameters, inputs)
    mention(checked.warnings)
    options = options_of(checked, step, mention)
    try:
        found = fit(checked, there, options, frozen_parameters(checked, freeze, freeze_but))
    except Unfit as error:
        raise click.UsageError(str(error)) from None
    if form == "json":
        click.echo(dumps(as_data(checked.name, there, found), indent=2))
    else:
        click.echo("\n".join(lines(checked.name, there, found)))
    return None if found.training else WRONG_INPUT


def as_data(name: str, memory: int, found: Fit) -> dict[str, object]:
    """Return what fits as what JSON has."""
    training = found.training
    peak = training.peak if training else None
    return {
        "network": name,
        "memory": memory,
        "batch": training.options.batch if training else None,
        "peak": peak.size if peak else None,
        "peak_of_one_more": found.next,
        "checkpoint": sorted(training.options.checkpoint) if training else [],
        "chosen": list(found.chosen),
        "note": training.note if training else "",
        "macs_again": training.sums.again if training else None,
        "peak_without_checkpoints": found.without,
        "least_peak": found.least,
        "sets_tried": found.tried,
    }


def lines(name: str, memory: int, found: Fit) -> list[str]:
    """Say what fits, for people."""
    training = found.training
    peak = training.peak.size if training and training.peak else None
    sizes = (memory, found.without, found.next, found.least, peak)
    # all that is told is told beside each other: what differs must be seen to
    shown = apart_in_bytes(size for size in sizes if size is not None)
    there, without = shown[memory], "" if found.without is None else shown[found.without]
    if training is None or training.peak is None:
        said = [f"No batch of {name} fits into {there}: one sample takes {without}"]
        if found.least is not None:
            said.append(_least(found, shown[found.least]))
        return said
    batch, dtype, optimizer, _ = training.options
    said = [f"{name} in {there}: a batch of {batch:,} ({dtype}, {optimizer})"]
    said.append(f"  peak of a step  {shown[training.peak.size]}, {training.peak_at}")
    if training.note:
        said.append(f"  what is kept  {training.note}")
    if found.next is not None:
        said.append(f"  of {batch + 1:,}  {shown[found.next]}")
    if found.chosen:
        again, forward = training.sums.again, training.forward
        assert isinstance(again, int)
        assert isinstance(forward, int)
        part = 100 * again / (batch * forward) if forward else 0.0
        said.append(f"  without checkpoints one sample takes {without}")
        said.append(
            f"  computed again  {again:,} multiply-accumulates, {part:.1f} % of a forward pass"
        )
        patterns = " ".join(f"--checkpoint '{pattern_of(one)}'" for one in found.chosen)
        said.append(f"  as options  {patterns}")
        if found.tried is not None:
            said.append(f"  which may not be the least: {_tried(found.tried)}")
    return said


def _least(found: Fit, least: str) -> str:
    if found.tried is None:
        return f"Whichever blocks are computed again, it takes {least} or more"
    return (
        f"With blocks computed again it takes {least} or more as far as was found, and others may "
        f"do with less: {_tried(found.tried)}"
    )


def _tried(number: int) -> str:
    return f"there are more sets of blocks than the {number:,} that were tried"
