"""archdsl import"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

from archdsl.cli.destination import Destination, destination
from archdsl.cli.modules import ARGUMENTS, given_sizes, require_torch, shapes_of, values
from archdsl.cli.options import renames_of, stored
from archdsl.cli.terminal import WRONG_INPUT, WRONG_USAGE, complain
from archdsl.diagnostics import printable
from archdsl.output import write_all

if TYPE_CHECKING:
    from archdsl.importing.imported import Imported

MARK = "Written by archdsl import"  # at the head of what it writes


@click.command("import")
@click.argument("what", metavar="MODULE:NAME|FILE")
@click.option("-o", "--output", metavar="FILE", help="File to write: .arch; - is standard output.")
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="[NAME=]SHAPE",
    help="Shape of an input, without the batch: 3x224x224, or 3xHxW for free sizes.",
)
@ARGUMENTS
@stored
@click.option(
    "--weights-to", metavar="FILE", help="Write its weights as well, as .safetensors: both or none."
)
@click.option("--batch", type=click.IntRange(min=2), default=2, help="Samples to run it on.")
@click.option("--force", is_flag=True, help="Overwrite a file that archdsl did not write.")
def command(
    what: str,
    output: str | None,
    inputs: tuple[str, ...],
    arguments: tuple[str, ...],
    weights: str | None,
    allow_mismatch: tuple[str, ...],
    rename: tuple[str, ...],
    weights_to: str | None,
    batch: int,
    force: bool,
) -> int:
    """Write a PyTorch module, ONNX file or Keras model as a spec, and prove that it is the same.

    MODULE:NAME is a module, its class, or a function that makes one, in an importable place:
    torchvision.models:resnet50. Naming it runs its code. Of a file, .onnx, .keras, or .json of
    `model.to_json()`, nothing is run but by onnxruntime, to compare.
    """
    require_torch()
    if what.lower().endswith(".onnx"):
        _require_none_of_modules("an ONNX file", arguments, weights, rename, allow_mismatch)
        return _onnx(what, output, inputs, weights_to, force)
    if what.lower().endswith((".keras", ".json", ".h5", ".hdf5")):
        _require_none_of_modules("a Keras model", arguments, None, rename, allow_mismatch)
        return _keras(what, output, inputs, weights, weights_to, force)
    from archdsl.importing.made import from_here, in_order, made, random_inputs

    given_values = values(arguments)
    named = shapes_of(inputs)
    shapes = given_sizes([shape for _, shape in named])
    click.get_current_context().with_resource(from_here())
    module, title = made(what, given_values)
    order = in_order(module, [name for name, _ in named])
    named, shapes = [named[at] for at in order], [shapes[at] for at in order]
    goes_to = _destination(output, title, force)
    _require_weights(weights_to, force)
    if weights is not None:
        from archdsl.backends.torch_module import load_weights

        load_weights(module, weights, allow_mismatch=allow_mismatch, rename=renames_of(rename))
    elif rename or allow_mismatch:
        option = "--rename" if rename else "--allow-mismatch"
        raise click.UsageError(f"{option} is of --weights, which is not given")
    from archdsl.importing.imported import from_torch

    given = random_inputs(module, shapes, batch)
    names, free = [name for name, _ in named], [shape for _, shape in named]
    return _report(
        lambda: from_torch(module, given, name=title, inputs=names, shapes=free, source=what),
        goes_to,
        weights_to,
    )


def _onnx(
    path: str, output: str | None, inputs: tuple[str, ...], weights_to: str | None, force: bool
) -> int:
    """Write an ONNX file as a spec."""
    for needed in ("onnx", "onnxruntime"):
        if find_spec(needed) is None:
            complain(f"{needed} is not installed: pip install 'archdsl[onnx]'")
            return WRONG_USAGE
    title = os.path.splitext(os.path.basename(path))[0]
    shapes = dict(shapes_of(inputs)) if inputs else {}
    goes_to = _destination(output, title, force)
    _require_weights(weights_to, force)
    from archdsl.importing.onnx.imported import from_onnx

    return _report(lambda: from_onnx(path, shapes=shapes), goes_to, weights_to)


def _keras(
    path: str,
    output: str | None,
    inputs: tuple[str, ...],
    weights: str | None,
    weights_to: str | None,
    force: bool,
) -> int:
    """Write a model of Keras as a spec."""
    title = os.path.splitext(os.path.basename(path))[0]
    shapes = dict(shapes_of(inputs)) if inputs else {}
    goes_to = _destination(output, title, force)
    _require_weights(weights_to, force)
    if weights_to is not None and weights is None and not path.lower().endswith(".keras"):
        raise click.UsageError(
            f"{printable(path)} holds no weights; --weights FILE.weights.h5 says where they are"
        )
    from archdsl.importing.keras.imported import from_keras

    return _report(lambda: from_keras(path, shapes=shapes, weights=weights), goes_to, weights_to)


def _require_none_of_modules(
    file: str,
    arguments: tuple[str, ...],
    weights: str | None,
    rename: tuple[str, ...],
    allow_mismatch: tuple[str, ...],
) -> None:
    """Refuse options that say something of modules where a file, in words, is named."""
    given = {
        "--arg": arguments,
        "--weights": weights,
        "--rename": rename,
        "--allow-mismatch": allow_mismatch,
    }
    for option, value in given.items():
        if value:
            raise click.UsageError(f"{option} is of modules; {file} has its own weights")


def _report(imported: Callable[[], Imported], goes_to: Destination, weights_to: str | None) -> int:
    """Write the text, and say what came out of the comparison."""
    from archdsl.importing.imported import Unproven

    try:
        found = imported()
    except Unproven as error:
        goes_to.write(error.marked.encode())
        complain(error.sentence)
        return WRONG_INPUT
    text = found.spec.encode()  # or say what is missing
    if weights_to is not None:
        from archdsl.backends.export import weights_as_bytes

        files = {weights_to: weights_as_bytes(found.weights)}
        if not goes_to.is_standard_output:
            files[goes_to.path] = text
        write_all(files)
    if weights_to is None or goes_to.is_standard_output:
        goes_to.write(text)
    if not goes_to.is_standard_output:
        lines = len(found.spec.splitlines())
        click.echo(f"network     {found.name}")
        click.echo(f"compared    {found.proof.sentence()}")
        for note in found.notes:
            click.echo(f"not said    {note}")
        click.echo(f"wrote       {goes_to}, {lines} lines")
        if weights_to is not None:
            click.echo(f"weights     {printable(weights_to)}")
    else:
        print(found.proof.sentence(), file=sys.stderr)
    return 0 if found.proof.same else WRONG_INPUT


def _require_weights(path: str | None, force: bool) -> None:
    """Refuse to write weights elsewhere than to a new file for them."""
    if path is None:
        return
    if os.path.splitext(path)[1].lower() != ".safetensors":
        raise click.UsageError(f"{printable(path)} must end in .safetensors")
    if os.path.exists(path) and not force:
        raise click.UsageError(f"{printable(path)} is there already; --force overwrites it")


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
