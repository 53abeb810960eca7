"""The command as a process: what it leaves on its streams, and the status that it ends with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hostile import HANGS, environment, in_own_process

WRONG = "network n {\n  input x: [3, 8, 8]\n  Nosuch\n}\n"
COMMAND = [sys.executable, "-m", "archdsl"]


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    path = tmp_path / "wrong.arch"
    path.write_text(WRONG)
    return path


LIMITS = [f"--limit={each}" for each in ("layers=10000000", "steps=200000000", "edges=50000000")]


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """A spec that takes long enough to be interrupted."""
    path = tmp_path / "long.arch"
    path.write_text("network n {\n  input x: [3, 8, 8]\n  repeat 9000000 { ReLU }\n}\n")
    return path


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["check", "lenet5"], 0),
        (["--help"], 0),
        (["count", "no_such_network"], 1),
        (["count"], 2),
        (["count", "lenet5", "--depth", "x"], 2),
        (["nosuch"], 2),
        ([], 2),
    ],
)
def test_exit_status(arguments: list[str], status: int) -> None:
    done = in_own_process(*arguments)

    assert done.returncode == status
    assert b"Traceback" not in done.stderr
    assert (status == 0) == (not done.stderr)


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    script = f"{sys.executable} -m archdsl count inception_v3 | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", script], env=environment(), capture_output=True, timeout=HANGS, check=False
    )

    assert done.stdout.startswith(b"inception_v3")
    assert done.stdout.splitlines()[-1] in (b"0", b"141")
    assert not done.stderr


@pytest.mark.parametrize("closed", ["1", "2", "0"])
def test_closed_streams(closed: str, wrong: Path) -> None:
    for spec in ("lenet5", str(wrong)):
        script = f'"$@" {closed}>&-'
        done = subprocess.run(
            ["bash", "-c", script, "-", *COMMAND, "count", spec],
            env=environment(),
            capture_output=True,
            timeout=HANGS,
            check=False,
        )
        assert done.returncode in (0, 1, 2)
        assert b"Traceback" not in done.stderr
        assert b"internal" not in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
@pytest.mark.parametrize("arguments", [["count", "lenet5"], ["check", "lenet5"], ["layers"]])
def test_a_full_disk(arguments: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*COMMAND, *arguments],
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=HANGS,
            check=False,
        )

    assert done.returncode == 2
    assert done.stderr == b"archdsl: no space left on device\n"


def test_interrupting(endless: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "count", *LIMITS, str(endless)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # a job in the background inherits that SIGINT is ignored, and so would the command
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        time.sleep(1.5)
        process.send_signal(signal.SIGINT)
        try:
            out, error = process.communicate(timeout=HANGS)
        finally:
            process.kill()

    assert process.returncode == 130
    assert b"Traceback" not in error
    assert not out


def test_plain_output_where_there_is_no_terminal(wrong: Path) -> None:
    for arguments in (["count", "lenet5"], ["check", str(wrong)], ["layers", "Conv2d"]):
        done = in_own_process(*arguments)
        assert b"\x1b" not in done.stdout + done.stderr


def on_a_terminal(*arguments: str, **changes: str) -> bytes:
    """Return what the command prints on a terminal."""
    pty = pytest.importorskip("pty")
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments], env=environment(**changes), stdout=slave, stderr=slave
    )
    os.close(slave)
    shown = b""
    try:
        while part := os.read(master, 65536):
            shown += part
    except OSError:  # all of it was read
        pass
    process.wait(timeout=HANGS)
    os.close(master)
    return shown


def test_no_color_is_obeyed(wrong: Path) -> None:
    assert b"\x1b[" in on_a_terminal("check", str(wrong), TERM="xterm")
    assert b"\x1b" not in on_a_terminal("check", str(wrong), TERM="xterm", NO_COLOR="1")
    assert b"\x1b" not in on_a_terminal("check", str(wrong), TERM="dumb")


@pytest.mark.parametrize("locale", ["C", "POSIX", "C.UTF-8", "nosuch"])
def test_any_locale(tmp_path: Path, locale: str) -> None:
    path = tmp_path / "n.arch"
    text = 'network n {\n  "Größe ↑ 网络"\n  input x: [3, 8, 8]\n  ReLU(é)\n}\n'
    path.write_text(text, encoding="utf-8")
    changes = {"LC_ALL": locale, "LANG": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}

    done = in_own_process("check", path, **changes)

    assert done.returncode == 1
    assert b"E0102" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_deleted_working_folder(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    script = 'mkdir "$1" && cd "$1" && rmdir "$1" && shift && exec "$@"'
    for spec, status in (("lenet5", 0), ("relative.arch", 1)):
        done = subprocess.run(
            ["bash", "-c", script, "-", str(gone), *COMMAND, "count", spec],
            env=environment(PYTHONPATH=str(Path(__file__).parents[2])),
            capture_output=True,
            timeout=HANGS,
            check=False,
        )
        assert (done.returncode, b"Traceback" in done.stderr) == (status, False), done.stderr


def test_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o500)

    done = in_own_process("count", "lenet5", HOME=str(home), XDG_CACHE_HOME=str(home / "no"))

    assert done.returncode == 0
    assert not list(home.iterdir())


def test_the_same_bytes_for_any_hash_seed_zone_and_folder(tmp_path: Path, wrong: Path) -> None:
    """Messages as well: what is in a set comes out in a fixed order."""
    many = tmp_path / "many.arch"
    uses = "\n".join(f"  Nosuch{i}\n  let v{i} = unknown{i}" for i in range(8))
    many.write_text(f"network n {{\n  input x: [3]\n{uses}\n}}\n")
    for arguments in (
        ("count", "resnet:resnet18", "--format", "json"),
        ("check", str(many)),
        ("check", "--format", "json", str(many)),
    ):
        runs = [
            in_own_process(*arguments, cwd=folder, PYTHONHASHSEED=seed, TZ=zone)
            for seed, zone, folder in (
                ("0", "UTC", tmp_path),
                ("1", "Asia/Kathmandu", Path("/")),
                ("4242", "", tmp_path),
            )
        ]
        assert len({(run.returncode, run.stdout, run.stderr) for run in runs}) == 1


def test_a_fault_of_the_program_is_one_line(tmp_path: Path) -> None:
    """Nothing should raise anything else; if it does, nobody sees a traceback."""
    program = (
        "import sys, archdsl.cli.main as main, archdsl.cli.networks as networks\n"
        "def broken(*given): raise RuntimeError('a fault\\nof two lines')\n"
        "networks.shipped = broken\n"
        "sys.exit(main.run(['networks']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, check=False
    )

    assert done.returncode == 70
    assert done.stderr.count(b"\n") == 1
    assert done.stderr.startswith(b"archdsl: internal error, please report it: RuntimeError in ")
