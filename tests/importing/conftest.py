"""What tests of importing share."""

from __future__ import annotations

from pathlib import Path

import pytest
from running import Command


@pytest.fixture
def command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Command:
    """Run the command in a folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    return Command(capsys)
