"""What scales the channels that a layer gives, or those that it takes, becomes part of that layer.

A batch normalization of kept statistics is y = a x + b for each channel, and so part of the
weights and the bias of the convolution before it (Jacob et al., Quantization and Training of
Neural Networks for Efficient Integer-Arithmetic-Only Inference, 2018, section 3.2), or of the one
behind it, as the normalization of images is. It is worked out in float64.
"""

from __future__ import annotations

import torch

from archdsl.backends.optimizing.program import Edit, Program
from archdsl.graph import Node

# The largest summand that goes into the layer behind: numbers of about 1 come out of what scales
# them, so with much larger ones nearly all would have to cancel out there, and leave its rounding.
MOST = 10


def scaling(program: Program) -> Program:
    """Put what scales channels into the layer before it or behind it, if nothing else is there."""
    edit = Edit(program)
    for node in program.checked.nodes.values():
        scale = _scale(edit, node)
        if scale is not None and not _goes_before(edit, node, *scale):
            _goes_behind(edit, node, *scale)
    return edit.result()


def _scale(edit: Edit, node: Node) -> tuple[torch.Tensor, torch.Tensor] | None:
    if len(node.inputs) != 1 or not node.facts.batched or not edit.is_alone(node):
        return None
    scale = node.layer.channel_scale(edit.own(node))
    if scale is None:
        return None
    factor, summand = (torch.as_tensor(each, dtype=torch.float64) for each in scale)
    return factor, summand


def _goes_before(edit: Edit, node: Node, factor: torch.Tensor, summand: torch.Tensor) -> bool:
    (read,) = node.inputs
    before = edit.nodes[edit.stands_for(read)]
    if edit.readers[read] != 1 or not before.facts.batched or not edit.is_alone(before):
        return False
    if not before.facts.params:
        return False
    found = before.layer.scaled(edit.own(before), factor, summand, before.shape)
    if found is None:
        return False
    edit.put_layer(before, *found)
    edit.drop(node.name, before.name)
    return True


def _goes_behind(edit: Edit, node: Node, factor: torch.Tensor, summand: torch.Tensor) -> None:
    (read,) = node.inputs
    reader = edit.reader(node)
    if reader is None or not reader.facts.params or not reader.facts.batched:
        return
    # what scales integers makes floats of them
    floats = edit.checked.dtypes.get(edit.stands_for(read), "float") == "float"
    if not floats or not edit.is_alone(reader) or len(reader.inputs) != 1:
        return
    found = reader.layer.fed(edit.own(reader), factor, summand, node.shape)
    if found is None or bool(summand.abs().max() > MOST):
        return
    edit.put_layer(reader, *found)
    edit.drop(node.name, edit.stands_for(read))
