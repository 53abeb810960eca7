"""Convolutions that read the same become one, whose channels are then handed out.

One large product of matrices takes less time than several small ones, and what they read is read
once (the heads of a detector). Where another convolution reads one of them it stays by itself: the
channels that are handed out lie apart in memory, and oneDNN would copy them first, which at the
head of an Inception block takes longer than what is saved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from archdsl.backends.optimizing.layers import SomeChannels
from archdsl.backends.optimizing.program import Edit, Program, added_up
from archdsl.graph import Node, Scope
from archdsl.layers.base import Layer, TorchModule


def merging(program: Program) -> Program:
    """Make one convolution of those that read the same and differ in nothing but channels."""
    edit = Edit(program)
    alike: dict[object, list[Node]] = {}
    nodes = program.checked.nodes.values()
    convolutions = [node for node in nodes if len(node.shape) == 3 and _is_convolution(node)]
    convolved = {name for node in convolutions for name in node.inputs}
    for node in convolutions:
        module = node.facts.torch
        if not isinstance(module, TorchModule) or len(node.inputs) != 1 or not edit.is_alone(node):
            continue
        if node.name not in convolved:
            how = tuple(sorted((name, str(value)) for name, value in module.keywords.items()))
            alike.setdefault((node.inputs, module.target, how), []).append(node)
    for siblings in alike.values():
        _, *others = layers = [node.layer for node in siblings]
        if others and (layer := layers[0].abreast(others)) is not None:
            _merge(edit, siblings, layer)
    return edit.result()


def _is_convolution(node: Node) -> bool:
    return bool(node.facts.params) and node.layer.abreast([]) is not None


def _merge(edit: Edit, nodes: Sequence[Node], layer: Layer) -> None:
    first = nodes[0]
    scope = _around([node.scope for node in nodes])
    facts = layer.infer(edit.shapes(first))
    assert isinstance(first.facts.torch, TorchModule)
    assert isinstance(facts.torch, TorchModule)
    other = first.facts.other
    for node in nodes[1:]:
        other = added_up(other, node.facts.other)
    one = replace(
        first,
        name=edit.free_name(scope, "merged"),
        label="",
        layer=layer,
        scope=scope,
        # what `joining` made of it stays
        facts=facts._replace(
            torch=first.facts.torch._replace(positional=facts.torch.positional), other=other
        ),
    )
    owned = [edit.own(node) for node in nodes]
    tensors = {name: torch.cat([own[name] for own in owned]) for name in facts.params}
    edit.insert(one, first.name, tensors, edit.kind(first))
    start = 0
    for node in nodes:
        stop = start + len(edit.own(node)["weight"])
        part = SomeChannels(start=start, stop=stop)
        given = replace(
            first,
            name=edit.free_name(scope, "part"),
            label="",
            layer=part,
            inputs=(one.name,),
            scope=scope,
            facts=part.infer((one.shape,)),
        )
        edit.insert(given, node.name)
        edit.drop(node.name, given.name)
        start = stop


def _around(scopes: Sequence[Scope]) -> Scope:
    """Return the innermost scope that all of these lie in."""
    common = [*_chain(scopes[0])]
    for scope in scopes[1:]:
        names = {each.name for each in _chain(scope)}
        common = [each for each in common if each.name in names]
    return common[0]


def _chain(scope: Scope | None) -> Sequence[Scope]:
    found = []
    while scope is not None:
        found.append(scope)
        scope = scope.parent
    return found
