"""Modules and inputs that can't be brought in are said in words of their own."""

from __future__ import annotations

from typing import Any

import modules
import pytest
import torch
from torch import nn

import archdsl
from archdsl.importing.errors import ImportingError


def exits(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    raise SystemExit(0)


def twice(x: torch.Tensor, y: torch.Tensor) -> Any:
    return y, y


def back(x: torch.Tensor, y: torch.Tensor) -> Any:
    return x, y


HERE = torch.zeros(2, 4)
CASES: dict[str, tuple[nn.Module, Any, str]] = {
    "lazy": (nn.Sequential(nn.LazyLinear(3)), HERE, "a parameter without a shape, `0.weight`"),
    "exits": (modules.Of(exits), HERE, "fails with SystemExit: 0"),
    "array": (modules.Of(twice), HERE.numpy(), "input 1 is ndarray"),
    "nothing": (modules.Of(twice), None, "input 1 is NoneType"),
    "nothing in a list": (modules.Of(twice), [HERE, None], "input 2 is NoneType"),
    "twice": (modules.Of(twice), HERE, "an output that is given twice"),
    "back": (modules.Of(back), HERE, "an output that gives what came in"),
    "infinity": (modules.Of(lambda x, y: y * torch.inf), HERE, "`mul` with infinity"),
    "no number": (
        modules.Of(lambda x, y: y.masked_fill(x > 0, torch.nan).exp()),
        HERE,
        "`masked_fill` with infinity or NaN",
    ),
    "a constant with no number": (
        modules.Of(lambda x, y: y + torch.tensor([1.0, 2.0, torch.nan, 4.0])),
        HERE,
        "a constant that holds NaN",
    ),
    "joined with numbers for each sample": (
        modules.Of(lambda x, y: torch.cat([x, torch.arange(8.0).view(2, 4)], 1)),
        HERE,
        "a tensor of the module with other numbers for each sample",
    ),
    "double": (nn.Sequential(nn.Linear(4, 4)).double(), HERE.double(), "parameters of float64"),
    "half": (nn.Sequential(nn.Linear(4, 4)).bfloat16(), HERE.bfloat16(), "of bfloat16, as `0.w"),
}


@pytest.mark.parametrize("name", CASES)
def test_odd_modules_and_inputs_are_said(name: str) -> None:
    module, given, said = CASES[name]

    with pytest.raises(ImportingError, match=said):
        _ = archdsl.from_torch(module, given).spec
