"""archdsl check, networks, layers, and what all commands share."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from running import GOLDEN, Command

from archdsl.cli.main import COMMANDS, run

Golden = Callable[[Path, str], None]
WRONG = """\
network wrong {
  input image: [3, 8, 8]
  a: Conv2D(4, 3)
  b: Conv2d(4, 3, paddin = 1)
  c: Nosuch
}
"""


@pytest.fixture
def wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "wrong.arch").write_text(WRONG)
    monkeypatch.chdir(tmp_path)
    return "wrong.arch"


def test_check_says_that_all_is_well(archdsl: Command) -> None:
    assert archdsl.printed("check", "small.arch") == "small.arch: ok (tiny, wide)\n"
    assert archdsl.printed("check", "small.arch:wide", "lenet5").splitlines()[0] == (
        "small.arch:wide: ok (wide)"
    )


def test_check_reports_everything(archdsl: Command, wrong: str, golden: Golden) -> None:
    result = archdsl("check", wrong)

    assert (result.status, result.out) == (1, "")
    golden(GOLDEN / "check_wrong.txt", result.error)


def test_check_goes_on_with_the_next_spec(archdsl: Command, wrong: str) -> None:
    result = archdsl("check", wrong, "lenet5")

    assert result.status == 1
    assert "lenet5: ok" in result.out
    assert "E0201" in result.error


def test_check_as_data(archdsl: Command, wrong: str) -> None:
    result = archdsl("check", "--format", "json", wrong)
    data = json.loads(result.out)

    assert (result.status, result.error) == (1, "")
    assert [(one["line"], one["column"]) for one in data] == [(3, 6), (4, 19), (5, 6)]
    for one in data:
        assert {
            "code",
            "message",
            "file",
            "line",
            "column",
            "label",
            "labels",
            "help",
        } <= one.keys()
        assert one["file"] == "wrong.arch"
    assert json.loads(archdsl.printed("check", "--format", "json", "lenet5")) == []


def test_networks(archdsl: Command, golden: Golden) -> None:
    golden(GOLDEN / "networks.txt", archdsl.printed("networks", "small.arch"))


def test_networks_of_the_library(archdsl: Command) -> None:
    out = archdsl.printed("networks")

    assert "resnet50(" in out
    assert "inception_v3(classes: int = 1000" in out


def test_a_layer_is_explained(archdsl: Command) -> None:
    out = archdsl.printed("layers", "Conv2d")

    assert out.startswith("Conv2d(out_channels, kernel_size, stride = 1, padding = 0, ")
    for word in ("Arguments", "Examples", "a positive integer", "parameters"):
        assert word in out


def test_all_layers_are_listed(archdsl: Command) -> None:
    out = archdsl.printed("layers")

    for name in ("Conv2d", "ConvTranspose3d", "LayerNorm", "MultiheadAttention", "Subsampling"):
        assert f"  {name}(" in out or f"  {name}\n" in out
    assert len(out.splitlines()) > 150


def test_an_unknown_layer_is_answered_with_the_nearest(archdsl: Command) -> None:
    result = archdsl("layers", "Conv2D")

    assert result.status == 2
    assert "Conv2d" in result.error


def test_an_unknown_command_is_answered_with_the_nearest(archdsl: Command) -> None:
    result = archdsl("cuont", "lenet5")

    assert result.status == 2
    assert "Did you mean 'count'?" in result.error


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(archdsl: Command, command: str) -> None:
    text = archdsl.printed(command, "--help")

    assert text.startswith(f"Usage: archdsl {command} ")
    assert ("--limit NAME=N" in text) == (command != "import")  # which reads no spec
    assert archdsl.printed(command, "-h") == text
    assert f"  {command} " in archdsl.printed("--help")


def test_the_version(archdsl: Command) -> None:
    assert archdsl.printed("--version").startswith("archdsl, version 0.")


def test_a_file_means_the_network_named_like_it_or_its_last(
    archdsl: Command, tmp_path: Path
) -> None:
    network = "network {} {{\n  input x: [3]\n  Linear({})\n}}\n"
    path = tmp_path / "b.arch"
    for names, meant in ((("a", "b", "c"), 2), (("a", "c", "d"), 3)):
        path.write_text("".join(network.format(n, at) for at, n in enumerate(names, 1)))
        out = archdsl.printed("count", path, "--format", "json")
        assert json.loads(out)["outputs"] == {"output": [meant]}


def test_layers_of_ones_own(
    archdsl: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_layers_of_this_test.py").write_text(
        "import archdsl\n\n"
        "@archdsl.layer\n"
        "class Twice(archdsl.Layer):\n"
        '    """Twice the input."""\n\n'
        "    times: int = 2\n\n"
        "    def infer(self, inputs):\n"
        "        return archdsl.Facts(output=inputs[0],\n"
        "            torch=archdsl.TorchFunction(f'{self.times} * {{0}}'),\n"
        "            other={'elementwise': 1})\n"
    )
    spec = tmp_path / "own.arch"
    spec.write_text("network own {\n  input x: [3]\n  Twice(3)\n}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("archdsl.own_layers._registered", {})

    assert archdsl("count", spec).status == 1
    data = json.loads(
        archdsl.printed("count", spec, "--layers", "my_layers_of_this_test", "--format", "json")
    )
    assert data["layers"][0]["type"] == "Twice"
    sys.modules.pop("my_layers_of_this_test")
    assert archdsl("check", spec, "--layers", "no_such_module_at_all").status == 2


def test_a_search_path_lets_imports_out(archdsl: Command, tmp_path: Path) -> None:
    shared, own = tmp_path / "shared", tmp_path / "own"
    shared.mkdir()
    own.mkdir()
    (shared / "b.arch").write_text("block B {\n  ReLU\n}\n")
    (own / "n.arch").write_text('import B from "b.arch"\nnetwork n {\n  input x: [3]\n  B\n}\n')

    assert archdsl("check", own / "n.arch").status == 1
    assert archdsl("check", own / "n.arch", "--search-path", shared).status == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["count", ""], '"" does not exist'),
        (["check", " "], '" " does not exist'),
        (["count", "lenet5", "-p", ""], "`` is not NAME=VALUE"),
        (["count", "lenet5", "--input", ""], "`` is not NAME=VALUE"),
        (["count", "lenet5", "--input", "image="], "`` is no shape"),
        (["count", "lenet5", "--limit", ""], "`` is not NAME=N"),
        (["count", "lenet5", "--limit", "=3"], "no limit called ``"),
        (["count", "lenet5", "--search-path", ""], "`` is no folder"),
        (["count", "lenet5", "--layers", ""], "`` is not the name of a Python module"),
        (["count", "lenet5", "--freeze", ""], "is called ``"),
        (["draw", "lenet5", "-o", "x.svg", "--unfold", ""], "no block `` to unfold"),
        (["draw", "lenet5", "-o", "x.svg", "--engine", ""], "and not ``"),
        (["layers", ""], "no layer called ``"),
    ],
)
def test_what_was_given_is_seen_though_it_is_empty(
    archdsl: Command, arguments: list[str], said: str
) -> None:
    result = archdsl(*arguments)

    assert result.status in (1, 2)
    assert said in result.error


def test_a_value_from_outside_that_is_no_integer_leads_to_no_expression(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "net.arch"
    path.write_text("network net(w: int) { input x: [4]; Linear(w) }")

    assert run(["count", str(path), "-p", "w=7.5"]) == 1
    said = capsys.readouterr().err
    assert "`w` of `net` must be an integer" in said
    assert "help" not in said
