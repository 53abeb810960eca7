"""What a module of torch can't be, though the spec is sound."""

from __future__ import annotations

import re

from archdsl.diagnostics import ArchError, Diagnostic, Span
from archdsl.graph import Node, Scope
from archdsl.patterns import NoCheckpoint

LONGEST = 300  # of a label that is looked for
PART = r'(?:\w+|"(?:[^"\\\n]|\\.)*")'
LABEL = re.compile(rf"({PART}(?:\.{PART})*)")
BEFORE = re.compile(rf"{LABEL.pattern}\s*:\s*$")


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


def refuse_reserved(label: str, node: Node, scope: Scope | None = None) -> CompileError:
    """Return the error for a label that torch keeps for itself, shown where it stands.

    A node has it, or a scope, of which the node is one.
    """
    span, trail, found = node.span, node.trail, None
    if scope is None:
        found = BEFORE.search(span.source.text, max(span.start - LONGEST, 0), span.start)
    else:
        span = scope.span
        inside = [f"{use.name}.".startswith(f"{scope.name}.") for use in trail]
        if any(inside):
            last = len(inside) - inside[::-1].index(True)
            if trail[last - 1].name == scope.name:  # the use of a block, which is written elsewhere
                span = trail[last - 1].span
            trail = trail[last:]
        found = LABEL.match(span.source.text, span.start, span.end)
    if found:
        span = Span(span.source, found.start(1), found.end(1))
    return CompileError(ReservedLabel(span, trail, name=label))


def refuse_checkpoint(scope: Scope, reads: bool = True) -> CompileError:
    """Return the error for a scope that is no module with a forward pass."""
    reason = "a layer in it is applied from elsewhere" if reads else "nothing comes into it"
    return CompileError(NoCheckpoint(scope.span, name=scope.name, reason=reason))


def refuse_free(node: Node, size: object) -> CompileError:
    """Return the error for a parameter whose shape depends on a free size."""
    return CompileError(FreeParameter(node.span, node.trail, size=str(size)))
