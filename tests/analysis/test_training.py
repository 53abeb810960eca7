"""What a training step keeps and holds, against torch: storages to the byte, peaks to 5 %."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import pytest
import torch
from generators import arch_specs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_random_networks import grown
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.distributed._tools.mem_tracker import MemTracker
from torch_facts import as_described

import archdsl
from archdsl import ArchError
from archdsl.analysis.peak import OPTIMIZERS
from archdsl.analysis.training import DTYPES, Options, Training, taken_down
from archdsl.graph import CheckedGraph
from archdsl.layers.base import Layer, LayerError
from archdsl.pipeline import Spec

SPECS = Path(__file__).parents[2] / "specs"
TORCH: Mapping[str, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16}
NEAR = 0.05
# of each family of `specs/` the smallest, so that a run stays short
SAMPLE = (
    "lenet5", "lenet5_rbf", "shufflenet_v2_x0_5", "mobilenet_v2", "squeeze_excite", "aspp",
    "inception_reduced", "resnet20_cifar", "densenet40_k12", "convnext_tiny",
)  # fmt: skip

pytestmark = pytest.mark.usefixtures("one_thread")


def inputs_of(checked: CheckedGraph, batch: int, dtype: torch.dtype) -> list[Tensor]:
    return [
        torch.randn((batch, *shape), dtype=dtype)
        if checked.dtype(name) == "float"
        else torch.zeros((batch, *shape), dtype=torch.int64)
        for name, shape in checked.inputs.items()
    ]


def kept_by_torch(module: nn.Module, inputs: list[Tensor]) -> int:
    """Return the bytes of the storages that a forward pass keeps, less what the module owns."""
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with (
        warnings.catch_warnings(action="ignore"),
        as_described(module),
        saved_tensors_hooks(pack, lambda tensor: tensor),
    ):
        module(*inputs)
    for own in (*module.parameters(), *module.buffers()):
        kept.pop(own.untyped_storage().data_ptr(), None)
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def differences(network: archdsl.Network, batches: tuple[int, ...] = (1, 3)) -> Iterator[str]:
    """Yield where what is kept differs from torch."""
    for batch in batches:
        for name, dtype in TORCH.items():
            module = network.compile(device="cpu").to(dtype).train()
            try:
                expected = kept_by_torch(module, inputs_of(network.checked, batch, dtype))
            except (RuntimeError, ValueError) as error:
                # kernels that are lacking on a CPU, and statistics of a single number
                if re.search("not implemented for|Expected more than 1", str(error)):
                    continue
                raise
            found = Training(network.checked, Options(batch, name)).kept
            if found != expected:
                yield f"batch {batch}, {name}: {found}, in torch {expected}"


def small(path: Path, name: str) -> archdsl.Network:
    """Load a network for the smallest images that it takes, of those tried."""
    network = archdsl.load(path, network=name)
    shapes = network.checked.inputs
    if all(len(shape) == 3 for shape in shapes.values()):
        for size in (32, 64, 96, 128, 160):
            if any(size >= int(shape[1]) for shape in shapes.values()):  # type: ignore[call-overload]
                break
            try:
                given = {key: (shape[0], size, size) for key, shape in shapes.items()}
                return archdsl.load(path, network=name, inputs=given)  # type: ignore[arg-type]
            except ArchError:
                continue
    return network


def library() -> Iterator[tuple[Path, str]]:
    for path in sorted(SPECS.glob("*.arch")):
        for name in Spec(str(path)).networks:
            yield path, name


def _sampled() -> Iterator[Any]:
    for path, name in library():
        marks = () if name in SAMPLE else pytest.mark.whole
        yield pytest.param(path, name, marks=marks, id=name)


every_network = pytest.mark.parametrize(("path", "name"), [*_sampled()])


@every_network
def test_networks_keep_what_torch_keeps(path: Path, name: str) -> None:
    try:
        network = small(path, name)
    except ArchError:
        pytest.skip("a parameter of it has no value")

    assert not [*differences(network, (2,))]


@pytest.mark.parametrize("seed", range(20))
def test_random_networks_keep_what_torch_keeps(seed: int, tmp_path: Path) -> None:
    assert not [*differences(grown(tmp_path, Random(seed)))]


@settings(max_examples=25, suppress_health_check=list(HealthCheck), deadline=None, derandomize=True)
@given(spec=arch_specs())
def test_generated_networks_keep_what_torch_keeps(
    spec: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("spec") / "spec.arch"
    file.write_text(spec.text())

    assert not [*differences(archdsl.load(file))]


CASES = {
    "tied": """
        input tokens: [5]
        embed: Embedding(10, 4)
        parameter place: [5, 4]
        add { branch { from embed } branch { from place } }
        Linear(4)
        head: Linear(10, weight = from embed.weight, bias = false)
    """,
    "own tensors": """
        input x: [3, 5, 4]
        parameter q: [7, 5]
        from q, x -> MatMul
        parameter p: [3, 7, 4]
        concat(dim = 1) { branch } branch { from p -> ReLU -> Square } }
        Linear(3)
    """.replace("branch } branch", "branch { Slice(0, 3) } branch"),
    "reused": """
        input x: [3, 8, 8]
        c: Conv2d(3, 3, padding = 1) -> ReLU -> reuse c -> ReLU6 -> BatchNorm2d -> Hardtanh
    """,
    "overwritten": """
        input x: [3, 8, 8]
        Conv2d(3, 3) -> BatchNorm2d -> ReLU -> Conv2d(3, 3) -> ReLU6 -> Sigmoid -> ReLU
    """,
    "no gradient": """
        input x: [3, 8, 8]
        MaxPool2d(2) -> ReLU -> Permute([0, 2, 3, 1]) -> Linear(4) -> Flatten
    """,
    "copied": """
        input x: [4, 6, 5]
        Conv2d(4, 1) -> Permute([0, 2, 3, 1]) -> Linear(4) -> Reshape([-1, 4]) -> Transpose(1, 2)
        Linear(3, bias = false) -> Flatten -> Linear(2)
    """,
    "attention": """
        input x: [6, 8]
        MultiheadAttention(2) -> MultiheadAttention(2, dropout = 0.1) -> Transpose(1, 2)
        MultiheadAttention(3, bias = false)
    """,
}


def network_of(body: str, folder: Path) -> archdsl.Network:
    file = folder / "n.arch"
    file.write_text(f"network n {{{body}}}\n")
    return archdsl.load(file)


@pytest.mark.parametrize("body", CASES.values(), ids=CASES)
def test_special_cases_keep_what_torch_keeps(body: str, tmp_path: Path) -> None:
    assert not [*differences(network_of(body, tmp_path))]


def test_what_is_frozen_needs_less(tmp_path: Path) -> None:
    network = network_of(
        "input x: [3, 8, 8]; a: Conv2d(4, 3); b: BatchNorm2d; c: Linear(5); d: Linear(4)", tmp_path
    )
    for frozen in ("a", "a b", "a c", "d", "a b c", "a b c d"):
        patterns = frozen.split()
        module = network.compile(device="cpu").train()
        names = {n for n, _ in module.named_parameters() if n.split(".")[0] in patterns}
        for key, parameter in module.named_parameters():
            parameter.requires_grad_(key not in names)
        expected = kept_by_torch(module, inputs_of(network.checked, 2, torch.float32))

        assert Training(network.checked, Options(2), frozen=names).kept == expected


def test_attention_without_a_fused_kernel(tmp_path: Path) -> None:
    network = network_of("input x: [40, 8]; MultiheadAttention(2)", tmp_path)
    for name, dtype in TORCH.items():
        module = network.compile(device="cpu").to(dtype).train()
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            expected = kept_by_torch(module, inputs_of(network.checked, 3, dtype))
        training = Training(network.checked, Options(3, name))

        assert training.kept_unfused == expected
        assert isinstance(training.kept, int)
        assert training.kept < expected


def test_a_layer_that_does_not_say_what_it_keeps_makes_it_unknown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    network = network_of("input x: [3, 8, 8]; Conv2d(4, 3); Tanhshrink", tmp_path)

    def silent(layer: Layer, torch: object, *inputs: object) -> object:
        raise LayerError("`Tanhshrink` doesn't say what its backward pass keeps")

    monkeypatch.setattr(type(network.checked.arrays.layers[2]), "trained", silent)

    assert network.count().report.training.kept is None
    assert "unknown  `Tanhshrink` doesn't say" in str(network.count())
    assert network.count().to_dict()["memory"]["kept"] is None  # type: ignore[index]


# --- the peak -------------------------------------------------------------------------------

MADE = {
    "sgd": lambda held: torch.optim.SGD(held, lr=0.1),
    "momentum": lambda held: torch.optim.SGD(held, lr=0.1, momentum=0.9),
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "adafactor": torch.optim.Adafactor,
}


def module_of(source: str) -> nn.Module:
    """Make the module of a source where it is: under a mode, say."""
    space: dict[str, Any] = {"__name__": "made"}
    exec(compile(source, "made", "exec"), space)
    kinds = [
        kind
        for kind in space.values()
        if isinstance(kind, type) and issubclass(kind, nn.Module) and kind.__module__ == "made"
    ]
    whole = [
        kind
        for kind in kinds
        if all(
            one.default is not one.empty or one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
            for one in inspect.signature(kind).parameters.values()
        )
    ]
    return max((kind() for kind in whole), key=lambda made: len([*made.parameters()]))


class Loss(torch.autograd.Function):
    """Give a tensor a gradient of its size, which is freed like any other, and hold nothing."""

    @staticmethod
    def forward(ctx: Any, end: Tensor) -> Tensor:
        ctx.shape = end.shape
        return end.new_zeros(())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return gradient.new_ones(ctx.shape)


def loss_of(given: Any) -> Tensor:
    ends = [given] if isinstance(given, Tensor) else [*given]
    losses = [Loss.apply(end) for end in ends]  # type: ignore[no-untyped-call]
    return torch.stack(losses).sum()


def tracked(network: archdsl.Network, options: Options, source: str = "") -> int:
    """Return the peak of a step after the first, as torch's tracker sees it without computing."""
    dtype = TORCH[options.dtype]
    with FakeTensorMode():
        with mock.patch.object(nn.init, "trunc_normal_", lambda held, *given: held):  # looks at it
            module = module_of(source or network.source).train()
        for own in (*module.parameters(), *module.buffers()):
            if own.is_floating_point():  # `module.to` can't exchange fake tensors
                own.data = own.data.to(dtype)
        optimizer = MADE[options.optimizer](module.parameters())
        inputs = inputs_of(network.checked, options.batch, dtype)

        def step() -> None:
            given = module(*inputs)
            loss_of(given).backward()
            optimizer.step()
            optimizer.zero_grad()

        with as_described(module):
            step()
            tracker = MemTracker()
            tracker.track_external(module, optimizer, *inputs)
            with tracker:
                step()
        snapshot = tracker.get_tracker_snapshot("peak")
    return sum(each["Total"] for each in snapshot.values())


@every_network
def test_peaks_are_near_those_of_torch(path: Path, name: str) -> None:
    try:
        network = small(path, name)
    except ArchError:
        pytest.skip("a parameter of it has no value")
    for options in (Options(4, "float32", "adamw"), Options(16, "bfloat16", "sgd")):
        peak = Training(network.checked, options).peak

        assert peak is not None
        assert peak.size == pytest.approx(tracked(network, options), rel=NEAR)


@pytest.mark.parametrize(
    "layer",
    [
        "GRU(24, bidirectional = true)",
        "LSTM(24, 2, bidirectional = true)",
        "RNN(24)",
        "LSTM(24, proj_size = 8)",
    ],
)
def test_peaks_of_recurrent_layers_are_near_those_of_torch(layer: str, tmp_path: Path) -> None:
    network = network_of(f"input x: [6]; Embedding(20, 8) -> {layer} -> Linear(4)", tmp_path)
    for options in (Options(2, "float32", "sgd"), Options(64, "bfloat16", "sgd")):
        peak = Training(network.checked, options).peak

        assert peak is not None
        assert peak.size == pytest.approx(tracked(network, options), rel=NEAR)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU")
@pytest.mark.parametrize("name", ["resnet50", "mobilenet_v2", "vit_b_16", "vgg16"])
def test_peaks_are_near_those_of_a_gpu(name: str) -> None:
    network = archdsl.load(name)
    options = Options(32, "float32", "adamw")
    module = network.compile(device="cuda").train()
    optimizer = torch.optim.AdamW(module.parameters(), foreach=False)
    inputs = [one.cuda() for one in inputs_of(network.checked, options.batch, torch.float32)]
    for at in range(2):
        if at:
            torch.cuda.reset_peak_memory_stats()
        end = module(*inputs)
        loss_of(end).backward()
        optimizer.step()
        optimizer.zero_grad()
    peak = Training(network.checked, options).peak

    assert peak is not None
    assert peak.size == pytest.approx(torch.cuda.max_memory_allocated(), rel=NEAR)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_optimizers_keep_what_those_of_torch_keep(name: str, dtype: str, tmp_path: Path) -> None:
    body = "input x: [3, 8, 8]; Conv2d(4, [3, 2]); BatchNorm2d; Flatten; Linear(5); PReLU"
    network = network_of(body, tmp_path)
    module = network.compile(device="cpu").to(TORCH[dtype]).train()
    optimizer = MADE[name](module.parameters())
    module(*inputs_of(network.checked, 2, TORCH[dtype])).sum().backward()
    optimizer.step()
    held = [
        one.untyped_storage().nbytes()
        for state in optimizer.state.values()
        for one in state.values()
        if isinstance(one, Tensor)
    ]

    sums = Training(network.checked, Options(2, dtype, name)).sums
    assert sums.optimizer == sum(held)
    assert sums.gradients == sum(p.untyped_storage().nbytes() for p in module.parameters())


# --- checkpoints ----------------------------------------------------------------------------

BLOCKS = """
network n {
  input x: [3, 32, 32]
  stem: Conv2d(8, 3, padding = 1)
  a: Block; b: Block; c: Block
  Mean([2, 3]) -> Linear(5)
}
block Block {
  residual { conv: Conv2d(in.channels, 3, padding = 1); bn: BatchNorm2d; ReLU; Conv2d(8, 1) }
  ReLU
}
"""


class Checkpointed(nn.Module):
    """A block that is run under torch's checkpoint."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = torch.utils.checkpoint.checkpoint(self.inner, x, use_reentrant=False)
        return found


@pytest.mark.parametrize("chosen", ["a", "b", "c", "a b", "b c", "a b c"])
def test_peaks_with_checkpoints_are_near_those_of_torch(chosen: str, tmp_path: Path) -> None:
    file = tmp_path / "n.arch"
    file.write_text(BLOCKS)
    network = archdsl.load(file)
    options = Options(16, "float32", "sgd", frozenset(chosen.split()))
    training = Training(network.checked, options)
    with FakeTensorMode():
        module = module_of(network.source).train()
        for name in options.checkpoint:
            setattr(module, name, Checkpointed(getattr(module, name)))
        inputs = inputs_of(network.checked, 16, torch.float32)

        def step() -> None:
            end = module(*inputs)
            loss_of(end).backward()
            module.zero_grad()

        step()
        tracker = MemTracker()
        tracker.track_external(module, *inputs)
        with tracker:
            step()
        expected = tracker.get_tracker_snapshot("peak")[torch.device("cpu")]["Total"]

    assert training.peak is not None
    assert training.peak.size == pytest.approx(expected, rel=NEAR)


def test_what_is_computed_again_is_counted(tmp_path: Path) -> None:
    file = tmp_path / "n.arch"
    file.write_text(BLOCKS)
    checked = archdsl.load(file).checked
    plain = Training(checked, Options(2))
    some = Training(checked, Options(2, checkpoint=frozenset({"b"})))

    assert (plain.sums.again, plain.regions) == (0, [])
    # the block ends with a ReLU whose result the backward pass needs: all of it runs again
    assert some.sums.again == 2 * 32 * 32 * (8 * 8 * 9 + 8 * 8)
    assert isinstance(some.kept, int)
    assert isinstance(plain.kept, int)
    assert some.kept < plain.kept


@given(seed=st.integers(0, 30))
@settings(max_examples=10, deadline=None, derandomize=True)
def test_a_larger_batch_keeps_proportionally_more(seed: int) -> None:
    batch = seed + 2
    checked = archdsl.load("lenet5").checked
    one, more = (taken_down(checked, 4, size) for size in (1, batch))

    total = sum(each.size for each in more.kept())  # type: ignore[misc]
    assert total == batch * sum(each.size for each in one.kept())  # type: ignore[misc]
