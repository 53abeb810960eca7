"""Keeps the syntax trees of the texts that were parsed last, so that none is parsed twice.

A tree depends on the text, on the name that its places show and on the limits, and nothing else;
nothing can change it, so that any number of networks and threads may share it.
"""

from __future__ import annotations

from archdsl.diagnostics import Source
from archdsl.limits import Limits
from archdsl.records import Record
from archdsl.syntax import ast

MOST_PROGRAMS = 64
MOST_CHARACTERS = 2**18  # of all their texts; the trees take some 100 bytes for each


class Parsed(Record):
    """A syntax tree, and how many tokens its text has."""

    program: ast.Program
    tokens: int


class Programs:
    """Syntax trees by what they were made from; those that were asked for long ago go first."""

    def __init__(self) -> None:
        self._parsed: dict[tuple[str, str, Limits], Parsed] = {}

    def find(self, source: Source, limits: Limits) -> Parsed | None:
        """Return what was parsed from the same text with the same name and limits, if it is kept.

        The caller counts its tokens, which all files of a spec share.
        """
        key = (source.path, source.text, limits)
        found = self._parsed.pop(key, None)
        if found is not None:
            self._parsed[key] = found  # as the last
        return found

    def keep(self, program: ast.Program, limits: Limits, tokens: int) -> None:
        """Keep a syntax tree, and let go of others where there are too many."""
        source = program.source
        if len(source.text) > MOST_CHARACTERS:
            return  # it would push out all others
        self._parsed[source.path, source.text, limits] = Parsed(program, tokens)
        left = MOST_CHARACTERS
        # each step stands by itself, since other threads may find and keep at the same time
        for number, key in enumerate(reversed(list(self._parsed))):
            left -= len(key[1])
            if number >= MOST_PROGRAMS or left < 0:
                self._parsed.pop(key, None)


KEPT = Programs()
