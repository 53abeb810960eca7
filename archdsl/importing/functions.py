"""Says in stages of the language what a function of torch does.

Torch has many spellings of one thing: `x.view(n, -1)`, `x.flatten(1)`, `torch.reshape(...)`. Each
is brought to the function that a layer of the language becomes; layers themselves are found by
that function, so none is named here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from archdsl.importing.bodies import Node
from archdsl.importing.forms import Form
from archdsl.importing.making import Unsayable, numbers_of
from archdsl.importing.norms import Norms
from archdsl.importing.products import Products
from archdsl.importing.record import Call, Value
from archdsl.importing.windows import PADDINGS
from archdsl.importing.writes import Writes

# What a tensor goes through unchanged.
SAME = {
    "contiguous", "clone", "detach", "to", "float", "int", "long", "bool", "type", "type_as",
    "double", "half", "bfloat16", "byte", "char", "short", "requires_grad", "alias", "positive",
    "checkpoint", "_to_copy", "data", "as_tensor", "asarray",
}  # fmt: skip

# What takes a tensor that is the same for each sample as one that all share.
SPREADING = {
    "add", "iadd", "radd", "sub", "isub", "rsub", "mul", "imul", "rmul", "div", "truediv",
    "matmul", "bmm", "einsum", "scaled_dot_product_attention",
}  # fmt: skip

KINDS = {"int", "float", "bool"}  # of numbers, that the language has
SHORT = {"uint8", "int8", "int16"}  # integers that it has no word for: larger ones are cut to fit

PROPERTIES = {"T": "t", "mT": "adjoint"}  # of tensors, each with the function that gives the same


class Functions(Norms, Products, Writes):
    """Turns calls of functions into nodes: one method for what torch calls a thing.

    Attributes:
        even: for what is drawn evenly between two numbers: the lower one, 1 less than the other.
        divided: for what was divided by a number: what that was before, and the number.
    """

    def __init__(self, batch: int) -> None:
        super().__init__(batch)
        self.even: dict[Value, float] = {}
        self.divided: dict[Value, tuple[Value, float]] = {}

    def of(self, call: Call, sharing: bool = False) -> list[Node]:
        """Return the nodes that a call becomes.

        Raises:
            Unsayable: the language has no words for it.
        """
        self.nodes, self.place, self.sharing = [], call.place, sharing
        name = call.name.strip("_")
        if call.name.startswith(("__r", "__i")) and not hasattr(self, f"on_{name}"):
            name = name[1:]
        arguments = [self.resolved(one) for one in call.arguments]
        named = {key: self.resolved(one) for key, one in call.named.items() if key != "out"}
        name = PROPERTIES.get(name, name)
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
            held = self.find(held)
            if held.fixed and not held.shape:
                return numbers_of(held).item()
            return held
        if isinstance(held, list | tuple):
            return [self.resolved(one) for one in held]
        return held

    def same(self, call: Call, arguments: list[Any]) -> list[Node]:
        """Take a result for what came in, unless it holds other numbers."""
        result = call.result
        if not isinstance(result, Value) or not isinstance(arguments[0], Value):
            raise Unsayable(f"`{call.name}`")
        before, after = kind_of(arguments[0].dtype), kind_of(result.dtype)
        if before == after:
            self.become(result, arguments[0])
        elif after in KINDS and (before in KINDS or before in SHORT):
            self.each("to", [arguments[0]], result, kind=after)
        else:
            raise Unsayable(f"`{call.name}` from {arguments[0].dtype} to {result.dtype}")
        return self.nodes

    # --- noise ----------------------------------------------------------------------------------

    def on_new_empty(self, call: Call, like: Any, size: Any, **how: Any) -> None:
        self.blank.add(call.result)

    def on_bernoulli(self, call: Call, value: Any, p: Any = 0.5, **how: Any) -> None:
        whole = value in self.blank and isinstance(p, float)
        if not whole or any(size != 1 for size in value.shape[1:]):
            raise Unsayable("random numbers")
        self.noise[call.result] = (p, False)

    def draw(self, call: Call) -> None:
        """Follow what is drawn evenly from 0 to 1, and rounded down after a number was added."""
        name, given = call.name.strip("_"), call.arguments
        if name in ("rand", "rand_like") and isinstance(call.result, Value):
            self.even[call.result] = 0.0
        elif name in ("add", "radd") and len(given) == 2:
            drawn, more = given if isinstance(given[0], Value) else given[::-1]
            if drawn in self.even and isinstance(more, int | float):
                self.even[call.result] = self.even[drawn] + more
        elif name == "floor" and given[0] in self.even:
            self.noise[call.result] = (self.even[given[0]], False)

    def depth(self, call: Call, value: Value, noise: Value) -> None:
        """Say a product with noise of zeros and ones that is scaled up: stochastic depth."""
        kept, scaled = self.noise[noise]
        before, divisor = self.divided.get(value, (value, 1.0))
        if not scaled and divisor == kept:
            value = before
        elif not scaled or any(size != 1 for size in noise.shape[1:]):
            raise Unsayable("a product with random numbers")
        mode = "row" if noise.shape[0] == self.batch else "batch"
        share = round(1 - kept, 12)
        self.stage("stochasticdepth", [value], self.whole(call.result), p=share, mode=mode)

    # --- arithmetic -----------------------------------------------------------------------------

    def on_add(self, call: Call, left: Any, right: Any, alpha: Any = 1) -> None:
        self.arithmetic("add", call, left, self.times(right, alpha))

    def on_sub(self, call: Call, left: Any, right: Any, alpha: Any = 1) -> None:
        self.arithmetic("sub", call, left, self.times(right, alpha))

    on_subtract = on_sub

    def on_rsub(self, call: Call, left: Any, right: Any, alpha: Any = 1) -> None:
        self.arithmetic("sub", call, right, self.times(left, alpha))

    def on_mul(self, call: Call, left: Any, right: Any) -> None:
        self.arithmetic("mul", call, left, right)

    on_multiply = on_mul

    def times(self, value: Any, factor: Any) -> Any:
        """Return a value times a factor that `add` and `sub` take."""
        if factor == 1 or not isinstance(value, Value):
            return value if factor == 1 else value * factor
        made = self.fresh(value.shape, value.dtype)
        self.each("mul", [value], made, factor=factor)
        return made

    def on_truediv(self, call: Call, left: Any, right: Any, rounding_mode: Any = None) -> None:
        if left in self.noise and right == self.noise[left][0]:
            self.noise[call.result] = (right, True)
            return
        if rounding_mode or not call.result.dtype.startswith("float"):
            raise Unsayable("a quotient that is rounded")
        if not isinstance(left, Value):
            made = call.result if left == 1 else self.fresh(call.result.shape, right.dtype)
            self.each("reciprocal", [right], made)
            if left != 1:
                self.each("mul", [made], call.result, factor=left)
        elif isinstance(right, Value):
            self.each("div", self.unspread(left, right), call.result)
        else:
            self.each("mul", [left], call.result, factor=1 / right)
            self.divided[call.result] = (left, right)

    on_div = on_true_divide = on_divide = on_truediv

    def on_rtruediv(self, call: Call, right: Any, left: Any) -> None:
        self.on_truediv(call, left, right)

    on_rdiv = on_rtruediv

    def on_pow(self, call: Call, value: Any, exponent: Any) -> None:
        if not isinstance(value, Value) or isinstance(exponent, Value):
            raise Unsayable("a power whose exponent is a tensor")
        if exponent == 2:
            self.each("square", [value], call.result)
        elif exponent == 0.5:
            self.each("sqrt", [value], call.result)
        else:
            self.each("pow", [value], call.result, exponent=exponent)

    def arithmetic(self, word: str, call: Call, left: Any, right: Any) -> None:
        """Say a sum, difference or product of two tensors, or of a tensor and a number."""
        result = call.result
        left, right = self.one_number(left, right), self.one_number(right, left)
        if isinstance(left, Value) and isinstance(right, Value):
            if word == "mul" and right in self.noise:
                self.depth(call, left, right)
                return
            floats = {one.dtype for one in (left, right, result) if is_float(one)}
            if len(floats) > 1:
                raise Unsayable(f"`{word}` of {left.dtype} and {right.dtype}")
            bases, made = self.alike(self.unspread(left, right), result)
            self.merge(word, bases, made)
            return
        value, number = (left, right) if isinstance(left, Value) else (right, left)
        if isinstance(number, bool):
            number = int(number)
        if not isinstance(number, int | float):
            raise Unsayable(f"`{word}` of a tensor and {type(number).__name__}")
        if word == "sub" and value is right:  # a number less a tensor
            turned = result if number == 0 else self.fresh(value.shape, value.dtype)
            self.each("neg", [value], turned)
            if number != 0:
                self.each("shift", [turned], result, amount=number)
        elif number == (1 if word == "mul" else 0) and value.dtype == result.dtype:
            self.become(result, value)
        elif word == "mul":
            self.each("mul", [value], result, factor=number)
        else:
            self.each("shift", [value], result, amount=-number if word == "sub" else number)

    def unspread(self, *values: Value) -> list[Value]:
        """Return what was spread before it was spread: arithmetic does that by itself."""
        whole = [self.spread.get(value, value) for value in values]
        if len({len(one.shape) for one in whole}) == 1:
            rank = len(whole[0].shape)
            shape = tuple(max(one.shape[axis] for one in whole) for axis in range(rank))
            wide = tuple(max(one.shape[axis] for one in values) for axis in range(rank))
            if shape == wide:
                return whole
        return [*values]

    # --- comparisons and choices ----------------------------------------------------------------

    def compared(self, call: Call, left: Any, right: Any) -> None:
        """Say a comparison of two tensors, or of a tensor and a number."""
        name = call.name.strip("_")
        if isinstance(right, Value) and isinstance(left, Value):
            self.each(name, self.unspread(left, right), call.result)
            return
        if not isinstance(left, Value):
            left, right = right, left
            name = {"gt": "lt", "lt": "gt", "ge": "le", "le": "ge"}.get(name, name)
        if not isinstance(right, int | float):
            raise Unsayable(f"a comparison with {type(right).__name__}")
        self.each(name, [left], call.result, number=right)

    on_gt = on_lt = on_ge = on_le = on_eq = on_ne = compared
    on_greater = on_less = on_greater_equal = on_less_equal = on_not_equal = compared

    def on_logical_not(self, call: Call, value: Any) -> None:
        if call.name.startswith(("bitwise", "__inv")) and value.dtype != "bool":
            raise Unsayable(f"`{call.name}` of integers")
        self.each("eq", [value], call.result, number=0)

    on_bitwise_not = on_invert = on_logical_not

    def on_logical_and(self, call: Call, left: Any, right: Any) -> None:
        self.of_booleans("minimum", call, left, right)

    def on_logical_or(self, call: Call, left: Any, right: Any) -> None:
        self.of_booleans("maximum", call, left, right)

    on_bitwise_and = on_and = on_logical_and
    on_bitwise_or = on_or = on_logical_or

    def of_booleans(self, word: str, call: Call, left: Any, right: Any) -> None:
        """Say `and` and `or` of two tensors."""
        if not isinstance(left, Value) or not isinstance(right, Value):
            raise Unsayable(f"`{call.name}` of a tensor and a number")
        if {left.dtype, right.dtype} != {"bool"}:
            raise Unsayable(f"`{call.name}` of what isn't true or false")
        self.each(word, self.unspread(left, right), call.result)

    def on_maximum(self, call: Call, left: Any, right: Any) -> None:
        self.each(call.name, self.unspread(left, right), call.result)

    on_minimum = on_maximum

    def on_max(self, call: Call, value: Any, dim: Any = None, keepdim: bool = False) -> None:
        """Say a maximum along an axis, of which the indices are another layer's."""
        if isinstance(dim, Value):
            self.each(f"{call.name}imum", self.unspread(value, dim), call.result)
            return
        values = call.values_out()
        if dim is None or len(values) != 2:
            raise Unsayable(f"`{call.name}` of a whole batch")
        for result, name in zip(values, (call.name, f"arg{call.name}"), strict=True):
            given = Call(call.path, name, None, None, (value,), {"dim": dim, "keepdim": keepdim})
            given.result = result
            self.as_layer(given, name, [value], given.named)

    on_min = on_max

    def on_clamp(self, call: Call, value: Any, min: Any = None, max: Any = None) -> None:
        if not any(isinstance(one, Value) for one in (min, max)):
            self.as_layer(call, "clamp", [value], {"min": min, "max": max})
            return
        bounds = [(w, b) for w, b in (("maximum", min), ("minimum", max)) if b is not None]
        for number, (word, bound) in enumerate(bounds):
            last = number == len(bounds) - 1
            made = call.result if last else self.fresh(call.result.shape, call.result.dtype)
            if isinstance(bound, Value):
                self.each(word, self.unspread(value, bound), made)
            else:
                name = "min" if word == "maximum" else "max"
                self.each("clamp", [value], made, **{name: self.finite(bound)})
            value = self.find(made)

    def on_where(self, call: Call, condition: Any, left: Any = None, right: Any = None) -> None:
        if not isinstance(condition, Value) or left is None or right is None:
            raise Unsayable("`where` without both choices")
        if isinstance(left, Value) and isinstance(right, Value):
            self.each("where", [condition, left, right], call.result)
            return
        if not isinstance(left, Value) and not isinstance(right, Value):
            raise Unsayable("`where` of two numbers")
        if isinstance(left, Value):
            turned = self.fresh(condition.shape, "bool")
            if self.is_shared(condition):  # so is the other way round of it
                condition.alone = condition.alone or condition.held
                self.alone.add(turned)
                self.stage("eq", [condition], turned, number=0)
            else:
                self.each("eq", [condition], turned, number=0)
            self.masked(left, turned, call.result, right)
        else:
            self.masked(right, condition, call.result, left)

    # --- products -------------------------------------------------------------------------------

    def on_addmm(self, call: Call, start: Any, left: Any, right: Any, beta: Any = 1,
                 alpha: Any = 1) -> None:  # fmt: skip
        made = self.fresh(call.result.shape, call.result.dtype)
        inner = Call(call.path, "matmul", None, None, (left, right), {})
        inner.result = made
        self.on_matmul(inner, left, right)
        self.arithmetic("add", call, self.times(start, beta), self.times(made, alpha))

    on_baddbmm = on_addbmm = on_addmm

    def on_addcmul(self, call: Call, start: Any, left: Any, right: Any, value: Any = 1) -> None:
        made = self.fresh(call.result.shape, call.result.dtype)
        inner = Call(call.path, "mul", None, None, (left, right), {})
        inner.result = made
        self.arithmetic("mul", inner, left, right)
        self.arithmetic("add", call, start, self.times(made, value))

    def on_stack(self, call: Call, values: Any, dim: int = 0) -> None:
        result = call.result
        axis = dim % len(result.shape)
        if self.sharing or axis > 0:
            self.stage("stack", list(map(self.batched, values)), self.whole(result), dim=axis)
            return
        shape = (values[0].shape[0], len(values), *values[0].shape[1:])
        made = self.fresh(shape, result.dtype)
        self.stage("stack", list(map(self.batched, values)), made, dim=1)
        rest = tuple((one,) for one in range(2, len(shape)))
        self.become_form(result, Form(made, ((1,), (0,), *rest)))

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
        value = self.finite(value)
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
        kind = {"constant": "constant" if value else "zero", **PADDINGS}[mode]
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
        name = call.name.strip("_")
        # torch's functions for activations with a mean of 0 leave it alone unless told otherwise
        training = given.get("training", "alpha" not in name)
        if training != call.training:
            if training:
                raise Unsayable("dropout in evaluation mode")
            self.become(call.result, value)
            return
        if name == "dropout":
            self.each(name, [value], call.result, p=given.get("p", 0.5))
        else:
            self.as_layer(call, name, [value], {"p": given.get("p", 0.5)})

    on_dropout1d = on_dropout2d = on_dropout3d = on_dropout
    on_alpha_dropout = on_feature_alpha_dropout = on_dropout

    def on_adaptive_avg_pool2d(self, call: Call, value: Any, output_size: Any) -> None:
        size = tuple(output_size) if isinstance(output_size, list) else output_size
        self.stage("adaptiveavgpool2d", [value], self.whole(call.result), output_size=size)


def kind_of(dtype: str) -> str:
    """Return what a type of torch is in the language, which has one of each kind."""
    return {"float32": "float", "int64": "int", "int32": "int", "bool": "bool"}.get(dtype, dtype)


def is_float(value: Value) -> bool:
    """Tell whether a tensor of one axis or more holds floats."""
    return bool(value.shape) and "float" in value.dtype
