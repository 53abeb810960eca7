"""Every network of the library is described, counted, compiled and compared with torch."""

from __future__ import annotations

import re

import pytest
from library import SPECS, complete

from archdsl.analysis.report import report
from archdsl.backends.table import render
from archdsl.backends.torch_module import torch_module, verify
from archdsl.cli import run
from archdsl.elaborate.network import open_parameters
from archdsl.pipeline import Spec

FILES = {file.stem: Spec(str(file)) for file in sorted(SPECS.glob("*.arch"))}
NETWORKS = {name: spec for spec in FILES.values() for name in complete(spec)}

# Real tensors for the small ones; the others are compared on "meta", where there are only shapes.
SMALL = {"lenet5", "nin", "resnet_cifar", "blocks", "mobilenet_v1"}
LARGE = {"aspp", "resnet1202", "resnet110", "resnet18_cifar"}
# One of each file is always compared
QUICK = {
    "alexnet",
    "bert_base",
    "bn_inception",
    "convnext_tiny",
    "deeplabv3_resnet50",
    "densenet40_k12",
    "efficientnet_b0",
    "googlenet",
    "gpt2",
    "inception_v3",
    "mobilenet_v1_025",
    "mobilenet_v2",
    "nin_cifar10",
    "resnet18",
    "resnet20",
    "resnext50_32x4d",
    "shufflenet_v2_x1_0",
    "vgg16",
    "vit_b_16",
    "xception",
    "zfnet",
    *complete(FILES["blocks"]),
    *complete(FILES["lenet5"]),
}


COMPARED = [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in NETWORKS]


def test_command_counts_every_file(capsys: pytest.CaptureFixture[str]) -> None:
    status = run(["count", *(spec.file.source.path for spec in FILES.values())])

    assert status == 0
    assert len(capsys.readouterr().out.splitlines()) == 2 + len(FILES)


def test_every_file_has_networks() -> None:
    for name, spec in FILES.items():
        assert complete(spec), name


@pytest.mark.parametrize("name", NETWORKS)
def test_described_and_counted(name: str) -> None:
    graph = NETWORKS[name].graph(name)

    assert re.search(r"[12][09]\d\d", graph.description), "the year"
    assert "arXiv:" in graph.description or "not on arXiv" in graph.description
    assert name in render([report(graph)], "table")


@pytest.mark.parametrize("name", NETWORKS)
def test_takes_the_number_of_classes(name: str) -> None:
    spec = NETWORKS[name]
    taken = [parameter.name for parameter in open_parameters(spec.file, name)]
    if "classes" not in taken:
        assert "vocabulary" in taken or spec is FILES["blocks"] or name == "nin_cifar100"
        return

    graph = spec.graph(name, {"classes": 7})

    assert [graph.nodes[output.node].shape[0] for output in graph.outputs] == [7] * len(
        graph.outputs
    )


@pytest.mark.parametrize("name", COMPARED)
def test_agrees_with_torch(name: str) -> None:
    graph = NETWORKS[name].graph(name)
    small = any(name in complete(FILES[file]) for file in SMALL) and name not in LARGE
    device = "cpu" if small else "meta"

    found = verify(torch_module(graph, device=device), graph, device)

    assert found.agrees, (found.disagreeing, found.differing)
