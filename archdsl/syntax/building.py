"""What all rules of the syntax tree need: places, limits, names and strings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from archdsl.diagnostics import ArchError, Diagnostic, Source, Span
from archdsl.limits import Limits
from archdsl.syntax import ast
from archdsl.syntax.errors import BadString, Misplaced

ESCAPES = {"n": "\n", "t": "\t", '"': '"', "\\": "\\"}

Children = list[Any]


class Builder:
    """Builds the parts of a syntax tree that stand in many rules.

    `parse_hole` parses the expression between two places of the source. What is wrong is kept in
    `errors`, so that parsing goes on.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.source = Source("", "")
        self.errors: list[Diagnostic] = []
        self.described: dict[Span, Span] = {}  # bodies that begin with a description
        self.parse_hole: Callable[[int, int], ast.Expression | None]

    def span(self, first: Any, last: Any = None) -> Span:
        """Return the place of a token or node, or from one to another."""
        end = first if last is None else last
        return Span(
            self.source,
            first.start_pos if hasattr(first, "start_pos") else first.span.start,
            end.end_pos if hasattr(end, "end_pos") else end.span.end,
        )

    def deeper(self, span: Span, parts: Sequence[Any]) -> int:
        """Return how deeply an expression is nested; evaluating it takes as many calls."""
        depth = 1 + max((getattr(part, "depth", 0) for part in parts), default=0)
        if depth > self.limits.nesting:
            self.too_many("nesting", f"an expression is nested {depth} deep", span, depth)
        return depth

    def too_many(self, limit: str, asks: str, span: Span, needed: int | None = None) -> None:
        raise ArchError(self.limits.over(limit, asks, span, needed=needed))

    def name_of(self, token: Any) -> str:
        if len(token) > self.limits.name:
            asks = f"a name has {len(token):,} characters"
            self.too_many("name", asks, self.span(token), len(token))
        return str(token)

    def misplaced_description(self, span: Span) -> None:
        self.misplaced(
            "a description",
            "it is the first statement of a network or block; "
            "to name a stage with a string, write `:` after it",
            span,
        )

    def misplaced(self, what: str, hint: str, span: Span) -> None:
        self.errors.append(Misplaced(span, what=what, hint=hint))

    def string(self, children: Children) -> ast.Literal | ast.Text:
        """Split a string into text and holes."""
        token = children[0]
        span = self.span(token)
        self.check_length(token)
        if "{" not in token and "}" not in token:
            return ast.Literal(self.unescaped(token[1:-1], span), span)
        parts: list[str | ast.Expression] = []
        text, at, end = "", 1, len(token) - 1
        while at < end:
            character = token[at]
            if token[at : at + 2] in ("{{", "}}"):
                text, at = text + character, at + 2
            elif character == "\\":
                text, at = text + token[at : at + 2], at + 2
            elif character == "}":
                return self.bad_string("a `}` stands alone in this string", span)
            elif character == "{":
                close = token.find("}", at, end)
                if close < 0:
                    return self.bad_string("a hole of this string has no closing `}`", span)
                parts.append(self.unescaped(text, span))
                hole = self.parse_hole(token.start_pos + at + 1, token.start_pos + close)
                if hole is None:
                    return ast.Literal("", span)
                parts.append(hole)
                text, at = "", close + 1
            else:
                text, at = text + character, at + 1
        parts.append(self.unescaped(text, span))
        if len(parts) == 1 and isinstance(parts[0], str):
            return ast.Literal(parts[0], span)
        return ast.Text(tuple(parts), span, self.deeper(span, parts))

    def plain(self, token: Any) -> str:
        """Return the text of a string in which braces mean nothing."""
        self.check_length(token)
        return self.unescaped(token[1:-1], self.span(token))

    def check_length(self, token: Any) -> None:
        if len(token) - 2 > self.limits.string:
            asks = f"a string has {len(token) - 2:,} characters"
            self.too_many("string", asks, self.span(token), len(token) - 2)

    def unescaped(self, text: str, span: Span) -> str:
        if "\\" not in text:
            return str(text)
        pieces = text.split("\\")
        done, at = pieces[0], 1
        while at < len(pieces):
            piece = pieces[at]
            if not piece:  # two backslashes in a row
                done += "\\" + (pieces[at + 1] if at + 1 < len(pieces) else "")
                at += 2
            elif piece[0] in ESCAPES:
                done += ESCAPES[piece[0]] + piece[1:]
                at += 1
            else:
                self.bad_string(f"`\\{piece[0]}` means nothing in a string", span)
                return done
        return done

    def bad_string(self, reason: str, span: Span) -> ast.Literal:
        self.errors.append(BadString(span, reason=reason))
        return ast.Literal("", span)
