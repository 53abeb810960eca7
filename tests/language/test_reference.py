"""The reference of the language: every example is worked out, and makes what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from archdsl.layers.base import Example, Layer
from archdsl.layers.registry import Registry
from archdsl.layers.signature import reference, written
from archdsl.pipeline import Spec
from archdsl.syntax.mistakes import RESERVED

TEXT = (Path(__file__).parents[2] / "docs" / "language.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```arch\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with every example, under the name in its first line if there is one."""
    for number, example in enumerate(EXAMPLES):
        named = re.match(r"# (\w+\.arch)\n", example)
        (tmp_path / (named[1] if named else f"{number}.arch")).write_text(example)
    return tmp_path


def test_examples_are_found() -> None:
    assert len(EXAMPLES) == TEXT.count("```arch") > 8


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_example_makes_what_it_says(folder: Path, number: int) -> None:
    path = next(file for file in folder.iterdir() if file.read_text() == EXAMPLES[number])
    spec = Spec(str(path))
    made: dict[int, list[str]] = {}
    for network in spec.networks:
        if spec.is_complete(network):
            for node in spec.graph(network).nodes.values():
                places = [node.span, *(use.span for use in node.trail)]
                for line in {place.line for place in places if place.source.path == str(path)}:
                    made.setdefault(line, []).append(node.name)
    spec.require_sound()

    for line, text in enumerate(EXAMPLES[number].split("\n"), start=1):
        if said := re.search(r"# -> (.*)$", text):
            assert made[line] == said[1].split(", ")


@pytest.mark.parametrize(
    ("kind", "example"),
    [
        pytest.param(kind, example, id=f"{name}-{number}")
        for name, kind in Registry().items()
        for number, example in enumerate(kind.examples)
    ],
)
def test_examples_of_layers_are_written_as_the_language_takes_them(
    kind: type[Layer], example: Example, tmp_path: Path
) -> None:
    use = written(kind, example.arguments)
    names = "abcd"[: len(example.inputs)]
    inputs = [f"input {name}: {list(s)}" for name, s in zip(names, example.inputs, strict=True)]
    path = tmp_path / "example.arch"
    path.write_text("\n".join(["network example {", *inputs, f"last: {use}", "}"]))

    assert f"  {use}\n" in reference(kind)
    assert Spec(str(path)).graph().nodes["last"].shape == example.output


def test_words_of_the_language_are_all_listed() -> None:
    listed = re.search(r"name nothing:\s`([^`]*)`", TEXT)
    assert listed is not None
    assert set(listed[1].split()) == RESERVED


def test_functions_of_the_language_are_all_listed() -> None:
    from archdsl.elaborate.operations import FUNCTIONS

    listed = re.search(r"\| functions \| `([^`]*)` \|", TEXT)
    assert listed is not None
    assert listed[1].split() == list(FUNCTIONS)
