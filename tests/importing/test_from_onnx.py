"""archdsl.from_onnx and archdsl import FILE.onnx: texts, equal to what onnxruntime gives."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import modules
import pytest
import torch
from onnx import helper
from running import Command
from torch import nn

import archdsl

pytest.importorskip("onnxruntime")
onnx_files = pytest.importorskip("onnx_files")
pytestmark = pytest.mark.usefixtures("one_thread")


def exported(module: nn.Module, inputs: tuple[torch.Tensor, ...], dynamo: bool) -> bytes:
    """Return what an exporter of torch makes of a module, with numbers that say something."""
    torch.manual_seed(0)
    for name, one in module.state_dict().items():
        if name.endswith(("running_mean", "bias")):
            one.normal_()
        elif name.endswith("running_var"):
            one.uniform_(0.5, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if dynamo:
            program = torch.onnx.export(module.eval(), inputs, dynamo=True, verbose=False)
            assert program is not None
            return bytes(program.model_proto.SerializeToString())
        file = io.BytesIO()
        torch.onnx.export(module.eval(), inputs, file, dynamo=False)
        return file.getvalue()


@pytest.mark.parametrize("dynamo", [True, False], ids=["dynamo", "script"])
def test_files_of_both_exporters_of_torch_have_their_blocks(dynamo: bool, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(exported(modules.Residuals(4), (torch.randn(1, 3, 8, 8),), dynamo))

    network = archdsl.from_onnx(path)

    assert network.proof.same
    assert network.proof.sentence().startswith("the same: outputs ")
    assert "onnxruntime" in network.proof.sentence()
    # batch normalization went into the convolutions, and stays there
    assert "BatchNorm" not in network.spec
    assert network.spec.count("block ") == 1
    assert "residual {" in network.spec


def test_a_file_of_ours_comes_back(command: Command, tmp_path: Path) -> None:
    (tmp_path / "net.arch").write_text(
        "network net {\n  input image: [3, 8, 8]\n  stem: Conv2d(4, 3)\n  ReLU\n"
        "  body: { Conv2d(4, 1) -> Sigmoid }\n  Flatten\n  head: Linear(5)\n}\n"
    )
    assert command("compile", "net.arch", "-o", "net.onnx").status == 0
    given = ("import", "net.onnx", "-o", "back.arch", "--weights-to", "back.safetensors")

    result = command(*given)

    assert result.status == 0, result
    assert "compared    the same: outputs " in result.out
    text = (tmp_path / "back.arch").read_text()
    assert "stem: Conv2d(4, 3)" in text
    assert "body: { Conv2d(4, 1) -> Sigmoid }" in text
    assert "head: Linear(5)" in text
    # what it wrote can be counted, and compiled with its weights
    assert command("check", "back.arch").status == 0
    archdsl.load(tmp_path / "back.arch").load_weights(tmp_path / "back.safetensors")
    # and is written over, but not the weights
    assert command(*given).status == 2
    assert command(*given, "--force").status == 0


def test_weights_are_those_of_the_file(tmp_path: Path) -> None:
    made = onnx_files.linear()
    network = archdsl.from_onnx(onnx_files.saved(made, tmp_path))

    compiled = network.compile()

    x = torch.randn(2, 4)
    weight, bias = (
        torch.tensor(one) for one in onnx_files.weights(fc__weight=(3, 4), fc__bias=(3,)).values()
    )
    assert torch.allclose(compiled(x), torch.relu(x @ weight.T + bias))
    assert network.count().parameters == 15


def test_what_has_no_word_is_listed_most_frequent_first(command: Command, tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Det", ["x"], ["a"], name="one"),
        helper.make_node("Hardmax", ["x"], ["b"], name="two"),
        helper.make_node("Hardmax", ["b"], ["c"], name="three"),
        helper.make_node("Add", ["a", "c"], ["y"]),
    ]
    onnx_files.saved(onnx_files.model(nodes), tmp_path)

    result = command("import", "net.onnx", "-o", "net.arch")

    assert result.status == 1
    assert "2 times: `Hardmax`, at node `two`" in result.error
    assert result.error.index("Hardmax") < result.error.index("Det")
    assert not (tmp_path / "net.arch").exists()


def test_options_of_modules_are_refused(command: Command, tmp_path: Path) -> None:
    onnx_files.saved(onnx_files.linear(), tmp_path)

    result = command("import", "net.onnx", "--arg", "width=4")

    assert result.status == 2
    assert "--arg is of modules" in result.error


class Transformer(nn.Module):
    """A layer of a transformer with all that exporters take apart."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(11, 8)
        self.place = nn.Parameter(torch.randn(1, 5, 8))
        self.norm, self.query = nn.LayerNorm(8), nn.Linear(8, 24)
        self.out, self.up, self.down = nn.Linear(8, 8), nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        x = self.words(words) + self.place
        parts = self.query(self.norm(x)).reshape(x.shape[0], 5, 3, 2, 4).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(parts[0], parts[1], parts[2])
        x = x + self.out(mixed.transpose(1, 2).reshape(x.shape[0], 5, 8))
        return x + self.down(nn.functional.silu(self.up(x)) + nn.functional.gelu(self.up(x)))


def test_what_exporters_take_apart_is_found_again(tmp_path: Path) -> None:
    """Attention, activations, linear maps with their bias, tables; and a batch of one grows."""
    path = tmp_path / "net.onnx"
    path.write_bytes(exported(Transformer(), (torch.randint(0, 11, (1, 5)),), dynamo=False))

    network = archdsl.from_onnx(path)

    assert network.proof.same, network.proof.sentence()
    for word in (
        "ScaledDotProductAttention", "SiLU", "GELU", "words: Embedding(11, 8)", "LayerNorm",
        "up: Linear(16)", "parameter place: [batch, 5, 8]",
    ):  # fmt: skip
        assert word in network.spec, network.spec


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_layers_come_back(kind: type[nn.RNNBase], tmp_path: Path) -> None:
    class Tagger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cells = kind(4, 3, batch_first=True, bidirectional=True)
            self.head = nn.Linear(6, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.head(self.cells(x)[0])
            return found

    path = tmp_path / "net.onnx"
    path.write_bytes(exported(Tagger(), (torch.randn(1, 5, 4),), dynamo=False))

    network = archdsl.from_onnx(path)

    assert network.proof.same, network.proof.sentence()
    assert f"{kind.__name__}(3, bidirectional = true)" in network.spec


def test_a_layer_that_is_applied_twice_is_counted_once(tmp_path: Path) -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.mix = nn.Linear(4, 4), nn.Conv1d(4, 4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.mix(torch.tanh(self.mix(x)))
            return found + self.fc(self.fc(x))

    path = tmp_path / "net.onnx"
    path.write_bytes(exported(Twice(), (torch.randn(1, 4, 4),), dynamo=False))

    network = archdsl.from_onnx(path)

    assert network.proof.same, network.proof.sentence()
    assert "reuse fc" in network.spec
    assert "reuse mix" in network.spec
    assert network.count().parameters == 40


@pytest.mark.parametrize("batch", [1, 4])
def test_sizes_that_hold_for_the_batch_of_the_file_alone_are_read(
    batch: int, tmp_path: Path
) -> None:
    class Attending(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.att = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.att(x, x, x, need_weights=False)[0]
            return x + found

    path = tmp_path / "net.onnx"
    path.write_bytes(exported(Attending(), (torch.randn(batch, 6, 8),), dynamo=False))

    network = archdsl.from_onnx(path)

    assert network.proof.same, network.proof.sentence()
    assert "input x: [6, 8]" in network.spec


@pytest.mark.parametrize("dynamo", [True, False], ids=["dynamo", "script"])
def test_rows_that_are_equal_for_all_samples_are_one(dynamo: bool, tmp_path: Path) -> None:
    """A token of a class that an exporter repeated for its own batch."""

    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token, self.places = (nn.Parameter(torch.randn(1, n, 4)) for n in (1, 4))
            self.head = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            batch = x.shape[0]
            x = torch.cat([self.token.expand(batch, -1, -1), x], 1)
            found: torch.Tensor = self.head(x + self.places.expand(batch, -1, -1))
            return found

    path = tmp_path / "net.onnx"
    path.write_bytes(exported(Tokens(), (torch.randn(2, 3, 4),), dynamo))

    network = archdsl.from_onnx(path)

    assert network.proof.same, network.proof.sentence()


class Gate(nn.Module):
    """A residual map."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.sigmoid(self.map(x))


class InTurns(nn.Module):
    """Takes of two lists in turns."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.ModuleList(Gate() for _ in range(3))
        self.narrow = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for wide, narrow in zip(self.wide, self.narrow, strict=True):
            x = narrow(wide(x))
        return x


@pytest.mark.parametrize("dynamo", [True, False], ids=["dynamo", "script"])
def test_lists_that_compute_nothing_are_no_scopes(dynamo: bool, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(exported(InTurns(), (torch.randn(1, 4),), dynamo))

    network = archdsl.from_onnx(path)

    assert network.proof.same, network.proof.sentence()
    assert "for i in range(3) { wide." in network.spec, network.spec
    assert "residual { map: Linear(4) -> Sigmoid }" in network.spec
    assert network.spec.count("block ") == 1
