"""Layers whose parameters come in as tensors, against the modules of torch with those parameters.

A layer that says its function of torch is covered as soon as it is declared.
"""

from __future__ import annotations

import pickle

import pytest
import torch
from test_layers import KINDS
from test_trained import kept_by_torch, kept_by_us, uses
from torch_facts import Built, tensors, usual

from archdsl.layers.base import Facts, Layer, LayerError, Shapes, construct
from archdsl.layers.given import with_given

GIVEN = [
    kind
    for kind in KINDS
    if any(construct(kind, one.arguments).functional() for one in kind.examples)
]

pytestmark = pytest.mark.usefixtures("one_thread")


def same(layer: Layer, facts: Facts, given: Layer, shapes: Shapes) -> str:
    """Say in which way a layer differs from the one that is given its parameters."""
    names = [*facts.params]
    weights = tuple(facts.params[name] for name in names)
    batched = [True] * len(shapes) + [False] * len(names)
    found = given.infer_shared((*shapes, *weights), batched)
    if found._replace(torch=facts.torch, params=facts.params, arithmetic="") != facts._replace(
        arithmetic=""
    ):
        return f"facts {found}, and {facts}"
    module = Built(facts.torch).train()
    inputs = tensors(shapes, usual(type(layer)))
    own = [module.own.get_parameter(name).detach() for name in names]
    # as what is computed is: no tensor of the module's own
    own = [(one * 1).requires_grad_() for one in own]
    with torch.no_grad():
        for name, one in zip(names, own, strict=True):
            module.own.get_parameter(name).copy_(one)
    pair = Built(found.torch)(*inputs, *own), module(*inputs)
    if not torch.allclose(*pair, rtol=0, atol=0, equal_nan=True):
        return "other numbers"
    grads = [one.requires_grad_() if one.is_floating_point() else one for one in inputs]
    expected = kept_by_torch(Built(found.torch), [*grads, *own])
    ours = kept_by_us(given, found, [*grads, *own], 4, True)
    return "" if ours == expected else f"keeps {expected}, and not {ours}"


@pytest.mark.parametrize("kind", GIVEN, ids=lambda kind: kind.__name__)
def test_a_layer_that_is_given_its_parameters_does_the_same(kind: type[Layer]) -> None:
    tried = 0
    for layer, facts, shapes in uses(kind):
        if not facts.params:
            continue
        given = construct(with_given(kind, tuple(facts.params)), vars(layer))
        if layer.functional() is None:
            batched = [True] * len(shapes) + [False] * len(facts.params)
            with pytest.raises(LayerError, match="that is computed"):
                given.infer_shared((*shapes, *facts.params.values()), batched)
            continue
        assert not same(layer, facts, given, shapes), layer
        tried += 1
    assert tried > 5


def test_it_is_a_layer_of_the_same_kind() -> None:
    kind = next(kind for kind in GIVEN if kind.__name__ == "Linear")
    given = with_given(kind, ("weight",))

    assert given is with_given(kind, ("weight",))
    assert (given.__name__, given.torch_name(), given.__doc__) == ("Linear", "Linear", kind.__doc__)
    layer = given(out_features=4, bias=False)
    assert pickle.loads(pickle.dumps(layer)) == layer
    assert layer.model_copy({"out_features": 5}).given() == {"out_features": 5, "bias": False}
    assert layer != kind(out_features=4, bias=False)
