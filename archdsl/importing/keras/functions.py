"""Activations, which are layers and arguments of layers."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from archdsl.importing.keras.at import At, layer, single
from archdsl.importing.keras.errors import Missing
from archdsl.importing.keras.held import FIRST, Held
from archdsl.importing.keras.settings import shown

PLAIN: dict[str, Any] = {
    "relu": functional.relu,
    "relu6": functional.relu6,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "silu": functional.silu,
    "swish": functional.silu,
    "elu": functional.elu,
    "selu": functional.selu,
    "celu": functional.celu,
    "softplus": functional.softplus,
    "softsign": functional.softsign,
    "hard_silu": functional.hardswish,
    "hard_swish": functional.hardswish,
    "hard_tanh": functional.hardtanh,
    "hard_shrink": functional.hardshrink,
    "soft_shrink": functional.softshrink,
    "tanh_shrink": functional.tanhshrink,
    "log_sigmoid": functional.logsigmoid,
    "mish": functional.mish,
    "exponential": torch.exp,
    "square": torch.square,
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "abs": torch.abs,
    "exp": torch.exp,
    "log": torch.log,
    "negative": torch.neg,
    "reciprocal": torch.reciprocal,
}


def activated(at: At, x: Held, name: str = "activation") -> Held:
    """Return what the activation in a setting makes of a tensor."""
    return by_name(at, x, at.settings.value(name, "linear"))


def by_name(at: At, x: Held, said: Any) -> Held:
    """Return what an activation makes of a tensor, as a config names it."""
    if isinstance(said, dict):
        found, held = said.get("config"), said.get("class_name")
        if held == "function":
            said = found
        elif isinstance(held, str) and isinstance(found, dict):
            return at.build.called(at.wraps(held, found, ""), [x])
        else:
            said = found if isinstance(found, dict) else {}
    if said is None or said == "linear":
        return x
    if not isinstance(said, str):
        raise Missing("an activation of one's own")
    if said in PLAIN:
        return x.each(PLAIN[said])
    if said == "gelu":
        return x.each(functional.gelu)
    if said == "hard_sigmoid":
        if at.build.early:  # it was another function in Keras 2
            return x.each(lambda one: torch.clamp(one * 0.2 + 0.5, 0, 1))
        return x.each(functional.hardsigmoid)
    if said == "leaky_relu":
        return x.each(lambda one: functional.leaky_relu(one, 0.2))
    if said in ("softmax", "log_softmax"):
        return over_channels(x, getattr(functional, said))
    raise Missing(f"the activation {shown(said)}")


def over_channels(x: Held, function: Any) -> Held:
    """Return what a function makes of the last axis of Keras."""
    return along(x, x.rank - 1, function)


def along(x: Held, axis: int, function: Any) -> Held:
    """Return what a function makes of one axis, for which the order of its numbers is nothing."""
    tensor, order = x.pair
    return Held(function(tensor, dim=x.axis(axis)), order)


@layer("Activation")
def activation(at: At, *given: Any) -> Held:
    return activated(at, single(given))


@layer("ReLU", "Relu", "Relu6")
def relu(at: At, *given: Any) -> Held:
    x = single(given)
    if at.layer.kind == "Relu6":
        return x.each(functional.relu6)
    settings = at.settings
    most = settings.value("max_value")
    slope = settings.number("negative_slope", 0.0)
    if settings.value("threshold", 0) != 0:
        raise Missing("its setting `threshold`")
    if most is None:
        if slope:
            return x.each(lambda one: functional.leaky_relu(one, slope))
        return x.each(functional.relu)
    if slope:
        raise Missing("a bound and a slope at once")
    bound = settings.number("max_value")
    if bound < 0:
        raise settings.wrong("max_value", "a number of at least 0")
    if bound == 6:
        return x.each(functional.relu6)
    return x.each(lambda one: torch.clamp(one, 0, bound))


@layer("LeakyReLU")
def leaky_relu(at: At, *given: Any) -> Held:
    x = single(given)
    name = "negative_slope" if "negative_slope" in at.layer.config else "alpha"
    return x.each(lambda one: functional.leaky_relu(one, at.settings.number(name, 0.3)))


@layer("ELU")
def elu(at: At, *given: Any) -> Held:
    x = single(given)
    return x.each(lambda one: functional.elu(one, at.settings.number("alpha", 1.0)))


@layer("Softmax")
def softmax(at: At, *given: Any) -> Held:
    x = single(given)
    axis = at.settings.axis("axis", x.rank)
    if axis == 0:
        raise at.settings.wrong("axis", "an axis besides the batch")
    return along(x, axis, functional.softmax)


@layer("PReLU")
def prelu(at: At, *given: Any) -> Held:
    x = single(given)
    shared = at.settings.value("shared_axes") or []
    channels = x.shape[-1]
    if not isinstance(shared, list) or sorted(shared) != [*range(1, x.rank - 1)]:
        raise Missing("`PReLU` whose slopes aren't shared by all places of a channel")
    module = at.module(lambda: nn.PReLU(channels))
    at.fill(
        module, "weight", at.variable(0, *[1] * (x.rank - 2), channels), lambda one: one.flatten()
    )
    return Held(module(x.first), FIRST) if x.rank > 2 else Held(module(x.last))


def elementwise(name: str) -> Any:
    """Return what makes an operation of `keras.ops` that is an activation."""

    def made(at: At, *given: Any) -> Held:
        x = single(given)
        return x.each(PLAIN[name])

    return made


for _kind, _name in (
    ("Sigmoid", "sigmoid"), ("Tanh", "tanh"), ("Silu", "silu"), ("Softplus", "softplus"),
    ("Softsign", "softsign"), ("HardSilu", "hard_silu"), ("Square", "square"), ("Sqrt", "sqrt"),
    ("Rsqrt", "rsqrt"), ("Exp", "exp"), ("Log", "log"), ("Absolute", "abs"), ("Abs", "abs"),
    ("Negative", "negative"), ("Mish", "mish"), ("Selu", "selu"),
):  # fmt: skip
    layer(_kind)(elementwise(_name))


@layer("HardSigmoid")
def hard_sigmoid(at: At, *given: Any) -> Held:
    x = single(given)
    return x.each(functional.hardsigmoid)


@layer("Gelu")
def gelu(at: At, *given: Any) -> Held:
    x = single(given)
    how = "tanh" if at.settings.flag("approximate", True) else "none"
    return x.each(lambda one: functional.gelu(one, approximate=how))
