"""Says what a number of a class is: a constant, a name, arithmetic with names, or an argument.

That is for the spec to say: a number is written as `kernel // 2` where its formula is that in every
use of the block, and not where the uses happen to agree. The graph of an optimised network comes of
no spec that could say so: there numbers that vary, and are equal in all uses, are taken for one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from archdsl.backends.python_source.arithmetic import written
from archdsl.backends.python_source.makers import ANY, NO_DEFAULT, Number
from archdsl.backends.python_source.names import VARIABLE_WORDS, literal, unique, variable
from archdsl.layers.base import squeeze
from archdsl.layers.sizes import Formula, FormulaError
from archdsl.layers.traced import needed

Column = tuple[object, ...]  # a value for each use
CALL = re.compile(r"\w\(")
CHANNELS, FEATURES = "in_channels", "in_features"  # what the size of what comes in is called


@dataclass(frozen=True, slots=True)
class Known:
    """Something that a use of a block knows by name: an argument of the block, or its input.

    Attributes:
        least: the least that it may be, or each of a list, where loops of the network turn by it.
        within: the list that it is an item of.
        formulas: what it is in each use, as the use sees it.
        outer: the same as seen from around the use; `counted` with variables of loops.
    """

    name: str
    column: Column
    formulas: tuple[Any, ...]
    outer: tuple[Any, ...]
    from_input: bool = False
    turns: bool = False
    least: int | None = None
    within: Known | None = None
    counted: tuple[Any, ...] | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a number is.

    Attributes:
        known: what it follows from.
        text: the expression for it; None leaves it out.
        name: what an attribute is called that keeps it.
        is_let: whether the spec calls it so.
    """

    known: tuple[Known, ...]
    text: str | None
    name: str = ""
    is_let: bool = False


def differ(left: object, right: object) -> bool:
    """Tell values apart, and 1 from True and from 1.0, which are equal in Python."""
    return left != right or type(left) is not type(right)


def varies(column: Column) -> bool:
    """Tell whether the uses have different values."""
    return any(differ(column[0], value) for value in column)


class Unexplained(Exception):
    """A number of an option follows from nothing that its class knows."""


@dataclass(slots=True)
class Explainer:
    """Explains the numbers of a class, one after the other.

    Attributes:
        known: what its uses know by a name and what differs between them.
        same: for each use the atoms that are the same in all uses, with their values.
        places: for each use the atoms of sizes that come in and are none of features.
        lets: what the spec calls numbers that no polynomial says.
        opens: tells whether a formula depends on an open parameter of the network, by use.
        strict: whether a number that a condition, or what is under one, needs must be explained: an
            argument that was made for it would have to be given where nothing is known of it.
        guesses: whether there is no spec that says what numbers follow from.
        own: the arguments that were made for numbers that nothing explains.
        used: what explained a number so far, by name.
    """

    known: Sequence[Known]
    same: Sequence[Mapping[str, Any]]
    places: Sequence[set[str]]
    lets: Mapping[Any, str]
    opens: Callable[[int, Any], bool]
    strict: bool = False
    guesses: bool = False
    own: dict[object, Known] = field(default_factory=dict)
    used: dict[str, Known] = field(default_factory=dict)
    _names: list[dict[str, Any]] = field(default_factory=list)
    _varying: list[set[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for use, same in enumerate(self.same):
            names: dict[str, Any] = dict(same)
            varying: set[str] = set()
            for each in self.known:
                formula = each.formulas[use]
                if isinstance(formula, Formula) and formula == _only(formula):
                    names[next(iter(formula.names))] = Formula.named(each.name)
                varying |= {atom for atom in atoms_of(formula) if atom not in same}
            self._names.append(names)
            self._varying.append(varying)

    def explain(self, number: Number, column: Column, formulas: Sequence[Any]) -> Explanation:
        """Find what a number is, given its value and its formula in each use."""
        if number.text:
            return Explanation((), number.text)
        if not varies(column) and self._is_of_places(formulas):
            return _constant(number, column[0])
        found = (
            self._known(number, column, formulas, number.from_input)
            or self._arithmetic(number, column, formulas)
            or self._known(number, column, formulas, not number.from_input)
        )
        given, column = column, _agreed(column)
        if found is None and not varies(column) and not self._follows(formulas):
            return _constant(number, column[0])
        if found is None:
            found = self._argument(number, given, formulas)
        used = (each.within or each for each in found.known)
        self.used |= {each.name: each for each in used}
        return found

    def _known(
        self, number: Number, column: Column, formulas: Sequence[Any], from_input: bool
    ) -> Explanation | None:
        """Find what a number is the same as, of what comes in or of the rest."""
        alike = [each for each in self.known if each.from_input is from_input]
        guesses = self.guesses and varies(column)
        for each in sorted(alike, key=lambda each: each.name != number.hint):
            pairs = zip(column, formulas, each.formulas, each.column, strict=True)
            if all(
                value is ANY
                or (not differ(value, known) and (guesses or (_is_formula(one) and one == other)))
                for value, one, other, known in pairs
            ):
                name = each.name if each.within is None else _attribute(each.name)
                return Explanation((each,), each.name, name)
        return None

    def _arithmetic(
        self, number: Number, column: Column, formulas: Sequence[Any]
    ) -> Explanation | None:
        """Find the one formula, in names, that a number has in all uses."""
        found: list[Any] = []
        for use, (value, formula) in enumerate(zip(column, formulas, strict=True)):
            if value is not ANY:
                named = self._named(formula, use)
                if named is None or (found and named != found[0]):
                    return None
                found.append(named)
        names = {each.name: each for each in self.known}
        if not found or not (wanted := atoms_of(found[0])) or not names.keys() >= {*wanted}:
            return None
        known = tuple(each for each in self.known if each.name in wanted)
        if not all(self._agrees(found[0], value, use) for use, value in enumerate(column)):
            return None
        text = written(found[0], [each.name for each in known])
        let = self.lets.get(formulas[0], "")
        hint = number.hint.removeprefix("in_")
        is_call = CALL.search(text) is not None
        name = let if let and (is_call or text.count(" ") > 2) else hint if is_call else text
        return Explanation(known, text, _attribute(name), bool(let))

    def _named(self, formula: Any, use: int) -> Any:
        """Return a formula in names, or None where it is none."""
        if isinstance(formula, tuple):
            items = [self._named(each, use) for each in formula]
            return None if None in items else squeeze(tuple(items))
        if isinstance(formula, Formula):
            try:
                return formula.evaluate(self._names[use])
            except (FormulaError, ArithmeticError):
                return None
        return formula if type(formula) in (int, float) else None

    def _agrees(self, formula: Any, value: object, use: int) -> bool:
        """Tell whether a formula gives the number that there is; if not, say nothing by it."""
        if value is ANY:
            return True
        if isinstance(formula, tuple):
            items = value if isinstance(value, tuple) else (value,) * len(formula)
            pairs = zip(formula, items, strict=False)
            return len(items) == len(formula) and all(self._agrees(*pair, use) for pair in pairs)
        values = {each.name: each.column[use] for each in self.known}
        if not isinstance(formula, Formula):
            return not differ(formula, value)
        given = [values[name] for name in formula.names]
        if any(type(each) not in (int, float) for each in given):
            return False
        try:
            whole: Mapping[str, Any] = values
            return not differ(formula.evaluate(whole), value)
        except (FormulaError, ArithmeticError):
            return False

    def _follows(self, formulas: Sequence[Any]) -> bool:
        """Tell whether a number that is the same in all uses may differ in others."""
        for use, formula in enumerate(formulas):
            needs = {need for atom in atoms_of(formula) for need in needed(atom)}
            if needs & self._varying[use] or ("*" in needs and len(formulas) > 1):
                return True
        return any(self.opens(use, formula) for use, formula in enumerate(formulas))

    def _is_of_places(self, formulas: Sequence[Any]) -> bool:
        """Tell whether a number follows from how large an image is, and from nothing else.

        Modules take images of other sizes too, so one that is the same in all uses stands as it is.
        """
        for use, (formula, places) in enumerate(zip(formulas, self.places, strict=True)):
            needs = {need for atom in atoms_of(formula) for need in needed(atom)}
            varying = needs - self.same[use].keys()
            if not varying or not varying <= places or self.opens(use, formula):
                return False
        return True

    def _argument(self, number: Number, column: Column, formulas: Sequence[Any]) -> Explanation:
        """Make an argument of a number that nothing explains; the same number has the same."""
        if self.strict and (ANY in column or number.default is ANY):
            raise Unexplained
        column = _agreed(column)
        key: object = tuple(map(_key, column, formulas))
        known = self.own.get(key)
        same = (self.guesses and varies(column)) or all(
            value is ANY or _is_formula(f) for f, value in zip(formulas, column, strict=True)
        )
        if known is None or not same:
            values = tuple(0 if value is ANY else value for value in column)
            taken = {*(each.name for each in self.known), *(e.name for e in self.own.values())}
            hint = self.lets.get(formulas[0], number.hint)
            hint = hint.removeprefix("in_")  # what comes in here is another
            name = unique(variable(hint) or "value", VARIABLE_WORDS | taken)
            seen = tuple(formulas)
            known = Known(name, values, seen, seen, turns=number.turns)
            self.own[key if key not in self.own else (key, name)] = known
        return Explanation((known,), known.name, known.name)


def _agreed(column: Column) -> Column:
    """Let a number on which nothing depends be that of the other uses, if they agree."""
    given = [value for value in column if value is not ANY]
    if len(given) == len(column) or not given or varies(tuple(given)):
        return column
    return (given[0],) * len(column)


def _key(value: object, formula: Any) -> object:
    return type(value), value, type(formula), formula


def _only(formula: Formula) -> Formula | None:
    """Return the atom that a formula is made of, if that is one."""
    return Formula.named(next(iter(formula.names))) if len(formula.names) == 1 else None


def _is_formula(formula: Any) -> bool:
    return isinstance(formula, Formula) or (isinstance(formula, tuple) and bool(atoms_of(formula)))


def atoms_of(formula: Any) -> list[str]:
    """Return what a formula, or those of a list, are made of."""
    if isinstance(formula, tuple):
        return [atom for each in formula for atom in atoms_of(each)]
    return sorted(formula.names) if isinstance(formula, Formula) else []


def _constant(number: Number, value: object) -> Explanation:
    """Return the text of a number that is always the same; None leaves it out."""
    if number.default is not NO_DEFAULT and not differ(number.value, number.default):
        return Explanation((), None)
    given = value if number.value is ANY else number.value
    return Explanation((), literal(0 if given is ANY else given))


def _attribute(text: str) -> str:
    """Name the attribute that keeps what a text says: `half_width` for `width // 2`."""
    if text.endswith(" // 2") and text[:-5].isidentifier():
        return f"half_{text[:-5]}"
    return variable(text) or "value"
