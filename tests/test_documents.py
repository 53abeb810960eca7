"""What the README and docs show is what happens."""

from __future__ import annotations

import importlib
import math
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import archdsl
from archdsl import own_layers
from archdsl.cli import run
from archdsl.layers.base import construct
from archdsl.pipeline import Spec

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


def blocks(path: Path, language: str) -> list[str]:
    text = path.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


CONSOLE = [
    pytest.param(block, id=f"{path.stem}-{number}")
    for path in DOCUMENTS
    for number, block in enumerate(blocks(path, "console"))
    if block.startswith("$ archdsl ")  # the scripts of tutorials are run by tests/tutorials
]


@pytest.mark.parametrize("block", CONSOLE)
def test_commands_print_what_is_shown(
    block: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        words = shlex.split(command)
        assert words[0] == "archdsl"
        run(words[1:])
        captured = capsys.readouterr()
        assert captured.out + captured.err == shown


def test_the_spec_of_the_readme_has_the_count_that_it_shows(tmp_path: Path) -> None:
    path = tmp_path / "lenet5.arch"
    path.write_text(blocks(ROOT / "README.md", "arch")[0])

    assert archdsl.load(str(path)).count().parameters == 60_850


def test_the_error_of_the_readme_is_what_its_spec_gives(tmp_path: Path) -> None:
    shown = next(block for block in blocks(ROOT / "README.md", "text") if "error[" in block)
    lines = re.findall(r"^ *\d+ \| (.*)$", shown, re.MULTILINE)
    path = tmp_path / "broken.arch"
    path.write_text(
        "\n".join(["network broken {", "  input image: [3, 35, 35]", *lines, "  }", "}"])
    )

    with pytest.raises(archdsl.ArchError) as caught:
        Spec(str(path)).graph()

    assert str(caught.value).replace(f"{tmp_path}/", "") == shown.rstrip("\n")


def test_the_picture_of_the_readme_is_the_drawing(tmp_path: Path) -> None:
    drawn = archdsl.load("lenet5").draw(direction="LR", format="dot").source
    labels = set(re.findall(r">([A-Z]\w+)<", drawn))

    picture = (ROOT / "docs/images/lenet5.svg").read_text(encoding="utf-8")

    assert labels
    assert all(label in picture for label in labels)


def test_the_python_of_the_readme_runs(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    code = blocks(ROOT / "README.md", "python")[0].replace("specs/", f"{ROOT}/specs/")

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    assert "21,806,058" in done.stdout
    assert (tmp_path / "inception_v3.svg").exists()


def test_links_lead_somewhere() -> None:
    for path in DOCUMENTS:
        for link in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
            assert (path.parent / link).exists(), f"{path}: {link}"


def test_setup_commands_of_the_readme_are_the_ones_that_ci_runs() -> None:
    commands = [line for block in blocks(ROOT / "README.md", "sh") for line in block.splitlines()]
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    patterns = re.findall(r"grep -m 1 '([^']+)' README.md", script)

    assert len(commands) == len(patterns) == 2
    for pattern in patterns:
        assert sum(pattern in command for command in commands) == 1


def test_every_layer_can_be_explained(capsys: pytest.CaptureFixture[str]) -> None:
    from archdsl.layers.registry import Registry
    from archdsl.layers.signature import reference

    for kind in Registry().values():
        text = reference(kind)
        for example in kind.examples:
            output = construct(kind, example.arguments).infer(example.inputs).output
            assert " x ".join(map(str, output)) in text


# --- every other command, as it stands --------------------------------------------------------

# Commands that aren't run here, and why.
NOT_RUN = {
    "python3 -m venv": ".ci/run runs it; see above",
    "pip install": "it sets an environment up, and so does .ci/run",
    "python tests/benchmarks/": "takes minutes; its options are compared below",
    "python docs/tutorials/": "takes minutes, or pictures and weights; see tests/tutorials",
    "tensorboard --logdir": "it is a server that goes on for ever",
    "python docs/networks.py": "writes docs/; tests/specs compares what it writes",
}
PHOTO = 'from PIL import Image; Image.effect_noise((60, 40), 90).save("{name}")'
# Files that a command reads and that its reader has, made by a command.
MADE = {
    "inception_v3.safetensors": "archdsl compile inception_v3 -o inception_v3.safetensors",
    " resnet18.safetensors": "archdsl compile resnet18 -o resnet18.safetensors",
    " nin.safetensors": "archdsl compile nin_cifar10 -o nin.safetensors",
    "nin_1.safetensors": "archdsl compile nin_cifar10 -o nin_1.safetensors",
    "names.txt": "seq 10 > names.txt",
    "cat.jpg": f"python -c '{PHOTO.format(name='cat.jpg')}'",
    "dog.jpg": f"python -c '{PHOTO.format(name='dog.jpg')}'",
    "photos": f"mkdir photos; python -c '{PHOTO.format(name='photos/1.jpg')}'",
}
# What commands need beyond torch.
NEEDS = {".onnx": "onnxruntime", ".pdf": "pygraphviz", "torchvision": "torchvision"}
PROGRAMS = ("archdsl ", "python ", "python3 ", "pip ", "pytest ", "tensorboard ")


def commands(path: Path) -> Iterator[str]:
    """Yield the commands of a document, less those whose output it shows: see above."""
    text = path.read_text(encoding="utf-8")
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        lines = block.splitlines()
        if language == "console" and not block.startswith("$ archdsl "):
            yield from (line[2:] for line in lines if line.startswith("$ "))
        elif language in ("", "sh"):
            yield from (line for line in lines if line.startswith(PROGRAMS))
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    # in prose those that name something: others are mere mentions
    command = r"(?:check|count|draw|compile|see) [a-z]|layers [A-Z][a-z]|(?:networks|layers)$"
    named = rf"archdsl (?:{command})|python \w+/"
    yield from (line for line in re.findall(r"`([^`\n]+)`", prose) if re.match(named, line))


def is_slow(command: str) -> bool:
    return any(part in command for part in ("compile", "archdsl see", "pytest", "import"))


COMMANDS = [
    pytest.param(
        path, command, id=f"{path.stem}: {command}", marks=[pytest.mark.slow] * is_slow(command)
    )
    for path in DOCUMENTS
    for command in dict.fromkeys(commands(path))
    if path.name != "errors.md" and not command.startswith(tuple(NOT_RUN))
]


def test_all_kinds_of_commands_are_found() -> None:
    found = [command for path in DOCUMENTS for command in commands(path)]

    for start in NOT_RUN:
        assert any(command.startswith(start) for command in found), f"no document has {start}"
    for part in ("count", "draw", "compile", "see", "import", "networks", "layers"):
        assert any(f"archdsl {part}" in str(each.values[1]) for each in COMMANDS), part


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder as the documents assume it, which may be written to, with what is here."""
    for each in ROOT.iterdir():
        if not each.name.startswith("."):
            (tmp_path / each.name).symlink_to(each)
    programs = tmp_path / "bin"
    programs.mkdir()
    run_as = {"python": "", "archdsl": "-Pm archdsl", "pytest": "-Pm pytest"}
    texts = {name: f'{sys.executable} {options} "$@"' for name, options in run_as.items()}
    for name, text in {**texts, "less": "cat"}.items():
        (programs / name).write_text(f"#!/bin/sh\nexec {text}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


def write_files(document: Path, folder: Path) -> None:
    """Write the files that a document shows: each begins with its name in a comment."""
    text = document.read_text(encoding="utf-8")
    for block in re.findall(r"^```\w+\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        if name := re.match(r"# ([\w.]+\.(?:py|arch))\n", block):
            (folder / name[1]).write_text(block, encoding="utf-8")


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    full = ["bash", "-euo", "pipefail", "-c", command]
    return subprocess.run(full, cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize(("document", "command"), COMMANDS)
def test_a_command_runs_as_it_stands(document: Path, command: str, checkout: Path) -> None:
    for suffix, package in NEEDS.items():
        if suffix in command:
            pytest.importorskip(package)
    if "compile" in command or "archdsl see" in command:
        pytest.importorskip("torch")
    write_files(document, checkout)
    for name, made in MADE.items():
        if name in command:
            assert shell(made, checkout).returncode == 0

    done = shell(command, checkout)

    assert done.returncode == 0, done.stdout + done.stderr
    for option in re.findall(r" -o ([\w.]+)", command):
        assert (checkout / option).stat().st_size > 0
    for comment in re.findall(r"# writes (\S+)", command):
        assert (checkout / comment).stat().st_size > 0


def test_the_layers_of_the_documents_are_counted_and_verified(checkout: Path) -> None:
    pytest.importorskip("torch")
    document = ROOT / "docs/own_layers.md"
    write_files(document, checkout)
    count, verify = blocks(document, "sh")[0].splitlines()

    counted = shell(count, checkout).stdout
    assert "LSTMCell" in counted
    assert "Swish" in counted
    verified = shell(f"{verify} -o net.py", checkout)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "verified    8 nodes" in verified.stdout
    assert "nn.LSTMCell(32, 64)" in (checkout / "net.py").read_text()


def test_the_examples_of_the_layers_of_the_documents_are_right(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(ROOT / "docs/own_layers.md", checkout)
    monkeypatch.syspath_prepend(checkout)
    monkeypatch.setattr(own_layers, "_registered", {})
    kinds = vars(importlib.import_module("my_layers"))
    for name in own_layers.registered():
        for example in kinds[name].examples:
            facts = construct(kinds[name], example.arguments).infer(example.inputs)
            assert facts.output == example.output
            assert sum(math.prod(shape) for shape in facts.params.values()) == example.params
            assert facts.macs == example.macs
    assert sorted(own_layers.registered()) == ["LSTMCell", "Swish"]
    monkeypatch.delitem(sys.modules, "my_layers")


def test_benchmarks_take_the_options_that_documents_give() -> None:
    found = [command for path in DOCUMENTS for command in commands(path)]
    for command in found:
        if not command.startswith("python tests/benchmarks/"):
            continue
        _, script, *options = shlex.split(command)
        text = (ROOT / script).read_text(encoding="utf-8")
        for option in options:
            assert not option.startswith("--") or f'"{option}"' in text, command


@pytest.mark.parametrize(
    "document",
    [
        "drawing",
        "importing",
        *(pytest.param(each, marks=pytest.mark.slow) for each in ("compiling", "seeing")),
    ],
)
def test_the_python_of_documents_runs(document: str, checkout: Path) -> None:
    pytest.importorskip("torch")
    path = ROOT / f"docs/{document}.md"
    for name, made in MADE.items():
        if name in path.read_text(encoding="utf-8") and document == "compiling":
            made += " -p classes=10"
            assert shell(made, checkout).returncode == 0
    code = "\n".join(["import archdsl", *blocks(path, "python")])

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=checkout, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
