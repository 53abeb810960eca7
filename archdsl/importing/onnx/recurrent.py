"""What recurrent operators of ONNX become: one layer of torch each, whose gates stand in another
order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from archdsl.importing.onnx.at import Array, At, Entry, Given, Missing, entering

ENTRIES: dict[str, Entry] = {}
operator = entering(ENTRIES)

# For each gate of torch, in torch's order, which of ONNX's it is.
LSTM, GRU, RNN = (0, 2, 3, 1), (1, 0, 2), (0,)
USUAL = {
    "LSTM": ("Sigmoid", "Tanh", "Tanh"),
    "GRU": ("Sigmoid", "Tanh"),
    "RNN": ("Tanh",),
}


@operator("LSTM")
def lstm(
    at: At, x: Given, w: Given, r: Given, b: Given = None, lengths: Given = None,
    hidden: Given = None, cell: Given = None, peepholes: Given = None,
) -> Any:  # fmt: skip
    if peepholes is not None or at.get("input_forget", 0):
        raise Missing("`LSTM` with peepholes, or whose gates hang together")
    return recurrent(at, nn.LSTM, LSTM, x, w, r, b, lengths, (hidden, cell))


@operator("GRU")
def gru(
    at: At, x: Given, w: Given, r: Given, b: Given = None, lengths: Given = None,
    hidden: Given = None,
) -> Any:  # fmt: skip
    if not at.get("linear_before_reset", 0):
        raise Missing("`GRU` that resets before its linear map")
    return recurrent(at, nn.GRU, GRU, x, w, r, b, lengths, (hidden,))


@operator("RNN")
def rnn(
    at: At, x: Given, w: Given, r: Given, b: Given = None, lengths: Given = None,
    hidden: Given = None,
) -> Any:  # fmt: skip
    return recurrent(at, nn.RNN, RNN, x, w, r, b, lengths, (hidden,))


def recurrent(
    at: At, kind: Any, order: Sequence[int], x: Given, w: Given, r: Given, b: Given,
    lengths: Given, states: Sequence[Given],
) -> list[torch.Tensor]:  # fmt: skip
    """Return what a layer gives, as ONNX has it: the directions are an axis of their own."""
    op = at.node.op
    tensor = at.tensor(x)
    if at.get("layout", 0) or at.get("clip") is not None:
        raise Missing(f"`{op}` with the batch first, or with bounds")
    more = require_usual(at)
    if lengths is not None and any(n != tensor.shape[0] for n in at.numbers(lengths, "lengths")):
        raise Missing(f"`{op}` of sequences of different lengths")
    begun = [one for one in states if one is not None and not is_zero(one)]
    if begun and (len(states) > 1 or not isinstance(begun[0], torch.Tensor)):
        raise Missing(f"`{op}` with states to begin with")
    inputs, hidden = at.array(w, "weights"), at.array(r, "weights")
    directions, size = hidden.shape[0], hidden.shape[2]
    bias = None if b is None else at.array(b, "bias")
    require_sizes(at, inputs, hidden, bias, len(order))
    weights: dict[str, Array] = {}
    for number in range(directions):
        end = "_l0" + "_reverse" * number
        weights["weight_ih" + end] = in_order(inputs[number], order)
        weights["weight_hh" + end] = in_order(hidden[number], order)
        if bias is not None:
            first, second = np.split(bias[number], 2)
            weights["bias_ih" + end] = in_order(first, order)
            weights["bias_hh" + end] = in_order(second, order)
    module = at.layer(
        kind, inputs.shape[2], size, bias=bias is not None, bidirectional=directions == 2,
        weights=weights, **more,
    )  # fmt: skip
    out, ends = module(tensor, *begun)
    many = ends if isinstance(ends, tuple) else (ends,)
    length, batch, _ = out.shape
    turn = at.reader("Transpose")
    if turn is not None and turn.attributes.get("perm") == (0, 2, 1, 3):
        at.root.wholes[turn.outputs[0]] = out  # the directions side by side, as torch has them
    if directions == 1:
        apart = out.unsqueeze(1)
        at.root.wholes[at.node.outputs[0]] = out  # exporters take the axis away again
    else:
        apart = out.reshape(length, batch, directions, size).permute(0, 2, 1, 3)
    return [apart, *many]


def require_sizes(at: At, inputs: Array, hidden: Array, bias: Array | None, gates: int) -> None:
    """Refuse weights that aren't of the sizes that a node has."""
    directions = 2 if at.get("direction") == "bidirectional" else 1
    size = at.get("hidden_size", hidden.shape[-1])
    wanted = {
        "input weights": (inputs, (directions, gates * size, inputs.shape[-1])),
        "hidden weights": (hidden, (directions, gates * size, size)),
        "biases": (bias, (directions, 2 * gates * size)),
    }
    for what, (array, shape) in wanted.items():
        if array is not None and array.shape != shape:
            raise ValueError(f"its {what} are of {array.shape}, where {shape} is needed")


def require_usual(at: At) -> dict[str, Any]:
    """Refuse directions and functions that torch has no layer for; return arguments for others."""
    op, way = at.node.op, at.get("direction", "forward")
    usual = USUAL[op] * (2 if way == "bidirectional" else 1)
    given = tuple(at.get("activations", usual))
    more: dict[str, Any] = {}
    if op == "RNN" and {*given} == {"Relu"}:
        more = {"nonlinearity": "relu"}
    elif given != usual:
        raise Missing(f"`{op}` with other functions than torch has")
    if way == "reverse":
        raise Missing(f"`{op}` that goes backwards alone")
    return more


def is_zero(value: Given) -> bool:
    """Tell whether a state is known to be zero."""
    return isinstance(value, np.ndarray) and not value.any()


def in_order(array: Array, order: Sequence[int]) -> Array:
    """Return the rows of gates in another order."""
    parts = np.split(array, len(order))
    return np.concatenate([parts[one] for one in order])
