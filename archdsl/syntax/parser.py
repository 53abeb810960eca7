"""Parses a file; what is wrong with its text becomes diagnostics (`mistakes.py`)."""

from __future__ import annotations

from typing import Any

from archdsl.diagnostics import ArchError, Source, Span
from archdsl.limits import Limits
from archdsl.syntax import ast
from archdsl.syntax.kept import KEPT
from archdsl.syntax.machine import Stuck, tables
from archdsl.syntax.tokens import Statements, TooMany
from archdsl.syntax.tree import TreeBuilder

COST_OF_HOLE = 8  # in tokens: to begin anew takes the parser as long


class Parser:
    """Parses the files of one spec; it counts their tokens together."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.builder = TreeBuilder(limits)
        self.builder.parse_hole = self._hole
        self.statements = Statements(limits.tokens, limits.nesting)
        self.tables = tables()
        self.methods = self.tables.methods(self.builder)

    def parse(self, source: Source) -> ast.Program:
        """Return the syntax tree of a file, whose source may be an equal one that was read before.

        Raises:
            ArchError: with what is wrong in each statement and item of the file.
        """
        known = KEPT.find(source, self.limits)
        if known is not None and known.tokens <= self.statements.tokens_left:
            self.statements.tokens_left -= known.tokens
            return known.program
        before = self.statements.tokens_left
        program = self._parsed(source)
        KEPT.keep(program, self.limits, before - self.statements.tokens_left)
        return program

    def _parsed(self, source: Source) -> ast.Program:
        self.builder.source = source
        self.builder.errors = []
        try:
            program = self._run(source.text, 0, len(source.text), "file")
        except Stuck as error:
            from archdsl.syntax.mistakes import every_mistake  # not needed where nothing is wrong

            found = every_mistake(source, error, self._run, self.builder, self.statements)
            raise ArchError(*found) from None
        if self.builder.errors:
            from archdsl.syntax.mistakes import place

            raise ArchError(*sorted(self.builder.errors, key=place))
        assert isinstance(program, ast.Program)
        return program

    def expression(self, source: Source) -> ast.Expression:
        """Return the syntax tree of an expression that is given by itself.

        Raises:
            ArchError: it is none.
        """
        self.builder.source = source
        self.builder.errors = []
        found = self._hole(0, len(source.text))
        if found is None or self.builder.errors:
            raise ArchError(*self.builder.errors)
        return found

    def _run(self, text: str, start: int, end: int, rule: str) -> Any:
        """Parse a part of a text.

        Raises:
            Stuck: it doesn't follow the grammar.
            ArchError: a limit is reached.
        """
        if rule == "file":
            self.builder.described.clear()  # of what was read in vain before
        try:
            tokens = self.statements.process(self.tables.lex(text, start, end))
            return self.tables.run(tokens, end, rule, self.methods)
        except TooMany as error:
            asks = f"brackets are nested {self.limits.nesting + 1} deep"
            if error.limit == "tokens":
                asks = "the files have too many words and signs"
            span = Span(self.builder.source, error.token.start_pos, error.token.end_pos)
            raise ArchError(self.limits.over(error.limit, asks, span)) from None

    def _hole(self, start: int, end: int) -> ast.Expression | None:
        """Parse the expression in a hole of a string."""
        self.statements.tokens_left -= COST_OF_HOLE
        source = self.builder.source
        try:
            found: ast.Expression = self._run(source.text, start, end, "hole")
        except Stuck as error:
            from archdsl.syntax.mistakes import explain

            self.builder.errors.append(explain(source, error, end))
            return None
        return found
