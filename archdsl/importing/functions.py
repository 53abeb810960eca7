"""Says in stages of the language what a function of torch does.

Torch has many spellings of one thing: `x.view(n, -1)`, `x.flatten(1)`, `torch.reshape(...)`. Each
is brought to the function that a layer of the language becomes; layers themselves are found by
that function, so none is named here.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from archdsl.importing.bodies import Node
from archdsl.importing.making import Making, Unsayable
from archdsl.importing.record import Call, Value

# What a tensor goes through unchanged.
SAME = {
    "contiguous", "clone", "detach", "to", "float", "type", "type_as", "requires_grad",
    "detach_", "alias", "positive", "checkpoint", "_to_copy",
}  # fmt: skip


class Functions(Making):
    """Turns calls of functions into nodes: one method for what torch calls a thing."""

    def of(self, call: Call, sharing: bool = False) -> list[Node]:
        """Return the nodes that a call becomes.

        Raises:
            Unsayable: the language has no words for it.
        """
        self.nodes, self.place, self.sharing = [], call.place, sharing
        name = call.name.strip("_")
        if call.name in ("__rsub__", "__rtruediv__", "__rpow__"):
            raise Unsayable(f"`{call.name}`: a number less, or divided by, a tensor")
        if call.name.startswith(("__r", "__i")) and hasattr(self, f"on_{name[1:]}"):
            name = name[1:]
        arguments = [self.resolved(one) for one in call.arguments]
        named = {key: self.resolved(one) for key, one in call.named.items()}
        if name in SAME:
            return self.same(call, arguments)
        method: Callable[..., None] | None = getattr(self, f"on_{name}", None)
        if method is not None:
            method(call, *arguments, **named)
        else:
            self.as_layer(call, name, arguments, named)
        return self.nodes

    def resolved(self, held: Any) -> Any:
        """Return the same with values in the place of their other names."""
        if isinstance(held, Value):
            return self.find(held)
        if isinstance(held, list | tuple):
            return [self.resolved(one) for one in held]
        return held

    def same(self, call: Call, arguments: list[Any]) -> list[Node]:
        """Take a result for what came in, unless it holds other numbers."""
        result = call.result
        if not isinstance(result, Value) or not isinstance(arguments[0], Value):
            raise Unsayable(f"`{call.name}`")
        if result.dtype != arguments[0].dtype:
            raise Unsayable(f"`{call.name}` from {arguments[0].dtype} to {result.dtype}")
        self.become(result, arguments[0])
        return []

    # --- noise ----------------------------------------------------------------------------------

    def on_new_empty(self, call: Call, like: Any, size: Any, **how: Any) -> None:
        self.blank.add(call.result)

    def on_bernoulli(self, call: Call, value: Any, p: Any = 0.5, **how: Any) -> None:
        whole = value in self.blank and isinstance(p, float)
        if not whole or any(size != 1 for size in value.shape[1:]):
            raise Unsayable("random numbers")
        self.noise[call.result] = (p, False)

    def depth(self, call: Call, value: Value, noise: Value) -> None:
        """Say a product with noise of zeros and ones that is scaled up: stochastic depth."""
        kept, scaled = self.noise[noise]
        if not scaled:
            raise Unsayable("a product with random numbers")
        mode = "row" if noise.shape[0] == self.batch else "batch"
        share = round(1 - kept, 12)
        self.stage("stochasticdepth", [value], self.whole(call.result), p=share, mode=mode)

    # --- arithmetic -----------------------------------------------------------------------------

    def on_add(self, call: Call, left: Any, right: Any, alpha: Any = 1) -> None:
        if alpha != 1:
            raise Unsayable("`add` with alpha")
        self.arithmetic("add", call, left, right)

    def on_sub(self, call: Call, left: Any, right: Any, alpha: Any = 1) -> None:
        if alpha != 1:
            raise Unsayable("`sub` with alpha")
        self.arithmetic("sub", call, left, right)

    on_subtract = on_sub

    def on_mul(self, call: Call, left: Any, right: Any) -> None:
        self.arithmetic("mul", call, left, right)

    on_multiply = on_mul

    def on_truediv(self, call: Call, left: Any, right: Any, rounding_mode: Any = None) -> None:
        if left in self.noise and right == self.noise[left][0]:
            self.noise[call.result] = (right, True)
            return
        if isinstance(right, Value) or not isinstance(left, Value) or rounding_mode:
            raise Unsayable("the quotient of two tensors")
        self.stage("mul", [left], self.whole(call.result), factor=1 / right)

    on_div = on_true_divide = on_truediv

    def on_pow(self, call: Call, value: Any, exponent: Any) -> None:
        if exponent == 2:
            self.stage("square", [value], self.whole(call.result))
        elif exponent == 0.5:
            self.stage("sqrt", [value], self.whole(call.result))
        else:
            raise Unsayable(f"`pow` with {exponent}")

    def arithmetic(self, word: str, call: Call, left: Any, right: Any) -> None:
        """Say a sum, difference or product of two tensors, or of a tensor and a number."""
        result = call.result
        if isinstance(left, Value) and isinstance(right, Value):
            if word == "mul" and right in self.noise:
                self.depth(call, left, right)
                return
            if result.dtype != left.dtype or result.dtype != right.dtype:
                raise Unsayable(f"`{word}` of {left.dtype} and {right.dtype}")
            self.merge(word, [self.batched(left), self.batched(right)], self.whole(result))
            return
        value, number = (left, right) if isinstance(left, Value) else (right, left)
        if not isinstance(number, int | float) or isinstance(number, bool):
            raise Unsayable(f"`{word}` of a tensor and {type(number).__name__}")
        if number == (1 if word == "mul" else 0):
            self.become(result, value)
        elif word == "mul":
            self.stage("mul", [self.batched(value)], self.whole(result), factor=number)
        else:
            raise Unsayable(f"`{word}` of a tensor and a number")

    def on_matmul(self, call: Call, left: Any, right: Any) -> None:
        if len(left.shape) != len(right.shape):
            raise Unsayable("`matmul` of tensors of different rank")
        self.stage("matmul", [self.batched(left), self.batched(right)], self.whole(call.result))

    on_bmm = on_matmul

    def on_scaled_dot_product_attention(
        self,
        call: Call,
        query: Any,
        key: Any,
        value: Any,
        attn_mask: Any = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> None:
        """Say softmax(q k^T / sqrt(d)) v, which torch computes in one kernel."""
        if attn_mask is not None or is_causal or enable_gqa:
            raise Unsayable("attention with a mask")
        result = self.whole(call.result)
        query, key, value = map(self.batched, (query, key, value))
        if len({len(one.shape) for one in (query, key, value)}) > 1:
            raise Unsayable("attention of tensors of different rank")
        factor = query.shape[-1] ** -0.5 if scale is None else scale
        scaled = self.fresh(query.shape, query.dtype)
        self.stage("mul", [query], scaled, factor=factor)
        order = [*range(len(key.shape))]
        order[-2:] = order[-1], order[-2]
        turned = self.fresh([key.shape[axis] for axis in order], key.dtype)
        self.stage("permute", [key], turned, dims=tuple(order))
        shape = (*query.shape[:-1], key.shape[-2])
        weights, shares = self.fresh(shape, query.dtype), self.fresh(shape, query.dtype)
        self.stage("matmul", [scaled, turned], weights)
        self.stage("softmax", [weights], shares, dim=-1)
        if dropout_p:
            kept = self.fresh(shape, query.dtype)
            self.stage("dropout", [shares], kept, p=dropout_p)
            shares = kept
        self.stage("matmul", [shares, value], result)

    def on_cat(self, call: Call, values: Any, dim: int = 0, axis: int | None = None) -> None:
        dim = dim if axis is None else axis
        result = self.whole(call.result)
        if len(values) == 1:
            self.become(result, values[0])
            return
        self.merge(
            "concat", list(map(self.batched, values)), result, **axis_of(dim, result, self.batch)
        )

    on_concat = on_concatenate = on_cat

    def on_stack(self, call: Call, values: Any, dim: int = 0) -> None:
        result = self.whole(call.result)
        axis = dim % len(result.shape)
        parts = []
        for value in values:
            shape = [*value.shape]
            shape.insert(axis, 1)
            part = self.fresh(shape, value.dtype)
            self.stage("unsqueeze", [self.batched(value)], part, dim=axis)
            parts.append(part)
        self.merge("concat", parts, result, **axis_of(axis, result, self.batch))

    # --- shapes ---------------------------------------------------------------------------------

    def on_reshape(self, call: Call, value: Any, *sizes: Any, shape: Any = None) -> None:
        result = call.result
        if result.shape == value.shape:
            self.become(result, value)
            return
        if self.sharing:
            self.stage("reshape", [value], result, shape=tuple(result.shape))
            return
        self.whole(result)
        self.reshaped(self.batched(value), result)

    on_view = on_reshape_as = on_view_as = on_unsafe_view = on_reshape

    def on_flatten(self, call: Call, value: Any, start_dim: int = 0, end_dim: int = -1) -> None:
        self.on_reshape(call, value)

    def on_unflatten(self, call: Call, value: Any, dim: int, sizes: Any) -> None:
        self.on_reshape(call, value)

    def reshaped(self, value: Value, result: Value) -> None:
        """Say a change of shape: as a flattening where it is one."""
        before, after = value.shape, result.shape
        for start in range(1, len(before)):
            for end in range(len(before) - 1, start, -1):
                flat = (*before[:start], prod(before[start : end + 1]), *before[end + 1 :])
                if flat == after:
                    last = {} if end == len(before) - 1 else {"end_dim": end}
                    self.stage("flatten", [value], result, start_dim=start, **last)
                    return
        self.stage("reshape", [value], result, shape=tuple(after[1:]))

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

    def permute(self, value: Value, result: Value, order: tuple[int, ...]) -> None:
        """Say another order of the axes; one that moves the batch waits for what undoes it."""
        order = tuple(axis % len(value.shape) for axis in order)
        here = (value, tuple(range(len(value.shape))))
        base, before = self.permuted.get(value) or self.ordered.get(value) or here
        composed = tuple(before[axis] for axis in order)
        if composed == tuple(range(len(composed))):
            self.become(result, base)
        elif composed[0] != 0 and not self.sharing:
            self.permuted[result] = (base, composed)
        else:
            self.stage("permute", [base], result, dims=composed)
            self.ordered[result] = (base, composed)

    def on_squeeze(self, call: Call, value: Any, dim: Any = None) -> None:
        result = call.result
        if result.shape == value.shape:
            self.become(result, value)
            return
        dims = [one for one, size in enumerate(value.shape) if size == 1] if dim is None else dim
        listed = dims if isinstance(dims, list) else [dims]
        gone = [one % len(value.shape) for one in listed if value.shape[one] == 1]
        self.whole(result)
        self.stage(
            "squeeze", [self.batched(value)], result, dim=gone[0] if len(gone) == 1 else tuple(gone)
        )

    def on_unsqueeze(self, call: Call, value: Any, dim: int) -> None:
        result = call.result
        if self.sharing and dim == 0:
            self.become(result, value)  # merges spread it all the same
            return
        self.whole(result)
        self.stage("unsqueeze", [self.batched(value)], result, dim=dim)

    def on_expand(self, call: Call, value: Any, *sizes: Any) -> None:
        result = call.result
        over_batch = (
            value.own and value.shape[:1] == (1,) and result.shape == (self.batch, *value.shape[1:])
        )
        # what is spread is multiplied with something next, and merges spread it themselves
        spread = len(result.shape) == len(value.shape) and not value.own and call.name != "repeat"
        if over_batch or result.shape == value.shape or (spread and value.shape[0] == self.batch):
            self.become(result, value)
        else:
            raise Unsayable("`expand` along another axis than the batch")

    on_expand_as = on_repeat = on_broadcast_to = on_expand

    # --- parts ----------------------------------------------------------------------------------

    def on_getitem(self, call: Call, value: Any, index: Any) -> None:
        listed = [*index] if isinstance(index, list | tuple) else [index]
        if any(isinstance(one, Value | list) for one in listed):
            raise Unsayable("an index that is a tensor")
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

    def on_select(self, call: Call, value: Any, dim: int, index: int) -> None:
        self.parts(value, [("select", dim % len(value.shape), index)], call.result)

    def on_narrow(self, call: Call, value: Any, dim: int, start: int, length: int) -> None:
        part = slice(start, start + length)
        self.parts(value, [("slice", dim % len(value.shape), part)], call.result)

    def on_unbind(self, call: Call, value: Any, dim: int = 0) -> None:
        for number, result in enumerate(call.values_out()):
            self.parts(value, [("select", dim % len(value.shape), number)], result)

    def on_chunk(self, call: Call, value: Any, chunks: Any, dim: int = 0) -> None:
        axis, start = dim % len(value.shape), 0
        for result in call.values_out():
            stop = start + result.shape[axis]
            self.parts(value, [("slice", axis, slice(start, stop))], result)
            start = stop

    on_split = on_tensor_split = on_split_with_sizes = on_chunk

    def parts(self, value: Value, steps: list[tuple[str, int, Any]], result: Value) -> None:
        """Say places and slices along axes, one after the other."""
        if not steps:
            self.become(result, value)
            return
        for number, (what, axis, given) in enumerate(steps):
            last = number == len(steps) - 1
            base, order = self.permuted.get(value, (value, tuple(range(len(value.shape)))))
            shape = [*value.shape]
            if what == "unsqueeze":
                if value in self.permuted or (axis == 0 and not self.sharing):
                    raise Unsayable("an axis before the batch")
                shape.insert(axis, 1)
                made = result if last else self.fresh(shape, value.dtype)
                self.stage("unsqueeze", [base], made, dim=axis)
                value = made
                continue
            real = order[axis]
            if real == 0 and not self.sharing:
                if what == "slice" and range(*given.indices(self.batch)) == range(self.batch):
                    if last:
                        self.become(result, value)
                    continue
                raise Unsayable("single samples of the batch")
            if what == "select":
                del shape[axis]
                rest = tuple(one - (one > real) for one in order if one != real)
                straight = rest == tuple(range(len(rest)))
                inner = [size for one, size in enumerate(base.shape) if one != real]
                made = result if last and straight else self.fresh(inner, value.dtype)
                index = given
                self.stage("getitem", [base], made, index=index, dim=real)
                if not straight:
                    turned = result if last else self.fresh(shape, value.dtype)
                    if rest[0] == 0:
                        self.stage("permute", [made], turned, dims=rest)
                    else:
                        self.permuted[turned] = (made, rest)
                    made = turned
                value = made
                continue
            if value in self.permuted:
                raise Unsayable("a slice of what has its batch on another axis")
            start, stop, step = given.indices(shape[axis])
            shape[axis] = len(range(start, stop, step))
            if shape[axis] == value.shape[axis]:
                if last:
                    self.become(result, value)
                continue
            made = result if last else self.fresh(shape, value.dtype)
            end = None if stop == value.shape[axis] else stop
            more = {"step": step} if step != 1 else {}
            self.stage("getitem", [base], made, start=start, stop=end, dim=real, **more)
            value = made

    # --- everything else ------------------------------------------------------------------------

    def on_pad(
        self, call: Call, tensor: Any, pad: Any, mode: str = "constant", value: Any = None
    ) -> None:
        rank = len(tensor.shape)
        # the list begins with the last axis
        sides = {rank - 1 - at: (pad[2 * at], pad[2 * at + 1]) for at in range(len(pad) // 2)}
        padded = [axis for axis, (before, after) in sorted(sides.items()) if before or after]
        if not padded:
            self.become(call.result, tensor)
            return
        result = self.whole(call.result)
        first = min(padded)
        # padding is of the axes after the channels, so another axis stands there for so long
        kept = [axis for axis in range(1, rank) if axis not in padded]
        front = next((axis for axis in kept), None)
        if first == 0 or front is None or rank - 2 > 3:
            raise Unsayable("padding of all axes")
        axes = [axis for axis in range(1, rank) if axis != front] if first == 1 else None
        order = (0, front, *axes) if axes else tuple(range(rank))
        padding = [side for axis in reversed(order[2:]) for side in sides.get(axis, (0, 0))]
        kind = {"constant": "constant" if value else "zero", "reflect": "reflection",
                "replicate": "replication", "circular": "circular"}[mode]  # fmt: skip
        more = {"value": value} if value else {}
        name = f"{kind}pad{rank - 2}d"
        if not axes:
            self.stage(name, [tensor], result, padding=tuple(padding), **more)
            return
        turned = self.fresh([tensor.shape[axis] for axis in order], tensor.dtype)
        wide = self.fresh([result.shape[axis] for axis in order], tensor.dtype)
        self.permute(tensor, turned, order)
        turned = self.find(turned)
        self.stage(name, [turned], wide, padding=tuple(padding), **more)
        back = tuple(order.index(axis) for axis in range(rank))
        self.permute(wide, result, back)

    def on_dropout(self, call: Call, value: Any, *rest: Any, **named: Any) -> None:
        given = dict(zip(("p", "training", "inplace"), rest, strict=False)) | named
        if given.get("training", True) != call.training:
            if given.get("training", True):
                raise Unsayable("dropout in evaluation mode")
            self.become(call.result, value)
            return
        self.stage("dropout", [value], self.whole(call.result), p=given.get("p", 0.5))

    def on_adaptive_avg_pool2d(self, call: Call, value: Any, output_size: Any) -> None:
        size = tuple(output_size) if isinstance(output_size, list) else output_size
        self.stage("adaptiveavgpool2d", [value], self.whole(call.result), output_size=size)


def axis_of(dim: int, result: Value, batch: int) -> dict[str, int]:
    """Return the argument of a concatenation along an axis; the channels go without saying."""
    axis = dim % len(result.shape)
    if axis == 0:
        raise Unsayable("`cat` along the batch")
    return {} if axis == 1 else {"dim": axis}
