"""What averages places and what mixes channels change places where that is less work.

A mean of places is the same for all channels, and a convolution of 1 x 1 is the same at all places:
either may come first. Before a pooling that makes an image smaller it is done for more places than
behind it (the transitions of DenseNet), and behind what makes it larger as well; where the image
stays as large, the pooling is done for more channels where it comes before fewer.
"""

from __future__ import annotations

from archdsl.backends.optimizing.program import Edit, Program
from archdsl.graph import Node
from archdsl.layers.base import Facts


def exchanging(program: Program) -> Program:
    """Let means of places and convolutions of 1 x 1 come in the cheaper order."""
    edit = Edit(program)
    moved: set[str] = set()
    for node in program.checked.nodes.values():
        following = edit.reader(node)
        if following is None or {node.name, following.name} & moved:
            continue
        alone = edit.is_alone(node) and edit.is_alone(following)
        if alone and _commute(node, following) and _is_cheaper(edit, node, following):
            edit.exchange(node, following)
            moved |= {node.name, following.name}
    return edit.result()


def _commute(one: Node, other: Node) -> bool:
    single = len(one.inputs) == len(other.inputs) == 1
    batched = one.facts.batched and other.facts.batched
    kinds = (one.layer.averages and other.layer.mixes) or (one.layer.mixes and other.layer.averages)
    return kinds and single and batched


def _is_cheaper(edit: Edit, first: Node, second: Node) -> bool:
    """Tell whether two nodes are less work in the other order, as far as sizes are known."""
    (shape,) = edit.shapes(first)
    before = second.layer.infer((shape,))
    after = first.layer.infer((before.output,))
    now, then = _work(first.facts, second.facts), _work(before, after)
    return now is not None and then is not None and then < now


def _work(*facts: Facts) -> int | None:
    """Return all operations of two layers; None where sizes are free."""
    parts = [part for each in facts for part in (each.macs, *each.other.values())]
    known = [part for part in parts if isinstance(part, int)]
    return sum(known) if len(known) == len(parts) else None
