"""Least times: what layers move and compute, and which of both bounds them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import archdsl
from archdsl.analysis import devices
from archdsl.analysis.devices import BadDevice, Device, device, known, of_numbers
from archdsl.analysis.roofline import NoRoofline, roofline

VECTOR = {"float32": 10.0, "bfloat16": 10.0}
EVEN = Device("even", "even", 100.0, {"float32": 1e3, "bfloat16": 2e3}, VECTOR)
SPEC = """
network net {
  input image: [4, 8, 8]
  conv: Conv2d(16, 3, padding = 1)
  act: ReLU
  down: Conv2d(8, 1, stride = 2, bias = false)
  drop: Dropout(0.5)
  flat: Flatten
  fc: Linear(10)
}
"""


@pytest.fixture
def checked(tmp_path: Path) -> archdsl.Network:
    path = tmp_path / "net.arch"
    path.write_text(SPEC)
    return archdsl.load(path)


def test_what_moves_and_what_is_computed(checked: archdsl.Network) -> None:
    """Each worked out here by hand, for a batch of 2."""
    found = roofline(checked.checked, EVEN, batch=2).nodes
    image, wide, small = 4 * 8 * 8, 16 * 8 * 8, 8 * 4 * 4

    assert found["conv"].bytes == 4 * (2 * image + (4 * 9 * 16 + 16) + 2 * wide)
    assert found["conv"].operations == 2 * (2 * 4 * 9 * wide + wide)
    assert found["act"].bytes == 4 * 2 * (wide + wide)
    # every other place along two axes is not seen
    assert found["down"].bytes == 4 * (2 * wide // 4 + 16 * 8 + 2 * small)
    assert found["drop"].bytes == found["flat"].bytes == 0
    assert found["fc"].bytes == 4 * (2 * small + (small + 1) * 10 + 2 * 10)
    assert list(found) == ["conv", "act", "down", "drop", "flat", "fc"]
    for node in found.values():
        assert node.seconds >= node.bytes / 100
    act = found["act"]
    assert act.seconds == max(act.bytes / 100, act.operations / 10)
    assert (act.by, act.waiting) == ("compute", 0) or act.by == "memory"


def test_half_as_many_bytes_move_in_half_precision(checked: archdsl.Network) -> None:
    whole, half = (
        roofline(checked.checked, EVEN, 3, kind).total for kind in ("float32", "bfloat16")
    )

    assert whole.bytes == 2 * half.bytes
    assert whole.operations == half.operations


@pytest.mark.parametrize("name", ["resnet50", "inception_v3", "mobilenet_v2", "vit_b_16", "lenet5"])
def test_totals_are_sums_and_operations_those_of_the_count(name: str) -> None:
    checked = archdsl.load(name).checked
    report = archdsl.load(name).count().report
    for batch in (1, 8):
        found = roofline(checked, known()["a100"], batch)
        assert found.total.bytes == sum(each.bytes for each in found.nodes.values())
        assert found.total.seconds == pytest.approx(
            sum(each.seconds for each in found.nodes.values())
        )
        other = sum(each.inference for each in report.other.values())  # type: ignore[misc]
        # what all samples share is worked out once
        assert found.total.operations <= batch * (2 * report.macs.inference + other)  # type: ignore[operator]
        assert found.total.operations >= batch * 2 * report.macs.inference  # type: ignore[operator]
    # rows of folded blocks add up
    for depth in (None, 0, 1):
        from archdsl.counting import count

        rows = count(checked, depth, roofline=roofline(checked, known()["a100"])).rows
        whole = sum(row.bound.seconds for row in rows if row.bound)
        assert whole == pytest.approx(roofline(checked, known()["a100"]).total.seconds)


def test_a_table_that_is_looked_up_is_not_read_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "net.arch"
    path.write_text("network net { input tokens: [7]\n table: Embedding(50000, 16) }")
    found = roofline(archdsl.load(path).checked, EVEN).nodes["table"]

    assert found.bytes == 7 * 8 + 2 * 7 * 16 * 4  # indices of 8 bytes


def test_sizes_must_be_known() -> None:
    free = archdsl.load("resnet18", inputs={"image": [3, "H", "W"]}).checked
    with pytest.raises(NoRoofline, match="sizes of its inputs are free"):
        roofline(free, EVEN)
    with pytest.raises(NoRoofline, match="even has no peak for float64: it has some for float32"):
        roofline(archdsl.load("lenet5").checked, EVEN, dtype="float64")


# --- devices ----------------------------------------------------------------------------------


def test_every_figure_of_a_device_has_its_source() -> None:
    path = Path(devices.__file__).with_name("devices.json")
    data = json.loads(path.read_text())
    assert {*data} == {"about", "h100-sxm", "h200", "a100", "l4", "rtx4090"}
    for name, entry in data.items():
        if name == "about":
            continue
        figures = [entry["bandwidth"], *entry["matrix"].values(), *entry["vector"].values()]
        assert all(each["value"] > 1e9 and each["source"] for each in figures), name
        found = known()[name]
        assert found.bandwidth == entry["bandwidth"]["value"]
        assert {*found.matrix} <= {*found.vector} or name == "l4"
        # 16 bits are never slower than 32
        assert found.matrix["bfloat16"] >= found.matrix["float32"] >= found.vector["float32"] / 1.01


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([], "a device is an object"),
        ({}, "`matrix` has operations a second"),
        ({"bandwith": 1}, "has no `bandwith`"),
        ({"matrix": {"float32": 1}, "vector": {"float32": 1}}, "`bandwidth` is not a positive"),
        ({"matrix": {"float8": 1}}, "`matrix` has `float8`"),
        ({"matrix": {"float32": 0}}, "`matrix.float32` is not a positive number"),
        ({"matrix": {"float32": True}}, "`matrix.float32` is not a positive number"),
        ({"matrix": {"float32": {"value": "fast"}}}, "`matrix.float32` is not"),
        ({"matrix": {"float32": 1e999}}, "`matrix.float32` is not"),
        ({"matrix": {"float32": 1}, "vector": []}, "`vector` has operations"),
        ({"title": 3}, "`title` is a text"),
    ],
)
def test_what_is_no_device(data: object, said: str) -> None:
    with pytest.raises(BadDevice) as caught:
        device("mine", data)

    assert said in str(caught.value)


def test_a_device_of_two_numbers() -> None:
    found = of_numbers("cpu:2e12:80e9")

    assert (found.bandwidth, found.matrix["float32"], found.vector["float64"]) == (80e9, 2e12, 2e12)
    for text in (
        "cpu:",
        "cpu:1",
        "cpu:1:2:3",
        "cpu:a:b",
        "cpu:0:1",
        "cpu:1:-1",
        "cpu:nan:1",
        "cpu:inf:1",
    ):
        with pytest.raises(BadDevice):
            of_numbers(text)
