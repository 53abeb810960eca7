"""What tests of weights share: a small network with a head that may have another size."""

from __future__ import annotations

from pathlib import Path

import pytest

TEXT = """network net(classes: int = 5) { input image: [3, 8, 8]
  features: { Conv2d(4, 3) -> BatchNorm2d -> ReLU }
  Flatten
  fc: Linear(classes)
}"""


@pytest.fixture
def spec_file(tmp_path: Path) -> Path:
    path = tmp_path / "net.arch"
    path.write_text(TEXT)
    return path
