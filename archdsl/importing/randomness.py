"""The random numbers of torch are the caller's: they are the same after an import as before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def generators() -> list[torch.Generator]:
    """Return what torch draws from where nobody names a generator: on the CPU and on each GPU.

    Before somebody uses a GPU there is none of it, and seeding it would wait until then.
    """
    return [torch.default_generator, *torch.cuda.default_generators]


def seed() -> None:
    """Let what is drawn next be the same every time."""
    for one in generators():
        one.manual_seed(0)


@contextmanager
def untouched() -> Iterator[None]:
    """Let the caller draw afterwards what would have been drawn without what happens in here."""
    before = [(one, one.get_state()) for one in generators()]
    try:
        yield
    finally:
        for one, state in before:
            one.set_state(state)
