"""Goes through a network without doing for each turn of a loop what comes to the same in all.

An analysis goes through the nodes in order, and what it finds of one follows from what it found of
those that this reads. So where a turn of a loop has come to the same as the turn before, in all
that later ones can see of it, so do all further turns but the last, and the analysis says what
they come to without going through them. The last turn is gone through all the same: what comes
behind the loop reads it, and for that it may be another.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence

from archdsl.graph import CheckedGraph, Loop

FEWEST_LEFT = 3  # turns between: with fewer, to compare takes longer than to go on
# how often turns are compared: mostly the second is like the first, and where that takes long,
# as with windows that are enlarged, it may never be so
MOST_TRIES = 4


def go_through(
    stop: int,
    loops: Sequence[Loop],
    go: Callable[[int, int], None],
    settles: Callable[[int, int, int], bool],
) -> None:
    """Call `go` for stretches of nodes, in order, from 0 on before `stop`.

    After a turn `settles` gets the number of its first node, how many nodes it has, and how many
    turns lie between it and the last. If it returns True these are left out.
    """
    _go(0, stop, loops, 0, go, settles)


def _go(
    at: int,
    stop: int,
    loops: Sequence[Loop],
    by: int,
    go: Callable[[int, int], None],
    settles: Callable[[int, int, int], bool],
) -> None:
    # a loop within a loop has at most half of its nodes, so this goes no deeper than 24 times
    for loop in loops:
        if at < loop.first + by:
            go(at, loop.first + by)
        turn, last = 0, loop.turns - 1
        while turn <= last:
            at = loop.first + by + turn * loop.size
            if loop.inner:
                _go(at, at + loop.size, loop.inner, by + turn * loop.size, go, settles)
            else:
                go(at, at + loop.size)
            left = last - turn - 1
            if 0 < turn <= MOST_TRIES and left >= FEWEST_LEFT and settles(at, loop.size, left):
                turn = last
            else:
                turn += 1
        at = loop.end + by
    if at < stop:
        go(at, stop)


class Alike:
    """Tells of turns that are alike whether they are so too in what follows from others.

    That is what kinds of numbers their nodes give, and which of them run in training only.
    """

    def __init__(self, checked: CheckedGraph) -> None:
        kinds = {kind: at for at, kind in enumerate(dict.fromkeys(checked.held.values()), start=2)}
        marks: list[int] = []
        if checked.aside or checked.held:  # of most networks neither
            marks = [int(number in checked.aside) for number in range(len(checked.arrays.facts))]
            for number, kind in checked.held.items():
                marks[number] += 2 * kinds[kind]
        self._marks = marks

    def __call__(self, at: int, size: int, left: int) -> bool:
        """Tell it of the turn that begins with a node, and so many further ones."""
        marks, stop = self._marks, at + left * size
        return not marks or marks[at:stop] == marks[at + size : stop + size]


class Fewer:
    """A network of which loops have three turns: the first, another, and the last.

    Attributes:
        numbers: the numbers of its nodes in the network.
        reads: what each reads, by the places in `numbers`.
    """

    def __init__(self, checked: CheckedGraph, settles: Callable[[int, int, int], bool]) -> None:
        self.numbers: list[int] = []
        self.reads: list[tuple[int, ...]]
        self._starts: list[int] = []  # of what is left out
        self._sizes: list[int] = []
        reads = checked.arrays.reads

        def leave_out(at: int, size: int, left: int) -> bool:
            if not settles(at, size, left):
                return False
            self._starts.append(at + size)
            self._sizes.append(left * size)
            return True

        go_through(len(reads), checked.loops, self._go, leave_out)
        if self._starts:
            self._places = {number: place for place, number in enumerate(self.numbers)}
            self.reads = [tuple(map(self.place, reads[number])) for number in self.numbers]
        else:
            self.reads = reads

    def _go(self, at: int, stop: int) -> None:
        self.numbers += range(at, stop)

    def place(self, number: int) -> int:
        """Return the place of a node, or of what stands for it."""
        if not self._starts:
            return number
        at = bisect_right(self._starts, number) - 1
        # the last turn reads the turn before, which is like the one that is there
        if at >= 0 and number < self._starts[at] + self._sizes[at]:
            number -= self._sizes[at]
        return self._places[number]
