"""What scales the channels that a layer gives becomes part of that layer.

A batch normalization of kept statistics is y = a x + b for each channel, and so part of the
weights and the bias of the convolution before it (Jacob et al., Quantization and Training of
Neural Networks for Efficient Integer-Arithmetic-Only Inference, 2018, section 3.2). It is worked
out in float64.
"""

from __future__ import annotations

from archdsl.backends.optimizing.program import Edit, Program
from archdsl.graph import Node


def scaling(program: Program) -> Program:
    """Put what scales channels into the layer before it, where nothing else reads that."""
    edit = Edit(program)
    for node in program.checked.nodes.values():
        if len(node.inputs) != 1 or edit.readers[node.inputs[0]] != 1:
            continue
        before = edit.nodes[edit.stands_for(node.inputs[0])]
        batched = node.facts.batched and before.facts.batched
        if batched and edit.is_alone(node) and edit.is_alone(before):
            _join(edit, before, node)
    return edit.result()


def _join(edit: Edit, before: Node, node: Node) -> None:
    """Make one node of two, if that can be."""
    if not node.facts.params and not node.facts.buffers:
        return
    scale = node.layer.channel_scale(edit.own(node))
    if scale is None or not before.facts.params:
        return
    found = before.layer.scaled(edit.own(before), *scale, before.shape)
    if found is None:
        return
    edit.put_layer(before, *found)
    edit.drop(node.name, before.name)
