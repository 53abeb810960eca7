"""Names and shapes in the state_dict, and shapes of layers, are those of the published networks.

All of it follows from the graph: no module is compiled here.
"""

from __future__ import annotations

import re
from collections.abc import Container
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from twins import SPECS, TWINS, draw

from archdsl.analysis.state import state_dict
from archdsl.graph import CheckedGraph
from archdsl.pipeline import Spec

# Copied from packages that can't be installed beside today's torch, pretrainedmodels 0.7.4 and
# facenet-pytorch 2.6.0, and from those that are large or bring many others, transformers 5.24.0,
# diffusers 0.42.1, ultralytics 8.4.190 and effdet 0.4.1: `name<tab>shape`, in order.
LISTS = {
    "bert_base": "bert.arch",
    "bn_inception": "bn_inception.arch",
    "ddpm_cifar10_32": "ddpm.arch",
    "gpt2": "gpt2.arch",
    "inception_resnet_v1": "inception_resnet.arch",
    "llama_3_8b": "llama.arch",
    "t5_small_encoder": "t5.arch",
    "tf_efficientdet_d0": "efficientdet.arch",
    "yolov8n": "yolov8.arch",
}


# Layers whose weights are handed to a function there, so that nobody sees what they give, or that
# have the windows in the batch.
FUNCTIONAL = {
    "davit.arch": r"\.attn\.",
    "mobilevit.arch": r"\.transformer\.|\.1\.norm$",
    "swin_v2.arch": r"\.attn\.proj",
    "swin3d.arch": r"\.attn\.",
}


def listed(name: str) -> list[tuple[str, tuple[int, ...]]]:
    """Return a list that was copied from another package."""
    lines = (Path(__file__).parent / "state_dicts" / f"{name}.txt").read_text().splitlines()
    pairs = [line.split("\t") for line in lines]
    return [
        (key, () if shape == "scalar" else tuple(map(int, shape.split("x"))))
        for key, shape in pairs
    ]


@pytest.mark.parametrize("name", TWINS)
def test_same_as_the_twin(name: str) -> None:
    graph, other = TWINS[name].graph(), TWINS[name].other("meta")

    expected = [(key, tuple(tensor.shape)) for key, tensor in other.state_dict().items()]
    assert list(state_dict(graph).items()) == expected
    apart = FUNCTIONAL.get(TWINS[name].file)
    ours = {
        key: shape
        for key, shape in layer_shapes(graph).items()
        if not apart or not re.search(apart, key)
    }
    assert ours == layer_shapes_of(other, graph, ours)


@pytest.mark.parametrize("name", LISTS)
def test_same_as_the_list(name: str) -> None:
    graph = Spec(str(SPECS / LISTS[name])).graph(name)

    assert list(state_dict(graph).items()) == listed(name)


def layer_shapes(graph: CheckedGraph) -> dict[str, tuple[Any, ...]]:
    """Return the shape after each layer with parameters that runs at inference."""
    return {
        node.name: tuple(node.shape if node.facts.batched else node.shape[1:])
        for node in graph.nodes.values()
        if node.inputs and node.facts.params and not node.shares
        if node.name not in graph.training_only
    }


def layer_shapes_of(
    module: nn.Module, graph: CheckedGraph, names: Container[str]
) -> dict[str, tuple[int, ...]]:
    """Return the same of the layers of a module, measured, for the inputs of the graph."""
    shapes: dict[str, tuple[int, ...]] = {}

    def keep(name: str, output: Any) -> None:
        tensor = output[0] if isinstance(output, tuple) else output  # attention gives weights too
        shapes.setdefault(name, tuple(tensor.shape[1:]))  # of those that run again, the first

    for name, layer in module.named_modules():
        if name in names:
            layer.register_forward_hook(lambda _, inputs, output, name=name: keep(name, output))
    sizes = [[int(str(size)) for size in shape] for shape in graph.inputs.values()]
    with torch.device("meta"), torch.no_grad():
        module(*draw(1, sizes))
    return shapes
