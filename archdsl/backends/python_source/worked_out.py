"""Variables of a constructor: what several of its numbers are made of is worked out once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from archdsl.backends.python_source.classes import ModuleClass
from archdsl.backends.python_source.names import VARIABLE_WORDS, unique

COUNTER = re.compile(r"\bi\b")  # of a comprehension: what follows from it has no variable
CALL = re.compile(r"(?<![\w.])(?:math\.)?[a-z]\w*\(")
SIGN = re.compile(r" (?:[-+*/%]|//|\*\*) |\*\*")
# A power of names and numbers has no blanks, as the formatter has it.
SIMPLE = r"(?:<\d+>|[A-Za-z_]\w*|\d[\w.]*)(?![\w.(\[])"
POWER = re.compile(rf"(?<![\w.<])({SIMPLE}) \*\* (-?{SIMPLE})")
FEWEST_SIGNS = 2  # in what is no call


@dataclass(frozen=True, slots=True)
class WorkedOut:
    """The numbers of a class in variables.

    Attributes:
        texts: of each number; None leaves it out.
        attributes: what an attribute is called that keeps a number, by its text.
        variables: in the constructor, with their texts, in order.
    """

    texts: Sequence[str | None]
    attributes: Mapping[str, str]
    variables: Mapping[str, str]


def with_variables(written: ModuleClass) -> WorkedOut:
    """Find what comes several times and isn't short.

    That is a call (`max(8, width // 4)`), or what the spec has a name for.
    """
    texts = [*written.arguments]
    parts: list[str] = []
    # the longest first: what is a part of it is one by itself where it comes elsewhere too
    while found := _longest([*texts, *parts], written.lets):
        mark = f"<{len(parts)}>"
        texts = [text and _replaced(text, found, mark) for text in texts]
        parts = [_replaced(text, found, mark) for text in parts]
        parts.append(found)
    taken = {*VARIABLE_WORDS, *(parameter.name for parameter in written.parameters)}
    names: dict[str, str] = {}
    for mark, stem in reversed([*_stems(texts, written.arguments, written.attributes, parts)]):
        names[mark] = unique(stem, taken)
        taken.add(names[mark])
    texts = [text and _named(text, names) for text in texts]
    kept = {
        text: written.attributes[before]
        for text, before in zip(texts, written.arguments, strict=True)
        if text and before and before in written.attributes
    }
    pairs = zip(names.values(), reversed(parts), strict=True)
    return WorkedOut(texts, kept, {name: _named(part, names) for name, part in pairs})


def _longest(texts: Sequence[str | None], lets: Collection[str]) -> str:
    """Return the longest part that comes several times, or ""."""
    given = (text for text in texts if text and not COUNTER.search(text))
    parts = Counter(part for text in given for part in _parts(text, lets))
    return max((part for part, times in parts.items() if times > 1), key=len, default="")


def _parts(text: str, lets: Collection[str]) -> Iterator[str]:
    if text in lets and len(SIGN.findall(text)) >= FEWEST_SIGNS and not CALL.match(text):
        yield text
    for call in CALL.finditer(text):
        depth, at = 1, call.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(text[at], 0)
            at += 1
        yield text[call.start() : at]


def _replaced(text: str, part: str, mark: str) -> str:
    return mark if text == part else text.replace(part, mark) if CALL.match(part) else text


def _named(text: str, names: Mapping[str, str]) -> str:
    return re.sub(r"<\d+>", lambda mark: names[mark[0]], POWER.sub(r"\1**\2", text))


def _stems(
    texts: Sequence[str | None],
    before: Sequence[str | None],
    attributes: Mapping[str, str],
    parts: Sequence[str],
) -> Iterator[tuple[str, str]]:
    """Yield what each part is called: as the number that it is, or the first that it is part of."""
    for at in range(len(parts)):
        mark = f"<{at}>"
        pairs = [(text, old) for text, old in zip(texts, before, strict=True) if text and old]
        whole = [old for text, old in pairs if text == mark]
        part = [old for text, old in pairs if mark in text]
        yield mark, next((attributes[old] for old in (*whole, *part) if old in attributes), "value")
