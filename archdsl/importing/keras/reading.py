"""Reads files of Keras, and believes nothing that they say.

A `.json` file is what `model.to_json()` gives; a `.keras` file is a zip that holds the same as
`config.json`, and weights. What a zip says of its sizes isn't believed either: no more is unpacked
than a config may have.
"""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

from archdsl.diagnostics import printable
from archdsl.importing.errors import ImportingError
from archdsl.importing.keras.errors import bad
from archdsl.importing.keras.models import Model
from archdsl.importing.keras.parsing import Parser
from archdsl.reading import open_regular, read_regular, reason_of
from archdsl.records import Record

MOST_BYTES = 2**25  # of a config; the largest applications of Keras have a tenth
MOST_READ = 2**22  # bytes of a zip that are read at once: its list of files
CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
HDF5 = (".h5", ".hdf5")
INSTEAD = "load it in Keras, and `model.save('model.keras')` or write `model.to_json()`"
MOST_TOLD = 4096  # bytes of what a file tells of itself
VERSION = re.compile(rb'"keras_version"\s*:\s*"([0-9.]{1,20})')


class KerasFile(Record):
    """What a file of Keras holds.

    Attributes:
        weights: whether it holds weights as well.
        early: whether Keras 2 wrote it, where some functions were others.
    """

    path: str
    shown: str
    model: Model
    weights: bool
    early: bool

    def bad(self, reason: str, hint: str = "") -> ImportingError:
        """Return an error about the file."""
        return bad(self.shown, reason, hint)


def read(path: str) -> KerasFile:
    """Read a `.json` or `.keras` file.

    Raises:
        ImportingError: it can't be read, is none, or contradicts itself.
    """
    shown = f"`{printable(os.path.basename(path) or path)}`"
    try:
        if path.lower().endswith(HDF5):
            raise bad(shown, "is a model saved as HDF5, which is not read", INSTEAD)
        if path.lower().endswith(".keras"):
            data, version, weights = of_archive(path, shown)
        else:
            data, version, weights = read_regular(path, MOST_BYTES), "", False
    except OSError as error:
        raise bad(shown, reason_of(error)) from None
    if len(data) > MOST_BYTES:
        raise bad(shown, f"has a config of more than {MOST_BYTES:,} bytes")
    said = parsed(data, shown)
    version = version or str(said.get("keras_version", ""))
    early = version.startswith("2.") or "module" not in said
    return KerasFile(path, shown, Parser(shown, early).model(said), weights, early)


def parsed(data: bytes, shown: str) -> Mapping[str, Any]:
    """Return what the JSON of a model says.

    Raises:
        ImportingError: it is no JSON, or not of a model.
    """
    hint = "`model.to_json()` gives one, and `model.save('model.keras')` another"
    try:
        found = json.loads(data)
        if isinstance(found, str):  # what is written with `json.dump(model.to_json(), file)`
            found = json.loads(found)
    except RecursionError:
        raise bad(shown, "is nested too deep to be read") from None
    except ValueError:  # no JSON, no text, or an integer of too many digits
        raise bad(shown, "is no JSON, or is damaged", hint) from None
    if not isinstance(found, dict) or not isinstance(found.get("class_name"), str):
        raise bad(shown, "is no model of Keras", hint)
    return found


def of_archive(path: str, shown: str) -> tuple[bytes, str, bool]:
    """Return the config in a `.keras` file, the version of Keras, and whether weights are there.

    Raises:
        ImportingError: it is no such file.
        OSError: it can't be read.
    """
    try:
        with opened(path) as archive:
            names = archive.namelist()
            if CONFIG not in names:
                raise bad(shown, f"holds no `{CONFIG}`, so it is no `.keras` file")
            with archive.open(CONFIG) as member:
                data = member.read(MOST_BYTES + 1)
            version = ""
            if METADATA in names:
                with archive.open(METADATA) as member:
                    told = VERSION.search(member.read(MOST_TOLD))
                    version = told[1].decode() if told else ""
            return data, version, WEIGHTS in names
    except TROUBLES:
        hint = "a model that was saved as HDF5 or as a folder is read by its `model.to_json()`"
        raise bad(shown, "is no `.keras` file (a zip), or is damaged", hint) from None


# What `zipfile` raises for archives that are damaged, protected, or packed in another way.
TROUBLES = (
    zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError,
    KeyError, IndexError, OverflowError, UnicodeDecodeError,
)  # fmt: skip


@contextmanager
def opened(path: str) -> Iterator[zipfile.ZipFile]:
    """Open a zip.

    Raises:
        OSError: it can't be opened, or is no regular file.
    """
    raw = io.FileIO(open_regular(path), "r")
    with InParts(raw) as file, zipfile.ZipFile(file, "r") as archive:
        yield archive


class InParts(io.BufferedReader):
    """A file of which not much is read at once: a zip may say that its list of files is huge."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0 or size > MOST_READ:
            size = MOST_READ + 1
        found = super().read(size)
        if len(found) > MOST_READ:
            raise zipfile.BadZipFile("asks for too much at once")
        return found


def unpacked(path: str, into: IO[bytes], most: int) -> bool:
    """Write the weights in a `.keras` file into another; return whether they are as many at most.

    Raises:
        OSError: it can't be read.
    """
    with opened(path) as archive, archive.open(WEIGHTS) as member:
        written = 0
        while part := member.read(2**20):
            written += len(part)
            if written > most:
                return False
            into.write(part)
    return True
