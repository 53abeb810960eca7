"""The table of operators: what each of ONNX becomes in torch. A new one is an entry in a family."""

from __future__ import annotations

from archdsl.importing.onnx import computing, recurrent, shapes, windows

OPERATORS = {**computing.ENTRIES, **shapes.ENTRIES, **windows.ENTRIES, **recurrent.ENTRIES}
