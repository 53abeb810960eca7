"""Writes the error index: `python -m archdsl.error_index tests/bad > docs/errors.md`.

Titles and texts are the docstrings of the kinds of error; the examples are texts that tests hold.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from archdsl.diagnostics import Diagnostic, kinds

HEAD = """\
# Errors

Every error has a code, which never changes its meaning. This page is made from the kinds of error
in the source by `python -m archdsl.error_index tests/bad > docs/errors.md`; `tests/bad` holds the
specs that give the examples, and more. `archdsl check --format json` gives the same as data.
"""


def every_kind() -> list[type[Diagnostic]]:
    """Return every kind of error there is, in the order of the codes.

    A file that declares one is found by its text, since importing all of archdsl would need torch.
    """
    for name in declaring(files("archdsl"), "archdsl"):
        import_module(name)
    return [kind for kind in kinds() if kind.__module__.startswith("archdsl.")]


def declaring(folder: Traversable, package: str) -> Iterator[str]:
    """Yield the modules in which kinds of error are declared."""
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.is_dir():
            yield from declaring(file, f"{package}.{file.name}")
        elif file.name.endswith(".py"):
            text = file.read_text(encoding="utf-8")
            if re.search(r'^    code = "E\d{4}"$', text, re.MULTILINE):
                yield f"{package}.{file.name[:-3]}"


def index(examples: Path) -> str:
    """Return the page, with examples from a folder of texts named after codes."""
    return "\n".join([HEAD, *(entry(kind, examples) for kind in every_kind())])


def entry(kind: type[Diagnostic], examples: Path) -> str:
    """Return what the page says of one kind of error."""
    title, _, text = inspect.cleandoc(kind.__doc__ or "").partition("\n\n")
    parts = [f"## {kind.code}: {title.rstrip('.')}\n"]
    if text:
        parts.append(f"{text}\n")
    texts = sorted(examples.glob(f"{kind.code}_*.txt"))
    shown = [file.read_text(encoding="utf-8") for file in texts]
    alone = [one for one in shown if one.startswith("error[") and one.count("error[") == 1]
    if alone:
        # one that helps, and is short
        best = min(alone, key=lambda one: ("= help" not in one, len(one)))
        parts.append(f"```text\n{best}```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.write(index(Path(sys.argv[1])))
