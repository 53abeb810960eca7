"""Every wrong spec of this folder against the text that must be printed for it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from archdsl.cli.main import run
from archdsl.error_index import every_kind, index

HERE = Path(__file__).parent
TESTS = HERE.parent
SPECS = sorted(HERE.glob("*.arch"))
USAGE = {
    "E0705_unfold",
    "E0801_range",
}  # where nothing is wrong with the spec, but with the command


def arguments(spec: Path) -> list[str]:
    """Return the command for a spec: what its first line says, else `archdsl check`."""
    first = spec.read_bytes().split(b"\n")[0].decode("utf-8", "replace")
    if first.startswith("# archdsl "):
        return shlex.split(first)[2:]
    return ["check", spec.name]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.stem)
def test_message(
    spec: Path,
    golden: Callable[[Path, str], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(HERE)

    assert run(arguments(spec)) == (2 if spec.stem in USAGE else 1)
    said = capsys.readouterr()
    assert said.out == ""
    golden(spec.with_suffix(".txt"), said.err)


CHECKED = [spec for spec in SPECS if arguments(spec)[0] == "check"]


@pytest.mark.parametrize("spec", CHECKED, ids=lambda spec: spec.stem)
def test_json_says_the_same(
    spec: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(HERE)

    assert run([*arguments(spec), "--format", "json"]) == 1
    said = capsys.readouterr()
    assert said.err == ""
    text = spec.with_suffix(".txt").read_text(encoding="utf-8")
    found = json.loads(said.out)
    heads = [f"error[{one['code']}]: {one['message']}" for one in found]
    assert heads == [line for line in text.split("\n") if line.startswith("error[")]
    for one in found:
        if one["file"] is not None:
            assert f"--> {one['file']}:{one['line']}:{one['column']}\n" in text
        for label in one["labels"]:
            assert label["text"] in text
        for tail in (*one["notes"], one["help"]):
            assert f"{tail}\n" in text
    tails = re.findall(r"^ +(?:\|)?\s*= (?:note|help): ", text, re.MULTILINE)
    assert sum(len(one["notes"]) + bool(one["help"]) for one in found) == len(tails)


def test_file_is_named_after_a_code_that_it_gives() -> None:
    for spec in SPECS:
        code, _, reason = spec.stem.partition("_")
        if code.startswith("E0"):
            assert f"error[{code}]" in spec.with_suffix(".txt").read_text(encoding="utf-8")
            assert reason


def test_every_kind_of_error_has_a_code_of_its_own_and_a_test() -> None:
    pytest.importorskip("torch")  # some kinds are made where modules are
    codes = [kind.code for kind in every_kind()]
    assert len(codes) == len(set(codes))
    shown = "".join(file.read_text(encoding="utf-8") for file in HERE.glob("*.txt"))
    assert [code for code in codes if f"error[{code}]" not in shown] == []


def test_no_text_is_left_over() -> None:
    others = re.findall(r'"(E0\w+)": ', (HERE / "test_made.py").read_text(encoding="utf-8"))
    texts = {file.stem for file in HERE.glob("*.txt")}
    assert texts == {spec.stem for spec in SPECS} | set(others)


def test_error_index_is_up_to_date(golden: Callable[[Path, str], None]) -> None:
    pytest.importorskip("torch")  # some kinds are made where modules are
    golden(TESTS.parent / "docs" / "errors.md", index(HERE))
