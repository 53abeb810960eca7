"""Measures what a count costs against torchinfo: python tests/benchmarks/count_against_torchinfo.py

Whole processes, in turn, in one run: Python that does nothing, `archdsl count inception_v3`, and
torchvision's inception_v3 counted with torchinfo. Prints processor time and peak memory of each,
and the ratios. To be run by hand on a quiet machine: times are no test.
"""

from __future__ import annotations

import os
import sys
from typing import NamedTuple

ROUNDS = 5
TORCHINFO = """
import torchinfo, torchvision
model = torchvision.models.inception_v3(weights=None, init_weights=False)
torchinfo.summary(model, (1, 3, 299, 299), verbose=0)
"""
PROCESSES = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "archdsl count": [sys.executable, "-m", "archdsl", "count", "inception_v3"],
    "torchinfo": [sys.executable, "-c", TORCHINFO],
}
# Of the processor time of `pass` and of torchinfo, and in MiB.
MOST_TIMES, MOST_SHARE, MOST_MEMORY = 20, 1 / 12, 60


class Usage(NamedTuple):
    """Processor time in seconds, user and system, and peak memory in MiB."""

    seconds: float
    memory: float


def measured(command: list[str]) -> Usage:
    """Run a process to its end."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    process = os.posix_spawn(command[0], command, environment, file_actions=quiet)
    _, status, usage = os.wait4(process, 0)
    if status:
        raise SystemExit(f"{' '.join(command)[:60]} ended with {os.waitstatus_to_exitcode(status)}")
    scale = 2**20 if sys.platform == "darwin" else 2**10
    return Usage(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / scale)


def main() -> None:
    """Measure and print; the first round, which writes the bytecode, is left out."""
    found: dict[str, list[Usage]] = {name: [] for name in PROCESSES}
    for number in range(ROUNDS + 1):
        for name, command in PROCESSES.items():
            usage = measured(command)
            if number:
                found[name].append(usage)
    best = {name: Usage(*map(min, zip(*runs, strict=True))) for name, runs in found.items()}
    for name, usage in best.items():
        print(f"{name:<16} {usage.seconds * 1000:8,.0f} ms  {usage.memory:8.1f} MiB")
    nothing, count, torchinfo = best.values()
    print(f"times `pass`     {count.seconds / nothing.seconds:8.1f}     (at most {MOST_TIMES})")
    share = torchinfo.seconds / count.seconds
    print(f"part of torchinfo  1/{share:.1f}     (at most 1/{1 / MOST_SHARE:.0f})")
    print(f"memory in MiB    {count.memory:8.1f}     (at most {MOST_MEMORY})")


if __name__ == "__main__":
    main()
