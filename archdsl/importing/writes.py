"""Says what is written into tensors, or into parts of them."""

from __future__ import annotations

import math
from typing import Any

import torch

from archdsl.importing.making import Unsayable, numbers_of
from archdsl.importing.numbers import LARGEST
from archdsl.importing.record import Call, Value
from archdsl.importing.reshaping import Reshaping

APART = "what is written to single places of a tensor"


class Writes(Reshaping):
    """What is written over gives a tensor of its own, which those after it read.

    Attributes:
        infinite: places in the source where a number is infinity, and the largest one here.
    """

    def __init__(self, batch: int) -> None:
        super().__init__(batch)
        self.infinite: dict[str, None] = {}

    def on_written_over(self, call: Call, target: Any, value: Any) -> None:
        raise Unsayable("a parameter or buffer that is written over through a view, for good")

    def on_written_apart(self, call: Call, target: Any, value: Any) -> None:
        raise Unsayable("what is written through a view that is no slice of each axis")

    def on_read_apart(self, call: Call, target: Any, where: Any) -> None:
        raise Unsayable("a view of what was written over that is no slice of each axis")

    def on_copy(self, call: Call, target: Any, value: Any, non_blocking: Any = False) -> None:
        if not isinstance(value, Value) or value.dtype != target.dtype:
            raise Unsayable(f"`{call.name}` from another kind of numbers")
        self.become(call.result, self.fitted(value, target.shape))

    def on_setitem(self, call: Call, target: Any, index: Any, value: Any) -> None:
        """Say what is written into a part: the parts around it and that are put together."""
        if isinstance(value, Value) and value.dtype != target.dtype:
            raise Unsayable("what is written into a tensor of another kind of numbers")
        listed = [*index] if isinstance(index, list | tuple) else [index]
        if len(listed) == 1 and isinstance(listed[0], Value):
            self.where_true(call, target, listed[0], value)
            return
        rest = len(target.shape) - sum(one is not ... for one in listed)
        full: list[Any] = []
        for one in listed:
            full += [slice(None)] * rest if one is ... else [one]
        full += [slice(None)] * (len(target.shape) - len(full))
        if not all(isinstance(one, slice) or type(one) is int for one in full):
            raise Unsayable(APART)
        parts: list[tuple[int, int, int]] = []
        for one, size in zip(full, target.shape, strict=True):
            at = one % size if isinstance(one, int) else 0
            parts.append((at, at + 1, 1) if isinstance(one, int) else one.indices(size))
        shape = tuple(len(range(*one)) for one in parts)
        number = number_of(value)
        if number is not None:
            self.filled(target, parts, number, call.result)
            return
        if any(step != 1 for _, _, step in parts):
            raise Unsayable("what is written to places apart")
        inner = tuple(n for n, one in zip(shape, full, strict=True) if isinstance(one, slice))
        value = self.fitted(value, inner)
        if inner != shape:
            made = self.fresh(shape, value.dtype)
            self.reshaped(value, made)
            value = self.find(made)
        self.put(target, value, 0, parts, call.result)

    def where_true(self, call: Call, target: Value, index: Value, value: Any) -> None:
        """Say a number that is written where a tensor is true."""
        number = number_of(value)
        if index.dtype != "bool" or number is None or index.shape != target.shape:
            raise Unsayable(APART)
        self.masked(target, index, call.result, number)

    def filled(
        self, target: Value, parts: list[tuple[int, int, int]], number: Any, result: Value
    ) -> None:
        """Say a number that is written into a part: a constant is true there."""
        cut = [one != (0, size, 1) for one, size in zip(parts, target.shape, strict=True)]
        if cut and cut[0] and not self.sharing:
            raise Unsayable("what is written to single samples of the batch")
        first = cut.index(True) if True in cut else len(cut)
        shape = [size if one else 1 for size, one in zip(target.shape, cut, strict=True)][first:]
        tensor = torch.zeros(shape or [1], dtype=torch.bool, device="cpu")
        tensor[tuple(slice(*one) for one in parts[first:])] = True
        mask = self.fresh(tensor.shape, "bool")
        mask.tensor, mask.fixed, mask.made, mask.alone = tensor, True, True, True
        self.masked(target, mask, result, number)

    def on_masked_fill(self, call: Call, tensor: Any, mask: Any, value: Any) -> None:
        if isinstance(value, Value):
            raise Unsayable("`masked_fill` with a tensor of values")
        self.masked(tensor, mask, call.result, value)

    def masked(self, tensor: Value, mask: Value, result: Value, value: Any) -> None:
        """Say a choice between a tensor and a number."""
        self.each("masked_fill", [tensor, mask], result, value=self.finite(value))

    def finite(self, value: Any) -> Any:
        """Return a number, or the largest one in the place of infinity."""
        if value not in (math.inf, -math.inf):
            return value
        self.infinite[self.place] = None
        return math.copysign(LARGEST, value)

    def fitted(self, value: Value, shape: tuple[int, ...]) -> Value:
        """Return what is written, in the shape of that into which it is."""
        while len(value.shape) > len(shape) and value.shape[0] == 1:
            made = self.fresh(value.shape[1:], value.dtype)
            self.reshaped(value, made)
            value = self.find(made)
        if value.shape == shape:
            return value
        made = self.fresh(shape, value.dtype)
        self.on_expand(Call("", "expand", None, None, (), {}, result=made), value, *shape)
        return self.find(made)

    def put(self, target: Value, value: Value, axis: int, parts: Any, result: Value) -> None:
        """Say a tensor with another one in the place of a part, one axis after the other."""
        while axis < len(parts) and parts[axis][:2] == (0, target.shape[axis]):
            axis += 1
        if axis == len(parts):
            self.become(result, value)
            return
        start, stop, _ = parts[axis]
        pieces: list[Value] = []
        for first, last in ((0, start), (start, stop), (stop, target.shape[axis])):
            if first == last:
                continue
            shape = [*target.shape]
            shape[axis] = last - first
            piece = self.fresh(shape, target.dtype)
            self.parts(target, [("slice", axis, slice(first, last))], piece)
            if first == start and last == stop:
                made = self.fresh(shape, target.dtype)
                self.put(self.find(piece), value, axis + 1, parts, made)
                piece = made
            pieces.append(self.find(piece))
        whole = Call("", "cat", None, None, (pieces,), {"dim": axis})
        whole.result = result
        self.on_cat(whole, pieces, axis)


def number_of(value: Any) -> Any:
    """Return the number that a constant holds everywhere, or None where it isn't one."""
    if isinstance(value, bool | int | float):
        return value
    if not isinstance(value, Value) or not value.fixed:
        return None
    flat = numbers_of(value).flatten()
    return flat[0].item() if bool((flat == flat[0]).all()) else None
