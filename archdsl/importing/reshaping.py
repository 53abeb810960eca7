"""Says changes of shape: other orders and sizes of axes, parts of tensors, and repetitions."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any

import torch

from archdsl.importing.bodies import Node
from archdsl.importing.forms import Form, plain
from archdsl.importing.making import MOVED, Unsayable, numbers_of, without
from archdsl.importing.record import Call, Value
from archdsl.importing.windows import Windows

MOST_INDICES = 256  # that are written as a list


class Reshaping(Windows):
    """What changes no number: one method for what torch calls a thing.

    Attributes:
        spread: for what was spread along axes of size 1: what it was before.
        over: for what no input changes, and is spread over the samples: what it was before.
    """

    def __init__(self, batch: int) -> None:
        super().__init__(batch)
        self.spread: dict[Value, Value] = {}
        self.over: dict[Value, Value] = {}

    def on_reshape(self, call: Call, value: Any, *sizes: Any, shape: Any = None) -> None:
        self.reshaped(value, call.result)

    on_view = on_reshape_as = on_view_as = on_unsafe_view = on_reshape

    def on_flatten(self, call: Call, value: Any, start_dim: int = 0, end_dim: int = -1) -> None:
        self.reshaped(value, call.result)

    def on_unflatten(self, call: Call, value: Any, dim: int, sizes: Any) -> None:
        self.reshaped(value, call.result)

    on_ravel = on_flatten

    def reshaped(self, value: Value, result: Value) -> None:
        """Say a change of shape, wherever the batch is."""
        if not isinstance(result, Value) or result.dtype != value.dtype:
            raise Unsayable("a view of the bits of a tensor")
        if result.shape == value.shape:
            self.become(result, value)
        elif self.sharing:
            self.stage("reshape", [value], result, shape=tuple(result.shape))
        elif value in self.forms or result.shape[:1] != (self.batch,):
            self.recut(result, self.form(value))
        else:
            self.reshape_stage(value, result)

    def on_permute(self, call: Call, value: Any, *dims: Any, **named: Any) -> None:
        listed = named.get("dims", dims)
        order = tuple(listed[0] if len(listed) == 1 and not isinstance(listed[0], int) else listed)
        self.permute(value, call.result, order)

    def on_transpose(self, call: Call, value: Any, dim0: int, dim1: int) -> None:
        order = [*range(len(value.shape))]
        order[dim0], order[dim1] = order[dim1], order[dim0]
        self.permute(value, call.result, tuple(order))

    on_swapaxes = on_swapdims = on_transpose

    def on_movedim(self, call: Call, value: Any, source: int, destination: int) -> None:
        order = [*range(len(value.shape))]
        axis = order.pop(source % len(order))
        order.insert(destination % (len(order) + 1), axis)
        self.permute(value, call.result, tuple(order))

    on_moveaxis = on_movedim

    def on_t(self, call: Call, value: Any) -> None:
        self.on_transpose(call, value, 0, 1)

    def on_adjoint(self, call: Call, value: Any) -> None:
        self.on_transpose(call, value, -1, -2)

    def permute(self, value: Value, result: Value, order: tuple[int, ...]) -> None:
        """Say another order of the axes; one that moves the batch waits for what undoes it."""
        order = tuple(axis % len(value.shape) for axis in order)
        if self.sharing:
            if order == tuple(range(len(order))):
                self.become(result, value)
            else:
                self.stage("permute", [value], result, dims=order)
            return
        base, groups = self.forms.get(value) or self.ordered.get(value) or plain(value)
        self.become_form(result, Form(base, tuple(groups[axis] for axis in order)))

    def on_squeeze(self, call: Call, value: Any, dim: Any = None) -> None:
        result = call.result
        if result.shape == value.shape:
            self.become(result, value)
            return
        if value in self.forms:
            self.recut(result, self.form(value))
            return
        dims = [one for one, size in enumerate(value.shape) if size == 1] if dim is None else dim
        listed = dims if isinstance(dims, list) else [dims]
        gone = [one % len(value.shape) for one in listed if value.shape[one] == 1]
        self.whole(result)
        self.stage("squeeze", [value], result, dim=gone[0] if len(gone) == 1 else tuple(gone))

    def on_cat(self, call: Call, values: Any, dim: int = 0, axis: int | None = None) -> None:
        dim = dim if axis is None else axis
        result = call.result
        values = [one for one in values if 0 not in one.shape]
        if len(values) == 1:
            self.become(result, values[0])
            return
        if any(value in self.forms for value in values):
            bases, made = self.alike(values, result)
            group = self.forms[result].groups[dim % len(result.shape)]
            if len(group) != 1 or group == (0,):
                raise Unsayable(MOVED)
            self.merge("concat", bases, made, **axis_of(group[0], made, self.batch))
            return
        for value in values if not self.sharing else ():
            self.require_same_for_all(value, len(result.shape))
        self.whole(result)
        self.merge("concat", values, result, **axis_of(dim, result, self.batch, self.sharing))

    on_concat = on_concatenate = on_cat

    def on_unsqueeze(self, call: Call, value: Any, dim: int) -> None:
        result = call.result
        axis = dim % len(result.shape)
        if not self.sharing and (axis == 0 or value in self.forms):
            self.recut(result, self.form(value))
        else:
            self.stage("unsqueeze", [value], result, dim=axis)

    # --- repetitions ----------------------------------------------------------------------------

    def on_expand(self, call: Call, value: Any, *sizes: Any, **named: Any) -> None:
        result = call.result
        before, after = value.shape, result.shape
        shared = self.is_shared(value)
        over_batch = shared and before[:1] == (1,) and after == (self.batch, *before[1:])
        if after == before:
            self.become(result, value)
            return
        if over_batch:
            self.spread_over(value, result)
            return
        if self.sharing:
            if len(after) > len(before) and after[0] == self.batch:
                rest = after[1:]
                made = value if rest == before else self.fresh(rest, value.dtype)
                if rest != before:
                    self.spread_out(value, made)
                self.spread_over(self.find(made), result)
            else:
                self.spread_out(value, result)
            return
        if len(after) != len(before) or value in self.forms:
            raise Unsayable("`expand` to more axes, or along the batch")
        self.stage("expand", [value], self.whole(result), shape=tuple(
            -1 if old == new else new for old, new in zip(before[1:], after[1:], strict=True)
        ))  # fmt: skip
        self.spread[result] = value

    on_expand_as = on_broadcast_to = on_expand

    def spread_over(self, value: Value, result: Value) -> None:
        """Take a result that is the same for each sample for what it was before."""
        self.become(result, value)
        self.over[result] = value

    def spread_before(self, value: Value) -> Value | None:
        """Return which name of a value was spread over the samples, if one was."""
        while value in self.alias and value not in self.over:
            value = self.alias[value]
        return value if value in self.over else None

    def each_sample(self, result: Value) -> list[Node]:
        """Say what was spread over the samples for each of them, as a sum with zeros for each.

        What counts its axes counts that of the batch then.
        """
        self.nodes, self.sharing = [], True
        value = self.find(self.over[result])
        if len(value.shape) == len(result.shape):
            first = self.fresh(value.shape[1:], value.dtype)
            self.stage("getitem", [value], first, dim=0, index=0)
            value.alone = value.held
            self.alone.add(first)
            value = first
        value.alone = value.held
        shape = (self.batch, *(1 for _ in result.shape[1:]))
        zeros = self.fresh(shape, value.dtype)
        zeros.tensor = torch.zeros(shape, dtype=getattr(torch, value.dtype))
        zeros.fixed = zeros.made = True
        made = self.fresh(result.shape, value.dtype)
        self.merge("add", [zeros, value], made)
        del self.over[result]
        self.alias[result] = made
        return self.nodes

    def spread_out(self, value: Value, result: Value) -> None:
        """Say a parameter that is spread along axes of size 1, and new ones."""
        shape = [*result.shape]
        for _ in range(len(shape) - len(value.shape)):
            made = self.fresh((1, *value.shape), value.dtype)
            self.stage("unsqueeze", [value], made, dim=0)
            self.alone.add(made)
            value = made
        wanted = [-1 if a == b else b for a, b in zip(value.shape, shape, strict=True)]
        if {*wanted} == {-1}:
            self.become(result, value)
        else:
            self.stage("expand", [value], result, shape=tuple(wanted))

    def on_repeat(self, call: Call, value: Any, *sizes: Any, **named: Any) -> None:
        sizes = sizes or tuple(named.values())
        listed = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], list) else [*sizes]
        before, result = value.shape, call.result
        listed = [1] * (len(before) - len(listed)) + listed
        if self.sharing:
            if result.shape[0] == listed[0] == self.batch and (
                len(listed) > len(before) or before[0] == 1
            ):
                rest = listed[1:] if len(listed) > len(before) else [1, *listed[1:]]
                self.spread_over(self.repeated(value, rest), result)
            else:
                self.become(result, self.repeated(value, listed))
        elif value in self.forms or len(listed) != len(before) or listed[0] != 1:
            raise Unsayable("`repeat` of the batch, or with more axes")
        elif result.shape == before:
            self.become(result, value)
        else:
            self.stage("repeat", [value], result, repeats=tuple(listed[1:]))

    on_tile = on_repeat

    def repeated(self, value: Value, times: list[int]) -> Value:
        """Return a tensor that all samples share with its axes repeated, and more before them."""
        while len(value.shape) < len(times):
            value, before = self.fresh((1, *value.shape), value.dtype), value
            self.stage("unsqueeze", [before], value, dim=0)
            self.alone.add(value)
        if {*times} == {1}:
            return value
        shape = [size * count for size, count in zip(value.shape, times, strict=True)]
        made = self.fresh(shape, value.dtype)
        self.stage("repeat", [value], made, repeats=tuple(times))
        self.alone.add(made)
        return made

    def on_repeat_interleave(self, call: Call, value: Any, repeats: Any, dim: Any = None) -> None:
        if dim is None or not isinstance(repeats, int) or value in self.forms:
            raise Unsayable("`repeat_interleave` without one number and one axis")
        axis = dim % len(value.shape)
        if repeats == 1:
            self.become(call.result, value)
            return
        if axis == 0 and not self.sharing:  # samples that are windows of one
            wide = (value.shape[0], repeats, *value.shape[1:])
            made, spread = (self.fresh(s, value.dtype) for s in ((wide[0], 1, *wide[2:]), wide))
            self.stage("unsqueeze", [value], made, dim=1)
            self.stage("expand", [made], spread, shape=(repeats, *(-1 for _ in wide[2:])))
            rest = tuple((one,) for one in range(2, len(wide)))
            self.become_form(call.result, Form(spread, ((0, 1), *rest)))
            return
        self.stage("repeat_interleave", [value], self.whole(call.result), repeats=repeats, dim=axis)

    def on_flip(self, call: Call, value: Any, *dims: Any, **named: Any) -> None:
        listed = named.get("dims", dims)
        axes = listed[0] if len(listed) == 1 and isinstance(listed[0], list) else listed
        rank = len(value.shape)
        found = self.inner(one % rank for one in axes)
        self.stage("flip", [self.batched(value)], self.whole(call.result), dims=found)

    def on_roll(self, call: Call, value: Any, shifts: Any, dims: Any = None) -> None:
        if dims is None:
            raise Unsayable("`roll` of the whole batch")
        many = isinstance(dims, list)
        found = self.inner(one % len(value.shape) for one in (dims if many else [dims]))
        moved = tuple(shifts) if many else (shifts,)
        if not any(moved):
            self.become(call.result, value)
            return
        self.stage("roll", [self.batched(value)], self.whole(call.result), shifts=moved, dims=found)

    def inner(self, axes: Iterable[int]) -> tuple[int, ...]:
        """Return axes along which something is done that would mix samples along the first."""
        found = tuple(axes)
        if 0 in found and not self.sharing:
            raise Unsayable("what puts samples in another order")
        return found

    # --- parts ----------------------------------------------------------------------------------

    def on_getitem(self, call: Call, value: Any, index: Any) -> None:
        listed = [*index] if isinstance(index, list | tuple) else [index]
        at = [number for number, one in enumerate(listed) if isinstance(one, Value | list)]
        if at:
            self.indexed(call, value, listed, at)
            return
        rest = len(value.shape) - sum(one is not None and one is not ... for one in listed)
        full: list[Any] = []
        for one in listed:
            full += [slice(None)] * rest if one is ... else [one]
        steps: list[tuple[str, int, Any]] = []
        axis = 0
        for one in full:
            if one is None:
                steps.append(("unsqueeze", axis, None))
                axis += 1
            elif isinstance(one, int):
                steps.append(("select", axis, one))
            else:
                if one != slice(None):
                    steps.append(("slice", axis, one))
                axis += 1
        self.parts(value, steps, call.result)

    def indexed(self, call: Call, value: Value, listed: list[Any], at: list[int]) -> None:
        """Say the places of one axis that a list of indices names."""
        rest = listed[: at[0]] + listed[at[0] + 1 :]
        if len(at) > 1 or ... in rest or any(one != slice(None) for one in rest):
            raise Unsayable("an index that is a tensor")
        self.places(call, value, at[0], listed[at[0]])

    def on_index_select(self, call: Call, value: Any, dim: int, index: Any) -> None:
        self.places(call, value, dim % len(value.shape), index)

    def places(self, call: Call, value: Value, axis: int, index: Any) -> None:
        """Say the places of an axis by their numbers, which are always the same."""
        whole = isinstance(index, Value) and self.sharing and "int" in index.dtype
        if whole and (not index.fixed or prod(index.shape) > MOST_INDICES):
            self.looked_up(call, value, axis, index)
            return
        if isinstance(index, Value):
            if not index.fixed or "int" not in index.dtype:
                raise Unsayable("an index that is a tensor")
            shape, numbers = index.shape, numbers_of(index).flatten().tolist()
        else:
            shape, numbers = (len(index),), index
        if not self.sharing and (axis == 0 or value in self.forms):
            raise Unsayable("single samples of the batch")
        if not all(isinstance(one, int) for one in numbers):
            raise Unsayable("an index that is a tensor")
        from archdsl.importing.numbers import of_list

        text = of_list(numbers, shape)
        if text is None and len(numbers) > MOST_INDICES:
            raise Unsayable(f"a list of {len(numbers)} indices that follow no formula found")
        before, after = value.shape[:axis], value.shape[axis + 1 :]
        flat = (*before, len(numbers), *after)
        made = call.result if len(shape) == 1 else self.fresh(flat, value.dtype)
        self.stage("index_select", [value], made, index=tuple(numbers), dim=axis)
        if text is not None:
            self.nodes[-1].use.arguments["index"] = text
        if len(shape) != 1:
            self.reshaped(made, call.result)

    def looked_up(self, call: Call, table: Value, axis: int, index: Value) -> None:
        """Say the rows of a table by the numbers that a tensor holds: they are looked up."""
        if len(table.shape) != 2:
            raise Unsayable("an index that is a tensor, of another table than one of rows")
        order = (1, 0) if axis else (0, 1)
        rows = self.fresh([table.shape[at] for at in order], table.dtype)
        # a layer that is handed a parameter itself would store it under a second name
        if axis:
            self.stage("permute", [table], rows, dims=order)
        else:
            self.stage("reshape", [table], rows, shape=tuple(table.shape))
        count, width = rows.shape
        rank = len(index.shape)
        made = self.fresh((*index.shape, width), table.dtype) if axis else call.result
        self.stage("embedding", [index], made, num_embeddings=count, embedding_dim=width)
        self.nodes[-1].weights["weight"] = rows
        index.alone = True
        self.alone.update((rows, made))
        if axis:
            self.stage("permute", [made], call.result, dims=(rank, *range(rank)))

    def on_select(self, call: Call, value: Any, dim: int, index: int) -> None:
        self.parts(value, [("select", dim % len(value.shape), index)], call.result)

    def on_narrow(self, call: Call, value: Any, dim: int, start: int, length: int) -> None:
        part = slice(start, start + length)
        self.parts(value, [("slice", dim % len(value.shape), part)], call.result)

    def on_unbind(self, call: Call, value: Any, dim: int = 0) -> None:
        for number, result in enumerate(call.values_out()):
            self.parts(value, [("select", dim % len(value.shape), number)], result)

    def on_iter(self, call: Call, value: Any) -> None:
        self.on_unbind(call, value)

    def on_chunk(self, call: Call, value: Any, chunks: Any, dim: int = 0) -> None:
        axis, start = dim % len(value.shape), 0
        for result in call.values_out():
            stop = start + result.shape[axis]
            self.parts(value, [("slice", axis, slice(start, stop))], result)
            start = stop

    on_split = on_split_with_sizes = on_chunk

    def on_tensor_split(self, call: Call, value: Any, where: Any = 2, dim: int = 0,
                        indices: Any = None, sections: Any = None) -> None:  # fmt: skip
        self.on_chunk(call, value, where, dim)

    def parts(self, value: Value, steps: list[tuple[str, int, Any]], result: Value) -> None:
        """Say places and slices along axes, one after the other."""
        if not steps:
            self.become(result, value)
            return
        for number, (what, axis, given) in enumerate(steps):
            last = number == len(steps) - 1
            shape = [*value.shape]
            if what == "unsqueeze":
                shape.insert(axis, 1)
                made = result if last else self.fresh(shape, value.dtype)
                if not self.sharing and (axis == 0 or value in self.forms):
                    self.recut(made, self.form(value))
                else:
                    self.stage("unsqueeze", [value], made, dim=axis)
            elif what == "select":
                del shape[axis]
                made = result if last else self.fresh(shape, value.dtype)
                self.part(value, axis, made, index=given)
            else:
                start, stop, step = given.indices(shape[axis])
                shape[axis] = len(range(start, stop, step))
                made = result if last else self.fresh(shape, value.dtype)
                if shape[axis] == value.shape[axis]:
                    self.become(made, value)
                else:
                    end = None if stop == value.shape[axis] else stop
                    more = {"step": step} if step != 1 else {}
                    self.part(value, axis, made, start=start, stop=end, **more)
            value = self.find(made)

    def part(self, value: Value, axis: int, result: Value, **how: Any) -> None:
        """Say a place or a slice along an axis, wherever the batch is."""
        base, groups = self.form(value)
        group = groups[axis]
        if group == (0,) and not self.sharing:
            raise Unsayable("single samples of the batch")
        if len(group) != 1:
            raise Unsayable(MOVED)
        shape, left = [*base.shape], groups
        if "index" in how:
            del shape[group[0]]
            left = without(groups[:axis] + groups[axis + 1 :], {group[0]})
        else:
            shape[group[0]] = result.shape[axis]
        plainly = left == tuple((one,) for one in range(len(shape)))
        made = result if plainly else self.fresh(shape, value.dtype)
        self.stage("getitem", [base], made, dim=group[0], **how)
        if not plainly:
            self.become_form(result, Form(made, left))


def axis_of(dim: int, result: Value, batch: int, sharing: bool = False) -> dict[str, int]:
    """Return the argument of a concatenation along an axis; the channels go without saying."""
    axis = dim % len(result.shape)
    if axis == 0 and not sharing:
        raise Unsayable("`cat` along the batch")
    return {} if axis == 1 else {"dim": axis}
