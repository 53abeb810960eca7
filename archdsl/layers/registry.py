"""Finds the layers: those of this package, family by family, and those that users register."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module

from archdsl.layers.base import Layer
from archdsl.layers.homes import homes


class Registry(Mapping[str, type[Layer]]):
    """Layers by their name in the language: those of this package, and a user's own."""

    def __init__(self, own: Mapping[str, type[Layer]] | None = None) -> None:
        self.own = dict(own or {})

    def __getitem__(self, name: str) -> type[Layer]:
        if name in self.own:
            return self.own[name]
        return _built_in(name)

    def __iter__(self) -> Iterator[str]:
        for name in sorted({*homes(), *self.own}):
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
    kind = getattr(import_module(homes()[name]), name, None)
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
