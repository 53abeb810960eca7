"""Folds what comes several times in a row into `repeat` and `for`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from archdsl.importing.naming import written
from archdsl.importing.skeleton import arguments_of, set_arguments, skeleton
from archdsl.importing.tree import (
    Loop,
    Merge,
    Output,
    Own,
    Part,
    Residual,
    Statement,
    Written,
    everything,
)
from archdsl.importing.writing import value

LONGEST_TURN = 6  # statements
Default = Callable[[Statement, str], Any]


def fold(statements: list[Statement], default: Default) -> list[Statement]:
    """Return statements with loops in the place of what repeats.

    `default` gives the value of an argument that a statement leaves out.
    """
    for one in statements:
        if isinstance(one, Part) and one.block:
            continue
        if isinstance(one, Merge):
            one.branches = [fold(branch, default) for branch in one.branches]
        elif isinstance(one, Residual):
            one.statements = fold(one.statements, default)
            one.shortcut = fold(one.shortcut, default)
        elif isinstance(one, Part) or (isinstance(one, Output) and one.statements):
            one.statements = fold(one.statements or [], default)
    return _folded(_folded(statements, default, exact=True), default, exact=False)


def _folded(statements: list[Statement], default: Default, exact: bool) -> list[Statement]:
    found: list[Statement] = []
    at = 0
    lengths = range(1, LONGEST_TURN + 1)
    alike = {length: alike_after(statements, length) for length in lengths}
    while at < len(statements):
        best: Turns | None = None
        for length in lengths:
            most = 1 + alike[length][at] // length
            turns = most_turns(statements, at, length, most, default, exact)
            if turns is not None and (best is None or turns.covered > best.covered):
                best = turns
        if best is None:
            found.append(statements[at])
            at += 1
        else:
            found.append(best.loop())
            at += best.covered
    return found


def alike_after(statements: Sequence[Statement], length: int) -> list[int]:
    """Return for each statement how many from there on are like those some places later."""
    numbers: dict[Any, int] = {}
    keys = [numbers.setdefault(skeleton(one, labels=False), len(numbers)) for one in statements]
    found = [0] * (len(keys) + 1)
    for at in range(len(keys) - length - 1, -1, -1):
        found[at] = found[at + 1] + 1 if keys[at] == keys[at + length] else 0
    return found


def most_turns(
    statements: list[Statement], at: int, length: int, most: int, default: Default, exact: bool
) -> Turns | None:
    """Return the longest loop that begins at a statement, with turns of some length.

    What is a loop of so many turns is one of fewer, so that few numbers of turns are tried.
    """

    def loop(turns: int) -> Turns | None:
        if turns < 2 or turns > most or turns * length <= 2:
            return None
        run = [statements[at + n * length : at + (n + 1) * length] for n in range(turns)]
        return turns_of(run, default, exact)

    few = loop(2)
    best = loop(3)
    if best is None:  # what differs in two turns is no list yet, but may be one in three
        return few
    low, high, step = 3, most + 1, 1
    while high - low > 1:
        # further and further, and back by halves from where there is none
        tried = min(low + step, high - 1) if high > most else (low + high) // 2
        longer = loop(tried)
        if longer is None:
            high = tried
        else:
            best, low, step = longer, tried, 2 * step
    return best


class Turns(NamedTuple):
    """Statements that are turns of a loop.

    Attributes:
        run: the statements of each turn.
        head: what stands before the body.
        changes: the statements of the body with their arguments and labels then.
    """

    run: Sequence[list[Statement]]
    head: str
    changes: list[tuple[Statement, dict[str, Any], str]]

    @property
    def covered(self) -> int:
        """How many statements they are."""
        return len(self.run) * len(self.run[0])

    def loop(self) -> Loop:
        """Return the loop, of whose body the statements are those of the first turn."""
        for one, values, label in self.changes:
            if values or arguments_of(one):
                set_arguments(one, values)
            one.label = label
        return Loop(head=self.head, statements=self.run[0])


def turns_of(run: Sequence[list[Statement]], default: Default, exact: bool) -> Turns | None:
    """Return the loop of which the turns are some statements, or None if there is none."""
    columns = [list(everything(turn)) for turn in run]
    rows = list(zip(*columns, strict=True))
    if any(one.named or isinstance(one, Own) for row in rows for one in row):
        return None
    counted = False
    index = free_index(run[0])
    labels: list[str] = []
    for row in rows:
        label = numbered([one.label for one in row], index)
        if label is None:
            return None
        counted = counted or label != row[0].label
        labels.append(label)
    changes: list[tuple[Statement, dict[str, Any]]] = []
    varying: dict[tuple[Any, ...], str] = {}
    for row in rows:
        names = list(dict.fromkeys(name for one in row for name in arguments_of(one)))
        values: dict[str, Any] = {}
        for name in names:
            given = tuple(arguments_of(one).get(name, default(one, name)) for one in row)
            if len({repr(one) for one in given}) == 1:
                if name in arguments_of(row[0]):
                    values[name] = given[0]
                continue
            if any(isinstance(one, Written) for one in given):
                return None
            if exact or len(set(given)) < len(given):
                return None
            step = growing(given, index)
            if step is not None:
                counted = True
                values[name] = step
                continue
            word = next((w for key, w in varying.items() if key == given), "")
            if not word:
                word = name if name not in varying.values() else f"{name}{len(varying) + 1}"
                varying[given] = word
            values[name] = Written(word)
        changes.append((row[0], values))
    turns = len(run)
    if len(varying) > 3 or (varying and turns < 3):
        return None
    labelled = [(*pair, label) for pair, label in zip(changes, labels, strict=True)]
    return Turns(run, head_of(turns, index, counted, varying), labelled)


def head_of(turns: int, index: str, counted: bool, varying: dict[tuple[Any, ...], str]) -> str:
    """Write what stands before the body of a loop."""
    if not varying:
        return f"for {index} in range({turns})" if counted else f"repeat {turns}"
    if len(varying) == 1:
        ((values, name),) = varying.items()
        listed = value(list(values))
        head = f"{index}, {name} in enumerate({listed})"
        return f"for {head}" if counted else f"for {name} in {listed}"
    columns = [range(turns), *varying] if counted else [*varying]
    names = [index, *varying.values()] if counted else [*varying.values()]
    rows = (f"({', '.join(map(value, row))})" for row in zip(*columns, strict=True))
    return f"for {', '.join(names)} in [{', '.join(rows)}]"


def free_index(statements: Sequence[Statement]) -> str:
    """Return a name for the number of the turn that no loop inside has."""
    heads = " ".join(one.head for one in everything([*statements]) if isinstance(one, Loop))
    used = set(re.findall(r"\w+", heads))
    return next(name for name in "ijklmnop" if name not in used)


def growing(values: Sequence[Any], index: str) -> Written | None:
    """Return the formula of integers that grow evenly, in the number of the turn."""
    if not all(isinstance(one, int) and not isinstance(one, bool) for one in values):
        return None
    step = values[1] - values[0]
    if len(values) < 3 or any(b - a != step for a, b in pairwise(values)):
        return None
    times = index if step == 1 else f"{step} * {index}"
    return Written(times if values[0] == 0 else f"{values[0]} + {times}")


def numbered(labels: list[str], index: str) -> str | None:
    """Return the one label of all turns, with a hole for the number of the turn, or None."""
    if len(set(labels)) == 1:
        return labels[0] if labels[0] == "" else None
    texts = [one.strip('"') for one in labels]
    # the number that counts is the first one that differs
    parts = [re.split(r"(\d+)", text) for text in texts]
    if len({len(part) for part in parts}) > 1:
        return None
    differ = [at for at, row in enumerate(zip(*parts, strict=True)) if len(set(row)) > 1]
    if len(differ) != 1 or differ[0] % 2 == 0:
        return None
    numbers = [int(part[differ[0]]) for part in parts]
    if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        return None
    hole = f"{{{index}}}" if numbers[0] == 0 else f"{{{index} + {numbers[0]}}}"
    before, after = "".join(parts[0][: differ[0]]), "".join(parts[0][differ[0] + 1 :])
    if '"' in before + after or "." in before + after:
        pieces = f"{before}{hole}{after}".replace('"', "").split(".")
        return ".".join(f'"{piece}"' if "{" in piece else written(piece) for piece in pieces)
    return f'"{before}{hole}{after}"'
