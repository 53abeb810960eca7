"""Labels: the names of stages, the scopes they open, and how references find them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from archdsl.diagnostics import Span
from archdsl.records import Record

Move = Callable[[int], int]  # gives the number of a node as something around it knows it
Flow = tuple[int, ...] | None  # numbers of nodes; None after something that was reported
MOST_DIGITS = 18  # of a position: there are not that many stages
PLAIN = re.compile(r"[A-Za-z0-9_]+", re.ASCII)
# Letters and marks of which nothing is seen, though they can be printed.
UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\ufffc"
    "\U000e0100-\U000e01ef]"
)


def fault_of(part: str) -> str:
    """Say why a part of a label can't be one, or "".

    Torch takes every text without a dot. What can't be told apart by the eye is refused here, so
    that a name means one thing.
    """
    if PLAIN.fullmatch(part):
        return ""
    if not part:
        return "a label, and each part of one between dots, has a character at least"
    for character in part:
        if not character.isprintable() or UNSEEN.match(character):
            return f"U+{ord(character):04X} can't be seen in print: leave it out"
    if part.strip(" ") != part or "  " in part:
        return "spaces stand between other characters, one at a time: others are not seen in print"
    if unicodedata.category(part[0]).startswith("M"):
        return f"U+{ord(part[0]):04X} is a mark on the letter before it, and there is none"
    if not unicodedata.is_normalized("NFC", part):
        return "letters with marks are written as one character where there is one (Unicode's NFC)"
    return ""


@dataclass(slots=True, eq=False)
class Opened:
    """A scope within a body: a group, a labelled branch or merge, or part of a dotted label.

    Attributes:
        tail: its label or position in the scope around it, which may be dotted.
        around: that scope; None for the body's own.
        position: of a stage without a label, else -1.
    """

    tail: str
    around: Opened | None
    span: Span
    position: int = -1


@dataclass(slots=True, eq=False)
class Entry:
    """What a label stands for.

    Attributes:
        span: where the label, or the stage without one, stands.
        flow: the tensor that it names; None if it has none.
        first, end: the nodes that were made for it are numbered from `first` up to `end`.
        incoming: what came in.
        place: the scope that it opened, if it did.
        training: of an output: whether it is given in training mode only.
        move: gives numbers that are known in its place as the body knows them that it is in; None
            where they are the same.
        awaited: the rest of the label in a `register` that opened the scope before any stage did.
    """

    span: Span
    flow: Flow = None
    first: int = 0
    end: int = 0
    incoming: Flow = None
    place: Place | None = None
    training: bool = False
    move: Move | None = None
    awaited: str = ""

    def moved(self, move: Move) -> Entry:
        """Return the same as it is known further out."""
        first = move(self.first) if self.end > self.first else 0
        return Entry(
            self.span,
            None if self.flow is None else tuple(map(move, self.flow)),
            first,
            first + self.end - self.first,
            None if self.incoming is None else tuple(map(move, self.incoming)),
            self.place,
            self.training,
            _composed(move, self.move),
            self.awaited,
        )


def _composed(outer: Move, inner: Move | None) -> Move:
    return outer if inner is None else lambda number: outer(inner(number))


NOTHING: dict[str, Entry] = {}  # of places that have no labels or no outputs; nobody fills this


class Turns(Record):
    """Turns of a loop that are like the first: stages without labels in them have positions.

    Attributes:
        first: the position of the first stage of the first of them.
        positions, size: how many stages without labels, and nodes, a turn has.
        floor: from this number on nodes are others in other turns.
    """

    first: int
    positions: int
    times: int
    size: int
    floor: int

    def move(self, turn: int) -> Move:
        """Return what gives the numbers of the first turn as those of a later one."""
        by = turn * self.size
        return lambda number: number + by if number >= self.floor else number


@dataclass(slots=True, eq=False)
class Place:
    """A scope while it is being filled.

    Attributes:
        name: the labels that lead there, as in the use for which it is worked out.
        opened: what it is in the body; None for the body's own.
        outside: whether labels around it can be seen from within; not from within a block.
        position: of the next stage without a label.
        outputs: what `output name` names in a block or network.
        registered: all labels in the order of the `state_dict`, each with the `register` that asks
            for its place; None where there is none, so that the order is that of the stages.
    """

    name: str
    opened: Opened | None
    around: Place | None = None
    outside: bool = True
    position: int = 0
    open: bool = True  # whether dotted labels may add to it from elsewhere
    entries: dict[str, Entry] = field(default_factory=lambda: NOTHING)
    outputs: dict[str, Entry] = field(default_factory=lambda: NOTHING)
    registered: dict[str, Span | None] | None = None
    turns: list[Turns] | None = None

    def enter(self, label: str, entry: Entry) -> Entry:
        """Let a label of this scope stand for something."""
        if self.entries is NOTHING:
            self.entries = {}  # its own
        self.entries[label] = entry
        if self.registered is not None:
            self.registered.setdefault(label)  # one that a `register` named keeps its place
        return entry

    def get(self, label: str) -> Entry | None:
        """Return what a label of this scope stands for."""
        found = self.entries.get(label)
        if found is None and (known := self._in_turn(label)):
            like, move = known
            return self.entries[like].moved(move)
        return found

    def like(self, label: str) -> str:
        """Return the label of the stage in whose likeness that of a label was made."""
        known = self._in_turn(label) if label not in self.entries else None
        return known[0] if known else label

    def _in_turn(self, label: str) -> tuple[str, Move] | None:
        if not self.turns or len(label) > MOST_DIGITS or not (label.isascii() and label.isdigit()):
            return None
        for turns in self.turns:
            turn, position = divmod(int(label) - turns.first, turns.positions)
            # `03` is a label like any other, and no position
            if 1 <= turn <= turns.times and str(int(label)) == label:
                return str(turns.first + position), turns.move(turn)
        return None

    def repeat(self, turns: Turns) -> None:
        """Let turns of a loop be like the first of them."""
        if self.turns is None:
            self.turns = []
        self.turns.append(turns)

    def full_name(self, label: str) -> str:
        """Return the name of a stage of this scope, from the network on."""
        return f"{self.name}.{label}" if self.name else label

    def in_order(self) -> Iterator[str]:
        """Yield all labels in the order in which they were entered."""
        last = {str(turns.first + turns.positions - 1): turns for turns in self.turns or ()}
        for label in self.entries:
            yield label
            if turns := last.get(label):
                more = turns.positions * turns.times
                start = turns.first + turns.positions
                yield from map(str, range(start, start + more))

    def visible(self) -> Iterator[Place]:
        """Yield this scope and those around it, as far as the block it is written in."""
        place: Place | None = self
        while place is not None:
            yield place
            place = place.around if place.outside else None

    def chain(self) -> Iterator[Place]:
        """Yield this scope and all those around it."""
        place: Place | None = self
        while place is not None:
            yield place
            place = place.around

    def find(self, parts: list[str]) -> Entry | None:
        """Look up a reference: its first part here or further out, the others inside."""
        for place in self.visible():
            entry = place.get(parts[0]) or place.outputs.get(parts[0])
            if entry is not None:
                return _enter(entry, parts[1:])
        return None

    def names(self) -> list[str]:
        """List what a reference may find inside: outputs, then stages."""
        return [*dict.fromkeys([*self.outputs, *self.entries])]

    def labels(self) -> list[str]:
        """List the references that would find something, those nearest first."""
        found: dict[str, None] = {}
        for place in self.visible():
            for name, entry in reversed(place.entries.items()):
                if name.isascii() and name.isdigit():
                    continue
                found.setdefault(name)
                for inner in entry.place.outputs if entry.place else ():
                    found.setdefault(f"{name}.{inner}")
        return list(found)


def _enter(entry: Entry, parts: list[str]) -> Entry | None:
    moves: list[Move] = []
    for part in parts:
        if entry.place is None:
            return None
        inner = entry.place.outputs.get(part) or entry.place.get(part)
        if inner is None:
            return None
        moves += [entry.move] if entry.move else []
        entry = inner
    # each scope knows the numbers of the one within it, so the innermost comes first
    for move in reversed(moves):
        entry = entry.moved(move)
    return entry
