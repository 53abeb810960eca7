"""The numbers of a class in the order in which they are written: one row for each of its uses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from archdsl.backends.python_source.folding import Folded
from archdsl.backends.python_source.loops import Run, Turn
from archdsl.backends.python_source.makers import ANY, NO_DEFAULT, Maker, Number, count_name
from archdsl.layers.sizes import Formula, Size

GROWTH = "growth"  # by how much a number grows in each turn of a loop


@dataclass(frozen=True, slots=True)
class Member:
    """A member that is written, and in which loop if it is the first of several."""

    name: str
    maker: Maker
    turn: Turn | None = None
    run: Run | None = None


def written_members(folded: Folded) -> list[Member]:
    """Return the members of a class, of those that a loop makes the first."""
    use = folded.sample
    first: dict[str, tuple[Turn, Run]] = {}
    later: set[str] = set()
    for run in folded.runs.values():
        for at, action in enumerate(use.actions[run.start : run.end]):
            turn = run.unit[at % len(run.unit)]
            if turn.step and at < len(run.unit):
                first[use.shaped.members[action.target]] = (turn, run)
            elif turn.step:
                later.add(use.shaped.members[action.target])
    members = (
        Member(name, maker, *first.get(name, (None, None)))
        for name, maker in use.makers
        if name not in later
    )
    return list(members)


def written_actions(folded: Folded) -> list[int]:
    """Return the actions of a forward pass that are written, of a loop those of its first turn."""
    kept: list[int] = []
    at = 0
    while at < len(folded.sample.actions):
        run = folded.runs.get(at)
        kept += range(at, at + len(run.unit)) if run else [at]
        at = run.end if run else at + 1
    return kept


def numbers(variants: Sequence[Folded]) -> list[list[Number]]:
    """Return the numbers of a class, for each use: of members, of expressions, of turns.

    `variants` differ in how often things come.
    """
    return [row for each in variants for row in _rows(each)]


def _rows(folded: Folded) -> Iterator[list[Number]]:
    members = written_members(folded)
    actions = written_actions(folded)
    for use in folded.uses:
        row: list[Number] = []
        makers = dict(use.makers)
        for member in members:
            row += _of_member(member, makers)
        for at in actions:
            row += use.spoken[at]
        for run in folded.runs.values():
            row.append(Number(run.turns, _count_name(run, members), turns=True))
        for option in use.options:
            row += option.numbers
        yield row


def _of_member(member: Member, makers: Mapping[str, Maker]) -> Iterator[Number]:
    """Yield the numbers of a member, then by how much those grow that do so in its loop."""
    first = makers[member.name].numbers
    turn, run = member.turn, member.run
    if not turn or not run or not any(turn.grows):
        yield from first
        return
    for number, grows in zip(first, turn.grows, strict=True):
        yield replace(number, default=NO_DEFAULT) if grows else number
    following = f"{turn.prefix}{turn.first + turn.step}"
    second = makers[following].numbers if run.turns > 1 else first
    for number, later, grows in zip(first, second, turn.grows, strict=True):
        if grows:
            if later is number:
                yield Number(ANY, GROWTH)
            else:
                more = _less(later.value, number.value)
                yield Number(more, GROWTH, formula=_less(later.formula, number.formula))


def _less(later: object, number: object) -> Size:
    assert isinstance(later, int | Formula)
    assert isinstance(number, int | Formula)
    return later - number


def _count_name(run: Run, members: Sequence[Member]) -> str:
    """Name the number of turns of a loop after what it makes."""
    made = (member for member in members if member.run is run)
    found = next(made, None)
    return count_name(found.name, found.maker) if found else "num_repeats"
