"""archdsl count: tables, formats, values, shapes, comparisons."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from running import GOLDEN, Command

Golden = Callable[[Path, str], None]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("table.txt", ["small.arch:tiny"]),
        ("explain.txt", ["small.arch:tiny", "--explain"]),
        ("depth0.txt", ["small.arch:tiny", "--depth", "0"]),
        ("depth1.txt", ["small.arch:tiny", "--depth", "1"]),
        ("table.csv", ["small.arch:tiny", "--format", "csv"]),
        ("table.md", ["small.arch:tiny", "--format", "markdown"]),
        ("table.tex", ["small.arch:tiny", "--format", "latex"]),
        ("table.json", ["small.arch:tiny", "--format", "json"]),
        ("comparison.txt", ["small.arch:tiny", "small.arch:wide"]),
        ("free.txt", ["small.arch:free", "-p", "kind=ReLU"]),
    ],
)
def test_what_is_printed(archdsl: Command, golden: Golden, name: str, arguments: list[str]) -> None:
    golden(GOLDEN / name, archdsl.printed("count", *arguments))


def counted(archdsl: Command, *arguments: str) -> dict[str, object]:
    data: dict[str, object] = json.loads(archdsl.printed("count", *arguments, "--format", "json"))
    return data


def test_json_has_the_keys_that_are_promised(archdsl: Command) -> None:
    data = counted(archdsl, "small.arch:tiny")

    assert {
        "network", "inputs", "outputs", "parameters", "macs", "memory", "layers"
    } <= data.keys()  # fmt: skip
    assert data["network"] == "tiny"
    assert data["inputs"] == {"image": [3, 32, 32]}
    assert data["outputs"] == {"output": [10], "aux": [10]}
    assert set(data["parameters"]) == {"total", "trainable", "inference", "frozen"}  # type: ignore[call-overload]
    assert set(data["macs"]) == {"inference", "training"}  # type: ignore[call-overload]
    layers = data["layers"]
    assert isinstance(layers, list)
    for layer in layers:
        assert {
            "name", "type", "inputs", "output", "parameters", "macs", "receptive_field", "stride"
        } <= layer.keys()  # fmt: skip
    assert layers[0]["name"] == "stem.conv"
    assert layers[0]["inputs"] == [[3, 32, 32]]
    assert layers[0]["output"] == [8, 16, 16]
    assert layers[0]["parameters"] == 8 * 3 * 9
    assert layers[0]["macs"] == 8 * 3 * 9 * 16 * 16
    assert layers[0]["receptive_field"] == [3, 3]
    assert layers[0]["stride"] == [2, 2]


def test_totals_are_the_sums_of_the_rows(archdsl: Command) -> None:
    data = counted(archdsl, "small.arch:tiny")
    layers = data["layers"]
    assert isinstance(layers, list)

    for unit in ("parameters", "macs"):
        inference = sum(layer[unit] for layer in layers if not layer["training_only"])
        assert data[unit]["inference"] == inference  # type: ignore[index]
    assert data["parameters"]["total"] == sum(row["parameters"] for row in layers)  # type: ignore[index]
    assert data["macs"]["training"] == sum(row["macs"] for row in layers)  # type: ignore[index]


@pytest.mark.parametrize(
    ("spec", "parameters", "inference", "macs"),
    [
        ("inception_v3", 27_161_264, 23_834_568, 5_713_216_096),
        ("lenet5", 60_850, 60_850, 326_520),
        ("resnet50", 25_557_032, 25_557_032, 4_089_184_256),
    ],
)
def test_published_figures(
    archdsl: Command, spec: str, parameters: int, inference: int, macs: int
) -> None:
    data = counted(archdsl, spec)

    assert data["parameters"] == {
        "total": parameters, "trainable": parameters, "inference": inference, "frozen": 0
    }  # fmt: skip
    assert data["macs"]["inference"] == macs  # type: ignore[index]


def test_several_specs_give_an_array(archdsl: Command) -> None:
    out = archdsl.printed("count", "small.arch:tiny", "small.arch:wide", "--format", "json")

    assert [one["network"] for one in json.loads(out)] == ["tiny", "wide"]


def test_csv_can_be_read(archdsl: Command) -> None:
    rows = list(csv.reader(io.StringIO(archdsl.printed("count", "lenet5", "--format", "csv"))))

    assert len({len(row) for row in rows}) == 1
    assert any("C1" in row for row in rows)


def test_explained_counts_are_right(archdsl: Command) -> None:
    out = archdsl.printed("count", "lenet5", "--explain")

    assert "(5 x 5 x 1 + 1) x 6" in out
    assert "(120 + 1) x 84" in out


def test_values_of_parameters(archdsl: Command) -> None:
    default = counted(archdsl, "small.arch:tiny")
    more = counted(archdsl, "small.arch:tiny", "-p", "classes=20", "-p", "width=8")

    assert default["outputs"] == {"output": [10], "aux": [10]}
    assert more["outputs"] == {"output": [20], "aux": [20]}
    assert (
        counted(archdsl, "small.arch:tiny", "-p", "width=2 * 8")["parameters"]
        == counted(archdsl, "small.arch:wide")["parameters"]
    )


@pytest.mark.parametrize("text", ["3x64x64", "3,64,64", " 3 x 64 x 64 "])
def test_shapes_of_inputs(archdsl: Command, text: str) -> None:
    data = counted(archdsl, "small.arch:tiny", "--input", f"image={text}")

    assert data["inputs"] == {"image": [3, 64, 64]}


def test_free_sizes(archdsl: Command) -> None:
    free = counted(archdsl, "small.arch:free", "-p", "kind=Tanh")
    known = counted(archdsl, "small.arch:free", "-p", "kind=Tanh", "--input", "image=3x8x8")

    assert free["inputs"] == {"image": [3, "H", "W"]}
    assert free["parameters"] == known["parameters"]
    assert free["macs"]["inference"] == "108*H*W"  # type: ignore[index]
    assert known["macs"]["inference"] == 108 * 64  # type: ignore[index]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["small.arch:nosuch"], 1, "no network called `nosuch`"),
        (["small.arch:tiny", "-p", "clases=3"], 1, "did you mean `classes`?"),
        (["small.arch:tiny", "-p", "classes=x"], 1, "there is no value called `x`"),
        (["small.arch:tiny", "-p", "classes=0"], 1, "must be a positive integer"),
        (["small.arch:wide", "-p", "width=3"], 1, "width"),
        (["small.arch:tiny", "-p", "classes"], 2, "`classes` is not NAME=VALUE"),
        (["small.arch:tiny", "-p", "classes=1", "-p", "classes=2"], 2, "given twice"),
        (["small.arch:tiny", "--input", "image=3x0x4"], 2, "is no shape"),
        (["small.arch:tiny", "--input", "image=3x4"], 1, "has 3 axes"),
        (["small.arch:tiny", "--input", "picture=3x4x4"], 1, "no input called `picture`"),
        (["small.arch:free"], 1, "needs a value for `kind`"),
        (["small.arch:tiny", "--depth", "-1"], 2, "--depth"),
        (["small.arch:tiny", "--format", "xml"], 2, "--format"),
        ([], 2, "SPEC"),
        (["nosuch.arch"], 1, "does not exist"),
        (["inception_v4x"], 1, "no shipped network"),
    ],
)
def test_what_is_wrong(archdsl: Command, arguments: list[str], status: int, said: str) -> None:
    result = archdsl("count", *arguments)

    assert result.status == status
    assert said in result.error
    assert not result.out


@pytest.mark.parametrize("form", ["table", "csv", "markdown", "latex"])
def test_what_is_frozen_is_shown(archdsl: Command, golden: Golden, form: str) -> None:
    suffix = {"table": "txt", "csv": "csv", "markdown": "md", "latex": "tex"}[form]
    printed = archdsl.printed(
        "count", "small.arch:tiny", "--depth", "1", "--freeze", "stem", "--format", form
    )
    golden(GOLDEN / f"frozen.{suffix}", printed)


def test_frozen_networks_are_compared(archdsl: Command, golden: Golden) -> None:
    specs = ["small.arch:tiny", "small.arch:wide"]
    golden(GOLDEN / "frozen_comparison.txt", archdsl.printed("count", *specs, "--freeze", "stem"))


def test_a_pattern_that_means_nothing(archdsl: Command) -> None:
    status, _, said = archdsl("count", "small.arch:tiny", "--freeze", "steem.*")
    assert status == 1
    assert "error[E0608]: no parameter and no buffer is called `steem.*`" in said
    assert "stem.conv.weight" in said


def test_costs_that_can_not_be_written_down_are_refused(archdsl: Command, tmp_path: Path) -> None:
    path = tmp_path / "net.arch"
    path.write_text(
        "network pyramid {\n  input image: [1, H, W]\n  add {\n    for kernel in range(2, 300) {\n"
        "      branch { Conv2d(1, kernel, kernel) -> AdaptiveAvgPool2d(1) }\n    }\n  }\n}\n"
    )
    result = archdsl("count", str(path))

    assert result.status == 1
    assert result.error.startswith("error[E0708]: what `pyramid` costs depends on the free sizes")
    assert archdsl("count", str(path), "--input", "image=1x300x300").status == 0
