"""Runs the generated text, so that what is tested is what is written."""

from __future__ import annotations

import linecache
import sys
from hashlib import sha256
from types import ModuleType
from typing import Any

import torch
from torch import nn

from archdsl.backends.python_source import PythonSource, generate
from archdsl.backends.torch_module.devices import check_room, device_of, dtype_of
from archdsl.graph import CheckedGraph


def torch_module(
    checked: CheckedGraph,
    source: PythonSource | None = None,
    *,
    device: str | torch.device | None = "cpu",
    dtype: str | torch.dtype | None = None,
    channels_last: bool = False,
) -> nn.Module:
    """Return the network as a module, made by running its generated source.

    Args:
        source: what it is made from, if it was generated already.
        device: where its parameters are; "meta" allocates nothing, None takes what there is.
        dtype: of its parameters; float32 unless given.
        channels_last: whether the weights of two-dimensional convolutions lie so in memory.

    Raises:
        CompileError: it can't be written as a module.
        TorchError: the device isn't there, or has too little memory.
    """
    source = source or generate(checked)
    place, kind = device_of(device), dtype_of(dtype)
    check_room(checked, place, kind)
    network = class_of(source)
    with place:
        module: nn.Module = network()
    module = module.to(dtype=kind)
    if channels_last:
        for parameter in module.parameters():
            if parameter.dim() == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return module


def class_of(source: PythonSource) -> Any:
    """Run a generated file and return the class of the network."""
    digest = sha256(source.text.encode()).hexdigest()[:16]
    name = f"archdsl_generated_{digest}"
    module = sys.modules.get(name)
    if module is None:
        module = _run(name, source.text)
        # pickle, torch.compile and inspect look a class up by the module that it says it is from
        sys.modules[name] = module
    return getattr(module, source.network)


def _run(name: str, text: str) -> ModuleType:
    """Run text as a module of that name; tracebacks show its lines."""
    path = f"<{name}.py>"
    module = ModuleType(name)
    module.__file__ = path
    # as torch.fx does for its generated code: an entry without time is never checked against a file
    linecache.cache[path] = (len(text), None, text.splitlines(keepends=True), path)
    exec(compile(text, path, "exec", dont_inherit=True), module.__dict__)
    return module
