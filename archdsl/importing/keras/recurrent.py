"""Layers over sequences: tables of words, recurrent layers, and what is done at each place."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from archdsl.importing.keras.at import At, layer, require_rank, single
from archdsl.importing.keras.errors import Missing, Wrong
from archdsl.importing.keras.held import Held
from archdsl.importing.keras.settings import ENDS, shown

# How many gates there are, and for each of torch's which of Keras's it is.
GATES: dict[str, tuple[Any, tuple[int, ...]]] = {
    "LSTM": (nn.LSTM, (0, 1, 2, 3)),
    "GRU": (nn.GRU, (1, 0, 2)),
    "SimpleRNN": (nn.RNN, (0,)),
}


@layer("Embedding")
def embedding(at: At, *given: Any) -> Held:
    x, settings = single(given), at.settings
    count, width = settings.whole("input_dim"), settings.whole("output_dim")
    settings.value("input_length")
    if settings.flag("mask_zero"):
        raise Missing("its setting `mask_zero`, which leaves out what stands behind a sequence,")
    module = at.module(lambda: nn.Embedding(count, width))
    at.fill(module, "weight", at.variable(0, count, width))
    index = x.last
    return Held(module(index if not index.is_floating_point() else index.long()))


@layer("LSTM", "GRU", "SimpleRNN")
def recurrent(at: At, *given: Any) -> Held:
    x = single(given)
    require_rank(x, 3)
    kind, units, bias, whole = settings_of(at, at.layer.kind)
    tensor, width = x.last, x.shape[2]
    module = at.module(lambda: kind(width, units, bias=bias, batch_first=True))
    fill(at, module, at.layer.kind, width, units, bias, "cell", "")
    out = over(module, tensor)
    return Held(out if whole else out[:, -1])


@layer("Bidirectional")
def bidirectional(at: At, *given: Any) -> Held:
    x, settings = single(given), at.settings
    require_rank(x, 3)
    name, config = wrapped(at)
    if name not in GATES:
        raise Missing(f"`Bidirectional` of {shown(name)}")
    if settings.value("merge_mode", "concat") != "concat":
        raise Missing("its setting `merge_mode`")
    backward = settings.value("backward_layer")
    if backward is not None and not is_mirror(backward, name, config):
        raise Missing("two layers that aren't alike")
    inner = at.wraps(name, config, "forward_layer")
    kind, units, bias, whole = settings_of(inner, name)
    inner.require_all()
    width = x.shape[2]
    module = at.module(lambda: kind(width, units, bias=bias, batch_first=True, bidirectional=True))
    fill(at, module, name, width, units, bias, "forward_layer/cell", "")
    fill(at, module, name, width, units, bias, "backward_layer/cell", "_reverse")
    out = over(module, x.last)
    if whole:
        return Held(out)
    return Held(torch.cat([out[:, -1, :units], out[:, 0, units:]], dim=1))


def over(module: Any, x: torch.Tensor) -> torch.Tensor:
    """Return what a recurrent layer gives at each place: [batch, length, features]."""
    found: torch.Tensor = module(x)[0]
    if found.shape[:2] != x.shape[:2]:
        # what torch has for the meta device forgets where the batch is
        found = found.transpose(0, 1)
    return found


def is_mirror(backward: Any, name: str, config: Any) -> bool:
    """Tell whether a layer is another one that goes backwards."""
    held = backward.get("config") if isinstance(backward, dict) else None
    if not isinstance(held, dict) or backward.get("class_name") != name:
        return False
    told = {
        key
        for key in {*held, *config}
        if held.get(key) != config.get(key) and not str(key).endswith(ENDS)
    }
    return told <= {"name", "go_backwards"} and held.get("go_backwards") is True


def wrapped(at: At) -> tuple[str, dict[str, Any]]:
    """Return class and config of the layer that one wraps."""
    held = at.settings.value("layer")
    name = held.get("class_name") if isinstance(held, dict) else None
    config = held.get("config") if isinstance(held, dict) else None
    if not isinstance(name, str) or not isinstance(config, dict):
        raise at.settings.wrong("layer", "a layer")
    return name, config


def settings_of(at: At, name: str) -> tuple[Any, int, bool, bool]:
    """Return the class of torch, the units, whether there is a bias, and what is given."""
    settings = at.settings
    functions = {"activation": "tanh"}
    if name != "SimpleRNN":
        functions["recurrent_activation"] = "sigmoid"
    for key, wanted in functions.items():
        if settings.value(key, wanted) != wanted:
            raise Missing(f"`{key}` {shown(settings.value(key))}, where torch has {wanted}")
    if name == "GRU" and not settings.flag("reset_after", True):
        raise Missing("`reset_after` that is false, where torch resets after its linear map")
    settings.value("unit_forget_bias")
    settings.value("use_cudnn")
    for key in ("dropout", "recurrent_dropout"):
        if settings.number(key, 0.0):
            at.note(f"`{key}` of `{name}` works in training alone, and is not here")
    return (
        GATES[name][0],
        settings.whole("units"),
        settings.flag("use_bias", True),
        settings.flag("return_sequences"),
    )


def fill(
    at: At, module: Any, name: str, width: int, units: int, bias: bool, home: str, end: str
) -> None:
    """Say of which weights of Keras those of a layer of torch are made."""
    order = GATES[name][1]
    gates = len(order)
    home = f"{home}/vars"

    def sorted_rows(weight: torch.Tensor) -> torch.Tensor:
        parts = torch.split(weight, units)
        return torch.cat([parts[one] for one in order])

    kernel = at.variable(0, width, gates * units, home=home)
    inner = at.variable(1, units, gates * units, home=home)
    at.fill(module, f"weight_ih_l0{end}", kernel, lambda one: sorted_rows(one.T))
    at.fill(module, f"weight_hh_l0{end}", inner, lambda one: sorted_rows(one.T))
    if not bias:
        return
    if name == "GRU":
        both = at.variable(2, 2, gates * units, home=home)
        at.fill(module, f"bias_ih_l0{end}", both, lambda one: sorted_rows(one[0]))
        at.fill(module, f"bias_hh_l0{end}", both, lambda one: sorted_rows(one[1]))
        return
    single_bias = at.variable(2, gates * units, home=home)
    at.fill(module, f"bias_ih_l0{end}", single_bias, sorted_rows)
    at.fill(module, f"bias_hh_l0{end}", (), lambda: torch.zeros(gates * units))
    if at.new:
        at.note(f"`{name}` has a second bias here, of zeros: Keras has one")


@layer("TimeDistributed")
def at_each_place(at: At, *given: Any) -> Held:
    x = single(given)
    name, config = wrapped(at)
    if name not in ("Dense", "Activation", "Dropout", "LayerNormalization"):
        raise Missing(f"`TimeDistributed` of {shown(name)}")
    if x.rank < 3:
        raise Wrong("takes at least two axes besides the batch")
    return at.build.called(at.wraps(name, config, "layer"), [Held(x.last)])
