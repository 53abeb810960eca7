"""A file of specs: what it calls by which name, and where that is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from archdsl.diagnostics import Source, Span
from archdsl.syntax import ast


@dataclass(eq=False, repr=False)
class SpecFile:
    """A file: its items by name, and those that it imports.

    Attributes:
        imported: for each name of an import, the file it comes from and its name there.
        ambiguous: names that several of its items have, or of its items and imports.
    """

    source: Source
    program: ast.Program
    imported: dict[str, tuple[SpecFile, str]] = field(default_factory=dict)
    items: dict[str, ast.Item] = field(default_factory=dict)
    ambiguous: set[str] = field(default_factory=set)

    def __repr__(self) -> str:
        return f"<SpecFile {self.source.path}>"

    def find(self, name: str) -> tuple[SpecFile, ast.Item] | None:
        """Return the item that a name stands for, and the file that it is written in."""
        home = self.origin(name)
        return None if home is None else (home[0], home[0].items[home[1]])

    def is_ambiguous(self, name: str) -> bool:
        """Tell whether a name may stand for several things, which is said where they are."""
        file: SpecFile = self
        for _ in range(1_000):
            if name in file.ambiguous:
                return True
            if name in file.items or name not in file.imported:
                return False
            file, name = file.imported[name]
        return False

    def origin(self, name: str) -> tuple[SpecFile, str] | None:
        """Return the file in which what has a name here is written, and its name there."""
        file: SpecFile = self
        for _ in range(1_000):  # imports of imports; a ring of names was refused before
            if name in file.items:
                return file, name
            if name not in file.imported:
                return None
            file, name = file.imported[name]
        return None


def item_names(program: ast.Program) -> Iterator[tuple[str, ast.Item, Span]]:
    """Yield each name that a file gives to one of its items."""
    for item in program.items:
        if isinstance(item, ast.Let):
            for target in item.targets:
                yield target.name, item, target.span
        elif not isinstance(item, ast.Import):
            yield item.name, item, item.span
