"""What tests of the language share: texts that are worked out, and the graphs that come of them."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from shown import Arch, Stages, Value, Wrong, lines

from archdsl.diagnostics import ArchError, Diagnostic
from archdsl.graph import CheckedGraph
from archdsl.pipeline import Spec


@pytest.fixture
def arch(tmp_path: Path) -> Arch:
    """Return the graph of a text; `network` names one of several, the rest are its parameters."""

    def work_out(text: str, network: str | None = None, **parameters: object) -> CheckedGraph:
        path = tmp_path / "spec.arch"
        path.write_bytes(dedent(text).encode())
        spec = Spec(str(path))
        name = network or spec.network
        return spec.graph(name, spec.values(name, parameters))

    return work_out


@pytest.fixture
def stages(arch: Arch) -> Stages:
    """Return what the statements of a network with one input come to, a line for each node.

    The network is `input image: [4, 8, 8]` and the statements; blocks and so on go to `others`.
    """

    def work_out(body: str, others: str = "", size: str = "[4, 8, 8]") -> list[str]:
        text = f"network n {{\ninput image: {size}\n{dedent(body)}\n}}\n{dedent(others)}"
        return lines(arch(text))[1:]

    return work_out


@pytest.fixture
def wrong(arch: Arch) -> Wrong:
    """Return what is wrong with a text."""

    def find(text: str, network: str | None = None, **parameters: object) -> list[Diagnostic]:
        with pytest.raises(ArchError) as error:
            arch(text, network, **parameters)
        return list(error.value.diagnostics)

    return find


@pytest.fixture
def value(arch: Arch) -> Value:
    """Return the value of an expression; `others` are items of the file that it may use."""

    def work_out(expression: str, others: str = "") -> object:
        graph = arch(
            f"network net(it = {expression}) {{\ninput x: [1]\nIdentity\n}}\n{dedent(others)}"
        )
        return graph.arguments["it"]

    return work_out
