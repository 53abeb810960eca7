"""A parser that tests share: making one takes longer than all else that a small spec needs."""

from __future__ import annotations

from functools import cache

from archdsl.limits import Limits
from archdsl.syntax.parser import Parser

_parser = cache(Parser)


def shared(limits: Limits) -> Parser:
    """Return a parser that counts its tokens from the start."""
    parser = _parser(limits)
    parser.statements.tokens_left = limits.tokens
    return parser
