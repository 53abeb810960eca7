"""The library is as safe as the command: no state between calls, threads allowed."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import archdsl
from archdsl import ArchError
from archdsl.pipeline import Spec

BROKEN = """\
let bad = 1 // 0
fn fun(x = bad) = x
block Q = Linear(bad)
network a(x = bad) { input i: [3]; ReLU }
network b { input i: [3, bad]; ReLU }
network c { input i: [3]; Q }
network d { input i: [3]; Linear(fun()) }
network e = a(bad)
network f { input i: [3]; for n in [bad] { ReLU } }
network g { input i: [3]; if bad { ReLU } }
network h { input i: [bad]; Linear(3) }
"""


def test_each_network_finds_what_is_wrong_anew(tmp_path: Path) -> None:
    """A value that could not be worked out for one network is reported for the next as well."""
    path = tmp_path / "broken.arch"
    path.write_text(BROKEN)
    spec = Spec(str(path))

    for _ in range(2):
        for name in spec.networks:
            with pytest.raises(ArchError, match="this divides by zero"):
                spec.graph(name)


def test_threads_do_not_disturb_each_other() -> None:
    names = ["lenet5", "inception_v3", "resnet:resnet18"] * 2
    specs = [name if ":" not in name else name.split(":")[1] for name in names]
    expected = {spec: archdsl.load(spec).count().render("json") for spec in set(specs)}

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda spec: archdsl.load(spec).count().render("json"), specs))

    assert found == [expected[spec] for spec in specs]


def test_nothing_of_the_process_is_changed(tmp_path: Path) -> None:
    before = sys.getrecursionlimit(), os.getcwd(), dict(os.environ), os.umask(0o022)
    path = tmp_path / "broken.arch"
    path.write_text(BROKEN)

    archdsl.load("lenet5").count()
    with pytest.raises(ArchError):
        archdsl.load(str(path))

    assert (sys.getrecursionlimit(), os.getcwd(), dict(os.environ)) == before[:3]
    assert os.umask(before[3]) == 0o022


def test_a_path_may_be_a_path(tmp_path: Path) -> None:
    path = tmp_path / "n.arch"
    path.write_text("network n {\n  input x: [3]\n  ReLU\n}\n")

    assert archdsl.load(path).name == "n"


def test_errors_can_be_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "broken.arch"
    path.write_text(BROKEN)

    with pytest.raises(ArchError) as caught:
        archdsl.load(str(path))
    (found,) = caught.value.diagnostics
    assert found.span is not None
    assert (found.code, found.span.line, found.span.column) == ("E0401", 1, 11)
    assert found == found
    assert len({found, found}) == 1
    assert "BadValue(" in repr(found)
    with pytest.raises(AttributeError, match="never changes"):
        found.span = None  # type: ignore[misc]


def test_threads_share_what_was_worked_out_for_a_file() -> None:
    network = archdsl.load("resnet50")
    expected = {n: network.with_parameters(classes=n).count().parameters for n in range(2, 40)}

    def counted(classes: int) -> object:
        other = archdsl.load("resnet50", classes=classes) if classes % 2 else network
        return other.with_parameters(classes=classes).count().parameters

    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            assert dict(zip(expected, pool.map(counted, expected), strict=True)) == expected
