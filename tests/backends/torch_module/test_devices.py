"""Devices, types, and what doesn't fit in memory."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import pytest
from compiled import load

from archdsl.backends.python_source import generate
from archdsl.backends.torch_module import (
    TorchError,
    compare_parameters,
    devices,
    run_once,
    torch_module,
    verify,
)
from archdsl.backends.torch_module.building import class_of
from archdsl.pipeline import Spec

torch = pytest.importorskip("torch")
SPECS = Path(__file__).parents[3] / "specs"


HUGE = """network net { input x: [1000000]
  repeat 3 { Linear(1000000, bias = false) -> ReLU }
}"""


def test_meta_allocates_nothing(tmp_path: Path) -> None:
    checked = load(tmp_path, HUGE)
    module = torch_module(checked, device="meta")
    compared = compare_parameters(module, checked)
    assert compared.agrees
    assert compared.found == 3 * 10**12
    assert run_once(module, checked, "meta").outputs == {"output": (2, 1_000_000)}


def test_what_does_not_fit_is_refused_in_a_sentence(tmp_path: Path) -> None:
    checked = load(tmp_path, HUGE)
    with pytest.raises(
        TorchError, match=r"making `net` would take 10.9 TiB of memory, and .* free"
    ):
        torch_module(checked)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("MemTotal: 9000 kB\nMemFree:     100 kB\nMemAvailable:   2000 kB\n", 2_048_000),
        ("MemTotal: 9000 kB\nMemFree:     100 kB\n", None),  # before Linux 3.14
        (None, None),  # another system
    ],
)
def test_what_files_hold_in_memory_counts_as_free(
    said: str | None, expected: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if said is not None:
        (tmp_path / "meminfo").write_text(said)
    monkeypatch.setattr(devices, "MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr("os.sysconf", {"SC_AVPHYS_PAGES": 3, "SC_PAGE_SIZE": 4096}.get)

    assert devices.available(torch.device("cpu")) == (expected or 3 * 4096)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("parameter", "0.5"),
        ("parameter", "[i + j for i, j]"),
        ("buffer", "[i + j for i, j]"),
        ("buffer", "[j <= i for i, j]"),
        ("constant", "0.5"),
        ("constant", "[i + j for i, j]"),
        ("constant", "[j <= i for i, j]"),
    ],
)
def test_tensors_of_its_own_that_do_not_fit(word: str, value: str, tmp_path: Path) -> None:
    """They are counted, and no number of them is made."""
    checked = load(
        tmp_path,
        f"network net {{ input x: [4]; {word} k: [1000000, 1000000] = {value}\n"
        "  from k -> Slice(0, 1, dim = 0) -> row: Flatten(0) -> Slice(0, 4, dim = 0)\n"
        '  To("float") -> few: Scale(2)\n  from x\n  add { branch {} branch { from few } }\n}',
    )
    with pytest.raises(TorchError, match="making `net` would take"):
        torch_module(checked, device="cpu")


@pytest.mark.parametrize("word", ["parameter", "buffer", "constant"])
def test_room_is_counted_to_the_byte(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = load(
        tmp_path,
        f"network net {{ input x: [3, 5]; {word} k: [3, 5] = 0.5\n"
        "  add { branch {} branch { from k } }\n}",
    )
    monkeypatch.setattr(devices, "available", lambda device: 3 * 5 * 4)
    torch_module(checked, device="cpu")
    monkeypatch.setattr(devices, "available", lambda device: 3 * 5 * 4 - 1)
    with pytest.raises(TorchError, match="making `net` would take"):
        torch_module(checked, device="cpu")


def test_activations_that_do_not_fit(tmp_path: Path) -> None:
    checked = load(tmp_path, "network net { input x: [3, 400000, 400000]; Conv2d(64, 1); ReLU }")
    module = torch_module(checked)
    with pytest.raises(TorchError, match="running `net` with a batch of 2 would take"):
        run_once(module, checked, "cpu")


@pytest.mark.parametrize("device", ["cuda:99", "tpu", "cpu:x", "", "cuda:-1"])
def test_a_device_that_is_not_there(device: str, tmp_path: Path) -> None:
    checked = load(tmp_path, "network net { input x: [3]; Linear(2) }")
    with pytest.raises(TorchError, match="there is no device"):
        torch_module(checked, device=device)


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_types(dtype: str, tmp_path: Path) -> None:
    checked = load(tmp_path, "network net { input x: [3, 8, 8]; Conv2d(4, 3); BatchNorm2d }")
    module = torch_module(checked, dtype=dtype, channels_last=True)
    weight: Any = next(module.parameters())
    assert str(weight.dtype) == f"torch.{dtype}"
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert run_once(module, checked, "cpu", dtype, training=True).dtype == dtype


def test_an_unknown_type(tmp_path: Path) -> None:
    checked = load(tmp_path, "network net { input x: [3]; Linear(2) }")
    with pytest.raises(ValueError, match="there is no dtype 'float'"):
        torch_module(checked, dtype="float")


class OlderGELU(torch.nn.Module):
    """What torch had before it had an approximation."""


@pytest.mark.parametrize(
    ("older", "lacks"),
    [(OlderGELU, r"argument `approximate` in `nn\.GELU`"), (None, r"`nn\.GELU`")],
)
def test_an_older_torch(
    older: type | None, lacks: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = load(tmp_path, 'network net { input x: [3]\n  repeat 2 { GELU("tanh") } }')
    if older:
        monkeypatch.setattr(torch.nn, "GELU", older)
    else:
        monkeypatch.delattr(torch.nn, "GELU")

    with pytest.raises(TorchError, match=rf"E0611.* has no {lacks}") as caught:
        torch_module(checked)

    assert [each.span.line for each in caught.value.diagnostics] == [2]


def test_tracebacks_show_the_generated_lines(tmp_path: Path) -> None:
    checked = load(tmp_path, "network net { input x: [3]; fc: Linear(2) }")
    module = torch_module(checked)
    with pytest.raises(RuntimeError) as caught:
        module(torch.zeros(1, 7))
    shown = "".join(traceback.format_exception(caught.value))
    assert "x: torch.Tensor = self.fc(x)" in shown or "x = self.fc(x)" in shown


def test_the_same_text_gives_the_same_class(tmp_path: Path) -> None:
    checked = load(tmp_path, "network net { input x: [3]; fc: Linear(2) }")
    first, second = torch_module(checked), torch_module(checked)
    assert type(first) is type(second)
    assert type(first).__name__ == "Net"


def test_free_sizes_take_any(tmp_path: Path) -> None:
    checked = load(
        tmp_path,
        "network net { input x: [3, H, W]; a: MaxPool2d(4); Upsample(scale_factor = 4); "
        "add { branch {} branch { from x } } }",
    )
    module = torch_module(checked)
    assert verify(module, checked).agrees
    assert module(torch.zeros(1, 3, 8, 12)).shape == (1, 3, 8, 12)
    assert run_once(module, checked, "cpu", sizes={"H": 16}).inputs["x"][2] == 16


def test_a_layer_whose_size_is_free_is_refused(tmp_path: Path) -> None:
    checked = load(tmp_path, "network net { input x: [3, H, W]; Flatten; Linear(2) }")
    with pytest.raises(ValueError, match=r"while the size .* of its layer is free"):
        torch_module(checked)


def test_class_of_finds_the_network_among_other_classes() -> None:
    generated = generate(Spec(str(SPECS / "inception_v3.arch")).graph())
    assert generated.text.count("\nclass ") > 2
    assert class_of(generated).__name__ == "InceptionV3"
