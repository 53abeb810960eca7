"""What an engine is: something that runs a program after the passes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, ClassVar

import torch
from torch import nn

from archdsl.backends.optimizing.calibration import Calibration
from archdsl.backends.optimizing.program import Program
from archdsl.backends.torch_module.building import torch_module
from archdsl.records import Record

# Gives the outputs of a network, as its module does, of its inputs in order.
Runs = Callable[..., Any]


class EngineFailed(Exception):
    """An engine that can't do what it is asked for. The text completes "the engine `x` ..."."""


class Place(Record):
    """Where a network is to run, and in which kind of numbers.

    Attributes:
        calibration: with what it is led to integers of 8 bits, if it is to be; `dtype` is the kind
            of what stays floats then.
    """

    device: torch.device
    dtype: torch.dtype
    calibration: Calibration | None = None


class Engine(ABC):
    """Runs programs.

    Attributes:
        name: by which users choose it.
        needs: modules that it imports, with what to install for them.
        passes: those of the passes that are for this engine alone.
        tried: whether `auto` tries it; not what takes a minute to get ready.
        quantizes: whether it computes in integers of 8 bits where there is a calibration.
    """

    name: ClassVar[str]
    needs: ClassVar[Sequence[tuple[str, str]]] = ()
    passes: ClassVar[Sequence[str]] = ()
    tried: ClassVar[bool] = True
    quantizes: ClassVar[bool] = False

    def is_not_for(self, place: Place) -> str:
        """Say why it isn't for that place, whatever is installed; "" if it is."""
        return ""

    def lacks(self, place: Place) -> str:
        """Say what is missing for it, or why it isn't for that place; "" if it can be used."""
        if place.calibration and not self.quantizes:
            return "computes in floats alone, and not in integers of 8 bits"
        if reason := self.is_not_for(place):
            return reason
        for module, install in self.needs:
            if find_spec(module) is None:
                return f"needs {module}, which is not installed: {install}"
        return ""

    def passes_for(self, place: Place) -> Sequence[str]:
        """Return those of its own passes that are right for the numbers of a place."""
        return self.passes

    @abstractmethod
    def made(self, program: Program, place: Place, inputs: Sequence[torch.Tensor]) -> Runs:
        """Return what runs a program.

        Args:
            inputs: some that it will be run on.

        Raises:
            EngineFailed: it can't run it.
        """


def module_of(program: Program, place: Place) -> nn.Module:
    """Return the module of a program, with its weights, in evaluation mode."""
    module = torch_module(program.checked, device="meta", dtype=place.dtype).eval()
    weights = {
        name: tensor.to(place.device, place.dtype if tensor.is_floating_point() else tensor.dtype)
        for name, tensor in program.weights.items()
    }
    module.load_state_dict(weights, assign=True)
    module.requires_grad_(False)
    # constants that no state_dict holds have been made nowhere so far
    if any(buffer.is_meta for buffer in module.buffers()):
        made = torch_module(program.checked, device=place.device, dtype=place.dtype).eval()
        made.load_state_dict(weights)
        return made.requires_grad_(False)
    for layer in module.modules():
        for parameter in layer.parameters(recurse=False):
            if parameter.dim() == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return module


def channels_last(inputs: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
    """Return images as convolutions are fastest with: channels last in memory."""
    return [
        each.contiguous(memory_format=torch.channels_last) if each.dim() == 4 else each
        for each in inputs
    ]
