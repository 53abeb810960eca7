"""Which activations may write their result over their input: see `archdsl/analysis/overwriting.py`.

The names of their nodes, as the source needs them.
"""

from __future__ import annotations

from collections.abc import Set

from archdsl.analysis.overwriting import overwriting
from archdsl.graph import CheckedGraph


def in_place(checked: CheckedGraph, again: Set[str] = frozenset()) -> frozenset[str]:
    """Return the nodes whose modules may work in place, in all their uses."""
    return frozenset(checked.names[number] for number in overwriting(checked, again))
