"""What functions of torch compute that no layer of the language stands for, by torch's counter.

Torch's flop counter (`torch.utils.flop_counter`) knows convolutions, matrix products and kernels of
attention, and counts two operations for each multiply-accumulate. What it ignores and is neither
element by element nor a change of shape isn't counted, and is listed by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

# These compute nothing: they copy, make or move numbers.
MOVING = {
    "clone", "copy_", "_to_copy", "empty", "empty_like", "empty_strided", "new_empty", "zeros",
    "zeros_like", "new_zeros", "ones", "ones_like", "new_ones", "full", "full_like", "new_full",
    "arange", "linspace", "_unsafe_view", "scalar_tensor", "cat", "stack", "index", "gather",
    "index_select", "embedding", "roll", "flip", "repeat", "constant_pad_nd", "slice_scatter",
    "select_scatter", "scatter", "index_put", "index_put_", "fill", "fill_", "zero_", "detach",
    "_unsafe_index", "tril", "triu", "unfold_copy", "_local_scalar_dense", "resize_", "set_",
    "lift_fresh", "alias", "new_empty_strided", "lift_fresh_copy", "reflection_pad2d",
    "replication_pad2d",
}  # fmt: skip


class Cost(NamedTuple):
    """What one operator computed.

    Attributes:
        name: as torch writes it: `aten.mm`.
        macs: multiply-accumulates; None if the counter doesn't know the operator.
        numbers: of the result, where each is computed by itself; else 0.
        moves: whether it computes nothing.
    """

    name: str
    macs: int | None
    numbers: int = 0
    moves: bool = False


class Costs(TorchDispatchMode):
    """Lists what operators compute while it is entered."""

    def __init__(self) -> None:
        TorchDispatchMode.__init__(self)
        self.log: list[Cost] = []
        self.taken = 0

    def take(self) -> list[Cost]:
        """Return what was computed since the last call of this."""
        found = self.log[self.taken :]
        self.taken = len(self.log)
        return found

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        packet = func._overloadpacket
        if packet in flop_registry:
            flops = flop_registry[packet](*args, **(kwargs or {}), out_val=result)
            self.log.append(Cost(str(packet), int(flops) // 2))
        elif func.is_view or packet.__name__ in MOVING:
            self.log.append(Cost(str(packet), None, moves=True))
        elif torch.Tag.pointwise in func.tags and isinstance(result, torch.Tensor):
            self.log.append(Cost(str(packet), None, result.numel()))
        else:
            self.log.append(Cost(str(packet), None))
        return result


def macs_of(costs: Sequence[Cost]) -> int:
    """Return the multiply-accumulates of all that are known."""
    return sum(one.macs or 0 for one in costs)


def numbers_of(costs: Sequence[Cost]) -> int:
    """Return how many numbers are computed element by element."""
    return sum(one.numbers for one in costs)


def not_counted(costs: Sequence[Cost]) -> Counter[str]:
    """Return the operators that compute something which isn't counted, with how often."""
    return Counter(
        one.name for one in costs if one.macs is None and not one.numbers and not one.moves
    )
