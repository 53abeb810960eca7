"""Reads the weights of a file: HDF5, of which nothing is followed out of the file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from math import prod
from typing import IO, Any

import torch
from torch import nn

from archdsl.diagnostics import printable
from archdsl.importing.errors import ImportingError
from archdsl.importing.keras.at import Variable
from archdsl.importing.keras.errors import bad
from archdsl.importing.keras.module import Builder
from archdsl.importing.keras.reading import TROUBLES, unpacked
from archdsl.reading import open_regular, reason_of

# Bytes of a file of weights for each number in the network: it may hold what an optimizer keeps.
FOR_EACH, BESIDES = 64, 2**26
NEEDS_H5PY = "h5py is not installed: pip install 'archdsl[keras]'"
VARIANCES = ("running_var", "variance")
OLD = "_layer_checkpoint_dependencies"  # early files have this for `layers`


def filled(build: Builder, module: nn.Module, path: str | None) -> nn.Module:
    """Give a module that was made on the meta device the weights of its file, or of another.

    Raises:
        ImportingError: they can't be read, or aren't those of the network.
    """
    file = build.file
    shown = file.shown if path is None else f"`{printable(os.path.basename(path) or path)}`"
    try:
        with weights_of(build) if path is None else os.fdopen(open_regular(path), "rb") as held:
            return assigned(build, module, read(held, shown, build.variables))
    except OSError as error:
        raise bad(shown, reason_of(error)) from None


@contextmanager
def weights_of(build: Builder) -> Iterator[IO[bytes]]:
    """Unpack the weights in a `.keras` file into a file that is gone afterwards.

    Raises:
        ImportingError: they are damaged, or more than the network needs.
        OSError: they can't be read.
    """
    most = FOR_EACH * build.count + BESIDES
    with tempfile.TemporaryFile() as into:
        try:
            fits = unpacked(build.file.path, into, most)
        except TROUBLES:
            raise build.file.bad("holds weights that are damaged") from None
        if not fits:
            raise build.file.bad(f"holds weights of more than {most:,} bytes for this network")
        into.seek(0)
        yield into


def assigned(
    build: Builder, module: nn.Module, numbers: Mapping[Variable, torch.Tensor]
) -> nn.Module:
    """Give a module its parameters and buffers, made of the weights of Keras."""
    for home, name, source in build.sources:
        found = source.made(*[numbers[one] for one in source.variables])
        held = getattr(home, name)
        if name in VARIANCES and bool((found + getattr(home, "eps", 0.0) < 0).any()):
            text = f"has variances below 0 in its weights `{printable(source.variables[0].home)}`"
            raise build.file.bad(text)
        found = found.to(held.dtype).reshape(held.shape).contiguous().clone()
        home.load_state_dict({name: found}, strict=False, assign=True)
    for one in module.modules():  # what torch counts besides
        for name, held in one.named_buffers(recurse=False):
            if held.is_meta:
                setattr(one, name, torch.zeros(held.shape, dtype=held.dtype))
    return module.requires_grad_(True)


def read(
    held: IO[bytes], shown: str, variables: Mapping[Variable, None]
) -> dict[Variable, torch.Tensor]:
    """Return the weights in a file.

    Raises:
        ImportingError: the file can't be read, or lacks some, or holds others.
    """
    if find_spec("h5py") is None:
        raise bad(shown, "holds weights, which h5py reads", NEEDS_H5PY)
    import h5py

    try:
        with h5py.File(held, "r") as file:
            return {one: tensor(file, one, shown) for one in variables}
    except ImportingError:
        raise
    except Exception as error:  # h5py raises what its library says of a damaged file
        said = printable(" ".join(str(error).split())[:100])
        raise bad(shown, f"is no HDF5 file of weights, or is damaged ({said})") from None


def tensor(file: Any, variable: Variable, shown: str) -> torch.Tensor:
    """Return one of the weights in a file."""
    home = f"{variable.home}/{variable.number}"
    found = dataset(file, home)
    if found is None and "layers/" in home:
        found = dataset(file, home.replace("layers/", f"{OLD}/"))
    if found is None:
        text = f"holds no weights `{printable(home)}`, which the layers need"
        hint = "weights that `model.save_weights('x.weights.h5')` of the same model writes are read"
        raise bad(shown, text, hint)
    if tuple(found.shape) != variable.shape:
        there, wanted = (
            "x".join(map(str, one)) or "one number" for one in (found.shape, variable.shape)
        )
        text = f"holds weights `{printable(home)}` of {there}, where the layers need {wanted}"
        raise bad(shown, text)
    if found.dtype.kind not in "fiu" or found.dtype.itemsize > 8:
        raise bad(shown, f"holds weights `{printable(home)}` that are no numbers")
    array = found[()]
    made = torch.as_tensor(array.astype("float32" if found.dtype.kind == "f" else "int64"))
    if not bool(torch.isfinite(made).all()):
        raise bad(shown, f"holds weights `{printable(home)}` that are not all finite numbers")
    return made


def dataset(file: Any, home: str) -> Any:
    """Return the numbers at a place in the file itself; None if there are none.

    Links to elsewhere aren't followed, and what is kept in other files isn't read.
    """
    import h5py

    found = file
    for part in home.split("/"):
        if not isinstance(found, h5py.Group) or part not in found:
            return None
        if not isinstance(found.get(part, getlink=True), h5py.HardLink):
            return None
        found = found[part]
    if not isinstance(found, h5py.Dataset) or found.external or found.is_virtual:
        return None
    return found


def drawn(build: Builder, module: nn.Module) -> nn.Module:
    """Give a module numbers that are drawn, and say something: a file without weights has none."""
    generator = torch.Generator().manual_seed(0)
    numbers: dict[Variable, torch.Tensor] = {}
    for one in build.variables:
        spread = max(prod(one.shape[:-1]), 1) ** 0.5 if len(one.shape) > 1 else 1.0
        made = torch.rand(one.shape, generator=generator) + 0.5
        if len(one.shape) > 1:
            made = (made - 1) * 3.46 / spread
        numbers[one] = made
    return assigned(build, module, numbers)
