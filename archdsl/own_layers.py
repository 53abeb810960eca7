"""A user's own layers: Python classes that are registered, and never by a spec."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import TypeVar

from archdsl.layers.base import DTYPES, Example, Layer
from archdsl.layers.fields import fields_of
from archdsl.layers.registry import Registry

GROUP = "archdsl.layers"  # of the entry points that a package may declare
Kind = TypeVar("Kind", bound=type[Layer])

_registered: dict[str, type[Layer]] = {}


def layer(kind: Kind) -> Kind:
    """Register a class as a layer of the language, under its own name. Use it as a decorator.

    Raises:
        TypeError: it is no subclass of `archdsl.Layer`, something that every layer has (`takes`,
            `family`) is of another kind there, or an argument is called like it.
        ValueError: a layer of this name comes with the package.
    """
    if not (isinstance(kind, type) and issubclass(kind, Layer)):
        raise TypeError("only a subclass of archdsl.Layer can be registered as a layer")
    _require_sound(kind)
    if kind.__name__ in Registry():
        raise ValueError(f"{kind.__name__} is the name of a layer that comes with archdsl")
    _registered[kind.__name__] = kind
    return kind


# What a class may say of its layer, with the words for what that must be.
SAID: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "takes": (
        lambda said: (
            isinstance(said, Mapping) and {*said, *said.values()} <= {*DTYPES} and bool(said)
        ),
        "what is given for what comes in, {'int': 'float'}",
    ),
    "family": (lambda said: isinstance(said, str) and said != "", "a name, such as 'linear'"),
    "merges": (lambda said: isinstance(said, bool), "True or False"),
    "inert": (lambda said: isinstance(said, bool), "True or False"),
    "sign": (lambda said: isinstance(said, str), "a text"),
    "buffers_move": (lambda said: isinstance(said, bool), "True or False"),
    "word": (lambda said: said == "", "left to what the language itself writes"),
    "examples": (
        lambda said: isinstance(said, tuple) and all(isinstance(one, Example) for one in said),
        "a tuple of archdsl.Example",
    ),
    "elsewhere": (
        lambda said: (
            isinstance(said, tuple)
            and all(isinstance(one, tuple) and [*map(type, one)] == [str, str] for one in said)
        ),
        "a tuple of pairs: what others call it, and how it is written here",
    ),
}


def _require_sound(kind: type[Layer]) -> None:
    """Raise TypeError where a class says what would only fail much later."""
    for name, (holds, expected) in SAID.items():
        said: object = getattr(kind, name)
        if not holds(said):
            raise TypeError(f"`{name}` of {kind.__name__} is {said!r}, and must be {expected}")
    with suppress(NameError):  # an annotation may name what its file defines further down
        if clash := sorted(name for name in fields_of(kind) if hasattr(Layer, name)):
            reason = f"every layer has a `{clash[0]}`, so no argument of one can be called that"
            raise TypeError(reason)


def registered() -> Mapping[str, type[Layer]]:
    """Return the layers registered so far, by name."""
    return dict(_registered)


def enable(name: str, folders: Sequence[str] = ()) -> None:
    """Import a module that registers layers, or an entry point of that name.

    Args:
        name: of the module, with dots; the user gave it, and never a spec.
        folders: where it is looked for if it isn't installed.

    Raises:
        ImportError: there is neither, or it can't be imported; the text says where and why.
    """
    for point in entry_points(group=GROUP, name=name):
        _load(point.load, name)
        return
    if not all(map(str.isidentifier, name.split("."))):
        stem = os.path.basename(name).removesuffix(".py")
        hint = f", as in `--layers {stem}`" if stem.isidentifier() else ""
        raise ImportError(f"`{name}` is not the name of a Python module{hint}")
    top = name.partition(".")[0]
    # What is installed comes first: a stranger's file beside a spec must not stand in for it.
    home = None if _is_known(top) else _home(top, folders)
    if home is None:
        if not _is_known(top):
            looked = " or ".join(dict.fromkeys(map(os.path.abspath, folders)))
            where = f", and there is no {top}.py in {looked}" if looked else ""
            raise ImportError(f"no module called `{top}` is installed{where}")
        _load(lambda: importlib.import_module(name), name)
        return
    # The folder is searched while this module is imported, since that may import its neighbours,
    # and no longer: another import must never find a file that lies beside a spec.
    sys.path.append(home)
    try:
        importlib.invalidate_caches()
        _load(lambda: importlib.import_module(name), name)
    finally:
        sys.path.remove(home)


def _is_known(module: str) -> bool:
    return module in sys.modules or find_spec(module) is not None


def _home(module: str, folders: Sequence[str]) -> str | None:
    """Return the first of some folders that holds a module or package of that name."""
    for folder in folders:
        path = os.path.join(os.path.abspath(folder), module)
        if os.path.isfile(f"{path}.py") or os.path.isdir(path):
            return os.path.dirname(path)
    return None


def _load(load: Callable[[], object], name: str) -> None:
    try:
        load()
    except Exception as error:  # the user's own code
        kind = "" if isinstance(error, ImportError) else f"{type(error).__name__}: "
        text = error.msg if isinstance(error, SyntaxError) else error
        raise ImportError(f"{name} can't be imported: {_place(error)}{kind}{text}") from error
    if not _registered:
        hint = "decorate its classes with `@archdsl.layer`"
        raise ImportError(f"{name} was imported, and registers no layer: {hint}")


def _place(error: Exception) -> str:
    """Return the line of the user that an import failed in, "my_layers.py:3: ", or ""."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}: "
    others = ("<frozen ", os.path.dirname(__file__) + os.sep, os.path.dirname(importlib.__file__))
    steps = traceback.extract_tb(error.__traceback__)
    own = [step for step in steps if not step.filename.startswith(others)]
    return f"{own[-1].filename}:{own[-1].lineno}: " if own else ""
