"""Writes output files whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from errno import ENOENT
from pathlib import Path
from tempfile import NamedTemporaryFile


def write_whole(path: Path | str, content: bytes) -> None:
    """Write a file so that nobody ever sees a part of it, and nothing is left after a failure.

    The content goes to a new file in the same folder, which then takes the name. What is no
    regular file (`/dev/stdout`, a pipe) is written to as it is.

    Raises:
        OSError: it can't be written; what was there before is untouched.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        path.write_bytes(content)  # a folder raises here, and is the caller's to report
        return
    path = Path(os.path.realpath(path))  # a link stays a link
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
    if not os.access(path.parent, os.F_OK):  # else a name would be reported that nobody gave
        raise FileNotFoundError(ENOENT, os.strerror(ENOENT), str(path))
    with NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".tmp", delete=False) as file:
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            file.close()
            os.chmod(file.name, mode)
            os.replace(file.name, path)
        except BaseException:
            file.close()
            with suppress(OSError):
                os.unlink(file.name)
            raise


def _umask() -> int:
    """Return the permissions that new files are not to have, which can only be read by setting."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
