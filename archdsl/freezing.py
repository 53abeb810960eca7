"""Which parameters and buffers patterns mean: those to freeze, or weights that need not fit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

from archdsl.analysis.cost import in_state
from archdsl.diagnostics import ArchError, Diagnostic
from archdsl.graph import CheckedGraph


class NoSuchParameter(Diagnostic):
    """A pattern that no parameter and no buffer has."""

    code = "E0608"
    pattern: str
    known: tuple[str, ...]

    def message(self) -> str:
        return f"no parameter and no buffer is called `{self.pattern}`"

    def help(self) -> str:
        return f"there are `{'`, `'.join(self.known)}`, ..." if self.known else ""


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Tell whether a parameter is meant by a pattern: `features.*`, or `fc` for all of it."""
    return any(
        fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*") for pattern in patterns
    )


def matching(names: Sequence[str], patterns: Sequence[str]) -> frozenset[str]:
    """Return the names that any pattern means.

    Raises:
        ArchError: a pattern means none of them.
    """
    found: set[str] = set()
    for pattern in patterns:
        meant = {name for name in names if matches(name, [pattern])}
        if not meant:
            known = get_close_matches(pattern, names, 3, 0.3) or sorted(names)[:3]
            raise ArchError([NoSuchParameter(span=None, pattern=pattern, known=tuple(known))])
        found |= meant
    return frozenset(found)


def frozen_parameters(checked: CheckedGraph, patterns: Sequence[str]) -> frozenset[str]:
    """Return the names in a network's state_dict that patterns mean.

    Raises:
        ArchError: a pattern means none of them.
    """
    if not patterns:
        return frozenset()
    nodes = checked.nodes.values()
    return matching(
        [
            name
            for node in nodes
            for name in in_state(node, {**node.facts.params, **node.facts.buffers})
        ],
        patterns,
    )
