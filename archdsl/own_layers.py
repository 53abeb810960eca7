"""A user's own layers: Python classes that are registered, and never by a spec."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import TypeVar

from archdsl.layers.base import Layer
from archdsl.layers.registry import Registry

GROUP = "archdsl.layers"  # of the entry points that a package may declare
Kind = TypeVar("Kind", bound=type[Layer])

_registered: dict[str, type[Layer]] = {}


def layer(kind: Kind) -> Kind:
    """Register a class as a layer of the language, under its own name. Use it as a decorator.

    Raises:
        TypeError: it is no subclass of `archdsl.Layer`.
        ValueError: a layer of this name comes with the package.
    """
    if not (isinstance(kind, type) and issubclass(kind, Layer)):
        raise TypeError("only a subclass of archdsl.Layer can be registered as a layer")
    if kind.__name__ in Registry():
        raise ValueError(f"{kind.__name__} is the name of a layer that comes with archdsl")
    _registered[kind.__name__] = kind
    return kind


def registered() -> Mapping[str, type[Layer]]:
    """Return the layers registered so far, by name."""
    return dict(_registered)


def enable(name: str) -> None:
    """Import a module that registers layers, or an entry point of that name.

    Raises:
        ImportError: there is neither, or it can't be imported.
    """
    for point in entry_points(group=GROUP, name=name):
        point.load()
        return
    import_module(name)
