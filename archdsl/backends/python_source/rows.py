"""What comes several times in a list of modules: written once, in a comprehension."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from archdsl.backends.python_source.names import numbered, quoted

FEWEST_NAMED = 3  # turns that make a comprehension
FEWEST_ITEMS = 3  # and so many items that are listed
LONGEST_PERIOD = 12


@dataclass(frozen=True, slots=True)
class Row:
    """Children of a list that come several times: `*[Block(64) for _ in range(3)]`.

    Attributes:
        start: the first of them, in the list that has each once.
        period: how many make one turn.
        turns: how often they come.
        count: the formula of that, where a parameter of the network's class may change it.
        counted: whether they are alike but for numbers that follow from which turn it is.
    """

    start: int
    period: int
    turns: int
    count: Any = None
    counted: bool = False


Turns = Mapping[int, tuple[Row, str]]  # by the start of a row, with the text of how often it comes


def listed_items(items: Sequence[str], turns: Turns) -> list[str]:
    """Write items, and rows of equal ones as comprehensions: `*[Block(64) for _ in range(3)]`."""
    listed: list[str] = []
    at = 0
    while at < len(items):
        row, count = turns.get(at, (Row(at, 1, 1), "1"))
        unit = items[at : at + row.period]
        turn = "i" if row.counted else "_"
        if count.isdigit() and int(count) * row.period < FEWEST_ITEMS:
            listed += [*unit] * int(count)
        elif row.period == 1:
            listed.append(f"*[{unit[0]} for {turn} in range({count})]")
        else:
            items_of = f"for layer in ({', '.join(unit)})"
            listed.append(f"*[layer for {turn} in range({count}) {items_of}]")
        at += row.period
    return listed


def named_items(labels: Sequence[str], items: Sequence[str], turns: Turns) -> list[str]:
    """Write items with their labels, and evenly numbered rows of equal ones as comprehensions."""
    named: list[str] = []
    for at, (label, item) in enumerate(zip(labels, items, strict=True)):
        if at not in turns:
            named.append(f"({quoted(label)}, {item})")
            continue
        prefix, first = numbered(label)
        count = turns[at][1]
        if not count.isdigit():
            number = f"i + {first}" if first else "i"
            named.append(f'*[(f"{prefix}{{{number}}}", {item}) for i in range({count})]')
            continue
        if int(count) < FEWEST_NAMED:
            labels_there = (f"{prefix}{first + turn}" for turn in range(int(count)))
            named += [f"({quoted(each)}, {item})" for each in labels_there]
            continue
        counted = f"range({first}, {first + int(count)})" if first else f"range({count})"
        named.append(f'*[(f"{prefix}{{i}}", {item}) for i in {counted}]')
    return named


class Repeats:
    """Finds runs of items that repeat, from any place, in the same time for each."""

    def __init__(self, items: Sequence[Hashable], fewest: int) -> None:
        self.fewest = fewest
        numbers: dict[Hashable, int] = {}
        numbered = [numbers.setdefault(item, len(numbers)) for item in items]
        periods = range(1, min(LONGEST_PERIOD, len(items) // 2) + 1)
        # for each period and place, how many items from there on are as those a period later
        self.alike = [_alike(numbered, period) for period in periods]

    def at(self, at: int) -> tuple[int, int]:
        """Return the period and the number of turns of the run that begins at a place.

        Of all periods the one that covers most items wins, then the shortest. Fewer items than
        `fewest` are no run: written out they are as short.
        """
        best = (1, 1)
        for period, alike in enumerate(self.alike, 1):
            turns = 1 + alike[at] // period if at < len(alike) else 1
            if period * turns >= self.fewest and turns > 1 and period * turns > best[0] * best[1]:
                best = (period, turns)
        return best


def _alike(items: Sequence[int], period: int) -> list[int]:
    """Return for each place how many items in a row equal those a period later."""
    found = [0] * (len(items) - period)
    row = 0
    for at in range(len(found) - 1, -1, -1):
        row = row + 1 if items[at] == items[at + period] else 0
        found[at] = row
    return found
