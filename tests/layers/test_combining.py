"""Comparisons and choices: kinds of numbers that differ by input, masks, and messages."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch_facts import Built

from archdsl.backends.torch_module import run_once, torch_module, verify
from archdsl.diagnostics import ArchError
from archdsl.graph import CheckedGraph
from archdsl.layers.arithmetic import CumSum, Normalize, Std, Var
from archdsl.layers.base import Dtype, Layer, LayerError, WrongDtype
from archdsl.layers.combining import Div, Greater, MaskedFill, Where
from archdsl.layers.functions import Clamp, Pow, Shift
from archdsl.pipeline import Spec


@pytest.mark.parametrize(
    ("layer", "held", "given"),
    [
        (Where(), ("bool", "int", "float"), "float"),
        (Where(), ("bool", "bool", "int"), "int"),
        (Div(), ("int", "int"), "float"),
        (Greater(), ("int", "float"), "bool"),
        (MaskedFill(value=0), ("float", "bool"), "float"),
        (Pow(exponent=2), ("int",), "int"),
        (Pow(exponent=0.5), ("int",), "float"),
        (Shift(amount=-1), ("bool",), "int"),
        (Clamp(max=0.5), ("int",), "float"),
    ],
)
def test_kinds_of_numbers(layer: Layer, held: tuple[Dtype, ...], given: Dtype) -> None:
    assert layer.dtype(held) == given


@pytest.mark.parametrize(
    ("layer", "held", "position", "reason"),
    [
        (Where(), ("float", "float", "float"), 0, "takes a condition of booleans"),
        (MaskedFill(value=0), ("float", "int"), 1, "takes a mask of booleans, as `Greater\\(0\\)`"),
        (MaskedFill(value=0), ("int", "bool"), 0, "fills a tensor of floats"),
        (Pow(exponent=-1), ("int",), 0, "raises to the power of -1, so it takes floats"),
    ],
)
def test_kinds_that_cant_be_taken(
    layer: Layer, held: tuple[Dtype, ...], position: int, reason: str
) -> None:
    with pytest.raises(WrongDtype, match=reason) as raised:
        layer.dtype(held)
    assert raised.value.position == position


@pytest.mark.parametrize(
    ("layer", "shapes", "reason"),
    [
        (Greater(), ((3, 4),), "compares two tensors, or one with a number"),
        (Greater(number=1), ((3, 4), (3, 4)), "takes one tensor"),
        (MaskedFill(value=0), ((3, 1), (3, 4)), "has a mask of more places"),
        (Clamp(), ((3,),), "needs `min` or `max`"),
        (Var(dim=1), ((1, 4),), "needs more than correction = 1"),
        (Std(dim=(1, 2), correction=12), ((3, 4),), "the variance of 12 numbers"),
        (CumSum(dim=0), ((3, 4),), "the batch"),
        (Normalize(dim=3), ((3, 4),), "dims 1 to 2"),
    ],
)
def test_what_cant_be_taken_is_explained(
    layer: Layer, shapes: tuple[tuple[int, ...], ...], reason: str
) -> None:
    with pytest.raises(LayerError, match=reason):
        layer.infer(shapes)


def test_normalized_vectors_are_those_of_torch() -> None:
    x = torch.randn(2, 5, 3)
    for layer in (Normalize(), Normalize(p=1, dim=-1, eps=0.5), Normalize(p=3.0, dim=(1, 2))):
        expected = torch.nn.functional.normalize(x, layer.p, layer.dim, layer.eps)
        assert torch.equal(Built(layer.infer(((5, 3),)).torch)(x), expected)


def checked(folder: Path, text: str) -> CheckedGraph:
    path = folder / "net.arch"
    path.write_text(text)
    return Spec(str(path)).graph()


def test_an_input_that_is_a_mask_holds_booleans(tmp_path: Path) -> None:
    text = """network net {
      input image: [4, 4]
      input mask: [1, 4]
      from mask -> Transpose(1, 2) -> turned: Transpose(1, 2)
      from image, turned -> MaskedFill(-1e9) -> Softmax(-1)
    }"""
    graph = checked(tmp_path, text)

    assert graph.dtype("mask") == graph.dtype("turned") == "bool"
    module = torch_module(graph)
    run_once(module, graph)
    assert verify(module, graph).agrees


def test_an_input_cant_be_mask_and_numbers(tmp_path: Path) -> None:
    text = """network net {
      input x: [4]
      from x, x -> MaskedFill(0)
    }"""
    with pytest.raises(ArchError, match="fills a tensor of floats, and booleans come in"):
        checked(tmp_path, text)
