"""Finds what repeats in the uses that share a class, and writes each of it down once.

Whatever is compared here are kinds of modules and the numbers of all uses, never text: two modules
are alike if they are made in the same way, with numbers that are equal in every use.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from archdsl.backends.python_source.arithmetic import written
from archdsl.backends.python_source.loops import Column, Fewest, Run, Spoken, find_runs
from archdsl.backends.python_source.makers import (
    ClassMaker,
    LayerMaker,
    ListMaker,
    Maker,
    Number,
)
from archdsl.backends.python_source.names import numbered
from archdsl.backends.python_source.rows import FEWEST_ITEMS, FEWEST_NAMED, Repeats, Row
from archdsl.backends.python_source.sketch import Sketch
from archdsl.backends.python_source.uses import Use
from archdsl.layers.sizes import Formula
from archdsl.layers.traced import turn_of

COUNTER = Formula.named("i")  # of a comprehension
FEWEST_TURNS = 4  # of several modules each, in a comprehension that counts


@dataclass(frozen=True, slots=True)
class Fold:
    """Which children of a list are written: those of the first turn of each row.

    Attributes:
        kept: their places in the list.
        rows: those that come several times, by their place among the kept.
        inner: the folds of the kept.
        steps: of those in rows that count by how much the variable of the loop grows in a turn.
    """

    kept: tuple[int, ...]
    rows: tuple[Row, ...]
    inner: tuple[Fold | None, ...]
    steps: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Child:
    """What is equal for children of a list that are made alike.

    Attributes:
        key: equal for equal ones.
        counted: equal for those as well that differ by which turn of a loop they are in.
        turn: what the variable of that loop is; None where nothing follows from it.
    """

    key: Hashable
    counted: Hashable
    turn: int | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Folded:
    """Uses that share a class, with what repeats in them.

    Attributes:
        uses: with lists that have each of their rows once.
        folds: for each member how it was folded.
        sketch: what the forward pass says in the first use.
        runs: its loops, by their first action.
    """

    uses: Sequence[Use]
    folds: Sequence[Fold | None]
    sketch: Sketch | None
    runs: Mapping[int, Run]

    @property
    def sample(self) -> Use:
        """The first use."""
        return self.uses[0]


class _Columns:
    """The numbers of several uses, each column of them known by a number of its own.

    Columns are the same if their numbers are, and follow from the same in each use.
    """

    def __init__(self) -> None:
        self.known: dict[Hashable, int] = {}
        self.columns: list[Column] = []

    def number(self, numbers: Sequence[Number]) -> int:
        """Return the number of a column: equal ones have the same."""
        column = tuple((_listed(each.value), _listed(each.formula)) for each in numbers)
        key = tuple((type(value), value, type(formula), formula) for value, formula in column)
        found = self.known.setdefault(key, len(self.columns))
        if found == len(self.columns):
            self.columns.append(column)
        return found

    def of(self, numbers: Sequence[Sequence[Number]]) -> tuple[int, ...]:
        """Return the columns of what has these numbers in the uses."""
        return tuple(self.number(column) for column in zip(*numbers, strict=True))


def _listed(value: object) -> object:
    return tuple(map(_listed, value)) if isinstance(value, list | tuple) else value


def fold(uses: Sequence[Use], sketch: Sketch | None, fewest: Fewest) -> Folded:
    """Find the rows in lists of modules and the loops in the forward pass.

    `sketch` is that of the first use, or None where the class has no forward pass of its own.
    """
    columns = _Columns()
    makers = zip(*([maker for _, maker in use.makers] for use in uses), strict=True)
    folds = [_fold_all(each, columns, fewest)[0] for each in makers]
    uses = [folded_use(use, folds) for use in uses]
    runs: list[Run] = []
    if sketch:
        runs = find_runs(_statements(uses, sketch, columns), columns.columns, fewest)
    order = {name: at for at, (name, _) in enumerate(uses[0].makers)}
    kept = {run.start: run for run in runs if _stands_in_row(uses[0], run, order)}
    return Folded(uses, folds, sketch, kept)


def folded_use(use: Use, folds: Sequence[Fold | None]) -> Use:
    """Return a use with its lists folded."""
    pairs = zip(use.makers, folds, strict=True)
    return replace(use, makers=tuple((name, _apply(maker, each)) for (name, maker), each in pairs))


def _apply(maker: Maker, fold: Fold | None) -> Maker:
    if fold is None or not isinstance(maker, ListMaker):
        return maker
    children = [
        _apply(maker.children[at], inner) for at, inner in zip(fold.kept, fold.inner, strict=True)
    ]
    for at, step in fold.steps.items():
        children[at] = _counting(children[at], step)
    return replace(
        maker,
        labels=tuple(maker.labels[at] for at in fold.kept),
        children=tuple(children),
        rows=tuple(_counted(row, fold.kept[row.start], maker.loops) for row in fold.rows),
        loops=(),
    )


def _counted(row: Row, start: int, loops: Sequence[Row]) -> Row:
    """Return a row with the count that a use has for it, which is a formula of that use."""
    for loop in loops:
        if start <= loop.start < start + row.period * row.turns:
            return replace(row, count=loop.count + (row.turns - loop.turns))
    return row


def _counting(maker: Maker, step: int) -> Maker:
    """Write the numbers that follow from the turn of a loop with the counter of a comprehension."""
    assert isinstance(maker, LayerMaker | ClassMaker)
    numbers: list[Number] = []
    for number in maker.numbers:
        if number.counted is not None:
            (atom,) = number.counted.names
            turn = COUNTER * step + turn_of(atom)
            text = written(number.counted.evaluate({atom: turn}), ["i"])
            number = replace(number, text=text)
        numbers.append(number)
    return replace(maker, numbers=tuple(numbers))


def _child(makers: Sequence[Maker], columns: _Columns, fewest: Fewest) -> _Child:
    """Return what is equal for what makes the same in each of the uses."""
    shape, numbers = makers[0].shape, [maker.numbers for maker in makers]
    own = columns.of(numbers)
    key = (shape, own)
    if not fewest.counts or not isinstance(makers[0], LayerMaker | ClassMaker):
        return _Child(key, key)
    counted: list[Hashable] = []
    turns: set[int] = set()
    for at, column in enumerate(zip(*numbers, strict=True)):
        found = {number.counted for number in column}
        formulas = [each for each in found if each is not None]
        atoms = {atom for each in formulas for atom in each.names}
        same = {each.evaluate(dict.fromkeys(each.names, COUNTER)) for each in formulas}
        if len(formulas) == len(found) and len(same) == 1:
            counted.append(same.pop())
            turns |= {*map(turn_of, atoms)}
        else:
            counted.append(own[at])
    if len(turns) != 1:
        return _Child(key, key)
    return _Child(key, (shape, *counted), turns.pop())


def _fold_all(
    makers: Sequence[Maker], columns: _Columns, fewest: Fewest
) -> tuple[Fold | None, _Child]:
    """Fold what makes one member in each of the uses; return what is equal for equal ones."""
    first = makers[0]
    if not isinstance(first, ListMaker):
        return None, _child(makers, columns, fewest)
    lists = [maker.children for maker in makers if isinstance(maker, ListMaker)]
    inner = [_fold_all(children, columns, fewest) for children in zip(*lists, strict=True)]
    keys = [child.key for _, child in inner]
    rows = _rows_around_loops(first, keys, fewest)
    if first.positional and fewest.counts:
        rows = _with_counted(rows, [child for _, child in inner])
    kept: list[int] = []
    found: list[Row] = []
    steps: dict[int, int] = {}
    for row in rows:
        if row.turns > 1 or row.count is not None:
            found.append(replace(row, start=len(kept)))
        for at in range(row.start, row.start + row.period):
            if row.counted and (step := _step(inner[at][1], inner[at + row.period][1])):
                steps[len(kept)] = step
            kept.append(at)
    fold = Fold(tuple(kept), tuple(found), tuple(inner[at][0] for at in kept), steps)
    key = (first.target, first.labels, tuple(keys))
    return fold, _Child(key, key)


def _step(child: _Child, later: _Child) -> int:
    return 0 if child.turn is None or later.turn is None else later.turn - child.turn


def _with_counted(rows: Iterable[Row], children: Sequence[_Child]) -> Iterator[Row]:
    """Yield rows, and what stands alone between them in rows that count where it makes some."""
    alone: list[int] = []
    for row in rows:
        if row.turns == 1 and row.count is None:
            alone += range(row.start, row.start + row.period)
        else:
            yield from _counted_rows(alone, children)
            alone.clear()
            yield row
    yield from _counted_rows(alone, children)


def _counted_rows(alone: Sequence[int], children: Sequence[_Child]) -> Iterator[Row]:
    repeats = Repeats([children[at].counted for at in alone], FEWEST_ITEMS)
    at = 0
    while at < len(alone):
        period, turns = repeats.at(at)
        turns = _even(children[alone[at] : alone[at] + period * turns], period)
        # of several in a turn each is broken into more lines than where it stands alone
        counted = turns >= (FEWEST_ITEMS if period == 1 else FEWEST_TURNS)
        row = Row(alone[at], period, turns, counted=True) if counted else Row(alone[at], 1, 1)
        yield row
        at += row.period * row.turns


def _even(children: Sequence[_Child], period: int) -> int:
    """Return for how many turns the variable of a loop grows as between the first two."""
    turns = len(children) // period
    first: list[int] = []
    for turn in range(1, turns):
        now, later = (children[at * period : (at + 1) * period] for at in (turn - 1, turn))
        steps = [*map(_step, now, later)]
        if steps != (first := first or steps):
            return turn
    return turns


def _rows_around_loops(
    listed: ListMaker, keys: Sequence[Hashable], fewest: Fewest
) -> Iterator[Row]:
    """Yield the rows of a list, those among them that the spec makes in an open loop as it does."""
    at = 0
    loops = [loop for loop in listed.loops if _is_row(listed, keys, loop)]
    for loop in (*loops, Row(len(keys), 0, 0)):
        start, end = loop.start, loop.start + loop.period * loop.turns
        unit = keys[start : start + loop.period]
        # what stands before it is often a turn as well, as the first block of a stage
        while listed.positional and unit and keys[max(start - loop.period, at) : start] == unit:
            start -= loop.period
        between = keys[at:start]
        rows = (
            _rows(between, fewest)
            if listed.positional
            else _named_rows(listed.labels[at:start], between, fewest)
        )
        yield from (replace(row, start=row.start + at) for row in rows)
        if loop.turns:
            more = (loop.start - start) // loop.period
            yield replace(loop, start=start, turns=loop.turns + more)
        at = end


def _is_row(listed: ListMaker, keys: Sequence[Hashable], loop: Row) -> bool:
    """Tell whether the turns of a loop are alike, and their labels evenly numbered."""
    end = loop.start + loop.period * loop.turns
    unit = [*keys[loop.start : loop.start + loop.period]]
    prefix, first = numbered(listed.labels[loop.start])
    labels = [numbered(label) for label in listed.labels[loop.start : end]]
    even = loop.period == 1 and labels == [(prefix, first + turn) for turn in range(loop.turns)]
    return [*keys[loop.start : end]] == unit * loop.turns and (
        listed.positional or (even and first >= 0)
    )


def _rows(keys: Sequence[Hashable], fewest: Fewest) -> Iterator[Row]:
    repeats = Repeats(keys, fewest.items)
    at = 0
    while at < len(keys):
        row = Row(at, *repeats.at(at))
        yield row
        at += row.period * row.turns


def _named_rows(labels: Sequence[str], keys: Sequence[Hashable], fewest: Fewest) -> Iterator[Row]:
    """Find rows of equal children whose labels are evenly numbered."""
    least = min(fewest.items, FEWEST_NAMED)
    at = 0
    while at < len(keys):
        prefix, first = numbered(labels[at])
        end = at + 1
        # `b` has no number, so `b0` is not the next one
        while (
            first >= 0
            and end < len(keys)
            and (keys[end], numbered(labels[end]))
            == (
                keys[at],
                (prefix, first + end - at),
            )
        ):
            end += 1
        row = Row(at, 1, end - at if end - at >= least else 1)
        yield row
        at += row.turns


def _statements(uses: Sequence[Use], sketch: Sketch, columns: _Columns) -> list[Spoken | None]:
    """Return what each action of a forward pass says, for finding loops."""
    made: dict[str, tuple[Maker, tuple[int, ...]]] = {}
    for members in zip(*(use.makers for use in uses), strict=True):
        name, maker = members[0]
        made[name] = (maker, columns.of([each.numbers for _, each in members]))
    spoken = zip(*(use.spoken for use in uses), strict=True)
    return [sketch.say(at, made, columns.of(numbers)) for at, numbers in enumerate(spoken)]


def _stands_in_row(use: Use, run: Run, order: Mapping[str, int]) -> bool:
    """Tell whether the modules that a loop makes stand in a row in the constructor as well."""
    actions = use.actions[run.start : run.end]
    own = [turn.step > 0 for turn in run.unit] * run.turns
    members = [use.shaped.members.get(action.target, "") for action in actions]
    places = [order[name] for name, is_own in zip(members, own, strict=True) if is_own]
    shared = {name for name, is_own in zip(members, own, strict=True) if not is_own}
    between = places[-1] - places[0] + 1 - len(places) if places else 0
    return places == sorted(places) and between <= len(shared)
