"""Loads specs that are written in a test, and runs their compiled form."""

from __future__ import annotations

from pathlib import Path

from archdsl.backends.python_source import generate
from archdsl.backends.torch_module import Verification, torch_module, verify
from archdsl.graph import CheckedGraph
from archdsl.pipeline import Spec


def load(folder: Path, text: str) -> CheckedGraph:
    """Return the graph of a spec given as text."""
    path = folder / "net.arch"
    path.write_text(text)
    return Spec(str(path)).graph()


def verified(checked: CheckedGraph) -> tuple[str, Verification]:
    """Return the source of a network and how it compares with torch, node by node."""
    generated = generate(checked)
    module = torch_module(checked, generated)
    return generated.text, verify(module, checked, moved=generated.moved)
