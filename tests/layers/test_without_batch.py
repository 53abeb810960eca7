"""Every layer on tensors without a batch axis, which all samples share, against torch."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_facts import Built, each_of, made, usual

from archdsl.layers.base import Example, Facts, Layer, LayerError, Shapes, construct
from archdsl.layers.registry import Registry

REGISTRY = Registry()
KINDS = [*REGISTRY.values(), *map(REGISTRY.word, ("concat", "add", "sub", "mul"))]
EXAMPLES = [
    pytest.param(kind, example, id=f"{kind.__name__}-{number}")
    for kind in KINDS
    for number, example in enumerate(kind.examples)
]


def shapes_of(kind: type[Layer], example: Example) -> Iterator[Shapes]:
    """Yield shapes without a batch: what a sample has, and that with an axis more in front."""
    yield example.inputs
    yield tuple((3, *shape) for shape in example.inputs)


def computed(facts: Facts, shapes: Shapes, kind: type[Layer], training: bool) -> torch.Tensor:
    given = [made(shape, held) for shape, held in each_of(shapes, usual(kind))]
    module = Built(facts.torch).train(training)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found: torch.Tensor = module(*given)
    return found


@pytest.mark.parametrize(("kind", "example"), EXAMPLES)
def test_what_is_made_of_tensors_without_batch(kind: type[Layer], example: Example) -> None:
    layer = construct(kind, example.arguments)
    taken = 0
    for shapes in shapes_of(kind, example):
        try:
            facts = layer.infer_shared(shapes, [False] * len(shapes))
        except LayerError:
            continue
        taken += 1
        assert not facts.batched
        found = [computed(facts, shapes, kind, training) for training in (False, True)]
        assert {tuple(each.shape) for each in found} == {facts.output}
        module = Built(facts.torch)
        assert module.tensors() == (facts.params, facts.buffers)
    assert taken, "an axis in the place of the batch is always possible"


@pytest.mark.parametrize(("kind", "example"), EXAMPLES)
def test_it_is_counted_as_a_batch_of_so_many_samples(kind: type[Layer], example: Example) -> None:
    layer = construct(kind, example.arguments)
    one = layer.infer(example.inputs)
    shapes = tuple((3, *shape) for shape in example.inputs)
    try:
        facts = layer.infer_shared(shapes, [False] * len(shapes))
    except LayerError:
        return  # its axes are others there

    if facts.output == (3, *one.output):
        assert facts.macs == 3 * one.macs
        assert facts.other == {heading: 3 * count for heading, count in one.other.items()}
        assert facts.params == one.params


@pytest.mark.parametrize(("kind", "example"), EXAMPLES)
def test_single_numbers_are_taken_or_refused(kind: type[Layer], example: Example) -> None:
    """What is left of a vector of which one place is selected: no axis but the batch."""
    layer = construct(kind, example.arguments)
    shapes: Shapes = tuple(() for _ in example.inputs)
    try:
        facts = layer.infer(shapes)
    except LayerError:
        return
    for batched, before in ((True, (2,)), (False, ())):
        try:
            facts = (
                layer.infer(shapes)
                if batched
                else layer.infer_shared(shapes, [False] * len(shapes))
            )
        except LayerError:
            continue
        found = computed(facts, tuple(before for _ in shapes), kind, training=False)
        assert tuple(found.shape) == (*before, *facts.output)


SIZES = st.sampled_from([1, 2, 3])
SHAPES = st.lists(SIZES, max_size=4).map(tuple)
JOINING = [*map(REGISTRY.word, ("concat", "add", "sub", "mul")), REGISTRY["MatMul"]]


@given(
    kind=st.sampled_from(JOINING),
    inputs=st.lists(st.tuples(SHAPES, st.booleans()), min_size=2, max_size=3),
    dim=st.integers(-3, 3),
)
@settings(max_examples=1500, deadline=None)
def test_tensors_with_and_without_batch_are_joined_as_in_torch(
    kind: type[Layer], inputs: list[tuple[tuple[int, ...], bool]], dim: int
) -> None:
    layer = construct(kind, {"dim": dim} if kind.word == "concat" else {})
    shapes = tuple(shape for shape, _ in inputs)
    batched = [has_batch for _, has_batch in inputs]
    try:
        facts = layer.infer(shapes) if all(batched) else layer.infer_shared(shapes, batched)
    except LayerError:
        return

    assert facts.batched == any(batched)
    for batch in (2, 5):
        tensors = [
            torch.randn((batch, *shape) if has_batch else shape) for shape, has_batch in inputs
        ]
        found = Built(facts.torch)(*tensors)
        assert tuple(found.shape) == ((batch,) if facts.batched else ()) + facts.output
