"""Every network of the library that can be taken as it is: all its parameters have values."""

from __future__ import annotations

from pathlib import Path

from archdsl.elaborate.network import open_parameters
from archdsl.pipeline import Spec

SPECS = Path(__file__).parents[2] / "specs"


def complete(spec: Spec) -> list[str]:
    return [
        name
        for name in spec.networks
        if all(parameter.default is not None for parameter in open_parameters(spec.file, name))
    ]
