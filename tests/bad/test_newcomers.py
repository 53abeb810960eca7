"""Mistakes that people make who come from PyTorch, Keras, YAML, JSON or C, and what they read.

Each file in `newcomers/` is a table: a title after `####`, then the wrong lines. What isn't a file
of its own is put into a network that takes a picture.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from archdsl import sources
from archdsl.cli.main import run
from archdsl.elaborate import elsewhere
from archdsl.layers.registry import Registry
from archdsl.syntax.habits import HABITS, Habit

HERE = Path(__file__).parent / "newcomers"
ROOT = Path(__file__).parents[2]
TABLES = sorted(HERE.glob("*.arch"))
ITEM = re.compile(r"^(network|block|fn|import|from torch|class|model|function|\{$)", re.MULTILINE)


def mistakes(table: Path) -> Iterator[tuple[str, str]]:
    """Yield the title of each mistake, and the file in which somebody makes it."""
    text = table.read_text(encoding="utf-8")
    for title, lines in re.findall(r"^#### (.*)\n((?:(?!####).*\n)*)", text, re.MULTILINE):
        if not ITEM.search(lines):
            body = "".join(f"  {line}\n" for line in lines.splitlines())
            lines = f"network n {{\n  input image: [3, 32, 32]\n{body}}}\n"
        yield title, lines


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.stem)
def test_what_is_read(
    table: Path,
    golden: Callable[[Path, str], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    read = []
    for title, text in mistakes(table):
        Path("net.arch").write_text(text, encoding="utf-8")
        assert run(["check", "net.arch"]) == 1, title
        read.append(f"#### {title}\n{capsys.readouterr().err}")

    golden(table.with_suffix(".txt"), "\n".join(read).replace(str(sources.shipped()), "specs"))


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.stem)
def test_every_mistake_is_helped(table: Path) -> None:
    texts = table.with_suffix(".txt").read_text(encoding="utf-8").split("#### ")[1:]

    assert [one.split("\n")[0] for one in texts if "= help: " not in one] == [
        "channels last" for _ in range(table.stem == "keras")
    ]


@pytest.mark.parametrize("one", HABITS, ids=lambda one: one.hint[:40])
def test_help_has_a_group_for_each_of_its_holes(one: Habit) -> None:
    groups = re.compile(one.before).groups + re.compile(one.rest).groups

    assert one.hint.format(*"abcdef"[:groups])


@pytest.mark.parametrize(
    ("name", "help"),
    [
        ("ConvLSTM", "docs/own_layers.md"),
        ("BiLSTM", "`LSTM(hidden_size, bidirectional = true)`"),
        ("deform_conv2d", "did you mean `DeformConv2d`"),
        ("MaxUnpool2d", "docs/own_layers.md"),
        ("FractionalMaxPool2d", "docs/own_layers.md"),
        ("Transformer", "docs/own_layers.md"),
        ("Dense", "here it is `Linear(out_features)`"),
        ("Conv2D", "did you mean `Conv2d`"),
        ("Quux", "`archdsl layers` lists the layers"),
    ],
)
def test_layers_of_others_are_explained(
    name: str, help: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["layers", name]) == 2
    assert help in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    "name",
    ["LSTMCell", "DeformConv1d", "roi_align", "fft2", "Quux",
     "FractionalMaxPool2d", "MaxUnpool2d", "Transformer"],
)  # fmt: skip
def test_what_can_be_a_layer_of_ones_own_is_none_of_the_language(name: str) -> None:
    assert name not in Registry()
    assert "own_layers.md" in (elsewhere.layer(name) or elsewhere.LIST)
    assert (ROOT / "docs" / "own_layers.md").exists()


def test_no_help_speaks_of_a_layer_that_there_is() -> None:
    assert [name for name in Registry() if elsewhere.layer(name)] == []


def test_arguments_that_have_another_name_here_are_those_of_a_layer() -> None:
    meant = re.findall(r"here it is `(\w+)`", " ".join(elsewhere.ARGUMENTS.values()))
    assert meant
    for name in meant:
        assert any(name in kind.model_fields for kind in Registry().values())
