"""`archdsl count --where --sort --columns`: which rows and columns of a count are shown."""

from __future__ import annotations

import csv
import json
import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from cli.running import Command

SEVERAL = ("count", "resnet18", "resnet50", "mobilenet_v2", "vgg11")


def table(text: str) -> list[dict[str, str]]:
    return [*csv.DictReader(StringIO(text))]


def test_networks_are_chosen_and_sorted(archdsl: Command) -> None:
    def names(*options: str) -> list[str]:
        return [
            row["network"] for row in table(archdsl.printed(*SEVERAL, "--format", "csv", *options))
        ]

    assert names("--sort=-macs") == ["vgg11", "resnet50", "resnet18", "mobilenet_v2"]
    assert names("--sort", "name") == ["mobilenet_v2", "resnet18", "resnet50", "vgg11"]
    assert names("--where", "macs < 4e9 and depth < 50") == ["resnet18"]
    assert names("--where", "macs_inference < 4e9 or name == \"vgg11\"") == [
        "resnet18", "mobilenet_v2", "vgg11"
    ]  # fmt: skip
    assert names("--where", "memory < 1") == []


def test_columns_of_networks(archdsl: Command) -> None:
    asked = "name,parameters,macs,memory,parameters %"
    text = archdsl.printed(*SEVERAL, "--columns", asked, "--sort", "macs", "--where", "depth > 17")
    lines = text.splitlines()

    assert lines[0].split("  ")[0] == "network"
    assert lines[0].split() == [
        "network", "parameters", "macs", "memory", "parameters", "%"
    ]  # fmt: skip
    assert [line.split()[0] for line in lines[2:]] == ["mobilenet_v2", "resnet18", "resnet50"]
    # of the first that is named, whichever come first in the end
    assert [line.split()[-1] for line in lines[2:]] == ["30.0", "100.0", "218.6"]


def test_one_of_several_stays_a_comparison(archdsl: Command) -> None:
    text = archdsl.printed(*SEVERAL, "--where", "depth == 18")
    assert text.startswith("network")
    data = json.loads(archdsl.printed(*SEVERAL, "--where", "depth == 18", "--format", "json"))
    assert [one["network"] for one in data] == ["resnet18"]


def test_layers_are_chosen_and_sorted(archdsl: Command) -> None:
    def rows(*options: str) -> list[dict[str, str]]:
        return table(archdsl.printed("count", "lenet5", "--format", "csv", *options))

    every = rows()
    convolutions = rows("--where", 'type == "Conv2d"', "--sort=-parameters")
    assert [row["name"] for row in convolutions] == ["C5", "C3", "C1"]
    assert convolutions == sorted(
        (row for row in every if row["type"] == "Conv2d"), key=lambda row: -int(row["parameters"])
    )
    shares = rows("--columns", "name,macs %,parameters %")
    for figure in ("macs", "parameters"):
        parts = [float(row[f"{figure} %"]) for row in shares]
        whole = sum(int(row[figure]) for row in every)
        assert sum(parts) == pytest.approx(100, abs=0.01)
        for part, row in zip(parts, every, strict=True):
            assert part == pytest.approx(100 * int(row[figure]) / whole, abs=1e-4)
    assert "total" in archdsl.printed("count", "lenet5", "--columns", "name,macs,macs %")
    assert archdsl.printed("count", "lenet5", "--columns", "macs,name")


def test_shares_of_free_sizes_are_not_known(archdsl: Command) -> None:
    text = archdsl.printed(
        "count", "resnet18", "--input", "image=3xHxW", "--columns", "name,macs %,parameters %",
        "--format", "csv", "--depth", "1",
    )  # fmt: skip
    rows = table(text)
    assert {row["macs %"] for row in rows} == {""}
    assert sum(float(row["parameters %"]) for row in rows) == pytest.approx(100, abs=0.01)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--columns", "nme"), "did you mean `name`?"),
        (("--columns", ""), "--columns is empty"),
        (("--columns", "name,,macs"), "--columns lacks a name in `name,,macs`"),
        (("--sort", "-"), "--sort lacks a name in `-`"),
        (("--sort", "macs", "--sort", "name"), "--sort: it is given twice"),
        (("--columns", "macs", "--columns", "name"), "--columns: it is given twice"),
        (("--where", "macs > 1", "--where", "mcs < 4"), "did you mean `macs`"),
        (("--where", "macs > 1", "--where", ""), "--where: it is empty"),
        (("--columns", "type %"), "has no share"),
        (("--columns", "name", "--format", "json"), "--columns can't be given with --format json"),
        (("--columns", "name", "--explain"), "--columns can't be given with --explain"),
        (("--sort", "mcs"), "did you mean `macs`?"),
        (("--where", "mcs < 4"), "did you mean `macs`"),
        (("--where", "macs"), "must be true or false"),
        (("--where", "macs + 1"), "is no condition"),
        (("--where", "name < 3"), "name"),
        (("--where", "in.channels < 4"), "can't ask for tensors"),
    ],
)
def test_nonsense_is_refused(options: tuple[str, ...], said: str, archdsl: Command) -> None:
    result = archdsl("count", "lenet5", *options)

    assert result.status == 2, result
    assert said in result.error
    assert result.out == ""


def test_of_several_conditions_all_hold(archdsl: Command) -> None:
    def names(*options: str) -> list[str]:
        return archdsl.printed(
            "count", "lenet5", *options, "--columns", "name", "--format", "csv"
        ).split()[1:]

    both = names("--where", "macs > 0 and parameters < 3000")
    assert both
    assert both == names("--where", "macs > 0", "--where", "parameters < 3000")
    # each is a condition of its own: `or` in one leaves the other as it is
    assert both == names("--where", "macs > 0 or false", "--where", "parameters < 3000")
    assert both == names("--where", "parameters < 3000", "--where", "macs > 0 or false")


@pytest.mark.parametrize("where", ["false", "1 > 2", "not true", "macs > 1 and false"])
def test_conditions_that_name_no_figure_count_as_well(archdsl: Command, where: str) -> None:
    text = archdsl.printed(
        "count", "lenet5", "--where", where, "--columns", "name", "--format", "csv"
    )
    assert text.split() == ["name"]


FREE = """
network f(width: int = 8) {
  input image: [3, H, W]
  Conv2d(width, 3, padding = 1) -> ReLU -> Conv2d(4, 3)
}
network g = f(16)
"""


def test_free_sizes_sort_and_are_refused_where_they_decide(
    archdsl: Command, tmp_path: Path
) -> None:
    path = tmp_path / "f.arch"
    path.write_text(FREE)

    def names(*given: str) -> list[str]:
        printed = archdsl.printed("count", *given, "--format", "csv")
        return [next(iter(row.values())) for row in table(printed)]

    assert names(f"{path}:f", "--sort=-macs") == ["2", "0", "1"]
    assert names(f"{path}:f", "--sort", "other") == ["2", "0", "1"]
    assert names(f"{path}:f", f"{path}:g", "--sort=-macs") == ["g", "f"]
    assert names(f"{path}:f", "--where", "parameters > 250") == ["2"]
    error = archdsl("count", f"{path}:f", "--where", "macs > 1e6").error
    assert "depends on a free size" in error
    assert "give `H` and `W` a value, as in --input image=3x224x224" in error


def test_every_column_can_be_asked_for(archdsl: Command) -> None:
    """With a training step its columns as well; shapes are lists."""
    head = archdsl.printed("count", "lenet5", "--training", "--format", "csv").splitlines()[0]
    for name in head.split(","):
        assert archdsl.printed("count", "lenet5", "--training", "--columns", f"name,{name}")
        if name != "output":
            where = f"{name} == {name}"
            assert archdsl.printed("count", "lenet5", "--training", "--where", where)

    def names(*options: str) -> list[str]:
        printed = archdsl.printed("count", "lenet5", "--format", "csv", *options)
        return [row["name"] for row in table(printed)]

    assert names("--where", "stride == [2, 2]") == ["S2", "3", "C3", "5"]
    assert names("--where", "output_shape[0] == 120 and macs > 0") == ["C5"]
    for word, meant in (("output", "output_shape"), ("input", "inputs")):
        given = archdsl("count", "lenet5", "--where", f"{word}[0] == 120")
        assert given.status
        assert f"`{word}` is a word of the language: write `{meant}`" in given.error
    assert (
        "did you mean `output_shape`?"
        in archdsl("count", "lenet5", "--where", "output_shap[0] == 1").error
    )
    assert archdsl.printed("count", "lenet5", "--columns", "name,output_shape") == archdsl.printed(
        "count", "lenet5", "--columns", "name,output"
    )
    assert names("--training", "--where", "kept > 2e4", "--sort=-kept") == ["C3", "S2"]
    assert "lists have no order" in archdsl("count", "lenet5", "--sort", "stride").error


def test_names_of_sizes_may_have_an_x(archdsl: Command) -> None:
    text = archdsl.printed("count", "lenet5", "--input", "image=1,xmax,W", "--columns", "output")
    assert "xmax" in text
    assert "x H x W" in archdsl.printed("count", "lenet5", "--input", "image=1xHxW")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"where": 5}, "`where` must be a condition as a text"),
        ({"random": "ten"}, "`random` must be a number of variants, not 'ten'"),
        ({"jobs": None}, "`jobs` must be a number of processes, not None"),
        ({"seed": 0.5}, "`seed` must be an integer, not 0.5"),
    ],
)
def test_arguments_of_a_sweep(given: dict[str, Any], said: str) -> None:
    from archdsl import ArchError, sweep

    with pytest.raises(ArchError, match=re.escape(said)):
        sweep("lenet5", classes=[3], **given)
    assert [row["classes"] for row in sweep("lenet5", classes=[3, 4], where=None)] == [3, 4]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["count", "lenet5", "--where", ""], "--where: it is empty"),
        (["sweep", "lenet5", "-p", "classes=2,3", "--where", " "], "--where: it is empty"),
        (["count", "lenet5", "--device", "cpu:1e400:1"], "that is not positive and finite"),
        *(
            (["sweep", "lenet5", "-p", "classes=2,3", "--scheduler", address], "no address of a")
            for address in (
                "nowhere",
                "tcp://nowhere",
                "tcp://a:port",
                "192.168.0.7",
                ":1",
                "a b:1",
            )
        ),
    ],
)
def test_nonsense_is_refused_in_a_sentence(command: list[str], said: str, archdsl: Command) -> None:
    result = archdsl(*command)

    assert (result.status, result.out) == (2, "")
    assert said in result.error
