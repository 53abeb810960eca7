"""Counts a checked network, and says so where its counts can't be written down."""

from __future__ import annotations

from collections.abc import Sequence

from archdsl.analysis.report import Report, report
from archdsl.diagnostics import ArchError
from archdsl.elaborate.errors import BadNetwork
from archdsl.graph import CheckedGraph
from archdsl.layers.sizes import FormulaError
from archdsl.patterns import frozen_parameters


def count(
    checked: CheckedGraph, depth: int | None = None, freeze: str | Sequence[str] = ()
) -> Report:
    """Count a network; blocks `depth` scopes deep become one row (None: every layer).

    `freeze` are patterns of parameters that are not to learn.

    Raises:
        ArchError: its totals depend on free sizes in too intricate a way to write them down, or
            a pattern means no parameter.
    """
    frozen = frozen_parameters(checked, freeze)
    try:
        return report(checked, depth, frozen=frozen)
    except FormulaError as error:
        reason = f"what `{checked.name}` costs {error}"
        hint = "give the sizes of its inputs, as in `--input image=3x224x224`"
        raise ArchError(BadNetwork(checked.span, reason=reason, hint=hint)) from None
