"""How errors word what is near and what is there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import islice

MOST_COMPARED = 300  # names, since comparing takes time
LONGEST_COMPARED = 64
UNQUOTED = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9]+", re.ASCII)  # unless it is a word


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Return the known names that are most like one, the nearest first.

    Only so many are compared, and no long ones: it takes far longer than to find the mistake.
    """
    if len(name) > LONGEST_COMPARED:
        return []
    names = [other for other in islice(known, MOST_COMPARED) if len(other) <= LONGEST_COMPARED]
    folded = {other.lower(): other for other in reversed(names)}
    from difflib import get_close_matches  # only where something is wrong

    close = get_close_matches(name.lower(), folded, n=3, cutoff=0.6)
    return [folded[match] for match in close]


def did_you_mean(
    name: str, known: Iterable[str], written: Callable[[str], str] = "`{}`".format
) -> str:
    """Suggest the nearest of the known names, or list them if they are few, or say nothing."""
    names = [other for other in known if other != name]
    if close := nearest(name, names):
        return f"did you mean {' or '.join(map(written, close))}?"
    if 0 < len(names) <= 8:
        return f"there {'is' if len(names) == 1 else 'are'} {', '.join(map(written, names))}"
    return ""


def written(label: str) -> str:
    """Write a label or reference as a spec does: `layer1.0`, `"block1-0".conv`."""
    from archdsl.syntax.mistakes import RESERVED

    return ".".join(
        part if UNQUOTED.fullmatch(part) and part not in RESERVED else f'"{_in_quotes(part)}"'
        for part in label.split(".")
    )


def with_index(label: str) -> str:
    """Write a label with the index of a loop at its end: `"layer{i}"`."""
    return f'"{_in_quotes(label)}{{i}}"'


def _in_quotes(text: str) -> str:
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    return text.replace("{", "{{").replace("}", "}}")
