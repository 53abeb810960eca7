"""archdsl compile"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from archdsl.backends.deconvnet.way_back import RULES
from archdsl.cli import optimizing
from archdsl.cli.destination import Destination, destination
from archdsl.cli.options import (
    Reading,
    freezing,
    graph_of,
    names,
    network,
    preparing,
    reading,
    renames_of,
    stored,
)
from archdsl.cli.terminal import WRONG_USAGE, complain, complain_of, is_colorful, mention
from archdsl.diagnostics import ArchError, printable
from archdsl.graph import CheckedGraph
from archdsl.layers.base import DTYPES
from archdsl.patterns import checkpointed

if TYPE_CHECKING:
    import torch
    from torch import nn

    from archdsl.backends.deconvnet.source import Deconvnet
    from archdsl.backends.export import Exported
    from archdsl.backends.python_source import PythonSource
    from archdsl.backends.torch_module import Run, Verification


DTYPE = "float32"  # of parameters, where nobody says another
FLOATS = ("float64", "float32", "float16", "bfloat16")
ENDINGS = (".py", ".onnx", ".pt2", ".safetensors")
REGIONS = ("whole", "blocks")  # what torch.compile takes at once
# What is about training, or about what the network gives
NOT_FOR_A_DECONVNET = ("freeze", "freeze_but", "checkpoint", "verify", "torch_compile")


@dataclass(frozen=True)
class Wishes:
    """How a module is to be made, and what is to be done with it."""

    device: str | None
    dtype: str
    channels_last: bool
    torch_compile: str | None
    weights: str | None
    allow_mismatch: tuple[str, ...]
    rename: dict[str, str]
    freeze: tuple[str, ...]
    freeze_but: tuple[str, ...]
    verify: bool


@click.command("compile")
@click.argument("name", metavar="SPEC")
@network
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="File to write: .py, .onnx, .pt2 or .safetensors; - is standard output, for Python.",
)
@click.option(
    "--deconvnet", metavar="LABEL", help="Write what leads from there back to the pixels, instead."
)
@click.option(
    "--rule", type=click.Choice(RULES), help="What rectifies on that way; else deconvnet."
)
@click.option("--optimize", is_flag=True, help="Make it faster, for inference.")
@click.option(
    "--engine", metavar="NAME", help="What runs it then: native, eager, onnxruntime or openvino."
)
@names("--passes", "What is done for that; else all.", "NAME,...")
@click.option("--batch", metavar="N", type=int, help="How many samples it is timed with; else one.")
@click.option(
    "--calibrate", metavar="DIR", help="Compute in 8 bits; images of this folder say how."
)
@preparing
@stored
@freezing
@click.option(
    "--checkpoint",
    multiple=True,
    metavar="PATTERN",
    help="Compute these blocks again in the backward pass, instead of keeping what they make.",
)
@click.option(
    "--device", metavar="DEVICE", help="cpu, cuda, cuda:N, mps or meta; else a GPU if there is one."
)
@click.option("--dtype", type=click.Choice(FLOATS), default=DTYPE, help="Of the parameters.")
@click.option("--channels-last", is_flag=True, help="Lay images out with channels last in memory.")
@click.option(
    "--torch-compile",
    type=click.Choice(REGIONS),
    is_flag=False,
    flag_value=REGIONS[0],
    help="Run it under torch.compile: whole, or each block by itself, and say how long that takes.",
)
@click.option("--verify", is_flag=True, help="Compare every node with torch.")
@click.option("--force", is_flag=True, help="Overwrite what isn't source that archdsl wrote.")
@reading
def command(
    name: str,
    parameters: tuple[str, ...],
    inputs: tuple[str, ...],
    output: str | None,
    deconvnet: str | None,
    rule: str | None,
    checkpoint: tuple[str, ...],
    optimize: bool,
    engine: str | None,
    passes: str | None,
    batch: int | None,
    calibrate: str | None,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    crop: float | None,
    force: bool,
    rename: tuple[str, ...],
    reading: Reading,
    **wishes: Any,
) -> int:
    """Write a network as a PyTorch module, and run it once.

    Without -o the source goes to NETWORK.py in the present folder, or to NETWORK_deconvnet.py or
    NETWORK_fast.py (NETWORK_fast.onnx for an engine that runs ONNX). Says what was built, and fails
    if torch has other parameters than were counted.
    """
    if rule and deconvnet is None:
        raise click.UsageError(
            "--rule is about a deconvnet: name where from with --deconvnet LABEL"
        )
    if deconvnet is not None:
        for name_of, wish in {**wishes, "checkpoint": checkpoint}.items():
            if wish and name_of in NOT_FOR_A_DECONVNET:
                raise click.UsageError(f"{_option(name_of)} and --deconvnet don't go together")
    images = {"--mean": mean, "--std": std, "--crop": crop}
    faster = {"--engine": engine, "--passes": passes, "--batch": batch, "--calibrate": calibrate}
    if not optimize and (given := [each for each, value in faster.items() if value is not None]):
        raise click.UsageError(f"{given[0]} says how to make it faster: add --optimize")
    if calibrate is None and (given := [each for each, said in images.items() if said is not None]):
        raise click.UsageError(f"{given[0]} is about images: give some with --calibrate DIR")
    renames = renames_of(rename)
    if wishes["weights"] is None and (rename or wishes["allow_mismatch"]):
        option = "--rename" if rename else "--allow-mismatch"
        raise click.UsageError(f"{option} is about weights: give them with --weights FILE")
    checked = graph_of(reading.spec(name), parameters, inputs)
    mention(checked.warnings)
    if optimize:
        if deconvnet is not None:
            raise click.UsageError("--optimize and --deconvnet don't go together")
        if checkpoint:
            raise click.UsageError("--optimize and --checkpoint don't go together")
        return optimizing.command(checked, output, force, _is_ours, faster, images, renames, wishes)
    from archdsl.backends.python_source import generate

    back = None
    if deconvnet is not None:
        from archdsl.backends.deconvnet.source import deconvnet as write_deconvnet

        back = write_deconvnet(checked, deconvnet, rule or RULES[0])
    again = checkpointed(checked, checkpoint)
    mention(again.left_out)
    source = back.source if back else generate(checked, again.scopes)
    name = f"{checked.name}_deconvnet" if back else checked.name
    endings = ENDINGS[:1] if back else ENDINGS
    goes_to = destination(output, name, ".py", force, _is_ours)
    if goes_to.is_standard_output:
        _require_no_run(wishes)
        goes_to.write(source.text.encode())
        return 0
    if goes_to.ending not in endings and not goes_to.path.startswith("/dev/"):
        raise click.UsageError(
            f"{goes_to} must end in {'one of ' * (not back)}{', '.join(endings)}"
        )
    if checkpoint and goes_to.ending in endings[1:]:
        raise click.UsageError(
            f"--checkpoint is about training, and {goes_to} holds no training: write a .py file"
        )
    return build(checked, source, goes_to, Wishes(rename=renames, **wishes), back)


def _require_no_run(wishes: Mapping[str, object]) -> None:
    """Refuse what nothing would come of, since the source alone is written."""
    for name, wish in wishes.items():
        if wish and (name, wish) != ("dtype", DTYPE):
            raise click.UsageError(
                f"-o - writes the source and runs nothing: leave out {_option(name)}, or "
                "name a file"
            )


def _option(name: str) -> str:
    """Write the name of a wish as the option that is given for it."""
    return f"--{name.replace('_', '-')}"


def build(
    checked: CheckedGraph,
    source: PythonSource,
    goes_to: Destination,
    wishes: Wishes,
    back: Deconvnet | None = None,
) -> int:
    """Make the module, run it once, write what was asked for, and say how it went."""
    try:
        import archdsl.backends.torch_module as backend
        from archdsl.backends.torch_module.devices import device_of
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        complain("torch is not installed: pip install 'archdsl[torch]'")
        return 2
    try:
        place = device_of(wishes.device)
    except ArchError as error:  # the spec is right
        complain_of(error, is_colorful(sys.stderr))
        return WRONG_USAGE
    module = backend.torch_module(
        checked, source, device=place, dtype=wishes.dtype, channels_last=wishes.channels_last
    )
    compared = backend.compare_parameters(module, checked)
    click.echo(f"network     {checked.name}, on {place}, {wishes.dtype}")
    click.echo(f"parameters  {compared.found:,} in torch, {compared.counted:,} counted", nl=False)
    click.echo(": the same, name by name" if compared.agrees else "")
    if not compared.agrees:
        names = [*compared.missing, *compared.surplus, *compared.differing]
        complain(f"torch has other parameters than were counted: {', '.join(names[:8])}")
        return 1
    if wishes.freeze or wishes.freeze_but:
        learning = backend.freeze(module, checked, wishes.freeze, wishes.freeze_but)
        layers = f"{len(learning.kept)} layer{'s' if len(learning.kept) > 1 else ''}"
        kept = f"; statistics of {layers} kept" if learning.kept else ""
        click.echo(f"trainable   {learning.trainable:,}, and {learning.frozen:,} frozen{kept}")
    if wishes.weights is not None:
        loaded = backend.load_weights(
            module, wishes.weights, allow_mismatch=wishes.allow_mismatch, rename=wishes.rename
        )
        under = f", under `{printable(loaded.key)}` in the file" if loaded.key else ""
        click.echo(f"weights     {loaded}{under}")
    if back:
        _report_deconvnet(
            back, backend.lead_back_once(module, checked, back.inputs, place, wishes.dtype)
        )
    elif not _run(module, checked, source, place, wishes):
        return 1
    _write(checked, source.text, goes_to, module)
    given = {"weights": wishes.weights, "what is frozen": wishes.freeze or wishes.freeze_but}
    lacking = [what for what, wish in given.items() if wish and goes_to.ending == ".py"]
    without = f", which is the source alone: without {' and '.join(lacking)}" if lacking else ""
    click.echo(f"wrote       {goes_to}{without}")
    return 0


def _run(
    module: nn.Module,
    checked: CheckedGraph,
    source: PythonSource,
    place: torch.device,
    wishes: Wishes,
) -> bool:
    """Run a network once, and compare it where that is wished for; tell whether it agrees."""
    import archdsl.backends.torch_module as backend

    click.echo(f"macs        {_macs(checked)}")
    if wishes.torch_compile:
        from archdsl.backends.torch_module.regions import compiled, times

        with compiled(module, checked, wishes.torch_compile == "blocks") as made:
            first, then = times(lambda: backend.run_once(made.runs, checked, place, wishes.dtype))
        told = ", ".join([f"{block} ({count})" for block, count in made.blocks.items()])
        parts = f"each use of {told}" if told else "the whole network"
        click.echo(
            f"compiled    {parts}: the first run takes {first:.1f} s, the next {1000 * then:.3g} ms"
        )
    _report_run(backend.run_once(module, checked, place, wishes.dtype))
    if not wishes.verify:
        return True
    result = backend.verify(module, checked, place, wishes.dtype, moved=source.moved)
    _report_verification(result)
    return result.agrees


def _report_deconvnet(back: Deconvnet, run: Run) -> None:
    """Say where a deconvnet leads from and to, and by which rule."""
    _report_run(run)
    click.echo(f"rule        {back.rule}: {back.told()}")


def _write(checked: CheckedGraph, source: str, goes_to: Destination, module: nn.Module) -> None:
    """Write what the ending of the path asks for."""
    path, ending = goes_to.path, goes_to.ending
    if ending in (".onnx", ".pt2", ".safetensors"):
        from archdsl.backends.export import export_onnx, export_pt2, save_weights

        if ending == ".safetensors":
            save_weights(module, path)
        elif ending == ".pt2":
            _report_export(export_pt2(module, checked, path), "torch.export")
        else:
            _report_export(export_onnx(module, checked, path), "onnxruntime")
    else:
        goes_to.write(source.encode())


def _report_export(found: Exported, reader: str) -> None:
    """Say for which inputs a file was compared with torch, and how it came out."""

    def text(shapes: Mapping[str, Sequence[int]]) -> str:
        return " and ".join("x".join(map(str, shape)) for shape in shapes.values())

    given = ", ".join(map(text, found.compared))
    click.echo(f"{reader} agrees with torch to {found.difference:.0e}, for inputs of {given}")
    for each in found.left_out:
        who = "torch itself fails" if each.torch else "the file refuses it"
        click.echo(f"not compared for {text(each.shapes)}: {who}: {printable(each.why, 300)}")
        if not each.torch:
            least = min(found.compared, key=lambda shapes: [shape[1:] for shape in shapes.values()])
            click.echo(f"the smallest input compared that the file takes is {text(least)}")


def _report_run(run: Run) -> None:
    for what, shapes in (("input", run.inputs), ("output", run.outputs)):
        for name, shape in shapes.items():
            click.echo(f"{what:<11} {printable(name)}: {' x '.join(map(str, shape))}")


def _report_verification(result: Verification) -> None:
    """Say what was compared, and show each node that differs."""
    unseen = (
        f", {len(result.uncounted)} of them out of its counter's sight" if result.uncounted else ""
    )
    click.echo(
        f"verified    {len(result.nodes):,} nodes in evaluation and training mode against torch: "
        f"shapes, parameters and macs{unseen}"
    )
    for check in result.disagreeing[:20]:
        mode = "training" if check.training else "evaluation"
        pairs = zip(check.shape, check.dtype, check.parameters, check.macs, strict=True)
        counted, found = (
            f"{shape} of {DTYPES[dtype]}, {numbers} parameters, {macs} macs"
            for shape, dtype, numbers, macs in pairs
        )
        complain(f"{check.name} in {mode}: counted {counted}; torch has {found}")
    for name in result.differing:
        complain(f"output `{name}` differs from the result of its nodes one by one")


def _macs(checked: CheckedGraph) -> str:
    from archdsl.analysis.cost import cost
    from archdsl.backends.formulas import readable

    macs, formulas = cost(checked).macs, readable(checked)
    said = f"{formulas.size(macs.inference)} a sample"
    if macs.training != macs.inference:
        said += f", {formulas.size(macs.training)} in training"
    return f"{said}; for {formulas.condition}" if formulas.condition else said


def _is_ours(path: str) -> bool:
    """Tell whether a file is there that archdsl generated."""
    from archdsl.backends.python_source import is_generated

    if os.path.splitext(path)[1] != ".py":
        return False  # others carry no mark
    with open(path, "rb") as file:
        return is_generated(file.read(200).decode(errors="replace"))
