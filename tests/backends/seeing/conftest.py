"""What tests of seeing share: lenses on networks, and images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("PIL")


@pytest.fixture
def lens_of(tmp_path: Path) -> Callable[..., object]:
    """Return a function that gives a lens on a network that is written as text, in float64."""
    from archdsl.backends.python_source import generate
    from archdsl.backends.seeing.lens import Lens, seeded
    from archdsl.backends.seeing.preparing import preparation
    from archdsl.backends.torch_module import torch_module
    from archdsl.pipeline import Spec

    def make(text: str, batch: int = 4, inputs: object = None) -> Lens:
        path = tmp_path / "net.arch"
        path.write_text(text)
        checked = Spec(str(path)).graph(inputs=inputs) if inputs else Spec(str(path)).graph()
        source = generate(checked)
        with seeded():
            module = torch_module(checked, source, dtype="float64")
            for name, tensor in module.state_dict().items():
                if "running" in name:
                    tensor.copy_(torch.rand_like(tensor) + 0.5)
        return Lens(module, checked, source.moved, preparation(checked), batch)

    return make


@pytest.fixture
def images() -> object:
    return torch.randn(
        5, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(3)
    )
