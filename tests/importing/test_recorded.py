"""Any module that runs can be counted and drawn, whether the language has words for it or not."""

from __future__ import annotations

from pathlib import Path

import modules
import pytest
import torch
import words
from running import Command
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import archdsl
from archdsl.importing.errors import ImportingError
from archdsl.importing.imported import graph_of
from archdsl.network import Network

MODULES: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "odd": (words.Odd(), (4,)),
    "window convolution": (words.WindowConvolution(), (3, 4, 4)),
    "convolution behind windows": (
        nn.Sequential(nn.Conv2d(2, 3, 1), nn.ReLU(), words.WindowConvolution()),
        (2, 4, 4),
    ),
    "windows": (words.Windows(), (8, 8, 8)),
    "masks": (words.Masks(), (6, 8)),
    "rows": (words.Rows(), (5, 8)),
    "adds": (words.Adds(), (3, 4)),
    "residuals": (modules.Residuals(), (3, 8, 8)),
    "dense": (modules.Dense(), (4, 6, 6)),
    "own": (nn.Sequential(modules.Own(4), modules.Own(4)), (3, 4)),
    "twice": (modules.Twice(), (4,)),
    "asks constants": (modules.AsksConstants(), (4,)),
}


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_parameters_and_macs_are_those_of_torch(name: str, device: str) -> None:
    module, shape = MODULES[name]
    image = torch.randn(2, *shape)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module.eval()(image)
    before = {key: one.clone() for key, one in module.state_dict().items()}
    moved = module if device == "cpu" else on_meta(module)

    with torch.device(device):
        count = Network(graph_of(moved, (image.to(device),), name)).count()

    assert count.parameters == sum(one.numel() for one in module.parameters())
    # before torch 2.15 the counter knew no fused attention on a CPU, a layer of the language
    known = any("attention" in str(one) for one in counter.get_flop_counts().get("Global", {}))
    attention = 3 * 2 * 6 * 6 * (4 + 4) if name == "masks" and not known else 0
    assert count.macs == counter.get_total_flops() // 4 + attention
    assert all(torch.equal(one, before[key]) for key, one in module.state_dict().items())


def on_meta(module: nn.Module) -> nn.Module:
    from copy import deepcopy

    return deepcopy(module).to("meta")


def test_what_is_not_counted_is_marked_and_never_a_silent_zero() -> None:
    network = archdsl.from_torch(words.Odd(), torch.randn(2, 4))

    text = str(network.count())
    assert "from torch: topk (not counted)" in text
    (warning,) = network.warnings
    assert "topk (2 times)" in warning
    assert "doesn't know them: aten.topk" in warning
    assert "<svg" in network.draw(format="svg").data.decode()


def test_what_the_counter_knows_is_counted_in_its_place() -> None:
    network = archdsl.from_torch(words.OwnFilters(), torch.randn(2, 3, 4, 4))

    text = str(network.count())
    assert "from torch: " in text
    assert "not counted" not in text
    assert network.count().macs == 3 * 15 + 5 * 3 * 4 * 4


def test_what_asks_for_the_text_lists_what_is_missing() -> None:
    network = archdsl.from_torch(words.Odd(), torch.randn(2, 4))

    for ask in (lambda: network.spec, lambda: network.proof, network.compile):
        with pytest.raises(ImportingError, match="`topk`"):
            ask()
    assert [*network.weights] == [*words.Odd().state_dict()]


def test_modules_are_counted_and_drawn_by_their_names(command: Command, tmp_path: Path) -> None:
    counted = command("count", "--module", "words:Odd", "--input", "numbers=4")
    drawn = command("draw", "--module", "words:Odd", "--input", "4", "-o", "odd.svg")
    both = command(
        "count", "--module", "modules:Residuals", "--input", "3x8x8",
        "--module", "modules:Dense",
    )  # fmt: skip

    assert counted.status == 0, counted
    assert "numbers 4 -> output" in counted.out
    assert " parts of `Odd` are no layer" in counted.out + counted.error
    assert drawn.status == 0, drawn
    assert "from torch" in (tmp_path / "odd.svg").read_text()
    assert both.status == 1  # the second wants another input
    assert "E0902" in both.error
    assert "self." in both.error  # the line of its code


def test_importing_lists_what_is_missing_and_writes_nothing(
    command: Command, tmp_path: Path
) -> None:
    result = command("import", "words:Odd", "--input", "4", "-o", "odd.arch")

    assert result.status == 1
    assert "2 times: `topk`" in result.error
    assert "best, places = torch.topk(y, 3)" in result.error
    assert not (tmp_path / "odd.arch").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("count",), "--module MODULE:NAME"),
        (("draw",), "one --module"),
        (("draw", "resnet18", "--module", "words:Odd"), "one --module"),
        (("count", "resnet18", "--arg", "a=1"), "--arg is of --module"),
        (("count", "--module", "words:Odd", "--input", "HxW"), "free sizes"),
        (("count", "--module", "words"), "is not MODULE:NAME"),
    ],
)
def test_wrong_use_is_said(command: Command, given: tuple[str, ...], said: str) -> None:
    result = command(*given)

    assert result.status in (1, 2)
    assert said in result.error


def test_large_constants_of_a_module_without_numbers_are_counted() -> None:
    class Shifted(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + torch.full((130, 130), 0.3)

    with torch.device("meta"):
        graph = graph_of(Shifted(), (torch.empty(2, 130, 130),), "net")

    assert next(iter(graph.nodes)) == "x"
