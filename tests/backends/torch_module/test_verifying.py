"""What `verify` sees of attention, and that it still tells a wrong count from a right one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from compiled import load
from torch.utils import flop_counter

from archdsl.backends.torch_module import torch_module, verify, verifying
from archdsl.backends.torch_module.verifying import macs_of

ATTENTION = "network net { input x: [6, 8]; MultiheadAttention(2, dropout = 0.1); Linear(3) }"


@pytest.fixture(params=["as installed", "no fused kernel known"])
def counter(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A counter that knows fused attention, and one that does not, as in some versions of torch."""
    if request.param == "no fused kernel known":
        for operator in [*flop_counter.flop_registry]:
            if "attention" in str(operator):
                monkeypatch.delitem(flop_counter.flop_registry, operator)


@pytest.mark.usefixtures("counter")
@pytest.mark.parametrize("frozen", [False, True])
def test_attention_is_looked_into(tmp_path: Path, frozen: bool) -> None:
    """Frozen, torch takes one kernel for all of `nn.MultiheadAttention` in evaluation mode."""
    checked = load(tmp_path, ATTENTION)
    module = torch_module(checked)
    module.requires_grad_(not frozen)

    found = verify(module, checked)

    assert found.agrees
    assert not found.uncounted


@pytest.mark.usefixtures("counter")
@pytest.mark.parametrize("name", ["0", "1"])
def test_a_wrong_count_is_noticed(tmp_path: Path, name: str) -> None:
    checked = load(tmp_path, ATTENTION)
    node = checked.nodes[name]
    wrong = replace(node, facts=node.facts._replace(macs=node.facts.macs + 1))
    tampered = replace(checked, nodes={**checked.nodes, name: wrong})

    found = verify(torch_module(checked), tampered)

    assert [check.name for check in found.disagreeing] == [name, name]


def test_counting_leaves_random_numbers_as_they_were() -> None:
    torch.manual_seed(0)
    first = torch.rand(3)
    torch.manual_seed(0)
    macs_of(lambda: torch.rand(5))

    assert torch.equal(torch.rand(3), first)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ([1.0, float("nan")], [1.0, float("nan")], True),
        ([1.0, float("nan")], [1.0, 0.0], False),
        ([1.0, float("inf")], [1.0, 3.4028234663852886e38], False),
        ([1, 2], [1, 2], True),
        ([1, 2], [1, 3], False),
        ([True], [False], False),
        ([1.0], [1.0, 1.0], False),
    ],
)
def test_outputs_are_the_same_number_by_number(
    one: list[float], other: list[float], same: bool
) -> None:
    assert verifying._same(torch.tensor(one), torch.tensor(other)) is same


def test_a_parameter_that_is_multiplied_stays_one(tmp_path: Path) -> None:
    """For torch takes another kernel where a factor needs no gradient, which rounds otherwise."""
    checked = load(
        tmp_path,
        "network net { input x: [30, 11]; Transpose(1, 2) -> map: Unflatten(2, [6, 5]); "
        "parameter p: [5, 5] = normal(); from map, p -> MatMul }",
    )

    assert verify(torch_module(checked), checked).agrees
