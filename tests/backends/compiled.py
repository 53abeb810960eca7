"""Loads specs that are written in a test, and runs their compiled form."""

from __future__ import annotations

import ast
import subprocess
import sys
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


def parameters(text: str, name: str, method: str = "__init__") -> list[str]:
    """Return the names that a method of a class takes, less `self`."""
    (found,) = (
        inner.args.args
        for outer in ast.parse(text).body
        if isinstance(outer, ast.ClassDef) and outer.name == name
        for inner in outer.body
        if isinstance(inner, ast.FunctionDef) and inner.name == method
    )
    return [each.arg for each in found[1:]]


def require_success(*module: str) -> None:
    """Run a module of Python with arguments, and fail with what it says where it fails."""
    done = subprocess.run([sys.executable, "-m", *module], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
