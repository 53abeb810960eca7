"""The way from an ONNX file to a spec, and to a network made of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import nn

from archdsl.diagnostics import printable
from archdsl.importing.errors import ImportingError
from archdsl.importing.imported import Imported, name_by_position, written_as_spec
from archdsl.importing.naming import valid
from archdsl.importing.onnx.at import TooLarge, require_size
from archdsl.importing.onnx.branches import decide
from archdsl.importing.onnx.checks import require_nodes
from archdsl.importing.onnx.module import onnx_module
from archdsl.importing.onnx.patterns import replaced
from archdsl.importing.onnx.proof import prove
from archdsl.importing.onnx.reading import BRANCHING, OnnxFile, read
from archdsl.importing.proof import Proof
from archdsl.network import Network

BATCH = 2  # samples that a network is run on, where the file has no number for them
SIZES = (224, 192)  # that free sizes have where it is run, in turns
OTHER_SIZES = (256, 320)  # at which no condition may have another answer


def from_onnx(
    path: str | os.PathLike[str],
    /,
    *,
    name: str | None = None,
    shapes: Mapping[str, Sequence[int | str]] | None = None,
) -> Imported:
    """Write an ONNX file as a spec, prove that it computes the same, and return the network.

    The file is data from anybody: all that it says is checked, and nothing of it is run but by
    onnxruntime, to compare outputs.

    Args:
        path: of the file. Numbers that it keeps in other files are read from its folder alone.
        name: of the network; else the file's.
        shapes: of inputs whose sizes are free in the file, without batch, by their names.

    Raises:
        ImportingError: the file can't be read, lies, or holds what the language has no words for.
        Unproven: the text isn't one that the language takes, which is a fault of archdsl.
    """
    path = os.fspath(path)
    file = read(path)
    require_nodes(file)
    replaced(file)
    title = valid(name or os.path.splitext(os.path.basename(path))[0])
    wanted = shapes_of(file, shapes or {})
    if any(node.op == BRANCHING for node in file.nodes):
        decide(file, title, to_decide(file, wanted))
        replaced(file)
    batch, samples = file.batch or BATCH, 2 if file.batch == 1 else file.batch or BATCH
    try:
        module = built(file, title, wanted, (batch, 2 * batch))
    except ImportingError as error:
        found = for_own_batch(file, title, wanted)
        if found is None:
            raise error
        module, samples = found, batch
    inputs = inputs_of(file, wanted, samples, most_of(module))
    free = any(isinstance(size, str) for shape in wanted for size in shape)
    names = [one.name if one.name.isidentifier() else "" for one in file.inputs]

    def compared(loaded: Network, runs: Sequence[tuple[torch.Tensor, ...]]) -> Proof:
        return prove(file, loaded.compile(weights=module.state_dict()), runs)

    return written_as_spec(
        module.eval(),
        inputs,
        compared,
        title,
        names,
        wanted if free else (),
        os.path.basename(path),
    )


def built(
    file: OnnxFile, title: str, wanted: Sequence[tuple[int | str, ...]], batches: Sequence[int]
) -> nn.Module:
    """Return a module that computes what a file does, made by runs of so many samples."""
    module, computed = onnx_module(file, title)
    first, again = (
        tuple(tensor.to("meta") for tensor in inputs_of(file, wanted, batch)) for batch in batches
    )
    computed.build(first, again)
    if computed.nameless:
        inputs = inputs_of(file, wanted, batches[-1], most_of(module))
        name_by_position(module.eval(), inputs, computed.nameless)
    return module


def to_decide(
    file: OnnxFile, wanted: Sequence[tuple[int | str, ...]]
) -> list[tuple[torch.Tensor, ...]]:
    """Return inputs that tell which branches a file takes: two of each size that is open."""
    runs = [(file.batch or BATCH, SIZES), (file.batch or BATCH + 1, OTHER_SIZES)]
    return [
        tuple(one.to("meta") for one in inputs_of(file, wanted, batch, sizes=sizes))
        for batch, sizes in runs
    ]


def for_own_batch(
    file: OnnxFile, title: str, wanted: Sequence[tuple[int | str, ...]]
) -> nn.Module | None:
    """Return the module for the batch that a file has a number for, None if there is none.

    Exporters write sizes into the file that hold for this batch alone. Whether the text holds for
    others all the same is seen when it is compared.
    """
    if not file.batch:
        return None
    try:
        return built(file, title, wanted, (file.batch, file.batch))
    except ImportingError:
        return None


def most_of(module: nn.Module) -> int:
    """Return below what indices have to be that a module takes."""
    tables = (one for one in module.modules() if isinstance(one, nn.Embedding))
    return min((one.num_embeddings for one in tables), default=2)


def shapes_of(
    file: OnnxFile, given: Mapping[str, Sequence[int | str]]
) -> list[tuple[int | str, ...]]:
    """Return the shapes of the inputs without batch, those that are given where they fit.

    Raises:
        ImportingError: they don't.
    """
    names = [one.name for one in file.inputs]
    for name in given:
        if name and name not in names:
            raise file.bad(f"has no input `{printable(name)}`", f"it has {', '.join(names)}")
    found: list[tuple[int | str, ...]] = []
    for one in file.inputs:
        shape = one.shape[1:]
        wanted = given.get(one.name, given.get("") if len(names) == 1 else None)
        if wanted is not None:
            fits = len(wanted) == len(shape) and all(
                isinstance(held, str) or held == size
                for held, size in zip(shape, wanted, strict=True)
            )
            if not fits:
                shown = "x".join(map(str, shape))
                raise file.bad(f"takes `{printable(one.name)}` of {shown}, without the batch")
            shape = tuple(wanted)
        found.append(tuple(valid(size) if isinstance(size, str) else size for size in shape))
    return found


def inputs_of(
    file: OnnxFile,
    shapes: Sequence[tuple[int | str, ...]],
    batch: int,
    most: int = 2,
    sizes: Sequence[int] = SIZES,
) -> tuple[torch.Tensor, ...]:
    """Return random inputs of shapes, with a number for each size that is free."""
    names = dict.fromkeys(size for shape in shapes for size in shape if isinstance(size, str))
    open_sizes = {name: sizes[number % len(sizes)] for number, name in enumerate(names)}
    generator = torch.Generator().manual_seed(0)
    found: list[torch.Tensor] = []
    for one, shape in zip(file.inputs, shapes, strict=True):
        whole = (batch, *(open_sizes[size] if isinstance(size, str) else size for size in shape))
        try:
            require_size(whole)
        except TooLarge:
            raise file.bad("takes inputs of too many numbers to be run") from None
        kind = torch.from_numpy(np.zeros(0, one.kind)).dtype
        if kind.is_floating_point:
            found.append(torch.randn(whole, generator=generator))
        else:
            found.append(torch.randint(0, most, whole, generator=generator).to(kind))
    return tuple(found)
