"""Reads files that somebody else chose: regular ones, without waiting, up to a bound."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

PART = 2**20  # bytes read at once


class NoRegularFile(OSError):
    """A pipe, a device, a socket, or a file of the system that waits for something."""


def read_regular(path: Path | str, most_bytes: int) -> bytes:
    """Return what a regular file holds; if that is more than `most_bytes`, one byte more.

    Raises:
        OSError: it can't be read, or is no regular file.
        ValueError: the name has a NUL in it.
    """
    _require_regular(os.stat(path).st_mode, path)  # to open a device may do something
    # not to wait for a pipe that has taken its place
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    try:
        _require_regular(os.fstat(descriptor).st_mode, path)
        parts: list[bytes] = []
        rest = most_bytes + 1
        while rest > 0 and (part := os.read(descriptor, min(rest, PART))):
            parts.append(part)
            rest -= len(part)
    except BlockingIOError:  # a file of the system that would have to wait
        raise _no_regular_file(path) from None
    finally:
        os.close(descriptor)
    return b"".join(parts)


def _require_regular(mode: int, path: Path | str) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise _no_regular_file(path)


def _no_regular_file(path: Path | str) -> NoRegularFile:
    return NoRegularFile(errno.EINVAL, "is no regular file", str(path))
