"""Torch with the operations of oneDNN that join a convolution with what follows it, on a CPU."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from archdsl.backends.optimizing.engines.base import EngineFailed, Place, Runs
from archdsl.backends.optimizing.engines.eager import Eager
from archdsl.backends.optimizing.program import Program


class Native(Eager):
    """Runs the module in which convolutions are joined with what follows them.

    Those operations are private to torch: whether they are there, and compute the same, is found
    out when it is made.
    """

    name = "native"
    passes = ("clamping", "appending", "joining", "merging")

    def is_not_for(self, place: Place) -> str:
        if place.device.type != "cpu":
            return f"is for a CPU, and not for {place.device}"
        if place.dtype not in (torch.float32, torch.bfloat16):
            return "computes in float32 or bfloat16"
        operations = hasattr(torch.ops.mkldnn, "_convolution_pointwise")
        layout = hasattr(torch.ops.aten, "mkldnn_reorder_conv2d_weight")
        if not (operations and layout):
            return f"needs operations of oneDNN that torch {torch.__version__} doesn't have here"
        if place.dtype == torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
            return "can't compute in bfloat16 on this processor, which has no AVX-512"
        return ""

    def made(self, program: Program, place: Place, inputs: Sequence[torch.Tensor]) -> Runs:
        runs = super().made(program, place, inputs)
        try:
            with torch.no_grad():
                runs(*inputs)
        except (RuntimeError, TypeError) as error:
            raise EngineFailed(f"fails: {' '.join(str(error).split())[:300]}") from error
        return runs
