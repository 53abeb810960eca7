"""Reads files of weights, which may be anybody's: nothing in them is run, and nothing waited for.

What a file says of itself takes memory before anything of it is used, so that part is bounded by
the number of weights that the network has. The numbers are mapped, and take memory when they are
copied into the network; only files from before torch 1.6 are read whole.
"""

from __future__ import annotations

import io
import os
import pickle
import re
import warnings
import zipfile
from typing import Any

import torch

from archdsl.backends.torch_module.errors import wrong_weights
from archdsl.diagnostics import ArchError, printable
from archdsl.reading import open_regular, reason_of

SAFETENSORS = ".safetensors"
ZIP, PICKLE = b"PK\x03\x04", b"\x80"
BASE, EACH = 2 * 2**20, 4 * 2**10  # bytes for what a file says of itself, and of each weight
NUMBERS = re.compile(r"[^/]*/data/[^/]+")  # the entries of a zip file that hold tensors
# What is often called a file of weights and is none, by how it begins, with what would do.
OTHERS = {
    b"version https://": ("is a pointer of Git LFS", "fetch the file itself with `git lfs pull`"),
    b"<": ("is a page of the web, and no file of weights", "download the file itself"),
    b"\x89HDF": ("is a file of HDF5, as Keras writes it", "save the weights as safetensors"),
}
UNKNOWN = (
    "is neither safetensors nor a file of torch.save",
    "in Python, `load_weights` takes a state_dict that was read in another way",
)


def read_file(path: str, weights: int) -> Any:
    """Return what a file of weights holds: those of safetensors, or what `torch.save` was given.

    Nothing of it has been looked at, but that it is made of tensors and plain values.

    Args:
        weights: how many the network has, on which depends how much a file may say of itself.

    Raises:
        TorchError: it is missing, damaged, no regular file, or holds something else.
    """
    room = BASE + EACH * weights
    if not path:
        raise wrong_weights("an empty path", "names no file")
    try:
        with os.fdopen(open_regular(path), "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(16)
            file.seek(0)
            if not head:
                raise wrong_weights(path, "is empty")
            if _is_safetensors(head, size) or (
                path.endswith(SAFETENSORS) and not head.startswith((ZIP, *OTHERS))
            ):
                return _read_safetensors(path, int.from_bytes(head[:8], "little"), size, room)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if head.startswith(ZIP):
                    if path.endswith(SAFETENSORS):  # torch, too, goes by the name
                        reason = "is called .safetensors, and is of another kind"
                        raise wrong_weights(path, reason, "if torch.save wrote it, call it .pt")
                    _check_entries(path, file, size, room)
                    return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
                if head.startswith(PICKLE):
                    bounded = _Bounded(path, file, room)
                    return torch.load(bounded, map_location="cpu", weights_only=True)
        reason, hint = next(
            (told for start, told in OTHERS.items() if head.startswith(start)), UNKNOWN
        )
        raise wrong_weights(path, reason, hint)
    except ArchError:
        raise
    except OSError as error:
        hint = "name a file in it" if isinstance(error, IsADirectoryError) else ""
        raise wrong_weights(path, reason_of(error), hint) from None
    except pickle.UnpicklingError:
        reason = "holds more than tensors, and only tensors are read from such a file"
        raise wrong_weights(path, reason, "save the state_dict alone, or as safetensors") from None
    except MemoryError:
        raise
    except Exception as error:  # whatever libraries make of a damaged file
        said = printable(" ".join(str(error).split()) or type(error).__name__, 120)
        raise wrong_weights(path, f"is damaged, or no file of weights: {said}") from None


def _is_safetensors(head: bytes, size: int) -> bool:
    """Tell safetensors by how it begins: the length of a header, which is JSON."""
    return head[8:9] == b"{" and 8 + int.from_bytes(head[:8], "little") <= size


def _read_safetensors(path: str, length: int, size: int, room: int) -> Any:
    """Read a file that begins with a header of that length, if it is as long as it says."""
    if room < length <= size:
        raise _too_much(path, length, room)
    try:
        from safetensors.torch import load_file
    except ModuleNotFoundError:
        hint = "pip install safetensors"
        raise wrong_weights(path, "can't be read: safetensors is not installed", hint) from None
    return load_file(path)


def _check_entries(path: str, file: io.FileIO, size: int, room: int) -> None:
    """Refuse a zip file that torch.save did not write, or that would grow when it is read."""
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
    names = {entry.filename.partition("/")[2] for entry in entries}
    if "constants.pkl" in names:
        hint = "save `torch.jit.load(file).state_dict()`"
        raise wrong_weights(path, "is a program of TorchScript, and no file of weights", hint)
    if "data.pkl" not in names:
        raise wrong_weights(path, "is a zip file, and none that torch.save wrote")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        reason = "is compressed, which torch.save does not do, and could hold any amount of data"
        raise wrong_weights(path, reason, "load it with torch, and save its state_dict again")
    if sum(entry.file_size for entry in entries) > size:
        raise wrong_weights(path, "says that it holds more than there is in it")
    said = sum(entry.file_size for entry in entries if not NUMBERS.fullmatch(entry.filename))
    if said > room:
        raise _too_much(path, said, room)


def _too_much(path: str, said: int, room: int) -> ArchError:
    reason = (
        f"takes {said:,} bytes to say what it holds, and {room:,} are enough for weights of this "
        "network"
    )
    return wrong_weights(path, reason, "save the state_dict alone, or as safetensors")


class _Bounded(io.BufferedReader):
    """A file of which `read` gives so much and no more; torch reads the numbers in another way."""

    def __init__(self, path: str, file: io.FileIO, room: int) -> None:
        super().__init__(file)
        self.path = path
        self.room = self.left = room

    def read(self, size: int | None = -1, /) -> bytes:
        return self._counted(super().read(size))

    def readline(self, size: int | None = -1, /) -> bytes:
        return self._counted(super().readline(size))

    def _counted(self, data: bytes) -> bytes:
        self.left -= len(data)
        if self.left < 0:
            raise _too_much(self.path, self.room - self.left, self.room)
        return data
