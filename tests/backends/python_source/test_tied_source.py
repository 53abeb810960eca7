"""Parameters that are those of others, in generated source."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from compiled import load, require_success, verified
from torch import nn

from archdsl.analysis.state import state_dict
from archdsl.backends.export.writing import save_weights
from archdsl.backends.python_source import generate
from archdsl.backends.torch_module import load_weights, torch_module
from archdsl.diagnostics import ArchError

BLOCKS = """
block Pair(width) { a: Linear(width) -> Linear(width, weight = from a.weight, bias = from a.bias) }
block Two(width, tie) {
  a: Linear(width)
  if tie { b: Linear(width, weight = from a.weight) } else { b: Linear(width) }
}
block Inner { proj: Linear(8) }
"""
CASES = {
    "head": (
        "wte: Embedding(50, 8) -> body: Inner -> head: Linear(50, bias = false, "
        "weight = from wte.weight)"
    ),
    "table": (
        "parameter table: [50, 8] = normal()\nwte: Embedding(50, 8, weight = from "
        "table)\nhead: Linear(50, weight = from table)"
    ),
    "numbers": "Embedding(50, 8) -> Linear(50, bias = false, weight = from 0.weight)",
    "deep": (
        "t: { e: { wte: Embedding(50, 8) }; Inner } -> g: { Linear(8, weight = from "
        "t.1.proj.weight) }"
    ),
    "blocks": "wte: Embedding(50, 8) -> Pair(8) -> Pair(8) -> Linear(6) -> Pair(6)",
    "options": (
        "wte: Embedding(50, 8) -> Two(8, true) -> Two(8, false) -> Linear(6) -> Two(6, true)"
    ),
    "loops": (
        'wte: Embedding(50, 8) -> l0: Linear(8)\nfor i in range(1, 7) { "l{i}": '
        "Linear(8, weight = from l0.weight) }"
    ),
    "chain": "e: Embedding(50, 8) -> f: { Linear(8) -> Linear(8, bias = from 0.bias) -> ReLU }",
    "from a loop": (
        'e: Embedding(50, 8)\nfor i in range(6) { "l{i}": Linear(8) }\nz: '
        "Linear(8, weight = from l4.weight)"
    ),
    "stack": (
        "e: Embedding(50, 8)\nlayers: { for i in range(6) { Inner } }\nz: "
        "Linear(8, weight = from layers.3.proj.weight)"
    ),
    "labels": (
        'e: Embedding(50, 8) -> "a b": Linear(8) -> "c-d": Linear(8, weight = from "a b".weight)'
    ),
    "again": (
        "e: Embedding(50, 8) -> h: Linear(8) -> k: Linear(8, weight = from h.weight) -> reuse k"
    ),
    "reused block": "e: Embedding(50, 8) -> p: Pair(8) -> reuse p",
}


def spec(body: str) -> str:
    return f"network net {{ input tokens: [5]\n{body}\n}}\n{BLOCKS}"


@pytest.mark.parametrize("name", CASES)
def test_modules_own_one_tensor_under_both_names(name: str, tmp_path: Path) -> None:
    checked = load(tmp_path, spec(CASES[name]))
    source, found = verified(checked)

    assert found.agrees, source
    module = torch_module(checked, generate(checked))
    assert {key: tuple(held.shape) for key, held in module.state_dict().items()} == state_dict(
        checked
    )
    assert [*module.state_dict()] == [*state_dict(checked)]
    held = dict(module.named_parameters(remove_duplicate=False))
    ties = [
        (f"{node.name}.{tie.name}", tie.path)
        for node in checked.nodes.values()
        for tie in node.ties
    ]
    assert ties
    assert all(held[one] is held[other] for one, other in ties)


def test_source_with_ties_is_taken_by_mypy_and_ruff(tmp_path: Path) -> None:
    files = []
    for number, body in enumerate(CASES.values()):
        folder = tmp_path / f"case{number}"
        folder.mkdir()
        files.append(tmp_path / f"net{number}.py")
        files[-1].write_text(generate(load(folder, spec(body))).text)
    require_success("mypy", "--strict", "--no-incremental", *map(str, files))
    require_success("ruff", "check", "--no-cache", *map(str, files))
    require_success("ruff", "format", "--check", "--no-cache", *map(str, files))


def test_weights_may_hold_either_name_or_both(tmp_path: Path) -> None:
    checked = load(tmp_path, spec(CASES["head"]))
    made = [torch_module(checked, generate(checked)) for _ in range(2)]
    state = made[0].state_dict()

    for left_out in ("head.weight", "wte.weight", ""):
        module: nn.Module = made[1]
        nn.init.zeros_(module.get_parameter("wte.weight"))
        report = load_weights(module, {k: v for k, v in state.items() if k != left_out})
        assert report.filled == ((left_out,) if left_out else ())
        assert torch.equal(module.get_parameter("head.weight"), state["wte.weight"])


def test_weights_with_other_numbers_under_either_name_are_refused(tmp_path: Path) -> None:
    checked = load(tmp_path, spec(CASES["head"]))
    module = torch_module(checked, generate(checked))
    state = {**module.state_dict()}
    before = state["wte.weight"].clone()
    state["head.weight"] = state["head.weight"] + 1

    with pytest.raises(ArchError, match=r"head.weight holds other numbers than wte.weight"):
        load_weights(module, state)
    assert torch.equal(module.get_parameter("wte.weight"), before)


def test_tied_weights_are_written_under_both_names(tmp_path: Path) -> None:
    checked = load(tmp_path, spec(CASES["head"]))
    module = torch_module(checked, generate(checked))
    save_weights(module, tmp_path / "net.safetensors")

    other = torch_module(checked, generate(checked))
    assert not load_weights(other, tmp_path / "net.safetensors").filled
    assert torch.equal(other.get_parameter("head.weight"), module.get_parameter("wte.weight"))
