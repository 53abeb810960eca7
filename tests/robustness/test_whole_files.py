"""Output files are whole or untouched, whatever fails and however many write at once."""

from __future__ import annotations

import builtins
import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from hostile import HANGS, environment

from archdsl.output import write_whole

OLD, NEW = b"old" * 1000, b"new" * 2000


CALLS = ("open", "write", "fsync", "close", "chmod", "replace", "unlink", "stat")


class Fault:
    """Lets the n-th system call of a writer fail, or all from the n-th on."""

    def __init__(
        self, patch: pytest.MonkeyPatch, at: int, lasting: bool, error: BaseException
    ) -> None:
        self.left = at
        self.lasting = lasting
        self.error = error
        self.failed = ""
        for name in CALLS:
            patch.setattr(os, name, self.counted(name, getattr(os, name)))

    def counted(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*given: Any, **named: Any) -> Any:
            self.left -= 1
            if self.left == 0 or (self.lasting and self.left < 0 and name != "unlink"):
                self.failed = self.failed or name
                if name == "close":
                    call(*given, **named)  # as Linux does, which closes whatever it says
                raise self.error
            if name == "write":
                return call(given[0], given[1][:100])  # a disk takes what it likes
            return call(*given, **named)

        return counting


def outcome(path: Path) -> BaseException | None:
    try:
        write_whole(path, NEW)
    except (OSError, KeyboardInterrupt) as error:
        return error
    return None


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
@pytest.mark.parametrize("lasting", [False, True])
@pytest.mark.parametrize("before", [OLD, None])
def test_after_any_failure_the_old_file_is_whole(
    tmp_path: Path, before: bytes | None, lasting: bool, error: BaseException
) -> None:
    path = tmp_path / "out.json"
    failures: set[str] = set()
    for at in range(1, 1_000):
        if before is not None:
            path.write_bytes(before)
        with pytest.MonkeyPatch.context() as patch:
            fault = Fault(patch, at, lasting, error)
            raised = outcome(path)
        assert bool(raised) == bool(fault.failed)
        if raised:
            assert isinstance(raised, type(error))
        if isinstance(raised, OSError) and fault.failed != "stat":
            assert raised.filename == str(path)
        litter = {file.name for file in tmp_path.iterdir()} - {"out.json"}
        assert not litter, f"litter after failure {at}, of `{fault.failed}`"
        if not fault.failed:
            break
        failures.add(fault.failed)
        assert (path.read_bytes() if path.exists() else None) == before
    assert failures >= {"open", "write", "fsync", "close", "replace"}
    assert ("chmod" in failures) == (before is not None)
    assert path.read_bytes() == NEW


@pytest.mark.parametrize("most", [0, 4096])
def test_a_limit_on_the_size_of_files_leaves_nothing(tmp_path: Path, most: int) -> None:
    """`ulimit -f`, in a process of its own."""
    program = (
        "import resource, sys; from archdsl.cli import run;"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({most}, {most}));"
        "sys.exit(run(sys.argv[1:]))"
    )
    for arguments in (["draw", "lenet5"], ["draw", "lenet5", "-o", "a.html"]):
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            cwd=tmp_path, env=environment(), capture_output=True, timeout=HANGS, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (2, b""), done
        assert b"file too large" in done.stderr
        assert not list(tmp_path.iterdir())


def test_what_is_written_to_as_it_is(tmp_path: Path) -> None:
    """A pipe with a reader gets everything, however slow; one without is not waited for."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="nobody reads this pipe"):
        write_whole(pipe, NEW)
    reader = subprocess.Popen(["sh", "-c", f"sleep 0.2; wc -c < {pipe}"], stdout=subprocess.PIPE)
    for _ in range(400):
        with suppress(OSError):
            write_whole(pipe, b"x" * 1_000_000)
            break
        time.sleep(0.05)
    assert reader.communicate(timeout=HANGS)[0].strip() == b"1000000"


@pytest.mark.parametrize("name", ["out/", "a\0b", "out.svg/", "."])
def test_names_that_are_no_files(tmp_path: Path, name: str) -> None:
    with pytest.raises(OSError, match=r"directory|argument"):
        write_whole(f"{tmp_path}/{name}", NEW)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write everything")
def test_a_file_that_may_not_be_written_stays(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(OLD)
    path.chmod(0o444)

    with pytest.raises(PermissionError):
        write_whole(path, NEW)
    assert path.read_bytes() == OLD


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
