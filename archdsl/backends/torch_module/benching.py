"""Measures how long each node of a compiled network takes, in one process."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

import torch
from torch import nn

from archdsl.backends.torch_module.devices import check_room_to_run, device_of, dtype_of
from archdsl.backends.torch_module.running import chosen_sizes, indices_of, random_inputs
from archdsl.backends.torch_module.stepping import Steps, out_of_place
from archdsl.graph import CheckedGraph
from archdsl.layers.tensor import InputTensor, OwnTensor

LEAST_SECONDS = 2e-3  # that are measured at once: a clock is no finer than a fraction of that
MOST_AT_ONCE = 1_000


def measure(
    module: nn.Module,
    checked: CheckedGraph,
    moved: Mapping[str, str],
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    *,
    batch: int = 1,
    rounds: int = 5,
) -> dict[str, float]:
    """Return the seconds that each node takes at inference, by name: the median of some rounds.

    Each node runs warm and by itself, again and again on the same tensors, on random numbers. In
    all of the network layers that work in place may be faster, and caches emptier.

    Raises:
        TorchError: the device isn't there or has too little memory.
    """
    place, kind = device_of(device), dtype_of(dtype)
    values = chosen_sizes(checked)
    # every tensor is kept until the last node that reads it is measured
    check_room_to_run(checked, place, kind, values, batch, training=False)
    before = module.training
    module.eval()
    out_of_place(module)
    steps = Steps(module, checked, moved)
    last = {read: name for name, node in checked.nodes.items() for read in node.inputs}
    tensors = random_inputs(checked, place, kind, values, batch)
    found: dict[str, float] = {}
    with torch.inference_mode(), indices_of(checked):
        for name, node in checked.nodes.items():
            if isinstance(node.layer, InputTensor) or name in checked.training_only:
                continue
            run = steps.step(node, [tensors[read] for read in node.inputs], batch)
            tensors[name] = run()
            if not isinstance(node.layer, OwnTensor):
                found[name] = _median(run, place, rounds)
            for read in node.inputs:
                if last.get(read) == name:
                    tensors.pop(read, None)
    module.train(before)
    return found


def _median(run: Callable[[], object], place: torch.device, rounds: int) -> float:
    """Return how long a call takes, warm, of so many rounds the one in the middle."""
    once = _seconds(run, place, 1)
    times = min(MOST_AT_ONCE, max(1, round(LEAST_SECONDS / max(once, 1e-7))))
    _seconds(run, place, times)
    return statistics.median(_seconds(run, place, times) / times for _ in range(rounds))


def _seconds(run: Callable[[], object], place: torch.device, times: int) -> float:
    _wait(place)
    begun = time.perf_counter()
    for _ in range(times):
        run()
    _wait(place)
    return time.perf_counter() - begun


def _wait(place: torch.device) -> None:
    """Wait until a device has done what it was given."""
    if place.type == "cuda":
        torch.cuda.synchronize(place)
    elif place.type == "mps":
        torch.mps.synchronize()


def name_of(place: torch.device) -> str:
    """Return what a device is called, as far as torch knows."""
    return torch.cuda.get_device_name(place) if place.type == "cuda" else place.type


def rates(place: torch.device, kind: torch.dtype) -> tuple[float, float]:
    """Measure operations a second in a product of matrices, and bytes a second in a copy."""
    size = 1_024 if place.type == "cpu" else 8_192
    left = torch.ones(size, size, device=place, dtype=kind)
    many = torch.ones(2**24 if place.type == "cpu" else 2**28, device=place, dtype=torch.uint8)
    with torch.inference_mode():
        product = _median(lambda: left @ left, place, 9)
        copy = _median(lambda: many.clone(), place, 9)
    return 2 * size**3 / product, 2 * many.numel() / copy
