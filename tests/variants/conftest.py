"""The command, in a folder that is empty but for the spec."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli.running import Command

NET = Path(__file__).with_name("net.arch")


@pytest.fixture
def archdsl(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Command:
    (tmp_path / "net.arch").write_bytes(NET.read_bytes())
    monkeypatch.chdir(tmp_path)
    return Command(capsys)
