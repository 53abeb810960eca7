"""Runs the command within the process of the tests."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from archdsl.cli import run as run_command

SMALL = Path(__file__).with_name("small.arch")
GOLDEN = Path(__file__).parents[1] / "golden" / "cli"


class Result(NamedTuple):
    """Exit status, standard output and standard error."""

    status: int
    out: str
    error: str


class Command:
    """Called with arguments, it gives the result; the folder of the tests is the present one."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *arguments: object) -> Result:
        self.capsys.readouterr()
        status = run_command([str(argument) for argument in arguments])
        return Result(status, *self.capsys.readouterr())

    def printed(self, *arguments: object) -> str:
        """Return what a command prints that must succeed."""
        result = self(*arguments)
        assert (result.status, result.error) == (0, ""), result
        return result.out
