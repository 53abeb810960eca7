"""Files are written whole or not at all."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from archdsl.output import write_all, write_whole


def test_a_new_file_and_one_that_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"

    write_whole(path, b"first")
    write_whole(str(path), b"second")

    assert path.read_bytes() == b"second"
    assert os.listdir(tmp_path) == ["out.txt"]


def test_permissions_stay_or_are_the_usual_ones(tmp_path: Path) -> None:
    path, usual = tmp_path / "out.txt", tmp_path / "usual.txt"
    usual.write_bytes(b"")

    write_whole(path, b"")
    assert path.stat().st_mode == usual.stat().st_mode
    path.chmod(0o640)
    write_whole(path, b"again")
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")

    write_whole(tmp_path / "link", b"content")

    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"content"


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_a_failure_leaves_what_was_there(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.txt"
    path.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    if step == "write":
        monkeypatch.setattr("os.chmod", fail)
    else:
        monkeypatch.setattr(f"os.{step}", fail)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, b"new")

    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["out.txt"]


@pytest.mark.parametrize("wrong", ["no/folder/b", "folder", "closed/b"])
def test_several_files_are_written_all_or_none(
    wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("closed").write_bytes(b"")
    Path("a").write_bytes(b"old")

    with pytest.raises(OSError, match=wrong):
        write_all({"a": b"new", wrong: b"new", "c": b"new"})

    assert Path("a").read_bytes() == b"old"
    assert sorted(os.listdir()) == ["a", "closed", "folder"]
    write_all({"a": b"new", "c": b"new"})
    assert Path("a").read_bytes() == Path("c").read_bytes() == b"new"
    assert sorted(os.listdir()) == ["a", "c", "closed", "folder"]


def test_a_folder_is_refused_and_a_device_written(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path, b"")
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "no" / "folder", b"")

    write_whole("/dev/null", b"gone")

    assert not Path("/dev/null").is_file()


def test_a_folder_that_is_missing_is_reported_by_the_name_that_was_given(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        write_whole(tmp_path / "none" / "net.svg", b"")

    assert caught.value.filename == str(tmp_path / "none" / "net.svg")


def test_an_empty_name_and_a_socket_are_refused_as_what_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        with pytest.raises(OSError, match="No such device or address: 'socket'"):
            write_whole("socket", b"")
    with pytest.raises(OSError, match="nobody reads this pipe: 'pipe'"):
        write_whole("pipe", b"")
    with pytest.raises(FileNotFoundError):
        write_whole("", b"")
    assert sorted(os.listdir()) == ["pipe", "socket"]
