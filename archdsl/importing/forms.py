"""Tensors whose batch isn't their first axis, or is one with other axes there.

Torch's code may put the batch anywhere, or make windows of an image, or the heads of attention, so
many samples more: `x.view(-1, 49, channels)`. The language never writes the batch. So such a tensor
is followed as a *form* of one whose first axis is the batch: for each of its axes the axes of that
one of which it is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from archdsl.importing.record import Value

Groups = tuple[tuple[int, ...], ...]


class Form(NamedTuple):
    """How a tensor follows from one whose first axis is the batch.

    Attributes:
        base: that tensor.
        groups: for each axis the axes of the base, the slowest first, that it is made of.
    """

    base: Value
    groups: Groups

    @property
    def flat(self) -> tuple[int, ...]:
        """The axes of the base in the order in which they stand in the tensor."""
        return tuple(axis for group in self.groups for axis in group)

    @property
    def leads(self) -> bool:
        """Whether the first axis is the batch and nothing else."""
        return self.groups[:1] == ((0,),)


def plain(value: Value) -> Form:
    """Return the form of a tensor that has the batch first."""
    return Form(value, tuple((axis,) for axis in range(len(value.shape))))


def cut(form: Form, shape: Sequence[int]) -> tuple[tuple[int, ...], Groups] | None:
    """Return how another shape is made of the same numbers in the same order.

    That is the shape which the base needs for it, as its axes may have to be made several, and the
    groups then; None if the batch would have to be cut.
    """
    sizes = form.base.shape
    pieces: dict[int, list[int]] = {axis: [] for axis in range(len(sizes))}
    rest = [(axis, sizes[axis]) for axis in form.flat]
    rest.reverse()
    found: list[list[tuple[int, int]]] = []  # for each axis pairs of one of the base and a piece
    units = 0
    for wanted in shape:
        group: list[tuple[int, int]] = []
        while wanted > 1 or (wanted == 1 and not group and rest and rest[-1][1] == 1):
            if not rest:
                return None
            axis, size = rest.pop()
            if size == 1 or wanted % size == 0:
                taken = size
            elif size % wanted == 0 and axis != 0:
                taken = wanted
                rest.append((axis, size // wanted))
            else:
                return None
            group.append((axis, len(pieces[axis])))
            pieces[axis].append(taken)
            if wanted == 1:
                break
            wanted //= taken
        if not group:  # an axis of size 1 that the base hasn't
            group.append((len(sizes) + units, 0))
            pieces[len(sizes) + units] = [1]
            units += 1
        found.append(group)
    if any(size > 1 for _, size in rest):
        return None
    for axis, size in rest:  # what is left has the size 1
        if axis == 0 or not found:
            return None
        found[-1].append((axis, len(pieces[axis])))
        pieces[axis].append(size)
    order = [(axis, number) for axis in sorted(pieces) for number in range(len(pieces[axis]))]
    place = {pair: number for number, pair in enumerate(order)}
    base = tuple(pieces[axis][number] for axis, number in order)
    return base, tuple(tuple(place[pair] for pair in group) for group in found)


def canonical(form: Form) -> tuple[tuple[int, ...], tuple[int, ...], Groups]:
    """Return how a base gets the order of the tensor, with the batch moved to the front.

    Returns:
        the order of its axes, its shape after that with the axes of a group made one (but those
        on both sides of the batch), and the groups then.
    """
    order = (0, *(axis for axis in form.flat if axis != 0))
    shape = [form.base.shape[0]]
    groups: list[tuple[int, ...]] = []
    for group in form.groups:
        runs: list[list[int]] = []
        for axis in group:
            if axis == 0:
                runs.append([0])
            elif runs and runs[-1] != [0]:
                runs[-1].append(axis)
            else:
                runs.append([axis])
        made: list[int] = []
        for run in runs:
            if run == [0]:
                made.append(0)
            else:
                made.append(len(shape))
                shape.append(prod(form.base.shape[axis] for axis in run))
        groups.append(tuple(made))
    return order, tuple(shape), tuple(groups)
