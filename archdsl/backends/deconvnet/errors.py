"""Why nothing can be led back from a node."""

from __future__ import annotations

from archdsl.diagnostics import Diagnostic


class CannotProject(Diagnostic):
    """A node that has no deconvnet.

    Activations are those of evaluation mode, so nothing leads back from what is there in training
    alone, nor from integers, nor from what doesn't depend on floats that come in.
    """

    code = "E0614"
    text = "{reason}"

    reason: str
