"""OpenVINO, which runs the network as ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from archdsl.backends.optimizing.engines.base import Engine, Place, Runs
from archdsl.backends.optimizing.engines.onnxruntime import OnnxRuns, OnnxRuntime, as_onnx
from archdsl.backends.optimizing.program import Program


class OpenVino(Engine):
    """Runs the program as ONNX, on a CPU, in float32 or bfloat16.

    Not in integers of 8 bits: of some networks that onnxruntime quantized, with a Sigmoid or a
    concatenation, its 2026.4 gives other outputs than onnxruntime, and where not it is no faster.
    """

    name = "openvino"
    needs = (*OnnxRuntime.needs, ("openvino", "pip install openvino"))

    def is_not_for(self, place: Place) -> str:
        usable = place.device.type == "cpu" and place.dtype in (torch.float32, torch.bfloat16)
        return "" if usable else "is used on a CPU and in float32 or bfloat16"

    def made(self, program: Program, place: Place, inputs: Sequence[torch.Tensor]) -> Runs:
        import openvino

        data = as_onnx(program, place._replace(dtype=torch.float32))
        core = openvino.Core()
        kind = {torch.float32: "f32", torch.bfloat16: "bf16"}[place.dtype]
        given = {
            "INFERENCE_NUM_THREADS": torch.get_num_threads(), "INFERENCE_PRECISION_HINT": kind,
            "PERFORMANCE_HINT": "LATENCY",
        }  # fmt: skip
        compiled = core.compile_model(core.read_model(data, b""), "CPU", given)

        def run(*given: torch.Tensor) -> Any:
            arrays = [each.float().numpy() if each.is_floating_point() else each.numpy()
                      for each in given]  # fmt: skip
            found = compiled(arrays)
            return [torch.from_numpy(array.copy()) for array in found.values()]

        return OnnxRuns(data, run)
