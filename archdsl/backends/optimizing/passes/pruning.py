"""Channels that are nothing but zeros, or that nothing reads, are gone.

A channel whose weights are all zero, and whose bias does nothing either, gives zeros; one that the
next layer multiplies by zeros might as well. That is proven by the weights alone: no number of the
output changes. What is merely small stays.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from archdsl.backends.optimizing.program import RELU, Edit, Program
from archdsl.graph import Node

EVERY = slice(None)


def pruning(program: Program) -> Program:
    """Leave out the channels between two layers that nothing comes of."""
    edit = Edit(program)
    for name in program.checked.nodes:
        node = edit.nodes[name]
        if not _owns(edit, node):
            continue
        between: list[Node] = []
        reader = edit.reader(node)
        while reader is not None and reader.layer.keeps_zeros and len(reader.inputs) == 1:
            between.append(reader)
            reader = edit.reader(reader)
        if reader is not None and _owns(edit, reader):
            _narrow(edit, node, between, reader)
    return edit.result()


def _owns(edit: Edit, node: Node) -> bool:
    return "weight" in node.facts.params and len(node.inputs) == 1 and edit.is_alone(node)


def _narrow(edit: Edit, node: Node, between: list[Node], reader: Node) -> None:
    weights, read = edit.stored(node), edit.stored(reader)["weight"]
    if min(weights["weight"].dim(), read.dim()) < 2 or len(weights["weight"]) != read.shape[1]:
        return  # a normalization, a flattened image, or groups
    zeros = ~weights["weight"].flatten(1).any(1)
    if "bias" in weights:
        rectified = between and between[0].layer.onednn() == RELU
        zeros &= weights["bias"] <= 0 if rectified else weights["bias"] == 0
    nothing = zeros | ~read.transpose(0, 1).flatten(1).any(1)
    if not nothing.any():
        return
    kept = (~nothing).nonzero().flatten()
    kept = kept if len(kept) else torch.tensor([0])  # a layer has a channel at least
    (seen,), (shape,) = edit.shapes(node), edit.shapes(reader)
    narrower = node.layer.narrowed(edit.own(node), EVERY, kept, seen)
    after = reader.layer.narrowed(edit.own(reader), kept, EVERY, shape)
    if narrower is not None and after is not None:
        edit.put_layer(node, *narrower)
        for each in between:
            edit.nodes[each.name] = replace(each, facts=each.layer.infer(edit.shapes(each)))
        edit.put_layer(reader, *after)
