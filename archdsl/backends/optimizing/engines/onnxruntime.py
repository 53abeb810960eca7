"""onnxruntime, which runs the network as ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from archdsl.backends.export.comparing import Refused
from archdsl.backends.export.programs import attempt, outputs_of
from archdsl.backends.optimizing.engines.base import Engine, EngineFailed, Place, Runs, module_of
from archdsl.backends.optimizing.engines.quantizing import quantized
from archdsl.backends.optimizing.program import Program


class OnnxRuntime(Engine):
    """Runs the program as ONNX, on a CPU, in float32 or integers of 8 bits."""

    name = "onnxruntime"
    needs = tuple(
        (name, "pip install 'archdsl[onnx]'") for name in ("onnx", "onnxruntime", "onnxscript")
    )

    quantizes = True

    def is_not_for(self, place: Place) -> str:
        usable = place.device.type == "cpu" and place.dtype == torch.float32
        return "" if usable else "is used on a CPU and in float32"

    def made(self, program: Program, place: Place, inputs: Sequence[torch.Tensor]) -> Runs:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 4
        data = as_onnx(program, place)
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        inside, outside = list(program.checked.inputs), names_of(program)

        def run(*given: torch.Tensor) -> Any:
            arrays = [tensor.numpy() for tensor in given]
            found = session.run(outside, dict(zip(inside, arrays, strict=True)))
            return [torch.from_numpy(array) for array in found]

        return OnnxRuns(data, run)


class OnnxRuns:
    """Runs a network that an engine was given as ONNX.

    Attributes:
        data: the network, as an .onnx file holds it.
    """

    def __init__(self, data: bytes, run: Runs) -> None:
        self.data, self.run = data, run

    def __call__(self, *given: torch.Tensor) -> Any:
        return self.run(*given)


def as_onnx(program: Program, place: Place) -> bytes:
    """Return a program as ONNX, in integers of 8 bits if there is a calibration.

    Raises:
        EngineFailed: it can't be written so.
    """
    try:
        data, _ = attempt(module_of(program, place), program.checked, "ONNX")
    except Refused as refused:
        raise EngineFailed(f"can't be given the network as ONNX: {refused}") from refused
    if place.calibration:
        return quantized(data, [*program.checked.inputs], place.calibration.ranging)
    return data


def names_of(program: Program) -> list[str]:
    """Return the names of the outputs, in order."""
    return list(outputs_of(program.checked))
