"""Convolutions that are written in torch's order are told, and no others."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
from running import Command

import archdsl as library
from archdsl.pipeline import Spec

SPECS = Path(__file__).parents[2] / "specs"


def said(folder: Path, stage: str, shape: str = "3, 224, 224") -> str:
    """Return what is said of a network with one stage, "" for nothing."""
    path = folder / "net.arch"
    path.write_text(f"network net {{ input x: [{shape}]\n  {stage} }}\n{BLOCKS}")
    found = Spec(str(path)).graph().warnings
    assert len(found) <= 1
    return found[0].sentence() if found else ""


BLOCKS = """
block Plain(out, kernel, stride = 1) = Conv2d(out, kernel, stride, bias = false)
block Fixed(out) = Conv2d(out, 8, 3)
block Same { Conv2d(in.channels, 8, 3) }
"""


@pytest.mark.parametrize(
    ("stage", "shape", "meant"),
    [
        ("Conv2d(3, 8, 3)", "3, 224, 224", "Conv2d(8, 3)"),
        ("c: Conv2d(3, 64, 7, padding = 3, bias = false)", "3, 224, 224", "Conv2d(64, 7)"),
        ("Conv2d(3, 8, 3, 1, 1)", "3, 224, 224", "Conv2d(8, 3)"),
        ("Conv2d(1, 6, 5)", "1, 28, 28", "Conv2d(6, 5)"),
        ("Conv2d(6, 16, 5)", "6, 28, 28", "Conv2d(16, 5)"),
        ("Conv2d(in.channels, 64, 1)", "3, 224, 224", "Conv2d(64, 1)"),
        (
            "Conv2d(\n    3,  # the channels, three\n    8,\n    3,\n  )",
            "3, 32, 32",
            "Conv2d(8, 3)",
        ),
        ("Conv1d(16, 32, 3)", "16, 1000", "Conv1d(32, 3)"),
        ("Conv3d(1, 8, 3)", "1, 16, 64, 64", "Conv3d(8, 3)"),
        ("ConvTranspose2d(64, 32, 2)", "64, 8, 8", "ConvTranspose2d(32, 2)"),
        ("Plain(3, 8, 3)", "3, 32, 32", "Conv2d(8, 3)"),
        ("repeat 2 { Same }", "3, 224, 224", "Conv2d(8, 3)"),
        ("Conv2d(3, 8, 3)", "3, H, W", "Conv2d(8, 3)"),
    ],
)
def test_torch_order_is_told(stage: str, shape: str, meant: str, tmp_path: Path) -> None:
    assert said(tmp_path, stage, shape).endswith(
        f"leave out what comes in, which is always known: `{meant}`"
    )


@pytest.mark.parametrize(
    ("stage", "shape"),
    [
        ("Conv2d(8, 3)", "3, 224, 224"),
        ("Conv2d(3, 3, 1)", "3, 224, 224"),
        ("Conv2d(64, 3, 2)", "64, 56, 56"),
        ("Conv2d(64, 4, 4)", "64, 56, 56"),  # patches
        ("Conv2d(3, 16, 16)", "3, 224, 224"),
        ("Conv2d(64, 31, 1)", "64, 56, 56"),  # RepLKNet
        ("Conv2d(3, 8, stride = 3)", "3, 224, 224"),
        ("Conv2d(out_channels = 3, kernel_size = 8, stride = 3)", "3, 224, 224"),
        ("Conv2d(4, 8, 3)", "3, 224, 224"),
        ("Conv2d(3, [8, 8], 3)", "3, 224, 224"),
        ("Fixed(3)", "3, 224, 224"),
        ("Conv1d(512, 10, 5)", "512, 4000"),  # wav2vec
        ("Conv1d(16, 64, 1)", "16, 1000"),  # EEG
        ("ConvTranspose2d(21, 64, 32)", "21, 7, 7"),  # FCN
        ("ConvTranspose2d(16, 4, 2)", "16, 8, 8"),  # DCGAN
        ("AvgPool2d(3, 8, 1)", "3, 64, 64"),
    ],
)
def test_what_may_be_meant_is_not_told(stage: str, shape: str, tmp_path: Path) -> None:
    assert not said(tmp_path, stage, shape)


def test_no_network_that_comes_with_the_package_is_told_so() -> None:
    for path in sorted(SPECS.glob("*.arch")):
        spec = Spec(str(path))
        for name in filter(spec.is_complete, spec.networks):
            if name != "resnet1202":
                assert not spec.graph(name).warnings, name


def test_it_is_said_wherever_a_network_is_used(archdsl: Command, tmp_path: Path) -> None:
    path = tmp_path / "net.arch"
    path.write_text("network net { input x: [3, 32, 32]\n  stem: Conv2d(3, 8, 3)\n}\n")
    said = "warning: `stem`, a `Conv2d`, has out_channels = 3, kernel_size = 8 and stride = 3 here"

    checked = archdsl("check", path)
    counted = archdsl("count", path, "--format", "json")
    with pytest.warns(UserWarning, match="`stem`, a `Conv2d`"):
        library.load(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        library.load("lenet5")

    assert checked.status == 0
    assert "net.arch: ok (net)" in checked.out
    assert said in checked.error
    assert f"{path}:2:9" in checked.error
    assert json.loads(counted.out)["warnings"][0].startswith(said)
