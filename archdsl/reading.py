"""Reads files that somebody else chose: regular ones, without waiting, up to a bound."""

from __future__ import annotations

import errno
import os
import stat

PART = 2**20  # bytes read at once


class NoRegularFile(OSError):
    """A pipe, a device, a socket, or a file of the system that waits for something."""


class NoFileName(OSError):
    """A name with a NUL in it, which ends names for the system."""


def read_regular(path: os.PathLike[str] | str, most_bytes: int) -> bytes:
    """Return what a regular file holds; if that is more than `most_bytes`, one byte more.

    Raises:
        OSError: it can't be read, or is no regular file.
    """
    descriptor = open_regular(path)
    try:
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


def open_regular(path: os.PathLike[str] | str) -> int:
    """Open a regular file to read it, and return its descriptor, which the caller closes.

    Raises:
        OSError: it can't be opened, or is no regular file.
    """
    if "\0" in str(path):
        raise NoFileName(errno.EINVAL, "can't be a file name", str(path))
    _require_regular(os.stat(path).st_mode, path)  # to open a device may do something
    # not to wait for a pipe that has taken its place
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    try:
        _require_regular(os.fstat(descriptor).st_mode, path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _require_regular(mode: int, path: os.PathLike[str] | str) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise _no_regular_file(path)


def _no_regular_file(path: os.PathLike[str] | str) -> NoRegularFile:
    return NoRegularFile(errno.EINVAL, "is no regular file", str(path))


def reason_of(error: OSError) -> str:
    """Say why a file can't be read, as a sentence goes on after its name."""
    if isinstance(error, NoFileName):
        return "can't be a file name"
    if isinstance(error, NoRegularFile):
        return "is no regular file"
    reasons = {
        errno.ENOENT: "does not exist",
        errno.EACCES: "can't be read: permission denied",
        errno.EISDIR: "is a folder",
        errno.ENAMETOOLONG: "has too long a name",
        errno.ELOOP: "is a link that leads in a circle",
        errno.ENOTDIR: "does not exist: a part of its path is a file",
    }
    return reasons.get(
        error.errno or 0, f"can't be read: {(error.strerror or 'unknown error').lower()}"
    )
