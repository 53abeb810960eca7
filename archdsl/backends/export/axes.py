"""What the axes of inputs are called in a file whose sizes stay open: N, H, W."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import chain, count
from typing import Any

from archdsl.analysis.agreement import assumptions
from archdsl.graph import CheckedGraph
from archdsl.layers.sizes import Formula, substitute


def axes_of(checked: CheckedGraph) -> dict[str, dict[int, str]]:
    """Return for each input which of its axes stay open, and what they are called.

    Axis 0 is the batch, called N unless a free size of the spec is; free sizes are called as in
    the spec. One that can have a single value isn't open. Axes of one name have one size.
    """
    known = assumptions(checked).requirements
    bound = {name: each.only[0] for name, each in known.items() if len(each.only) == 1}
    sizes = [size for shape in checked.inputs.values() for size in shape]
    free = {name for size in sizes if isinstance(size, Formula) for name in size.names}
    numbered = (f"batch{number}" for number in count(2))
    batch = next(name for name in chain(("N", "batch"), numbered) if name not in free)
    return {
        name: {0: batch}
        | {
            axis: str(size)
            for axis, size in enumerate(shape, 1)
            if isinstance(substitute(size, bound), Formula)
        }
        for name, shape in checked.inputs.items()
    }


def name_axes(model: Any, axes: Mapping[str, Mapping[int, str]]) -> None:
    """Rename the open axes of an `onnx.ModelProto`, and the sizes that depend on them.

    The exporter calls them s0, s1, ..., and an output's `(s0//2)`.
    """
    names: dict[str, str] = {}
    for given in model.graph.input:
        dims = given.type.tensor_type.shape.dim
        for axis, name in axes.get(given.name, {}).items():
            if symbol := dims[axis].dim_param:
                names.setdefault(symbol, name)
    if not names:
        return
    symbols = re.compile(rf"\b({'|'.join(map(re.escape, names))})\b")

    def renamed(match: re.Match[str]) -> str:
        name = names[match[0]]
        return name if name.isidentifier() or match[0] == match.string else f"({name})"

    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = symbols.sub(renamed, dim.dim_param)
