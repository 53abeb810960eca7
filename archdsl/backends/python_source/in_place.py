"""Which activations may write their result over their input, as hand-written modules let them.

That saves a tensor and the time to write it. It is safe where nothing else reads the input, and
where the layer that made it doesn't need it to compute its gradient.
"""

from __future__ import annotations

from collections import Counter

from archdsl.graph import CheckedGraph, Node
from archdsl.layers.base import TorchModule
from archdsl.layers.tensor import InputTensor, OwnTensor

# Modules of torch that gain by it: their gradient follows from their result.
ABLE = frozenset({"nn.ReLU", "nn.ReLU6"})
# What comes out of these is new memory, and their gradients follow from what went in.
GIVING = frozenset({"convolution", "normalization", "linear", "merge"})


def in_place(checked: CheckedGraph) -> frozenset[str]:
    """Return the nodes whose modules may work in place, in all their uses."""
    readers = Counter(name for node in checked.nodes.values() for name in node.inputs)
    readers.update(output.node for output in checked.outputs)
    able: set[str] = set()
    unable: set[str] = set()
    for node in checked.nodes.values():
        torch = node.facts.torch
        if isinstance(torch, TorchModule) and torch.target in ABLE:
            (able if _may(checked, node, readers) else unable).add(checked.owner(node).name)
    return frozenset(able - unable)


def _may(checked: CheckedGraph, node: Node, readers: Counter[str]) -> bool:
    (read,) = node.inputs
    giver = checked.nodes[read]
    if readers[read] != 1 or giver.facts.view or isinstance(giver.layer, InputTensor | OwnTensor):
        return False
    # a merge of one branch gives that branch itself
    merged = giver.layer.family() != "merge" or len(giver.inputs) > 1
    return giver.layer.family() in GIVING and merged
