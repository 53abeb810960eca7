"""Numbers that follow the size of the batch: a spec never writes it, and so can't say them.

The module is recorded once more with another number of samples. What differs then, though the same
is computed in the same order, follows that number, whether its outputs show it or not.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from archdsl.importing.bodies import Body, Node, reads
from archdsl.importing.inputs import of_samples
from archdsl.importing.record import Value


def other_batch(body: Body, inputs: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    """Return inputs of more samples, of a number that is the size of nothing in the body."""
    nodes = [*body.nodes()]
    taken = {
        size for node in nodes for value in (*reads(node), node.output) for size in value.shape
    }
    batch = next(one.shape[0] for one in inputs if one.dim())
    count = batch + 1
    while count in taken:
        count += 1
    return of_samples(inputs, count)


def following(body: Body, other: Body) -> list[tuple[str, str]]:
    """Return what differs in a body that was recorded with another number of samples.

    They are pairs of text and place. Of a module that goes another way then nothing is known.
    """
    ours, theirs = [*body.nodes()], [*other.nodes()]
    if len(ours) != len(theirs) or not all(map(alike, ours, theirs)):
        return []
    found: list[tuple[str, str]] = []
    for one, two in zip(ours, theirs, strict=True):
        for name, value in one.use.arguments.items():
            if repr(value) != repr(two.use.arguments.get(name)):
                text = f"`{name}` of `{one.use.layer}`, which follows the size of the batch"
                found.append((text, one.place))
        held = zip(reads(one), reads(two), strict=True)
        if any(a.fixed and not same_for_each(a, b) for a, b in held):
            found.append(("a constant that follows the size of the batch", one.place))
    return found


def alike(one: Node, other: Node) -> bool:
    """Tell whether two nodes are the same but for numbers."""
    kinds = [
        (n.path, n.use.layer, len(reads(n)), [v.fixed for v in reads(n)]) for n in (one, other)
    ]
    return kinds[0] == kinds[1]


def same_for_each(one: Value, other: Value) -> bool:
    """Tell whether two constants are the same, or one row of numbers for each sample."""
    left, right = one.tensor, other.tensor
    if one.shape[1:] != other.shape[1:] or len(one.shape) != len(other.shape):
        return False
    if left is None or right is None or left.is_meta or right.is_meta:
        return True
    if one.shape != other.shape:
        left, right = torch.cat([left, left[:1]]), torch.cat([left[:1], right])
        return bool((left == left[:1]).all() and (right == right[:1]).all())
    return bool(((left == right) | (left.isnan() & right.isnan())).all())
