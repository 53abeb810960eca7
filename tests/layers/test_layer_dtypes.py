"""What kinds of numbers every layer takes and gives, against torch.

A new layer is covered as soon as it is declared: what it accepts runs in torch and gives the kind
that it says, and what it refuses torch refuses as well, but for the rules listed here.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from itertools import product

import pytest
import torch
from torch_facts import MODES, TORCH, Built, is_lacking, tensors

from archdsl.backends.torch_module.verifying import dtype_kind
from archdsl.layers.base import (
    DTYPES,
    ArgumentErrors,
    Dtype,
    Example,
    Kind,
    Layer,
    LayerError,
    WrongDtype,
    construct,
    numel,
)
from archdsl.layers.registry import Registry

REGISTRY = Registry()
KINDS = [*REGISTRY.values(), *map(REGISTRY.word, ("concat", "add", "sub", "mul"))]
MOST_COMBINED = 2  # inputs whose kinds are combined; of more they are all the same
SMALL = 4_000

# What is refused though torch takes it on a CPU, by layer and kind, with the reason.
ON_CPU_ONLY = "a GPU refuses it"
ROUNDS = "the averages inside, and with them the result, would be rounded"
STRICTER = {
    r"(Max|Avg)Pool\dd of int": ON_CPU_ONLY,
    r"MatMul of int, int": ON_CPU_ONLY,
    r"Fold of bool": "sums of booleans are no booleans",
    r"Einsum of (int|bool)(, .*)?|Einsum of float, (int|bool)": ON_CPU_ONLY,
    r"Re(flection|plication)Pad\dd of (int|complex)": ON_CPU_ONLY,
    r"(LPPool\dd|LocalResponseNorm|Subsampling) of (int|bool)": ROUNDS,
    r"(Hardtanh|Threshold) of int": "torch rounds the bounds without a word",
    r"MaskedFill of (int|bool), bool": "torch rounds the value without a word",
    r"(ConstantPad\dd|Pad) of (int|bool)": "torch rounds the value without a word",
    # layers of one's own alone make complex numbers, so what takes them is up to what needs it
    r".* of .*complex.*": "complex numbers are taken where a rule says so",
}


def uses(kind: type[Layer]) -> Iterator[tuple[Layer, Example]]:
    """Yield the layer of each example, and with each other value of one argument."""
    small = [example for example in kind.examples if sum(map(numel, example.inputs)) <= SMALL]
    for example in small or kind.examples[:1]:
        changes: list[dict[str, object]] = [{}]
        for name, field in kind.model_fields.items():
            for each in field.metadata:
                if isinstance(each, Kind):
                    changes += ({name: value} for value in each.samples)
        for change in changes:
            try:
                layer = construct(kind, {**example.arguments, **change})
                layer.infer(example.inputs)
            except (ArgumentErrors, LayerError):
                continue
            yield layer, example


def combinations(count: int) -> list[tuple[Dtype, ...]]:
    if count <= MOST_COMBINED:
        return list(product(DTYPES, repeat=count))
    return [(held,) * count for held in DTYPES]


def given(layer: Layer, example: Example, held: tuple[Dtype, ...]) -> set[str]:
    """Return the kinds of numbers that torch gives in all modes; "refused" where it gives none."""
    module = Built(layer.infer(example.inputs).torch)
    found: set[str] = set()
    for batch, training in MODES:
        module.train(training)
        try:
            with torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found.add(dtype_kind(module(*tensors(example.inputs, held, batch)).dtype))
        except Exception:
            found.add("refused")
    return found


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_torch_takes_and_gives_the_same(kind: type[Layer]) -> None:
    wrong: list[str] = []
    accepted = 0
    for layer, example in uses(kind):
        if is_lacking(layer.infer(example.inputs).torch):
            continue
        for held in combinations(len(example.inputs)):
            use = f"{layer} of {', '.join(held)}"
            found = given(layer, example, held)
            try:
                said = layer.dtype(held)
            except WrongDtype:
                short = f"{kind.__name__} of {', '.join(held)}"
                if len(found - {"refused"}) == len(found) == 1 and not stricter(short):
                    wrong.append(f"{use}: refused, and torch gives {found}")
            else:
                accepted += 1
                if found != {said}:
                    wrong.append(f"{use}: said to give {said}, and in torch {found}")
    assert accepted
    assert not wrong, "\n".join([f"{len(wrong)} differ", *wrong[:5]])


def stricter(use: str) -> bool:
    return any(re.fullmatch(pattern, use) for pattern in STRICTER)


def test_every_rule_that_is_stricter_has_a_layer() -> None:
    for pattern in STRICTER:
        name, _, _ = pattern.partition(" of ")
        assert any(re.fullmatch(name, kind.__name__) for kind in KINDS), pattern


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_integers_give_what_floats_give(kind: type[Layer]) -> None:
    """What takes both computes the same with both: nothing is rounded on the way."""
    generator = torch.Generator().manual_seed(0)
    for layer, example in uses(kind):
        count = len(example.inputs)
        try:
            layer.dtype(("int",) * count), layer.dtype(("float",) * count)
        except WrongDtype:
            continue
        module = Built(layer.infer(example.inputs).torch).eval().double()
        whole = [torch.randint(1, 5, (2, *shape), generator=generator) for shape in example.inputs]
        with torch.no_grad():
            of_integers = module(*whole).double()
            of_floats = module(*(each.double() for each in whole)).double()
        # a function makes float32 of integers
        torch.testing.assert_close(of_integers, of_floats, rtol=1e-5, atol=1e-5, equal_nan=True)


def test_kinds_are_listed_from_the_narrowest_to_the_widest() -> None:
    order = list(DTYPES)
    for left, right in product(order, order):
        widest = torch.promote_types(TORCH[left], TORCH[right])
        assert dtype_kind(widest) == max(left, right, key=order.index)
