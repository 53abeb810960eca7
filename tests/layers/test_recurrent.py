"""Recurrent layers against torch's own classes: parameters, what they give, messages, files."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from itertools import product
from pathlib import Path

import pytest
import torch
from torch import nn
from torch_facts import Built

from archdsl.backends.export import export_onnx, export_pt2
from archdsl.backends.torch_module import running, torch_module
from archdsl.diagnostics import ArchError
from archdsl.layers.base import ArgumentErrors, LayerError, numel
from archdsl.layers.recurrent import GRU, LSTM, MOST_LAYERS, RNN, Recurrent
from archdsl.layers.sizes import Formula
from archdsl.pipeline import Spec

KINDS = [LSTM, GRU, RNN]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
CHOICES: dict[str, tuple[object, ...]] = {
    "num_layers": (1, 2, 3),
    "bias": (True, False),
    "bidirectional": (False, True),
    "proj_size": (0, 2),
    "nonlinearity": ("tanh", "relu"),
}


def uses(kind: type[Recurrent]) -> list[dict[str, object]]:
    names = [name for name in CHOICES if name in kind.model_fields]
    return [dict(zip(names, row, strict=True)) for row in product(*map(CHOICES.get, names))]  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@every_kind
def test_each_choice_is_what_torch_gives(kind: type[Recurrent]) -> None:
    """The same weights give the same numbers, to the last bit, whatever a stage is to give."""
    x = torch.randn(2, 5, 3)
    for arguments in uses(kind):
        theirs = getattr(nn, kind.__name__)(3, 4, batch_first=True, **arguments).eval()
        output, states = theirs(x)
        h, c = states if isinstance(states, tuple) else (states, None)
        given = {"output": output, "h_n": h.transpose(0, 1)}
        if c is not None:
            given |= {"c_n": c.transpose(0, 1), "state": torch.cat((h, c), 2).transpose(0, 1)}
        for gives, expected in given.items():
            layer = kind(hidden_size=4, gives=gives, **arguments)
            facts = layer.infer(((5, 3),))
            assert list(facts.params) == [name for name, _ in theirs.named_parameters()], layer
            assert facts.params == {n: tuple(p.shape) for n, p in theirs.named_parameters()}
            assert eval(facts.arithmetic.replace("x", "*")) == sum(
                map(numel, facts.params.values())
            )
            ours = Built(facts.torch).eval()
            ours.own.load_state_dict(theirs.state_dict())
            assert torch.equal(ours(x), expected), layer
            assert (2, *facts.output) == tuple(expected.shape)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@every_kind
def test_states_to_begin_with_go_on_where_a_sequence_was_cut(kind: type[Recurrent]) -> None:
    x = torch.randn(3, 6, 3)
    for arguments in uses(kind):
        if arguments["bidirectional"]:
            continue
        layer = kind(hidden_size=4, **arguments)
        whole = Built(layer.infer(((6, 3),)).torch).eval()
        gives = ("h_n", "c_n") if kind is LSTM else ("h_n",)
        states, shapes = [], []
        for name in gives:
            facts = layer.model_copy({"gives": name}).infer(((4, 3),))
            first = Built(facts.torch).eval()
            first.own = whole.own
            states.append(first(x[:, :4]))
            shapes.append(facts.output)
        rest = Built(layer.infer(((2, 3), *shapes)).torch).eval()
        rest.own = whole.own

        torch.testing.assert_close(rest(x[:, 4:], *states), whole(x)[:, 4:])


@every_kind
def test_arguments_have_the_order_and_defaults_of_torch(kind: type[Recurrent]) -> None:
    # of the subclasses torch shows no signature
    known = inspect.signature(nn.RNNBase).parameters
    fields = {name: field for name, field in kind.model_fields.items() if name in known}

    order = list(known)
    if "nonlinearity" in kind.model_fields:
        assert list(kind.model_fields)[2] == "nonlinearity"
    assert list(fields) == [name for name in order if name in fields]
    for name, field in fields.items():
        assert field.is_required() or field.default == known[name].default


def test_the_steps_that_are_multiplied_do_not_depend_on_what_is_given() -> None:
    n = Formula.named("T")
    whole, last = (LSTM(hidden_size=512, gives=one).infer(((n, 300),)) for one in ("output", "h_n"))

    assert whole.macs == last.macs == n * 4 * 512 * (300 + 512)
    assert last.output == (1, 512)


def test_a_dropout_without_a_layer_behind_it_is_left_out() -> None:
    """Torch warns of it, and it does nothing."""
    made = GRU(hidden_size=4, dropout=0.5).infer(((5, 3),)).torch

    assert made == GRU(hidden_size=4).infer(((5, 3),)).torch


@pytest.mark.parametrize(
    ("layer", "inputs", "reason"),
    [
        (LSTM(hidden_size=4), ((3, 8, 8),), r"takes an input of the shape \[length, features\]"),
        (LSTM(hidden_size=4), ((5, 3), (1, 4)), "takes a sequence, or 3 tensors with the states"),
        (GRU(hidden_size=4), ((5, 3),) * 3, "takes a sequence, or 2 tensors with a state"),
        (
            GRU(hidden_size=4, bidirectional=True),
            ((5, 3), (1, 4)),
            r"begins with a state of the shape \[2, 4\]",
        ),
        (
            LSTM(hidden_size=4, proj_size=2),
            ((5, 3), (1, 4), (1, 4)),
            r"of the shape \[1, 2\] \(h: one row for each layer and direction\), and \[1, 4\]",
        ),
        (LSTM(hidden_size=4, proj_size=4), ((5, 3),), "must have less than hidden_size = 4"),
    ],
)
def test_what_cant_be_taken_is_explained(
    layer: Recurrent, inputs: tuple[tuple[int, ...], ...], reason: str
) -> None:
    with pytest.raises(LayerError, match=reason):
        layer.infer(inputs)


def test_layers_are_bounded() -> None:
    assert RNN(hidden_size=1, num_layers=MOST_LAYERS).infer(((2, 1),)).output == (2, 1)
    with pytest.raises(ArgumentErrors, match=f"from 1 to {MOST_LAYERS}"):
        RNN(hidden_size=1, num_layers=MOST_LAYERS + 1)


FILES = {
    "lstm": "LSTM(6, 2, bidirectional = true)",
    "projected": "LSTM(6, proj_size = 2)",
    "gru": "GRU(6, 2, bias = false, bidirectional = true)",
    "gru_state": 'GRU(6, gives = "h_n")',
    "relu": 'RNN(6, 2, nonlinearity = "relu", bidirectional = true)',
    "tanh": "RNN(6)",
    "handed": 'x: LSTM(4, gives = "state")\n  h: Slice(0, 4, dim = 2)\n  from x\n'
    "  c: Slice(4, none, dim = 2)\n  from image, h, c -> LSTM(4)",
}


def written(tmp_path: Path, ending: str, stages: str, length: str) -> Mapping[str, object]:
    path = tmp_path / "net.arch"
    path.write_text(f"network net {{\n  input image: [{length}, 3]\n  {stages}\n}}\n")
    checked = Spec(str(path)).graph()
    writer = export_onnx if ending == "onnx" else export_pt2
    return {"compared": writer(torch_module(checked), checked, tmp_path / f"net.{ending}").compared}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "USUAL_SIZE", 4)  # for time: steps are followed one by one


@pytest.mark.parametrize(
    "name", ["gru", *(pytest.param(one, marks=pytest.mark.slow) for one in FILES if one != "gru")]
)
def test_onnx_takes_any_length(tmp_path: Path, name: str) -> None:
    pytest.importorskip("onnxruntime")
    if name == "projected":  # which ONNX's operator can't do
        with pytest.raises(ArchError, match="no ONNX file can be made"):
            written(tmp_path, "onnx", FILES[name], "T")
    else:
        assert written(tmp_path, "onnx", FILES[name], "T")


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_torch_export_takes_a_fixed_length(tmp_path: Path, name: str) -> None:
    assert written(tmp_path, "pt2", FILES[name], "3")


@pytest.mark.slow
def test_a_length_that_torch_export_takes_for_fixed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchError, match="takes a size for fixed that is open"):
        written(tmp_path, "pt2", FILES["tanh"], "T")
