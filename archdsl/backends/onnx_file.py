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

from archdsl.backends.torch_module.problems import CannotExport, TorchError
from archdsl.backends.torch_module.running import chosen_sizes, named, random_inputs
from archdsl.diagnostics import printable
from archdsl.graph import CheckedGraph
from archdsl.layers.sizes import Formula
from archdsl.output import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator

# How far the outputs may be apart, relative to the largest.
TOLERANCES = {torch.float16: 1e-2, torch.bfloat16: 1e-1}
TOLERANCE = 1e-4
BATCH = 2  # an axis of one is taken for fixed by torch.export


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that was written, whose program gives what torch gives.

    Attributes:
        difference: the largest of any output, relative to the largest value of that output.
        inputs, outputs: names in the file.
    """

    path: str
    difference: float
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def export_onnx(module: nn.Module, checked: CheckedGraph, path: str | Path) -> Exported:
    """Write a network as ONNX, for evaluation, and compare onnxruntime with torch.

    The batch size stays open, and so do free sizes.

    Raises:
        TorchError: it can't be written as ONNX, or onnxruntime doesn't give what torch gives.
        OSError: the file can't be written.
    """
    import onnx
    import onnxruntime

    _require_numbers(module, "ONNX")
    inputs = _inputs(module, checked)
    names = [output.name for output in checked.outputs if not output.training_only]
    with _evaluating(module), tempfile.TemporaryDirectory() as folder:
        expected = named(checked, module(*inputs.values()), False)
        file = os.path.join(folder, "model.onnx")
        try:
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
        except OSError:
            raise
        except Exception as error:  # the exporter, the checker and onnxruntime have their own kinds
            raise _cannot(module, "ONNX", str(error)) from error
        tensors = [torch.from_numpy(array) for array in found]
        difference = _compared(module, "ONNX", expected, tensors)
        write_whole(path, Path(file).read_bytes())
    return Exported(str(path), difference, tuple(inputs), tuple(names))


def export_pt2(module: nn.Module, checked: CheckedGraph, path: str | Path) -> Exported:
    """Write a network with torch.export, for evaluation, and compare it with itself when read.

    Raises:
        TorchError: torch.export can't follow it, or what is read gives something else.
        OSError: the file can't be written.
    """
    _require_numbers(module, "torch.export")
    inputs = _inputs(module, checked)
    with _evaluating(module), tempfile.TemporaryDirectory() as folder:
        expected = named(checked, module(*inputs.values()), False)
        plain = _Plain(module)
        file = os.path.join(folder, "model.pt2")
        try:
            program = torch.export.export(
                plain, tuple(inputs.values()), dynamic_shapes=(tuple(_dynamic(checked)),)
            )
        except Exception as error:  # whatever a layer of a user's own raises under tracing
            raise _cannot(module, "torch.export", str(error)) from error
        torch.export.save(program, file)
        found = torch.export.load(file).module()(*inputs.values())
        difference = _compared(module, "torch.export", expected, found)
        write_whole(path, Path(file).read_bytes())
    return Exported(str(path), difference, tuple(inputs), tuple(expected))


def save_weights(module: nn.Module, path: str | Path) -> None:
    """Write the parameters and buffers of a network as safetensors.

    Raises:
        TorchError: the network is on the meta device.
        OSError: the file can't be written.
    """
    from safetensors.torch import save

    _require_numbers(module, "safetensors")
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


def _require_numbers(module: nn.Module, form: str) -> None:
    if any(tensor.is_meta for tensor in module.state_dict().values()):
        hint = "use `--device cpu`"
        reason = "on the meta device it has no numbers"
        raise TorchError([CannotExport(span=None, form=form, reason=reason, hint=hint)])


def _cannot(module: nn.Module, form: str, said: str) -> TorchError:
    """Say why a file can't be made, by the first line of what the exporter says."""
    kind = next((tensor.dtype for tensor in module.parameters()), torch.float32)
    hint = "" if kind == torch.float32 else "every layer can be exported in float32"
    reason = printable(said.strip().partition("\n")[0], 300)
    return TorchError([CannotExport(span=None, form=form, reason=reason, hint=hint)])


def _compared(
    module: nn.Module, form: str, expected: Mapping[str, torch.Tensor], found: Any
) -> float:
    """Return how far the outputs of a program are from torch's, which must be little."""
    kind = next((tensor.dtype for tensor in module.parameters()), torch.float32)
    difference = _difference(expected, found)
    if not difference <= TOLERANCES.get(kind, TOLERANCE):  # NaN is no agreement
        raise _cannot(module, form, f"its outputs differ from torch's by {difference:.1e}")
    return difference


def _difference(expected: Mapping[str, torch.Tensor], found: Any) -> float:
    """Return the largest relative difference of any output."""
    worst = 0.0
    for ours, theirs in zip(expected.values(), found, strict=True):
        if ours.numel():
            # true and false have no difference, and those of integers would wrap
            here, there = ours.cpu().double(), theirs.cpu().double()
            most = max(float(here.abs().max()), 1e-6)
            worst = max(worst, float((here - there).abs().max()) / most)
    return worst
