"""What operators of ONNX become that compute: one operator, one entry.

An entry gets the node (`At`) and what comes in, in the order of ONNX, None where it is left out:
tensors of torch where they flow, arrays where they are known before. It returns what comes out.
Where all is known before it is called with tensors, and what it gives is known as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from archdsl.importing.onnx.at import (
    KINDS,
    Array,
    At,
    Entry,
    Given,
    Missing,
    entering,
    number,
    require_size,
)

ENTRIES: dict[str, Entry] = {}
operator = entering(ENTRIES)


# --- number by number -----------------------------------------------------------------------------

ONE_BY_ONE: dict[str, Callable[[At, torch.Tensor], torch.Tensor]] = {
    "Relu": lambda at, x: functional.relu(x),
    "Sigmoid": lambda at, x: torch.sigmoid(x),
    "Tanh": lambda at, x: torch.tanh(x),
    "LeakyRelu": lambda at, x: functional.leaky_relu(x, number(at.get("alpha", 0.01))),
    "Elu": lambda at, x: functional.elu(x, number(at.get("alpha", 1.0))),
    "Celu": lambda at, x: functional.celu(x, number(at.get("alpha", 1.0))),
    "Selu": lambda at, x: selu(at, x),
    "Softplus": lambda at, x: functional.softplus(x),
    "Softsign": lambda at, x: functional.softsign(x),
    "archdsl.SiLU": lambda at, x: functional.silu(x),
    "HardSwish": lambda at, x: functional.hardswish(x),
    "Mish": lambda at, x: functional.mish(x),
    "Gelu": lambda at, x: functional.gelu(x, approximate=at.get("approximate", "none")),
    "Erf": lambda at, x: torch.erf(x),
    "Exp": lambda at, x: torch.exp(x),
    "Log": lambda at, x: torch.log(x),
    "Sqrt": lambda at, x: torch.sqrt(x),
    "Reciprocal": lambda at, x: torch.reciprocal(x),
    "Neg": lambda at, x: torch.neg(x),
    "Abs": lambda at, x: torch.abs(x),
    "Sin": lambda at, x: torch.sin(x),
    "Cos": lambda at, x: torch.cos(x),
    "Floor": lambda at, x: torch.floor(x),
    "Ceil": lambda at, x: torch.ceil(x),
    "Round": lambda at, x: torch.round(x),
    "Sign": lambda at, x: torch.sign(x),
    "IsNaN": lambda at, x: torch.isnan(x),
    "Not": lambda at, x: torch.logical_not(x),
    "Identity": lambda at, x: x,
}


def selu(at: At, x: torch.Tensor) -> torch.Tensor:
    """Return what `Selu` gives with the numbers that it is for."""
    alpha, gamma = at.get("alpha", 1.67326324), at.get("gamma", 1.05070098)
    if abs(alpha - 1.67326324) > 1e-6 or abs(gamma - 1.05070098) > 1e-6:
        raise Missing("`Selu` with other numbers than its own")
    return functional.selu(x)


def one_by_one(function: Callable[[At, torch.Tensor], torch.Tensor]) -> Entry:
    """Return the entry of what does the same to each number."""
    return lambda at, x, *rest: function(at, at.tensor(x))


ENTRIES.update({name: one_by_one(function) for name, function in ONE_BY_ONE.items()})


TWO: dict[str, Callable[[Any, Any], Any]] = {
    "Add": torch.add,
    "Sub": torch.sub,
    "Mul": torch.mul,
    "Greater": torch.gt,
    "GreaterOrEqual": torch.ge,
    "Less": torch.lt,
    "LessOrEqual": torch.le,
    "Equal": torch.eq,
    "And": torch.logical_and,
    "Or": torch.logical_or,
    "Xor": torch.logical_xor,
}


def of_two(function: Callable[[Any, Any], Any]) -> Entry:
    """Return the entry of what joins two tensors number by number."""

    def entry(at: At, left: Given, right: Given) -> Any:
        left, right = of_each(at, left, right), of_each(at, right, left)
        require_broadcast(left, right)
        one, other = at.operand(left, right), at.operand(right, left)
        if not isinstance(one, torch.Tensor):  # torch takes a number in the second place alone
            name = {"gt": "lt", "lt": "gt", "ge": "le", "le": "ge"}.get(function.__name__)
            if name is not None:
                return getattr(torch, name)(other, one)
            return torch.rsub(other, one) if function is torch.sub else function(other, one)
        return function(one, other)

    return entry


ENTRIES.update({name: of_two(function) for name, function in TWO.items()})


def of_each(at: At, value: Given, other: Given) -> Given:
    """Return one row of what has an equal row for each sample, where it is spread over another."""
    if not isinstance(value, np.ndarray) or not isinstance(other, torch.Tensor):
        return value
    spread = value.ndim == other.dim() > 0 and other.shape[0] == at.root.now
    return at.for_each_sample(value) if spread else value


def require_broadcast(*values: Any) -> None:
    """Refuse to join tensors whose result would be too large."""
    shapes = [tuple(one.shape) for one in values if hasattr(one, "shape")]
    require_size(np.broadcast_shapes(*shapes))


@operator("Div")
def div(at: At, left: Given, right: Given) -> Any:
    require_broadcast(left, right)
    one, other = at.operand(left, right), at.operand(right, left)
    kind = next(x.dtype for x in (one, other) if isinstance(x, torch.Tensor))
    if not kind.is_floating_point:
        return torch.div(one, other, rounding_mode="trunc")
    if not isinstance(one, torch.Tensor):
        return torch.reciprocal(other) * one if one != 1 else torch.reciprocal(other)
    return torch.div(one, other)


@operator("Pow")
def pow_(at: At, left: Given, right: Given) -> Any:
    require_broadcast(left, right)
    one, other = at.tensor(left), at.operand(right, left)
    if not isinstance(other, torch.Tensor) and other == int(other):
        other = int(other)
    return torch.pow(one, other)


@operator("Mod")
def mod(at: At, left: Given, right: Given) -> Any:
    require_broadcast(left, right)
    function = torch.fmod if at.get("fmod", 0) else torch.remainder
    return function(at.tensor(left), at.operand(right, left))


@operator("Sum")
def sum_(at: At, *values: Given) -> Any:
    return joined(at, torch.add, values)


@operator("Max")
def max_(at: At, *values: Given) -> Any:
    return joined(at, torch.maximum, values)


@operator("Min")
def min_(at: At, *values: Given) -> Any:
    return joined(at, torch.minimum, values)


def joined(at: At, function: Callable[[Any, Any], Any], values: Sequence[Given]) -> Any:
    """Join tensors one after the other."""
    require_broadcast(*values)
    found = at.tensor(values[0])
    for one in values[1:]:
        found = function(found, at.tensor(one))
    return found


@operator("Clip")
def clip(at: At, x: Given, low: Given = None, high: Given = None) -> Any:
    least = at.one(low, "bound", at.get("min"))
    most = at.one(high, "bound", at.get("max"))
    if least is not None and abs(least) > 3e38:
        least = None
    if most is not None and abs(most) > 3e38:
        most = None
    if (least, most) == (0, None):
        return functional.relu(at.tensor(x))
    if (least, most) == (0, 6):
        return functional.relu6(at.tensor(x))
    if least is None and most is None:
        return at.tensor(x)
    return torch.clamp(at.tensor(x), least, most)


@operator("HardSigmoid")
def hard_sigmoid(at: At, x: Given) -> Any:
    alpha, beta = number(at.get("alpha", 0.2)), number(at.get("beta", 0.5))
    if abs(alpha - 1 / 6) < 1e-6 and beta == 0.5:
        return functional.hardsigmoid(at.tensor(x))
    return torch.clamp(at.tensor(x) * alpha + beta, 0, 1)


@operator("ThresholdedRelu")
def thresholded_relu(at: At, x: Given) -> Any:
    return functional.threshold(at.tensor(x), number(at.get("alpha", 1.0)), 0.0)


@operator("PRelu")
def prelu(at: At, x: Given, slope: Given) -> Any:
    array, shape = at.array(slope, "slope"), at.tensor(x).shape
    aligned = (1,) * (len(shape) - array.ndim) + array.shape  # as what is spread is
    if array.size != 1 and (len(shape) < 2 or not array.size == aligned[1] == shape[1]):
        raise Missing("`PRelu` with a slope for each place")
    return at.layer(nn.PReLU, array.size, weights={"weight": array.reshape(-1)})(x)


@operator("Where")
def where(at: At, condition: Given, left: Given, right: Given) -> Any:
    require_broadcast(condition, left, right)
    given = at.tensor(condition)
    return torch.where(given, at.operand(left, given), at.operand(right, given))


@operator("Cast")
def cast(at: At, x: Given) -> Any:
    kind = KINDS.get(at.get("to"))
    if kind is None:
        raise Missing("`Cast` to a kind of numbers that is not read")
    return at.tensor(x).to(kind)


@operator("CastLike")
def cast_like(at: At, x: Given, like: Given) -> Any:
    return at.tensor(x).to(at.tensor(like).dtype)


# --- along axes -----------------------------------------------------------------------------------


def along(function: Callable[..., torch.Tensor]) -> Entry:
    """Return the entry of a function along an axis."""

    def entry(at: At, x: Given) -> Any:
        tensor = at.tensor(x)
        axis = at.get("axis", 1 if at.opset < 13 else -1)
        if at.opset < 13 and at.axis(axis, tensor.dim()) != tensor.dim() - 1:
            shape = tensor.shape  # of all axes from there on
            return function(torch.flatten(tensor, axis), dim=-1).reshape(shape)
        return function(tensor, dim=axis)

    return entry


ENTRIES["Softmax"] = along(functional.softmax)
ENTRIES["LogSoftmax"] = along(functional.log_softmax)


def reduced(function: Callable[..., torch.Tensor]) -> Entry:
    """Return the entry of a reduction."""

    def entry(at: At, x: Given, axes: Given = None) -> Any:
        tensor = at.tensor(x)
        found, keep = at.axes(axes), bool(at.get("keepdims", 1))
        none = at.get("noop_with_empty_axes", 0)
        if not found:
            if none:
                return tensor
            found = [*range(tensor.dim())]
        return function(tensor, sorted(at.axis(axis, tensor.dim()) for axis in found), keep)

    return entry


def mean(x: torch.Tensor, axes: list[int], keep: bool) -> torch.Tensor:
    """Return means; of whole maps as the pooling that gives them."""
    if x.dim() == 4 and axes == [2, 3] and keep and x.is_floating_point():
        return functional.adaptive_avg_pool2d(x, 1)
    return torch.mean(x, axes, keep)


def by_turns(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """Return a reduction along several axes of one along a single one."""

    def entry(x: torch.Tensor, axes: list[int], keep: bool) -> torch.Tensor:
        for axis in reversed(axes):
            x = function(x, axis, keep)
        return x

    return entry


ENTRIES.update(
    {
        "ReduceMean": reduced(mean),
        "ReduceSum": reduced(lambda x, axes, keep: torch.sum(x, axes, keep)),
        "ReduceMax": reduced(by_turns(lambda x, axis, keep: torch.amax(x, axis, keep))),
        "ReduceMin": reduced(by_turns(lambda x, axis, keep: torch.amin(x, axis, keep))),
        "ReduceProd": reduced(by_turns(lambda x, axis, keep: torch.prod(x, axis, keep))),
        "ReduceL2": reduced(lambda x, axes, keep: torch.sqrt(torch.sum(x**2, axes, keep))),
        "ReduceSumSquare": reduced(lambda x, axes, keep: torch.sum(x**2, axes, keep)),
    }
)


@operator("ArgMax", "ArgMin")
def arg(at: At, x: Given) -> Any:
    function = torch.argmax if at.node.op == "ArgMax" else torch.argmin
    return function(at.tensor(x), at.get("axis", 0), bool(at.get("keepdims", 1)))


@operator("CumSum")
def cumsum(at: At, x: Given, axis: Given) -> Any:
    if at.get("exclusive", 0) or at.get("reverse", 0):
        raise Missing("`CumSum` that leaves out a number or goes backwards")
    return torch.cumsum(at.tensor(x), at.one(axis, "axis"))


# --- products -------------------------------------------------------------------------------------


@operator("Gemm")
def gemm(at: At, left: Given, right: Given, bias: Given = None) -> Any:
    alpha, beta = at.get("alpha", 1.0), at.get("beta", 1.0)
    tensor = at.tensor(left)
    if at.get("transA", 0):
        raise Missing("`Gemm` whose first matrix is transposed")
    weight = at.array(right, "matrix")
    weight = weight * alpha if alpha != 1 else weight
    weight = weight if at.get("transB", 0) else weight.T
    if bias is None:
        return linear(at, tensor, weight, None)
    added = at.array(bias, "bias") * beta
    if added.size != 1 and added.size != weight.shape[0]:
        raise Missing("`Gemm` whose bias is a matrix")
    return linear(at, tensor, weight, np.broadcast_to(added.reshape(-1), weight.shape[:1]))


def linear(at: At, x: torch.Tensor, weight: Array, bias: Array | None) -> torch.Tensor:
    """Apply a linear layer with a matrix of [outputs, inputs]."""
    weights = {"weight": np.ascontiguousarray(weight)}
    if bias is not None:
        weights["bias"] = np.ascontiguousarray(bias)
    out, inputs = weight.shape
    module = at.layer(nn.Linear, inputs, out, bias=bias is not None, weights=weights)
    found: torch.Tensor = module(x)
    return found


@operator("MatMul")
def matmul(at: At, left: Given, right: Given) -> Any:
    if not isinstance(right, np.ndarray) or right.ndim != 2 or right.dtype.kind != "f":
        return torch.matmul(at.tensor(left), at.tensor(right))
    tensor = at.tensor(left)
    after = at.reader("Add")
    bias = at.beside(after) if after else None
    if after and bias is not None and bias.shape == (right.shape[1],) and bias.dtype.kind == "f":
        at.with_reader(after)
        return linear(at, tensor, right.T, bias)
    return linear(at, tensor, right.T, None)


@operator("archdsl.Attention")
def attention(
    at: At, query: Given, key: Given, value: Given, mask: Given = None, *scales: Given
) -> Any:
    """Say attention with keys as they come in, the last two axes turned."""
    tensors = [at.tensor(one) for one in (query, key, value)]
    if tensors[0].dim() < 3 or at.get("axis") % tensors[0].dim() != tensors[0].dim() - 1:
        raise Missing("attention along another axis than the last")
    if any(isinstance(one, np.ndarray) and one.size != 1 for one in scales):
        return with_scales(at, tensors, mask, scales)
    scale = 1.0
    for way, one in zip(at.get("ways"), scales, strict=True):
        factor = at.one(one, "scale")
        scale = scale / factor if way == "Div" else scale * factor
    usual = tensors[0].shape[-1] ** -0.5
    given = None if abs(scale / usual - 1) < 1e-6 else number(scale)
    turned = tensors[1].transpose(-1, -2)
    added = None if mask is None else at.tensor(mask)
    return functional.scaled_dot_product_attention(
        tensors[0], turned, tensors[2], attn_mask=added, scale=given
    )


def with_scales(
    at: At, tensors: list[torch.Tensor], mask: Given, scales: Sequence[Given]
) -> torch.Tensor:
    """Return attention with a scale for each head."""
    scores = torch.matmul(tensors[0], tensors[1])
    for way, one in zip(at.get("ways"), scales, strict=True):
        factor = at.tensor(one)
        if tuple(factor.shape[-2:]) != (1, 1):
            raise Missing("attention with a scale for each feature")
        scores = scores / factor if way == "Div" else scores * factor
    if mask is not None:
        scores = scores + at.tensor(mask)
    return torch.matmul(torch.softmax(scores, -1), tensors[2])


@operator("Einsum")
def einsum(at: At, *given: Given) -> Any:
    return torch.einsum(at.get("equation", ""), *map(at.tensor, given))
