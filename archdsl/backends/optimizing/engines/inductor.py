"""torch.compile, with weights taken for constants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from archdsl.backends.optimizing.engines.base import (
    Engine,
    EngineFailed,
    Place,
    Runs,
    channels_last,
    module_of,
)
from archdsl.backends.optimizing.program import Program


class Inductor(Engine):
    """Compiles the module; needs a C++ compiler on a CPU, and takes a minute."""

    name = "inductor"
    tried = False

    def compiled(self, module: nn.Module, place: Place) -> Any:
        """Return what compiles a module when it runs first."""
        options: dict[str, Any] = {"freezing": True}
        if place.device.type == "cuda":
            options |= {"max_autotune": True, "triton.cudagraphs": True}
        return torch.compile(module, options=options)

    def made(self, program: Program, place: Place, inputs: Sequence[torch.Tensor]) -> Runs:
        module = module_of(program, place)
        compiled = self.compiled(module, place)
        try:
            with torch.no_grad():
                compiled(*channels_last(inputs))
        except Exception as error:  # of the compiler's own kinds
            raise EngineFailed(f"fails: {' '.join(str(error).split())[:300]}") from error
        return lambda *given: compiled(*channels_last(given))
