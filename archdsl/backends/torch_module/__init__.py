"""Networks as modules of torch: made, run, compared, given weights. Imports torch."""

from __future__ import annotations

from archdsl.backends.torch_module.building import torch_module
from archdsl.backends.torch_module.comparing import ParameterComparison, compare_parameters
from archdsl.backends.torch_module.problems import TorchError
from archdsl.backends.torch_module.running import Run, run_once

__all__ = [
    "ParameterComparison",
    "Run",
    "TorchError",
    "compare_parameters",
    "run_once",
    "torch_module",
]
