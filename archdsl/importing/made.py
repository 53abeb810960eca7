"""Finds what a user names, `package.module:name`, and makes the module that it stands for.

That runs the user's own code, as every import of Python does.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from archdsl.importing.errors import ImportingError, NoModule
from archdsl.importing.places import place_of
from archdsl.importing.recorder import replaced

MADE_WITH = "_archdsl_made_with"


def made(what: str, arguments: Mapping[str, object]) -> tuple[nn.Module, str]:
    """Return a module and a name for it.

    Raises:
        ImportingError: it can't be found or made; the text says why.
    """
    home, colon, name = what.partition(":")
    if not colon or not home or not name:
        reason = "is not MODULE:NAME, as in torchvision.models:resnet50"
        raise ImportingError(NoModule(what=f"`{what}`", reason=reason))
    try:
        found: Any = importlib.import_module(home)
    except (Exception, SystemExit) as error:
        reason, place = f"can't be imported: {said(error)}", place_of(error)
        raise ImportingError(NoModule(what=f"`{home}`", reason=reason, place=place)) from error
    if not hasattr(found, name.split(".")[0]) and home == "timm":
        found = timm_models(found)
    for part in name.split("."):
        if not hasattr(found, part):
            near = nearest(part, found)
            raise ImportingError(NoModule(what=f"`{home}`", reason=f"has no `{part}`{near}"))
        found = getattr(found, part)
    module = found if isinstance(found, nn.Module) else call(found, what, arguments)
    if not isinstance(module, nn.Module):
        reason = f"gives {type(module).__name__}, and no torch.nn.Module"
        raise ImportingError(NoModule(what=f"`{what}`", reason=reason))
    return module, name.split(".")[-1]


@contextmanager
def from_here() -> Iterator[None]:
    """Let imports find modules of the present folder, as `python -m` does, and no longer than that.

    A module may import others while it runs, so this encloses all that is done with it.
    """
    before = [*sys.path]
    if not {"", os.curdir, os.getcwd()} & {*before}:
        sys.path.insert(0, os.getcwd())  # Python remembers where "." was first
    try:
        yield
    finally:
        sys.path[:] = before


def timm_models(timm: Any) -> Any:
    """Return where timm keeps the functions that make its models."""
    return importlib.import_module(f"{timm.__name__}.models")


def call(maker: Any, what: str, arguments: Mapping[str, object]) -> Any:
    """Call what makes a module.

    Raises:
        ImportingError: it can't be called so, or fails.
    """
    if not callable(maker):
        reason = f"is {type(maker).__name__}, and neither a module nor something that makes one"
        raise ImportingError(NoModule(what=f"`{what}`", reason=reason))
    try:
        inspect.signature(maker).bind(**arguments)
    except TypeError as error:
        reason = f"can't be called with these arguments: {error}"
        hint = "give arguments with `--arg name=value`"
        raise ImportingError(NoModule(what=f"`{what}`", reason=reason, hint=hint)) from error
    except ValueError:
        pass  # of a function in C nothing is known
    try:
        with warnings.catch_warnings(), noted():
            warnings.simplefilter("ignore")
            return maker(**arguments)
    except (Exception, SystemExit) as error:
        reason, place = f"fails with {said(error)}", place_of(error)
        raise ImportingError(NoModule(what=f"`{what}`", reason=reason, place=place)) from error


@contextmanager
def noted() -> Iterator[None]:
    """Note with which arguments modules are made, from which blocks take names for theirs."""
    original = nn.Module.__init__

    def init(module: nn.Module, *args: Any, **kwargs: Any) -> None:
        original(module, *args, **kwargs)
        frame: FrameType | None = sys._getframe(1)
        given: dict[str, Any] = {}
        # the outermost `__init__` of this module is that of its class
        while frame is not None and frame.f_code.co_name == "__init__":
            code = frame.f_code
            names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
            if not names or frame.f_locals.get(names[0]) is not module:
                break
            given = {name: frame.f_locals.get(name) for name in names[1:]}
            frame = frame.f_back
        object.__setattr__(module, MADE_WITH, given)

    with replaced("__init__", init):
        yield


def require_numbers(module: nn.Module, inputs: Sequence[object]) -> None:
    """Refuse what comes in and is no tensor, and parameters that wait for a first input.

    Raises:
        ImportingError: there is such a thing.
    """
    what = f"`{type(module).__name__}`"
    for number, one in enumerate(inputs):
        if not isinstance(one, torch.Tensor):
            reason = f"is to be run on tensors, and input {number + 1} is {type(one).__name__}"
            hint = "give a tensor, or a list of them, as `torch.randn(2, 3, 224, 224)`"
            raise ImportingError(NoModule(what=what, reason=reason, hint=hint))
    held = [*module.named_parameters(), *module.named_buffers()]
    lazy = next((name for name, one in held if is_lazy(one)), None)
    if lazy is not None:
        reason = f"has a parameter without a shape, `{lazy}`, which its first input gives it"
        hint = (
            "run it on an input before, or give the layer its sizes (`nn.Linear` for `LazyLinear`)"
        )
        raise ImportingError(NoModule(what=what, reason=reason, hint=hint))


def random_inputs(
    module: nn.Module, shapes: Sequence[tuple[int, ...]], batch: int
) -> tuple[torch.Tensor, ...]:
    """Return random inputs where a module's parameters are: of floats, or of indices.

    Indices are given where the first layer of the module looks something up.
    """
    first = next(module.parameters(), None)
    device = first.device if first is not None else torch.device("cpu")
    table = next((one for one in module.modules() if isinstance(one, nn.Embedding)), None)
    found: list[torch.Tensor] = []
    generator = torch.Generator().manual_seed(0)
    for shape in shapes:
        if table is not None and len(shape) == 1:
            most = table.num_embeddings
            tensor = torch.randint(0, most, (batch, *shape), generator=generator)
        else:
            tensor = torch.randn((batch, *shape), generator=generator)
        found.append(tensor.to(device))
    return tuple(found)


def said(error: BaseException) -> str:
    """Say an exception in one line."""
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def nearest(name: str, home: Any) -> str:
    """Return a hint at a name that is much like one."""
    from difflib import get_close_matches

    close = get_close_matches(name, [one for one in dir(home) if not one.startswith("_")], n=1)
    return f"; did you mean `{close[0]}`?" if close else ""


def in_order(module: nn.Module, names: Sequence[str]) -> list[int]:
    """Return which of the inputs that have these names comes first, and which then.

    Names are those of `forward`'s parameters, or others ("" where none is given), which say
    nothing of the order.

    Raises:
        ImportingError: names of parameters, which stand at other places, are mixed with others,
            or one that stands before them is missing.
    """
    try:
        asked = [*inspect.signature(module.forward).parameters]
    except (TypeError, ValueError):
        asked = []
    places = [asked.index(name) if name in asked else -1 for name in names]
    if all(place in (-1, number) for number, place in enumerate(places)):
        return [*range(len(names))]
    order = sorted(range(len(names)), key=lambda number: places[number])
    if [places[number] for number in order] == [*range(len(names))]:
        return order
    number, place = next(pair for pair in enumerate(places) if pair[1] != -1 and pair[1] != pair[0])
    reason = (
        f"takes {', '.join(f'`{name}`' for name in asked[: place + 1])} in this order, and "
        f"`{names[number]}` is given as input {number + 1}"
    )
    hint = "give all inputs up to the last one, each by the name that `forward` has for it"
    raise ImportingError(NoModule(what=f"`{type(module).__name__}`", reason=reason, hint=hint))
