"""A sweep: which variants of a network are counted, and the rows that come of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from archdsl.diagnostics import ArchError, printable
from archdsl.output import Journal
from archdsl.variants.conditions import Conditions
from archdsl.variants.errors import OtherSweep
from archdsl.variants.figures import BYTES, NAMES, SHORT, unhidden
from archdsl.variants.plan import Outcome, Plan, said
from archdsl.variants.running import outcomes
from archdsl.variants.space import MOST_VARIANTS, drawn

Row = dict[str, Any]
JOURNAL = "archdsl sweep, not finished: the same command goes on with these rows"


class Sweep:
    """Variants of a network with their figures: rows, each a dictionary.

    It is worked out while one goes through it, and remembered. A row has the values of the
    parameters, the figures, and under `error` why there are none.

    Attributes:
        columns: the names of what a row has.
        further: longer names of figures, with those of their columns.
        in_bytes: the columns that are bytes.
    """

    def __init__(
        self,
        plan: Plan,
        declared: Collection[str],
        facts: Mapping[str, object],
        conditions: Conditions,
        random: int | None,
        seed: int,
        jobs: int,
        scheduler: str,
    ) -> None:
        self.plan = plan
        self.facts = facts
        self.conditions = conditions
        self.random, self.seed = random, seed
        self.jobs, self.scheduler = jobs, scheduler
        self.parameters = tuple(axis.name for axis in plan.space.axes)
        # a parameter hides a figure whether it is swept or not: names mean the same in all sweeps
        self.figures = tuple(unhidden(name, declared) for name in NAMES)
        self.error = unhidden("error", declared)
        self.further = {
            unhidden(long, declared): self.named(short) for short, long in SHORT.items()
        }
        self.in_bytes = frozenset(map(self.named, BYTES))
        self.columns = (*self.parameters, *self.figures, self.error)
        self.journal: Journal | None = None
        self.looked_at = 0
        self._chosen: list[int] | None = None
        self._refused: dict[int, Outcome] = {}
        self._done: dict[int, Outcome] = {}

    def named(self, figure: str) -> str:
        """Return the name of the column that has a figure."""
        return self.figures[NAMES.index(figure)]

    # --- which variants -------------------------------------------------------------------

    @property
    def chosen(self) -> Sequence[int]:
        """The numbers of the variants that conditions on parameters leave, in order."""
        if self._chosen is None:
            size = self.plan.space.size
            if self.random is None:
                self._chosen = [*self._allowed(range(size))]
            else:
                found: list[int] = []
                for number in self._allowed(_first(drawn(size, self.seed), MOST_VARIANTS)):
                    if len(found) == self.random:
                        break
                    found.append(number)
                self._chosen = sorted(found)
        return self._chosen

    def _allowed(self, numbers: Iterable[int]) -> Iterator[int]:
        early = self.conditions.early
        for number in numbers:
            self.looked_at += 1
            try:
                if early and not self.conditions.hold(early, self.plan.space.values(number)):
                    continue
            except ArchError as error:
                refused = Outcome(number, None, said(error.diagnostics[0]))
                self._refused[number] = refused
            yield number

    # --- what comes of them ---------------------------------------------------------------

    def run(self, tell: Callable[[int, int], None] = lambda done, of: None) -> None:
        """Count all variants; `tell` hears how many are done."""
        chosen = self.chosen
        done = self.done
        tell(done, len(chosen))
        for more in self._more():
            done += more
            tell(done, len(chosen))

    @property
    def begun(self) -> bool:
        """Whether it is known which variants are chosen."""
        return self._chosen is not None

    @property
    def done(self) -> int:
        """How many of the chosen variants are done; to find it takes a look at each."""
        return sum(number in self._done or number in self._refused for number in self.chosen)

    def _more(self) -> Iterator[int]:
        """Count what is not counted yet, and keep it; yield how many there are more."""
        missing = [
            number
            for number in self.chosen
            if number not in self._done and number not in self._refused
        ]
        if not missing:
            return
        for part in outcomes(self.plan, missing, self.jobs, self.scheduler):
            if self.journal is not None:
                self.journal.append(map(_line, part))
            for outcome in part:
                self._done[outcome.number] = outcome
            yield len(part)

    def rows(self) -> Iterator[Row]:
        """Yield the rows of what is done so far, in order."""
        for number in self.chosen:
            outcome = self._refused.get(number) or self._done.get(number)
            if outcome is not None and (row := self._row(outcome)) is not None:
                yield row

    def _row(self, outcome: Outcome) -> Row | None:
        """Return the row of a variant, or None where a condition on figures leaves it out."""
        shown = self.plan.space.shown(outcome.number)
        error = outcome.error
        if outcome.figures is not None and self.conditions.late:
            values = {
                **self._figures(outcome.figures),
                **self.plan.space.values(outcome.number),
            }
            try:
                if not self.conditions.hold(self.conditions.late, values):
                    return None
            except ArchError as wrong:
                error = said(wrong.diagnostics[0])
        found = outcome.figures or (None,) * len(NAMES)
        figures = dict(zip(self.figures, found, strict=True))
        return {**shown, **figures, self.error: error}

    def _figures(self, figures: Sequence[Any]) -> dict[str, Any]:
        """Return figures by every name that they have."""
        named = dict(zip(self.figures, figures, strict=True))
        return named | {long: named[column] for long, column in self.further.items()}

    def __iter__(self) -> Iterator[Row]:
        """Yield rows in order, as soon as each is known."""
        more = self._more()
        for number in self.chosen:
            while number not in self._done and number not in self._refused:
                next(more)
            row = self._row(self._refused.get(number) or self._done[number])
            if row is not None:
                yield row

    def to_pandas(self) -> Any:
        """Return all rows as a pandas.DataFrame.

        Raises:
            ImportError: pandas is not installed.
        """
        import pandas

        return pandas.DataFrame([*self], columns=[*self.columns])

    def __repr__(self) -> str:
        axes = " x ".join(f"{axis.length:,} {axis.name}" for axis in self.plan.space.axes)
        return f"<Sweep of {self.plan.network}: {axes}>"

    # --- the file of what is done -----------------------------------------------------------

    def keep_in(self, journal: Journal, force: bool = False) -> int:
        """Take up what a file has of this sweep, and keep there what is done from now on.

        Returns how many variants are done already.

        Raises:
            ArchError: it holds something else, and `force` doesn't say to throw that away.
        """
        lines = [] if force else journal.read()
        if force:
            journal.clear()
        if not lines:
            journal.append([json.dumps({"archdsl": JOURNAL, **self.facts})])
        else:
            head = _object(lines[0])
            if not isinstance(head, dict) or head.get("archdsl") != JOURNAL:
                reason = "is not what a sweep left there"
                raise ArchError(OtherSweep(path=printable(journal.path), reason=reason))
            for name, fact in self.facts.items():
                if head.get(name) != json.loads(json.dumps(fact)):
                    reason = f"has rows of a sweep with {DIFFERS[name]}"
                    raise ArchError(OtherSweep(path=printable(journal.path), reason=reason))
            for number, line in enumerate(lines[1:], 2):
                outcome = _outcome(_object(line), self.plan.space.size)
                if outcome is None:
                    reason = f"is damaged in line {number:,}"
                    raise ArchError(OtherSweep(path=printable(journal.path), reason=reason))
                self._done[outcome.number] = outcome
        self.journal = journal
        return self.done - len(self._refused)


DIFFERS = {
    "version": "another version of archdsl",
    "network": "another network",
    "files": "another text of the spec",
    "values": "other parameters or values",
    "inputs": "other shapes of inputs",
    "limits": "other limits",
    "layers": "other layers of your own",
    "figures": "other figures",
}


def _first(numbers: Iterator[int], most: int) -> Iterator[int]:
    for _, number in zip(range(most), numbers, strict=False):
        yield number


def _line(outcome: Outcome) -> str:
    return json.dumps([outcome.number, outcome.figures or outcome.error])


def _object(line: bytes) -> object:
    try:
        found: object = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found


def _outcome(found: object, size: int) -> Outcome | None:
    """Return what a line of the file says, or None if it makes no sense."""
    if not isinstance(found, list) or len(found) != 2:
        return None
    number, came = found
    if type(number) is not int or not 0 <= number < size:
        return None
    if isinstance(came, str) and came:
        return Outcome(number, None, came)
    right = isinstance(came, list) and len(came) == len(NAMES)
    if right and all(type(figure) is int for figure in came):
        return Outcome(number, tuple(came))
    return None
