"""Write a neural network as text; get exact counts, a figure and a PyTorch module.

`load` gives a `Network`, `sweep` counts its variants; `layer` registers a layer of your own.
Nothing is imported before it is used: neither torch nor networkx by a count.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from archdsl.diagnostics import ArchError, Diagnostic
    from archdsl.importing.imported import from_torch
    from archdsl.importing.keras.imported import from_keras
    from archdsl.importing.onnx.imported import from_onnx
    from archdsl.layers.base import (
        Example,
        Facts,
        Kind,
        Layer,
        LayerError,
        TorchFunction,
        TorchModule,
        Window,
    )
    from archdsl.limits import Limits
    from archdsl.network import Count, Network, load
    from archdsl.own_layers import layer
    from archdsl.variants.request import sweep
    from archdsl.version import __version__ as __version__

_HOMES = {
    "archdsl.diagnostics": ("ArchError", "Diagnostic"),
    "archdsl.importing.imported": ("from_torch",),
    "archdsl.importing.keras.imported": ("from_keras",),
    "archdsl.importing.onnx.imported": ("from_onnx",),
    "archdsl.layers.base": (
        "Example",
        "Facts",
        "Kind",
        "Layer",
        "LayerError",
        "TorchFunction",
        "TorchModule",
        "Window",
    ),
    "archdsl.limits": ("Limits",),
    "archdsl.network": ("Count", "Network", "load"),
    "archdsl.own_layers": ("layer",),
    "archdsl.variants.request": ("sweep",),
    "archdsl.version": ("__version__",),
}

__all__ = [
    "ArchError",
    "Count",
    "Diagnostic",
    "Example",
    "Facts",
    "Kind",
    "Layer",
    "LayerError",
    "Limits",
    "Network",
    "TorchFunction",
    "TorchModule",
    "Window",
    "from_keras",
    "from_onnx",
    "from_torch",
    "layer",
    "load",
    "sweep",
]


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module 'archdsl' has no attribute '{name}'")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
