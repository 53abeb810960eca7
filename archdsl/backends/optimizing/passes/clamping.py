"""A batch normalization and the ReLU behind it pass over a tensor once.

Where what follows is linear, `relu(a x + b)` needs no arithmetic: for a > 0 it is
`a max(x, -b/a) + b`, for a < 0 `a min(x, -b/a) + b`, and a and b go into the weights of the
convolution or linear layer behind it (DenseNet, before its bottlenecks). Where nothing can take
them, as before a convolution that puts zeros around its input, the two are one layer all the same.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from archdsl.backends.optimizing.layers import ChannelClamp, ScaledReLU
from archdsl.backends.optimizing.program import RELU, Edit, Program
from archdsl.graph import Node
from archdsl.layers.base import Layer

MOST_UNEVEN = 100  # the largest summand to the middle one


def clamping(program: Program) -> Program:
    """Make one layer of what scales channels and the ReLU behind it."""
    edit = Edit(program)
    for node in program.checked.nodes.values():
        if not (node.facts.params or node.facts.buffers) or len(node.inputs) != 1:
            continue
        following = edit.reader(node)
        if following is None or following.layer.onednn() != RELU or not node.facts.batched:
            continue
        scale = node.layer.channel_scale(edit.own(node)) if edit.is_alone(node) else None
        if scale is not None:
            _join(edit, node, following, *scale)
    return edit.result()


def _join(edit: Edit, node: Node, relu: Node, factor: torch.Tensor, summand: torch.Tensor) -> None:
    layer: Layer = ScaledReLU()
    tensors = {"factor": factor, "summand": summand}
    taker = _taker(edit, relu)
    # what is far larger than the rest would have to cancel out, and leaves its rounding
    even = summand.abs().max() <= MOST_UNEVEN * summand.abs().median()
    if taker is not None and even:
        lower, upper, scale, shift = _bounds(factor, summand, edit.kind(node))
        took = taker.layer.fed(edit.own(taker), scale, shift, edit.shapes(taker)[0])
        if took is not None:
            layer, tensors = ChannelClamp(), {"lower": lower, "upper": upper}
            edit.put_layer(taker, *took)
    axes = (1,) * (len(node.shape) - 1)
    given = {name: one.reshape(-1, *axes) for name, one in tensors.items()}
    edit.put_layer(node, layer, given)
    edit.drop(relu.name, node.name)


def _taker(edit: Edit, relu: Node) -> Node | None:
    """Return what alone reads a ReLU, beyond means of places, and may take a scale."""
    for node in _behind(edit, relu):
        if not (node.layer.averages and len(node.inputs) == 1):
            owns = bool(node.facts.params) and edit.is_alone(node) and len(node.inputs) == 1
            return node if owns else None
    return None


def _behind(edit: Edit, node: Node) -> Iterator[Node]:
    reader = edit.reader(node)
    while reader is not None and reader.facts.batched:
        yield reader
        reader = edit.reader(reader)


def _bounds(
    factor: torch.Tensor, summand: torch.Tensor, kind: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return between what a channel is to be kept, and its factor and summand behind that."""
    # as it will be stored, so that what is cut off comes to nothing
    edge = (-summand / factor).to(kind).double()
    constant = ~edge.isfinite()
    edge = torch.where(constant, 0.0, edge)
    lower = torch.where((factor < 0) & ~constant, -torch.inf, edge)
    upper = torch.where((factor > 0) & ~constant, torch.inf, edge)
    factor = torch.where(constant, 0.0, factor)
    return lower, upper, factor, torch.where(constant, summand.clamp(min=0), -factor * edge)
