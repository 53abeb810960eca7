"""Where a network is made and run, and whether there is room for it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import torch

from archdsl.analysis.cost import cost
from archdsl.analysis.memory import memory
from archdsl.backends.formulas import in_bytes
from archdsl.backends.torch_module.errors import NoDevice, SizeNotGiven, TooLarge, TorchError
from archdsl.graph import CheckedGraph
from archdsl.layers.sizes import substitute

MEMORY = Path("/proc/meminfo")  # of Linux

DTYPES = {
    "float64": torch.float64,
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


def device_of(device: str | torch.device | None) -> torch.device:
    """Return a device of this machine; the GPU if there is one and none is asked for.

    Raises:
        TorchError: it isn't there.
    """
    if device is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    name = str(device)
    kind, _, number = name.partition(":")
    if not re.fullmatch("(cpu|cuda|mps|meta)(:[0-9]{1,3})?", name):
        raise _no_device(name, "there are cpu, cuda, cuda:0, cuda:1, ..., mps and meta")
    if kind == "cuda" and not torch.cuda.is_available():
        raise _no_device(name, "torch sees no CUDA GPU")
    if kind == "cuda" and number and int(number) >= torch.cuda.device_count():
        raise _no_device(name, f"there are {torch.cuda.device_count()} GPUs, the first is cuda:0")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise _no_device(name, "torch sees no Apple GPU")
    return torch.device(name)


def _no_device(name: str, reason: str) -> TorchError:
    return TorchError(NoDevice(device=name, reason=reason))


def dtype_of(dtype: str | torch.dtype | None) -> torch.dtype:
    """Return a type of floating-point numbers by its name.

    Raises:
        ValueError: there is none of that name.
    """
    if isinstance(dtype, torch.dtype):
        return dtype
    if dtype is not None and dtype not in DTYPES:
        raise ValueError(f"there is no dtype {dtype!r}: there are {', '.join(DTYPES)}")
    return DTYPES[dtype or "float32"]


def check_room(checked: CheckedGraph, device: torch.device, dtype: torch.dtype) -> None:
    """Refuse to make a network whose parameters, buffers and constants don't fit.

    Raises:
        TorchError: they don't; the sentence says how much memory they would take.
    """
    if device.type == "meta":
        return
    # made as float32, then converted one by one
    table = memory(checked, cost(checked), max(4, dtype.itemsize))
    needed = [size for size in (table.parameters, table.buffers) if isinstance(size, int)]
    _require(f"making `{checked.name}`", sum(needed), device, checked)


def check_room_to_run(
    checked: CheckedGraph,
    device: torch.device,
    dtype: torch.dtype,
    sizes: dict[str, int],
    batch: int,
    training: bool,
) -> None:
    """Refuse to run a network whose activations don't fit.

    Raises:
        TorchError: they don't, or the network is on the meta device.
    """
    table = memory(checked, cost(checked), dtype.itemsize)
    held = substitute(table.training, sizes)
    peak = held if training or table.peak is None else substitute(table.peak, sizes)
    parameters = substitute(table.parameters, sizes)
    if not isinstance(peak, int) or not isinstance(parameters, int):
        names = tuple(sorted({name for shape in checked.inputs.values() for name in _free(shape)}))
        raise TorchError(SizeNotGiven(names=names, reason="they are free"))
    # gradients take as much again as what they belong to
    factor = 2 if training else 1
    # the parameters themselves are there already
    needed = factor * batch * peak + (factor - 1) * parameters
    _require(f"running `{checked.name}` with a batch of {batch}", needed, device, checked)


def _free(shape: tuple[object, ...]) -> set[str]:
    return {name for size in shape for name in getattr(size, "names", ())}


def _require(doing: str, needed: int, device: torch.device, checked: CheckedGraph) -> None:
    there = available(device)
    if there is not None and needed > there:
        takes, free = in_bytes(needed), in_bytes(there)
        raise TorchError(TooLarge(checked.span, doing=doing, needed=takes, there=free))


def available(device: torch.device) -> int | None:
    """Return how many bytes are free on a device, or None if that isn't known."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "meta":
        return None
    try:
        # What files keep in the page cache is given up for whoever needs it, so it counts as free;
        # SC_AVPHYS_PAGES leaves it out, which is most of the memory after some reading.
        if found := re.search(r"^MemAvailable: +(\d+) kB$", MEMORY.read_text(), re.MULTILINE):
            return int(found[1]) * 1024
    except OSError:  # no Linux
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return None
