"""What stands under `other`, counted by hand for each convention, or in formulas."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping

import pytest
import torch
from torch_facts import Built

from archdsl.layers.base import Shape, construct
from archdsl.layers.registry import Registry

MAP = (4, 6, 6)  # 144 numbers


@pytest.mark.parametrize(
    ("name", "arguments", "shape", "expected"),
    [
        # 3 x 3 windows of 9 places for each of 4 channels
        ("MaxPool2d", {"kernel_size": 3, "stride": 2, "padding": 1}, MAP, {"pooling": 324}),
        ("AvgPool2d", {"kernel_size": 2}, MAP, {"pooling": 144}),
        ("LPPool2d", {"norm_type": 2, "kernel_size": 2}, MAP, {"pooling": 288}),
        ("AdaptiveAvgPool2d", {"output_size": 1}, MAP, {"pooling": 144}),
        # windows of 2, 3, 3 and 2 places along each axis: 10 x 10 for each channel
        ("AdaptiveMaxPool2d", {"output_size": 4}, MAP, {"pooling": 256}),
        ("BatchNorm2d", {}, MAP, {"normalization": 4 * 144}),
        ("BatchNorm2d", {"affine": False}, MAP, {"normalization": 2 * 144}),
        ("BatchNorm2d", {"track_running_stats": False}, MAP, {"normalization": 7 * 144}),
        ("InstanceNorm2d", {}, MAP, {"normalization": 5 * 144}),
        ("GroupNorm", {"num_groups": 2, "bias": False}, MAP, {"normalization": 6 * 144}),
        ("LayerNorm", {}, (5, 8), {"normalization": 7 * 40}),
        ("RMSNorm", {}, (5, 8), {"normalization": 4 * 40}),
        ("LocalResponseNorm", {"size": 5}, MAP, {"normalization": 10 * 144}),
        ("ReLU", {}, MAP, {"activation": 144}),
        ("GELU", {}, MAP, {"activation": 5 * 144}),
        ("GELU", {"approximate": "tanh"}, MAP, {"activation": 9 * 144}),
        ("GLU", {"dim": 1}, MAP, {"activation": 4 * 72}),
        ("Softmax", {"dim": -1}, (5, 8), {"activation": 5 * 40}),
        ("ScaledTanh", {}, MAP, {"activation": 3 * 144}),
        ("Softmin", {"dim": -1}, (5, 8), {"activation": 6 * 40}),
        ("LogSoftmax", {"dim": -1}, (5, 8), {"activation": 5 * 40}),
        ("Softmax2d", {}, MAP, {"activation": 5 * 144}),
        ("Mean", {"dim": 1}, MAP, {"pooling": 144}),
        ("Var", {"dim": 1}, MAP, {"pooling": 4 * 144}),
        ("ArgMax", {"dim": 1}, MAP, {"pooling": 144}),
        ("CumSum", {"dim": 1}, MAP, {"elementwise": 144}),
        ("Normalize", {}, MAP, {"normalization": 3 * 144}),
        ("Clamp", {"min": 0.5}, MAP, {"elementwise": 144}),
        ("Greater", {"number": 0}, MAP, {"elementwise": 144}),
        ("ChannelAffine", {"scale": (2,) * 4, "shift": (1,) * 4}, MAP, {"elementwise": 2 * 144}),
        # a difference, a square and an addition for each number of each code
        ("RBF", {"out_features": 3}, (5, 8), {"elementwise": 3 * 5 * 3 * 8}),
        # queries, keys, values and results get a bias; queries are scaled; 2 heads of 5 x 5 weights
        (
            "MultiheadAttention",
            {"num_heads": 2},
            (5, 8),
            {"bias": 4 * 40, "elementwise": 40, "activation": 5 * 2 * 25},
        ),
        # the same in 4 windows of 4 places; every weight gets a position bias
        (
            "ShiftedWindowAttention",
            {"window_size": 2, "shift_size": 0, "num_heads": 2},
            (4, 4, 6),
            {"bias": 4 * 96, "elementwise": 96 + 4 * 2 * 16, "activation": 5 * 4 * 2 * 16},
        ),
        # and where windows are shifted, a mask as well
        (
            "ShiftedWindowAttention",
            {"window_size": 2, "shift_size": 1, "num_heads": 2, "proj_bias": False},
            (4, 4, 6),
            {"bias": 3 * 96, "elementwise": 96 + 2 * 4 * 2 * 16, "activation": 5 * 4 * 2 * 16},
        ),
        # 5 steps, in two directions: 2 biases for each of 4 gates; sigmoids take 4 operations
        (
            "LSTM",
            {"hidden_size": 3, "bidirectional": True},
            (5, 8),
            {"bias": 10 * 2 * 12, "activation": 10 * 3 * (3 * 4 + 2), "elementwise": 10 * 3 * 4},
        ),
        (
            "GRU",
            {"hidden_size": 3, "bias": False},
            (5, 8),
            {"activation": 5 * 3 * (2 * 4 + 1), "elementwise": 5 * 3 * 5},
        ),
        ("RNN", {"hidden_size": 3}, (5, 8), {"bias": 5 * 2 * 3, "activation": 5 * 3}),
        ("Dropout", {}, MAP, {}),
        ("ZeroPad2d", {"padding": 1}, MAP, {}),
    ],
)
def test_operations(
    name: str, arguments: Mapping[str, object], shape: Shape, expected: Mapping[str, int]
) -> None:
    assert construct(Registry()[name], arguments).infer((shape,)).other == expected


# What a layer does to each number. Arguments go by their names.
FORMULAS = {
    "ReLU": "max(x, 0)",
    "ReLU6": "min(max(x, 0), 6)",
    "LeakyReLU": "x if x >= 0 else negative_slope * x",
    "RReLU": "x if x >= 0 else (lower + upper) / 2 * x",
    "PReLU": "x if x >= 0 else init * x",
    "ELU": "x if x > 0 else alpha * (exp(x) - 1)",
    "SELU": "1.0507009873554805 * (x if x > 0 else 1.6732632423543772 * (exp(x) - 1))",
    "CELU": "x if x > 0 else alpha * (exp(x / alpha) - 1)",
    "GELU": "x / 2 * (1 + erf(x / sqrt(2)))",
    "Sigmoid": "1 / (1 + exp(-x))",
    "LogSigmoid": "-log(1 + exp(-x))",
    "SiLU": "x / (1 + exp(-x))",
    "Mish": "x * tanh(log(1 + exp(x)))",
    "Hardsigmoid": "min(max(x + 3, 0), 6) / 6",
    "Hardswish": "x * min(max(x + 3, 0), 6) / 6",
    "Tanh": "tanh(x)",
    "ScaledTanh": "amplitude * tanh(slope * x)",
    "Hardtanh": "min(max(x, min_val), max_val)",
    "Hardshrink": "0 if abs(x) <= lambd else x",
    "Softshrink": "x - lambd if x > lambd else x + lambd if x < -lambd else 0",
    "Tanhshrink": "x - tanh(x)",
    "Softplus": "x if (scaled := beta * x) > threshold else log(1 + exp(scaled)) / beta",
    "Softsign": "x / (1 + abs(x))",
    "Threshold": "value if x <= threshold else x",
    "Abs": "abs(x)",
    "Square": "pow(x, 2)",
    "Sqrt": "sqrt(x)",
    "Exp": "exp(x)",
    "Log": "log(x)",
    "Neg": "-x",
    "Scale": "factor * x",
    "Shift": "x + amount",
    "Pow": "pow(x, exponent)",
    "Clamp": "min(max(x, minimum), maximum)",
    "Rsqrt": "rsqrt(x)",
    "Reciprocal": "reciprocal(x)",
    "Sin": "sin(x)",
    "Cos": "cos(x)",
}
NEEDED = {
    "Threshold": {"threshold": 0.3, "value": -2},
    "Scale": {"factor": 0.5},
    "Shift": {"amount": -0.5},
    "Pow": {"exponent": 3},
    "Clamp": {"min": -0.5, "max": 1.5},
}
POSITIVE = ("Log", "Sqrt", "Rsqrt", "Reciprocal")


def operations(formula: ast.expr) -> int:
    """Count what is computed of `x`; of two cases the dearer one counts."""
    if not any(isinstance(n, ast.Name) and n.id in ("x", "scaled") for n in ast.walk(formula)):
        return 0
    if isinstance(formula, ast.IfExp):
        return operations(formula.test) + max(operations(formula.body), operations(formula.orelse))
    inner = sum(operations(n) for n in ast.iter_child_nodes(formula) if isinstance(n, ast.expr))
    return inner + isinstance(formula, ast.BinOp | ast.UnaryOp | ast.Call | ast.Compare)


@pytest.mark.parametrize("name", FORMULAS)
def test_operations_are_those_of_the_formula(name: str) -> None:
    layer = construct(Registry()[name], NEEDED.get(name, {}))
    numbers = [0.02, 0.3, 0.7, 3.5] + ([] if name in POSITIVE else [-0.2, -0.6, -4.0, 0.0])
    facts = layer.infer(((len(numbers),),))
    names = {"min": "minimum", "max": "maximum"}  # which would hide the functions
    known = {
        **vars(math),
        "rsqrt": lambda x: x**-0.5,
        "reciprocal": lambda x: 1 / x,
        # a field of these names would hide the functions
        **{names.get(field, field): getattr(layer, field) for field in layer.model_fields},
    }

    module = Built(facts.torch).eval().double()
    found = module(torch.tensor([numbers], dtype=torch.float64))[0]

    assert found.tolist() == pytest.approx(
        [eval(FORMULAS[name], known | {"x": x}) for x in numbers]
    )
    assert sum(facts.other.values()) == len(numbers) * operations(
        ast.parse(FORMULAS[name], mode="eval").body
    )
