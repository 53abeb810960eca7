"""Files that are no specs, names that are no files, and imports that want out of the folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hostile import in_process, refused

import archdsl
from archdsl import ArchError

GOOD = "network n {\n  input x: [3, 8, 8]\n  ReLU\n}\n"
Capture = pytest.CaptureFixture[str]


def written(folder: Path, text: str | bytes, name: str = "n.arch") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "defines no network"),
        (b"\n\n# nothing\n", "defines no network"),
        (b"\xff\xfe\x00", "is not UTF-8 text (line 1)"),
        (b"network n {\n\xe9\n}", "is not UTF-8 text (line 2)"),
        (b"\n\n\n\xed\xa0\x80", "is not UTF-8 text (line 4)"),
        (b"\x7fELF\x02\x01\x01" + bytes(range(256)), "is not UTF-8 text"),
        (b"\0" * 100, "unexpected character '\\x00' (U+0000)"),
        (b"\x89PNG\r\n\x1a\n", "is not UTF-8 text (line 1)"),
        (b"PK\x03\x04", "unexpected `PK`"),
        (b'{"json": [1, 2, 3]}', "unexpected `{`"),
        (b"import os\nos.system('echo')", "unexpected"),
        (b"class Net(nn.Module):\n    pass\n", "unexpected `class`"),
    ],
)
def test_what_is_no_spec_is_refused(
    tmp_path: Path, capsys: Capture, content: bytes, reason: str
) -> None:
    path = written(tmp_path, content)

    assert reason in refused(in_process(capsys, "count", path))


def test_byte_order_mark_and_windows_line_ends_mean_nothing(tmp_path: Path) -> None:
    plain = archdsl.load(str(written(tmp_path, GOOD, "plain.arch")))
    marked = archdsl.load(
        str(written(tmp_path, b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode(), "bom.arch"))
    )

    assert plain.count().to_dict()["layers"] == marked.count().to_dict()["layers"]


def test_places_do_not_count_the_byte_order_mark(tmp_path: Path, capsys: Capture) -> None:
    path = written(tmp_path, b"\xef\xbb\xbfnetwrk n {\r\n}\r\n")

    assert f"{path}:1:1" in refused(in_process(capsys, "check", path))


def test_a_folder(tmp_path: Path, capsys: Capture) -> None:
    folder = tmp_path / "n.arch"
    folder.mkdir()

    assert "is a folder" in refused(in_process(capsys, "check", folder))


@pytest.mark.parametrize("name", ["missing.arch", "missing", "no/such/folder.arch", "a" * 5000])
def test_what_is_not_there(tmp_path: Path, capsys: Capture, name: str) -> None:
    assert refused(in_process(capsys, "check", tmp_path / name)).count("\n") <= 4


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_what_may_not_be_read(tmp_path: Path, capsys: Capture) -> None:
    path = written(tmp_path, GOOD)
    path.chmod(0)

    assert "permission denied" in refused(in_process(capsys, "check", path))


def test_a_pipe_that_nobody_writes_to_does_not_block(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "n.arch"
    os.mkfifo(path)

    assert "is no regular file" in refused(in_process(capsys, "check", path))


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/random"])
def test_devices(capsys: Capture, device: str) -> None:
    assert "is no regular file" in refused(in_process(capsys, "check", device))


def test_a_link_that_leads_to_itself(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "n.arch"
    path.symlink_to(path)

    assert "circle" in refused(in_process(capsys, "check", path))


@pytest.mark.parametrize(
    "name", ["\0", "a\0b.arch", "\x1b[31m.arch", "\u202egpj.arch", "a\nb.arch"]
)
def test_names_that_steer_a_terminal(tmp_path: Path, capsys: Capture, name: str) -> None:
    error = refused(in_process(capsys, "check", name))

    assert not any(mark in error for mark in ("\0", "\x1b", "\u202e"))
    assert "b.arch\n" not in error.replace("\\nb.arch", "")


def test_a_file_name_with_control_characters_is_escaped_everywhere(
    tmp_path: Path, capsys: Capture
) -> None:
    path = written(tmp_path, "network n {\n  input x: [3]\n  Nosuch\n}\n", "\x1b[31m\u202ex\n.arch")

    for form in ("text", "json"):
        result = in_process(capsys, "check", "--format", form, path)
        assert result.status == 1
        assert not any(mark in result.error + result.out for mark in ("\x1b", "\u202e", "x\n.arch"))


def test_text_of_a_spec_is_escaped_in_messages(tmp_path: Path, capsys: Capture) -> None:
    hostile = "\x1b\u202e\u2066\x07\x9b\u200b"
    path = written(
        tmp_path, f'network n {{\n  "{hostile}"\n  input x: [3]\n  "{hostile}": ReLU\n}}\n'
    )
    error = refused(in_process(capsys, "check", path))

    assert not any(mark in error for mark in hostile)


# --- imports --------------------------------------------------------------------------------

IMPORTING = 'import B from "{path}"\nnetwork n {{\n  input x: [3, 8, 8]\n  B\n}}\n'
BLOCK = "block B {\n  ReLU\n}\n"


def test_an_import_stays_inside(tmp_path: Path) -> None:
    written(tmp_path, BLOCK, "deep/er/b.arch")
    path = written(tmp_path, IMPORTING.format(path="deep/er/../er/./b.arch"))

    assert archdsl.load(str(path)).name == "n"


def test_imports_are_relative_to_the_importing_file(tmp_path: Path) -> None:
    written(tmp_path, BLOCK, "c.arch")
    written(tmp_path, 'import B from "../c.arch"\n', "deep/b.arch")
    path = written(tmp_path, IMPORTING.format(path="deep/b.arch"))

    assert archdsl.load(str(path)).name == "n"


@pytest.mark.parametrize(
    "where",
    [
        "../b.arch",
        "sub/../../b.arch",
        "{outside}",
        "link.arch",
        "folder/b.arch",
        "/dev/zero",
        "",
        ".",
    ],
)
def test_an_import_that_leads_out_is_refused(tmp_path: Path, capsys: Capture, where: str) -> None:
    outside = written(tmp_path, BLOCK, "b.arch")
    inside = tmp_path / "inside"
    path = written(tmp_path, IMPORTING.format(path=where.format(outside=outside)), "inside/n.arch")
    (inside / "sub").mkdir()
    (inside / "link.arch").symlink_to(outside)
    (inside / "folder").symlink_to(tmp_path)

    error = refused(in_process(capsys, "check", path))

    assert "n.arch:1:15" in error
    assert "ReLU" not in error


def test_a_link_within_the_folder_is_followed(tmp_path: Path) -> None:
    target = written(tmp_path, BLOCK, "target.arch")
    (tmp_path / "b.arch").symlink_to(target)

    assert archdsl.load(str(written(tmp_path, IMPORTING.format(path="b.arch")))).name == "n"


def test_a_search_path_is_allowed_and_nothing_beside_it(tmp_path: Path, capsys: Capture) -> None:
    written(tmp_path, BLOCK, "allowed/b.arch")
    written(tmp_path, BLOCK, "other/b.arch")
    path = written(tmp_path, IMPORTING.format(path="b.arch"), "inside/n.arch")

    assert in_process(capsys, "check", path).status == 1
    assert in_process(capsys, "check", "--search-path", tmp_path / "allowed", path).status == 0
    path = written(tmp_path, IMPORTING.format(path="../other/b.arch"), "inside/n.arch")
    assert in_process(capsys, "check", "--search-path", tmp_path / "allowed", path).status == 1


def test_what_is_imported_is_not_quoted_unless_it_is_a_spec(
    tmp_path: Path, capsys: Capture
) -> None:
    written(tmp_path, "root:$6$SECRET:0:0:root\n", "b.arch")
    path = written(tmp_path, IMPORTING.format(path="b.arch"))

    error = refused(in_process(capsys, "check", path))

    assert "SECRET" not in error
    assert "line 1" in error


@pytest.mark.parametrize("content", [b"\xff\xfe", b"\0\1\2"])
def test_binary_imports(tmp_path: Path, capsys: Capture, content: bytes) -> None:
    written(tmp_path, content, "b.arch")

    error = refused(in_process(capsys, "check", written(tmp_path, IMPORTING.format(path="b.arch"))))

    assert "n.arch:1:15" in error


def test_rings_are_shown_whatever_they_are_called(tmp_path: Path, capsys: Capture) -> None:
    written(tmp_path, 'import B from "c.arch"\n', "b.arch")
    written(tmp_path, 'import B from "d.arch"\n', "c.arch")
    (tmp_path / "d.arch").symlink_to(tmp_path / "b.arch")  # the ring closes by another name
    path = written(tmp_path, IMPORTING.format(path="b.arch"))

    error = refused(in_process(capsys, "check", path))

    assert "import each other" in error
    assert error.count("->") >= 2


def test_a_file_that_imports_itself(tmp_path: Path, capsys: Capture) -> None:
    path = written(tmp_path, IMPORTING.format(path="n.arch"))

    assert "import each other" in refused(in_process(capsys, "check", path))


def test_a_ring_of_names_ends(tmp_path: Path, capsys: Capture) -> None:
    path = written(tmp_path, "block A = B\nblock B = A\n" + GOOD.replace("ReLU", "A"))

    assert "needs itself" in refused(in_process(capsys, "check", path))


# --- what a spec can't do -------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "__import__",
        'exec("1")',
        'eval("1")',
        'open("/etc/passwd")',
        "().__class__",
        "in.__class__",
        "ReLU.__init__",
        '"{x.__class__}"',
        "lambda",
        "getattr(in, 1)",
    ],
)
def test_nothing_of_python_can_be_reached(tmp_path: Path, capsys: Capture, text: str) -> None:
    path = written(
        tmp_path, f"network n(x: str = none) {{\n  input i: [3]\n  let a = {text}\n  ReLU\n}}\n"
    )

    refused(in_process(capsys, "check", path))
    refused(in_process(capsys, "count", path, "-p", f"x={text.replace('{', '(')}"))


def test_loading_opens_only_the_spec_and_its_imports(tmp_path: Path) -> None:
    written(tmp_path, BLOCK, "b.arch")
    path = written(tmp_path, IMPORTING.format(path="b.arch"))
    program = (
        "import sys, archdsl, archdsl.network\n"
        "archdsl.load('lenet5').count().render()\n"  # what is imported late is there now
        "seen = []\n"
        "names = 'open', 'subprocess.Popen', 'os.system', 'os.exec', 'socket.connect'\n"
        "sys.addaudithook(lambda event, given: seen.append((event, given)) if event in names\n"
        "    else None)\n"
        f"archdsl.load({str(path)!r}).count().render()\n"
        "known = (sys.prefix, sys.base_prefix, archdsl.__path__[0])\n"
        "print('\\n'.join(f'{event} {given[0]}' for event, given in seen\n"
        "    if event != 'open' or not str(given[0]).startswith((*known, *'0123456789'))))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines() == [f"open {path}", f"open {tmp_path / 'b.arch'}"]


def test_only_archerror_leaves_the_library(tmp_path: Path) -> None:
    for spec in (
        "missing.arch",
        str(tmp_path),
        "",
        ":",
        "a:b",
        "\0",
        "lenet5:nosuch",
        "/",
        "resnet:",
    ):
        with pytest.raises(ArchError):
            archdsl.load(spec)
    for parameters in ({"classes": object()}, {"classes": 2**70}, {"nosuch": 1}, {"classes": "x"}):
        with pytest.raises(ArchError):
            archdsl.load("lenet5", **parameters)
    for shapes in ({"image": ()}, {"image": (1, 2)}, {"nosuch": (1,)}, {"image": (0, 0, 0)}):
        with pytest.raises(ArchError):
            archdsl.load("lenet5", inputs=shapes)
