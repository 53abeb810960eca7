"""Batches that a module puts one behind the other, to do the same to all of them at once.

A network of two images often does so (`torch.cat([one, two], 0)`, an encoder, and a `chunk`). The
language never writes the batch, so that what is done to such a tensor is said for each of them: the
modules in between are used several times. That is the same, as whatever the language can say does
it to each sample by itself; but for statistics of a batch, which are those of all of them together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from archdsl.importing.record import Call, Value, swapped

JOINS = {"cat", "concat", "concatenate"}
CUTS = {"chunk", "split", "split_with_sizes", "tensor_split", "getitem", "narrow", "unbind"}


class NotApart(Exception):
    """No batches are joined, or they can't be told apart again."""


def taken_apart(root: Call, batch: int) -> Call:
    """Return a pass in which batches that were joined go apart.

    Raises:
        NotApart: none are joined, or something is done to several of them together.
    """
    apart = Apart(batch)
    apart.follows.update(value for value in root.values_in() if value.input is not None)
    found = replace(root, inside=apart.inside(root))
    if not apart.parts:
        raise NotApart
    return found


class Apart:
    """What becomes of joined batches.

    Attributes:
        batch: how many samples there are in each.
        parts: for a tensor of several batches: what stands for each.
        follows: tensors that follow from what comes in.
    """

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self.parts: dict[Value, list[Value]] = {}
        self.follows: set[Value] = set()
        self.number = 0

    def inside(self, call: Call) -> list[Call]:
        """Return what a call makes in turn, with everything that is joined taken apart."""
        found: list[Call] = []
        for one in call.inside:
            given = one.values_in()
            joined = [value for value in given if value in self.parts]
            if joined:
                found += self.cut(one) or self.taken(one, joined)
            elif (values := self.joins(one)) is not None:
                self.parts[one.result] = values
            else:
                found.append(replace(one, inside=self.inside(one)))
            if any(value in self.follows for value in given):
                self.follows.update(one.values_out())
        return found

    def taken(self, call: Call, joined: Sequence[Value]) -> list[Call]:
        """Return what stands for a call that is given joined batches.

        Raises:
            NotApart: it does something to all of them together.
        """
        try:
            return self.for_each(call, joined)
        except NotApart:
            if call.module is None or call.layer is not None:
                raise
            return [replace(call, inside=self.inside(call))]  # which cuts them itself

    def joins(self, call: Call) -> list[Value] | None:
        """Return the batches that a call puts one behind the other, or None."""
        if call.name not in JOINS or not call.arguments or not isinstance(call.result, Value):
            return None
        values, *rest = call.arguments
        dim = rest[0] if rest else call.named.get("dim", call.named.get("axis", 0))
        shape = call.result.shape
        if dim not in (0, -len(shape)) or not isinstance(values, list | tuple):
            return None
        if any(v not in self.follows or v.shape != (self.batch, *shape[1:]) for v in values):
            return None
        return [*values] if len(values) > 1 else None

    def cut(self, call: Call) -> list[Call]:
        """Return what stands for a cut into the batches that were joined; nothing if it is none."""
        value = call.arguments[0] if call.arguments else None
        results = call.values_out()
        if call.name.strip("_") not in CUTS or value not in self.parts:
            return []
        parts = self.parts[value]
        place = self.place(call, value)
        if place is not None:
            parts = parts[place : place + 1]
        whole = all(one.shape == (self.batch, *value.shape[1:]) for one in results)
        if not whole or len(results) != len(parts) or self.axis(call) != 0:
            return []
        return [
            Call(call.path, "alias", None, None, (part,), {}, result, call.place)
            for part, result in zip(parts, results, strict=True)
        ]

    def place(self, call: Call, value: Value) -> int | None:
        """Return which of the joined batches `x[start:stop]` is, or None if it is none of them."""
        whole = self.batch * len(self.parts[value])
        if call.name.strip("_") != "getitem" or value.shape[0] != whole:
            return None
        index = call.arguments[1]
        first, *others = index if isinstance(index, tuple) else (index,)
        if not isinstance(first, slice) or any(one != slice(None) for one in others):
            return None
        given = (first.start, first.stop, first.step)
        if not all(one is None or isinstance(one, int) for one in given):
            return None
        start, stop, step = first.indices(whole)
        if step != 1 or start % self.batch or stop - start != self.batch:
            return None
        return start // self.batch

    @staticmethod
    def axis(call: Call) -> Any:
        """Return along which axis a call cuts."""
        return call.arguments[2] if len(call.arguments) > 2 else call.named.get("dim", 0)

    def for_each(self, call: Call, joined: Sequence[Value]) -> list[Call]:
        """Return a call for each of the batches that were joined in what it is given.

        Raises:
            NotApart: it does something to all of them together.
        """
        counts = {len(self.parts[value]) for value in joined}
        if len(counts) > 1:
            raise NotApart
        (count,) = counts
        alike = {value: parts for value, parts in self.parts.items() if len(parts) == count}
        owns = [{value: parts[number] for value, parts in alike.items()} for number in range(count)]
        found = [self.copy(call, own, set(alike), count, own is owns[0]) for own in owns]
        for value, one in owns[0].items():
            if value.shape != one.shape:
                self.parts[value] = [own[value] for own in owns]
        return found

    def copy(
        self, call: Call, own: dict[Value, Value], joined: set[Value], count: int, first: bool
    ) -> Call:
        """Return a call for one of several batches; `own` gets what it makes of that one.

        Raises:
            NotApart: it does something to all of them together.
        """
        given = call.values_in()
        for value in given:
            if value in self.follows and value not in own:
                raise NotApart  # of another number of samples
        if call.layer is not None and call.training and [*call.module.buffers()]:
            raise NotApart  # its statistics are those of all
        # constants are made once
        kept = [one for one in call.inside if first or not one.fixed]
        inside = [self.copy(one, own, joined, count, first) for one in kept]
        follows = any(value in joined for value in given)
        for value in call.values_out():
            if value in own or value.held or value.tensor is not None:
                continue
            shape = value.shape
            if follows:
                if not shape or shape[0] % (count * self.batch):
                    raise NotApart
                shape = (shape[0] // count, *shape[1:])
                joined.add(value)
            self.number -= 1
            own[value] = Value(self.number, shape, value.dtype)
        arguments, named, result = (
            swapped(held, own) for held in (call.arguments, call.named, call.result)
        )
        return replace(call, inside=inside, arguments=arguments, named=named, result=result)
