"""The network that an exporter gets: the compiled one, but for layers that it can't follow.

A layer says what stands for it (`Layer.exported`). Such a network is written and run as every
other one, from a graph in which those layers have other facts.
"""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from archdsl.backends.export.comparing import dtype_of
from archdsl.backends.torch_module.building import torch_module
from archdsl.graph import CheckedGraph, Node
from archdsl.layers.base import Form


def exported(module: nn.Module, checked: CheckedGraph, form: Form) -> nn.Module:
    """Return the module that the exporter gets, with the same numbers; maybe the module itself."""
    nodes = {name: _exported(node, checked, form) for name, node in checked.nodes.items()}
    if all(nodes[name] is node for name, node in checked.nodes.items()):
        return module
    # what the network's arguments are needs no other look at the spec: there is none of these facts
    other = replace(checked, nodes=nodes, again=None)
    tensor = next(iter(module.state_dict().values()), None)
    place = tensor.device if tensor is not None else "cpu"
    made = torch_module(other, device=place, dtype=dtype_of(module))
    made.load_state_dict(module.state_dict())
    return made.train(module.training)


def _exported(node: Node, checked: CheckedGraph, form: Form) -> Node:
    shapes = tuple(checked.nodes[read].shape for read in node.inputs)
    torch = node.layer.exported(shapes, form)
    return node if torch is None else replace(node, facts=node.facts._replace(torch=torch))
