"""Layers and operations of several tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import torch

from archdsl.importing.keras.at import At, layer
from archdsl.importing.keras.errors import Missing, Wrong
from archdsl.importing.keras.held import Held, alike
from archdsl.importing.keras.settings import is_number


def operands(given: Sequence[Any]) -> list[Any]:
    """Return what is joined: tensors in a list, or one by one, and numbers."""
    flat = given[0] if len(given) == 1 and isinstance(given[0], list) else given
    for one in flat:
        if not isinstance(one, Held) and not is_number(one):
            raise Wrong("is called on what is neither a tensor nor a number")
    if len(flat) < 2 or not any(isinstance(one, Held) for one in flat):
        raise Wrong("is called on fewer than two things")
    tensors = iter(alike([one for one in flat if isinstance(one, Held)]))
    return [next(tensors) if isinstance(one, Held) else one for one in flat]


def joined(at: At, given: Sequence[Any], function: Callable[[Any, Any], Any]) -> Held:
    """Return what a function makes of several, one after the other.

    Layers align axes from the batch where there are fewer: what lacks stands behind it, of size 1.
    """
    flat = operands(given)
    order = next(one.order for one in flat if isinstance(one, Held))
    values = [one.pair[0] if isinstance(one, Held) else one for one in flat]
    ranks = {one.rank for one in flat if isinstance(one, Held)}
    if len(ranks) > 1:
        if at.layer.operation:  # which aligns the batch of one with an axis of the other
            raise Missing("tensors of which one has fewer axes")
        values = [
            one.last[(slice(None), *[None] * (max(ranks) - one.rank))]
            if isinstance(one, Held)
            else one
            for one in flat
        ]
        return Held(reduce(function, values))
    return Held(reduce(function, values), order)


@layer("Add")
def added(at: At, *given: Any) -> Held:
    return joined(at, given, lambda a, b: a + b)


@layer("Subtract")
def subtracted(at: At, *given: Any) -> Held:
    return joined(at, given, lambda a, b: a - b)


@layer("Multiply")
def multiplied(at: At, *given: Any) -> Held:
    return joined(at, given, lambda a, b: a * b)


@layer("Divide", "TrueDivide")
def divided(at: At, *given: Any) -> Held:
    return joined(at, given, lambda a, b: a / b)


@layer("Average")
def averaged(at: At, *given: Any) -> Held:
    count = len(operands(given))
    return joined(at, given, lambda a, b: a + b).each(lambda one: one / count)


def of_tensors(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return a function of which one side may be a number."""

    def made(a: Any, b: Any) -> Any:
        if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
            return function(a, b)
        raise Missing("a number on one side")

    return made


@layer("Maximum")
def maximum(at: At, *given: Any) -> Held:
    return joined(at, given, of_tensors(torch.maximum))


@layer("Minimum")
def minimum(at: At, *given: Any) -> Held:
    return joined(at, given, of_tensors(torch.minimum))


@layer("Concatenate")
def concatenated(at: At, *given: Any) -> Held:
    flat = operands(given)
    if any(not isinstance(one, Held) for one in flat):
        raise Wrong("is called on a number")
    flat = alike([one.ordered for one in flat])
    axis = at.settings.axis("axis", flat[0].rank)
    if axis == 0:
        raise at.settings.wrong("axis", "an axis besides the batch")
    tensors = [one.pair[0] for one in flat]
    return Held(torch.cat(tensors, dim=flat[0].axis(axis)), flat[0].order)
