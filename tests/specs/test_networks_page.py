"""`docs/networks.md` is what the specs say today."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def networks(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(DOCS))
    for name in ("networks", "scatter"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("networks")


@pytest.mark.slow
def test_page_and_plot_are_up_to_date(networks: ModuleType) -> None:
    assert networks.page() == networks.PAGE.read_text(encoding="utf-8")
    assert networks.plot() == (networks.PICTURES / "plot.svg").read_text(encoding="utf-8")


def test_every_network_has_its_diagram(networks: ModuleType) -> None:
    pictures = re.findall(r"\]\((networks/\w+\.svg)\)", networks.PAGE.read_text(encoding="utf-8"))

    assert [f"networks/{name}.svg" for _, name in networks.library()] == pictures[1:]
    assert all((DOCS / picture).exists() for picture in pictures)


def test_a_label_never_lies_on_another(networks: ModuleType) -> None:
    crowd = [networks.Point(f"network{n}", "group", 10**6 + n, 10**6 + n) for n in range(20)]

    drawn = networks.scatter(crowd, "x", "y")

    assert drawn.count("<circle") == 20
    labels = re.findall(r'<text x="([\d.]+)" y="([\d.]+)" [^>]*fill="#0072b2"', drawn)
    assert 1 < len(labels) < 20
    assert len(set(labels)) == len(labels)
