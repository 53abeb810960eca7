"""Texts with numbers in them: what two uses of a block have in common, and what differs.

`torch.zeros(96, 1, 1)` and `torch.zeros(192, 1, 1)` are one text, `torch.zeros(§, 1, 1)` say, with
one number that varies; so are the expressions of the forward pass.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

# Strings and placeholders come first, so that no number is seen inside them.
TOKEN = re.compile(
    r"""("[^"\n]*"|'[^'\n]*'|\{\w*\})|((?<![\w.])\d+(?:\.\d+)?(?:e[-+]?\d+)?(?![\w.]))"""
)
PLACEHOLDER = re.compile(r"\{(\w*)\}")
OPENED = re.compile(r"(?:[(\[,:]\s*|(?<![=!<>])=)\Z")  # an argument begins, or an index
CLOSED = re.compile(r"\s*[)\],:]")
SIMPLE = re.compile(r"[\w.]+")
KEYWORD = re.compile(r"(\w+)=-?$")


@dataclass(frozen=True, slots=True)
class Template:
    """The parts of a text around its numbers, these, the keyword of each or "", and its place."""

    parts: tuple[str, ...]
    numbers: tuple[int | float, ...]
    hints: tuple[str, ...]
    starts: tuple[int, ...]


@lru_cache(maxsize=4096)
def template(text: str) -> Template:
    """Take the numbers out of a text."""
    parts: list[str] = []
    numbers: list[int | float] = []
    hints: list[str] = []
    starts: list[int] = []
    start = 0
    for token in TOKEN.finditer(text):
        if token[2] is None:
            continue
        before = text[start : token.start()]
        keyword = KEYWORD.search(before)
        parts.append(before)
        numbers.append(float(token[2]) if re.search(r"[.e]", token[2]) else int(token[2]))
        hints.append(keyword[1] if keyword else "")
        starts.append(token.start())
        start = token.end()
    return Template((*parts, text[start:]), tuple(numbers), tuple(hints), tuple(starts))


def filled(parts: Sequence[str], texts: Iterable[str]) -> str:
    """Return a text with something in the place of each of its numbers.

    What is an operand there stands in brackets, unless it is a name, a number or a call.
    """
    whole = parts[0]
    for text, part in zip(texts, parts[1:], strict=True):
        alone = SIMPLE.fullmatch(text) or (OPENED.search(whole) and CLOSED.match(part))
        whole += (text if alone or not _is_loose(text) else f"({text})") + part
    return whole


def _is_loose(text: str) -> bool:
    found = ast.parse(text, mode="eval").body
    return not isinstance(found, ast.Call | ast.Subscript | ast.Attribute | ast.Name | ast.Constant)


def substitute(text: str, values: dict[str, str]) -> str:
    """Put texts in the place of `{0}`, `{inputs}`, `{module}`; other braces stay as they are."""
    return PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), text)
