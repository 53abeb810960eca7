"""One escaper for each place that text from a spec is written to. What comes out is text."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from archdsl.backends.escaping import html_text


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
