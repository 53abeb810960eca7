"""Every option of every command with odd values: none is a fault of the program.

The options are taken from the commands themselves, so that one which is added later is tried too.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import click
import pytest
from hostile import HANGS, Result, environment, in_process

from archdsl.cli.main import COMMANDS, program

SPEC = """\
network odd(width: int = 3, name: str = "a", unit: block = ReLU, sizes: list = [1]) {
  input x: [3, 8, 8]
  conv: Conv2d(width, 1)
  unit
}
"""
SAMPLE = 15  # values of the table for each option in a run; all of them by hand, before a release
WAITS = 30  # seconds after which a command is taken to wait for something
COMMAND = [sys.executable, "-m", "archdsl"]
WORDS = [
    "",
    " ",
    "_",
    "-",
    "--",
    "=",
    ":",
    "x",
    "*",
    "..",
    "/",
    "\\",
    "'",
    '"',
    "{",
    "[",
    "%s",
    "\0",
]
NUMBERS = [
    "0",
    "-1",
    "1__0",
    "_1",
    "1_",
    "+1",
    "1.5",
    "1e9",
    "NaN",
    "inf",
    "-inf",
    "0x10",
    "٣",
    "²",
    "９",
    "9" * 30,
    "9" * 5000,
    "18446744073709551616",
]
TEXTS = ["a" * 5000, "é", "卷积", "\u202e", "\x1b[2J", "\udcff", "a\nb", "😀", "x" * 300 + ".svg"]
PAIRS = [
    f"{name}={value}"
    for name in ("layers", "width", "name", "unit", "sizes", "x", "nosuch", "")
    for value in (
        "",
        "_",
        "1__0",
        "NaN",
        "9" * 30,
        "9" * 5000,
        "-1",
        "٣",
        "[",
        "3x8x8",
        "0x0x0",
        "_x_x_",
        "\0",
        "\x1b",
        "a" * 5000,
        "\udcff",
    )
]
# What each stands for is made in the folder of the test.
FILES = [
    "folder",
    "folder/",
    "pipe",
    "file.svg/",
    "readonly.svg",
    "readonly.py",
    "file.svg",
    "missing/file.svg",
    "loop",
    "dangling.svg",
    "/dev/null",
    "/dev/full",
    "/dev/zero",
    "/dev/stdin",
    "/dev/fd/99",
    "/proc/self/mem",
    ".",
    "./odd.arch",
    "odd.arch/",
    "net.ONNX",
]
VALUES = [*WORDS, *NUMBERS, *TEXTS, *PAIRS, *FILES]
FEW = ["", "_", "NaN", "9" * 5000, "\0", "x=_", "layers=_", "pipe", "folder/", "/dev/full"]
# What these name is looked for in a spec or in its network, and is input like the spec.
OF_INPUT = {
    "specs",
    "name",
    "parameters",
    "inputs",
    "freeze",
    "freeze_but",
    "weights",
    "allow_mismatch",
    "rename",
    "deconvnet",
    "checkpoint",
    "modules",
}
# Commands that lack other input here (images, a module), or whose options are looked for in it.
ON_INPUT = {"see", "import", "bench"}


def commands() -> dict[str, click.Command]:
    context = click.Context(program)
    found = {name: program.get_command(context, name) for name in COMMANDS}
    return {name: command for name, command in found.items() if command is not None}


def parameters() -> Iterator[tuple[str, click.Parameter]]:
    """Yield each parameter of each command, with the command's name."""
    for name, command in commands().items():
        for parameter in command.params:
            yield name, parameter


def line(command: str, parameter: click.Parameter, value: str) -> list[str]:
    """Return a command line in which a parameter has a value."""
    subject = "Conv2d" if command == "layers" else "odd.arch"
    if isinstance(parameter, click.Argument):
        return [command, "--", value]
    option = max(parameter.opts, key=len)
    if getattr(parameter, "is_flag", False):
        return [command, subject, f"{option}={value}"]
    return [command, subject, option, value]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all kinds of things that are no files to read or write."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "odd.arch").write_text(SPEC)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file.svg").write_text("somebody's")
    for name in ("readonly.svg", "readonly.py"):
        (tmp_path / name).write_text("somebody's")
        (tmp_path / name).chmod(0o400)
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling.svg").symlink_to("nowhere/at/all.svg")
    return tmp_path


def tried(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> Result:
    """Run a command in this process, and end it if it waits for something."""

    def waits(*_: Any) -> None:
        raise AssertionError(f"{arguments} waits")

    before = signal.signal(signal.SIGALRM, waits)
    signal.alarm(WAITS)
    try:
        return in_process(capsys, *arguments)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


EVERY = list(parameters())


def check(
    capsys: pytest.CaptureFixture[str], command: str, parameter: click.Parameter, values: list[str]
) -> None:
    for value in values:
        arguments = line(command, parameter, value)
        result = tried(capsys, arguments)
        of_input = parameter.name in OF_INPUT or command in ON_INPUT
        allowed = (0, 1, 2) if of_input else (0, 2)
        assert result.status in allowed, (arguments, result)
        assert "Traceback" not in result.error, arguments
        assert "internal error" not in result.error, arguments
        assert result.error or result.status == 0, arguments
        assert result.status or "error" not in result.error, (arguments, result)
        assert "\x1b" not in result.out + result.error, arguments
        assert all(len(text) <= 20_000 for text in result.error.splitlines()), arguments
        kept = [name for name in os.listdir() if name.endswith(".tmp")]
        assert not kept, (arguments, kept)
    assert Path("file.svg").read_text() == "somebody's"
    assert Path("readonly.svg").read_text() == "somebody's"


@pytest.mark.parametrize(
    ("command", "parameter"), EVERY, ids=lambda each: getattr(each, "name", each)
)
def test_odd_values(
    folder: Path, capsys: pytest.CaptureFixture[str], command: str, parameter: click.Parameter
) -> None:
    check(capsys, command, parameter, FEW)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "parameter"), EVERY, ids=lambda each: getattr(each, "name", each)
)
def test_more_odd_values(
    folder: Path, capsys: pytest.CaptureFixture[str], command: str, parameter: click.Parameter
) -> None:
    rest = [value for value in VALUES if value not in FEW]
    check(capsys, command, parameter, Random(f"{command} {parameter.name}").sample(rest, SAMPLE))


def test_the_table_sees_every_command_and_option() -> None:
    names = {(command, parameter.name) for command, parameter in EVERY}

    assert {command for command, _ in names} == set(COMMANDS)
    assert {("compile", "weights"), ("count", "limit"), ("draw", "output")} <= names


# --- outputs --------------------------------------------------------------------------------

PRINTING = {
    "check": ["odd.arch"], "count": ["odd.arch"], "draw": ["odd.arch", "-o", "-"],
    "compile": ["odd.arch", "-o", "-"], "networks": ["odd.arch"], "layers": ["Conv2d"],
    "sweep": ["odd.arch", "-p", "width=1..2"], "fit": ["odd.arch", "--memory", "1GiB"],
}  # fmt: skip


def test_all_commands_print_something() -> None:
    # these need more than a spec, or take long
    others = {"see", "import", "bench"}
    assert PRINTING.keys() | others == set(COMMANDS), "say how the new command prints"


@pytest.mark.parametrize(
    ("streams", "status"),
    [(">&-", 2), (">&- 2>&- <&-", 2), ("<&-", 0), ("2>&-", 0), (">/dev/full", 2),
     (">/dev/full 2>/dev/full", 2), ("| true", 141), ("2>&1 | true", 141)],
)  # fmt: skip
@pytest.mark.parametrize("command", PRINTING)
def test_outputs_that_take_nothing(folder: Path, command: str, streams: str, status: int) -> None:
    script = f'"$@" {streams}; echo "${{PIPESTATUS[0]}}" > status'
    done = subprocess.run(
        ["bash", "-c", script, "-", *COMMAND, command, *PRINTING[command]],
        env=environment(), capture_output=True, timeout=HANGS, check=False,
    )  # fmt: skip

    assert int((folder / "status").read_text()) == status
    assert b"Traceback" not in done.stderr + done.stdout
    assert b"internal error" not in done.stderr + done.stdout
    assert b"Exception ignored" not in done.stderr
    if status == 2 and "2>" not in streams:
        assert done.stderr.startswith(b"archdsl: ")
        assert done.stderr.count(b"\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [name for name in PRINTING if name not in ("compile", "sweep", "fit")]
)
def test_an_address_space_that_runs_out(folder: Path, command: str) -> None:
    """Wherever memory ends, that is said; what torch does then is torch's."""
    (folder / "odd.arch").write_text(SPEC.replace("  unit\n", "  repeat 3000 { unit }\n"))
    script = (
        "import os, re, resource, sys; from archdsl.cli import run;"
        "now = int(re.search(r'VmSize:\\s*(\\d+)', open('/proc/self/status').read())[1]) * 1024;"
        "most = now + int(sys.argv[1]);"
        "resource.setrlimit(resource.RLIMIT_AS, (most, most));"
        "status = run(sys.argv[2:]); sys.stdout = sys.stderr = None; os._exit(status)"
    )
    statuses = []
    for more in range(0, 80 * 2**20, 2 * 2**20):
        done = subprocess.run(
            [sys.executable, "-c", script, str(more), command, *PRINTING[command]],
            env=environment(), capture_output=True, timeout=HANGS, check=False,
        )  # fmt: skip
        statuses.append(done.returncode)
        said = done.stderr.decode(errors="replace")
        assert done.returncode in (0, 1, 2), (more, done.returncode, said[-500:])
        assert "Traceback" not in said, (more, said[-800:])
        assert "internal error" not in said, (more, said)
    assert statuses[-1] == 0
    assert statuses[0] != 0


def test_files_of_no_size(folder: Path) -> None:
    """`ulimit -f 0`: whatever writes says so, and leaves nothing."""
    before = sorted(os.listdir(folder))
    for arguments in (["draw", "odd.arch"], ["draw", "odd.arch", "-o", "new.tex"]):
        done = subprocess.run(
            [*COMMAND, *arguments], env=environment(), capture_output=True, timeout=HANGS,
            check=False, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
        )  # fmt: skip
        assert done.returncode == 2
        assert b"file too large" in done.stderr
        assert sorted(os.listdir(folder)) == before
