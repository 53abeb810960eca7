"""Writes a network for other programs, or says which layer can't be written and what would do."""

from __future__ import annotations

import keyword
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from archdsl.backends.export.alone import culprit, side_by_side
from archdsl.backends.export.comparing import LeftOut, Refused, Shapes
from archdsl.backends.export.programs import attempt
from archdsl.backends.torch_module.building import torch_module
from archdsl.backends.torch_module.problems import CannotExport, TorchError
from archdsl.backends.torch_module.running import chosen_sizes
from archdsl.diagnostics import ArchError, printable
from archdsl.graph import CheckedGraph, Node
from archdsl.layers.base import Form
from archdsl.layers.sizes import substitute
from archdsl.output import write_whole

OTHER: dict[Form, tuple[Form, str]] = {
    "ONNX": ("torch.export", ".pt2"),
    "torch.export": ("ONNX", ".onnx"),
}


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that was written, whose program gives what torch gives.

    Attributes:
        difference: the largest of any output, relative to the largest value of that output.
        compared: the shapes of inputs for which that was looked at, with the batch, by name.
        left_out: inputs that the spec allows for which it wasn't, and why: the file refuses its
            smallest sizes where it takes for granted that a tensor has more than one place.
        inputs, outputs: names in the file.
    """

    path: str
    difference: float
    compared: tuple[Shapes, ...]
    left_out: tuple[LeftOut, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def export_onnx(module: nn.Module, checked: CheckedGraph, path: str | Path) -> Exported:
    """Write a network as ONNX, for evaluation, and compare onnxruntime with torch.

    The batch size stays open, and so do free sizes; several of each are compared.

    Raises:
        TorchError: it can't be written as ONNX, or onnxruntime doesn't give what torch gives.
        OSError: the file can't be written.
    """
    return _export(module, checked, path, "ONNX")


def export_pt2(module: nn.Module, checked: CheckedGraph, path: str | Path) -> Exported:
    """Write a network with torch.export, for evaluation, and compare it with itself when read.

    The program gives a tensor where the network does, and a plain tuple of several outputs. The
    batch size stays open, and so do free sizes; several of each are compared.

    Raises:
        TorchError: torch.export can't follow it, or what is read gives something else.
        OSError: the file can't be written.
    """
    return _export(module, checked, path, "torch.export")


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


def _export(module: nn.Module, checked: CheckedGraph, path: str | Path, form: Form) -> Exported:
    _require_numbers(module, form)
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "program.pt2")  # torch.export wants it to be called so
        try:
            found = attempt(module, checked, form, file)
        except Refused as refused:
            raise TorchError([_explained(module, checked, form, str(refused))]) from refused
        write_whole(path, Path(file).read_bytes())
    outputs = [output.name for output in checked.outputs if not output.training_only]
    return Exported(
        str(path),
        found.difference,
        found.shapes,
        found.left_out,
        tuple(checked.inputs),
        tuple(outputs),
    )


def _require_numbers(module: nn.Module, form: str) -> None:
    if any(tensor.is_meta for tensor in module.state_dict().values()):
        hint = "use `--device cpu`"
        reason = "on the meta device it has no numbers"
        raise TorchError([CannotExport(span=None, form=form, reason=reason, hint=hint)])


def _explained(module: nn.Module, checked: CheckedGraph, form: Form, why: str) -> CannotExport:
    """Say which layer can't be written, if it is one that can't when it stands alone."""
    kind = next((tensor.dtype for tensor in module.parameters()), torch.float32)
    if kind != torch.float32:
        hint = "every layer can be exported in float32"
        return CannotExport(span=None, form=form, reason=printable(why, 300), hint=hint)
    node = culprit(checked, lambda graph: bool(_refusal(graph, form)))
    if node is None:
        hint = f"give it fixed sizes: {_fixing(checked)}" if _free(checked) else ""
        labels = {label for name in checked.nodes for label in name.split(".")}
        if odd := sorted(filter(_is_odd, labels)):
            hint = f"torch's exporter fails at some names: try a plain label for `{odd[0]}`"
        return CannotExport(span=None, form=form, reason=printable(why, 300), hint=hint)
    alone = _refusal(side_by_side(checked, [node]), form) or why
    return CannotExport(
        span=node.span,
        trail=node.trail,
        form=form,
        layer=f"`{node.name}` ({node.type})",
        reason=printable(alone, 300),
        hint=_way_out(checked, node, form),
    )


def _is_odd(label: str) -> bool:
    """Tell whether a program that is written as Python could fail at the name of a module."""
    return keyword.iskeyword(label) or not re.fullmatch(r"[A-Za-z0-9_@-]*", label)


def _refusal(checked: CheckedGraph, form: Form) -> str:
    """Return why a network can't be written, or "" if it can."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            attempt(torch_module(checked), checked, form, os.path.join(folder, "program.pt2"))
        except Refused as refused:
            return str(refused)
        except ArchError:  # that it can't be made or run says nothing of the file
            return ""
    return ""


def _way_out(checked: CheckedGraph, node: Node, form: Form) -> str:
    """Say what would do, as tried with the layer alone."""
    ways: list[str] = []
    other, ending = OTHER[form]
    if not _refusal(side_by_side(checked, [node]), other):
        ways.append(f"write a {ending} file, which can hold it")
    fixed = side_by_side(checked, [node], chosen_sizes(checked))
    if _free(checked) and not _refusal(fixed, form):
        ways.append(f"give it fixed sizes: {_fixing(checked)}")
    return ", or ".join(ways) or "a .py file can hold every layer"


def _free(checked: CheckedGraph) -> bool:
    return bool(chosen_sizes(checked))


def _fixing(checked: CheckedGraph) -> str:
    """Return the options that give the inputs the sizes that were tried first."""
    sizes = chosen_sizes(checked)
    shapes = {
        name: [substitute(size, sizes) for size in shape] for name, shape in checked.inputs.items()
    }
    options = [f"--input {name}={'x'.join(map(str, shape))}" for name, shape in shapes.items()]
    return f"`{' '.join(options)}`"
