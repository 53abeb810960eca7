"""Writes a checked graph as Python that reads as if it were written by hand."""

from __future__ import annotations

from archdsl.backends.python_source.errors import CompileError
from archdsl.backends.python_source.module import PythonSource, generate, is_generated
from archdsl.graph import CheckedGraph

__all__ = ["CompileError", "PythonSource", "generate", "is_generated", "python_source"]


def python_source(checked: CheckedGraph) -> str:
    """Return one Python file with the network as classes of torch.

    Raises:
        CompileError: a label is one that torch keeps for itself, a layer's size is free, or
            nothing is computed outside of training.
    """
    return generate(checked).text
