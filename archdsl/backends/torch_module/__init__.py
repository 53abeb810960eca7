"""Networks as modules of torch: made, run, compared, given weights. Imports torch."""

from __future__ import annotations

from archdsl.backends.torch_module.benching import measure, name_of, rates
from archdsl.backends.torch_module.building import torch_module
from archdsl.backends.torch_module.comparing import ParameterComparison, compare_parameters
from archdsl.backends.torch_module.devices import device_of, dtype_of
from archdsl.backends.torch_module.errors import TorchError
from archdsl.backends.torch_module.freezing import Trainable, freeze
from archdsl.backends.torch_module.running import Run, lead_back_once, run_once
from archdsl.backends.torch_module.verifying import NodeCheck, Verification, verify
from archdsl.backends.torch_module.weights import (
    FittingWeights,
    WeightReport,
    fitting_weights,
    load_weights,
)

__all__ = [
    "FittingWeights",
    "NodeCheck",
    "ParameterComparison",
    "Run",
    "TorchError",
    "Trainable",
    "Verification",
    "WeightReport",
    "compare_parameters",
    "device_of",
    "dtype_of",
    "fitting_weights",
    "freeze",
    "lead_back_once",
    "load_weights",
    "measure",
    "name_of",
    "rates",
    "run_once",
    "torch_module",
    "verify",
]
