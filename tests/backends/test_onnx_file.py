"""Files for other programs give what torch gives, for other batches and sizes too."""

from __future__ import annotations

from pathlib import Path

import pytest

from archdsl.backends.torch_module import load_weights, torch_module
from archdsl.pipeline import Spec

torch = pytest.importorskip("torch")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

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

    assert exported.agrees, exported
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
