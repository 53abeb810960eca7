"""Networks against torchvision's modules: the same names, and with the same weights the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from archdsl.backends.torch_module import compare_parameters, run_once, torch_module
from archdsl.pipeline import Spec

torch = pytest.importorskip("torch")
models: Any = pytest.importorskip("torchvision").models

SPECS = Path(__file__).parents[3] / "specs"


def pair(spec: str, twin: Any) -> tuple[Any, Any]:
    """Return a compiled network and its twin, with the twin's weights."""
    checked = Spec(str(SPECS / spec)).graph()
    module = torch_module(checked)
    ours, theirs = module.state_dict(), twin.state_dict()
    assert list(ours) == list(theirs)
    assert [tensor.shape for tensor in ours.values()] == [t.shape for t in theirs.values()]
    assert compare_parameters(module, checked).agrees
    module.load_state_dict(theirs)
    return module, twin


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_resnet(depth: int) -> None:
    twin = getattr(models, f"resnet{depth}")()
    module, twin = pair(f"resnet.arch:resnet{depth}", twin)
    image = torch.randn(2, 3, 64, 64, generator=torch.manual_seed(0))
    with torch.no_grad():
        assert torch.equal(module.eval()(image), twin.eval()(image))


def test_resnet_learns_as_its_twin_does() -> None:
    module, twin = pair("resnet.arch:resnet18", models.resnet18())
    image = torch.randn(2, 3, 64, 64, generator=torch.manual_seed(0))
    for each in (module.train(), twin.train()):
        each(image).square().sum().backward()
    gradients = dict(twin.named_parameters())
    for name, parameter in module.named_parameters():
        assert torch.equal(parameter.grad, gradients[name].grad), name
    for name, buffer in module.named_buffers():
        assert torch.equal(buffer, twin.get_buffer(name)), name


def test_inception_v3() -> None:
    twin = models.inception_v3(aux_logits=True, init_weights=False)
    module, twin = pair("inception_v3.arch", twin)
    image = torch.randn(2, 3, 299, 299, generator=torch.manual_seed(0))

    with torch.no_grad():
        logits = module.eval()(image)
        assert isinstance(logits, torch.Tensor)
        assert torch.equal(logits, twin.eval()(image))

        torch.manual_seed(0)
        ours = module.train()(image)
        torch.manual_seed(0)
        theirs = twin.train()(image)
    assert ours._fields == ("logits", "aux")
    assert torch.equal(ours.logits, theirs.logits)
    assert torch.equal(ours.aux, theirs.aux_logits)


def test_another_image_size_works_as_well() -> None:
    module, twin = pair("resnet.arch:resnet18", models.resnet18())
    image = torch.randn(3, 3, 97, 130)
    with torch.no_grad():
        assert torch.equal(module.eval()(image), twin.eval()(image))


def test_lenet5_runs() -> None:
    checked = Spec(str(SPECS / "lenet5.arch")).graph()
    module = torch_module(checked)
    run = run_once(module, checked, "cpu")
    assert run.outputs == {"output": (2, 10)}
    assert compare_parameters(module, checked).counted == 60_850
