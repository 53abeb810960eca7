"""TensorRT, through torch-tensorrt, on a GPU."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch
from torch import nn

from archdsl.backends.optimizing.engines.base import Place
from archdsl.backends.optimizing.engines.inductor import Inductor


class TensorRT(Inductor):
    """Compiles the module by TensorRT, which takes minutes; what that can't do torch does."""

    name = "tensorrt"
    needs = (("torch_tensorrt", "pip install torch-tensorrt"),)

    def is_not_for(self, place: Place) -> str:
        on_gpu = place.device.type == "cuda"
        return "" if on_gpu else f"is for a GPU with CUDA, and not for {place.device}"

    def compiled(self, module: nn.Module, place: Place) -> Any:
        import_module("torch_tensorrt")  # which tells torch.compile of itself
        # typed by what the module holds: otherwise it may choose 32 bits for numbers of 16
        return torch.compile(
            module, backend="torch_tensorrt", dynamic=False, options={"use_explicit_typing": True}
        )
