"""Every network on a GPU: forward and backward, eager and compiled, in float32 and bfloat16."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from archdsl.backends.torch_module import torch_module
from archdsl.backends.torch_module.running import chosen_sizes, named, random_inputs
from archdsl.graph import CheckedGraph
from archdsl.pipeline import Spec

torch = pytest.importorskip("torch")

SPECS = sorted((Path(__file__).parents[3] / "specs").glob("*.arch"))
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.slow,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU"),
]


def loss(checked: CheckedGraph, result: Any, training: bool) -> Any:
    return sum(
        tensor.float().square().mean() for tensor in named(checked, result, training).values()
    )


def step(module: Any, checked: CheckedGraph, inputs: dict[str, Any]) -> None:
    """Go forward and backward once in training mode."""
    module.train()
    module.zero_grad()
    loss(checked, module(*inputs.values()), True).backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


@pytest.fixture(params=SPECS, ids=lambda path: path.stem)
def checked(request: pytest.FixtureRequest) -> CheckedGraph:
    return Spec(str(request.param)).graph()


def test_the_gpu_gives_what_the_cpu_gives(checked: CheckedGraph) -> None:
    sizes = chosen_sizes(checked)
    module = torch_module(checked).eval()
    inputs = random_inputs(checked, torch.device("cpu"), torch.float32, sizes)
    with torch.no_grad():
        expected = named(checked, module(*inputs.values()), False)
        module.cuda()
        found = named(checked, module(*(tensor.cuda() for tensor in inputs.values())), False)
    for name, tensor in expected.items():
        scale = max(float(tensor.abs().max()), 1e-6)
        assert float((found[name].cpu() - tensor).abs().max()) / scale < 1e-2, name


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_a_step_of_training(checked: CheckedGraph, compiled: bool) -> None:
    module = torch_module(checked, device="cuda")
    inputs = random_inputs(checked, torch.device("cuda"), torch.float32, chosen_sizes(checked))
    step(torch.compile(module) if compiled else module, checked, inputs)


def test_bfloat16_with_channels_last(checked: CheckedGraph) -> None:
    module = torch_module(checked, device="cuda", channels_last=True)
    inputs = random_inputs(checked, torch.device("cuda"), torch.float32, chosen_sizes(checked))
    for name, tensor in inputs.items():
        if tensor.dim() == 4:
            inputs[name] = tensor.contiguous(memory_format=torch.channels_last)
    with torch.autocast("cuda", torch.bfloat16):
        step(module, checked, inputs)
