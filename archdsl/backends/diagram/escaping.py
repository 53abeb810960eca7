"""One escaper for each place that text from a spec is written to. What comes out is text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache

from archdsl.backends.diagram.wording import LONGEST_LABEL, short
from archdsl.backends.escaping import html_text
from archdsl.diagnostics import printable

LONGEST_TEXT = 4_096
PLAIN = re.compile(r"[!-~]+(?: [!-~]+)*").fullmatch  # what shows as it stands


@lru_cache(1024)  # the same few names and shapes stand in a picture again and again
def visible(text: str, limit: int = LONGEST_LABEL) -> str:
    """Cut text to a label's length, with control and bidirectional characters as escapes."""
    if len(text) <= limit and PLAIN(text):
        return text
    return printable(short(text, limit), 2 * LONGEST_TEXT)


@lru_cache(4096)
def dot_quoted(text: str) -> str:
    """Write a string of DOT: quotes, backslashes and `&` mean nothing in it; lines may break."""
    text = text.replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')
    return '"' + text.replace("\n", "\\n") + '"'


def attributes_of(values: Mapping[str, str]) -> str:
    """Write attributes of DOT: `name="value"`, with blanks between."""
    return " ".join([f"{name}={dot_quoted(value)}" for name, value in values.items()])


@lru_cache(1024)
def dot_html(text: str) -> str:
    """Write text within a label of DOT that is `<...>`.

    An element can't be empty there, and of a `]` alone Graphviz says that it is a syntax error.
    """
    return html_text(text).replace("]", "&#93;") if text.strip() else "&#160;"


def script_json(value: object) -> str:
    """Write JSON within a `<script>` element: no `<`, `>` or `&` that could end or change it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return re.sub(
        "[<>&\u2028\u2029\ud800-\udfff]", lambda found: f"\\u{ord(found.group()):04x}", text
    )


def mermaid(text: str) -> str:
    """Write a label of Mermaid between quotes: all but plain characters by their numbers.

    Mermaid reads Markdown, HTML and entities written with `#`, and lower-case `end` as a word. Two
    dollars begin a formula even when they are written by their numbers, so something that has no
    width stands between them.
    """
    text = re.sub(r"(?<=\$)\$", "\u200b$", text)
    return re.sub(
        r"[^ -~]|[^A-Za-z0-9 .,/_()+=:-]|end",
        lambda found: "".join(
            character if not character.isascii() else f"#{ord(character)};"
            for character in found.group()
        ),
        text,
    )
