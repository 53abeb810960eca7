"""Says what a number is that varies between the uses of a block: a name, or arithmetic with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from archdsl.backends.python_source.arguments import Argument
from archdsl.backends.python_source.makers import ANY, Number
from archdsl.backends.python_source.names import VARIABLE_WORDS, unique, variable

Column = tuple[object, ...]  # a value for each use


@dataclass(frozen=True, slots=True)
class Known:
    """Something that a use of a block knows by name: an argument of the block, or its input."""

    name: str
    column: Column
    from_input: bool = False
    turns: bool = False

    def is_like(self, column: Column) -> bool:
        """Tell whether it is that number in every use that depends on it."""
        pairs = zip(self.column, column, strict=True)
        return not any(differ(own, value) for own, value in pairs if value is not ANY)


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a number is that varies.

    Attributes:
        known: what it follows from.
        text: the expression for it.
        name: what an attribute is called that keeps it.
    """

    known: tuple[Known, ...]
    text: str
    name: str


def differ(left: object, right: object) -> bool:
    """Tell values apart, and 1 from True and from 1.0, which are equal in Python."""
    return left != right or type(left) is not type(right)


def varies(column: Column) -> bool:
    """Tell whether the uses have different values, or a value that is left open."""
    return any(isinstance(value, Argument) or differ(column[0], value) for value in column)


def explain(
    number: Number, column: Column, known: Sequence[Known], used: Mapping[str, Known]
) -> Explanation:
    """Find what a number that varies is: something known, arithmetic with it, or an argument.

    What is known must vary as well, and what the class uses already comes first. How often
    something comes doesn't follow from the size of the input.
    """
    known = [each for each in known if not (number.turns and each.from_input)]
    known.sort(key=lambda each: (each.name != number.hint, each.name not in used))
    likely = [each for each in known if each.from_input is number.from_input]
    return (
        _equal(column, likely)
        or (None if number.from_input else _product(column, likely))
        or _equal(column, known)
        or (_one_apart(column, known) if number.turns else None)
        or _product(column, known)
        or _sum(number, column, known)
        or _equal(column, list(used.values()))
        or _argument(number, column, {*used, *(each.name for each in known)})
    )


def _equal(column: Column, known: Sequence[Known]) -> Explanation | None:
    found = next((each for each in known if each.is_like(column)), None)
    return _plain(found) if found else None


def _plain(known: Known) -> Explanation:
    return Explanation((known,), known.name, known.name)


def _arithmetic(text: str, *known: Known) -> Explanation:
    return Explanation(known, text, variable(text))


def _argument(number: Number, column: Column, taken: set[str]) -> Explanation:
    """Make an argument of a number that nothing explains."""
    values = tuple(0 if value is ANY else value for value in column)
    name = unique(variable(number.hint) or "value", VARIABLE_WORDS | taken)
    return _plain(Known(name, values, turns=number.turns))


def _one_apart(column: Column, known: Sequence[Known]) -> Explanation | None:
    """Find a known number that is one less or one more."""
    for each in known:
        if _whole(column) and _whole(each.column):
            more = {_less(*pair) for pair in zip(column, each.column, strict=True)}
            if more in ({1}, {-1}):
                return _arithmetic(f"{each.name} {'+' if more == {1} else '-'} 1", each)
    return None


def _product(column: Column, known: Sequence[Known]) -> Explanation | None:
    """Find a known number of which the number that varies is a multiple, or that is one of it."""
    for each in known:
        if factor := _multiple(column, each.column):
            return _arithmetic(f"{factor} * {each.name}", each)
        if (factor := _multiple(each.column, column)) == 2:
            return Explanation((each,), f"{each.name} // 2", f"half_{each.name}")
        if factor:
            return _arithmetic(f"{each.name} // {factor}", each)
    return None


def _multiple(column: Column, of: Column) -> int | None:
    """Return the whole number by which each value is a multiple of another, 2 or more."""
    pairs = list(zip(column, of, strict=True))
    if any(type(value) is not int or type(base) is not int or base < 1 for value, base in pairs):
        return None
    factors = {_quotient(value, base) for value, base in pairs}
    factor = factors.pop()
    return factor if not factors and factor > 1 else None


def _quotient(value: object, base: object) -> int:
    assert isinstance(value, int)
    assert isinstance(base, int)
    return value // base if value % base == 0 else 0


def _sum(number: Number, column: Column, known: Sequence[Known]) -> Explanation | None:
    """Find the size of the input and what is added to it.

    That is some times a known number, or the same in all uses where the number is a size too:
    others differ by the same by chance.
    """
    incoming = [each for each in known if each.from_input and _whole(each.column)]
    for left in incoming if _whole(column) else ():
        rest = tuple(_less(*pair) for pair in zip(column, left.column, strict=True))
        if number.is_size and rest[0] > 0 and not varies(rest):
            return _arithmetic(f"{left.name} + {rest[0]}", left)
        for right in known:
            if right.from_input or not _whole(right.column):
                continue
            pairs = zip(rest, right.column, strict=True)
            factors = {_quotient(more, by) if by else 0 for more, by in pairs}
            factor = factors.pop()
            if not factors and factor > 0:
                more = right.name if factor == 1 else f"{factor} * {right.name}"
                return _arithmetic(f"{left.name} + {more}", left, right)
    return None


def _less(total: object, part: object) -> int:
    assert isinstance(total, int)
    assert isinstance(part, int)
    return total - part


def _whole(column: Column) -> bool:
    return all(type(value) is int for value in column)
