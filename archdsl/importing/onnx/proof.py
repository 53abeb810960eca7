"""Compares what was written of an ONNX file with what onnxruntime computes of the file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from archdsl.importing.inputs import doubled
from archdsl.importing.onnx.reading import OnnxFile
from archdsl.importing.proof import TOLERANCE, Proof, distance_of, tensors_of


class OnnxProof(Proof):
    """What the comparison with onnxruntime gave: of outputs, since names are not promised."""

    @property
    def same(self) -> bool:
        """Whether the spec computes what the file does; what wasn't compared isn't known to."""
        return not self.reason and max(self.distance.values()) <= TOLERANCE

    def sentence(self) -> str:
        """Say in one line what came out."""
        if self.reason:
            return f"not compared: {self.reason}"
        most = max(self.distance.values())
        if not self.same:
            return f"not the same: outputs differ from those of onnxruntime by {most:.1e}"
        if not most:
            return "the same: outputs equal those of onnxruntime"
        return f"the same: outputs within {most:.1e} of those of onnxruntime"


def prove(file: OnnxFile, module: nn.Module, runs: Sequence[tuple[torch.Tensor, ...]]) -> OnnxProof:
    """Compare a module with a file on inputs, and on twice as many samples of other numbers."""
    if not file.data:
        return OnnxProof(reason="the file and its weights are more than onnxruntime takes at once")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session: Any = onnxruntime.InferenceSession(
            file.data, options, providers=["CPUExecutionProvider"]
        )
        worst = 0.0
        for inputs in [*runs[1:], doubled(runs[0])]:
            theirs = outputs_of(session, file, inputs)
            worst = max(worst, apart(theirs, computed_by(module, inputs)))
    except Exception as error:  # onnxruntime has a kind for each of its troubles
        said = " ".join(str(error).split())[:200]
        return OnnxProof(reason=f"onnxruntime doesn't run the file: {said}")
    return OnnxProof(distance={"evaluation": worst})


def computed_by(module: nn.Module, inputs: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
    """Return what a module gives; nothing where it doesn't take so many samples."""
    with torch.no_grad():
        try:
            return tensors_of(module.eval()(*[one.clone() for one in inputs]))
        except Exception:  # whatever torch says of sizes that don't fit
            return ()


def outputs_of(session: Any, file: OnnxFile, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Return what onnxruntime gives: for a file of a batch of its own, in so many parts."""
    first = file.inputs[0].shape[0]
    size = first if isinstance(first, int) else inputs[0].shape[0]
    found: list[list[torch.Tensor]] = []
    for part in zip(*[torch.split(one, size) for one in inputs], strict=True):
        named = {
            given.name: one.numpy().astype(given.kind)
            for given, one in zip(file.inputs, part, strict=True)
        }
        found.append([torch.from_numpy(one) for one in session.run(file.outputs, named)])
    return [torch.cat(parts) for parts in zip(*found, strict=True)]


def apart(theirs: Sequence[torch.Tensor], ours: Sequence[torch.Tensor]) -> float:
    """Return by how much outputs differ, which come in the same order."""
    if len(theirs) != len(ours):
        return float("inf")
    return max(map(distance_of, theirs, ours), default=0.0)
