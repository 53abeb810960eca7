"""Numbers that know how they follow from the parameters of a block and from what comes into it.

What compiles works a network out with them: the source then writes `padding=kernel // 2` because
the spec does, and not because two uses of a block happen to agree. They are integers and floats
in all else, so no layer knows of them; nothing but the compiler asks for them.

An *atom* is what a formula is made of: `kernel#3` is the parameter `kernel` of the use of a block
that has the number 3, `in.7.0#3` is axis 0 of node 7, which comes into it from outside. What no
polynomial says is an operation on formulas (`floor(0.5 * kernel#3)`), and what no formula can say
(a choice by `if`) an atom of its own that begins with `?`, and lists what it depends on.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from archdsl.layers.sizes import OPERATIONS, Formula, FormulaError, is_whole, operation

MOST_ITEMS = 16  # of a list whose items are followed one by one
DEEPEST = 32
MOST_NEEDS = 16  # atoms that are listed as what a number depends on

MOST_POWER = 4  # of a formula that is still a polynomial

Exact = Callable[..., Any] | None  # what does with formulas as is done with integers


class Traced:
    """What a traced integer and a traced float have in common.

    The formula is worked out when it is asked for: hardly any of those of sizes ever is.

    Attributes:
        depth: how many formulas must be worked out before, one inside the other.
        counts: whether it follows from the variable of a loop.
    """

    depth = 0
    counts = False
    _formula: Formula | float | None = None
    _counted: Formula | float | None = None
    _how: tuple[str, Exact, tuple[Any, ...]]

    @property
    def formula(self) -> Formula | float:
        """How it follows from atoms; a number if it turns out to follow from none.

        The variable of a loop is the number that it is.
        """
        if self._formula is None:
            operands = self._how[2]
            self._formula = _combined(formula_of, *self._how) if marks(operands) else bare(self)
            if not self.counts:
                del self._how
        return self._formula

    @property
    def counted(self) -> Formula | float:
        """The same where the variable of a loop is an atom."""
        if not self.counts:
            return self.formula
        if self._counted is None:
            self._counted = _combined(counted_of, *self._how)
        return self._counted


class TracedInt(Traced, int):
    """An integer with its formula."""


class TracedFloat(Traced, float):
    """A float with its formula, which is a single atom: polynomials are of integers."""


class Followed(NamedTuple):
    """The text of a number that isn't negative, with its formula."""

    text: str
    formula: Formula


class TracedText(str):
    """A text with numbers that are followed.

    Attributes:
        formulas: of those numbers, by where they begin.
    """

    formulas: Mapping[int, Formula]


def joined(parts: Iterable[str | Followed]) -> str:
    """Return a text that knows the formulas of the numbers in it, where there are some."""
    texts: list[str] = []
    formulas: dict[int, Formula] = {}
    start = 0
    for part in parts:
        texts.append(part.text if isinstance(part, Followed) else part)
        if isinstance(part, Followed):
            formulas[start] = part.formula
        start += len(texts[-1])
    if not formulas:
        return "".join(texts)
    text = TracedText("".join(texts))
    text.formulas = formulas
    return text


class LeftOpen(float):
    """A float that the compiler leaves open: it may be handed on by its name, and nothing else.

    Attributes:
        name: of its atom.
    """

    name: str

    def __new__(cls, value: float, name: str) -> LeftOpen:
        number = super().__new__(cls, value)
        number.name = name
        return number


def traced(value: Any, formula: object) -> Any:
    """Return a number with a formula; without one, or where it is none, it stays as it is."""
    if not isinstance(formula, Formula) or type(value) not in (int, float):
        return value
    number = TracedInt(value) if type(value) is int else TracedFloat(value)
    number._formula = formula
    return number


def parameter(value: Any, name: str) -> Any:
    """Return the value of a parameter as a block sees it: every number in it is an atom."""
    if isinstance(value, tuple) and 0 < len(value) <= MOST_ITEMS:
        base, number = name.rsplit("#", 1)
        return tuple(
            traced(bare(item), Formula.named(f"{base}.{at}#{number}"))
            for at, item in enumerate(value)
        )
    return traced(bare(value), Formula.named(name))


def bare(value: Any) -> Any:
    """Return a value as it is without any trace; lists are gone through."""
    if isinstance(value, TracedInt):
        return int(value)
    if isinstance(value, TracedFloat):
        return float(value)
    if isinstance(value, tuple | list):
        return type(value)(bare(item) for item in value)
    return value


def formula_of(value: Any) -> Any:
    """Return the formula of a number, those of a list in a tuple, or what else it is itself."""
    if isinstance(value, Traced):
        return value.formula
    if isinstance(value, tuple | list):
        return tuple(formula_of(item) for item in value)
    return value


def counted_of(value: Any) -> Any:
    """Return the formula of a number in which variables of loops are atoms, or what it is."""
    if isinstance(value, tuple | list):
        return tuple(counted_of(item) for item in value)
    return value.counted if isinstance(value, Traced) else value


def counting(value: int, loop: int, scope: int) -> TracedInt:
    """Return the variable of a loop in a turn; `loop` is where it begins in its file."""
    number = TracedInt(value)
    number.counts = True
    number._formula, number._counted = value, Formula.named(f"~{loop}.{value}#{scope}")
    return number


def marks(value: Any) -> tuple[Formula, ...]:
    """Return all formulas in a value: two that are equal and have the same are the same."""
    if isinstance(value, Traced):
        return (value.formula,) if isinstance(value.formula, Formula) else ()
    if isinstance(value, tuple):
        return tuple(mark for item in value for mark in marks(item))
    return ()


def all_marks(value: Any) -> tuple[object, ...]:
    """Return the same, and where a value follows from a loop how it does."""
    return (*marks(value), counted_of(value)) if _counts(value) else marks(value)


def depends(value: Any, how: str, *on: Any) -> Any:
    """Return a number that follows from others in a way that only `how` tells."""
    if type(value) is bool or not isinstance(value, int | float):
        return value
    return _made(bare(value), how, None, on) if _is_traced(on) else value


def _is_traced(value: Any) -> bool:
    if isinstance(value, tuple):
        return any(map(_is_traced, value))
    return isinstance(value, Traced)


def opaque(text: str, atoms: Sequence[str]) -> Formula:
    """Return the formula of what no formula can say: equal for equal texts."""
    from hashlib import sha1  # which takes milliseconds that only what compiles needs

    needs = dict.fromkeys(need for atom in atoms for need in needed(atom))
    listed = ",".join(needs) if len(needs) <= MOST_NEEDS else "*"
    return Formula.named(f"?{sha1(text.encode()).hexdigest()}|{listed}")


def needed(atom: str) -> Sequence[str]:
    """Return the atoms that an atom depends on; `*` stands for any."""
    listed = atom.partition("|")[2] if atom.startswith("?") else atom
    return listed.split(",") if listed else []


def size_atom(node: int, axis: int, scope: int) -> str:
    """Return the atom of a size that a scope knows of a node from outside it."""
    return f"in.{node}.{axis}#{scope}"


def is_turn(atom: str) -> bool:
    """Tell whether an atom is the variable of a loop in a turn."""
    return atom.startswith("~")


def loop_of(atom: str) -> int:
    """Return where the loop begins in its file whose variable an atom is: inner ones later."""
    return int(atom[1 : atom.index(".")])


def turn_of(atom: str) -> int:
    """Return the value that the variable of a loop has."""
    return int(atom[atom.index(".") + 1 : atom.index("#")])


def scope_of(atom: str) -> int:
    """Return the number of the use of a block, or of the group, that an atom belongs to."""
    return int(atom.rpartition("#")[2])


# --- arithmetic -----------------------------------------------------------------------------


def _made(value: Any, sign: str, exact: Exact, operands: Any) -> Any:
    """Return a number that is worked out of others; `exact` does the same with formulas."""
    if type(value) not in (int, float):
        return value
    number = TracedInt(value) if type(value) is int else TracedFloat(value)
    number.depth = 1 + max(map(_depth, operands))
    number.counts = number.depth <= DEEPEST and any(map(_counts, operands))
    number._how = sign, exact, operands
    if number.depth > DEEPEST:  # a long sum, say: it must not be worked out by as deep calls
        assert number.formula is not None
        number.depth = 0
    return number


def _depth(value: Any) -> int:
    if isinstance(value, tuple):
        return max(map(_depth, value), default=0)
    return value.depth if isinstance(value, Traced) else 0


def _counts(value: Any) -> bool:
    if isinstance(value, tuple):
        return any(map(_counts, value))
    return isinstance(value, Traced) and value.counts


def _combined(
    of: Callable[[Any], Any], sign: str, exact: Exact, operands: tuple[Any, ...]
) -> Formula | float:
    formulas = [*map(of, operands)]
    if exact is not None and all(map(is_whole, formulas)):  # of `max(2, 0.5 * n)` nobody knows
        with suppress(FormulaError, ArithmeticError, TypeError):
            found = exact(*formulas)
            if isinstance(found, Formula | int):
                return found
    if sign in OPERATIONS:
        with suppress(FormulaError):
            listed = len(formulas) == 1 and isinstance(formulas[0], tuple)  # as `max` takes them
            given = formulas[0] if listed else formulas
            if not any(isinstance(each, tuple) for each in given):
                found = operation(sign, *given)
                return found if isinstance(found, Formula | int) else float(found)
    needs = dict.fromkeys(atom for mark in marks(operands) for atom in mark.names)
    text = f"{sign}({', '.join(map(str, formulas))})"
    return opaque(text, list(needs))


def _work_out(sign: str, operate: Callable[..., Any], exact: Exact, *operands: Any) -> Any:
    whole = all(isinstance(each, int) for each in operands)
    return _made(operate(*map(bare, operands)), sign, exact if whole else None, operands)


def _define(name: str, sign: str, operate: Callable[[Any, Any], Any], exact: Exact) -> None:
    def forward(self: Any, other: Any) -> Any:
        if not isinstance(other, int | float):
            return NotImplemented
        return _work_out(sign, operate, exact, self, other)

    def backward(self: Any, other: Any) -> Any:
        if not isinstance(other, int | float):
            return NotImplemented
        return _work_out(sign, operate, exact, other, self)

    for kind in (TracedInt, TracedFloat):
        setattr(kind, f"__{name}__", forward)
        setattr(kind, f"__r{name}__", backward)


def _same(value: Any) -> Any:
    return value


def _power(base: Any, exponent: Any) -> Any:
    if type(exponent) is not int or not 0 < exponent <= MOST_POWER:
        raise TypeError
    return math.prod([base] * exponent)


def _define_alone(name: str, operate: Callable[..., Any], exact: Exact) -> None:
    def work_out(self: Any, *others: Any) -> Any:
        return _work_out(name, operate, exact, self, *others)

    for kind in (TracedInt, TracedFloat):
        setattr(kind, f"__{name}__", work_out)


for _name, _sign, _exact in (
    ("add", "+", True),
    ("sub", "-", True),
    ("mul", "*", True),
    ("floordiv", "//", True),
    ("mod", "%", True),
    ("truediv", "/", False),
):
    _define(_name, _sign, OPERATIONS[_sign], OPERATIONS[_sign] if _exact else None)
_define("pow", "**", operator.pow, _power)
_define_alone("neg", operator.neg, operator.neg)
_define_alone("abs", abs, None)
_define_alone("floor", math.floor, _same)
_define_alone("ceil", math.ceil, _same)
_define_alone("round", round, _same)


# --- what the elaboration of a network has seen -----------------------------------------------


class Comparison(NamedTuple):
    """Two numbers that are compared, each with what it is called."""

    left: tuple[str, Any]
    right: tuple[str, Any]
    sign: str


class Several(NamedTuple):
    """Conditions that are joined by `and` or by `or`."""

    word: str
    operands: tuple[Condition, ...]


Condition = Comparison | Several


@dataclass(eq=False, slots=True)
class Choice:
    """An `if` without an `else`, or a `residual when`, as it was decided in the use of a block.

    Attributes:
        where: what tells the statement from others, in all uses.
        first, end: the nodes that it made are numbered from `first` up to `end`: none if it is the
            same number.
        condition: what it asks; None where that is something else than numbers.
        joins: whether it is a `residual when`: elsewhere the result is the first that it adds.
    """

    where: tuple[str, int]
    first: int
    end: int
    condition: Condition | None
    joins: bool


Sizes = Sequence[Sequence[Any]]  # of each tensor that flows along each axis


def growth(before: Sizes, after: Sizes) -> Sizes | None:
    """Return by how much sizes are larger than those of before, if shapes have as many axes."""
    if [*map(len, before)] != [*map(len, after)]:
        return None
    pairs = (zip(*pair, strict=True) for pair in zip(before, after, strict=True))
    return [[_more(old, new) for old, new in pair] for pair in pairs]


def _more(old: Any, new: Any) -> Any:
    # what is equal may follow from others, and stays as it is
    return 0 if bare(old) == bare(new) else formula_of(new) - formula_of(old)


def grown(begin: Sizes, after: Sizes, more: Sizes, turns: Any) -> list[tuple[Any, ...]]:
    """Return the sizes that there are after so many turns, `after` the last that was seen."""
    return [
        tuple(
            formula_of(old) + by * turns if by else new
            for old, new, by in zip(*shapes, strict=True)
        )
        for shapes in zip(begin, after, more, strict=True)
    ]


@dataclass(eq=False, slots=True)
class Loop:
    """A `repeat` or `for` as it was worked out in the use of a block.

    Attributes:
        where: what tells the statement from others, in all uses.
        turns, count: how often it turns, and the formula of that.
        starts: how many nodes there are where each turn begins, and where the last one ends.
        flows: the shapes of what flows before the first turn and behind it.
        last: the same behind the last turn so far.
        growth: by how much each turn so far makes sizes of what flows larger; None where that isn't
            the same for all.
    """

    where: tuple[str, int]
    turns: int
    count: Any
    starts: list[int] = field(default_factory=list)
    flows: list[Sizes] = field(default_factory=list)
    last: Sizes = ()
    growth: Sizes | None = None

    @property
    def grows(self) -> bool:
        """Whether it gives more than it gets."""
        return self.growth is not None and any(map(any, self.growth))


@dataclass(eq=False, slots=True)
class Trace:
    """How the numbers of a network came about.

    Attributes:
        parameters: names of those of the network that are atoms.
        numbers: of each use of a block and each group, by its name.
        insides: for each number the numbers of the scopes around it, itself first.
        definitions: what each atom stands for, as the scope around its own sees it.
        flags: what arguments are that are no numbers, for each node by its place: atoms.
        loops: for each scope those that were worked out in it.
        choices: for each use of a block the conditions that were decided in it.
        lets: what the spec calls a number.
        names: what each group can see by a name: what that stands for around it.
        equal: for each scope sizes that must be equal there, since something is merged.
    """

    parameters: Collection[str] = ()
    numbers: dict[str, int] = field(default_factory=lambda: {"": 0})
    insides: dict[int, tuple[int, ...]] = field(default_factory=lambda: {0: (0,)})
    definitions: dict[str, Any] = field(default_factory=dict)
    flags: dict[int, Mapping[str, Formula]] = field(default_factory=dict)
    loops: dict[int, list[Loop]] = field(default_factory=dict)
    choices: dict[int, list[Choice]] = field(default_factory=dict)
    lets: dict[Any, str] = field(default_factory=dict)
    names: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    equal: dict[int, dict[tuple[Any, Any], None]] = field(default_factory=dict)

    def enter(self, name: str, around: int) -> int:
        """Give a scope a number."""
        number = self.numbers[name] = len(self.numbers)
        self.insides[number] = (number, *self.insides[around])
        return number

    def seen(self, formula: Any, scope: int, turns: bool = False) -> Any:
        """Return a formula as a scope sees it: without what belongs to scopes inside it.

        `turns` has the variables of loops in it; they are numbers else.
        """
        if isinstance(formula, tuple):
            return tuple(self.seen(each, scope, turns) for each in formula)
        while isinstance(formula, Formula):
            inner = {atom: self._defined(atom, scope, turns) for atom in formula.names}
            values = {atom: value for atom, value in inner.items() if value is not None}
            if not values:
                return formula
            try:
                formula = formula.evaluate(values)
            except (FormulaError, ArithmeticError):
                return opaque(str(formula), [a for a in formula.names if a not in values] or ["*"])
        return formula

    def _defined(self, atom: str, scope: int, turns: bool = False) -> Any:
        """Return what an atom stands for if it belongs to a scope inside another, else None."""
        if is_turn(atom):
            return None
        if atom.startswith("?"):
            needs = [each for each in needed(atom) if each != "*"]
            outer = [(each, self._defined(each, scope, turns)) for each in needs]
            if all(value is None for _, value in outer):
                return None
            found: dict[str, None] = {}
            for each, value in outer:
                found |= dict.fromkeys([each] if value is None else _names(value))
            # equal for what was: the text has the numbers of all scopes in it
            return opaque(atom, list(found))
        own = scope_of(atom)
        if own == scope or scope not in self.insides[own]:
            return None
        value = (counted_of if turns else formula_of)(self.definitions.get(atom))
        return value if isinstance(value, int | float | Formula) else opaque(atom, ["*"])


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, Formula):
        for atom in value.names:
            yield from needed(atom)
