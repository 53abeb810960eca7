"""What can go wrong when variants are counted."""

from __future__ import annotations

from archdsl.diagnostics import Diagnostic


class BadSweep(Diagnostic):
    """An option that gives values, or chooses rows, makes no sense.

    Values of a parameter are given as `width=0.5,0.75,1.0`, as a range `depth=1..6` or
    `'channels=16..256 by 16'`, conditions as `--where 'parameters < 5e6 and width * depth < 20'`.
    """

    code = "E0801"
    text = "{reason}"

    reason: str


class OtherSweep(Diagnostic):
    """Rows that were kept are those of another sweep.

    What a sweep has done stands beside its result until it is finished, and the same command goes
    on with that. Rows of another spec, other values or another version are never mixed with it.
    """

    code = "E0802"
    text = "{path} {reason}"
    mend = "finish that sweep with its own command, or throw its rows away with --force"

    path: str
    reason: str
