"""Breaks statements over lines just as `ruff format` does, so that its check passes.

Only what the compiler writes is known here: calls, lists, comprehensions, additions, headers of
functions. The rules are those of the formatter: break at the first bracket behind which the next
one doesn't begin on the line; put what is inside on a line of its own if it fits; otherwise one
item a line, with a comma after the last.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from itertools import pairwise

WIDTH = 88  # what ruff's formatter takes without configuration
STEP = 4
OPENING, CLOSING = "([{", ")]}"
EXPONENT = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?<=[0-9.])e\+(?=[0-9])""")
# Outside all brackets of an item: where a comprehension is broken, else a comparison, else `|` and
# `&`, else a sum, a product, a power.
OPERATORS = (
    r" (?=(?:for|if) )",
    r" (?=(?:[<>]=?|[=!]=) )",
    r" (?=\| )",
    r" (?=& )",
    r" (?=[-+] )",
    r" (?=(?:\*|//?|[@%]) )",
    r" (?=\*\* )",
)


def statement(text: str, depth: int) -> list[str]:
    """Return the lines of a statement, indented `depth` times."""
    if "e+" in text:  # `repr` writes 1e+20 where the formatter has 1e20
        text = EXPONENT.sub(lambda found: found[1] or "e", text)
    indent = depth * STEP
    if _fits(text, indent):
        return [" " * indent + text]
    if text.startswith("def "):
        return _header(text, indent)
    if declared := re.fullmatch(r"(\w+: )([\w.]+)", text):
        pad = " " * indent
        return [f"{pad}{declared[1]}(", f"{pad}{' ' * STEP}{declared[2]}", f"{pad})"]
    equals = next((at for at in _outside(text, "=") if text[at - 1 : at + 2] == " = "), -1)
    target, value = text[: equals + 2], text[equals + 2 :]
    if equals >= 0:
        brackets = _brackets(value)
        head = value[: brackets[-1][0] + 1] if brackets else value
        # What begins behind the end of the line goes into brackets of its own, if these help.
        # `self["label"](x)` and `getattr(self, "label")(x)` have a bracket at their beginning,
        # which is broken instead.
        first = value[: brackets[0][0] + 1] if brackets else ""
        called = len(brackets) > 1 and (first.endswith("[") or first == "getattr(")
        helps = not called and _fits(f"{target}(", indent) and _fits(head, indent + STEP)
        if not _fits(target + head, indent) and (helps or len(_operands(value)) > 1):
            pad = " " * indent
            return [f"{pad}{target}(", *_line(value, indent + STEP), f"{pad})"]
    return list(_broken(text, indent, inside=False))


def _paragraphs(text: str, depth: int) -> list[str]:
    """Return prose as lines that fit, indented `depth` times."""
    width = WIDTH - depth * STEP
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    return [" " * (depth * STEP) + line for line in lines]


def docstring(summary: str, depth: int, details: tuple[str, ...] = ()) -> list[str]:
    """Return the lines of a docstring: a summary, then paragraphs, all of them safe prose."""
    indent = " " * (depth * STEP)
    if not details and len(indent) + len(summary) + 6 <= WIDTH:
        return [f'{indent}"""{summary}"""']
    first, *more = _paragraphs('"""' + summary, depth) or [f'{indent}"""']
    lines = [first, *more]
    for detail in details:
        lines += ["", *_paragraphs(detail, depth)]
    return [*lines, f'{indent}"""']


def _fits(text: str, indent: int, after: int = 0) -> bool:
    """Tell whether a text can stand on one line, with `after` characters behind it."""
    return indent + len(text) + after <= WIDTH


def _header(text: str, indent: int) -> list[str]:
    start, end = text.index("("), text.index(") -> ")
    head, body, tail = text[: start + 1], text[start + 1 : end], text[end:]
    pad, inner = " " * indent, " " * (indent + STEP)
    last = [pad + tail] if _fits(tail, indent) else list(_result(tail, indent))
    if _fits(body, indent + STEP) and len(_split(body)) > 1:
        return [pad + head, inner + body, *last]
    return [pad + head, *(f"{inner}{item}," for item in _split(body)), *last]


def _result(tail: str, indent: int) -> Iterator[str]:
    """Yield the end of a header whose result doesn't fit on its line: `) -> A | B:`."""
    pad = " " * indent
    text = tail.removeprefix(") -> ").removesuffix(":")
    kinds = text.split(" | ")
    if len(kinds) > 1:
        yield f"{pad}) -> ("
        yield f"{pad}{' ' * STEP}{kinds[0]}"
        yield from (f"{pad}{' ' * STEP}| {kind}" for kind in kinds[1:])
        yield f"{pad}):"
    else:
        *lines, end = _broken(text, indent, inside=False)
        yield f"{pad}) -> {lines[0].lstrip()}" if lines else f"{pad}) -> {end.lstrip()}:"
        yield from lines[1:]
        yield from [f"{end}:"] * bool(lines)


def _broken(text: str, indent: int, inside: bool, comma: str = "") -> Iterator[str]:
    """Yield the lines of an expression that doesn't fit on one; `comma` stands after it."""
    pad = " " * indent
    if inside and len(parts := _operands(text)) > 1:
        for part in parts[:-1]:
            yield from _line(part, indent)
        yield from _line(parts[-1], indent, comma)
        return
    line, at = pad, 0  # how the present line begins, and where in the text it goes on
    brackets = _brackets(text)
    stops = [*(start + 1 for start, _ in brackets), len(text) + len(comma)]
    for (start, end), stop in zip(brackets, stops[1:], strict=True):
        # A bracket stays on its line if all up to where the next one can be broken does.
        if len(line) + stop - at <= WIDTH:
            continue
        yield line + text[at : start + 1]
        display = not re.search(r"[\w)\]]$", text[:start])  # a list or tuple, and no call
        body = text[start + 1 : end]
        if text[start] == "[" and not display and len(_split(body)) == 1:
            # one index: a comma after it would make it a tuple
            yield from _line(body, indent + STEP)
        else:
            yield from _inside(body, indent + STEP, display, text[start] == "(")
        line, at = pad, end
    yield line + text[at:] + comma


def _inside(body: str, indent: int, display: bool, parenthesis: bool) -> Iterator[str]:
    """Yield the lines of what stands in a bracket that is broken."""
    items = _split(body)
    if _fits(body, indent) and not (display and len(items) > 1):
        yield " " * indent + body
    elif len(items) == 1 and len(_operands(body)) > 1:
        yield from _broken(body, indent, inside=True)
    elif len(items) == 1 and display and parenthesis and not body.rstrip().endswith(","):
        yield from _line(body, indent)  # a comma after it would make it a tuple
    elif len(items) == 1 and items[0].startswith("*"):
        yield from _line(body, indent, ",")
    else:
        for item in items:
            yield from _line(item, indent, ",")


def _line(text: str, indent: int, comma: str = "") -> Iterator[str]:
    if _fits(text, indent, len(comma)):
        yield " " * indent + text + comma
    else:
        yield from _broken(text, indent, inside=True, comma=comma)


def _operands(text: str) -> list[str]:
    """Split at the loosest operators outside of brackets; each part begins with its operator."""
    spaces = _outside(text, " ")
    for operator in OPERATORS:
        pattern = re.compile(operator)
        places = [at for at in spaces if pattern.match(text, at)]
        if places:
            bounds = [-1, *places, len(text)]
            return [text[a + 1 : b] for a, b in pairwise(bounds)]
    return [text]


def _split(text: str) -> list[str]:
    """Split at the commas outside of brackets and strings."""
    bounds = [-1, *_outside(text, ","), len(text)]
    items = [text[a + 1 : b].strip() for a, b in pairwise(bounds)]
    return [item for item in items if item]


def _outside(text: str, wanted: str) -> list[int]:
    """Return where a character stands outside of brackets and strings."""
    found: list[int] = []
    depth = 0
    for at, character in _code(text):
        if character in OPENING:
            depth += 1
        elif character in CLOSING:
            depth -= 1
        elif character == wanted and not depth:
            found.append(at)
    return found


def _brackets(text: str) -> list[tuple[int, int]]:
    """Return the pairs of brackets at the outermost level that hold anything."""
    found: list[tuple[int, int]] = []
    depth = start = 0
    for at, character in _code(text):
        if character in OPENING:
            depth += 1
            start = at if depth == 1 else start
        elif character in CLOSING:
            depth -= 1
            if not depth and at > start + 1:
                found.append((start, at))
    return found


def _code(text: str) -> Iterator[tuple[int, str]]:
    """Yield the characters that stand outside of string literals."""
    quote = ""
    at = 0
    while at < len(text):
        character = text[at]
        if quote:
            if character == "\\":
                at += 1
            elif character == quote:
                quote = ""
        elif character in "\"'":
            quote = character
        else:
            yield at, character
        at += 1
