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


@pytest.fixture
def command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Command:
    monkeypatch.chdir(tmp_path)
    return Command(capsys)


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
