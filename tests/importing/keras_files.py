"""Configs of Keras: those that Keras wrote, and small ones, honest and others."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent / "keras_models"


def unpacked(archive: str, name: str, folder: Path) -> Path:
    """Write a file that Keras made into a folder, and return where."""
    with tarfile.open(HERE / f"{archive}.tar.xz") as held:
        member = held.extractfile(name)
        assert member is not None
        (folder / name).write_bytes(member.read())
    return folder / name


def layer(kind: str, name: str, *reads: str, **config: Any) -> dict[str, Any]:
    """Return a layer as Keras 3 writes it, called on what others give."""
    return {
        "module": "keras.layers",
        "class_name": kind,
        "config": {"name": name, **config},
        "registered_name": None,
        "name": name,
        "inbound_nodes": [{"args": [tensors(*reads)], "kwargs": {}}] if reads else [],
    }


def tensors(*names: str) -> Any:
    """Return what a layer is called on, as Keras 3 writes it."""
    found = [
        {"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, 0]}}
        for name in names
    ]
    return found[0] if len(found) == 1 else found


def start(name: str = "x", *sizes: int | None, **config: Any) -> dict[str, Any]:
    """Return an input."""
    return layer("InputLayer", name, batch_shape=[None, *(sizes or (8, 8, 3))], **config)


def model(*layers: Mapping[str, Any], outputs: Any = None, inputs: Any = None) -> dict[str, Any]:
    """Return a model of layers; it gives what the last one does."""
    return {
        "module": "keras.src.models.functional",
        "class_name": "Functional",
        "config": {
            "name": "net",
            "layers": [*layers],
            "input_layers": inputs or [layers[0]["name"], 0, 0],
            "output_layers": outputs or [layers[-1]["name"], 0, 0],
        },
        "registered_name": "Functional",
    }


def saved(made: Any, folder: Path, name: str = "net.json") -> str:
    """Write a model, or bytes, and return where."""
    path = folder / name
    path.write_bytes(made if isinstance(made, bytes) else json.dumps(made).encode())
    return str(path)


def sequence(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Return a sequential model as Keras 2 writes it."""
    held = [{"class_name": one["class_name"], "config": one["config"]} for one in layers]
    return {
        "class_name": "Sequential",
        "config": {"name": "net", "layers": held},
        "keras_version": "2.11.0",
        "backend": "tensorflow",
    }
