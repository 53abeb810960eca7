"""Follows tensors that share their memory, so that what is written into one is read in the others.

Torch's own bookkeeping of views isn't asked: it knows none of `data`, and nothing of what is made
in inference mode. Where a tensor lies in its memory says all there is to say.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch

from archdsl.importing.record import Value

# Makes a value by a call of a function, which stands among those that the module makes.
Says = Callable[[str, Callable[..., Any], tuple[Any, ...], tuple[int, ...], str], Value]

MOST_SEEN = 64  # tensors of one memory, before those that are gone are forgotten


class Apart(Exception):
    """Tensors lie in the same memory, but neither is a part of the other by slices of axes."""


@dataclass(frozen=True)
class Where:
    """Where in its memory a tensor lies, counted in numbers of its own kind."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int
    dtype: torch.dtype

    @property
    def end(self) -> int:
        """The place of its last number."""
        return self.offset + sum((n - 1) * s for n, s in zip(self.size, self.stride, strict=True))

    def places(self, narrow: bool = False) -> torch.Tensor:
        """Return the place of each of its numbers, in its shape; or of those that are others."""
        return torch.arange(self.end + 1, device="cpu").as_strided(
            self.narrow if narrow else self.size, self.stride, self.offset
        )

    @property
    def narrow(self) -> tuple[int, ...]:
        """Its shape without repetitions."""
        return tuple(n if s else 1 for n, s in zip(self.size, self.stride, strict=True))

    def meets(self, other: Where) -> bool:
        """Tell whether a number of one is in the other as well."""
        if 0 in (*self.size, *other.size):
            return False
        if self.dtype != other.dtype:
            return True  # numbers of other sizes are counted otherwise
        if self.end < other.offset or other.end < self.offset:
            return False
        return bool(torch.isin(self.places().flatten(), other.places().flatten()).any())


@dataclass(frozen=True)
class Box:
    """A tensor as a part of another one: a slice of each axis, whose axes are in another order.

    Attributes:
        slices: of the axes of the whole, or the place where it is a single one.
        whole: whether these are all there is.
        sizes: of the part with its axes in the order of the whole.
        order: of its axes, by those of the whole.
        spread: its shape, where numbers of it are the same ones.
    """

    slices: tuple[slice | int, ...]
    whole: bool
    sizes: tuple[int, ...]
    order: tuple[int, ...]
    spread: tuple[int, ...] | None

    @property
    def back(self) -> tuple[int, ...]:
        """The order that undoes `order`."""
        return tuple(self.order.index(axis) for axis in range(len(self.order)))


@dataclass
class Memory:
    """What tensors share.

    Attributes:
        value, where: the tensor that all others are parts of, as it was when all of `waiting` was
            not yet written.
        waiting: what was written into parts since, and where in the user's code; it only counts
            if another one is read.
        writes: where it was written to, one for each change.
        seen: of each tensor that lies in it, by its number, after how many changes it was read.
    """

    value: Value
    where: Where
    waiting: list[tuple[Where, Value, str]] = field(default_factory=list)
    writes: list[Where] = field(default_factory=list)
    seen: dict[int, tuple[Any, int]] = field(default_factory=dict)

    def lives(self, number: int) -> bool:
        """Tell whether a tensor lies in it still: its number may be another one's by now."""
        return number in self.seen and self.seen[number][0]() is not None

    def others(self, tensor: torch.Tensor) -> bool:
        """Tell whether other tensors than this one lie in it."""
        return any(one() is not None and one() is not tensor for one, _ in self.seen.values())


class Memories:
    """The memory of each tensor that is there, by its address."""

    def __init__(self, says: Says, constant: Callable[[torch.Tensor], Value]) -> None:
        self.says, self.constant = says, constant
        self.known: dict[int, Memory] = {}

    def of(self, tensor: torch.Tensor) -> Memory | None:
        """Return what is known of a tensor's memory; None where it has none to be seen."""
        memory = self.known.get(address(tensor) or 0)
        if memory is not None and not any(memory.lives(number) for number in memory.seen):
            return None  # another memory at the same address
        return memory

    def place(self, tensor: torch.Tensor, value: Value) -> None:
        """Note which value a tensor is, that wasn't seen before, or is the same as it was."""
        at, memory = address(tensor), self.of(tensor)
        if at is None:
            return
        where = where_of(tensor)
        if memory is None or not memory.others(tensor):
            memory = self.known[at] = Memory(value, where)
        if len(memory.seen) > MOST_SEEN:
            memory.seen = {n: one for n, one in memory.seen.items() if one[0]() is not None}
        memory.seen[id(tensor)] = (weakref.ref(tensor), len(memory.writes))

    def wrote(self, tensor: torch.Tensor, value: Value, place: str) -> None:
        """Note that a tensor, which was read before, has become another value."""
        memory, where = self.of(tensor), where_of(tensor)
        if memory is None or not memory.others(tensor):
            self.place(tensor, value)
            return
        if memory.waiting and memory.waiting[-1][0] == where:
            memory.waiting.pop()
        if where == memory.where and not memory.value.own:
            memory.value, memory.waiting = value, []
        else:
            memory.waiting.append((where, value, place))
        memory.writes.append(where)
        memory.seen[id(tensor)] = (weakref.ref(tensor), len(memory.writes))

    def anew(self, tensor: torch.Tensor) -> Value | None:
        """Return the value of a tensor whose numbers were written over by way of another one."""
        memory = self.of(tensor)
        if memory is None or not memory.lives(id(tensor)):
            return None
        where, since = where_of(tensor), memory.seen[id(tensor)][1]
        memory.seen[id(tensor)] = (weakref.ref(tensor), len(memory.writes))
        if not any(where.meets(one) for one in memory.writes[since:]):
            return None
        same = [memory.value, *(value for _, value, _ in memory.waiting)]
        if not tensor.is_meta and all(value.fixed for value in same):
            whole = memory.where
            memory.value = self.constant(tensor.as_strided(whole.size, whole.stride, whole.offset))
            memory.waiting = []
            return self.constant(tensor)
        for part, value, place in memory.waiting:
            memory.value = self.put(memory, part, value, place)
        memory.waiting = []
        return self.taken(memory, where)

    def put(self, memory: Memory, where: Where, value: Value, place: str) -> Value:
        """Say the whole with a value in the place of a part."""
        whole = memory.value
        if whole.own:
            return self.says("written_over", nothing, (whole, value), whole.shape, place)
        try:
            box = box_of(where, memory.where)
            if box.spread is not None:
                raise Apart
        except Apart:
            return self.says("written_apart", nothing, (whole, value), whole.shape, place)
        value = self.turned(value, box.order, place)
        if box.whole:
            return self.shaped(value, whole.shape, place)
        sizes = tuple(
            len(range(*one.indices(size)))
            for one, size in zip(box.slices, whole.shape, strict=True)
            if isinstance(one, slice)
        )
        value = self.shaped(value, sizes, place)
        return self.says("__setitem__", written, (whole, box.slices, value), whole.shape, place)

    def taken(self, memory: Memory, where: Where) -> Value:
        """Say a part of the whole as it is now."""
        value = memory.value
        try:
            box = box_of(where, memory.where)
        except Apart:
            return self.says("read_apart", nothing, (value,), where.size, "")
        if not box.whole:
            sizes = tuple(
                len(range(*one.indices(size)))
                for one, size in zip(box.slices, value.shape, strict=True)
                if isinstance(one, slice)
            )
            item = torch.Tensor.__getitem__
            value = self.says("__getitem__", item, (value, box.slices), sizes, "")
        value = self.turned(self.shaped(value, box.sizes), box.back)
        if box.spread is not None:
            wide = (value, *box.spread)
            value = self.says("expand", torch.Tensor.expand, wide, box.spread, "")
        return value

    def shaped(self, value: Value, shape: tuple[int, ...], place: str = "") -> Value:
        """Say a value in another shape."""
        if value.shape == shape:
            return value
        return self.says("reshape", torch.reshape, (value, shape), shape, place)

    def turned(self, value: Value, order: tuple[int, ...], place: str = "") -> Value:
        """Say a value with its axes in another order."""
        if order == tuple(range(len(order))):
            return value
        shape = tuple(value.shape[axis] for axis in order)
        return self.says("permute", torch.permute, (value, order), shape, place)


def written(whole: torch.Tensor, index: Any, value: torch.Tensor) -> torch.Tensor:
    """Return a tensor with another one written into a part of it."""
    whole = whole.clone()
    whole[index] = value
    return whole


def nothing(whole: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
    """Stand for what no slices say, of which nothing can be known."""
    return torch.empty_like(whole, device="meta")


def address(tensor: torch.Tensor) -> int | None:
    """Return what tells a tensor's memory from others; None where it can't be seen."""
    try:
        found: int = tensor.untyped_storage()._cdata
    except RuntimeError:  # sparse tensors, and those within `vmap`
        return None
    return found


def where_of(tensor: torch.Tensor) -> Where:
    """Return where in its memory a tensor lies."""
    offset = int(tensor.storage_offset())
    return Where(tuple(tensor.shape), tuple(tensor.stride()), offset, tensor.dtype)


def box_of(part: Where, whole: Where) -> Box:
    """Return a tensor as a part of another one that lies in the same memory.

    Raises:
        Apart: it is none, or more than slices of axes.
    """
    if part.dtype != whole.dtype or 0 in (*part.size, *whole.size):
        raise Apart
    at = torch.full((max(part.end, whole.end) + 1,), -1, device="cpu")
    at[whole.places().flatten()] = torch.arange(prod(whole.size), device="cpu")
    narrow, within = part.narrow, at[part.places(narrow=True)]
    # the axis along which places are farthest apart is the first one of the whole; those of
    # size 1 may stay where they are
    wide = [axis for axis, size in enumerate(narrow) if size > 1]
    far = {axis: int(within.select(axis, 1).flatten()[0] - within.flatten()[0]) for axis in wide}
    turns = iter(sorted(wide, key=lambda axis: -far[axis]))
    order = tuple(next(turns) if axis in wide else axis for axis in range(len(narrow)))
    within = within.permute(order)
    flat = within.flatten()
    if int(flat.min()) < 0 or bool((flat[1:] <= flat[:-1]).any()):
        raise Apart
    slices = slices_of(flat, whole.size)
    return Box(
        singled(slices, whole.size, tuple(within.shape)),
        slices == [slice(0, size, 1) for size in whole.size],
        tuple(within.shape),
        order,
        part.size if narrow != part.size else None,
    )


def slices_of(flat: torch.Tensor, size: Sequence[int]) -> list[slice]:
    """Return the slices of axes whose numbers are those at some places, which are in order."""
    slices: list[slice] = []
    for places in torch.unravel_index(flat, tuple(size)):
        along = torch.unique(places)
        step = int(along[1] - along[0]) if len(along) > 1 else 1
        if bool((along.diff() != step).any()):
            raise Apart
        slices.append(slice(int(along[0]), int(along[-1]) + 1, step))
    if prod(len(range(one.stop)[one]) for one in slices) != len(flat):
        raise Apart
    return slices


def singled(
    slices: Sequence[slice], size: Sequence[int], wanted: tuple[int, ...]
) -> tuple[slice | int, ...]:
    """Return slices with the place where they are of one, if so the part has its shape."""
    found = tuple(
        one.start if one.stop - one.start == 1 and wide > 1 else one
        for one, wide in zip(slices, size, strict=True)
    )
    sizes = tuple(len(range(one.stop)[one]) for one in found if isinstance(one, slice))
    return found if sizes == wanted else tuple(slices)
