"""Bounds what the layers of a file make, before it is made: of constants, and of what flows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.flop_counter import flop_registry

PER_NUMBER = 128  # multiplications that take as long as to make a number


class Bounded(TorchDispatchMode):
    """Asks of each operator how many numbers it will make, and only then lets it run.

    What an operator makes on the meta device has the right size and takes no memory, so this
    holds for all that makes something larger, also inside of what torch does in several steps.

    Args:
        spend: is told of how many numbers; it raises where they are too many.
    """

    def __init__(self, spend: Callable[[int], None]) -> None:
        begin: Any = super().__init__  # of no types
        begin()
        self.spend = spend

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = dict(kwargs or {})
        schema = func._schema
        if not any("Tensor" in str(one.type) for one in schema.returns):
            return func(*args, **named)  # a number out of a tensor
        there = tree_map(without_numbers, (tuple(args), named))
        if any(one.name == "device" for one in schema.arguments):
            there[1]["device"] = torch.device("meta")
        try:
            found = func(*there[0], **there[1])
        except RuntimeError:  # its sizes follow from numbers, as `unique`'s, or it fails below too
            found = func(*args, **named)
            self.spend(size_of(found))
            return found
        made = size_of(found)
        work = flop_registry.get(func.overloadpacket)
        if work is not None:
            made += int(work(*there[0], **there[1], out_val=found)) // PER_NUMBER
        self.spend(made)
        return func(*args, **named)


def size_of(found: Any) -> int:
    """Return how many numbers there are in tensors."""
    return sum(one.numel() for one in tree_leaves(found) if isinstance(one, torch.Tensor))


def without_numbers(value: Any) -> Any:
    """Return a tensor of the same sizes that has no numbers; what is no tensor as it is."""
    if not isinstance(value, torch.Tensor) or value.is_meta:
        return value
    return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")
