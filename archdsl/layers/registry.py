"""Finds the layers: those of this package, family by family, and those that users register."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module

from archdsl.layers.base import Layer

PACKAGE = "archdsl.layers"
WITHOUT_LAYERS = {
    "__init__",
    "arguments",
    "base",
    "fields",
    "own",
    "registry",
    "signature",
    "sizes",
}


@cache
def _homes() -> Mapping[str, str]:
    """Return the module of each class of this package, by name.

    Importing all families takes longer than counting a network, so the names are taken from the
    sources, and a family is imported when one of its layers is first used.
    """
    found: dict[str, str] = {}
    folder = os.path.dirname(__file__)
    for file in sorted(os.listdir(folder)):
        module, ending = os.path.splitext(file)
        if ending != ".py" or module in WITHOUT_LAYERS:
            continue
        with open(os.path.join(folder, file), "rb") as family:
            text = family.read().decode()
        for name in re.findall(r"^class ([A-Za-z]\w*)\(", text, re.MULTILINE):
            found[name] = f"{PACKAGE}.{module}"
    return found


def is_own(kind: type[Layer]) -> bool:
    """Tell whether a layer is a user's own, and not one of this package."""
    return _homes().get(kind.__name__) != kind.__module__


class Registry(Mapping[str, type[Layer]]):
    """Layers by their name in the language: those of this package, and a user's own."""

    def __init__(self, own: Mapping[str, type[Layer]] | None = None) -> None:
        self.own = dict(own or {})

    def __getitem__(self, name: str) -> type[Layer]:
        if name in self.own:
            return self.own[name]
        return _built_in(name)

    def __iter__(self) -> Iterator[str]:
        for name in sorted({*_homes(), *self.own}):
            if name in self:
                yield name

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def word(self, word: str) -> type[Layer]:
        """Return the layer that a word of the language stands for: `concat` gives `Concat`."""
        return _words()[word]

    def elsewhere(self, name: str) -> str:
        """Return how that is written here which other frameworks call by a name, or ""."""
        name = name.lower().replace("_", "")
        kinds = (*self.values(), *_words().values())
        return dict(pair for kind in kinds for pair in kind.elsewhere).get(name, "")


@cache
def _built_in(name: str) -> type[Layer]:
    """Return a layer of this package that can be a stage, or raise KeyError.

    Every such layer declares examples; classes that only share code between layers have none.
    """
    kind = getattr(import_module(_homes()[name]), name, None)
    if isinstance(kind, type) and issubclass(kind, Layer) and _is_stage(kind):
        return kind
    raise KeyError(name)


def _is_stage(kind: type[Layer]) -> bool:
    return not kind.word and "examples" in vars(kind)


@cache
def _words() -> Mapping[str, type[Layer]]:
    from archdsl.layers import merge, tensor

    every = [*vars(merge).values(), *vars(tensor).values()]
    kinds = [kind for kind in every if isinstance(kind, type) and issubclass(kind, Layer)]
    return {kind.word: kind for kind in kinds if kind.word}
