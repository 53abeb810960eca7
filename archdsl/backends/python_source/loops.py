"""Runs of equal statements: written once, in a loop.

Two statements of a forward pass do the same if they say the same, so what follows each other in
equal words can be written as a loop, whatever it computes. Modules may be numbered evenly
(`layer1`, `layer2`, ...), and the numbers that they are made with may grow evenly.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from archdsl.backends.python_source.names import NUMBERED
from archdsl.backends.python_source.rows import Repeats
from archdsl.layers.sizes import Formula, Size

Column = tuple[tuple[object, object], ...]  # a number and its formula for each use
Step = tuple[tuple[int, Size], ...]  # by how much these grow in a turn, for each use


@dataclass(frozen=True, slots=True)
class Fewest:
    """How little is written once.

    Attributes:
        items: in a list of modules.
        equal: turns of a loop in which all numbers stay the same.
        growing: turns of a loop in which some grow.
        counts: whether lists are written with what follows from which turn it is.
    """

    items: int
    equal: int
    growing: int
    counts: bool = False


WRITTEN = Fewest(items=3, equal=4, growing=4, counts=True)


@dataclass(frozen=True, slots=True)
class Spoken:
    """A statement of a forward pass.

    Attributes:
        text: what it says, less the name of the module that it calls.
        member: name of the module, if it belongs to the class itself; else "".
        shape: how that module is made, less the numbers.
        numbers: the columns of the numbers that it is made with.
        counts: whether it is made by a comprehension that counts.
    """

    text: Hashable
    member: str
    shape: Hashable
    numbers: tuple[int, ...]
    counts: bool
    training_only: bool


@dataclass(frozen=True, slots=True)
class Turn:
    """A statement within a loop, whose module is called `prefix` and a number that grows by `step`.

    Without a step it is the same module in each turn. `grows` says which of the numbers that the
    module is made with grow.
    """

    at: int  # the action of the first turn
    prefix: str = ""
    first: int = 0
    step: int = 0
    grows: tuple[bool, ...] = ()

    def name(self, counter: str, start: int) -> str:
        """Return the expression for the name of the module; the counter begins at `start`."""
        number = _linear(self.first - self.step * start, self.step, counter)
        return f'f"{self.prefix}{{{number}}}"' if self.prefix else f"str({number})"


def grown(first: str, step: str) -> str:
    """Write a number that begins with one and grows by another in each turn of a loop."""
    if step.isdigit():
        product = "i" if step == "1" else f"{step} * i"
        if first == step and step != "1":
            return f"{step} * (i + 1)"
    else:
        product = f"i * {step}" if step.isidentifier() else f"({step}) * i"
    return product if first == "0" else f"{first} + {product}"


def _linear(first: int, step: int, counter: str) -> str:
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


def find_runs(
    statements: Sequence[Spoken | None], columns: Sequence[Column], fewest: Fewest
) -> list[Run]:
    """Find the runs of statements that a loop can say; None is what no loop can hold.

    `columns` are those that the numbers of the statements stand for.
    """
    equal = [_key(said, said.numbers) if said else at for at, said in enumerate(statements)]
    alike = [_key(said, ()) if said else at for at, said in enumerate(statements)]
    kinds = ((Repeats(equal, 2), fewest.equal), (Repeats(alike, 2), fewest.growing))
    runs: list[Run] = []
    at = 0
    while at < len(statements):
        run = None
        skip = 1
        for number, (repeats, least) in enumerate(kinds):
            period, turns = repeats.at(at)
            if turns >= least and run is None:
                run = _run(statements, columns, range(at, at + period), turns, least)
            if number == 0 and turns > 1:
                skip = period * turns
        if run:
            runs.append(run)
        at = run.end if run else at + skip
    return runs


def _key(said: Spoken, numbers: Hashable) -> Hashable:
    """Return what is equal for statements that can stand in one loop."""
    numbered = NUMBERED.match(said.member)
    name = numbered[1] if numbered else said.member
    return (said.text, name, said.shape, numbers, said.training_only)


def _run(
    statements: Sequence[Spoken | None],
    columns: Sequence[Column],
    unit: range,
    turns: int,
    least: int,
) -> Run | None:
    """Return the longest run of up to so many turns in which all numbers grow evenly."""
    period = len(unit)
    steps = [_steps(statements, columns, at, period) for at in unit]
    turns = _even_turns(statements, columns, unit, turns, steps)
    if turns < least:
        return None
    pairs = zip(unit, steps, strict=True)
    return Run(unit[0], turns, tuple(_turn(_said(statements, at), step, at) for at, step in pairs))


def _said(statements: Sequence[Spoken | None], at: int) -> Spoken:
    said = statements[at]
    assert said, "what no loop can hold is like nothing else"
    return said


def _even_turns(
    statements: Sequence[Spoken | None],
    columns: Sequence[Column],
    unit: range,
    most: int,
    steps: Sequence[tuple[Step, ...] | None],
) -> int:
    """Return for how many turns, up to so many, all numbers grow as between the first two."""
    period = len(unit)
    if None in steps:
        return 0
    for turn in range(2, most):
        for at, step in zip(unit, steps, strict=True):
            if _steps(statements, columns, at + (turn - 1) * period, period) != step:
                return turn
    return most


def _steps(
    statements: Sequence[Spoken | None], columns: Sequence[Column], at: int, period: int
) -> tuple[Step, ...] | None:
    """Return by how much the number of the module and each that it is made with grow in a turn.

    None says that no loop can hold it: something doesn't grow by a whole number, or not upwards, or
    the module stays the same while what it is made with doesn't.
    """
    first, second = _said(statements, at), _said(statements, at + period)
    left, right = NUMBERED.match(first.member), NUMBERED.match(second.member)
    step = int(right[2]) - int(left[2]) if left and right else 0
    found: list[Step] = [((step, step),)]
    for before, after in zip(first.numbers, second.numbers, strict=True):
        if before == after:
            found.append(())
        elif (more := _differences(columns[before], columns[after])) is None:
            return None
        else:
            found.append(more)
    grows = any(found[1:])
    if step < 0 or (grows and (step == 0 or first.counts)):
        return None
    return None if step == 0 and first.member != second.member else tuple(found)


def _differences(before: Column, after: Column) -> Step | None:
    steps: list[tuple[int, Size]] = []
    for (low, first), (high, second) in zip(before, after, strict=True):
        if type(low) is not int or type(high) is not int or high < low:
            return None
        if not isinstance(first, int | Formula) or not isinstance(second, int | Formula):
            return None
        steps.append((high - low, second - first))
    return tuple(steps) if any(more for more, _ in steps) else None


def _turn(said: Spoken, steps: tuple[Step, ...] | None, at: int) -> Turn:
    """Describe how a statement goes on from turn to turn."""
    numbered = NUMBERED.match(said.member)
    if not numbered or not steps or not steps[0][0][0]:
        return Turn(at)
    grows = tuple(any(more for more, _ in step) for step in steps[1:])
    return Turn(at, numbered[1], int(numbered[2]), steps[0][0][0], grows)
