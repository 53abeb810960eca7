"""Runs of equal statements: written once, in a loop.

Two statements of a forward pass do the same if they read the same, so what follows each other in
equal words can be written as a loop, whatever it computes. Modules may be numbered evenly
(`layer1`, `layer2`, ...), and numbers in their constructors may grow evenly.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from archdsl.backends.python_source.makers import repeats
from archdsl.backends.python_source.names import NUMBERED
from archdsl.backends.python_source.template import Template, template

FEWEST_TURNS = 4
# `a + b` is one `b` more than `a`: written out, so that it can grow in a loop
ONCE = re.compile(r"\+ (?=[A-Za-z_]\w*\b(?! \*))")
ONE_TIME = re.compile(r"\+ 1 \* (?=[A-Za-z_])")
NOTHING = template("")


@dataclass(frozen=True, slots=True)
class Spoken:
    """A statement of a forward pass.

    Attributes:
        text: what it says, less the name of the module that it calls.
        member: name of the module, if it belongs to the class itself; else "".
        made: the text that constructs that module.
    """

    text: str
    member: str
    made: str
    training_only: bool


@dataclass(frozen=True, slots=True)
class Turn:
    """A statement within a loop, whose module is called `prefix` and a number that grows by `step`.

    Without a step it is the same module in each turn. `grows` says by how much each number in
    the text of its constructor grows.
    """

    at: int  # the action of the first turn
    prefix: str = ""
    first: int = 0
    step: int = 0
    made: Template = NOTHING
    grows: tuple[int, ...] = ()

    def name(self, counter: str, start: int) -> str:
        """Return the expression for the name of the module; the counter begins at `start`."""
        number = _linear(self.first - self.step * start, self.step, counter)
        return f'f"{self.prefix}{{{number}}}"' if self.prefix else f"str({number})"

    def constructor(self, counter: str, start: int) -> str:
        """Return the text that constructs the module."""
        texts: list[str] = []
        for place, (number, step) in enumerate(zip(self.made.numbers, self.grows, strict=True)):
            text = _grown(number - step * start, step, counter) if step else repr(number)
            factor = self.made.parts[place + 1].startswith(" *")
            texts.append(f"({text})" if factor and " " in text else text)
        return ONE_TIME.sub("+ ", self.made.filled(texts))


def _grown(first: float, step: int, counter: str) -> str:
    """Write a number that grows from turn to turn."""
    product = counter if step == 1 else f"{step} * {counter}"
    return f"{first} + {product}" if first else product


def _linear(first: float, step: int, counter: str) -> str:
    product = counter if step == 1 else f"{step} * {counter}"
    if not first:
        return product
    return f"{product} - {-first}" if first < 0 else f"{product} + {first}"


@dataclass(frozen=True, slots=True)
class Run:
    """Statements that follow each other several times."""

    start: int
    turns: int
    unit: tuple[Turn, ...]

    @property
    def end(self) -> int:
        """The first action after it."""
        return self.start + self.turns * len(self.unit)

    @property
    def first(self) -> int:
        """What the loop begins to count with: the number of the first module, if that is simple."""
        steps = {(turn.step, turn.first) for turn in self.unit if turn.step}
        step, first = steps.pop()
        plain = not steps and step == 1
        return first if plain and not any(any(turn.grows) for turn in self.unit) else 0

    @property
    def counts(self) -> str:
        """The range that the loop counts through."""
        return (
            f"range({self.first}, {self.first + self.turns})"
            if self.first
            else f"range({self.turns})"
        )


def find_runs(statements: Sequence[Spoken | None]) -> list[Run]:
    """Find the runs of statements that a loop can say; None is what no loop can hold."""
    exact = [_key(said, at, said.made) if said else at for at, said in enumerate(statements)]
    loose = [_key(said, at, _parts(said)) if said else at for at, said in enumerate(statements)]
    runs: list[Run] = []
    at = 0
    while at < len(statements):
        run = None
        skip = 1
        for keys in (exact, loose):
            period, turns = repeats(keys, at)
            if turns >= FEWEST_TURNS and run is None:
                run = _run(statements, at, period, turns)
            if keys is exact and turns > 1:
                skip = period * turns
        if run:
            runs.append(run)
        at = run.end if run else at + skip
    return runs


def _key(said: Spoken, at: int, made: object) -> object:
    """Return what is equal for statements that can stand in one loop."""
    numbered = NUMBERED.match(said.member)
    return (said.text, numbered[1] if numbered else said.member, made, said.training_only)


def _spread(made: str) -> Template:
    return template(ONCE.sub("+ 1 * ", made))


def _parts(said: Spoken) -> tuple[str, ...]:
    return _spread(said.made).parts


def _run(statements: Sequence[Spoken | None], start: int, period: int, turns: int) -> Run | None:
    """Return the longest run of up to so many turns in which all numbers grow evenly."""
    columns = [
        [said for said in statements[start + at : start + period * turns : period] if said]
        for at in range(period)
    ]
    turns = min(_even_turns(column) for column in columns)
    if turns < FEWEST_TURNS:
        return None
    unit = tuple(_turn(column, start + at) for at, column in enumerate(columns))
    return Run(start, turns, unit) if any(turn.step for turn in unit) else None


def _numbers(said: Spoken) -> tuple[float, ...]:
    """Return the number of a module's name, 0 if it has none, and those of its constructor."""
    numbered = NUMBERED.match(said.member)
    return (int(numbered[2]) if numbered else 0, *_spread(said.made).numbers)


def _even_turns(column: Sequence[Spoken]) -> int:
    """Return for how many turns all numbers grow by the same as between the first two."""
    rows = [_numbers(said) for said in column]
    steps = [right - left for left, right in zip(rows[0], rows[1], strict=True)]
    if any(step < 0 or type(step) is not int for step in steps if step):
        return 0
    if not steps[0] and (
        any(steps)
        or (
            NUMBERED.match(column[0].member)
            and len(column) > 1
            and column[0].member != column[1].member
        )
    ):
        return 0
    for turn, (before, after) in enumerate(pairwise(rows)):
        if any(b - a != step for a, b, step in zip(before, after, steps, strict=True)):
            return turn + 1
    return len(rows)


def _turn(column: Sequence[Spoken], at: int) -> Turn:
    """Describe how a statement goes on from turn to turn."""
    first, second = _numbers(column[0]), _numbers(column[1])
    numbered = NUMBERED.match(column[0].member)
    step = int(second[0] - first[0])
    if not numbered or not step:
        return Turn(at)
    grows = tuple(int(right - left) for left, right in zip(first[1:], second[1:], strict=True))
    return Turn(at, numbered[1], int(numbered[2]), step, _spread(column[0].made), grows)
