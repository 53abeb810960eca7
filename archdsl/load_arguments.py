"""The arguments of `archdsl.load`: refuses what has not the form that it must have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import index
from typing import TYPE_CHECKING, cast

from archdsl.diagnostics import ArchError
from archdsl.elaborate.errors import BadNetwork
from archdsl.limits import LARGEST

if TYPE_CHECKING:
    from typing import SupportsIndex


def joined(
    parameters: Mapping[str, object] | None, named: Mapping[str, object]
) -> dict[str, object]:
    """Return the values of parameters that are given in a mapping, by name, or in both ways.

    Raises:
        ArchError: one is given twice, or they are no mapping of names.
    """
    given = {} if parameters is None else parameters
    names = isinstance(given, Mapping) and all(isinstance(name, str) for name in given)
    require(names, "parameters", 'values by name: `{"classes": 10}`', given)
    for name in named:
        if name in given:
            reason = f"`{name}` is given twice: by name and in `parameters`"
            raise ArchError(BadNetwork(reason=reason, hint="leave out one of them"))
    return {**given, **named}


def shapes_of(inputs: object) -> dict[str, tuple[int | str, ...]]:
    """Return the shapes that are given for inputs."""
    form = 'shapes by name: `{"image": [3, 224, 224]}`'
    given = {} if inputs is None else inputs
    require(isinstance(given, Mapping), "inputs", form, given)
    assert isinstance(given, Mapping)
    shapes: dict[str, tuple[int | str, ...]] = {}
    for name, shape in given.items():
        require(isinstance(name, str), "inputs", form, given)
        listed = isinstance(shape, Iterable) and not isinstance(shape, str | bytes | Mapping)
        what = f"the shape of `{name}`"
        require(listed, what, "a list of sizes: `[3, 224, 224]`", shape)
        shapes[name] = tuple(_size(size, what) for size in shape)
    return shapes


def _size(size: object, what: str) -> int | str:
    """Return a size as an integer, of whatever type it is, or the name of a free one."""
    form = "positive integers and names of free sizes"
    if isinstance(size, str):
        require(size.isidentifier() and size.isascii(), what, form, size)
        return size
    require(hasattr(size, "__index__") and not isinstance(size, bool), what, form, size)
    found = index(cast("SupportsIndex", size))
    require(1 <= found <= LARGEST, what, form, found)
    return found


def require(right: bool, what: str, form: str, given: object) -> None:
    """Raise ArchError where an argument of `load` has not the form that it must have."""
    if right:
        return
    shown = f"`{given!r:.60}`" if isinstance(given, str | int | float) else type(given).__name__
    name = f"`{what}`" if what.isidentifier() else what
    reason = f"{name} must be {form}, not {shown}"
    clashes = what in ("inputs", "limits", "search", "parameters")
    hint = f'a parameter called `{what}` is given as `parameters={{"{what}": ...}}`'
    raise ArchError(BadNetwork(reason=reason, hint=hint if clashes else ""))
