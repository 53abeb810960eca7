"""archdsl import: what is named is found, written, and compared."""

from __future__ import annotations

from pathlib import Path

import modules
import pytest
import torch
from running import Command
from safetensors.torch import load_file

from archdsl import from_torch


def test_a_module_is_written_and_compared(command: Command, tmp_path: Path) -> None:
    given = ("import", "modules:Residuals", "--arg", "width=4", "--input", "3x8x8")

    result = command(*given, "-o", "net.arch")

    assert result.status == 0, result
    assert "compared    the same, name by name; outputs equal" in result.out
    text = (tmp_path / "net.arch").read_text()
    assert text.startswith("network Residuals {")
    # the block's parameters are called as those of the class
    assert "block Unit(out, stride = 1) {" in text
    assert command("check", "net.arch").status == 0
    # what archdsl wrote may be written over
    assert command(*given, "-o", "net.arch").status == 0


def test_standard_output_has_nothing_but_the_text(command: Command) -> None:
    result = command("import", "modules:ready", "--input", "rows=4", "-o", "-")

    assert result.status == 0
    assert result.out.startswith("network ready {")
    assert "input rows: [4]" in result.out
    assert "outputs equal" in result.error


def test_what_differs_is_written_with_a_mark_and_fails(command: Command, tmp_path: Path) -> None:
    result = command("import", "modules:OfBatch", "--input", "4", "-o", "net.arch")

    assert result.status == 1
    assert "not the same" in result.out
    assert (tmp_path / "net.arch").read_text().startswith("# archdsl import: not the same")


def test_state_that_no_output_needs_is_said(command: Command, tmp_path: Path) -> None:
    result = command("import", "modules:Unused", "--input", "4", "-o", "net.arch")

    assert result.status == 0
    assert "the same, name by name, but for spare.weight, spare.bias" in result.out
    assert "spare.weight, spare.bias" in (tmp_path / "net.arch").read_text()


def test_files_of_others_are_left_alone(command: Command, tmp_path: Path) -> None:
    (tmp_path / "net.arch").write_text("network net { input x: [4] ReLU }")

    result = command("import", "modules:ready", "--input", "4", "-o", "net.arch")

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
        ("modules:broken", (), 'raise ZeroDivisionError("by design")'),  # the line itself
        ("wrong_inside:net", (), "wrong_inside.py:1: 1 / 0"),
        ("modules:ready", ("--input", "5"), "the forward pass of `Sequential` fails"),
        ("modules:Fails", ("--input", "4"), 'raise KeyError("nothing there")'),
        ("modules:Sorts", ("--input", "4"), "2 times: `logcumsumexp`"),
        ("modules:ready", ("--weights", "none.pt"), "none.pt"),
    ],
)
def test_bad_input_is_a_sentence(
    command: Command, tmp_path: Path, what: str, options: tuple[str, ...], said: str
) -> None:
    (tmp_path / "wrong_inside.py").write_text("1 / 0")

    result = command("import", what, *options, "-o", "net.arch")

    assert result.status == 1
    assert said in result.error
    assert "Traceback" not in result.error
    assert not (tmp_path / "net.arch").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--input", "0x3"), "is no shape"),
        (("--arg", "width"), "is not NAME=VALUE"),
        (("-o", "net.py"), "must end in .arch"),
        (("--rename", "a=b"), "--rename is of --weights"),
        (("--allow-mismatch", "a"), "--allow-mismatch is of --weights"),
        (("--weights-to", "net.pt"), "must end in .safetensors"),
    ],
)
def test_bad_options_are_wrong_usage(command: Command, options: tuple[str, ...], said: str) -> None:
    result = command("import", "modules:ready", *options)

    assert result.status == 2
    assert said in result.error


def test_weights_are_loaded_by_other_names_and_written_beside_the_text(
    command: Command, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    module = modules.Residuals()
    state = {
        f"module.{name}": one
        for name, one in module.state_dict().items()
        if "num_batches_tracked" not in name  # which torch does without as well
    }
    torch.save({"state_dict": state}, tmp_path / "net.pt")
    given = ("import", "modules:Residuals", "--input", "3x8x8", "--weights", "net.pt")
    written = ("-o", "net.arch", "--weights-to", "net.safetensors")

    refused = command(*given, *written)
    loaded = command(*given, *written, "--rename", "module.*=*")
    again = command(*given, *written, "--rename", "module.*=*")

    assert refused.status == 1
    assert "--rename 'module.*=*'" in refused.error  # which is what mends it
    assert loaded.status == 0, loaded
    assert "weights     net.safetensors" in loaded.out
    stored = load_file(tmp_path / "net.safetensors")
    assert {*stored} == {*module.state_dict()}
    assert all(
        torch.equal(stored[name.removeprefix("module.")], one) for name, one in state.items()
    )
    assert command("compile", "net.arch", "--weights", "net.safetensors", "-o", "x.py").status == 0
    assert again.status == 2
    assert "net.safetensors is there already" in again.error


def test_weights_and_text_are_written_both_or_none(command: Command, tmp_path: Path) -> None:
    result = command(
        "import", "modules:Residuals", "--input", "3x8x8", "-o", "net.arch",
        "--weights-to", "nowhere/net.safetensors",
    )  # fmt: skip

    assert result.status != 0
    assert "nowhere/net.safetensors" in result.error
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("order", [("key", "query"), ("query", "key")])
def test_inputs_with_the_names_of_parameters_are_given_by_them(
    command: Command, tmp_path: Path, order: tuple[str, str]
) -> None:
    given = [part for name in order for part in ("--input", f"{name}=4")]

    result = command("import", "modules:Differs", *given, "-o", "net.arch")
    counted = command("count", "--module", "modules:Differs", *given)

    assert result.status == 0, result
    assert "from query -> ask: Linear" in (tmp_path / "net.arch").read_text()
    assert "query 4, key 4 -> output" in counted.out.replace(" and ", ", ")


def test_tensors_are_given_by_the_names_of_parameters() -> None:
    key, query = torch.zeros(2, 4), torch.ones(2, 4)
    module = modules.Differs()

    network = from_torch(module, [key, query], inputs=["key", "query"])

    assert "from query -> ask: Linear" in network.spec


@pytest.mark.parametrize("given", [("key=4",), ("key=4", "other=4"), ("4", "query=4")])
def test_names_of_parameters_at_other_places_are_refused(
    command: Command, given: tuple[str, ...]
) -> None:
    shapes = [part for one in given for part in ("--input", one)]

    result = command("import", "modules:Differs", *shapes, "-o", "net.arch")

    assert result.status == 1
    assert "is given as input" in result.error
    assert "give all inputs" in result.error
