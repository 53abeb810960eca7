"""Says what is wrong with a text that doesn't follow the grammar, in each of its statements."""

from __future__ import annotations

import re
from collections.abc import Callable, Set
from itertools import pairwise

from archdsl.diagnostics import LONGEST_EXCERPT, MOST_ERRORS, ArchError, Diagnostic, Source, Span
from archdsl.syntax.errors import (
    NotClosed,
    NotOpened,
    UnexpectedCharacter,
    UnexpectedText,
    UnfinishedString,
)
from archdsl.syntax.habits import habit
from archdsl.syntax.machine import END, Stuck, Token
from archdsl.syntax.recovery import CLOSING, Fault, Found, Part, item_starts
from archdsl.syntax.tokens import Statements
from archdsl.syntax.tree import TreeBuilder

Run = Callable[[str, int, int, str], object]
CHARACTERS_A_TOKEN = 16  # which take as long to look through for brackets
WORDS = {
    "NETWORK", "BLOCK", "LET", "FN", "IMPORT", "FROM", "AS", "FOR", "IN", "REPEAT", "IF", "ELSE",
    "MERGE", "RESIDUAL", "WHEN", "SHORTCUT", "BRANCH", "INPUT", "OUTPUT", "PARAMETER", "BUFFER",
    "CONSTANT",
    "REGISTER", "REUSE", "INLINE", "NOT", "AND", "OR", "TRUE", "FALSE", "NONE",
}  # fmt: skip
RESERVED = {"concat", "add", "mul", "sub", *(word.lower() for word in WORDS - {"MERGE"})}
ITEMS = {"NETWORK", "BLOCK", "LET", "FN", "IMPORT"}
SIGNS = {
    "LPAR": "`(`", "RPAR": "`)`", "LSQB": "`[`", "RSQB": "`]`", "LBRACE": "`{`", "RBRACE": "`}`",
    "COLON": "`:`", "COMMA": "`,`", "ARROW": "`->`", "EQUAL": "`=`", "DOT": "`.`",
    "NAME": "a name", "INTEGER": "a number", "FLOAT": "a number", "STRING": "a string",
    "_NL": "the end of the line", END: "the end of the file", "COMPARISON": "a comparison",
    "SIGN": "`+` or `-`", "TIMES": "`*` or `/`", "POWER": "`**`", "SHAPE_OF": "`shape(...)`",
}  # fmt: skip
OPERATORS = {
    "SIGN", "TIMES", "POWER", "COMPARISON", "IN", "NOT", "AND", "OR", "IF", "DOT", "LSQB"
}  # fmt: skip
OPERANDS = {"NAME", "INTEGER", "LSQB", "LPAR", "NOT", "SIGN"}


def every_mistake(
    source: Source, first: Stuck, run: Run, builder: TreeBuilder, statements: Statements
) -> list[Diagnostic]:
    """Return what is wrong in each item, and in each statement of it.

    `first` is where the text stopped, and `run` parses a part of it again.

    All that is read again counts as tokens, so that it takes no longer than the limit allows;
    where that is reached, what was found before is worth more.
    """
    every: dict[int, Diagnostic] = {}
    bounds = [0, *item_starts(source.text), len(source.text)]
    nested = False  # whether a `}` is to come for a `{` of an item before
    for start, end in pairwise(bounds):
        for diagnostic in _mistakes_of_item(source, start, end, run, builder, statements):
            if isinstance(diagnostic, NotOpened) and nested:
                nested = False
                continue
            nested = nested or (isinstance(diagnostic, NotClosed) and diagnostic.opening == "{")
            every.setdefault(place(diagnostic), diagnostic)
        if len(every) > MOST_ERRORS or statements.tokens_left <= 0:
            break
    return sorted(every.values(), key=place) or [explain(source, first, len(source.text))]


def _mistakes_of_item(
    source: Source, start: int, end: int, run: Run, builder: TreeBuilder, statements: Statements
) -> list[Diagnostic]:
    """Parse an item until nothing more is found, each time without what was wrong before."""
    every: dict[int, Diagnostic] = {}  # by line: a second of a line may follow from the first
    part: Part | None = None
    text, stop = source.text, end
    for _ in range(2 * MOST_ERRORS):  # some rounds find what follows from others alone
        builder.errors = []
        stopped: Stuck | None = None
        try:
            run(text, start, stop, "file")
        except Stuck as error:
            stopped = error
        except ArchError:
            break  # a limit is reached, and what was found until then is told
        finally:
            for diagnostic in builder.errors:
                every.setdefault(_line(diagnostic), diagnostic)
        if stopped is None:
            break
        part = part or Part(source.text, start, end)
        statements.tokens_left -= (end - start) // CHARACTERS_A_TOKEN
        found = part.drop(stopped.at)
        if found is not None:
            diagnostic = _explain_found(source, stopped, end, found)
            every.setdefault(_line(diagnostic), diagnostic)
        if part.is_final or part.text == text or len(every) > MOST_ERRORS:
            break
        text, stop = part.text, len(part.text)
    return sorted(every.values(), key=place)


def place(diagnostic: Diagnostic) -> int:
    """Return where something is wrong, to sort by."""
    return diagnostic.span.start if diagnostic.span else 0


def _line(diagnostic: Diagnostic) -> int:
    return diagnostic.span.line if diagnostic.span else 0


def _span(source: Source, token: Token) -> Span:
    return Span(source, token.start_pos, token.end_pos)


def _explain_found(source: Source, error: Stuck, end: int, found: Found) -> Diagnostic:
    """Say what is wrong where the reason stands on an earlier line than the parser came to."""
    sign = source.text[found.at : found.at + 1]
    there = Span(source, found.at, found.at + 1)
    beside = None
    if found.beside is not None and found.beside < end:
        beside = Span(source, found.beside, found.beside + 1)
    if found.fault is Fault.UNCLOSED:
        hint = _how_to_close(source, sign, end)
        return NotClosed(there, opening=sign, closing=CLOSING[sign], before=beside, hint=hint)
    if found.fault is Fault.SURPLUS:
        return NotOpened(there, opened=beside)
    if found.fault is Fault.OPENING:
        hint = "the lines below are set in, and a `}` follows them"
        return UnexpectedText(there, found="end of the line", expected="`{`", hint=hint)
    explained = explain(source, error, end)
    if found.fault is Fault.ENDS and isinstance(explained, UnexpectedText):
        line_end = Token("_NL", "\n", found.at + 1, found.at + 1)
        hint = _hint(line_end, error.accepted, source)
        if sign == "-":
            there = Span(source, found.at, found.at + 2)
            hint = "`->` leads to the next stage; without one, leave it out"
        return explained.but(span=there, found="end of the line", hint=hint)
    return explained


def _how_to_close(source: Source, sign: str, end: int) -> str:
    nest = sign == "{" and end < len(source.text)
    return f"write `{CLOSING[sign]}` at the end of what it opens" + (
        "; networks, blocks and functions don't nest" if nest else ""
    )


def explain(source: Source, error: Stuck, end: int) -> Diagnostic:
    """Say in the language's own words what the parser met and what it expected."""
    token, kinds = error.token, error.accepted
    if token is None:
        at = error.at
        character = source.text[at]
        if character == '"':
            line_end = source.text.find("\n", at)
            stop = line_end if 0 <= line_end < end else end
            return UnfinishedString(Span(source, at, stop))
        return UnexpectedCharacter(Span(source, at, at + 1), character=character)
    if token.type == "_NL" and kinds & {"RBRACE", "_NL"} == {"RBRACE"}:
        token = _after(source, token)
    if token.type == END:
        at = len(source.text[:end].rstrip()) or end
        span = Span(source, max(at - 1, 0), at)
    else:
        span = _span(source, token)
    found = f"`{token}`"
    if ";" in token:
        found = "`;`"
    elif token.type in (END, "_NL"):
        found = SIGNS[token.type].removeprefix("the ")
    elif token.type in WORDS:
        found = f"word `{token}`"
    hint = _hint(token, kinds, source)
    return UnexpectedText(span, found=found, expected=_expected(kinds), hint=hint)


def _after(source: Source, token: Token) -> Token:
    """Return what follows a line break, as a token: a value of a function, then something else."""
    word = re.compile(r"(?:[\s;]++|#[^\n]*+)*+(\w+|[^\s\w])").match(source.text, token.start_pos)
    if word is None:
        return token
    return Token("NAME", word[1], word.start(1), word.end(1))


def _expected(kinds: Set[str]) -> str:
    """Name what may stand at a place, in as few words as possible."""
    if kinds >= ITEMS:
        return "a network, block, let, fn or import"
    named: list[str] = []
    if kinds >= {"MERGE", "RESIDUAL", "BRANCH"}:
        kinds = kinds & {"RBRACE"}
        named.append("a statement")
    elif kinds >= OPERANDS:
        kinds = kinds & {"RPAR", "RSQB", "RBRACE"}
        named.append("a value")
    elif {"MERGE", "NAME", "LBRACE"} <= kinds:
        kinds = set()
        named.append("a layer, a block or a group")
    if len(kinds & OPERATORS) > 3:
        kinds = kinds - OPERATORS
        named.append("an operator")
    named += sorted({SIGNS.get(kind, f"`{kind.lower()}`") for kind in kinds})
    return " or ".join([", ".join(named[:-1]), named[-1]] if len(named) > 1 else named)


def _hint(token: Token, expected: Set[str], source: Source) -> str:
    """Say how to mend the mistakes that are made most."""
    start = source.text.rfind("\n", 0, token.start_pos) + 1
    end = source.text.find("\n", token.start_pos)
    before = source.text[max(start, token.start_pos - LONGEST_EXCERPT) : token.start_pos]
    rest = source.text[token.start_pos : end if end >= 0 else None][:LONGEST_EXCERPT]
    rest = rest.split("#")[0].rstrip()
    word = re.search(r"(\w+)[ \t]*$", before)
    if token.type == "COLON" and word and word[1] in RESERVED - {"input", "output"}:
        return f'`{word[1]}` is a word of the language; as a label it is written "{word[1]}"'
    if token.type in WORDS and re.match(r"\w+\s*:", rest) and "STRING" in expected:
        return f'`{token}` is a word of the language; as a label it is written "{token}"'
    if not before.strip() and token.type in ITEMS - {"LET"}:
        return "close what stands before it with `}`: networks, blocks, functions don't nest"
    if hint := habit(before, rest, expected):  # the rest is less sure
        return hint
    if token.type in WORDS and "NAME" in expected:
        return f"`{token}` is a word of the language and can't be a name here"
    if token.type == "EQUAL" and "COLON" in expected:
        return "a label is followed by `:`; a value gets its name with `let`"
    if token.type == "EQUAL" and "LBRACE" in expected:
        return "to compare, write `==`"
    if "LBRACE" in expected and (token.type == "COLON" or not rest):
        return "what a network or block holds stands in braces: `{ ... }`"
    if not before.strip() or token.type == "LBRACE":
        if "RPAR" in expected:
            return "a `(` is not closed"
        if "RSQB" in expected:
            return "a `[` is not closed"
    return ""
