"""Random specs, compiled: torch agrees with every node, and learning is that of plain modules."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from compiled import verified
from generators import ArchSpec, arch_specs
from hypothesis import HealthCheck, given, settings

from archdsl.analysis.state import state_dict
from archdsl.backends.python_source import python_source
from archdsl.backends.torch_module import torch_module
from archdsl.graph import CheckedGraph
from archdsl.pipeline import Spec

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("one_thread")
some = settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
many = settings(some, max_examples=270)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("generated")


def graph(folder: Path, spec: ArchSpec) -> CheckedGraph:
    path = folder / "spec.arch"
    path.write_text(spec.text())
    return Spec(str(path)).graph()


def compare(folder: Path, spec: ArchSpec) -> None:
    """Hold nodes and names to torch, and gradients to those without anything done in place."""
    checked = graph(folder, spec)
    text, found = verified(checked)
    assert found.agrees, (found.disagreeing, found.differing)
    assert python_source(graph(folder, spec)) == text

    module = torch_module(checked)
    names = [(key, tuple(tensor.shape)) for key, tensor in module.state_dict().items()]
    assert names == list(state_dict(checked).items())
    plain: Any = deepcopy(module)
    for layer in plain.modules():
        if hasattr(layer, "inplace"):
            layer.inplace = False
    image = torch.randn(2, *checked.inputs["x"], generator=torch.manual_seed(0))
    assert same(learned(module, image), learned(plain, image))


def learned(module: Any, image: Any) -> dict[str, Any]:
    """Return all gradients of a step of training, and the buffers after it, by name."""
    torch.manual_seed(0)
    image = image.clone().requires_grad_()
    output = module.train()(image)
    output.sum().backward()
    gradients = {name: parameter.grad for name, parameter in module.named_parameters()}
    return {"": image.grad, "output": output.detach(), **gradients, **dict(module.named_buffers())}


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(
        (one[name] is None and other[name] is None)
        or torch.allclose(one[name], other[name], rtol=1e-4, atol=1e-5, equal_nan=True)
        for name in one
    )


@some
@given(spec=arch_specs(wide=True))
def test_a_generated_spec(folder: Path, spec: ArchSpec) -> None:
    compare(folder, spec)


@pytest.mark.slow
@many
@given(spec=arch_specs(wide=True))
def test_many_generated_specs(folder: Path, spec: ArchSpec) -> None:
    compare(folder, spec)
