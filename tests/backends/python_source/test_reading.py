"""What people read: the generated sources of four networks, kept whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from archdsl.backends.python_source import is_generated, python_source
from archdsl.pipeline import Spec

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden" / "source"


@pytest.mark.parametrize(
    "spec",
    ["inception_v3.arch", "lenet5.arch", "resnet.arch:resnet50", "densenet.arch:densenet121"],
    ids=lambda spec: spec,
)
def test_generated_source(spec: str, golden: Callable[[Path, str], None]) -> None:
    checked = Spec(str(ROOT / "specs" / spec)).graph()

    text = python_source(checked)

    golden(GOLDEN / f"{checked.name}.py", text)
    assert text == python_source(checked)
    assert is_generated(text)


def test_a_file_written_by_hand_is_not_taken_for_generated() -> None:
    assert not is_generated('"""A network."""\n\nimport torch\n')
