"""Compares what was counted with what torch has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from archdsl.analysis.cost import in_state
from archdsl.analysis.state import state_dict
from archdsl.graph import CheckedGraph
from archdsl.layers.base import Shape


@dataclass(frozen=True, slots=True)
class ParameterComparison:
    """Names and shapes of parameters and buffers, as counted and in torch's state_dict.

    Attributes:
        counted, found: how many parameters there are, by count and in torch.
        missing: names that were counted and that torch lacks.
        surplus: names that torch has beyond that.
        differing: names with other shapes: what was counted, and what torch has.
    """

    counted: int
    found: int
    missing: tuple[str, ...]
    surplus: tuple[str, ...]
    differing: Mapping[str, tuple[Shape, Shape]]

    @property
    def agrees(self) -> bool:
        """Whether all names and shapes are the same."""
        return not (self.missing or self.surplus or self.differing) and self.counted == self.found


def compare_parameters(module: nn.Module, checked: CheckedGraph) -> ParameterComparison:
    """Compare the parameters that were counted with those of a module, one by one."""
    expected = state_dict(checked)
    learnable = sum(_numel(shape) for shape in _parameters(checked).values())
    found = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    return ParameterComparison(
        counted=learnable,
        found=sum(parameter.numel() for parameter in module.parameters()),
        missing=tuple(name for name in expected if name not in found),
        surplus=tuple(name for name in found if name not in expected),
        differing={
            name: (shape, found[name])
            for name, shape in expected.items()
            if name in found and found[name] != shape
        },
    )


def _parameters(checked: CheckedGraph) -> dict[str, Shape]:
    found: dict[str, Shape] = {}
    for node in checked.nodes.values():
        found |= in_state(node, node.facts.params)
    return found


def _numel(shape: Shape) -> int:
    total = 1
    for size in shape:
        assert isinstance(size, int)  # a module with a free one can't be made
        total *= size
    return total
