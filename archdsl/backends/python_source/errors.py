"""What a module of torch can't be, though the spec is sound."""

from __future__ import annotations

from archdsl.diagnostics import ArchError, Diagnostic
from archdsl.graph import Node


class CompileError(ArchError, ValueError):
    """A network that can't be written as a torch module."""


class ReservedLabel(Diagnostic):
    """A label that torch keeps for itself.

    Every `nn.Module` has attributes of its own (`forward`, `training`, `type`, ...). A submodule or
    parameter can't have their names, and labels are the names that the parameters get.
    """

    code = "E0601"
    text = "nothing in a torch module can be called `{name}`"
    mark = "torch keeps this name for itself"
    mend = "choose another label, for example `{other}`"

    name: str

    @property
    def other(self) -> str:
        return f"{self.name.strip('_')}_1"


class FreeParameter(Diagnostic):
    """A layer whose parameters depend on a free size.

    Shapes of activations may depend on a free size, but parameters are made before any input is
    seen, so theirs can't.
    """

    code = "E0602"
    text = "a torch module can't be made while the size {size} of its layer is free"
    mark = "depends on {size}"
    mend = "give the input its size: `input image: [3, 224, 224]`, or `--input image=3x224x224`"

    size: str


class NothingToEvaluate(Diagnostic):
    """A network all of whose outputs are for training only.

    In evaluation mode the module would give nothing.
    """

    code = "E0603"
    text = "the network `{name}` gives nothing outside of training"
    mend = "leave out `when training` on one output"

    name: str


def refuse_reserved(node: Node, label: str) -> CompileError:
    """Return the error for a label that torch keeps for itself."""
    return CompileError(ReservedLabel(node.span, node.trail, name=label))


def refuse_free(node: Node, size: object) -> CompileError:
    """Return the error for a parameter whose shape depends on a free size."""
    return CompileError(FreeParameter(node.span, node.trail, size=str(size)))
