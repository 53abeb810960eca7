"""Makes small ONNX files, honest ones and others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 20


def weights(seed: int = 0, **shapes: Sequence[int]) -> dict[str, np.ndarray[Any, Any]]:
    """Return random weights of shapes; names have `__` for dots."""
    random = np.random.default_rng(seed)
    return {
        name.replace("__", "."): random.normal(size=shape).astype("float32") / 2
        for name, shape in shapes.items()
    }


def model(
    nodes: Sequence[onnx.NodeProto],
    tensors: Mapping[str, Any] | None = None,
    inputs: Mapping[str, Sequence[Any]] | None = None,
    outputs: Sequence[str] = ("y",),
    opset: int = OPSET,
    kind: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    """Return a model of nodes."""
    given = inputs or {"x": ["batch", 4]}
    made = helper.make_model(
        helper.make_graph(
            nodes,
            "small",
            [helper.make_tensor_value_info(name, kind, shape) for name, shape in given.items()],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            [
                numpy_helper.from_array(np.asarray(one), name)
                for name, one in (tensors or {}).items()
            ],
        ),
        opset_imports=[helper.make_opsetid("", opset)],
    )
    made.ir_version = 9
    return made


def linear() -> onnx.ModelProto:
    """Return a linear layer and what makes it positive."""
    nodes = [
        helper.make_node("Gemm", ["x", "fc.weight", "fc.bias"], ["h"], transB=1, name="/fc/Gemm"),
        helper.make_node("Relu", ["h"], ["y"], name="/act/Relu"),
    ]
    return model(nodes, weights(fc__weight=(3, 4), fc__bias=(3,)))


def saved(made: onnx.ModelProto, folder: Path, name: str = "net.onnx") -> str:
    """Write a model, and return where."""
    (folder / name).write_bytes(made.SerializeToString())
    return str(folder / name)
