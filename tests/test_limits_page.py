"""Limits: what the documentation says of them, and how they are changed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from archdsl.diagnostics import MOST_ERRORS
from archdsl.layers.sizes import DEEPEST_FLOOR, MOST_TERMS
from archdsl.limits import CEILINGS, LARGEST, Limits

TEXT = (Path(__file__).parent.parent / "docs" / "limits.md").read_text(encoding="utf-8")


def test_every_limit_is_documented_with_its_numbers() -> None:
    rows = re.findall(r"^\| (\w+) \| ([\d,]+) \| ([\d,]+) \| \S", TEXT, re.MULTILINE)

    assert {name: int(number.replace(",", "")) for name, number, _ in rows} == Limits()._asdict()
    assert {name: int(number.replace(",", "")) for name, _, number in rows} == CEILINGS


def test_fixed_bounds_are_documented() -> None:
    text = " ".join(TEXT.split())

    assert f"up to {LARGEST:,} at every step" in text
    assert f"{MOST_TERMS} terms and {DEEPEST_FLOOR} divisions" in text
    assert f"the first {MOST_ERRORS} are shown" in text


def test_limits_are_changed_up_to_their_ceilings() -> None:
    for name, ceiling in CEILINGS.items():
        assert getattr(Limits().with_changes({name: ceiling}), name) == ceiling
        for wrong in (0, -1, ceiling + 1):
            with pytest.raises(ValueError, match=f"`{name}` can be set from 1 to {ceiling:,}"):
                Limits().with_changes({name: wrong})


def test_unknown_limit_is_answered_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="no limit called `layer`: there are file_bytes, tokens"):
        Limits().with_changes({"layer": 3})
