"""Says where in the user's own code something is: file and line, with the line itself."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

TORCH = os.path.dirname(torch.__file__) + os.sep
HERE = os.path.dirname(__file__) + os.sep
IMPORTS = (os.path.dirname(importlib.__file__) + os.sep, "<frozen")


def place_of(error: BaseException) -> str:
    """Return where in code that is neither torch's nor ours an exception came from, or ""."""
    found = ""
    step = error.__traceback__
    while step is not None:
        file = step.tb_frame.f_code.co_filename
        if not file.startswith((TORCH, HERE, *IMPORTS)):
            found = shown_place(f"{file}:{step.tb_lineno}")
        step = step.tb_next
    return found


def shown_place(place: str) -> str:
    """Return file and line with the line itself."""
    file, _, number = place.rpartition(":")
    try:
        with open(file, "rb") as source:
            line = source.read().decode(errors="replace").splitlines()[int(number) - 1].strip()
    except (OSError, ValueError, IndexError):
        return place
    return f"{re.sub(r'^.*site-packages/', '', file)}:{number}: {line[:100]}"


_standing: list[str] = []


@contextmanager
def standing_at(place: str) -> Iterator[None]:
    """Let what is recorded stand at a place of something else than a user's code: of a file."""
    _standing.append(place)
    try:
        yield
    finally:
        _standing.pop()


def standing() -> str:
    """Return the place that was said last, or ""."""
    return _standing[-1] if _standing else ""
