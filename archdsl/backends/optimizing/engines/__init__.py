"""The engines that can run a network: one a file."""

from __future__ import annotations

from collections.abc import Mapping

from archdsl.backends.optimizing.engines.base import Engine, EngineFailed, Place, Runs
from archdsl.backends.optimizing.engines.eager import Eager
from archdsl.backends.optimizing.engines.graphs import Graphs
from archdsl.backends.optimizing.engines.inductor import Inductor
from archdsl.backends.optimizing.engines.native import Native
from archdsl.backends.optimizing.engines.onnxruntime import OnnxRuntime
from archdsl.backends.optimizing.engines.openvino import OpenVino
from archdsl.backends.optimizing.engines.tensorrt import TensorRT

__all__ = ["ENGINES", "Engine", "EngineFailed", "Place", "Runs"]

ENGINES: Mapping[str, Engine] = {
    engine.name: engine
    for engine in (Eager(), Native(), Graphs(), Inductor(), OnnxRuntime(), OpenVino(), TensorRT())
}
