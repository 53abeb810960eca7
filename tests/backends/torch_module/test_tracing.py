"""Tools of torch that read a module's code can read the generated one."""

from __future__ import annotations

import copy
import inspect
import pickle
from pathlib import Path

import pytest
from compiled import load

from archdsl.backends.torch_module import torch_module

torch = pytest.importorskip("torch")

TEXT = """
block Dense(growth, n) {
  for i in range(n) {
    concat { branch {} branch { "layer{i + 1}": { BatchNorm2d -> Conv2d(growth, 1) } } }
  }
}
network net {
  input image: [3, 8, 8]
  stem: Conv2d(4, 3, padding = 1)
  repeat 5 { Conv2d(4, 3, padding = 1); BatchNorm2d; ReLU }
  dense: Dense(2, 6)
  output aux when training { Flatten -> Linear(3) }
  head: Conv2d(2, 1)
}"""


@pytest.fixture
def module(tmp_path: Path) -> torch.nn.Module:
    return torch_module(load(tmp_path, TEXT))


@pytest.mark.parametrize("training", [False, True])
def test_dynamo_takes_it_in_one_piece(module: torch.nn.Module, training: bool) -> None:
    module.train(training)
    compiled = torch.compile(module, backend="eager", fullgraph=True)
    image = torch.randn(2, 3, 8, 8)
    found, expected = compiled(image), module(image)
    if training:
        assert found._fields == expected._fields == ("output", "aux")
        found, expected = found.output, expected.output
    assert torch.equal(found, expected)


def test_it_can_be_copied_and_pickled(module: torch.nn.Module) -> None:
    image = torch.randn(2, 3, 8, 8)
    expected = module.eval()(image)
    assert torch.equal(copy.deepcopy(module)(image), expected)
    assert torch.equal(pickle.loads(pickle.dumps(module))(image), expected)


def test_its_source_can_be_read(module: torch.nn.Module) -> None:
    assert inspect.getsource(type(module).forward).startswith("    def forward(self, image")
