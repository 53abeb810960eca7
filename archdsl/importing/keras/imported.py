"""The way from a file of Keras to a spec, and to a network made of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from archdsl.diagnostics import printable
from archdsl.importing.imported import Imported, written_as_spec
from archdsl.importing.keras.errors import Wrong
from archdsl.importing.keras.held import FIRST
from archdsl.importing.keras.models import Model, Ref
from archdsl.importing.keras.module import Builder, order_of, shape_of
from archdsl.importing.keras.normalization import UNSAID
from archdsl.importing.keras.proof import compared
from archdsl.importing.keras.reading import KerasFile, read
from archdsl.importing.keras.weights import drawn, filled
from archdsl.importing.naming import valid
from archdsl.importing.proof import Proof
from archdsl.network import Network

BATCH = 2  # samples that a network is run on
SIZES = (224, 192)  # that open sizes have where it is run, in turns
NAMES = {1: ("L",), 2: ("H", "W"), 3: ("D", "H", "W")}  # of open sizes, by how many axes there are
MOST_HELD = 2**28  # numbers in weights that are drawn to compare
MOST_RUN = 2**31  # numbers in all tensors of one pass that is run to compare
FIXED = "sizes are not free as asked for: "  # as the text says it
UNCHANGED = ("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", *UNSAID)
INTEGERS = ("int", "uint")


def from_keras(
    path: str | os.PathLike[str],
    /,
    *,
    name: str | None = None,
    shapes: Mapping[str, Sequence[int | str]] | None = None,
    weights: str | os.PathLike[str] | None = None,
) -> Imported:
    """Write a model of Keras as a spec, and return the network.

    The file is data from anybody: Keras isn't imported, nothing of the file is run, and all that
    it says is checked. What is compared: numbers and shapes of weights, and shapes of tensors, with
    those that the file says; and the text with the layers that were made of the file, by outputs.

    Args:
        path: of a `.json` file with what `model.to_json()` gives, or of a `.keras` file.
        name: of the network; else the file's.
        shapes: of inputs, without batch and channels first, by their names: for those whose sizes
            the file leaves open.
        weights: a `.weights.h5` file; a `.keras` file has its own.

    Raises:
        ImportingError: the file can't be read, contradicts itself, or holds what the language has
            no words for.
        Unproven: the text isn't one that the language takes, which is a fault of archdsl.
    """
    path = os.fspath(path)
    file = read(path)
    require_used(file)
    title = valid(name or os.path.splitext(os.path.basename(path))[0])
    wanted = shapes_of(file, shapes or {})
    found = written(file, title, wanted, weights)
    opened = {size for shape in wanted for size in shape if isinstance(size, str)}
    asked = {size for shape in (shapes or {}).values() for size in shape if isinstance(size, str)}
    lost = next((one for one in found.notes if one.startswith(FIXED)), "")
    if not lost or opened <= asked:
        return found
    # they are free in the file, and not because anybody asked for it: a usual size will do
    usual = [tuple(SIZES[0] if isinstance(one, str) else one for one in row) for row in wanted]
    note = f"sizes that are open in the file are {SIZES[0]} here: {lost.removeprefix(FIXED)}"
    return written(file, title, usual, weights, note)


def require_used(file: KerasFile) -> None:
    """Refuse inputs that nothing uses, and outputs that are the same but in training."""
    model = file.model
    read_by = {ref for use in model.uses for ref in use.reads} | {*model.outputs}
    for ref in model.inputs:
        if ref not in read_by:
            hint = "make the model without that one"
            raise file.bad(f"takes an input `{printable(ref.layer)}` that nothing uses", hint)
    made = {(use.layer.name, use.number): use for use in model.uses}
    found: dict[Ref, Ref] = {}
    for output in model.outputs:
        ref = output
        while (use := made[ref.layer, ref.call]).layer.kind in UNCHANGED and len(use.reads) == 1:
            ref = use.reads[0]
        if ref in found:
            first, second = printable(found[ref].layer), printable(output.layer)
            text = f"gives `{first}` and `{second}` as outputs, which are the same but in training"
            if found[ref] == output:
                text = f"gives `{first}` twice as an output"
            raise file.bad(text, "make the model with one of them")
        found[ref] = output


def written(
    file: KerasFile,
    title: str,
    wanted: Sequence[tuple[int | str, ...]],
    weights: str | os.PathLike[str] | None,
    *told: str,
) -> Imported:
    """Write a model for inputs of some shapes, and what else the text doesn't say."""
    inputs = inputs_of(file, wanted)
    on_meta = tuple(one.to("meta") for one in inputs)
    build = Builder(file, title)
    module = build.build(on_meta)
    holds = weights is not None or file.weights
    real: nn.Module | None
    if holds:
        real = filled(build, module, None if weights is None else os.fspath(weights))
    else:
        real = second(file, title, on_meta, build)

    def proof(loaded: Network, runs: Sequence[tuple[torch.Tensor, ...]]) -> Proof:
        return compared(build, loaded, real, [tuple(map(with_numbers, run)) for run in runs], holds)

    names = [one.layer if one.layer.isidentifier() else "" for one in file.model.inputs]
    free = any(isinstance(size, str) for shape in wanted for size in shape)
    return written_as_spec(
        module,
        tuple(inputs) if holds else on_meta,
        proof,
        title,
        names if len(names) > 1 else (),
        wanted if free else (),
        os.path.basename(file.path),
        (*build.notes, *told),
    )


def second(
    file: KerasFile, title: str, inputs: Sequence[torch.Tensor], first: Builder
) -> nn.Module | None:
    """Return the module once more, with weights that are drawn; None if it is too large."""
    if first.count > MOST_HELD or first.numbers > MOST_RUN:
        return None
    build = Builder(file, title)
    return drawn(build, build.build(inputs))


def with_numbers(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor with numbers in the place of one without."""
    if not tensor.is_meta:
        return tensor
    generator = torch.Generator().manual_seed(0)
    if tensor.is_floating_point():
        return torch.randn(tensor.shape, generator=generator)
    # indices of which no table is too short
    return torch.randint(0, 2, tensor.shape, generator=generator).to(tensor.dtype)


def shapes_of(
    file: KerasFile, given: Mapping[str, Sequence[int | str]]
) -> list[tuple[int | str, ...]]:
    """Return the shapes of the inputs without batch, channels first, given ones where they fit.

    Raises:
        ImportingError: they don't.
    """
    model = file.model
    names = [one.layer for one in model.inputs]
    for name in given:
        if name and name not in names:
            raise file.bad(
                f"has no input `{printable(name)}`", f"it has {printable(', '.join(names))}"
            )
    found: list[tuple[int | str, ...]] = []
    for ref in model.inputs:
        wanted = given.get(ref.layer, given.get("") if len(names) == 1 else None)
        label = printable(ref.layer)
        first = order_of(model, ref) == FIRST
        try:
            sizes = list(shape_of(model, ref)[1:])
        except Wrong:
            if wanted is None:
                hint = "say it: `--input 3x224x224`, without the batch and with the channels first"
                raise file.bad(f"doesn't say the shape of its input `{label}`", hint) from None
            found.append(tuple(wanted))
            continue
        if not sizes:
            raise file.bad(f"takes a single number as `{label}`")
        if first:
            sizes = [sizes[-1], *sizes[:-1]]
        shown = "x".join("?" if one is None else str(one) for one in sizes)
        if wanted is not None:
            fits = len(wanted) == len(sizes) and all(
                held is None or held == size for held, size in zip(sizes, wanted, strict=True)
            )
            if not fits:
                raise file.bad(f"takes `{label}` of {shown}, without the batch")
            found.append(tuple(wanted))
            continue
        inner = NAMES.get(len(sizes) - 1, ())
        axes = ("C", *inner) if first else (*inner, "C")
        if len(axes) != len(sizes) or (sizes[0] if first else sizes[-1]) is None:
            axes = tuple(f"S{number}" for number in range(len(sizes)))
            if any(one is None for one in sizes) and len(sizes) > 1:
                hint = (
                    "say them: `--input 3x224x224`, without the batch and with the channels first"
                )
                raise file.bad(f"leaves the sizes of its input `{label}` open: {shown}", hint)
        found.append(
            tuple(name if size is None else size for name, size in zip(axes, sizes, strict=True))
        )
    return found


def is_looked_up(model: Model, ref: Ref) -> bool:
    """Tell whether an input is read by tables of words alone: Keras says floats of it as well."""
    uses = [use for use in model.uses if ref in use.reads]
    return bool(uses) and all(
        is_looked_up(use.layer.model, use.layer.model.inputs[use.reads.index(ref)])
        if use.layer.model is not None and len(use.reads) == len(use.layer.model.inputs)
        else use.layer.kind == "Embedding"
        for use in uses
    )


def inputs_of(file: KerasFile, shapes: Sequence[tuple[int | str, ...]]) -> list[torch.Tensor]:
    """Return random inputs of shapes, with a number for each size that is free."""
    names = dict.fromkeys(size for shape in shapes for size in shape if isinstance(size, str))
    sizes = {name: SIZES[number % len(SIZES)] for number, name in enumerate(names)}
    found: list[torch.Tensor] = []
    for ref, shape in zip(file.model.inputs, shapes, strict=True):
        whole = (BATCH, *(sizes[size] if isinstance(size, str) else size for size in shape))
        numbers = 1
        for one in whole:
            numbers *= one
        if any(one < 1 for one in whole):
            shown = "x".join(map(str, shape))
            text = f"can't be run on `{printable(ref.layer)}` of {shown}: sizes are above 0"
            raise file.bad(text)
        if numbers > MOST_RUN:
            raise file.bad("takes inputs of too many numbers to be run")
        said = file.model.layers[ref.layer].config.get("dtype", "float32")
        integers = isinstance(said, str) and said.startswith(INTEGERS)
        integers = integers or is_looked_up(file.model, ref)
        kind = torch.int64 if integers else torch.bool if said == "bool" else torch.float32
        found.append(with_numbers(torch.empty(whole, dtype=kind, device="meta")))
    return found
