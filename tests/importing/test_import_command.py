"""archdsl import: what is named is found, written, and compared."""

from __future__ import annotations

from pathlib import Path

import pytest
from running import Command


@pytest.fixture
def archdsl(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Command:
    monkeypatch.chdir(tmp_path)
    return Command(capsys)


def test_a_module_is_written_and_compared(archdsl: Command, tmp_path: Path) -> None:
    given = ("import", "modules:Residuals", "--arg", "width=4", "--input", "3x8x8")

    result = archdsl(*given, "-o", "net.arch")

    assert result.status == 0, result
    assert "compared    the same, name by name; outputs equal" in result.out
    text = (tmp_path / "net.arch").read_text()
    assert text.startswith("network Residuals {")
    # the block's parameters are called as those of the class
    assert "block Unit(out, stride = 1) {" in text
    assert archdsl("check", "net.arch").status == 0
    # what archdsl wrote may be written over
    assert archdsl(*given, "-o", "net.arch").status == 0


def test_standard_output_has_nothing_but_the_text(archdsl: Command) -> None:
    result = archdsl("import", "modules:ready", "--input", "rows=4", "-o", "-")

    assert result.status == 0
    assert result.out.startswith("network ready {")
    assert "input rows: [4]" in result.out
    assert "outputs equal" in result.error


def test_what_differs_is_written_with_a_mark_and_fails(archdsl: Command, tmp_path: Path) -> None:
    result = archdsl("import", "modules:Unused", "--input", "4", "-o", "net.arch")

    assert result.status == 1
    assert "not the same" in result.out
    assert (tmp_path / "net.arch").read_text().startswith("# archdsl import: not the same")


def test_files_of_others_are_left_alone(archdsl: Command, tmp_path: Path) -> None:
    (tmp_path / "net.arch").write_text("network net { input x: [4] ReLU }")

    result = archdsl("import", "modules:ready", "--input", "4", "-o", "net.arch")

    assert result.status == 2
    assert "--force overwrites it" in result.error


@pytest.mark.parametrize(
    ("what", "options", "said"),
    [
        ("modules", (), "is not MODULE:NAME"),
        ("no_such_place:net", (), "can't be imported: ModuleNotFoundError"),
        ("modules:Residual", (), "did you mean `Residuals`?"),
        ("modules:Unit", (), "missing a required argument: 'width'"),
        ("modules:answer", (), "gives int, and no torch.nn.Module"),
        ("modules:broken", (), "fails with ZeroDivisionError: by design"),
        ("modules:ready", ("--input", "5"), "the forward pass of `Sequential` fails"),
        ("modules:Fails", ("--input", "4"), 'raise KeyError("nothing there")'),
        ("modules:Sorts", ("--input", "4"), "2 times: `logcumsumexp`"),
        ("modules:ready", ("--weights", "none.pt"), "`none.pt` can't be loaded"),
    ],
)
def test_bad_input_is_a_sentence(
    archdsl: Command, tmp_path: Path, what: str, options: tuple[str, ...], said: str
) -> None:
    result = archdsl("import", what, *options, "-o", "net.arch")

    assert result.status == 1
    assert said in result.error
    assert "Traceback" not in result.error
    assert not (tmp_path / "net.arch").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--input", "3xHxW"), "has free sizes"),
        (("--input", "0x3"), "is no shape"),
        (("--arg", "width"), "is not NAME=VALUE"),
        (("-o", "net.py"), "must end in .arch"),
    ],
)
def test_bad_options_are_wrong_usage(archdsl: Command, options: tuple[str, ...], said: str) -> None:
    result = archdsl("import", "modules:ready", *options)

    assert result.status == 2
    assert said in result.error
