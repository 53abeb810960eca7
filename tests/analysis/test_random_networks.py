"""Counts, peaks and receptive fields of random networks of two inputs, against torch."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from itertools import product
from pathlib import Path
from random import Random

import pytest
import torch

import archdsl
from archdsl import ArchError
from archdsl.analysis.cost import cost
from archdsl.analysis.memory import memory
from archdsl.analysis.receptive_field import receptive_fields
from archdsl.analysis.training import Options
from archdsl.backends.table import as_data, render
from archdsl.backends.torch_module.verifying import macs_of
from archdsl.counting import count
from archdsl.layers.base import Facts, numel

STAGES = (
    "Conv2d({a}, [{b}, {c}], stride = [{c}, {a}], padding = {d}, dilation = [{a}, {b}])",
    'Conv2d({a}, {b}, stride = {c}, padding = "same")',
    "Conv2d(2 * in.channels, {b}, groups = in.channels, bias = false)",
    "ConvTranspose2d({a}, [{b}, {c}], stride = [{c}, {b}], padding = {d}, dilation = {a})",
    "AvgPool2d([{b}, {c}], stride = {a}, ceil_mode = true)",
    "MaxPool2d({b}, stride = {c}, dilation = {a})",
    'MaxPool2d([{b}, {c}], stride = {a}, padding = "same")',
    'AvgPool2d({b}, stride = [{a}, {c}], padding = "same")',
    "AdaptiveAvgPool2d([{a}, {b}])",
    "Upsample(scale_factor = {b})",
    'Interpolate(size = [{b}, {c}], mode = "bilinear")',
    "ZeroPad2d([{d}, {a}, {b}, {d}])",
    "Slice({d}, none, step = {b}, dim = {c})",
    "PixelUnshuffle({b})",
    "Mean([2, 3], keepdim = true)",
    "Linear({a})",
    "GroupNorm(1)",
    "MultiheadAttention({a})",
    "Flatten({b})",
)
MERGES = ("concat", "concat(dim = {b})", "add", "mul")


def grown(folder: Path, random: Random) -> archdsl.Network:
    """Add stages that read any of those before; what can't take its input is left out."""
    shape = [random.randint(1, 4), random.randint(5, 10), random.randint(5, 10)]
    head = f"input x: {shape}\ninput y: {shape}\n"
    labels, lines, read = ["x", "y"], [""], set()

    def load(lines: list[str], outputs: list[str]) -> archdsl.Network:
        ends = "\n".join(f"output o_{label} {{ from {label} }}" for label in outputs)
        path = folder / "n.arch"
        path.write_text(f"network n {{\n{head}" + "\n".join(lines) + f"\n{ends}\n}}\n")
        return archdsl.load(path)

    for number in range(10):
        label = f"n{number}"
        sizes = {name: random.randint(1, 3) for name in "abc"} | {"d": random.randint(0, 1)}
        wanted = random.choices(labels, k=random.randint(1, 2))
        if len(wanted) == 1:
            line = f"from {wanted[0]} -> {label}: {random.choice(STAGES)}".format(**sizes)
        else:
            arms = " ".join(f"branch {{ from {one} }}" for one in wanted)
            line = f"{label}: {random.choice(MERGES).format(**sizes)} {{ {arms} }}"
        try:
            load([*lines, line], [*labels, label])
        except ArchError:
            continue
        lines.append(line)
        labels.append(label)
        read.update(wanted)
    return load(lines, [label for label in labels if label not in read])


@pytest.mark.parametrize("seed", range(12))
def test_counts_peaks_and_fields(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    network = grown(tmp_path, random)
    checked = network.checked
    module = network.compile(dtype="float64").eval()
    inputs = [
        torch.rand(1, *checked.inputs[name], dtype=torch.double, requires_grad=True)
        for name in "xy"
    ]

    results = module(*inputs)
    results = results if isinstance(results, tuple) else (results,)

    assert macs_of(lambda: module(*inputs)) == network.count().macs
    assert memory(checked, cost(checked)).peak == simulated_peak(network)
    for output, result in zip(checked.outputs, results, strict=True):
        assert tuple(result.shape[1:]) == checked.nodes[output.node].shape
        for place in random.sample(places := [*product(*map(range, result.shape[2:]))], k=1):
            chosen = result[(0, slice(None), *place)].sum()
            sees(network, output.node, place if len(places[0]) == 2 else None, chosen, inputs)


def sees(
    network: archdsl.Network,
    node: str,
    place: tuple[int, ...] | None,
    chosen: torch.Tensor,
    inputs: list[torch.Tensor],
) -> None:
    """Check that gradients of a place come from within its field, and only from there."""
    if not chosen.requires_grad:
        return
    gradients = torch.autograd.grad(chosen, inputs, retain_graph=True, allow_unused=True)
    for name, gradient in zip("xy", gradients, strict=True):
        fields = receptive_fields(network.checked, name).get(node)
        if fields is None:
            assert gradient is None or not gradient.any()
            continue
        for axis, field in enumerate(fields):
            if gradient is None or (place is None and not field.whole):
                continue
            seen = gradient[0].abs().sum(0).sum(1 - axis).nonzero().flatten().tolist()
            whole = field.whole or place is None or field.stride is None
            reach = field.reaches[0] if whole else field.reach(place[axis])
            assert all(reach.start <= at < reach.end for at in seen if reach.start is not None)


def simulated_peak(network: archdsl.Network) -> int:
    """Walk the NetworkX graph: before each node, what it and those after it need is held.

    So is what stands inside the node.
    """
    graph, nodes = network.graph, network.checked.nodes
    order = list(graph)
    lies_in: dict[str, str] = {}
    for name in order:
        view = nodes[name].facts.view
        lies_in[name] = lies_in[next(iter(graph.predecessors(name)))] if view else name
    outputs = {lies_in[output.node] for output in network.checked.outputs}
    most = 0
    for at, name in enumerate(order):
        needed = {lies_in[name], *outputs}
        for later in order[at:]:
            needed |= {lies_in[read] for read in graph.predecessors(later)}
        held = {lies_in[before] for before in order[: at + 1]} | {"x", "y"} if at else set()
        inside = nodes[name].facts.inside
        most = max(most, 4 * inside + sum(4 * numel(nodes[one].shape) for one in held & needed))
    return most


REPEATED = """network n {{
  input x: [4, 9, 9]
  Conv2d(4, 3, stride = 2, padding = 1)
  repeat {turns} {{ {body} }}
  tied: Conv2d(4, 3, padding = 1)
  repeat {turns} {{ Conv2d(4, 3, padding = 1, weight = from tied.weight) -> reuse tied }}
  output aside when training {{ repeat {turns} {{ Conv2d(4, 1) -> ReLU }} }}
}}
block B {{ residual {{ Conv2d(4, 1) -> BatchNorm2d -> ReLU }} }}
"""


@pytest.mark.parametrize("depth", [None, 1])
def test_rows_of_nodes_that_share_what_is_known_of_them(tmp_path: Path, depth: int | None) -> None:
    random = Random(depth or 0)
    stages = ["Conv2d(4, 3, padding = 1)", "BatchNorm2d", "ReLU", "B", "{ Dropout(0.5) }"]
    stages += ["AvgPool2d(3, 1, 1)", "Upsample(scale_factor = 2) -> MaxPool2d(2)"]
    for _ in range(6):
        body = " -> ".join(random.choices(stages, k=random.randint(1, 3)))
        (tmp_path / "n.arch").write_text(REPEATED.format(turns=random.randint(2, 6), body=body))
        checked = archdsl.load(tmp_path / "n.arch").checked
        # the same network, in which each node has all of it for itself
        apart = replace(
            checked,
            nodes={
                name: replace(node, layer=copy(node.layer), facts=Facts(*node.facts))
                for name, node in checked.nodes.items()
            },
        )
        for options in (None, Options(batch=2, optimizer="adam")):
            one, other = (
                count(each, depth, freeze="0.*", options=options) for each in (checked, apart)
            )
            assert as_data(one) == as_data(other)
            assert render([one]) == render([other])
