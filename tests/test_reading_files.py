"""Files that somebody else chose are read without waiting, and never without bound."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path

import pytest

from archdsl.reading import NoRegularFile, read_regular, reason_of


def test_as_much_as_is_asked_and_one_byte_more(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")

    assert read_regular(path, 10) == b"0123456789"
    assert read_regular(str(path), 9) == b"0123456789"
    assert read_regular(path, 4) == b"01234"
    assert read_regular(path, 2**40) == b"0123456789"


@pytest.mark.parametrize("name", ["a\0b", "\0"])
def test_a_name_that_no_file_can_have(name: str) -> None:
    with pytest.raises(OSError, match="can't be a file name") as caught:
        read_regular(name, 100)
    assert reason_of(caught.value) == "can't be a file name"


def test_what_is_no_regular_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        for path in (
            *(tmp_path / name for name in ("pipe", "link", "socket")),
            *(Path("/dev") / name for name in ("null", "zero", "random", "full")),
        ):
            with pytest.raises(NoRegularFile, match="is no regular file"):
                read_regular(path, 100)
    with pytest.raises(IsADirectoryError):
        read_regular(tmp_path, 100)


def test_a_pipe_that_took_the_place_of_a_file_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    opened = os.open

    def swapped(name: str, flags: int) -> int:
        path.unlink()
        os.mkfifo(path)
        return opened(name, flags)

    monkeypatch.setattr("os.open", swapped)
    with pytest.raises(NoRegularFile):
        read_regular(path, 100)


@pytest.mark.skipif(not os.path.exists("/proc/self"), reason="Linux has such files")
def test_files_of_the_system_that_seem_regular() -> None:
    """Some give nothing but errors, some wait for news, some are endless."""
    for name in ("/proc/self/mem", "/proc/kmsg", "/proc/self/pagemap", "/proc/self/clear_refs"):
        with suppress(OSError):
            assert len(read_regular(name, 100)) <= 101
