"""What sums up places and what mixes channels change places where that is less work.

A mean of places is the same for all channels, and a convolution of 1 x 1 is the same at all places:
either may come first. Before a pooling that makes an image smaller it is done for more places than
behind it (the transitions of DenseNet), and behind what makes it larger as well; where the image
stays as large, the pooling is done for more channels where it comes before fewer.

Where zeros around an image count, a mean of ones is no longer one at its border, so what the
convolution adds has to come behind both: with the ReLU that follows, as in Inception's blocks.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from archdsl.backends.optimizing.layers import ScaledReLU
from archdsl.backends.optimizing.program import RELU, Edit, Program
from archdsl.graph import Node
from archdsl.layers.base import Facts


def exchanging(program: Program) -> Program:
    """Let sums of places and convolutions of 1 x 1 come in the cheaper order."""
    edit = Edit(program)
    moved: set[str] = set()
    for node in program.checked.nodes.values():
        following = edit.reader(node)
        if following is None or {node.name, following.name} & moved:
            continue
        single = len(node.inputs) == len(following.inputs) == 1
        batched = node.facts.batched and following.facts.batched
        alone = edit.is_alone(node) and edit.is_alone(following)
        if single and batched and alone and _exchange(edit, node, following):
            moved |= {node.name, following.name}
    return edit.result()


def _exchange(edit: Edit, first: Node, second: Node) -> bool:
    """Let two nodes change places, if that is the same and less work; tell whether it was."""
    pooling, convolution = (first, second) if second.layer.mixes else (second, first)
    if not (pooling.layer.sums and convolution.layer.mixes):
        return False
    own = edit.own(convolution)
    linear = None if pooling.layer.averages else convolution.layer.linear(own)
    relu = edit.reader(second)
    if linear is None:
        cheaper = _is_cheaper(edit, first, second)
        if cheaper:
            edit.exchange(first, second)
        return cheaper
    if second is pooling or relu is None or relu.layer.onednn() != RELU or not relu.facts.batched:
        return False
    layer, weights, summand = linear
    behind = ScaledReLU()
    facts = behind.infer((second.shape,))
    if not _is_cheaper(edit, first, second, now=relu.facts, then=facts):
        return False
    kind = edit.kind(convolution)
    edit.exchange(first, edit.put_layer(convolution, layer, weights))
    axes = (1,) * (len(second.shape) - 1)
    given = {"factor": torch.ones(len(summand)), "summand": summand}
    edit.put(
        replace(relu, layer=behind, facts=facts),
        {name: each.reshape(-1, *axes) for name, each in given.items()},
        kind=kind,
    )
    return True


def _is_cheaper(
    edit: Edit, first: Node, second: Node, now: Facts | None = None, then: Facts | None = None
) -> bool:
    """Tell whether two nodes are less work in the other order, as far as sizes are known.

    `then` comes behind them in place of `now`.
    """
    (shape,) = edit.shapes(first)
    before = second.layer.infer((shape,))
    after = first.layer.infer((before.output,))
    works = [
        _work(*[each for each in facts if each is not None])
        for facts in ((first.facts, second.facts, now), (before, after, then))
    ]
    if works[0] is None or works[1] is None:
        return False
    return works[1] < works[0]


def _work(*facts: Facts) -> int | None:
    """Return all operations of two layers; None where sizes are free."""
    parts = [part for each in facts for part in (each.macs, *each.other.values())]
    known = [part for part in parts if isinstance(part, int)]
    return sum(known) if len(known) == len(parts) else None
