"""Runs the command on hostile input, in this process or in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from archdsl.cli import run

HANGS = 100  # seconds after which a process is taken to hang; nothing is timed with it


class Result(NamedTuple):
    """What a run of the command came to."""

    status: int
    out: str
    error: str


def in_process(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> Result:
    """Run the command within this process."""
    capsys.readouterr()
    status = run([str(argument) for argument in arguments])
    return Result(status, *capsys.readouterr())


def environment(**changes: str) -> dict[str, str]:
    """Return the environment of a process, less what would colour or alter its output."""
    kept = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "PYTHONHASHSEED")}
    return kept | changes


def in_own_process(
    *arguments: str | Path, cwd: Path | None = None, **changes: str
) -> subprocess.CompletedProcess[bytes]:
    """Run the command in a process of its own."""
    command = [sys.executable, "-m", "archdsl", *map(str, arguments)]
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment(**changes),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=HANGS,
        check=False,
    )


def refused(result: Result) -> str:
    """Return the complaint about a spec that is wrong, which shows nothing of Python."""
    assert result.status == 1, result
    assert not result.out
    for word in ("Traceback", "internal error", "lark", ".py"):
        assert word not in result.error
    return result.error
