"""What is frozen stays as it is in training: parameters, and the statistics of what has them."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from building import Builder
from hypothesis import given, settings
from hypothesis import strategies as st

import archdsl
from archdsl import own_layers
from archdsl.backends.torch_module import freeze, torch_module
from archdsl.backends.torch_module.running import random_inputs
from archdsl.cli import run
from archdsl.layers.base import Layer, construct
from archdsl.layers.registry import Registry

torch = pytest.importorskip("torch")

NET = """network net { input image: [3, 8, 8]
  body: { conv: Conv2d(4, 3) -> bn: BatchNorm2d -> ReLU }
  plain: BatchNorm2d(affine = false)
  seen: InstanceNorm2d(affine = true, track_running_stats = true)
  drop: Dropout(0.5)
  Flatten
  fc: Linear(5)
}"""
STATISTICS = {"body.bn", "plain", "seen"}


@pytest.fixture
def network(tmp_path: Path) -> archdsl.Network:
    path = tmp_path / "net.arch"
    path.write_text(NET)
    return archdsl.load(path)


def moved(module: Any, steps: int = 1) -> set[str]:
    """Return the modules whose buffers change as the module learns in its present mode."""
    before = {name: tensor.clone() for name, tensor in module.named_buffers()}
    for _ in range(steps):
        module(torch.randn(4, 3, 8, 8))
    return {
        name.rpartition(".")[0]
        for name, tensor in module.named_buffers()
        if not torch.equal(tensor, before[name])
    }


@pytest.mark.parametrize(
    ("patterns", "kept"),
    [
        ([], set()),
        (["body"], {"body.bn"}),
        (["body.*"], {"body.bn"}),
        (["body.bn.weight"], set()),
        (["body.bn.weight", "body.bn.bias"], {"body.bn"}),
        (["body.bn.running_mean"], {"body.bn"}),
        (["body.conv"], set()),
        (["*.weight"], set()),
        (["*.weight", "*.bias"], {"body.bn", "seen"}),
        (["*.running_*"], STATISTICS),
        (["plain"], {"plain"}),
        (["fc", "seen"], {"seen"}),
        (["*"], STATISTICS),
    ],
    ids=lambda each: ", ".join(sorted(each)) or "none",  # a set has another order in each process
)
def test_what_keeps_its_statistics(
    patterns: list[str], kept: set[str], network: archdsl.Network
) -> None:
    module = network.compile(freeze=patterns)

    assert moved(module.train()) == STATISTICS - kept
    assert moved(module.eval()) == set()
    assert moved(module.train()) == STATISTICS - kept


def test_what_is_frozen_computes_in_training_as_in_evaluation(network: archdsl.Network) -> None:
    module: Any = network.compile(freeze=["body"])
    image = torch.randn(4, 3, 8, 8)
    training = module.train().body(image)

    assert torch.equal(training, module.eval().body(image))
    assert not module.train().body.bn.training


def test_dropout_stays_active_in_what_is_frozen(network: archdsl.Network) -> None:
    module: Any = network.compile(freeze=["*"]).train()
    ones = torch.ones(1000)

    assert 0 < int((module.drop(ones) == 0).sum()) < 1000


def test_the_rest_of_a_frozen_scope_is_in_training(network: archdsl.Network) -> None:
    module = network.compile(freeze=["*"]).train()

    evaluating = {name for name, inner in module.named_modules() if not inner.training}
    assert evaluating == STATISTICS


def pickled(module: Any) -> Any:
    held = io.BytesIO()
    torch.save(module, held)
    held.seek(0)
    return torch.load(held, weights_only=False)


STEPS: dict[str, Callable[[Any], Any]] = {
    "train": lambda module: module.train(),
    "eval": lambda module: module.eval(),
    "apply": lambda module: module.apply(lambda inner: inner.train()),
    "deepcopy": copy.deepcopy,
    "pickle": pickled,
    "double": lambda module: module.float(),
    "freed gradients": lambda module: module.zero_grad() or module,
}


@settings(derandomize=True, deadline=None, database=None, max_examples=25)
@given(steps=st.lists(st.sampled_from(sorted(STEPS)), max_size=6))
def test_nothing_undoes_it(steps: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("frozen") / "net.arch"
    path.write_text(NET)
    first = module = archdsl.load(path).compile(freeze=["body", "plain"])
    for step in steps:
        module = STEPS[step](module)

    assert moved(module.train()) == {"seen"}
    assert not any(parameter.requires_grad for parameter in module.body.parameters())
    assert moved(first.train()) == {"seen"}, "a copy has its own mode"


def test_a_copy_and_its_original_have_modes_of_their_own(network: archdsl.Network) -> None:
    module: Any = network.compile(freeze=["body"])
    other = copy.deepcopy(module)
    for parameter in other.body.parameters():
        parameter.requires_grad_(True)

    assert moved(other.train()) == STATISTICS
    assert moved(module.train()) == STATISTICS - {"body.bn"}


def test_what_learns_again_has_statistics_again(network: archdsl.Network) -> None:
    module: Any = network.compile(freeze=["body", "seen.running_mean"])
    module.requires_grad_(True)

    assert moved(module.train()) == STATISTICS - {"seen"}, "whose parameters learned all along"


def test_the_command_says_it(
    network: archdsl.Network, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(tmp_path / "net.arch"), "--freeze", "body", "--device", "cpu"]

    assert run(["compile", *given, "-o", str(tmp_path / "net.py")]) == 0
    said = capsys.readouterr().out
    assert "trainable   733, and 120 frozen; statistics of 1 layer kept\n" in said
    assert said.endswith("net.py, which is the source alone: without what is frozen\n")

    assert run(["compile", *given, "-o", str(tmp_path / "net.safetensors")]) == 0
    assert capsys.readouterr().out.endswith("net.safetensors\n")


WITH_BUFFERS = [
    pytest.param(kind, layer, example.inputs, id=f"{kind.__name__}-{number}")
    for kind in Registry().values()
    for number, example in enumerate(kind.examples)
    if (layer := construct(kind, example.arguments)).infer(example.inputs).buffers
]


@pytest.mark.parametrize(("kind", "layer", "shapes"), WITH_BUFFERS)
def test_every_layer_says_whether_its_buffers_move(
    kind: type[Layer], layer: Layer, shapes: Any
) -> None:
    """Those of a frozen layer never do, whatever it says."""
    net = Builder()
    net.put("own", layer, *[net.input(f"x{n}", *shape) for n, shape in enumerate(shapes)])
    checked = net.checked()
    given = random_inputs(checked, torch.device("cpu"), torch.float32, {}).values()
    for patterns in ([], ["*"]):
        module = torch_module(checked).train()
        freeze(module, checked, patterns)
        before = {name: tensor.clone() for name, tensor in module.named_buffers()}
        module(*given)
        after = dict(module.named_buffers())
        moves = any(not torch.equal(after[name], before[name]) for name in before)

        assert moves == (kind.buffers_move and not patterns)


OWN = '''
class Smoothed(nn.Module):
    """A layer with a scale that follows its input, a constant, and parts of its own."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.BatchNorm2d(channels))
        self.drop = nn.Dropout(0.5)
        self.register_buffer("scale", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.scale += 1
        return self.drop(self.inner(x))
'''


def test_layers_of_ones_own_keep_what_moves(tmp_path: Path) -> None:
    before = dict(own_layers._registered)

    @archdsl.layer
    class Smoothed(archdsl.Layer):
        """A layer with parts."""

        def infer(self, inputs: Any) -> archdsl.Facts:
            channels = inputs[0][0]
            norm = {"running_mean": (channels,), "running_var": (channels,)}
            norm |= {"num_batches_tracked": ()}
            return archdsl.Facts(
                output=inputs[0],
                torch=archdsl.TorchModule("Smoothed", (channels,), {}, OWN.lstrip()),
                params={
                    "inner.0.weight": (channels, channels, 1, 1),
                    "inner.0.bias": (channels,),
                    "inner.1.weight": (channels,),
                    "inner.1.bias": (channels,),
                },
                buffers={"scale": ()} | {f"inner.1.{name}": norm[name] for name in norm},
            )

    path = tmp_path / "net.arch"
    path.write_text("network net { input image: [3, 8, 8]\n own: Smoothed\n}")
    try:
        network = archdsl.load(path)
        module: Any = network.compile(freeze=["own"]).train()
        learning = network.compile().train()
    finally:
        own_layers._registered.clear()
        own_layers._registered.update(before)

    assert moved(module) == set()
    assert module.own.drop.training
    assert moved(learning) == {"own", "own.inner.1"}


def test_freezing_twice_adds_up(network: archdsl.Network) -> None:
    module = network.compile(freeze=["body"])
    both = freeze(module, network.checked, ["seen"])

    assert both.kept == ("body.bn", "seen")
    assert moved(module.train()) == {"plain"}


@pytest.mark.parametrize(
    ("patterns", "but", "kept"),
    [
        ([], ["fc"], STATISTICS),
        ([], ["body.bn"], STATISTICS - {"body.bn"}),
        ([], ["body.bn.bias"], STATISTICS),
        ([], ["*.running_*", "*.num_batches_tracked"], set()),
        (["body"], ["body.bn.*"], set()),
        (["body", "plain"], ["body.conv"], {"body.bn", "plain"}),
        (["*.weight", "*.bias"], ["seen.running_*"], {"body.bn"}),
    ],
    ids=lambda each: ", ".join(sorted(each)) or "none",
)
def test_statistics_that_are_left_out_move(
    patterns: list[str], but: list[str], kept: set[str], network: archdsl.Network
) -> None:
    module = network.compile(freeze=patterns, freeze_but=but)

    assert moved(module.train()) == STATISTICS - kept


def test_the_command_leaves_out_what_is_to_learn(
    network: archdsl.Network, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = str(tmp_path / "net.arch")
    learning = sum(
        p.numel() for p in network.compile(freeze_but="fc").parameters() if p.requires_grad
    )
    options = ["--freeze-but", "fc.*"]

    written = ["-o", str(tmp_path / "net.py"), "--device", "cpu"]
    assert run(["compile", spec, *options, *written]) == 0
    said = capsys.readouterr().out
    assert f"trainable   {learning:,}, and " in said
    assert said.endswith("net.py, which is the source alone: without what is frozen\n")
    assert run(["count", spec, *options]) == 0
    assert f"{learning:,}" in capsys.readouterr().out
    assert run(["fit", spec, "--memory", "1GiB", *options]) == 0
    some = capsys.readouterr().out
    assert run(["fit", spec, "--memory", "1GiB"]) == 0
    assert capsys.readouterr().out != some

    for command in (
        ["compile", spec, *written],
        ["count", spec],
        ["fit", spec, "--memory", "1GiB"],
    ):
        assert run([*command, "--freeze-but", "fcc.*"]) == 1
        assert (
            "error[E0608]: no parameter and no buffer is called `fcc.*`" in capsys.readouterr().err
        )


def tied(folder: Path) -> archdsl.Network:
    path = folder / "tied.arch"
    path.write_text("""network tied { input tokens: [T]
      table: Embedding(9, 4); Linear(4)
      head: Linear(9, weight = from table.weight) }""")
    return archdsl.load(path)


@pytest.mark.parametrize("spared", ["table.weight", "head.weight"])
def test_each_name_of_a_tied_parameter_leaves_it_learning(spared: str, tmp_path: Path) -> None:
    network = tied(tmp_path)
    module: Any = network.compile(freeze_but=spared)

    assert module.table.weight.requires_grad
    assert not module.head.bias.requires_grad
    counted: Any = network.count(freeze_but=spared).to_dict()
    assert counted["parameters"]["trainable"] == 36


@pytest.mark.parametrize("pattern", ["table.weight", "head.*"])
def test_each_name_of_a_tied_parameter_freezes_it(pattern: str, tmp_path: Path) -> None:
    network = tied(tmp_path)
    module: Any = network.compile(freeze=[pattern])

    assert not module.table.weight.requires_grad
    assert module.head.bias.requires_grad == (pattern == "table.weight")
    learning = sum(each.numel() for each in module.parameters() if each.requires_grad)
    counted: Any = network.count(freeze=[pattern]).to_dict()
    frozen = counted["parameters"]
    assert frozen["trainable"] == learning
    assert frozen["frozen"] == 36 + 9 * (pattern == "head.*")
