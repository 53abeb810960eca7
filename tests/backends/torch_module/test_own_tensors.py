"""Parts of tensors that a network owns: stored as they are declared, in every kind of file."""

from __future__ import annotations

from pathlib import Path

import pytest
from compiled import load, verified

from archdsl.backends.torch_module import load_weights, torch_module

torch = pytest.importorskip("torch")

# The weights of EfficientDet's fusion, one for each map that comes in (arXiv:1911.09070, 3.3).
FUSION = """
network fusion {
  input p3: [3, 16, 12]
  input p4: [3, 8, 6]
  from p3 -> a: Conv2d(4, 1)
  from p4 -> resample: { Conv2d(4, 1) -> Upsample(scale_factor = 2) }
  from a, resample -> two: Fuse
  x: in
  from x, a, resample -> three: Fuse
}

block Fuse {
  input maps[]
  parameter edge_weights: [len(maps)] = 1
  add {
    for i in range(len(maps)) {
      branch {
        mul { branch { from maps[i] } branch { from edge_weights -> "w{i}": Select(i, dim = 0) } }
      }
    }
  }
}"""

PARTS = """
network parts {
  input x: [3, 4]
  parameter table: [2, 3, 4] = normal()
  buffer scale: [3] = [2, 3, 4]
  output row { from table -> first: Select(0, dim = 0) -> second: Slice(1, none, dim = 0) }
  output number { from scale -> n: Slice(1, 2, dim = 0) }
  from x
  add { branch {} branch { from table -> plane: Select(-1, dim = 0) } }
  mul { branch {} branch { from number } }
  Linear(2)
}"""


def test_weights_of_a_fusion_fit_those_that_are_stored_as_a_vector(tmp_path: Path) -> None:
    checked = load(tmp_path, FUSION)
    module = torch_module(checked)
    shapes = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    assert (shapes["two.edge_weights"], shapes["three.edge_weights"]) == ((2,), (3,))

    stored = {name: torch.randn_like(tensor) for name, tensor in module.state_dict().items()}
    load_weights(module, stored)
    p3, p4 = torch.randn(2, 3, 16, 12), torch.randn(2, 3, 8, 6)
    with torch.no_grad():
        a, b = module.a(p3), module.resample(p4)
        two, three = stored["two.edge_weights"], stored["three.edge_weights"]
        x = a * two[0] + b * two[1]
        expected = x * three[0] + a * three[1] + b * three[2]
        assert torch.equal(module(p3, p4), expected)


@pytest.mark.parametrize("text", [FUSION, PARTS])
def test_parts_go_through_every_file(tmp_path: Path, text: str) -> None:
    pytest.importorskip("onnxscript")
    from archdsl.backends.export import export_onnx, export_pt2

    checked = load(tmp_path, text)
    assert verified(checked)[1].agrees
    module = torch_module(checked).eval()
    assert export_onnx(module, checked, tmp_path / "net.onnx").difference < 1e-5
    export_pt2(module, checked, tmp_path / "net.pt2")


def test_the_source_says_what_has_no_batch_axis(tmp_path: Path) -> None:
    text, _ = verified(load(tmp_path, PARTS))
    assert "Gives output (N x 3 x 2), row (2 x 4), number (1 integers)." in text
    assert "self.table[-1]" in text


def test_a_part_learns(tmp_path: Path) -> None:
    module = torch_module(load(tmp_path, FUSION))
    module(torch.randn(1, 3, 16, 12), torch.randn(1, 3, 8, 6)).sum().backward()
    assert module.two.edge_weights.grad.count_nonzero() == 2
