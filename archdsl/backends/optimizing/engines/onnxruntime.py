"""onnxruntime, which runs the network as ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from archdsl.backends.export.comparing import Refused
from archdsl.backends.export.programs import attempt, outputs_of
from archdsl.backends.optimizing.engines.base import Engine, EngineFailed, Place, Runs, module_of
from archdsl.backends.optimizing.program import Program


class OnnxRuntime(Engine):
    """Runs the program as ONNX, on a CPU, in float32."""

    name = "onnxruntime"
    needs = tuple(
        (name, "pip install 'archdsl[onnx]'") for name in ("onnx", "onnxruntime", "onnxscript")
    )

    def lacks(self, place: Place) -> str:
        if place.device.type != "cpu" or place.dtype != torch.float32:
            return "is used on a CPU and in float32"
        return super().lacks(place)

    def made(self, program: Program, place: Place, inputs: Sequence[torch.Tensor]) -> Runs:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 4
        data = as_onnx(program, place)
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        inside, outside = list(program.checked.inputs), names_of(program)

        def runs(*given: torch.Tensor) -> Any:
            arrays = [tensor.numpy() for tensor in given]
            found = session.run(outside, dict(zip(inside, arrays, strict=True)))
            return [torch.from_numpy(array) for array in found]

        return runs


def as_onnx(program: Program, place: Place) -> bytes:
    """Return a program as ONNX.

    Raises:
        EngineFailed: it can't be written so.
    """
    try:
        return attempt(module_of(program, place), program.checked, "ONNX")[0]
    except Refused as refused:
        raise EngineFailed(f"can't be given the network as ONNX: {refused}") from refused


def names_of(program: Program) -> list[str]:
    """Return the names of the outputs, in order."""
    return list(outputs_of(program.checked))
