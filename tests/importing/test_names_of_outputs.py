"""Tensors that a module gives by name are told apart, whatever they are called there."""

from __future__ import annotations

import modules
import pytest
import torch
from torch import nn

import archdsl

NAMES = {
    "numbers": ("0", "1", "2"),
    "those of its layers": ("c", "b", "a"),
    "words of the language": ("in", "output", "add"),
    "alike when written": ("x-y", "x_y", "x.y"),
    "numbers as they are written": ("_0", "0", "_0_"),
    "those of layers of the language": ("Linear", "residual", "image"),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", [modules.Several, modules.Takes])
def test_tensors_given_by_name_are_told_apart(name: str, kind: type[nn.Module]) -> None:
    torch.manual_seed(0)

    network = archdsl.from_torch(kind(NAMES[name]), torch.randn(2, 4))

    assert network.proof.sentence().endswith("outputs equal")
