"""What people read: the generated sources of four networks, kept whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from archdsl.analysis.report import report
from archdsl.backends.python_source import is_generated, python_source
from archdsl.backends.table import render
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


FREE = """\
network free(classes: int = 10) {
  input image: [3, H, W]
  stem: Conv2d(16, 3, stride = 2, padding = 1)
  body: { MaxPool2d(2) -> Conv2d(1000, 3) }
  AdaptiveAvgPool2d(1) -> Flatten -> Linear(classes)
}
"""


@pytest.mark.parametrize("stride", [1, 2])
def test_free_sizes_are_written_as_a_count_writes_them(stride: int, tmp_path: Path) -> None:
    path = tmp_path / "free.arch"
    text = FREE if stride == 2 else FREE.replace("stride = 2, ", "").replace("MaxPool2d(2)", "ReLU")
    path.write_text(text)
    spec = Spec(str(path))
    counted = render([report(spec.graph())])
    source = python_source(spec.graph())
    shapes = [line.partition("# N x ")[2] for line in source.splitlines() if "# N x " in line]

    assert len(shapes) == 5
    assert all(f" {shape}  " in counted for shape in shapes[:-1] if shape != "1000")
    assert shapes[-1] == "classes"
    assert ("H a multiple of 4 and W a multiple of 4." in " ".join(source.split())) == (stride == 2)
    assert ("H a multiple of 4 and W a multiple of 4;" in counted) == (stride == 2)
    assert "//" not in source
