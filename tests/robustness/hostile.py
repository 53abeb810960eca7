"""Runs the command on hostile input, in this process or in one of its own."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from archdsl.cli import run

BEGIN = "network n {\n  input x: [3, 8, 8]\n"
MOST_MEMORY = 256 * 2**20  # that a refusal takes
HANGS = 100  # seconds after which a process is taken to hang; nothing is timed with it


class Result(NamedTuple):
    """What a run of the command came to."""

    status: int
    out: str
    error: str


class Measured(NamedTuple):
    """What a run of the command in a process of its own came to, and what it took.

    `memory` is its peak in bytes, `seconds` are processor time.
    """

    status: int
    error: str
    memory: int
    seconds: float


def body(text: str) -> str:
    """Write a network with these statements."""
    return f"{BEGIN}{text}\n  ReLU\n}}\n"


def value(text: str) -> str:
    """Write a network that works out an expression."""
    return body(f"  let a = {text}")


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


def measured(*arguments: str | Path, address_space: int = resource.RLIM_INFINITY) -> Measured:
    """Run the command in a process of its own, which may have no more than that much memory."""
    program = (  # not RUSAGE_CHILDREN, in whose peak is that of the process which started this one
        "import gc, re, resource, sys; gc.disable(); from archdsl.cli import run;"
        "status = run(sys.argv[1:]); used = resource.getrusage(resource.RUSAGE_SELF);"
        "peak = re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1];"
        "print('\\n', peak, used.ru_utime + used.ru_stime, file=sys.stderr);"
        "sys.exit(status)"
    )
    limits = (address_space, address_space)
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        timeout=HANGS, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, limits),
    )  # fmt: skip
    error, _, figures = done.stderr.rstrip().rpartition("\n")
    kilobytes, seconds = figures.split()
    return Measured(done.returncode, error, int(kilobytes) * 1024, float(seconds))
