"""Files for other programs give what torch gives, for other batches and sizes too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from archdsl.backends.torch_module import TorchError, load_weights, torch_module
from archdsl.pipeline import Spec

torch = pytest.importorskip("torch")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

from archdsl.backends import onnx_file  # noqa: E402
from archdsl.backends.onnx_file import export_onnx, export_pt2, save_weights  # noqa: E402

TEXT = """
block Head(classes) { AdaptiveAvgPool2d(1); Flatten; fc: Linear(classes) }
network net { input image: [3, H, W]
  stem: { Conv2d(4, 3, padding = 1) -> BatchNorm2d -> ReLU }
  residual { conv: Conv2d(4, 3, padding = 1) }
  output mask { Conv2d(1, 1) }
  output aux when training { Conv2d(2, 1) }
  head: Head(5)
}"""


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    path = tmp_path / "net.arch"
    path.write_text(TEXT)
    return Spec(str(path))


def test_onnx(spec: Spec, tmp_path: Path) -> None:
    checked = spec.graph()
    module = torch_module(checked).eval()

    exported = export_onnx(module, checked, tmp_path / "model.onnx")

    assert exported.difference < 1e-5
    assert exported.outputs == ("output", "mask")
    session = onnxruntime.InferenceSession(exported.path, providers=["CPUExecutionProvider"])
    image = torch.randn(3, 3, 20, 33)
    found = session.run(None, {"image": image.numpy()})
    with torch.no_grad():
        expected = module(image)
    for ours, theirs in zip(expected, found, strict=True):
        assert torch.allclose(ours, torch.from_numpy(theirs), atol=1e-5)
    assert not list(tmp_path.glob("*.tmp"))


def test_pt2(spec: Spec, tmp_path: Path) -> None:
    checked = spec.graph()
    module = torch_module(checked).eval()

    exported = export_pt2(module, checked, tmp_path / "model.pt2")

    assert exported.difference == 0
    program = torch.export.load(exported.path).module()
    image = torch.randn(3, 3, 20, 33)
    with torch.no_grad():
        for ours, theirs in zip(module(image), program(image), strict=True):
            assert torch.allclose(ours, theirs, atol=1e-6)


def test_safetensors(spec: Spec, tmp_path: Path) -> None:
    module, other = torch_module(spec.graph()), torch_module(spec.graph())
    save_weights(module, tmp_path / "weights.safetensors")
    load_weights(other, tmp_path / "weights.safetensors")
    assert all(map(torch.equal, module.state_dict().values(), other.state_dict().values()))


@pytest.mark.parametrize(
    "write", [export_onnx, export_pt2, save_weights], ids=["onnx", "pt2", "st"]
)
def test_a_module_on_meta_has_nothing_to_write(write: Any, spec: Spec, tmp_path: Path) -> None:
    checked = spec.graph()
    module = torch_module(checked, device="meta")
    given = (module,) if write is save_weights else (module, checked)
    with pytest.raises(TorchError, match=r"E0609.* on the meta device it has no numbers"):
        write(*given, tmp_path / "file")
    assert not (tmp_path / "file").exists()


def test_onnx_of_what_onnxruntime_cannot_run(spec: Spec, tmp_path: Path) -> None:
    checked = spec.graph()
    module = torch_module(checked, dtype="bfloat16")
    with pytest.raises(TorchError, match=r"(?s)E0609.*bfloat16.*float32"):
        export_onnx(module, checked, tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_onnx_of_half_precision(spec: Spec, tmp_path: Path) -> None:
    checked = spec.graph()
    exported = export_onnx(torch_module(checked, dtype="float16"), checked, tmp_path / "half.onnx")
    assert exported.difference < 1e-2


def test_onnx_that_gives_something_else(
    spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_file, "_difference", lambda *given: float("nan"))
    with pytest.raises(TorchError, match="its outputs differ from torch's by nan"):
        export_onnx(torch_module(spec.graph()), spec.graph(), tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


@pytest.mark.parametrize("name", ["lenet5", "lenet5_rbf"])
def test_layers_that_torch_lacks_give_the_same_as_onnx(name: str, tmp_path: Path) -> None:
    spec = Path(__file__).parents[2] / "specs" / "lenet5.arch"
    checked = Spec(str(spec)).graph(name)
    exported = export_onnx(torch_module(checked), checked, tmp_path / "lenet5.onnx")
    assert exported.difference < 1e-5


def test_onnx_that_torch_writes_wrongly_is_refused(tmp_path: Path) -> None:
    """torch 2.15 leaves out the divisor, and the file would compute something else."""
    path = tmp_path / "net.arch"
    path.write_text("network net { input x: [3, 8, 8]; AvgPool2d(2, divisor_override = 3) }")
    checked = Spec(str(path)).graph()
    try:
        exported = export_onnx(torch_module(checked), checked, tmp_path / "net.onnx")
    except TorchError as refused:
        assert "its outputs differ from torch's" in str(refused)  # noqa: PT017
        assert not (tmp_path / "net.onnx").exists()
    else:
        assert exported.difference < 1e-5
