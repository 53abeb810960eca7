"""Brings together what joins several tensors: long sums, and concatenations of growing lists.

DenseNet's layers take a list of all tensors before them and begin by concatenating it. Out of the
layer, each such concatenation is that of the layer before with one tensor more, which is one merge
a layer.
"""

from __future__ import annotations

from collections import Counter

from archdsl.importing.bodies import Body, Node
from archdsl.importing.record import Value


def flatten(body: Body) -> None:
    """Make one merge of a sum of a sum, or a product of a product, as `a + b + c` is computed."""
    uses: Counter[Value] = Counter(value for node in body.nodes() for value in node.inputs)
    uses.update(body.outputs)
    made: dict[Value, Node] = {}
    for item in [*body.items]:
        if isinstance(item, Body):
            flatten(item)
        elif item.merges and item.use.layer in ("add", "mul"):
            before = made.get(item.inputs[0])
            if before is not None and before.use == item.use and uses[before.output] == 1:
                item.inputs = [*before.inputs, *item.inputs[1:]]
                body.items.remove(before)
            made[item.output] = item


def hoist(body: Body) -> None:
    """Take leading concatenations out of the bodies in one, and build them on each other."""
    found: list[Node | Body] = []
    for item in body.items:
        if isinstance(item, Body):
            hoist(item)
            found += leading(item)
        found.append(item)
    body.items = found
    chain(body)


def leading(body: Body) -> list[Node]:
    """Take out of a body what joins several of its inputs, where it uses them in no other way."""
    found: list[Node] = []
    for item in [*body.items]:
        if not (isinstance(item, Node) and item.merges and item.use.layer == "concat"):
            continue
        inputs = set(item.inputs)
        if len(inputs) < 2 or not inputs <= set(body.inputs) or item.output in body.outputs:
            continue
        if any(inputs & set(node.inputs) for node in body.nodes() if node is not item):
            continue
        body.items.remove(item)
        place = next(at for at, value in enumerate(body.inputs) if value in inputs)
        body.inputs = [value for value in body.inputs if value not in inputs]
        body.inputs.insert(min(place, len(body.inputs)), item.output)
        found.append(item)
    return found


def chain(body: Body) -> None:
    """Let a concatenation begin with another of which it has all tensors first."""
    known: dict[tuple[int, tuple[Value, ...]], Value] = {}
    for item in body.items:
        if not (isinstance(item, Node) and item.merges and item.use.layer == "concat"):
            continue
        dim = item.use.arguments.get("dim", 1)
        whole = tuple(item.inputs)
        for length in range(len(whole), 1, -1):
            before = known.get((dim, whole[:length]))
            if before is not None and length < len(whole):
                item.inputs = [before, *whole[length:]]
                break
        known.setdefault((dim, whole), item.output)
