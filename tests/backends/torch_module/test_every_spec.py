"""Every network of specs/ compared with torch on real numbers, in evaluation and in training.

Large ones take a smaller image than their spec says, as compiled modules do; at the size of the
spec `tests/specs/test_library.py` compares those on "meta".
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from library import NETWORKS, sampled

from archdsl.analysis.cost import cost
from archdsl.backends.torch_module import torch_module, verify
from archdsl.diagnostics import ArchError
from archdsl.graph import CheckedGraph
from archdsl.pipeline import Spec

pytest.importorskip("torch")

MOST_MACS = 2 * 10**9  # a sample, at the size of the spec
MOST_PARAMETERS = 10**9  # more take more memory than machines have on which this runs
FEWER: Mapping[str, object] = {"layers": 1, "vocabulary": 100, "width": 512}
SMALLER = 111  # the least that Inception v4 takes
# It has as many nodes as ten others; its numbers are compared in `tests/specs/test_outputs.py`.
MANY_NODES = {"swin_v2_t"}


def of_moderate_size(spec: Spec, name: str) -> CheckedGraph:
    """Return a network, for a smaller image where the spec's takes long, and of few layers."""
    checked = spec.graph(name)
    parameters = cost(checked).parameters.total
    given = FEWER if isinstance(parameters, int) and parameters > MOST_PARAMETERS else None
    macs = cost(checked).macs.training
    if isinstance(macs, int) and macs <= MOST_MACS:
        return checked
    shapes = {
        name: (*shape[:-2], *(min(SMALLER, size) for size in shape[-2:] if isinstance(size, int)))
        for name, shape in checked.inputs.items()
    }
    try:
        return spec.graph(name, given, shapes)
    except ArchError:  # its layers take no smaller image
        return checked


@pytest.mark.slow
@pytest.mark.parametrize("name", sampled(large=MANY_NODES))
def test_every_node_agrees_with_torch(name: str) -> None:
    checked = of_moderate_size(NETWORKS[name], name)

    found = verify(torch_module(checked), checked, "cpu")

    assert found.agrees, (found.disagreeing, found.differing)
