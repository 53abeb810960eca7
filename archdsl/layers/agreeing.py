"""What sizes must be: above zero, or the same as others."""

from __future__ import annotations

from archdsl.layers.base import LayerError, Shape
from archdsl.layers.sizes import Formula, Size


def require_positive(output: Shape, reason: str) -> None:
    """Raise LayerError where a size of an output is known to be less than 1."""
    # a formula may be as small for some sizes: `analysis/agreement.py` finds from where on not
    if any(isinstance(size, int) and size < 1 for size in output):
        raise LayerError(reason)


def agree(left: Size, right: Size) -> bool:
    """Tell whether two sizes may be equal: the same number, or formulas not known to differ.

    Where one of them is a formula and they are not the same, list the pair in
    `Facts.agreements`: then it is for the check of the whole graph to say for which values they
    are equal.
    """
    if left == right:
        return True
    return isinstance(left - right, Formula)
