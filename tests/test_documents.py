"""What the README and docs show is what happens."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import archdsl
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


def test_the_layer_of_the_documents_works_from_the_command_line(tmp_path: Path) -> None:
    document = ROOT / "docs/own_layers.md"
    (tmp_path / "my_layers.py").write_text(blocks(document, "python")[0])
    (tmp_path / "net.arch").write_text("network net { input x: [8, 4, 4]\n Swish(beta = 1.5) }")
    words = shlex.split(blocks(document, "sh")[0])

    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=tmp_path, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    assert "Swish" in done.stdout


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


@pytest.mark.slow
def test_commands_of_the_page_about_compiling_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "specs").symlink_to(ROOT / "specs")
    text = (ROOT / "docs/compiling.md").read_text(encoding="utf-8")
    commands = re.findall(r"^archdsl compile .*", text, re.MULTILINE)
    assert run(["compile", "inception_v3", "-o", "inception_v3.safetensors"]) == 0

    for command in commands:
        assert run(shlex.split(command, comments=True)[1:]) == 0

    written = {path.name for path in tmp_path.iterdir()}
    assert written >= {"inception_v3.py", "model.py", "model.onnx"}
