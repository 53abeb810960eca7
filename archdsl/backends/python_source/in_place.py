"""Which activations may write their result over their input, as hand-written modules let them.

That saves a tensor and the time to write it. It is safe where nothing else reads the input, and
where what made it says that its result may be written over (`TorchModule.overwritable`).
"""

from __future__ import annotations

from collections import Counter

from archdsl.graph import CheckedGraph, Node
from archdsl.layers.base import TorchModule, TorchTensor


def in_place(checked: CheckedGraph) -> frozenset[str]:
    """Return the nodes whose modules may work in place, in all their uses."""
    readers = Counter(name for node in checked.nodes.values() for name in node.inputs)
    readers.update(output.node for output in checked.outputs)
    able: set[str] = set()
    unable: set[str] = set()
    for node in checked.nodes.values():
        torch = node.facts.torch
        if isinstance(torch, TorchModule) and torch.overwrites:
            (able if _may(checked, node, readers) else unable).add(checked.owner(node).name)
    return frozenset(able - unable)


def _may(checked: CheckedGraph, node: Node, readers: Counter[str]) -> bool:
    (read,) = node.inputs
    made = checked.nodes[read].facts.torch
    return readers[read] == 1 and not isinstance(made, TorchTensor) and made.overwritable
