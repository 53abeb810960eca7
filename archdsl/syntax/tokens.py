"""The tokens on their way from the lexer to the parser: which line breaks end a statement."""

from __future__ import annotations

from collections.abc import Iterator

from archdsl.syntax.machine import Token

# Before these a line break ends nothing: they can't begin a statement.
CONTINUES = frozenset({"RBRACE", "ARROW", "ELSE", "SHORTCUT"})
# After a closing brace a statement has ended, unless one of these goes on with it.
GOES_ON = CONTINUES | {"AS", "RPAR", "RSQB", "COMMA", "_NL"}
OPENING = {"LPAR": "RPAR", "LSQB": "RSQB", "LBRACE": "RBRACE", "SHAPE_OF": ""}


class TooMany(Exception):
    """There are more tokens or brackets than a limit allows, at this token."""

    def __init__(self, limit: str, token: Token) -> None:
        super().__init__(limit)
        self.limit = limit
        self.token = token


class Statements:
    """Keeps the line breaks that end a statement, and adds one after each closing brace.

    A line break inside `( )` or `[ ]`, after `{` or beside `->` ends nothing; a `;` always does,
    and the parser refuses it where a statement can't end. Counts tokens and open brackets on the
    way, since both cost time before anything else is known about a file.
    """

    def __init__(self, most_tokens: int, most_nesting: int) -> None:
        self.tokens_left = most_tokens
        self.most_nesting = most_nesting

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        """Yield the tokens that the grammar speaks of."""
        brackets: list[str] = []
        line_break: Token | None = None
        last = "LBRACE"  # a file begins like a body
        for token in stream:
            kind = token.type
            self.tokens_left -= 1
            if self.tokens_left < 0:
                raise TooMany("tokens", token)
            if kind == "_NL":
                inside = bool(brackets) and brackets[-1] != "LBRACE"
                if ends(token) and (inside or last == "ARROW"):
                    yield token
                elif not inside and last not in ("LBRACE", "ARROW"):
                    # a `;` counts wherever it is among them: it ends more than a line break does
                    line_break = line_break if line_break and ends(line_break) else token
                continue
            if line_break is not None:
                if kind not in CONTINUES or (kind != "RBRACE" and ends(line_break)):
                    yield line_break
                line_break = None
            elif last == "RBRACE" and kind not in GOES_ON:
                yield token.of("_NL", "\n")
            if kind in ("LPAR", "LSQB", "LBRACE"):
                brackets.append(kind)
                if len(brackets) > self.most_nesting:
                    raise TooMany("nesting", token)
            elif kind in ("RPAR", "RSQB", "RBRACE") and brackets:
                brackets.pop()
            last = kind
            yield token


def ends(line_break: Token) -> bool:
    """Tell whether a statement is ended on purpose, by `;`."""
    return ";" in str(line_break)
