"""Every network of the library is described, counted, compiled and compared with torch."""

from __future__ import annotations

import re

import pytest
from library import FILES, NETWORKS, complete, sampled

from archdsl.analysis.report import report
from archdsl.backends.table import render
from archdsl.backends.torch_module import torch_module, verify
from archdsl.cli import run
from archdsl.elaborate.network import open_parameters


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
        without = any(spec is FILES[stem] for stem in ("blocks", "dcgan", "ddpm"))
        assert "vocabulary" in taken or without or name == "nin_cifar100"
        return
    if any(spec is FILES[stem] for stem in ("efficientdet", "retinanet", "yolov8")):
        return  # they give boxes too

    graph = spec.graph(name, {"classes": 7})

    assert [graph.nodes[output.node].shape[0] for output in graph.outputs] == [7] * len(
        graph.outputs
    )


@pytest.mark.parametrize("name", sampled())
def test_agrees_with_torch(name: str) -> None:
    """In shapes alone; `test_every_spec.py` compares numbers, of images that may be smaller."""
    graph = NETWORKS[name].graph(name)

    found = verify(torch_module(graph, device="meta"), graph, "meta")

    assert found.agrees, (found.disagreeing, found.differing)
