"""Concatenations that go on, each behind the last one, are written into one tensor.

In a dense block every layer gives channels that are put behind all those before, and each time all
of them would be copied. Here the tensor of the last concatenation is made at once, with room for
what comes, and each layer writes its channels behind those that are there (Pleiss et al.,
Memory-Efficient Implementation of DenseNets, 2017, section 3, shares memory likewise). What reads
an earlier concatenation reads the first channels of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from archdsl.backends.optimizing.layers import Append, SomeChannels, WithRoom
from archdsl.backends.optimizing.program import Edit, Program
from archdsl.graph import Node
from archdsl.layers.base import Layer
from archdsl.layers.sizes import Shape


def appending(program: Program) -> Program:
    """Let concatenations that go on share the memory of the last one."""
    edit = Edit(program)
    # outputs stay apart, so that whoever has them may write into one
    outputs = {output.node for output in program.checked.outputs}
    following: dict[str, Node] = {}  # what goes on with a concatenation
    for node in program.checked.nodes.values():
        if _is_concatenation(node) and node.inputs[0] not in following:
            before = program.checked.nodes[node.inputs[0]]
            goes_on = _is_concatenation(before) and before.name not in outputs
            if goes_on and before.name not in node.inputs[1:]:
                following[before.name] = node
    further = {node.name for node in following.values()}
    for name in following:
        if name not in further:
            chain = [program.checked.nodes[name]]
            while chain[-1].name in following:
                chain.append(following[chain[-1].name])
            _append(edit, chain)
    return edit.result()


def _is_concatenation(node: Node) -> bool:
    return node.layer.joins and isinstance(node.shape[0], int) and node.facts.batched


def _channels(edit: Edit, name: str) -> int:
    channels = edit.nodes[edit.stands_for(name)].shape[0]
    assert isinstance(channels, int)  # as those of the concatenation are
    return channels


def _append(edit: Edit, chain: Sequence[Node]) -> None:
    """Write concatenations, of which each goes on with the one before, into one tensor."""
    first, *_ = chain[0].inputs
    room = WithRoom(channels=_channels(edit, chain[-1].name))
    whole = _inserted(edit, room, "room", [first], chain[0])
    start = _channels(edit, first)
    for node in chain:
        for part in node.inputs[1:]:
            whole = _inserted(edit, Append(start=start), "appended", [whole.name, part], node)
            start += _channels(edit, part)
        if node is chain[-1]:
            edit.drop(node.name, whole.name)
            continue
        layer = SomeChannels(start=0, stop=start)
        facts = layer.infer((whole.shape,))
        edit.put(replace(node, layer=layer, inputs=(whole.name,), facts=facts))


def _inserted(edit: Edit, layer: Layer, label: str, inputs: Sequence[str], before: Node) -> Node:
    shapes: Sequence[Shape] = [edit.nodes[edit.stands_for(name)].shape for name in inputs]
    node = replace(
        before,
        name=edit.free_name(before.scope, label),
        label="",
        layer=layer,
        inputs=tuple(inputs),
        facts=layer.infer(tuple(shapes)),
    )
    edit.insert(node, before.name)
    return node
