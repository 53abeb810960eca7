"""Labels: the names of stages, the scopes they open, and how references find them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field

from archdsl.diagnostics import Span
from archdsl.graph import Scope

Flow = tuple[int, ...] | None  # numbers of nodes; None after something that was reported
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
class Entry:
    """What a label stands for.

    Attributes:
        span: where the label, or the stage without one, stands.
        flow: the tensor that it names; None if it has none.
        first, end: the nodes that were made for it are numbered from `first` up to `end`.
        incoming: what came in.
        place: the scope that it opened, if it did.
        training: of an output: whether it is given in training mode only.
    """

    span: Span
    flow: Flow = None
    first: int = 0
    end: int = 0
    incoming: Flow = None
    place: Place | None = None
    training: bool = False


NO_OUTPUTS: dict[str, Entry] = {}  # most places have none; nobody fills this


@dataclass(slots=True, eq=False)
class Place:
    """A scope while it is being filled.

    Attributes:
        outside: whether labels around it can be seen from within; not from within a block.
        position: of the next stage without a label.
        outputs: what `output name` names in a block or network.
        registered: all labels in the order of the `state_dict`, each with the `register` that asks
            for its place; None where there is none, so that the order is that of the stages.
    """

    scope: Scope
    around: Place | None = None
    outside: bool = True
    position: int = 0
    open: bool = True  # whether dotted labels may add to it from elsewhere
    entries: dict[str, Entry] = field(default_factory=dict)
    outputs: dict[str, Entry] = field(default_factory=lambda: NO_OUTPUTS)
    registered: dict[str, Span | None] | None = None

    def enter(self, label: str, entry: Entry) -> Entry:
        """Let a label of this scope stand for something."""
        self.entries[label] = entry
        if self.registered is not None:
            self.registered.setdefault(label)
        return entry

    def full_name(self, label: str) -> str:
        """Return the name of a stage of this scope, from the network on."""
        return self.scope.full_name(label)

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
            entry = place.entries.get(parts[0]) or place.outputs.get(parts[0])
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
    for part in parts:
        if entry.place is None:
            return None
        inner = entry.place.outputs.get(part) or entry.place.entries.get(part)
        if inner is None:
            return None
        entry = inner
    return entry
