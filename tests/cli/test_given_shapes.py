"""Shapes given for inputs: what they change beside what the spec says is told, and nothing else."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
from running import Command

import archdsl as library
from archdsl.pipeline import Spec

STEM = "network stem { input image: [3, 224, 224]; Conv2d(64, 7, 2, 3) }"
FREE = "network free { input image: [3, H, W]; Conv2d(8, 3) }"
LAST = "network last { input image: [224, 320, 3]; Permute([0, 3, 1, 2]) -> Conv2d(8, 3) }"
POOLED = "network pooled { input image: [3, 64, 64]; MaxPool2d(2) }"
DIGITS = "network digits { input image: [1, 28, 28]; Flatten -> Linear(10) }"
VIDEO = "network video { input clip: [1, 16, 112, 112]; Conv3d(8, 3, padding = 1) }"
SEQUENCE = "network sequence { input x: [197, 768]; Linear(10) }"
TWO = """network two { input a: [3, 8, 8]; input b: [3, 8, 8]
  from a; add { branch {} branch { from b } }
  Conv2d(2, 1) }"""
PICTURES = """network net { input image: [3, 64, 96]
  Conv2d(8, 3) -> AdaptiveAvgPool2d(1) -> Flatten -> Linear(9) }"""

KERAS = "if its channels come last, as in Keras and TensorFlow, write them first"
MOVED = "if its axes are in another order, write them as the spec does"
TORCH = "if its channels come first, as in PyTorch, write them last, as the spec does"


def said(folder: Path, text: str, **inputs: str) -> str:
    """Return what is said of the shapes given for inputs, "" for nothing."""
    path = folder / "net.arch"
    path.write_text(text)
    shapes = {
        name: tuple(int(size) if size.isdecimal() else size for size in shape.split("x"))
        for name, shape in inputs.items()
    }
    found = Spec(str(path)).graph(shapes=shapes).warnings
    assert len(found) <= 1
    return found[0].sentence() if found else ""


@pytest.mark.parametrize(
    ("text", "inputs"),
    [
        (STEM, {"image": "3x224x224"}),
        (STEM, {"image": "3x160x160"}),
        (STEM, {"image": "3x320x224"}),
        (STEM, {"image": "3xHxW"}),
        (FREE, {"image": "3x224x224"}),
        (FREE, {"image": "3x3x224"}),
        (FREE, {"image": "3xAxB"}),
        (LAST, {"image": "320x224x3"}),
        (LAST, {"image": "64x64x3"}),
        (PICTURES, {"image": "3x96x64"}),
        (PICTURES, {"image": "3x500x333"}),
        (POOLED, {"image": "1x64x64"}),
        (SEQUENCE, {"x": "50x768"}),
        (VIDEO, {"clip": "1x32x224x224"}),
        (TWO, {"a": "3x16x16", "b": "3x16x16"}),
    ],
)
def test_other_sizes_are_ordinary(tmp_path: Path, text: str, inputs: dict[str, str]) -> None:
    assert not said(tmp_path, text, **inputs)


@pytest.mark.parametrize(
    ("text", "inputs", "effect"),
    [
        (STEM, {"image": "1x28x28"}, "3,200 instead of 9,472"),
        (STEM, {"image": "4x224x224"}, "12,608 instead of 9,472"),
        (FREE, {"image": "1xHxW"}, "80 instead of 224"),
        (FREE, {"image": "4x64x64"}, "296 instead of 224"),
        (FREE, {"image": "CxHxW"}, "72*C + 8 instead of 224"),
        (DIGITS, {"image": "1x32x32"}, "10,250 instead of 7,850"),
        (SEQUENCE, {"x": "197x384"}, "3,850 instead of 7,690"),
        (TWO, {"a": "1x8x8", "b": "1x8x8"}, "4 instead of 8"),
    ],
)
def test_what_changes_the_parameters_is_noted(
    tmp_path: Path, text: str, inputs: dict[str, str], effect: str
) -> None:
    sentence = said(tmp_path, text, **inputs)
    assert sentence.startswith("note: input ")
    assert sentence.endswith(f", which changes the number of parameters: {effect}")


@pytest.mark.parametrize(
    ("text", "inputs", "meant"),
    [
        (STEM, {"image": "224x224x3"}, f"{KERAS}: `--input image=3x224x224`"),
        (STEM, {"image": "160x96x3"}, f"{KERAS}: `--input image=3x160x96`"),
        (STEM, {"image": "HxWx3"}, f"{KERAS}: `--input image=3xHxW`"),
        (FREE, {"image": "224x224x3"}, f"{KERAS}: `--input image=3x224x224`"),
        (POOLED, {"image": "64x64x3"}, f"{KERAS}: `--input image=3x64x64`"),
        (DIGITS, {"image": "28x28x1"}, f"{KERAS}: `--input image=1x28x28`"),
        (LAST, {"image": "3x224x320"}, f"{TORCH}: `--input image=224x320x3`"),
        (LAST, {"image": "3x128x224"}, f"{TORCH}: `--input image=128x224x3`"),
        (VIDEO, {"clip": "16x112x112x1"}, f"{KERAS}: `--input clip=1x16x112x112`"),
        # what is moved are no channels, since the other end of the spec's shape has fewer places
        (PICTURES, {"image": "96x3x64"}, f"{MOVED}: `--input image=3x64x96`"),
        (LAST, {"image": "320x3x224"}, f"{MOVED}: `--input image=224x320x3`"),
        (
            VIDEO,
            {"clip": "16x1x112x112"},
            "if its axes are in another order, write them as the spec does: "
            "`--input clip=1x16x112x112`",
        ),
        (
            SEQUENCE,
            {"x": "768x197"},
            "if its axes are the other way round, exchange them: `--input x=197x768`",
        ),
    ],
)
def test_axes_in_another_order_are_a_warning(
    tmp_path: Path, text: str, inputs: dict[str, str], meant: str
) -> None:
    sentence = said(tmp_path, text, **inputs)
    assert sentence.startswith("warning: input ")
    assert sentence.endswith(f"; {meant}")


def test_parameters_of_other_shapes_and_the_same_number_are_noted(tmp_path: Path) -> None:
    text = """network n { input x: [4, 6]
      parameter p: [in.shape[0], 24 // in.shape[0]]
      output q { from p }
      Linear(3) }"""
    assert said(tmp_path, text, x="2x6").endswith(", which changes the shapes of parameters")


def test_a_spec_that_is_wrong_as_it_stands_has_nothing_to_compare(tmp_path: Path) -> None:
    text = "network n { input image: [3, 4, 4]; Conv2d(8, 7) }"
    assert not said(tmp_path, text, image="3x32x32")


def test_what_fails_with_channels_last_says_so(archdsl: Command) -> None:
    result = archdsl("count", "inception_v3", "--input", "image=299x299x3")
    assert result.status == 1
    assert result.error.startswith("error[E0301]: `Conv2d` has a kernel larger than")
    assert f"help: {KERAS}: `--input image=3x299x299`" in result.error


@pytest.fixture
def stem(tmp_path: Path) -> Path:
    path = tmp_path / "stem.arch"
    path.write_text(STEM)
    return path


@pytest.mark.parametrize("form", ["table", "markdown"])
def test_tables_end_with_it(archdsl: Command, stem: Path, form: str) -> None:
    text = archdsl.printed("count", stem, "--input", "image=224x224x3", "--format", form)
    last = " ".join(text.replace("\\", "").rsplit("warning:", 1)[1].split())
    assert last.endswith(f"702,528 instead of 9,472; {KERAS}: `--input image=3x224x224`")


def test_json_has_it(archdsl: Command, stem: Path) -> None:
    command = ("count", stem, "--format", "json", "--input")
    (sentence,) = json.loads(archdsl.printed(*command, "image=224x224x3"))["warnings"]
    assert sentence.startswith("warning: input `image` is 224 x 224 x 3 instead of 3 x 224 x 224")
    assert json.loads(archdsl.printed(*command, "image=3x32x32"))["warnings"] == []


@pytest.mark.parametrize(
    "command",
    [
        ["count", "--format", "csv"],
        ["count", "--format", "latex"],
        ["count", "stem.arch"],
        ["draw", "-o", "-", "--format", "dot"],
        ["compile", "-o", "-"],
    ],
)
def test_where_it_would_not_fit_it_goes_to_standard_error(
    archdsl: Command, stem: Path, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(stem.parent)
    result = archdsl(command[0], stem, *command[1:], "--input", "image=32x32x3")
    assert result.status == 0
    assert "warning" not in result.out
    assert result.error.startswith("warning: input `image` is 32 x 32 x 3 instead of 3 x 224 x 224")
    assert "stem.arch:1:16" in result.error


def test_load_warns_of_what_looks_like_a_mistake(stem: Path) -> None:
    with pytest.warns(UserWarning, match="702,528 instead of 9,472; if its channels come last"):
        network = library.load(stem, inputs={"image": [224, 224, 3]})
    assert network.count().parameters == 702_528
    assert network.warnings[0].startswith("warning: input `image`")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        noted = library.load(stem, inputs={"image": [1, 28, 28]})
        assert not library.load(stem, inputs={"image": [3, 32, 32]}).warnings
    assert noted.warnings[0].startswith("note: input `image`")


WORKED_OUT = """network net(size = 8, channels = 3) {
  input image: [channels, H, 2 * H]; input mask: [1, size, size]; input x: [ 4,H ,W]
  output q { from mask -> Flatten -> Linear(2) }
  output r { from x -> Conv2d(2, 1) }
  from image; Flatten -> Linear(2)
}"""


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({"image": "3x8x20"}, "3 x 8 x 20 instead of 3 x 8 x 16 (`[channels, H, 2 * H]`)"),
        ({"image": "4xHxK"}, "4 x H x K instead of 3 x H x 2*H (`[channels, H, 2 * H]`)"),
        ({"mask": "1x9x9"}, "1 x 9 x 9 instead of 1 x 8 x 8 (`[1, size, size]`)"),
        ({"x": "5xHxW"}, "5 x H x W instead of 4 x H x W; "),
    ],
)
def test_sizes_that_are_worked_out_are_shown_with_what_the_spec_says(
    tmp_path: Path, inputs: dict[str, str], told: str
) -> None:
    assert told in said(tmp_path, WORKED_OUT, **inputs).replace(", which", "; which")
