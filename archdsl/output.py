"""Writes output files whole or not at all. Nothing else in the package writes one.

The one exception is a `Journal`, which is no result but the way to one.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress

from archdsl.records import Record


def write_whole(path: os.PathLike[str] | str, content: bytes) -> None:
    """Write a file so that nobody ever sees a part of it, and nothing is left after a failure.

    The content goes to a new file in the same folder, which then takes the name. What is no
    regular file (`/dev/stdout`, a pipe) is written to as it is.

    Raises:
        OSError: it can't be written; what was there before is untouched, and `filename` is the
            path as it was given.
    """
    write_all({os.fspath(path): content})


def write_all(files: Mapping[str, bytes]) -> None:
    """Write several files as `write_whole` writes one: all of them, or none.

    None takes its name before all lie beside their places on the disk.

    Raises:
        OSError: one can't be written; what was there before is untouched.
    """
    waiting: list[_Waiting] = []
    try:
        for path, content in files.items():
            if (each := _beside(path, content)) is not None:
                waiting.append(each)
        while waiting:
            _renamed(waiting[0])
            del waiting[0]
    finally:
        for each in waiting:
            with suppress(OSError):
                os.unlink(each.temporary)


class _Waiting(Record):
    """A file that is written whole, and waits for its name."""

    temporary: str
    target: str
    given: str


def _renamed(each: _Waiting) -> None:
    try:
        os.replace(each.temporary, each.target)
    except OSError as error:
        raise _error(error.errno or errno.EIO, each.given) from None


def _beside(given: str, content: bytes) -> _Waiting | None:
    """Write a new file beside the place where it is to be; None for what is no regular file."""
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
        return None
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
    except BaseException as error:
        with suppress(OSError):  # where it could not even be made
            os.unlink(temporary)
        if isinstance(error, OSError):
            raise _error(error.errno or errno.EIO, given) from None
        raise
    return _Waiting(temporary, target, given)


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


class Journal:
    """A file that grows line by line, so that work which was cut off can go on where it stopped.

    A line without its end was cut off and doesn't count. One process at a time writes to it.
    """

    def __init__(self, path: str) -> None:
        """Open the file, or make it.

        Raises:
            OSError: it can't be opened, is no regular file, or another process writes to it.
        """
        self.path = path
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
        try:
            self._file = os.open(path, flags, 0o666)
        except OSError as error:
            raise _error(error.errno or errno.EIO, path) from None
        try:
            if not stat.S_ISREG(os.fstat(self._file).st_mode):
                raise OSError(errno.EINVAL, "is no regular file", path)
            self._lock()
        except BaseException:
            os.close(self._file)
            raise

    def _lock(self) -> None:
        try:
            import fcntl
        except ImportError:  # on Windows
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OSError(errno.EAGAIN, "another process writes to it", self.path) from None
        except OSError:  # a file system without locks
            return

    def read(self) -> list[bytes]:
        """Return the whole lines, and cut off what follows them."""
        os.lseek(self._file, 0, os.SEEK_SET)
        parts = []
        while part := os.read(self._file, 2**20):
            parts.append(part)
        *lines, _ = content = b"".join(parts).split(b"\n")
        os.ftruncate(self._file, sum(map(len, content[:-1])) + len(lines))
        os.lseek(self._file, 0, os.SEEK_END)
        return lines

    def append(self, lines: Iterable[str]) -> None:
        """Add whole lines.

        Raises:
            OSError: the disk is full.
        """
        try:
            _write(self._file, "".join(f"{line}\n" for line in lines).encode())
        except OSError as error:
            raise _error(error.errno or errno.EIO, self.path) from None

    def clear(self) -> None:
        """Throw away what is in it."""
        os.ftruncate(self._file, 0)
        os.lseek(self._file, 0, os.SEEK_SET)

    def close(self) -> None:
        """Leave it as it is."""
        os.close(self._file)

    def remove(self) -> None:
        """Take the file away: the work is done."""
        with suppress(OSError):
            os.unlink(self.path)
        self.close()
