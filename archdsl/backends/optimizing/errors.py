"""What can go wrong when a network is made faster."""

from __future__ import annotations

from archdsl.diagnostics import Diagnostic


class BadEngine(Diagnostic):
    """An engine that isn't there, or can't run a network."""

    code = "E0821"
    text = "the engine `{engine}` {reason}"

    engine: str
    reason: str


class BadOptimization(Diagnostic):
    """An option of `archdsl compile --optimize` that makes no sense, by itself or for a network."""

    code = "E0822"
    text = "`{option}` {reason}"

    option: str
    reason: str
