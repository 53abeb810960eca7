"""Runs of equal stages: written once, in a loop."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from archdsl.backends.python_source.makers import repeats

FEWEST_TURNS = 4
NUMBERED = re.compile(r"([A-Za-z0-9_]*?)(0|[1-9][0-9]*)\Z")


@dataclass(frozen=True, slots=True)
class Call:
    """An action that does nothing but call a module on what the one before gave.

    Attributes:
        member: name of the module.
        made: the text that constructs it.
        variable: where the result goes, which is where the input is as well.
    """

    member: str
    made: str
    variable: str
    training_only: bool


@dataclass(frozen=True, slots=True)
class Turn:
    """A call within a loop, whose module is called `prefix` and a number that grows by `step`.

    Without a step the same module is called in each turn.
    """

    call: Call
    prefix: str = ""
    first: int = 0
    step: int = 0

    def name(self, counter: str) -> str:
        """Return the expression for the name of the module."""
        number = counter if self.step == 1 else f"{self.step} * {counter}"
        number = f"{number} + {self.first}" if self.first else number
        return f'f"{self.prefix}{{{number}}}"' if self.prefix else f"str({number})"


@dataclass(frozen=True, slots=True)
class Run:
    """Calls that follow each other several times."""

    start: int
    turns: int
    unit: tuple[Turn, ...]

    @property
    def end(self) -> int:
        """The first action after it."""
        return self.start + self.turns * len(self.unit)

    @property
    def span(self) -> tuple[str, tuple[Turn, ...]]:
        """The range that the loop counts through, and its calls with their names adjusted."""
        steps = {(turn.step, turn.first) for turn in self.unit if turn.step}
        if len(steps) == 1 and (first := next(iter(steps)))[0] == 1 and first[1]:
            shifted = tuple(Turn(turn.call, turn.prefix, 0, turn.step) for turn in self.unit)
            return f"range({first[1]}, {first[1] + self.turns})", shifted
        return f"range({self.turns})", self.unit


def find_runs(calls: Sequence[Call | None]) -> list[Run]:
    """Find the runs of equal calls whose modules are numbered evenly; None is anything else."""
    keys = [_key(call, at) for at, call in enumerate(calls)]
    runs: list[Run] = []
    at = 0
    while at < len(calls):
        period, turns = repeats(keys, at)
        run = _run(calls, at, period, turns) if turns >= FEWEST_TURNS else None
        if run:
            runs.append(run)
            at = run.end
        else:
            at += period * turns
    return runs


def _key(call: Call | None, at: int) -> object:
    """Return what is equal for calls that can follow each other in a loop."""
    if call is None:
        return at
    numbered = NUMBERED.match(call.member)
    return (numbered[1] if numbered else call.member, call.made, call.variable, call.training_only)


def _run(calls: Sequence[Call | None], start: int, period: int, turns: int) -> Run | None:
    unit: list[Turn] = []
    for offset in range(period):
        column = calls[start + offset : start + period * turns : period]
        turn = _turn([call for call in column if call])
        if turn is None:
            return None
        unit.append(turn)
    return Run(start, turns, tuple(unit)) if any(turn.step for turn in unit) else None


def _turn(column: Sequence[Call]) -> Turn | None:
    """Describe how the name of a module goes on from turn to turn."""
    names = [call.member for call in column]
    if all(name == names[0] for name in names):
        return Turn(column[0])
    found = [NUMBERED.match(name) for name in names]
    numbers = [int(match[2]) for match in found if match]
    if len(numbers) < len(names):
        return None
    step = numbers[1] - numbers[0]
    even = all(right - left == step for left, right in pairwise(numbers))
    first = found[0]
    assert first
    return Turn(column[0], first[1], numbers[0], step) if even and step > 0 else None
