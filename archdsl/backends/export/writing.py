"""Writes a network for other programs, or says which layer can't be written and what would do."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path

import torch
from torch import nn

from archdsl.backends.export.alone import culprit, side_by_side, with_sizes
from archdsl.backends.export.comparing import LeftOut, Refused, Shapes, dtype_of
from archdsl.backends.export.programs import attempt, outputs_of
from archdsl.backends.formulas import in_bytes
from archdsl.backends.torch_module.building import torch_module
from archdsl.backends.torch_module.errors import CannotExport, TorchError
from archdsl.backends.torch_module.running import chosen_sizes
from archdsl.diagnostics import ArchError, printable
from archdsl.graph import CheckedGraph, Node
from archdsl.layers.base import Form, LayerError
from archdsl.layers.sizes import substitute
from archdsl.output import write_whole

OTHER: dict[Form, tuple[Form, str]] = {
    "ONNX": ("torch.export", ".pt2"),
    "torch.export": ("ONNX", ".onnx"),
}
MOST_BYTES = 2**31 - 2**24  # a message of protobuf is shorter, and has the program as well


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that was written, whose program gives what torch gives.

    Attributes:
        difference: the largest of any output, relative to the largest value of that output.
        compared: the shapes of inputs for which that was looked at, with the batch, by name.
        left_out: inputs that the spec allows for which it wasn't, and why: the file refuses its
            smallest sizes where it takes for granted that a tensor has more than one place.
        inputs, outputs: their names in the spec, and in an ONNX file; in others they have an order.
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
    write_whole(path, weights_as_bytes(module.state_dict()))


def weights_as_bytes(tensors: Mapping[str, torch.Tensor], **said: str) -> bytes:
    """Return tensors as a file of safetensors holds them, with what is said of them.

    Raises:
        TorchError: they are on the meta device.
    """
    _require_installed("safetensors", "torch", "safetensors")
    _require_numbers(tensors, "safetensors")
    from safetensors.torch import save

    seen: set[int] = set()
    written: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        # the format has no two names for one tensor: what is tied is written under each
        tied = tensor.untyped_storage().data_ptr() in seen
        seen.add(tensor.untyped_storage().data_ptr())
        written[name] = tensor.clone() if tied else tensor.contiguous()
    data: bytes = save(written, metadata={"format": "pt", **said})
    return data


def _export(module: nn.Module, checked: CheckedGraph, path: str | Path, form: Form) -> Exported:
    _require_numbers(module.state_dict(), form)
    if form == "ONNX":
        _require_installed(form, "onnx", "onnx", "onnxruntime", "onnxscript")
        _require_room(module, checked)
    try:
        data, found = attempt(module, checked, form)
    except Refused as refused:
        raise TorchError(_explained(module, checked, form, str(refused))) from refused
    write_whole(path, data)
    return Exported(
        str(path),
        found.difference,
        found.shapes,
        found.left_out,
        tuple(checked.inputs),
        tuple(outputs_of(checked)),
    )


def _require_installed(form: str, extra: str, *names: str) -> None:
    """Refuse what can't be written without packages that are missing: no layer is to blame."""
    for name in names:
        try:
            import_module(name)
        except ImportError as error:
            missing = isinstance(error, ModuleNotFoundError) and error.name == name
            why = (
                "is not installed"
                if missing
                else f"can't be imported: {printable(str(error), 200)}"
            )
            hint = f"pip install 'archdsl[{extra}]'"
            raise TorchError(CannotExport(form=form, reason=f"{name} {why}", hint=hint)) from None


def _require_numbers(tensors: Mapping[str, torch.Tensor], form: str) -> None:
    if any(tensor.is_meta for tensor in tensors.values()):
        hint = "use `--device cpu`"
        reason = "on the meta device it has no numbers"
        raise TorchError(CannotExport(form=form, reason=reason, hint=hint))


def _require_room(module: nn.Module, checked: CheckedGraph) -> None:
    """Refuse before work is done what ONNX has no room or no names for."""
    bytes_ = sum(tensor.nbytes for tensor in module.state_dict().values())
    if bytes_ >= MOST_BYTES:
        reason = f"it holds less than 2 GiB, and the weights take {in_bytes(bytes_)}"
        hint = "write a .pt2 file, which holds any amount"
        raise TorchError(CannotExport(form="ONNX", reason=reason, hint=hint))
    for output in checked.outputs:
        if output.name in checked.inputs and not output.training_only:
            reason = f"an input and an output are called `{output.name}`, where a name means one"
            hint = "give the output another name, or write a .pt2 file"
            raise TorchError(CannotExport(output.span, form="ONNX", reason=reason, hint=hint))


def _explained(module: nn.Module, checked: CheckedGraph, form: Form, why: str) -> CannotExport:
    """Say which layer or label can't be written, if one can't when it stands alone."""
    told = partial(CannotExport, form=form, reason=printable(why, 300))
    if dtype_of(module) != torch.float32:
        return told(hint="every layer can be exported in float32")
    node = culprit(checked, lambda graph: bool(_refusal(graph, form)))
    if node is not None:
        return told(
            span=node.span,
            trail=node.trail,
            what=f"`{node.name}` ({node.type})",
            reason=printable(_refusal(side_by_side(checked, [node]), form) or why, 300),
            hint=_way_out(checked, node, form),
        )
    for label, node in _odd_labels(checked).items():
        if _refusal(side_by_side(checked, [node], label), form):
            first = next(one for one in checked.nodes.values() if label in one.name.split("."))
            return told(
                span=first.span,
                trail=first.trail,
                reason=f"torch's exporter fails at the label `{printable(label, 100)}`",
                hint="give it a label of letters, digits and `_` that is no word of Python",
            )
    return told(hint=_fixing(checked, form, checked))


def _odd_labels(checked: CheckedGraph) -> dict[str, Node]:
    """Return the labels at which a program could fail, and a layer to try them with.

    Programs are written as Python, in which torch's exporters put names without quotes.
    """
    labels = (label for name in checked.nodes for label in name.split("."))
    members = (
        node
        for node in checked.nodes.values()
        if node.facts.params and all(checked.nodes[read].facts.batched for read in node.inputs)
    )
    node = next(members, None)
    return {label: node for label in labels if _is_odd(label)} if node else {}


def _is_odd(label: str) -> bool:
    return keyword.iskeyword(label) or not re.fullmatch(r"[A-Za-z0-9_@-]*", label)


def _refusal(checked: CheckedGraph, form: Form) -> str:
    """Return why a network can't be written, or "" if it can, or can't be made or run at all."""
    try:
        attempt(torch_module(checked), checked, form)
    except Refused as refused:
        return str(refused)
    except ArchError:
        return ""
    return ""


def _way_out(checked: CheckedGraph, node: Node, form: Form) -> str:
    """Say what would do, as tried with the layer alone."""
    alone = side_by_side(checked, [node])
    ways: list[str] = []
    other, ending = OTHER[form]
    if not _refusal(alone, other):
        ways.append(f"write a {ending} file, which can hold it")
    if fixed := _fixing(checked, form, alone):
        ways.append(fixed)
    return ", or ".join(ways) or "a .py file can hold every layer"


def _fixing(checked: CheckedGraph, form: Form, part: CheckedGraph) -> str:
    """Say which options give all inputs a size, if a part of the network can be written so."""
    sizes = chosen_sizes(checked)
    try:
        if not sizes or _refusal(with_sizes(part, sizes), form):
            return ""
    except LayerError:
        return ""
    shapes = {
        name: [substitute(size, sizes) for size in shape] for name, shape in checked.inputs.items()
    }
    options = [f"--input {name}={'x'.join(map(str, shape))}" for name, shape in shapes.items()]
    return f"give it fixed sizes: `{' '.join(options)}`"
