"""Torch itself, one layer after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch

from archdsl.backends.optimizing.engines.base import Engine, Place, Runs, channels_last, module_of
from archdsl.backends.optimizing.program import Program


class Eager(Engine):
    """Runs the module as it is compiled, with images that lie channels last."""

    name = "eager"
    passes: ClassVar[Sequence[str]] = ("clamping", "appending")

    def passes_for(self, place: Place) -> Sequence[str]:
        # `clamping` leaves it to sums to cancel out what a ReLU would cut off: not in 16 bits
        narrow = torch.finfo(place.dtype).bits < 32
        return [name for name in self.passes if name != "clamping" or not narrow]

    def made(self, program: Program, place: Place, inputs: Sequence[torch.Tensor]) -> Runs:
        module = module_of(program, place)
        if not any(parameter.dim() == 4 for parameter in module.parameters()):
            return module  # turning images takes time, and nothing convolves them
        return lambda *given: module(*channels_last(given))
