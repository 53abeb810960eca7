"""Counts a checked network, and says so where its counts can't be written down."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from archdsl.analysis.report import Report, report
from archdsl.analysis.roofline import Roofline
from archdsl.analysis.training import Options
from archdsl.diagnostics import ArchError, Diagnostic
from archdsl.graph import CheckedGraph
from archdsl.layers.sizes import FormulaError
from archdsl.patterns import checkpointed, frozen_parameters


class IntricateCosts(Diagnostic):
    """What the layers of a network cost can't be written down.

    Heat, counts and pages show costs, and these depend on free sizes in too intricate a way. A
    plain picture leaves out the totals, and shows all else.
    """

    code = "E0708"
    text = "what `{network}` costs depends on the free sizes in too intricate a way to be shown"
    mend = "give the sizes of its inputs, as in `--input image=3x224x224`"

    network: str


LARGEST_BATCH = 2**31 - 1


def options_of(
    checked: CheckedGraph,
    given: Mapping[str, Any],
    mention: Callable[[Sequence[Diagnostic]], None],
) -> Options:
    """Return how a network is trained, of the options that were given.

    What a pattern means that can't be computed again is mentioned.

    Raises:
        ArchError: a pattern of what is computed again means no block.
    """
    found = checkpointed(checked, given.get("checkpoint", ()))
    mention(found.left_out)
    return Options(**{**given, "checkpoint": found.scopes})


def count(
    checked: CheckedGraph,
    depth: int | None = None,
    freeze: str | Sequence[str] = (),
    freeze_but: str | Sequence[str] = (),
    roofline: Roofline | None = None,
    options: Options | None = None,
) -> Report:
    """Count a network; blocks `depth` scopes deep become one row (None: every layer).

    `freeze` are patterns of parameters that are not to learn, but for those of `freeze_but`,
    `roofline` the least times; `options` ask for a training step.

    Raises:
        ArchError: its totals depend on free sizes in too intricate a way to write them down, or
            a pattern means no parameter.
    """
    frozen = frozen_parameters(checked, freeze, freeze_but)
    try:
        return report(checked, depth, frozen=frozen, roofline=roofline, options=options)
    except FormulaError:  # which knows neither the network nor a way out
        raise ArchError(IntricateCosts(checked.span, network=checked.name)) from None
