"""Kinds of numbers in compiled modules: torch holds what was worked out, in every kind of file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from compiled import load, verified
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import archdsl
from archdsl import own_layers
from archdsl.backends.torch_module import TorchError, run_once, torch_module, verify
from archdsl.diagnostics import ArchError
from archdsl.layers.base import Facts, Shapes, TorchFunction, single

torch = pytest.importorskip("torch")

PRODUCT = "from x; mul { branch {} branch { from b } }"
OFFSETS = """network net {
  input tokens: [4]
  buffer offsets: [4] = [0, 3, 6, 9]
  buffer mask: [4, 8] = [[n % 2 == 0 for n in range(8)] for m in range(4)]
  buffer weights: [4, 8] = 0.5
  from tokens
  add { branch {} branch { from offsets } }
  table: Embedding(12, 8)
  mul { branch {} branch { from mask } branch { from weights } }
  Flatten
  Linear(3)
}"""


@pytest.mark.parametrize(
    ("value", "tensor"),
    [
        ("[0, 1, 2, 3]", torch.tensor([[0, 1], [2, 3]])),
        ("[[0, 1], [2, 3]]", torch.tensor([[0, 1], [2, 3]])),
        ("[range(2), range(2, 4)]", torch.tensor([[0, 1], [2, 3]])),
        ("0", torch.zeros(2, 2, dtype=torch.int64)),
        ("7", torch.full((2, 2), 7)),
        ("9007199254740993", torch.full((2, 2), 9007199254740993)),
        ("0.0", torch.zeros(2, 2)),
        ("7.0", torch.full((2, 2), 7.0)),
        ("[0, 1, 2, 3.5]", torch.tensor([[0, 1], [2, 3.5]])),
        ("true", torch.ones(2, 2, dtype=torch.bool)),
        ("[true, false, false, true]", torch.eye(2, dtype=torch.bool)),
    ],
)
def test_a_buffer_holds_its_values_as_torch_tensor_does(
    tmp_path: Path, value: str, tensor: torch.Tensor
) -> None:
    text = f"network net {{ input x: [2, 2]; buffer b: [2, 2] = {value}\n{PRODUCT} }}"
    path = tmp_path / "net.arch"
    path.write_text(text)
    held = archdsl.load(path).compile().state_dict()["b"]
    assert held.dtype == tensor.dtype
    assert torch.equal(held, tensor)


@pytest.mark.parametrize("value", ["3", "[1, 2]", "0", "1", "[0.5, 2]"])
def test_a_parameter_is_of_floats_and_learns(tmp_path: Path, value: str) -> None:
    text = f"network net {{ input x: [2]; parameter b: [2] = {value}\n{PRODUCT} }}"
    _, found = verified(load(tmp_path, text))
    assert found.agrees


def test_integers_and_truths_go_through_every_file(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    from archdsl.backends.export import export_onnx, export_pt2, save_weights

    path = tmp_path / "net.arch"
    path.write_text(OFFSETS)
    network = archdsl.load(path)
    module = network.compile().eval()

    assert verified(network.checked)[1].agrees
    assert export_onnx(module, network.checked, tmp_path / "net.onnx").difference < 1e-5
    export_pt2(module, network.checked, tmp_path / "net.pt2")
    save_weights(module, tmp_path / "net.safetensors")
    network.load_weights(tmp_path / "net.safetensors")
    again = network.compile()
    assert {name: tensor.dtype for name, tensor in again.state_dict().items()} == {
        "offsets": torch.int64,
        "mask": torch.bool,
        "weights": torch.float32,
        "table.weight": torch.float32,
        "2.weight": torch.float32,
        "2.bias": torch.float32,
    }
    halved = network.compile(dtype="float16").state_dict()
    assert (halved["offsets"].dtype, halved["weights"].dtype) == (torch.int64, torch.float16)


def test_verify_notices_another_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_layers, "_registered", {})

    @archdsl.layer
    class Wrong(archdsl.Layer):
        """Says that it gives floats, and gives integers."""

        def infer(self, inputs: Shapes) -> Facts:
            return Facts(single(inputs), TorchFunction("{0}.long()"))

    path = tmp_path / "net.arch"
    path.write_text("network net { input x: [2]; Wrong }")
    _, found = verified(archdsl.load(path).checked)
    assert [check.dtype for check in found.disagreeing] == [("float", "int")] * 2


STAGES = st.sampled_from(
    [
        *("ReLU", "Abs", "Scale(2)", "Scale(0.5)", "Exp", "Sigmoid", "Linear(4)", "LayerNorm"),
        *(
            "Embedding(4096, 4) -> Sum(1)",
            "Embedding(4096, 1) -> Flatten",
            "Max(1, keepdim = true)",
        ),
        *("Roll([1], [1])", "ZeroPad1d(0)", "Softmax(1)", "GELU", "Dropout", "Identity"),
        *("concat { branch {} branch { from i } }", "concat { branch {} branch { Neg } }"),
        *("add { branch {} branch { from k } }", "mul { branch {} branch { from t } }"),
        *("sub { branch {} branch { from f } }", "sub { branch {} branch { from t } }"),
        *("add { branch {} branch { from i } branch { from f } }", "Slice(0, 1)"),
    ]
)
OWN = """
  buffer k: [1] = 3
  buffer t: [1] = true
  buffer f: [1] = 0.25
  buffer i: [batch, 4] = range(4)
"""


@given(body=st.lists(STAGES, min_size=1, max_size=6))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_is_accepted_runs_and_holds_what_was_said(tmp_path: Path, body: list[str]) -> None:
    kept = [line for line in OWN.splitlines() if any(f"from {line[9:10]} " in s for s in body)]
    lines = ["network net {", "input x: [4]", *kept, "from x", *body, "}"]
    try:
        checked = load(tmp_path, "\n".join(lines))
    except ArchError:
        return
    _, found = verified(checked)
    assert found.agrees, (body, found.disagreeing)


@pytest.mark.parametrize("check", [run_once, verify])
def test_an_index_that_comes_of_arithmetic_and_is_in_no_table_is_told(
    tmp_path: Path, check: Callable[..., object]
) -> None:
    checked = load(tmp_path, OFFSETS.replace("Embedding(12, 8)", "Embedding(9, 8)"))
    with pytest.raises(TorchError, match=r"E0610.*looks up an index that the table doesn't have"):
        check(torch_module(checked), checked)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        ("0.0", torch.float32),
        ("2", torch.int64),
        ("true", torch.bool),
        ("normal()", torch.float32),
        ("trunc_normal()", torch.float32),
        ("uniform()", torch.float32),
        ("[3]", torch.int64),
    ],
)
def test_a_single_number_may_have_no_axis(tmp_path: Path, value: str, dtype: torch.dtype) -> None:
    text = f"network net {{ input x: [3, 2]; buffer b: [] = {value}\n{PRODUCT} }}"
    checked = load(tmp_path, text)
    held = torch_module(checked).state_dict()["b"]
    assert (held.shape, held.dtype) == ((), dtype)
    assert verified(checked)[1].agrees


def test_onnx_compares_truths(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    from archdsl.backends.export import export_onnx

    text = """network net { input x: [3]; buffer b: [batch, 4] = [true, false, true, true]
      output side { from b -> Slice(1, none) }
      Linear(2) }"""
    checked = load(tmp_path, text)
    exported = export_onnx(torch_module(checked).eval(), checked, tmp_path / "net.onnx")
    assert exported.difference < 1e-5
