"""Torch with CUDA graphs: all that a forward pass does on a GPU is launched at once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import torch

from archdsl.backends.optimizing.engines.base import (
    EngineFailed,
    Place,
    Runs,
    channels_last,
    module_of,
)
from archdsl.backends.optimizing.engines.eager import Eager
from archdsl.backends.optimizing.program import Program

MOST = 8  # graphs that are kept, each with the memory of its activations
WARM = 3  # runs before one is captured, in which libraries choose their kernels

# What a capture gives: what launches it again, and the tensors into which that writes.
Launch = tuple[Callable[[], None], Sequence[torch.Tensor]]


class Graphs(Eager):
    """Runs the module as a CUDA graph for each combination of input sizes."""

    name = "graphs"

    def is_not_for(self, place: Place) -> str:
        on_gpu = place.device.type == "cuda"
        return "" if on_gpu else f"is for a GPU with CUDA, and not for {place.device}"

    def made(self, program: Program, place: Place, inputs: Sequence[torch.Tensor]) -> Runs:
        runs = Captured(module_of(program, place), captured)
        try:
            with torch.no_grad():
                runs(*inputs)
        except RuntimeError as error:  # of torch: what can't be captured, or too little memory
            raise EngineFailed(f"fails: {' '.join(str(error).split())[:300]}") from error
        return runs


class Captured:
    """Runs some work as it was captured for inputs of the same shapes, kinds and device.

    Of the latest `MOST` the captures are kept. Results are copies, which stay as they are when it
    runs again.
    """

    def __init__(
        self, work: Runs, capture: Callable[[Runs, Sequence[torch.Tensor]], Launch]
    ) -> None:
        self.work, self.capture = work, capture
        self.kept: OrderedDict[object, tuple[Sequence[torch.Tensor], Launch]] = OrderedDict()

    def __call__(self, *given: torch.Tensor) -> Any:
        key = tuple([(each.shape, each.dtype, each.device) for each in given])
        if key not in self.kept:
            own = [each.clone() for each in channels_last(given)]
            self.kept[key] = own, self.capture(self.work, own)
            if len(self.kept) > MOST:
                self.kept.popitem(last=False)
        self.kept.move_to_end(key)
        inputs, (launch, outputs) = self.kept[key]
        for into, each in zip(inputs, given, strict=True):
            into.copy_(each)
        launch()
        return [each.clone() for each in outputs]


def captured(work: Runs, inputs: Sequence[torch.Tensor]) -> Launch:
    """Capture some work on a GPU, on inputs that stay where they are."""
    cuda: Any = torch.cuda  # parts of which torch declares no types for
    aside = cuda.Stream()
    aside.wait_stream(cuda.current_stream())
    with cuda.stream(aside):
        for _ in range(WARM):
            work(*inputs)
    cuda.current_stream().wait_stream(aside)
    graph = cuda.CUDAGraph()
    with cuda.graph(graph):
        found = work(*inputs)
    return graph.replay, [found] if isinstance(found, torch.Tensor) else [*found]
