"""`archdsl sweep`: what it prints and writes, and how it goes on after it was stopped."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli.running import Command

GOLDEN = Path(__file__).parents[1] / "golden" / "variants"
WIDTHS = ("sweep", "net.arch", "-p", "width=4,8", "-p", "depth=0..5 by 5")


def read(name: str) -> list[dict[str, str]]:
    return [*csv.DictReader(Path(name).read_text().splitlines())]


def test_a_table_is_printed(archdsl: Command, golden: Callable[[Path, str], None]) -> None:
    result = archdsl(*WIDTHS, "-p", "act=relu", "--sort=-parameters")

    assert result.status == 0
    golden(GOLDEN / "table.txt", f"{result.out}{result.error}")


@pytest.mark.parametrize("form", ["csv", "json", "md"])
def test_files(form: str, archdsl: Command, golden: Callable[[Path, str], None]) -> None:
    archdsl(*WIDTHS, "-p", "unit=Plain,Grouped(groups = 2)", "-o", f"out.{form}")

    golden(GOLDEN / f"sweep.{form}", Path(f"out.{form}").read_text())
    assert sorted(os.listdir()) == ["net.arch", f"out.{form}"]
    # the result of a sweep may be written again, and nothing else
    assert archdsl(*WIDTHS, "-p", "unit=Plain,Grouped(groups = 2)", "-o", f"out.{form}").status == 0
    Path(f"out.{form}").write_text("mine")
    refused = archdsl(*WIDTHS, "-o", f"out.{form}")
    assert refused.status == 2
    assert "--force" in refused.error
    assert Path(f"out.{form}").read_text() == "mine"


def test_parquet_has_the_same_rows(archdsl: Command) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    asked = (*WIDTHS, "-p", "kernels=[1],[3,3]")
    archdsl(*asked, "-o", "out.parquet")
    archdsl(*asked, "-o", "out.json")

    rows = parquet.read_table("out.parquet").to_pylist()

    expected = json.loads(Path("out.json").read_text())["rows"]
    for row in expected:
        row["kernels"] = str(row["kernels"])
    assert rows == expected
    assert archdsl(*asked, "-o", "out.parquet").status == 0


def test_parquet_without_pyarrow_is_refused_before_anything_is_counted(
    archdsl: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    result = archdsl(*WIDTHS, "-o", "out.parquet")

    assert result.status == 2
    assert "pip install 'archdsl[parquet]'" in result.error
    assert os.listdir() == ["net.arch"]


def test_sorted_and_the_first(archdsl: Command) -> None:
    def column(name: str, *options: str) -> list[str]:
        archdsl("sweep", "net.arch", "-p", "width=4..12 by 4", "-p", "depth=1..7 by 3",
                "-o", "out.csv", *options)  # fmt: skip
        return [row[name] for row in read("out.csv")]

    assert column("width") == ["4", "4", "4", "8", "8", "8", "12", "12", "12"]
    assert column("width", "--sort=-width,depth")[:4] == ["12", "12", "12", "8"]
    # what failed (depth 7) comes last, and is none of the first
    assert column("depth", "--sort=-macs")[-3:] == ["7", "7", "7"]
    assert len(column("depth", "--sort=-macs", "--top", "8")) == 6
    assert [*map(int, column("macs", "--sort", "macs_inference", "--top", "2"))] == sorted(
        map(int, column("macs", "--sort", "macs", "--top", "2"))
    )
    macs = [*map(int, column("macs", "--pareto", "macs,-width"))]
    assert len(macs) == 3


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (["-p", "width=1.."], 2, "has the range `1..` without an end"),
        (["-p", "width"], 2, "is not NAME=VALUE"),
        (["-p", "width=1", "-p", "width=2"], 2, "is given twice"),
        (["-p", "width=1", "-p", "width =2"], 2, "is given twice"),
        (["-p", "widht=1"], 1, "did you mean `width`?"),
        (["-p", "width=foo"], 1, "no value called `foo`"),
        (["-p", "width=1..1000000", "-p", "depth=1..1000000"], 2, "= 1,000,000,000,000 variants"),
        (["-p", "width=1,2", "--where", "paramters < 5"], 1, "parameter or figure called"),
        (["-p", "width=1,2", "--where", "width"], 1, "a condition must be true or false"),
        (["-p", "width=1,2", "--where", ""], 2, "--where: it is empty"),
        (["-p", "width=1,2", "--sort", "mecs"], 2, "--sort names `mecs`"),
        (["-p", "width=1,2", "--pareto", ""], 2, "--pareto is empty"),
        (["-p", "width=1,2", "--pareto", "macs,"], 2, "--pareto lacks a name in `macs,`"),
        (["-p", "width=1,2", "--pareto", "macs", "--pareto", "peak"], 2, "--pareto: it is given"),
        (["-p", "width=1,2", "--sort", "macs", "--sort", "peak"], 2, "--sort: it is given twice"),
        (["-p", "width=1,2", "--pareto", "macs,error"], 2, "--pareto names `error`"),
        (["-p", "width=1,2", "-o", "out.xls"], 2, "ends in none of .csv, .json"),
        (["-p", "width=1,2", "-o", "-"], 2, "ends in none of"),
        (["-p", "width=1,2", "-o", "no/out.csv"], 2, "no such file"),
        (["-p", "width=1,2", "--jobs", "0"], 2, "--jobs"),
        (["-p", "width=1,2", "--random", "0"], 2, "--random"),
        (["-p", "width=1,2", "--top", "0"], 2, "--top"),
        (["-p", "width=-1,-2"], 1, "2 of 2 variants failed, the first with E0404"),
        ([], 2, "a sweep needs a parameter with its values"),
        (["-p", "width=1,2", "--scheduler", "tcp://localhost:1"], 2, "no Dask scheduler answers"),
    ],
)
def test_what_makes_no_sense(options: list[str], status: int, said: str, archdsl: Command) -> None:
    if "--scheduler" in options:
        pytest.importorskip("distributed")

    result = archdsl("sweep", "net.arch", *options)

    assert result.status == status, result
    assert said in result.error
    assert "Traceback" not in result.error
    assert os.listdir() == ["net.arch"]


def test_of_several_conditions_all_hold(archdsl: Command) -> None:
    wide = ["--where", "width > 2"]
    small = ["--where", "macs < 6e4 or false"]
    found = [
        archdsl.printed("sweep", "net.arch", "-p", "width=1..6", "-p", "depth=0,1", *options)
        for options in (
            ["--where", "width > 2 and (macs < 6e4 or false)"],
            [*wide, *small],
            [*small, *wide],
        )
    ]
    widths = [*range(3, 7)]

    assert found[0] == found[1] == found[2]
    assert len(widths) <= len(found[0].splitlines()[2:]) < 2 * len(widths)


def test_a_sample_that_can_t_be_filled_says_so(archdsl: Command) -> None:
    result = archdsl("sweep", "net.arch", "-p", "width=1..100", "--random", "9",
                     "--where", "width % 25 == 0")  # fmt: skip

    assert result.status == 0
    assert "4 variants were found, and not 9: of 100 that were drawn no others" in result.error


# --- going on ---------------------------------------------------------------------------------

LONG = ("sweep", "net.arch", "-p", "width=1..12", "-p", "depth=0..5", "-o", "out.csv")


def stopped(archdsl: Command, after: int) -> bytes:
    """Count as far as so many variants, and return what the whole result is."""
    from archdsl.variants import sweep

    archdsl(*LONG)
    whole = Path("out.csv").read_bytes()
    Path("out.csv").unlink()
    real = sweep.outcomes

    def some(*asked: Any) -> Any:
        for number, part in enumerate(real(*asked)):
            if number == after:
                raise KeyboardInterrupt
            yield part

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep, "outcomes", some)
        result = archdsl(*LONG)
    assert result.status == 130
    assert f"stopped after {after} of 72 variants, which are in out.csv.unfinished" in result.error
    assert sorted(os.listdir()) == ["net.arch", "out.csv.unfinished"]
    return whole


def test_the_same_command_goes_on(archdsl: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from archdsl.variants import plan

    whole = stopped(archdsl, 30)
    counted: list[int] = []
    real = plan.Counting.outcome
    monkeypatch.setattr(
        plan.Counting, "outcome", lambda self, number: counted.append(number) or real(self, number)
    )

    result = archdsl(*LONG)

    assert "going on after 30 of 72 variants" in result.error
    assert counted == [*range(30, 72)]
    assert Path("out.csv").read_bytes() == whole
    assert sorted(os.listdir()) == ["net.arch", "out.csv"]


def test_a_line_that_was_cut_off_is_done_again(archdsl: Command) -> None:
    whole = stopped(archdsl, 30)
    journal = Path("out.csv.unfinished")
    for cut in (1, 20, 60):
        content = journal.read_bytes()
        journal.write_bytes(content[:-cut])
    lines = journal.read_bytes().count(b"\n") - 1

    result = archdsl(*LONG)

    assert f"going on after {lines} of 72" in result.error
    assert Path("out.csv").read_bytes() == whole


def test_other_conditions_and_orders_go_on_with_the_same_rows(archdsl: Command) -> None:
    stopped(archdsl, 30)

    result = archdsl(*LONG, "--where", "width > 3 and macs > 0", "--sort=-macs")

    assert "going on after 12 of 54 variants" in result.error
    rows = read("out.csv")
    assert {int(row["width"]) for row in rows} == {*range(4, 13)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda: changed("net.arch", "Linear(10)", "Linear(9)"), "another text of the spec"),
        (lambda: ["-p", "act=tanh"], "other parameters or values"),
        (lambda: ["--input", "image=3x32x32"], "other shapes of inputs"),
        (lambda: ["--limit", "layers=100"], "other limits"),
        (lambda: journal_with('"version": "', '"version": "9'), "another version of archdsl"),
        (lambda: journal_with('"network": "n', '"network": "m'), "another network"),
        (lambda: Path("out.csv.unfinished").write_text("mine\n"), "is not what a sweep left there"),
        (lambda: Path("out.csv.unfinished").write_bytes(b"\xff\x00\n"), "is not what a sweep left"),
        (lambda: journal_with("[4, [", "[999, ["), "is damaged in line 6"),
        (lambda: journal_with("[4, [", "[4, [1, "), "is damaged in line 6"),
        (lambda: journal_with("[4, [", "4, ["), "is damaged in line 6"),
        (lambda: journal_with("[4, [", "[4.5, ["), "is damaged in line 6"),
    ],
)  # fmt: skip
def test_rows_of_another_sweep_are_never_mixed_with_it(
    change: Callable[[], Any], said: str, archdsl: Command
) -> None:
    stopped(archdsl, 30)
    more = change()
    options = more if isinstance(more, list) else []
    before = Path("out.csv.unfinished").read_bytes()

    result = archdsl(*LONG, *options)

    assert result.status == 2
    assert said in result.error
    assert "--force" in result.error
    assert Path("out.csv.unfinished").read_bytes() == before
    result = archdsl(*LONG, *options, "--force")
    assert result.status == 0
    assert "going on" not in result.error
    archdsl(*LONG, *options, "-o", "again.csv")
    assert Path("out.csv").read_bytes() == Path("again.csv").read_bytes()


def journal_with(old: str, new: str) -> None:
    changed("out.csv.unfinished", old, new)


def changed(name: str, old: str, new: str) -> None:
    text = Path(name).read_text()
    assert old in text
    Path(name).write_text(text.replace(old, new, 1))


def test_two_at_once_are_refused(archdsl: Command) -> None:
    from archdsl.output import Journal

    held = Journal("out.csv.unfinished")
    try:
        result = archdsl(*LONG)
    finally:
        held.remove()

    assert result.status == 2
    assert "another process writes to it" in result.error


@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_keeps_what_is_done(jobs: int, tmp_path: Path, archdsl: Command) -> None:
    command = [sys.executable, "-m", "archdsl", "sweep", "net.arch", "--jobs", str(jobs),
               "-p", "width=1..20000", "-o", "out.csv"]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    journal = Path("out.csv.unfinished")
    while not journal.exists() or journal.read_bytes().count(b"\n") < 50:
        time.sleep(0.02)
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it: to all at once
    _, said = process.communicate(timeout=60)

    assert process.returncode == 130, said
    assert "Traceback" not in said
    done = journal.read_bytes().count(b"\n") - 1
    found = re.search(r"stopped after ([\d,]+) of 20,000", said)
    assert found is not None
    assert int(found[1].replace(",", "")) == done >= 49


def test_on_a_terminal_a_bar_shows_how_far_it_is(
    archdsl: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)

    result = archdsl(*LONG)

    assert re.search(r"\[#{20}\] 72 of 72 variants, [\d,]+ a second, 0 s left", result.error)
    assert "\x1b[K" in result.error


def test_without_a_file_ctrl_c_prints_what_is_done(
    archdsl: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from archdsl.variants import sweep

    real = sweep.outcomes

    def two(*asked: Any) -> Any:
        parts = real(*asked)
        yield next(parts)
        yield next(parts)
        raise KeyboardInterrupt

    monkeypatch.setattr(sweep, "outcomes", two)

    result = archdsl("sweep", "net.arch", "-p", "width=1..9")

    assert result.status == 130
    assert len(result.out.splitlines()) == 4
    assert "stopped after 2 of 9 variants; with -o FILE" in result.error
