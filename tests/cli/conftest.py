"""The command, with the tests' folder as the present one."""

from __future__ import annotations

import pytest
from running import SMALL, Command


@pytest.fixture
def archdsl(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.chdir(SMALL.parent)
    return Command(capsys)
