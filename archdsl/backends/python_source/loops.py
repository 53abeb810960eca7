"""Runs of equal statements: written once, in a loop.

Two statements of a forward pass do the same if they read the same, so what follows each other in
equal words can be written as a loop, whatever it computes. Modules may be numbered evenly
(`layer1`, `layer2`, ...), and numbers in their constructors may grow evenly.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from archdsl.backends.python_source.makers import Repeats
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
    def numbered(self) -> bool:
        """Whether it calls another module in each turn, and not the same ones again."""
        return any(turn.step for turn in self.unit)

    @property
    def first(self) -> int:
        """What the loop begins to count with: the number of the first module, if that is simple."""
        if not self.numbered:
            return 0
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
    exact = Repeats([_key(said, said.made) if said else at for at, said in enumerate(statements)])
    loose = Repeats(
        [_key(said, _parts(said)) if said else at for at, said in enumerate(statements)]
    )
    runs: list[Run] = []
    at = 0
    while at < len(statements):
        run = None
        skip = 1
        for keys in (exact, loose):
            period, turns = keys.at(at)
            if turns >= FEWEST_TURNS and run is None:
                run = _run(statements, at, period, turns)
            if keys is exact and turns > 1:
                skip = period * turns
        if run:
            runs.append(run)
        at = run.end if run else at + skip
    return runs


def _key(said: Spoken, made: object) -> object:
    """Return what is equal for statements that can stand in one loop."""
    numbered = NUMBERED.match(said.member)
    return (said.text, numbered[1] if numbered else said.member, made, said.training_only)


def _spread(made: str) -> Template:
    return template(ONCE.sub("+ 1 * ", made))


def _parts(said: Spoken) -> tuple[str, ...]:
    return _spread(said.made).parts


def _run(statements: Sequence[Spoken | None], start: int, period: int, turns: int) -> Run | None:
    """Return the longest run of up to so many turns in which all numbers grow evenly."""
    units = range(start, start + period)
    turns = _even_turns(statements, units, turns)
    if turns < FEWEST_TURNS:
        return None
    unit = tuple(_turn(_said(statements, at), _said(statements, at + period), at) for at in units)
    return Run(start, turns, unit)


def _said(statements: Sequence[Spoken | None], at: int) -> Spoken:
    said = statements[at]
    assert said, "what no loop can hold is like nothing else"
    return said


def _numbers(said: Spoken) -> tuple[float, ...]:
    """Return the number of a module's name, 0 if it has none, and those of its constructor."""
    numbered = NUMBERED.match(said.member)
    return (int(numbered[2]) if numbered else 0, *_spread(said.made).numbers)


def _even_turns(statements: Sequence[Spoken | None], unit: range, most: int) -> int:
    """Return for how many turns, up to so many, all numbers grow as between the first two."""
    period = len(unit)
    steps = [_steps(statements, at, period) for at in unit]
    if any(None in step for step in steps):
        return 0
    for turn in range(2, most):
        for at, step in zip(unit, steps, strict=True):
            if _steps(statements, at + (turn - 1) * period, period) != step:
                return turn
    return most


def _steps(statements: Sequence[Spoken | None], at: int, period: int) -> tuple[int | None, ...]:
    """Return by how much each number grows in a turn; None for one that can't in a loop."""
    first, second = _said(statements, at), _said(statements, at + period)
    pairs = zip(_numbers(first), _numbers(second), strict=True)
    steps = tuple(_step(left, right) for left, right in pairs)
    renamed = NUMBERED.match(first.member) and first.member != second.member
    return (None,) if not steps[0] and (any(steps) or renamed) else steps


def _step(before: float, after: float) -> int | None:
    step = after - before
    return int(step) if not step or (step > 0 and type(step) is int) else None


def _turn(said: Spoken, following: Spoken, at: int) -> Turn:
    """Describe how a statement goes on from turn to turn."""
    first, second = _numbers(said), _numbers(following)
    numbered = NUMBERED.match(said.member)
    step = int(second[0] - first[0])
    if not numbered or not step:
        return Turn(at)
    grows = tuple(int(right - left) for left, right in zip(first[1:], second[1:], strict=True))
    return Turn(at, numbered[1], int(numbered[2]), step, _spread(said.made), grows)
