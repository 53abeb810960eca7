"""archdsl compile --optimize"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import click

from archdsl.cli.destination import destination
from archdsl.cli.terminal import WRONG_USAGE, complain
from archdsl.graph import CheckedGraph
from archdsl.network import SEEING, Network
from archdsl.output import write_all

# What is about training, or about another kind of module
OTHERS = ("freeze", "freeze_but", "verify", "torch_compile", "channels_last")
MARK = {"made": "by archdsl compile --optimize"}  # in the head of a file of safetensors
# What a network is written as for an engine: the others run what no file holds.
ENDINGS = {"native": ".py", "eager": ".py", "onnxruntime": ".onnx", "openvino": ".onnx"}


def command(
    checked: CheckedGraph,
    output: str | None,
    force: bool,
    is_ours: Callable[[str], bool],
    faster: Mapping[str, Any],
    images: Mapping[str, Any],
    renames: Mapping[str, str],
    wishes: Mapping[str, Any],
) -> int:
    """Write a network that was made faster: source with its weights beside it, or ONNX.

    Args:
        faster: what was said of how, by the option.
        images: what was said of how images of `--calibrate` are prepared, by the option.
        wishes: the other options.
    """
    for name in OTHERS:
        if wishes[name]:
            option = f"--{name.replace('_', '-')}"
            raise click.UsageError(f"{option} and --optimize don't go together")
    if wishes["weights"] is None:
        reason = "--optimize works weights into each other: give them with --weights FILE"
        raise click.UsageError(reason)
    engine = faster["--engine"] or _usual_engine(output, faster["--calibrate"] is not None)
    if engine not in ENDINGS:
        reason = f"files are written for {', '.join(ENDINGS)}, and not for `{engine}`"
        raise click.BadParameter(
            f"{reason}: use `network.optimize` in Python", param_hint="--engine"
        )
    ending = ENDINGS[engine]
    goes_to = destination(output, f"{checked.name}_fast", ending, force, is_ours)
    if goes_to.is_standard_output or goes_to.ending != ending:
        many = "two files" if ending == ".py" else "ONNX"
        reason = f"--optimize for the engine {engine} writes {many}: name one that ends in {ending}"
        raise click.UsageError(reason)
    beside = f"{os.path.splitext(goes_to.path)[0]}.safetensors"
    if ending == ".py":
        destination(beside, "", "", force, is_weights)
    try:
        from archdsl.backends.export import weights_as_bytes
        from archdsl.backends.optimizing import MOST, optimize

        if faster["--calibrate"] is not None:
            from archdsl.backends.seeing import images_of
    except ModuleNotFoundError as error:
        if error.name not in SEEING:
            raise
        extras = "torch" if error.name == "torch" else "torch,see"
        complain(f"{SEEING[error.name]} is not installed: pip install 'archdsl[{extras}]'")
        return WRONG_USAGE
    names = None if faster["--passes"] is None else [*filter(None, faster["--passes"].split(","))]
    samples = None
    if faster["--calibrate"] is not None:
        how = {option.removeprefix("--"): value for option, value in images.items()}
        samples = images_of(checked, faster["--calibrate"], MOST, **how)
    plain = Network(checked).compile(
        weights=wishes["weights"], allow_mismatch=wishes["allow_mismatch"], rename=renames
    )
    fast = optimize(
        checked, plain, device=wishes["device"] or "cpu", dtype=wishes["dtype"], engine=engine,
        batch=1 if faster["--batch"] is None else faster["--batch"], passes=names,
        calibrate=samples,
    )  # fmt: skip
    if fast.onnx is None:
        weights = weights_as_bytes(fast.weights, **MARK)
        written = {goes_to.path: fast.source.encode(), beside: weights}
    else:
        written = {goes_to.path: fast.onnx}
    write_all(written)
    for line in fast.report.lines():
        click.echo(line)
    click.echo(f"wrote       {goes_to}{f' and {beside}' if len(written) > 1 else ''}")
    return 0


def _usual_engine(output: str | None, quantized: bool) -> str:
    """Return the first of the engines that are for such a file."""
    wanted = ".onnx" if quantized or (output or "").lower().endswith(".onnx") else ".py"
    return next(engine for engine, ending in ENDINGS.items() if ending == wanted)


def is_weights(path: str) -> bool:
    """Tell whether a file says that these are weights which this command wrote."""
    with open(path, "rb") as file:
        return MARK["made"].encode() in file.read(300)
