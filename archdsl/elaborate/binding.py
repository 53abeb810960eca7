"""Gives the arguments of a call to the parameters of what is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from archdsl.diagnostics import ArchError, Span, Use
from archdsl.elaborate import elsewhere
from archdsl.elaborate.errors import BadArguments
from archdsl.elaborate.values import Value
from archdsl.elaborate.wording import did_you_mean
from archdsl.records import Record

Given = Sequence[tuple[str, Value, Span]]  # name or "", value, place


class Signature(Record):
    """The parameters of something that can be called, in order."""

    callee: str
    names: tuple[str, ...]
    required: frozenset[str]


def bind(
    signature: Signature,
    given: Given,
    fixed: Mapping[str, tuple[Value, Span]],
    span: Span,
    trail: tuple[Use, ...],
    complete: bool = True,
) -> dict[str, tuple[Value, Span]]:
    """Return the value of each parameter that is given one, with its place.

    `fixed` are values that a `block Name = Other(...)` gave before: they can't be given again.
    With `complete`, every required parameter must have a value.

    Raises:
        ArchError: arguments are unknown, surplus, given twice, or missing.
    """

    def wrong(at: Span, reason: str, hint: str = "", first: Span | None = None) -> ArchError:
        callee = signature.callee
        return ArchError(
            BadArguments(at, trail, callee=callee, reason=reason, hint=hint, first=first)
        )

    values = dict(fixed)
    names = signature.names
    open_names = [name for name in names if name not in fixed] if fixed else names
    by_position = 0
    for name, value, place in given:
        if not name:
            if by_position >= len(open_names):
                raise wrong(place, f"takes {_count(len(open_names))}", _listed(open_names))
            name = open_names[by_position]
            by_position += 1
        elif name not in signature.names:
            hint = elsewhere.argument(name, signature.names)
            hint = hint or did_you_mean(name, signature.names)
            raise wrong(place, f"has no argument `{name}`", hint or _listed(signature.names))
        if name in values:
            raise wrong(place, f"takes `{name}` once", first=values[name][1])
        values[name] = value, place
    if complete and not signature.required <= values.keys():
        missing = [name for name in names if name in signature.required and name not in values]
        quoted = " and ".join(f"`{name}`" for name in missing)
        raise wrong(span, f"needs a value for {quoted}", _listed(signature.names))
    return values


def _count(number: int) -> str:
    if number == 0:
        return "no arguments by position"
    return f"at most {number} argument{'s' if number > 1 else ''} by position"


def _listed(names: Sequence[str]) -> str:
    return f"it takes {', '.join(names)}" if names else "it takes no arguments"
