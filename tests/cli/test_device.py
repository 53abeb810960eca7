"""Least times in `count`, and `archdsl bench`, whose times colour pictures."""

from __future__ import annotations

import csv
import json
from io import StringIO
from pathlib import Path

import pytest
from running import Command

MINE = {"bandwidth": 1e9, "matrix": {"float32": 1e12}, "vector": {"float32": 1e11}}


def test_columns_and_totals_of_least_times(archdsl: Command) -> None:
    asked = ("count", "lenet5", "--device", "l4", "--batch", "4", "--dtype", "bfloat16")
    text = archdsl.printed(*asked)
    assert "Least time" in text
    assert "a bound and no forecast: NVIDIA L4 24 GB, batch of 4, bfloat16" in text
    data = json.loads(archdsl.printed(*asked, "--format", "json"))
    assert data["roofline"]["device"] == "l4"
    assert data["roofline"]["least_seconds"] == pytest.approx(
        sum(row["least_seconds"] for row in data["layers"])
    )
    rows = [*csv.DictReader(StringIO(archdsl.printed(*asked, "--format", "csv")))]
    assert [float(row["least_seconds"]) for row in rows] == [
        row["least_seconds"] for row in data["layers"]
    ]
    plain = json.loads(archdsl.printed("count", "lenet5", "--format", "json"))
    assert "roofline" not in plain
    assert "bound_by" not in plain["layers"][0]


def test_networks_are_compared_by_their_least_times(archdsl: Command) -> None:
    asked = ("count", "resnet18", "vgg11", "--device", "h200", "--sort", "least_seconds")
    lines = archdsl.printed(*asked, "--columns", "name,least_seconds,bound_by").splitlines()

    assert [line.split()[0] for line in lines[2:]] == ["resnet18", "vgg11"]
    assert archdsl.printed(*asked, "--where", 'bound_by == "nothing"').count("\n") == 2


def test_a_device_of_ones_own(archdsl: Command, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(MINE))

    text = archdsl.printed("count", "lenet5", "--device", path)

    assert f"{path}, batch of 1, float32" in text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--device", "h100-sx"], "did you mean `h100-sxm`"),
        (["--device", "nonsense"], "there are `h100-sxm`"),
        (["--device", "cpu:1"], "is not cpu:OPERATIONS:BYTES"),
        (["--device", "no.json"], "no.json does not exist"),
        (["--device", "l4", "--batch", "0"], "--batch"),
        (["--device", "l4", "--dtype", "float64"], "l4 has no peak for float64"),
        (["--batch", "2"], "--batch is of --device and --training"),
        (["--dtype", "float32"], "--dtype is of --device and --training"),
        (["--device", "l4", "--input", "image=1xHx32"], "sizes of its inputs are free"),
    ],
)
def test_nonsense_is_refused(options: list[str], said: str, archdsl: Command) -> None:
    result = archdsl("count", "lenet5", *options)

    assert result.status == 2, result
    assert said in result.error


@pytest.mark.parametrize(
    "text", ["", "[", "[1]", "{}", '{"matrix": {"float32": -1}}', "[" * 70_000]
)
def test_files_that_describe_no_device(text: str, archdsl: Command, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(text)

    result = archdsl("count", "lenet5", "--device", path)

    assert result.status == 2
    assert "Traceback" not in result.error


# --- measured ---------------------------------------------------------------------------------


def test_bench_measures_every_layer_and_colours_pictures(archdsl: Command, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    asked = ("bench", "lenet5", "--device", "cpu", "--rounds", "1", "--peaks", "cpu:1e12:1e11")
    data = json.loads(archdsl.printed(*asked, "--format", "json"))

    names = [row["name"] for row in data["layers"]]
    assert names == [row["name"] for row in json.loads(
        archdsl.printed("count", "lenet5", "--format", "json"))["layers"]]  # fmt: skip
    assert all(row["seconds"] > 0 for row in data["layers"])
    assert data["seconds"] == pytest.approx(sum(row["seconds"] for row in data["layers"]))
    times = tmp_path / "times.json"
    times.write_text(json.dumps(data))
    svg, page = tmp_path / "net.svg", tmp_path / "net.html"
    for path in (svg, page):
        archdsl.printed("draw", "lenet5", "--heat", "time", "--times", times, "-o", path)
    slowest = max(data["layers"], key=lambda row: row["seconds"])
    assert "s" in svg.read_text()
    written = page.read_text()
    assert f'"time":{round(slowest["seconds"] * 1e9)}' in written
    assert '"timed":true' in written


def test_bench_as_a_table(archdsl: Command) -> None:
    pytest.importorskip("torch")
    asked = ("bench", "lenet5", "--device", "cpu", "--rounds", "1", "--batch", "2")
    lines = archdsl.printed(*asked, "--sort", "time", "--top", "3").splitlines()
    assert lines[0] == "lenet5: batch of 2, float32, on cpu"
    assert len(lines) == 11
    assert "as measured here" in lines[-1]
    rows = [
        *csv.DictReader(StringIO(archdsl.printed(*asked, "--format", "csv", "--sort", "wasted")))
    ]
    wasted = [float(row["seconds"]) - float(row["least_seconds"]) for row in rows]
    assert wasted == sorted(wasted, reverse=True)


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (["bench", "lenet5", "--device", "cuda:99"], 1, "there is no device `cuda:99`"),
        (["bench", "lenet5", "--peaks", "h10"], 2, "there is no device `h10`"),
        (["bench", "lenet5", "--batch", "0"], 2, "--batch"),
        (["bench", "lenet5", "--rounds", "0"], 2, "--rounds"),
        (["bench", "resnet18", "--input", "image=3xHx224"], 2, "free"),
        (["draw", "lenet5", "--heat", "time", "-o", "-"], 2, "nothing is given"),
        (["draw", "lenet5", "--heat", "time", "--times", "small.arch", "-o", "-"], 2, "bench"),
        (["draw", "lenet5", "--times", "no.json", "-o", "-"], 2, "no.json does not exist"),
    ],
)
def test_what_can_t_be_measured_or_shown(
    options: list[str], status: int, said: str, archdsl: Command
) -> None:
    pytest.importorskip("torch")
    result = archdsl(*options)

    assert result.status == status, result
    assert said in result.error


def test_times_of_another_network_are_refused(archdsl: Command, tmp_path: Path) -> None:
    times = tmp_path / "times.json"
    times.write_text('{"layers": [{"name": "C1", "seconds": 1}]}')
    result = archdsl("draw", "resnet18", "--heat", "time", "--times", times, "-o", "-")
    assert result.status == 2
    assert "a layer `C1`, and `resnet18` has none of that name" in result.error
    for wrong in ("-1", '"x"', "1e99", "NaN", "null", "[]"):
        times.write_text(f'{{"layers": [{{"name": "C1", "seconds": {wrong}}}]}}')
        result = archdsl("draw", "lenet5", "--heat", "time", "--times", times, "-o", "-")
        assert result.status == 2, wrong


@pytest.mark.gpu
def test_bench_on_a_gpu(archdsl: Command) -> None:
    asked = ("bench", "resnet18", "--device", "cuda", "--batch", "8", "--dtype", "bfloat16")
    data = json.loads(archdsl.printed(*asked, "--format", "json"))

    assert data["seconds"] > data["least_seconds"]
