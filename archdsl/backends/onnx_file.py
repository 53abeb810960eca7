"""Writes a network for other programs: ONNX, torch.export's .pt2, safetensors."""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from archdsl.backends.torch_module.running import chosen_sizes, named, random_inputs
from archdsl.graph import CheckedGraph
from archdsl.layers.sizes import Formula
from archdsl.output import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator

TOLERANCE = 1e-4
BATCH = 2  # an axis of one is taken for fixed by torch.export


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that was written, and how its program compares with torch.

    Attributes:
        difference: the largest of any output, relative to the largest value of that output.
        inputs, outputs: names in the file.
    """

    path: str
    difference: float
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether the program gives what torch gives."""
        return self.difference <= TOLERANCE


def export_onnx(module: nn.Module, checked: CheckedGraph, path: str | Path) -> Exported:
    """Write a network as ONNX, for evaluation, and compare onnxruntime with torch.

    The batch size stays open, and so do free sizes.

    Raises:
        OSError: the file can't be written.
    """
    import onnx
    import onnxruntime

    inputs = _inputs(module, checked)
    names = [output.name for output in checked.outputs if not output.training_only]
    with _evaluating(module), tempfile.TemporaryDirectory() as folder:
        expected = named(checked, module(*inputs.values()), False)
        file = os.path.join(folder, "model.onnx")
        program = torch.onnx.export(
            module,
            tuple(inputs.values()),
            input_names=list(inputs),
            output_names=names,
            dynamic_shapes=_dynamic(checked),
            dynamo=True,
            verbose=False,
        )
        assert program is not None
        program.save(file, external_data=False)
        onnx.checker.check_model(file, full_check=True)
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        given = {name: tensor.cpu().numpy() for name, tensor in inputs.items()}
        found = session.run(names, given)
        write_whole(path, Path(file).read_bytes())
    tensors = [torch.from_numpy(array) for array in found]
    return Exported(str(path), _difference(expected, tensors), tuple(inputs), tuple(names))


def export_pt2(module: nn.Module, checked: CheckedGraph, path: str | Path) -> Exported:
    """Write a network with torch.export, for evaluation, and compare it with itself when read.

    Raises:
        OSError: the file can't be written.
    """
    inputs = _inputs(module, checked)
    with _evaluating(module), tempfile.TemporaryDirectory() as folder:
        expected = named(checked, module(*inputs.values()), False)
        plain = _Plain(module)
        program = torch.export.export(
            plain, tuple(inputs.values()), dynamic_shapes=(tuple(_dynamic(checked)),)
        )
        file = os.path.join(folder, "model.pt2")
        torch.export.save(program, file)
        found = torch.export.load(file).module()(*inputs.values())
        write_whole(path, Path(file).read_bytes())
    return Exported(str(path), _difference(expected, found), tuple(inputs), tuple(expected))


def save_weights(module: nn.Module, path: str | Path) -> None:
    """Write the parameters and buffers of a network as safetensors.

    Raises:
        OSError: the file can't be written.
    """
    from safetensors.torch import save

    tensors = {name: tensor.contiguous() for name, tensor in module.state_dict().items()}
    write_whole(path, save(tensors, metadata={"format": "pt"}))


class _Plain(nn.Module):
    """Gives the outputs of a network as a plain tuple, which every reader of a file knows."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        result: Any = self.network(*inputs)
        return (result,) if isinstance(result, torch.Tensor) else tuple(result)


def _inputs(module: nn.Module, checked: CheckedGraph) -> dict[str, torch.Tensor]:
    parameter = next(module.parameters(), torch.empty(0))
    sizes = chosen_sizes(checked)
    return random_inputs(checked, parameter.device, parameter.dtype, sizes, BATCH)


def _dynamic(checked: CheckedGraph) -> list[Mapping[int, Any]]:
    """Return which axes of each input stay open: the batch, and free sizes."""
    open_axes: list[Mapping[int, Any]] = []
    for shape in checked.inputs.values():
        free = [axis for axis, size in enumerate(shape, 1) if isinstance(size, Formula)]
        open_axes.append(dict.fromkeys([0, *free], torch.export.Dim.DYNAMIC))
    return open_axes


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode for a while, and keep the exporter quiet."""
    before = module.training
    level = logging.getLogger("torch.onnx").level
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    module.eval()
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        module.train(before)
        logging.getLogger("torch.onnx").setLevel(level)


def _difference(expected: Mapping[str, torch.Tensor], found: Any) -> float:
    """Return the largest relative difference of any output."""
    worst = 0.0
    for ours, theirs in zip(expected.values(), found, strict=True):
        if ours.numel():
            most = max(float(ours.abs().max()), 1e-6)
            worst = max(worst, float((ours.cpu() - theirs.cpu()).abs().max()) / most)
    return worst
