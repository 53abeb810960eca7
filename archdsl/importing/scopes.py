"""Modules of torch for the scopes that the names in a file tell of."""

from __future__ import annotations

from typing import Any

from torch import nn

from archdsl.importing.naming import fresh_in, valid
from archdsl.layers.registry import Registry

PLAIN = ("Sequential", "ModuleList", "ModuleDict")


_classes: dict[str, type[nn.Module]] = {}


def scope_module(kind: str) -> Any:
    """Return a module for a scope, of the class that it has in the file."""
    if kind in PLAIN:
        return nn.Sequential()
    name = valid(kind)
    if name in Registry():
        name += "Block"  # or it would be taken for the layer
    if name not in _classes:
        _classes[name] = type(name, (nn.Module,), {})
    return _classes[name]()


def attach(home: nn.Module, label: str, module: nn.Module) -> None:
    """Give a module a name in another: one with dots in lists, which compute nothing."""
    *lists, own = label.split(".")
    for name in lists:
        if not hasattr(home, name):
            home.add_module(name, nn.Module())
        inner = getattr(home, name)
        if type(inner) is not nn.Module:  # something that computes has that name
            own = "_".join([*lists[lists.index(name) :], own])
            break
        home = inner
    home.add_module(free_label(home, own), module)


def free_label(home: nn.Module, label: str) -> str:
    """Return a name that nothing has in a module so far."""
    taken = {name for name in dir(home) if not name.isdigit()} | {*home._modules}
    return fresh_in(label, taken)
