"""archdsl draw: where a picture goes, in what format, and what is said when it can't be drawn."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from xml.etree import ElementTree

import pytest
from running import SMALL, Command

from archdsl.backends.diagram.dot import engines

MAGIC = {
    "svg": b"<?xml",
    "png": b"\x89PNG",
    "dot": b'digraph "tiny" {',
    "html": b"<!doctype html>",
    "mmd": b"%% tiny: ",
    "tex": b"% tiny: ",
}


@pytest.fixture
def draw(archdsl: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.chdir(tmp_path)
    return archdsl


def test_without_a_name_it_is_svg_and_says_where(draw: Command, tmp_path: Path) -> None:
    assert draw.printed("draw", f"{SMALL}:tiny") == "wrote tiny.svg\n"
    assert (tmp_path / "tiny.svg").read_bytes().startswith(MAGIC["svg"])
    assert draw.printed("draw", f"{SMALL}:tiny", "--format", "mmd") == "wrote tiny.mmd\n"


@pytest.mark.parametrize("ending", MAGIC)
def test_the_ending_chooses_the_format(draw: Command, tmp_path: Path, ending: str) -> None:
    for name in (f"net.{ending}", f"NET.{ending.upper()}"):
        assert draw.printed("draw", f"{SMALL}:tiny", "-o", name) == f"wrote {name}\n"
        assert (tmp_path / name).read_bytes().lower().startswith(MAGIC[ending].lower())


def test_the_format_given_counts_more_than_the_ending(draw: Command, tmp_path: Path) -> None:
    draw.printed("draw", f"{SMALL}:tiny", "-o", "net.txt", "--format", "dot")

    assert (tmp_path / "net.txt").read_bytes().startswith(MAGIC["dot"])


@pytest.mark.parametrize("format", MAGIC)
def test_a_hyphen_is_standard_output(tmp_path: Path, format: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "archdsl", "draw", f"{SMALL}:tiny", "-o", "-", "--format", format],
        cwd=tmp_path,
        capture_output=True,
    )

    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.lower().startswith(MAGIC[format].lower())
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-o", "net.gif"], "`format` is one of"),
        (["--engine", "magick"], "`engine` is one of"),
        (["--engine", "graphviz-pure", "-o", "net.pdf"], "`graphviz-pure` cannot draw pdf"),
        (["--unfold", "bod"], "did you mean `body`"),
        (["--heat", "colour"], "is not one of 'macs', 'parameters', 'memory'"),
        (["--direction", "BT"], "is not one of 'TB', 'LR'"),
        (["--depth", "-1"], "is not in the range"),
        (["-o", "no/such/folder/net.svg"], "no such file or directory"),
    ],
)
def test_wrong_options_are_wrong_usage(
    draw: Command, tmp_path: Path, options: list[str], said: str
) -> None:
    result = draw("draw", f"{SMALL}:tiny", *options)

    assert (result.status, result.out) == (2, "")
    assert said in result.error
    assert not os.listdir(tmp_path)


def test_an_engine_that_is_missing_says_what_to_install(
    draw: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "ENGINES", dict.fromkeys(engines.ENGINES, lambda: None))
    for engine, install in (
        ("graphviz-pure", "`pip install graphviz-pure`"),
        ("dot", "apt-get install graphviz"),
        ("pygraphviz", "`pip install 'archdsl[pdf]'`"),
    ):
        result = draw("draw", f"{SMALL}:tiny", "--engine", engine)
        assert result.status == 2
        assert f"`{engine}` is not installed" in result.error
        assert install in result.error


def test_a_wrong_spec_is_no_wrong_usage(draw: Command, tmp_path: Path) -> None:
    (tmp_path / "wrong.arch").write_text("network wrong { input x: [3]\n Nosuch }")

    assert draw("draw", "wrong.arch").status == 1


# What means something to DOT, SVG, HTML, Mermaid, TeX, terminals or readers.
NASTY = {
    "quotes": "a\"b'c`d",
    "element": "<b>x</b></script><script>alert(1)</script>",
    "entity": "&lt; &amp; &#60;",
    "link": "javascript:alert(1)",
    "lines": "one\ntwo\n\nthree",
    "backwards": "abc\u202edef\u2066ghi",
    "long": "long" * 2_500,
    "chinese": "卷积网络",
    "tex": r"\input{/etc/passwd} $x_1$ 100% #1 ~^",
    "dot": '\\" ]; evil -> node [label="\\N',
    "mermaid": '"] --> evil["end subgraph click b0 href',
}


def quoted(text: str) -> str:
    """Write a string of the language, without holes."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


@pytest.mark.parametrize("format", [*MAGIC, "pdf"])
@pytest.mark.parametrize("nasty", NASTY)
def test_text_from_a_spec_is_text(draw: Command, tmp_path: Path, nasty: str, format: str) -> None:
    (tmp_path / "n.arch").write_text(
        f"network n {{\n  {quoted(NASTY[nasty])}\n  input x: [3, 8, 8]\n  Conv2d(2, 1)\n}}\n",
        encoding="utf-8",
    )
    if format == "pdf" and not (which("dot") or find_spec("pygraphviz")):
        pytest.skip("PDF needs Graphviz' `dot` or pygraphviz")
    result = draw("draw", "n.arch", "-o", f"n.{format}", "--limit", "string=10000")
    if engines.FONTLESS in result.error:
        pytest.skip(f"{engines.FONTLESS} (apt-get install fonts-liberation)")
    assert (result.status, result.error) == (0, "")
    made = (tmp_path / f"n.{format}").read_bytes()
    if format in ("png", "pdf"):
        return
    text = made.decode()

    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", text)
    assert len(text) < 200_000
    assert text.count("<script") == (2 if format == "html" else 0)
    if format == "svg":
        assert not re.search(r"<[^>]*\s(href|src|on\w+)\s*=", text.replace("xlink", ""))
        said = "".join(ElementTree.fromstring(made).itertext()).replace("\xa0", " ")
        start = NASTY[nasty].split("\n")[0].split("\u202e")[0][:40]
        assert "".join(start.split()) in "".join(said.split())
