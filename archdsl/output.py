"""Writes output files whole or not at all. Nothing else in the package writes one."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress


def write_whole(path: os.PathLike[str] | str, content: bytes) -> None:
    """Write a file so that nobody ever sees a part of it, and nothing is left after a failure.

    The content goes to a new file in the same folder, which then takes the name. What is no
    regular file (`/dev/stdout`, a pipe) is written to as it is.

    Raises:
        OSError: it can't be written; what was there before is untouched, and `filename` is the
            path as it was given.
    """
    given = os.fspath(path)
    if "\0" in given:
        raise _error(errno.EINVAL, given.replace("\0", "\\0"))
    if not given:  # which would stand for the present folder further down
        raise _error(errno.ENOENT, given)
    try:
        there = os.stat(given)
    except FileNotFoundError:
        there = None
    if given.endswith("/") or (there and stat.S_ISDIR(there.st_mode)):
        raise _error(errno.EISDIR, given)
    if there and not stat.S_ISREG(there.st_mode):
        try:
            _write_into(given, content)
        except BrokenPipeError:
            raise  # which is no failure: whoever reads has seen enough
        except OSError as error:
            if error.errno == errno.ENXIO and stat.S_ISFIFO(there.st_mode):
                raise OSError(errno.ENXIO, "nobody reads this pipe", given) from None
            raise _error(error.errno or errno.EIO, given) from None
        return
    target = os.path.realpath(given)  # a link stays a link
    folder = os.path.dirname(target)
    if not os.access(folder, os.F_OK):  # else a name would be reported that nobody gave
        raise _error(errno.ENOENT, given)
    if there and not os.access(target, os.W_OK):
        raise _error(errno.EACCES, given)  # to be replaced it needs no permission of its own
    old = there.st_mode & 0o777 if there else None
    temporary = os.path.join(folder, f".{os.urandom(8).hex()}.tmp")
    try:
        _write_new(temporary, content, old)
        os.replace(temporary, target)
    except BaseException as error:
        with suppress(OSError):  # where it could not even be made
            os.unlink(temporary)
        if isinstance(error, OSError):
            raise _error(error.errno or errno.EIO, given) from None
        raise


def _write_new(path: str, content: bytes, mode: int | None) -> None:
    """Write a file that was not there, with those permissions or the usual ones."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    # No file object: it would try once more to write what is left when it is closed.
    descriptor = os.open(path, flags, 0o666 if mode is None else mode)
    try:
        _write(descriptor, content)
        os.fsync(descriptor)  # else the new name could be kept through a power cut, without content
    finally:
        os.close(descriptor)
    if mode is not None:
        os.chmod(path, mode)  # whatever the umask took away


def _write_into(path: str, content: bytes) -> None:
    """Write to a device or pipe. A pipe that nobody reads is refused: it would wait for ever."""
    descriptor = os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        os.set_blocking(descriptor, True)  # there is a reader, who may be slow
        _write(descriptor, content)
    finally:
        os.close(descriptor)


def _write(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)
