"""Runs the generated text, so that what is tested is what is written."""

from __future__ import annotations

import copyreg
import linecache
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec
from inspect import signature
from pickle import UnpicklingError
from types import FrameType, ModuleType
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from archdsl.backends.python_source import PythonSource, generate
from archdsl.backends.torch_module.devices import check_room, device_of, dtype_of
from archdsl.backends.torch_module.errors import NoPackage, OlderTorch, TorchError
from archdsl.graph import CheckedGraph
from archdsl.layers.base import TorchModule

# Methods of tensors that fill them.
FILLS = ("uniform_", "normal_", "fill_", "zero_")


def torch_module(
    checked: CheckedGraph,
    source: PythonSource | None = None,
    *,
    device: str | torch.device | None = "cpu",
    dtype: str | torch.dtype | None = None,
    channels_last: bool = False,
    drawn: bool = True,
) -> nn.Module:
    """Return the network as a module, made by running its generated source.

    Args:
        source: what it is made from, if it was generated already.
        device: where its parameters are; "meta" allocates nothing, None takes what there is.
        dtype: of its parameters; float32 unless given.
        channels_last: whether the weights of two-dimensional convolutions lie so in memory.
        drawn: whether parameters get their first values; without, there is anything in them.

    Raises:
        CompileError: it can't be written as a module.
        TorchError: the device isn't there, or has too little memory.
    """
    source = source or generate(checked)
    place, kind = device_of(device), dtype_of(dtype)
    check_room(checked, place, kind)
    if absent := list(_absent(checked)):
        raise TorchError(*absent)
    network = class_of(source)
    try:
        # made where it is to be, without a copy elsewhere
        with place, nullcontext() if drawn else _Undrawn():
            module: nn.Module = network()
    except (TypeError, AttributeError) as error:
        if lacking := list(_lacking(checked)):
            raise TorchError(*lacking) from error
        raise
    module = module.to(dtype=kind)
    if channels_last:
        for parameter in module.parameters():
            if parameter.dim() == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return module


class _Undrawn(TorchFunctionMode):
    """Leaves parameters as they are where their first values would be filled in.

    Drawing these takes most of the time in which a network is made. What is no parameter, such as
    a buffer that no state_dict holds, gets its values.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        given = kwargs or {}
        filled = args[0] if args else given.get("tensor")
        home, name = getattr(func, "__module__", ""), getattr(func, "__name__", "")
        fills = (home == "torch.nn.init" and name.endswith("_")) or name in FILLS
        if fills and isinstance(filled, nn.Parameter):
            return filled
        return func(*args, **given)


def _absent(checked: CheckedGraph) -> Iterator[NoPackage]:
    """Yield the packages that the network's modules come from and that aren't installed."""
    seen: set[str] = set()
    for node in checked.nodes.values():
        facts = node.facts.torch
        if not isinstance(facts, TorchModule):
            continue
        package, dot, _ = facts.target.partition(".")
        if not dot or package in ("nn", *seen):
            continue
        seen.add(package)
        known = sys.modules[package] if package in sys.modules else find_spec(package)
        if known is None:
            yield NoPackage(node.span, layer=node.type, package=package)


def _lacking(checked: CheckedGraph) -> Iterator[OlderTorch]:
    """Yield what the network takes of torch that the installed version doesn't have."""
    seen: set[str] = set()
    for node in checked.nodes.values():
        facts = node.facts.torch
        if not isinstance(facts, TorchModule) or not facts.target.startswith("nn."):
            continue
        kind = getattr(nn, facts.target.removeprefix("nn."), None)
        known = signature(kind).parameters if kind else {}
        lacks = [
            f"argument `{name}` in `{facts.target}`" for name in facts.keywords if name not in known
        ]
        for text in lacks if kind else [f"`{facts.target}`"]:
            if text not in seen:
                seen.add(text)
                yield OlderTorch(node.span, version=torch.__version__, lacks=text)


def class_of(source: PythonSource) -> Any:
    """Run a generated file and return the class of the network."""
    return getattr(module_of(source.text), source.network)


def module_of(text: str) -> ModuleType:
    """Run the text of a generated file, unless it was run before, and return it as a module."""
    name = f"archdsl_generated_{sha256(text.encode()).hexdigest()[:16]}"
    if name not in sys.modules:
        module = _run(name, text)
        make_picklable(module, text)
        # torch.compile and inspect look a class up by the module that it says it is from
        sys.modules[name] = module
    return sys.modules[name]


def _run(name: str, text: str) -> ModuleType:
    """Run text as a module of that name; tracebacks show its lines."""
    path = f"<{name}.py>"
    module = ModuleType(name)
    module.__file__ = path
    # as torch.fx does for its generated code: an entry without time is never checked against a file
    linecache.cache[path] = (len(text), None, text.splitlines(keepends=True), path)
    exec(compile(text, path, "exec", dont_inherit=True), module.__dict__)
    return module


def make_picklable(module: ModuleType, text: str) -> None:
    """Have instances of the classes of a generated file pickled with its text.

    A pickle holds the names of classes alone, and the process that reads it has not compiled the
    network. All instances share the text, so a pickle has it once.
    """
    for kind in vars(module).values():
        if isinstance(kind, type) and kind.__module__ == module.__name__:
            copyreg.pickle(kind, partial(_reduced, text))


def _reduced(text: str, instance: object) -> Any:
    """Return what pickle is to keep of an instance: as ever, but the class by text and name."""
    # it stands beside the package where that is installed, and in archdsl/beside/ here
    beside = import_module("install_archdsl_or_use_its_source_file")
    usual: Any = instance.__reduce_ex__(4)
    if isinstance(usual, str) or usual[0] is not vars(copyreg)["__newobj__"]:
        return usual  # its class has a way of its own
    (kind, *values), *state = usual[1:]
    return (beside.instance_of_generated_class, (text, kind.__qualname__, *values), *state)


def unpickled(text: str, name: str, *values: object) -> object:
    """Return a new instance of a class of a generated file, for pickle to fill in.

    Raises:
        UnpicklingError: `torch.load(weights_only=True)` called, for which somebody made this a
            safe global: what is read so never runs text.
    """
    frame: FrameType | None = sys._getframe()
    for _ in range(3):  # this function, the one that pickles name, and what reads the pickle
        if frame and frame.f_globals.get("__name__") == "torch._weights_only_unpickler":
            raise UnpicklingError(
                "it holds a module with its source text, which weights_only=True never runs: "
                "use weights_only=False if you trust the file"
            )
        frame = frame and frame.f_back
    kind = getattr(module_of(text), name)
    made: object = kind.__new__(kind, *values)
    return made
