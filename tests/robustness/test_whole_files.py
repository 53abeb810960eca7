"""Output files are whole or untouched, whatever fails and however many write at once."""

from __future__ import annotations

import builtins
import errno
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from archdsl.output import write_whole

OLD, NEW = b"old" * 1000, b"new" * 2000


class Fault:
    """Lets the system calls of a writer fail from the n-th on, or once."""

    def __init__(self, patch: pytest.MonkeyPatch, at: int, lasting: bool) -> None:
        self.left = at
        self.lasting = lasting
        self.failed = False
        for place, name in (
            (os, "open"), (os, "fsync"), (os, "replace"), (os, "chmod"), (os, "fdopen"),
            (tempfile, "NamedTemporaryFile"),
        ):  # fmt: skip
            patch.setattr(place, name, self.counted(getattr(place, name)))
        import archdsl.output

        if hasattr(archdsl.output, "NamedTemporaryFile"):
            patch.setattr(
                archdsl.output,
                "NamedTemporaryFile",
                self.counted(archdsl.output.NamedTemporaryFile),
            )

    def counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*given: Any, **named: Any) -> Any:
            self.left -= 1
            if self.left == 0 or (self.lasting and self.left < 0):
                self.failed = True
                raise OSError(errno.ENOSPC, "No space left on device")
            return call(*given, **named)

        return counting


@pytest.mark.parametrize("before", [OLD, None])
def test_after_any_failure_the_old_file_is_whole(tmp_path: Path, before: bytes | None) -> None:
    path = tmp_path / "out.json"
    failures = 0
    for at in range(1, 20):
        if before is not None:
            path.write_bytes(before)
        with pytest.MonkeyPatch.context() as patch:
            fault = Fault(patch, at, lasting=False)
            with suppress(OSError):
                write_whole(path, NEW)
        assert [file.name for file in tmp_path.iterdir()] == (
            ["out.json"] if path.exists() else []
        ), f"litter after failure {at}"
        if not fault.failed:
            break
        failures += 1
        assert (path.read_bytes() if path.exists() else None) == before
    assert failures >= 4
    assert path.read_bytes() == NEW


def test_a_failing_write_leaves_nothing(tmp_path: Path) -> None:
    """A disk that fills up while the content is being written."""
    resource = pytest.importorskip("resource")
    path = tmp_path / "out.bin"
    path.write_bytes(OLD)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            write_whole(path, b"x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert path.read_bytes() == OLD
    assert len(list(tmp_path.iterdir())) == 1


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        write_whole(tmp_path / "no" / "out.json", NEW)
    with pytest.raises(OSError, match="directory"):
        write_whole(tmp_path, NEW)


def test_permissions_and_links_stay(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(OLD)
    target.chmod(0o640)
    link.symlink_to(target)

    write_whole(link, NEW)

    assert link.is_symlink()
    assert target.read_bytes() == NEW
    assert target.stat().st_mode & 0o777 == 0o640


def test_new_files_get_the_usual_permissions(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        write_whole(tmp_path / "out", NEW)
    finally:
        os.umask(old)

    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o640


def _write_often(path: str, letter: bytes) -> None:
    for _ in range(20):
        write_whole(path, letter * 200_000)


def test_six_writers_at_once_never_show_a_part(tmp_path: Path) -> None:
    path = tmp_path / "out"
    write_whole(path, b"0" * 200_000)
    processes = get_context("fork" if hasattr(os, "fork") else "spawn")
    writers = [
        processes.Process(target=_write_often, args=(str(path), bytes([letter])))
        for letter in b"abcdef"
    ]
    for writer in writers:
        writer.start()
    seen = 0
    while any(writer.is_alive() for writer in writers):
        with builtins.open(path, "rb") as file:
            content = file.read()
        assert len(content) == 200_000
        assert len(set(content)) == 1
        seen += 1
    for writer in writers:
        writer.join()

    assert seen
    assert all(writer.exitcode == 0 for writer in writers)
    assert [file.name for file in tmp_path.iterdir()] == ["out"]
