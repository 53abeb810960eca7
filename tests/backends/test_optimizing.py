"""Optimised networks: equal to the plain ones, pass by pass, and what can go wrong on the way."""

from __future__ import annotations

import pickle
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from compiled import require_success
from generators import ArchSpec, arch_specs
from hypothesis import HealthCheck, given, settings
from library import NETWORKS, sampled
from running import Command

import archdsl
from archdsl.diagnostics import ArchError

torch = pytest.importorskip("torch")
from deconvnets import shaken  # noqa: E402

from archdsl.backends.optimizing import ENGINES, PASSES, optimized  # noqa: E402
from archdsl.backends.optimizing.engines.base import EngineFailed, Place, module_of  # noqa: E402
from archdsl.backends.optimizing.engines.graphs import MOST, Captured  # noqa: E402
from archdsl.backends.optimizing.optimized import passed  # noqa: E402
from archdsl.backends.torch_module.running import chosen_sizes, random_inputs  # noqa: E402

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::UserWarning"),  # of torch, about padding and the like
]
CPU = torch.device("cpu")
DOUBLE, SINGLE = Place(CPU, torch.float64), Place(CPU, torch.float32)
needs_native = pytest.mark.skipif(
    bool(ENGINES["native"].lacks(SINGLE)), reason="torch has no operations of oneDNN here"
)


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


def network_of(text: str, folder: Path) -> archdsl.Network:
    path = folder / "net.arch"
    path.write_text(text)
    return archdsl.load(path)


def plain_of(network: archdsl.Network, dtype: str = "float64") -> Any:
    torch.manual_seed(0)
    module = network.compile(dtype=dtype).eval()
    module.load_state_dict(shaken(module.state_dict()))
    return module


def written_of(fast: Any) -> Any:
    """Return the module that an optimised network's source makes, with its weights."""
    scope: dict[str, Any] = {}
    exec(fast.source, scope)
    module = scope["Net"]().eval()
    module.load_state_dict(fast.weights)
    return module


def listed(result: Any) -> list[Any]:
    return [result] if isinstance(result, torch.Tensor) else [*result]


def inputs_of(network: archdsl.Network, place: Place, batch: int) -> list[Any]:
    sizes = chosen_sizes(network.checked)
    given = random_inputs(network.checked, CPU, place.dtype, sizes, batch)
    return [*given.values()]


def distance(network: Any, place: Place, *passes: str, batch: int = 2) -> float:
    """Return how far outputs are apart after some passes, relative to the largest."""
    plain = plain_of(network, str(place.dtype).removeprefix("torch."))
    program, _ = passed(network.checked, plain.state_dict(), passes or [*PASSES])
    made = module_of(program, place)
    given = inputs_of(network, place, batch)
    with torch.no_grad():
        pairs = [*zip(listed(made(*given)), listed(plain(*given)), strict=True)]
    for one, two in pairs:
        assert one.shape == two.shape
    return max(
        float((one.double() - two.double()).abs().max() / two.abs().max().clamp(min=1e-30))
        for one, two in pairs
    )


# What is large only in numbers is compared smaller, or by hand.
TINY = {"vocabulary": 100, "width": 48, "heads": 4, "layers": 2}
SMALLER = {
    "bert_base": TINY,
    "gpt2": TINY,
    "llama_7b": {**TINY, "inner": 64, "groups": 2, "context": 16},
    "t5_small_encoder": {"vocabulary": 100, "layers": 2},
}
LARGE = (
    "alexnet", "alexnet_2012", "beit_base_patch16_224", "r2plus1d_18", "r3d_18",
    "retinanet_resnet50_fpn", "s3d", "swin_v2_t", "vgg11", "vgg11_bn", "vgg11_lrn", "vit_b_16",
    "zfnet",
)  # fmt: skip


@pytest.mark.parametrize("name", sampled(large=LARGE))
def test_networks_compute_the_same_in_float64(name: str) -> None:
    path, given = f"{NETWORKS[name].file.source.path}:{name}", SMALLER.get(name, {})
    small = {
        key: (shape[0], *(min(size, 112) for size in shape[1:] if isinstance(size, int)))
        for key, shape in archdsl.load(path, parameters=given).checked.inputs.items()
        if len(shape) == 3
    }
    try:
        network = archdsl.load(path, inputs=small, parameters=given)
    except ArchError:  # its layers take no smaller image
        network = archdsl.load(path, parameters=given)

    assert distance(network, DOUBLE) < 1e-10


@settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None, derandomize=True)
@given(spec=arch_specs())
def test_random_networks_compute_the_same(
    spec: ArchSpec, tmp_path_factory: pytest.TempPathFactory
) -> None:
    network = network_of(spec.text(), tmp_path_factory.mktemp("spec"))

    assert distance(network, DOUBLE) < 1e-10
    assert distance(network, SINGLE, batch=3) < 1e-4


# What is joined, and what must not be: stages behind an input of 4 x 8 x 8, with how many layers
# are left of them.
JOINED = {
    "c: Conv2d(6, 3) -> BatchNorm2d -> ReLU": 1,
    "c: Conv2d(6, 3, bias = false) -> BatchNorm2d(affine = false) -> ReLU6": 1,
    "c: Conv2d(6, 3, groups = 2) -> BatchNorm2d(bias = false) -> LeakyReLU(0.3)": 1,
    "c: Conv2d(6, 3) -> FrozenBatchNorm2d -> GELU": 1,
    'c: Conv2d(6, 3) -> GELU(approximate = "tanh") -> BatchNorm2d': 2,
    "c: Conv2d(6, 3) -> BatchNorm2d -> BatchNorm2d -> SiLU": 1,
    "c: Conv2d(6, 3, stride = 2, dilation = 2, padding = 2) -> Sigmoid": 1,
    "c: Conv2d(6, (1, 3), padding = (0, 1)) -> Tanh": 1,
    "c: Conv2d(6, 3) -> Hardswish": 1,
    "c: Conv2d(6, 3) -> Hardsigmoid": 1,
    "c: Conv2d(6, 3) -> Hardtanh(-0.5, 0.2)": 1,
    "c: Conv2d(6, 3) -> ELU": 2,
    "c: Conv2d(6, 3) -> Dropout -> Identity -> ReLU": 1,
    "c: Conv2d(6, 3) -> BatchNorm2d(track_running_stats = false) -> ReLU": 3,
    'c: Conv2d(6, 3, padding = "same", stride = 2) -> BatchNorm2d -> ReLU': 2,
    'c: Conv2d(6, 3, padding = 1, padding_mode = "reflect") -> BatchNorm2d -> ReLU': 2,
    "c: Conv2d(2, 3, connections = [[0, 1, 3], [2]]) -> BatchNorm2d": 1,
    "c: ConvTranspose2d(6, 2, stride = 2) -> BatchNorm2d": 1,
    "c: ConvTranspose2d(6, 3, groups = 2, bias = false) -> BatchNorm2d": 1,
    "Flatten -> Linear(5) -> BatchNorm1d": 2,
    "Flatten(2) -> Linear(5) -> BatchNorm1d": 3,  # of which it is the first axis
    "Flatten(2) -> Conv1d(5, 3) -> BatchNorm1d": 2,
    "Unflatten(1, (2, 2)) -> Conv3d(5, 2) -> BatchNorm3d": 2,
    "residual { c: Conv2d(4, 3, padding = 1) -> BatchNorm2d } -> ReLU": 1,
    "residual { c: Conv2d(4, 3, padding = 1) } -> SiLU": 2,
    "residual { c: Conv2d(4, 3, padding = 1, groups = 2) } -> ReLU": 3,
    "residual { c: Conv2d(4, 3, padding = 1) -> ReLU }": 2,
    "residual { c: Conv2d(1, 3, padding = 1) }": 2,  # which is spread over the channels
    "a: Conv2d(4, 1); add { branch { from a } branch { from a } }": 2,
    "a: Conv2d(4, 1); add { branch { ReLU } branch { Sigmoid } }": 4,
    "a: Conv2d(4, 1); concat { branch { } branch { BatchNorm2d } }": 3,
    "a: { Conv2d(4, 1) -> BatchNorm2d -> ReLU }; reuse a": 6,
    "add { branch { a: Conv2d(6, 1) -> BatchNorm2d } branch { b: Conv2d(6, 1) -> BatchNorm2d } }"
    " -> ReLU": 2,
    "add { branch { a: Conv2d(6, 1) } branch { b: Conv2d(6, 1) } branch { d: Conv2d(6, 1) } }": 5,
    "buffer own: [4, 8, 8]; add { branch { a: Conv2d(4, 1) } branch { from own } }": 3,
    "a: Conv2d(4, 1); output early; ReLU": 2,
    # a normalization and a ReLU before what takes the factors, or doesn't
    "BatchNorm2d -> ReLU -> Conv2d(6, 1)": 2,
    "BatchNorm2d -> ReLU -> Conv2d(6, 3, groups = 2) -> ReLU": 2,
    "BatchNorm2d -> ReLU -> Conv2d(6, 3, padding = 1)": 2,
    'BatchNorm2d -> ReLU -> Conv2d(6, 3, padding = 1, padding_mode = "reflect")': 2,
    'BatchNorm2d(affine = false) -> ReLU -> Conv2d(6, 1, padding = "same")': 2,
    "BatchNorm2d -> ReLU -> Conv2d(2, 3, connections = [[0, 1, 3], [2]])": 2,
    "BatchNorm2d -> ReLU -> ConvTranspose2d(6, 1)": 2,
    "BatchNorm2d -> ReLU -> AdaptiveAvgPool2d(1) -> Conv2d(6, 1)": 3,
    'BatchNorm2d -> ReLU -> Upsample(scale_factor = 2, mode = "bicubic") -> Conv2d(6, 1)': 3,
    "BatchNorm2d -> ReLU -> MaxPool2d(2) -> Conv2d(6, 1)": 3,
    "BatchNorm2d -> LeakyReLU(0.1) -> Conv2d(6, 1)": 3,
    "BatchNorm2d; a: ReLU; concat { branch { Conv2d(6, 1) } branch { from a } }": 3,
    "BatchNorm2d -> ReLU -> Flatten -> Linear(5)": 3,
    "Flatten -> BatchNorm1d -> ReLU -> Linear(5)": 3,
    "Flatten(2) -> BatchNorm1d -> ReLU -> Linear(5)": 3,
    "Flatten(2) -> BatchNorm1d -> ReLU -> Conv1d(5, 3)": 3,
    # means of places and what mixes channels
    "AvgPool2d(3, stride = 1) -> Conv2d(2, 1) -> ReLU": 3,
    "Conv2d(4, 1) -> AvgPool2d(2) -> Conv2d(4, 1)": 3,
    "Conv2d(6, 1, groups = 2) -> AvgPool2d(2, padding = 1, count_include_pad = false)": 2,
    "Conv2d(6, 1) -> AvgPool2d(2, padding = 1)": 2,
    "Conv2d(6, 1) -> AvgPool2d(2, divisor_override = 3)": 2,
    'Conv2d(6, 1) -> AvgPool2d(3, stride = 2, padding = "same", ceil_mode = true)': 2,
    "Conv2d(6, 1, bias = false) -> AvgPool2d(3, stride = 2, ceil_mode = true)": 2,
    "Conv2d(6, 1) -> AdaptiveAvgPool2d((3, 5)) -> Flatten": 3,
    "Conv2d(6, 1) -> AdaptiveMaxPool2d(3)": 2,
    "Conv2d(6, 1, stride = 2) -> AvgPool2d(2)": 2,
    'Upsample(scale_factor = 2, mode = "bilinear", align_corners = true) -> Conv2d(2, 1)': 2,
    'Upsample(scale_factor = 2) -> Conv2d(6, 1) -> Interpolate(size = 3, mode = "bicubic")': 3,
    "a: Conv2d(4, 1); concat { branch { AvgPool2d(2) } branch { MaxPool2d(2) } }": 4,
    # what scales channels goes into what reads it, where that puts no zeros around them
    "ChannelAffine([0.5, 2, 1, 3], [1, 0, -1, 2]) -> Conv2d(3, 3) -> ReLU": 1,
    "ChannelAffine([0.5, 2, 1, 3], [1, 0, -1, 2]) -> Conv2d(4, 3, groups = 2)": 1,
    "ChannelAffine([0.5, 2, 1, 3], [1, 0, -1, 2]) -> Conv2d(3, 3, padding = 1)": 2,
    "ChannelAffine([0.5, 2, 1, 3], [0, 0, 0, 0]) -> Conv2d(3, 3, padding = 1)": 1,
    "ChannelAffine([0.5, 2, 1, 3], [1, 0, -1, 20]) -> Conv2d(3, 3)": 2,
    "Conv2d(4, 3) -> ChannelAffine([0.5, 2, 1, 3], [1, 0, -1, 2]) -> ReLU": 1,
    "BatchNorm2d -> Conv2d(3, 1)": 1,
    "BatchNorm2d -> Tanh -> Conv2d(3, 1)": 3,
    "a: BatchNorm2d; output early; b: Conv2d(4, 1)": 2,
    # zeros around an image count, so what the convolution adds comes behind both
    "AvgPool2d(3, stride = 1, padding = 1) -> Conv2d(2, 1) -> ReLU": 3,
    "AvgPool2d(3, stride = 1, padding = 1) -> Conv2d(2, 1, bias = false) -> Tanh": 3,
    "AvgPool2d(3, stride = 1, padding = 1) -> Conv2d(2, 1) -> BatchNorm2d -> ReLU -> "
    "Conv2d(3, 1)": 4,
    "AvgPool2d(3, stride = 1, padding = 1) -> Conv2d(2, 1) -> Tanh": 2,
    "AvgPool2d(3, stride = 1, padding = 1) -> Conv2d(8, 1) -> ReLU": 2,
    "AvgPool2d(2, ceil_mode = true, divisor_override = 3) -> Conv2d(2, 1) -> ReLU": 2,
    "Conv2d(8, 1) -> AvgPool2d(2, padding = 1) -> ReLU": 3,
    "Conv2d(8, 1, bias = false) -> AvgPool2d(2, padding = 1) -> ReLU": 2,
    "a: { AvgPool2d(3, 1, 1, divisor_override = 5) -> Conv2d(2, 1) -> ReLU }; output a": 3,
    # concatenations that go on: each part is written where it is to lie
    "repeat 3 { concat { branch {} branch { BatchNorm2d -> ReLU -> Conv2d(3, 1) } } } "
    "Conv2d(2, 1)": 13,
    "repeat 2 { concat { branch {} branch { Conv2d(3, 1) } branch { MaxPool2d(1) } } } ReLU": 11,
    "a: { concat { branch {} branch { Conv2d(3, 1) } } } b: { concat { branch {} branch "
    "{ ReLU } } } output b; from a; concat { branch {} branch { Tanh } } -> ReLU": 9,
    "concat { branch { Conv2d(3, 1) } branch {} } concat { branch { Conv2d(2, 1) } branch {} }": 4,
    "Flatten; repeat 2 { concat { branch {} branch { Linear(3) } } }": 7,
    "repeat 2 { concat(dim = 2) { branch {} branch { ReLU } } }": 4,
    # but not one that is an output, nor one that stands in another by a way of its own
    "concat { branch {} branch { ReLU } } output now; concat { branch {} branch { Tanh } }": 4,
    """concat { branch { Conv2d(4, 1) } branch {} }; a: concat { branch {} branch { Conv2d(4, 1) } }
      b: concat { branch { Sigmoid } branch {} }; c: concat { branch {} branch { ReLU } }
      from a -> Tanh; concat { branch {} branch { from c } branch { Mish } } -> Conv2d(5, 1)""": 16,
    """t1: { concat { branch {} } -> concat { branch {} } } output o1
      t2: { concat { branch { Sigmoid } branch {} } -> concat { branch {} branch { ReLU } } }
      from t1; t3: { MaxPool2d(3, 1, 1) }; t4: { BatchNorm2d -> ReLU }
      concat { branch {} branch { from t2 } branch { from t4 } } Conv2d(5, 1)""": 12,
    # what reads the same
    "concat { branch { Conv2d(4, 1) -> ReLU } branch { Conv2d(2, 1) -> ReLU } }": 4,
    "concat { branch { Conv2d(4, 1) -> ReLU } branch { Conv2d(2, 1) -> Tanh } }": 3,
    "concat { branch { Conv2d(4, 1) } branch { Conv2d(4, 1, bias = false) } }": 3,
    "concat { branch { Conv2d(4, 1) } branch { Conv2d(4, 3, padding = 1) } }": 3,
    "concat { branch { Conv2d(4, 1, groups = 2) } branch { Conv2d(4, 1, groups = 2) } }": 3,
    "concat { branch { a: { Conv2d(4, 1) } } branch { b: { Conv2d(2, 1) -> Conv2d(2, 1) } } "
    "branch { Conv2d(3, 1) } }": 6,
    "a: Conv2d(4, 1); output early; from x; Conv2d(4, 1)": 3,
}


@pytest.mark.parametrize("stages", JOINED)
def test_what_is_joined_computes_the_same(stages: str, tmp_path: Path) -> None:
    network = network_of(f"network net {{ input x: [4, 8, 8]; {stages} }}", tmp_path)
    program, _ = passed(network.checked, plain_of(network).state_dict(), [*PASSES])

    assert distance(network, DOUBLE) < 1e-10
    assert distance(network, SINGLE) < 1e-5
    assert len(program.checked.nodes) - 1 == JOINED[stages]


@pytest.mark.parametrize(
    "name", [name for name in PASSES if name != "pruning"]
)  # which needs weights of its own
def test_each_pass_alone_computes_the_same(name: str, tmp_path: Path) -> None:
    stages = """a: Conv2d(4, 3) -> BatchNorm2d -> Dropout; b: Conv2d(4, 3) -> ReLU
      BatchNorm2d -> ReLU -> Conv2d(8, 1) -> AvgPool2d(2)
      concat { branch { Conv2d(4, 1) } branch { Conv2d(2, 1) } }
      concat { branch {} branch { Sigmoid } }"""
    network = network_of(f"network net {{ input x: [4, 8, 8]; {stages} }}", tmp_path)
    _, (before, after) = passed(network.checked, plain_of(network).state_dict(), [name])

    assert distance(network, DOUBLE, name) < 1e-10
    assert (before.layers, before.macs) != (after.layers, after.macs)


# Stages behind an input of 4 x 8 x 8, what is made zero in their weights, and how many channels of
# `a` are left: of 6, or of 1 that stands for none.
PRUNED: dict[str, tuple[dict[str, Any], int]] = {
    "a: Conv2d(6, 3) -> ReLU -> b: Conv2d(2, 3)": ({"a.weight": [1, 4], "a.bias": [1, 4]}, 4),
    "a: Conv2d(6, 3, bias = false) -> Tanh -> MaxPool2d(2, padding = 1) -> b: Conv2d(2, 1)": (
        {"a.weight": [0]}, 5,
    ),
    "a: Conv2d(6, 3, bias = false) -> Sigmoid -> b: Conv2d(2, 3)": ({"a.weight": [0]}, 6),
    "a: Conv2d(6, 3) -> Sigmoid -> b: Conv2d(2, 3)": ({"a.weight": [0], "a.bias": [0]}, 6),
    "a: Conv2d(6, 3); b: Conv2d(2, 3)": ({"b.weight": [(slice(None), 2), (slice(None), 5)]}, 4),
    "a: Conv2d(6, 3, bias = false) -> BatchNorm2d; b: Conv2d(2, 3)": ({"1.weight": [0]}, 6),
    "a: Conv2d(6, 3) -> BatchNorm2d; b: Conv2d(2, 3)": ({"1.weight": [0], "1.bias": [0]}, 5),
    "Flatten; a: Linear(6) -> GELU; b: Linear(3)": ({"a.weight": [3], "a.bias": [3]}, 5),
    "Flatten(2); a: Linear(6); b: Linear(3)": ({"a.weight": [3], "a.bias": [3]}, 6),
    "a: Conv2d(6, 3, groups = 2); b: Conv2d(2, 3)": ({"a.weight": [3], "a.bias": [3]}, 6),
    "a: Conv2d(6, 3); b: Conv2d(2, 3, groups = 2)": ({"a.weight": [3], "a.bias": [3]}, 6),
    "a: Conv2d(6, 3); output early; b: Conv2d(2, 3)": ({"a.weight": [3], "a.bias": [3]}, 6),
    "a: Conv2d(6, 3); residual { b: Conv2d(6, 1) }": ({"a.weight": [3], "a.bias": [3]}, 6),
    "a: Conv2d(6, 7) -> Flatten -> b: Linear(3)": ({"a.weight": [3], "a.bias": [3]}, 6),
    "a: Conv2d(6, 3); b: Conv2d(2, 1)": ({"a.weight": [...], "a.bias": [...]}, 1),
    "a: Conv2d(6, 1); b: ConvTranspose2d(6, 1)": ({"a.weight": [3], "a.bias": [3]}, 6),
}  # fmt: skip


@pytest.mark.parametrize("stages", PRUNED)
def test_channels_that_nothing_comes_of_are_gone(stages: str, tmp_path: Path) -> None:
    zeros, left = PRUNED[stages]
    network = network_of(
        f"network net {{ input x: [4, 8, 8]; {stages.replace(' c:', '')} }}", tmp_path
    )
    plain = plain_of(network)
    state = plain.state_dict()
    for name, places in zeros.items():
        for place in places:
            state[name][place] = 0
    program, steps = passed(network.checked, state, [*PASSES])
    image = torch.randn(2, 4, 8, 8, dtype=torch.float64)
    with torch.no_grad():
        expected, found = listed(plain(image)), listed(module_of(program, DOUBLE)(image))

    for one, two in zip(found, expected, strict=True):
        assert torch.allclose(one, two, rtol=0, atol=1e-10)
    assert len(program.weights["a.weight"]) == left
    assert (steps[3].macs < steps[2].macs) == (left < 6)


def test_a_bias_below_zero_before_a_relu_does_nothing(tmp_path: Path) -> None:
    stages = "a: Conv2d(6, 3) -> ReLU -> b: Conv2d(2, 3)"
    network = network_of(f"network net {{ input x: [4, 8, 8]; {stages} }}", tmp_path)
    state = plain_of(network).state_dict()
    state["a.weight"][1], state["a.weight"][4] = 0, 0
    state["a.bias"][1], state["a.bias"][4] = -0.5, 0.5
    program, _ = passed(network.checked, state, ["pruning"])

    assert torch.equal(program.weights["a.bias"], state["a.bias"][[0, 2, 3, 4, 5]])


def test_what_only_training_has_is_gone(tmp_path: Path) -> None:
    text = """network net { input x: [4]
      a: Linear(3)
      output aux when training { head: Linear(2) }
      Dropout(0.4)
      Linear(2)
    }"""
    network = network_of(text, tmp_path)
    program, _ = passed(network.checked, plain_of(network).state_dict(), ["evaluation"])

    assert [*program.checked.nodes] == ["x", "a", "3"]
    assert [*program.weights] == ["a.weight", "a.bias", "3.weight", "3.bias"]
    assert distance(network, DOUBLE, "evaluation") == 0


@needs_native
def test_it_takes_other_batches_and_sizes_and_gives_what_the_plain_one_gives(
    tmp_path: Path,
) -> None:
    text = """network net { input x: [3, H, W]
      c: Conv2d(8, 3, padding = 1) -> BatchNorm2d -> ReLU
      residual { d: Conv2d(8, 3, padding = 1) -> BatchNorm2d } -> ReLU
      output first
      e: Conv2d(4, 1)
      output second
    }"""
    network = network_of(text, tmp_path)
    plain = plain_of(network, "float32")
    fast = network.optimize(weights=plain.state_dict(), engine="native")

    for batch, height, width in ((1, 64, 64), (3, 17, 5), (2, 1, 1)):
        image = torch.randn(batch, 3, height, width)
        with torch.no_grad():
            expected = plain(image)
        found = fast(image)
        assert found._fields == expected._fields
        for one, two in zip(found, expected, strict=True):
            assert one.dtype == two.dtype
            assert torch.allclose(one, two, atol=1e-5)
            assert not one.requires_grad


@needs_native
def test_weights_that_change_are_laid_out_anew(tmp_path: Path) -> None:
    network = network_of("network net { input x: [3, 8, 8]; c: Conv2d(4, 3) -> ReLU }", tmp_path)
    program, _ = passed(network.checked, plain_of(network, "float32").state_dict(), [*PASSES])
    module = module_of(program, SINGLE)
    image = torch.randn(1, 3, 8, 8)

    def outputs(of: Any) -> Any:
        with torch.no_grad():
            return of(image)

    first = outputs(module)
    copied, pickled = deepcopy(module), pickle.loads(pickle.dumps(module))
    assert torch.equal(outputs(copied), first)
    assert torch.equal(outputs(pickled), first)
    with torch.no_grad():
        module.c.weight.mul_(2)
        module.c.bias.mul_(2)
    assert torch.allclose(outputs(module), 2 * first)
    module.load_state_dict(copied.state_dict())
    assert torch.equal(outputs(module), first)
    zeros = {name: torch.zeros_like(one) for name, one in copied.state_dict().items()}
    with torch.inference_mode():  # under which torch doesn't keep count of changes
        assert torch.equal(module(image), first)
        module.load_state_dict(zeros)
        assert not module(image).any()
        module.load_state_dict(copied.state_dict())
    with torch.no_grad():
        module.c.weight.data.zero_()
        module.c.bias.data.zero_()
    assert not outputs(module.eval()).any()
    module.load_state_dict(copied.state_dict())
    assert torch.equal(outputs(module), first)
    assert torch.allclose(module(image[0]), first[0], atol=1e-6)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert module(image).dtype == torch.bfloat16
    with torch.no_grad():
        exported = torch.export.export(module, (image,)).module()
        assert torch.allclose(exported(image), first, atol=1e-6)
    assert torch.allclose(module(image), first, atol=1e-6)  # with gradients, step by step
    assert torch.allclose(module.double()(image.double()), first.double(), atol=1e-6)


@needs_native
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_report_says_what_was_done(dtype: str, tmp_path: Path) -> None:
    if lacks := ENGINES["native"].lacks(Place(CPU, getattr(torch, dtype))):
        pytest.skip(lacks)
    text = "network net { input x: [3, 8, 8]; c: Conv2d(4, 3) -> BatchNorm2d -> ReLU }"
    fast = network_of(text, tmp_path).optimize(engine="native", dtype=dtype, batch=2)
    lines = str(fast.report).splitlines()

    rows = [line.split() for line in lines[:10]]
    if dtype == "bfloat16":
        rows.insert(6, ["clamping", "2", "448", "3,888", "1,344"])  # which is for 32 bits
    assert rows[:10] == [
        ["pass", "layers", "bytes", "macs", "a", "sample", "peak"],
        ["(none)", "3", "520", "3,888", "1,344"],
        ["evaluation", "3", "520", "3,888", "1,344"],
        ["scaling", "2", "448", "3,888", "1,344"],
        ["pruning", "2", "448", "3,888", "1,344"],
        ["exchanging", "2", "448", "3,888", "1,344"],
        ["clamping", "2", "448", "3,888", "1,344"],
        ["appending", "2", "448", "3,888", "1,344"],
        ["joining", "1", "448", "3,888", "1,344"],
        ["merging", "1", "448", "3,888", "1,344"],
    ]
    assert lines[-1].startswith("native      2 samples in ")
    assert "outputs differ by" in lines[-1]
    assert fast(torch.randn(2, 3, 8, 8)).dtype == torch.float32
    assert {each.dtype for each in fast.weights.values()} == {getattr(torch, dtype)}


def test_what_was_captured_runs_for_the_shapes_that_it_was_captured_for() -> None:
    captures: list[Any] = []

    def capture(work: Any, inputs: Any) -> Any:
        """Write into one tensor whenever it is launched, as a CUDA graph does."""
        output = work(*inputs)
        captures.append(tuple(inputs[0].shape))
        return lambda: output.copy_(work(*inputs)), [output]

    runs = Captured(lambda a, b: a * 2 + b, capture)
    for size in (3, 5, 3, 5):
        one, two = torch.randn(size, 2), torch.randn(2)
        (first,) = runs(one, two)
        assert torch.equal(first, one * 2 + two)
        runs(one + 1, two)
        assert torch.equal(first, one * 2 + two)  # and not what came after it
    runs(torch.randn(3, 2, dtype=torch.float64), torch.randn(2))
    assert captures == [(3, 2), (5, 2), (3, 2)]
    for size in range(10, 10 + MOST):
        runs(torch.randn(size, 2), torch.randn(2))
    assert len(runs.kept) == MOST
    runs(torch.randn(3, 2), torch.randn(2))
    assert captures[-1] == (3, 2)


def test_graphs_are_for_a_gpu(tmp_path: Path) -> None:
    network = network_of("network net { input x: [4]; Linear(3) }", tmp_path)

    with pytest.raises(ArchError, match="`graphs` is for a GPU with CUDA, and not for cpu"):
        network.optimize(engine="graphs", device="cpu")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("engine", ["eager", "graphs", "inductor"])
def test_on_a_gpu_it_gives_what_the_plain_one_gives(engine: str, dtype: str) -> None:
    network = archdsl.load("resnet18", inputs={"image": (3, 64, 64)})
    plain = plain_of(network, "float32").cuda()
    fast = network.optimize(
        weights=plain.state_dict(), device="cuda", dtype=dtype, engine=engine, batch=4
    )

    for batch in (4, 1, 4):
        image = torch.randn(batch, 3, 64, 64)
        with torch.no_grad():
            expected = plain(image.cuda())
        found = fast(image)
        assert found.dtype == torch.float32
        assert (found - expected).abs().max() < 0.05 * expected.abs().max()


@needs_native
@pytest.mark.parametrize(
    ("stages", "turned"), [("AvgPool2d(2)", False), ("AvgPool2d(2) -> Conv2d(8, 1)", True)]
)
def test_images_lie_channels_last_only_where_they_are_convolved(
    stages: str, turned: bool, tmp_path: Path
) -> None:
    network = network_of(f"network net {{ input x: [4, 8, 8]; {stages} }}", tmp_path)

    given = network.optimize(engine="eager", passes=["evaluation"])(torch.randn(2, 4, 8, 8))

    assert given.is_contiguous(memory_format=torch.channels_last) == turned


def test_outputs_may_be_true_or_false(tmp_path: Path) -> None:
    text = "network net { input x: [3, 8, 8]; c: Conv2d(4, 3); output mask { Greater(0.1) } }"
    network = network_of(text, tmp_path)
    plain = plain_of(network, "float32")
    fast = network.optimize(weights=plain.state_dict(), engine="native")
    image = torch.randn(2, 3, 8, 8)

    assert fast(image).dtype == torch.bool
    with torch.no_grad():
        assert (fast(image) == plain(image)).float().mean() > 0.99


@needs_native
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("bias", [-30.0, -300.0, -1e5])
def test_channels_that_a_relu_cuts_off_leave_no_rounding(
    dtype: str, bias: float, tmp_path: Path
) -> None:
    if lacks := ENGINES["native"].lacks(Place(CPU, getattr(torch, dtype))):
        pytest.skip(lacks)
    text = "network net { input x: [8, 9, 9]; n: BatchNorm2d -> ReLU -> c: Conv2d(4, 1) }"
    network = network_of(text, tmp_path)
    plain = plain_of(network, "float32")
    with torch.no_grad():
        plain.n.bias[:2] = bias
    fast = network.optimize(weights=plain.state_dict(), engine="native", dtype=dtype)
    image = torch.randn(4, 8, 9, 9)
    with torch.no_grad():
        expected = plain(image)
        apart = (fast(image) - expected).abs().max() / expected.abs().max()

    assert apart < (1e-5 if dtype == "float32" else 0.02)


def test_weights_that_give_no_numbers_are_refused(tmp_path: Path) -> None:
    network = network_of("network net { input x: [4]; Linear(3) }", tmp_path)
    weights = network.compile().state_dict()
    weights["0.bias"][0] = float("nan")

    with pytest.raises(ArchError, match="make outputs of NaN or infinity"):
        network.optimize(weights=weights)


def test_it_takes_inputs_by_name_and_stays_as_it_is(tmp_path: Path) -> None:
    text = "network net { input a: [4]; input b: [4]; from a, b; add { branch { from a } "
    network = network_of(text + "branch { from b } }; Linear(3) }", tmp_path)
    fast = network.optimize(engine="eager", passes="scaling")
    one, two = torch.randn(2, 4), torch.randn(2, 4)

    assert torch.equal(fast(one, two), fast(b=two, a=one))
    assert torch.equal(fast(one, two), fast(one, b=two))
    for wrong in ({"a": one}, {"a": one, "c": two}):
        with pytest.raises(TypeError, match="it takes a, b"):
            fast(**wrong)
    with pytest.raises(RuntimeError, match="stays as it is"):
        fast.half()


def test_an_engine_that_fails_or_computes_something_else_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = network_of("network net { input x: [4]; Linear(3) }", tmp_path)
    eager = type(ENGINES["eager"])
    monkeypatch.setitem(ENGINES, "wrong", eager())
    monkeypatch.setattr(
        ENGINES["wrong"], "made", lambda *_: lambda x: torch.zeros(len(x), 3), raising=False
    )
    monkeypatch.setattr(ENGINES["wrong"], "name", "wrong", raising=False)

    with pytest.raises(ArchError, match="`wrong` gives outputs that differ by 1"):
        network.optimize(engine="wrong")

    def fails(*_: object) -> None:
        raise EngineFailed("fails: no room")

    monkeypatch.setattr(ENGINES["wrong"], "made", fails, raising=False)
    with pytest.raises(ArchError, match="the engine `wrong` fails: no room"):
        network.optimize(engine="wrong")
    assert network.optimize(engine="eager").engine == "eager"

    monkeypatch.setattr(optimized, "ENGINES", {"wrong": ENGINES["wrong"]})
    plain = network.compile()
    fast = network.optimize(weights=plain.state_dict())
    given = torch.randn(2, 4)
    assert fast.engine == "plain"
    assert torch.equal(fast(given), plain(given))
    *_, first, second = fast.report.lines()
    assert first.startswith("plain ")
    assert first.endswith(": no engine is faster")
    assert second == "wrong       not used: it fails: no room"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"engine": "nativ"}, "not `nativ`"),
        ({"engine": "tensorflow"}, "`--engine` is auto, eager, native, graphs"),
        ({"passes": ["joinin"]}, "did you mean `joining`"),
        ({"dtype": "int8"}, "`--dtype` is float32, bfloat16 or float16, and not `int8`"),
        ({"batch": 0}, "`--batch` is a number of samples from 1 on, and not 0"),
        ({"device": "meta"}, "`--device` can't be meta"),
        (
            {"passes": []},
            "is evaluation, scaling, pruning, exchanging, clamping, appending, joining or merging, "
            "and not ``",
        ),
        ({"passes": "joining", "engine": "eager"}, "which is for the engine native"),
        ({"passes": "clamping", "dtype": "bfloat16"}, "`clamping`, which is not for numbers of bf"),
        ({"engine": "native", "dtype": "float16"}, "`native` computes in float32 or bfloat16"),
    ],
)
def test_what_makes_no_sense_is_refused(given: Any, said: str, tmp_path: Path) -> None:
    network = network_of("network net { input x: [4]; Linear(3) }", tmp_path)

    with pytest.raises(ArchError, match=said.replace("(", r"\(")):
        network.optimize(**given)


SPEC = """network net {
  input image: [3, 16, 16]
  stem: { conv: Conv2d(8, 3, padding = 1, bias = false) -> bn: BatchNorm2d -> ReLU }
  for i in range(2) {
    "block{i}": { residual { conv: Conv2d(8, 3, padding = 1) -> bn: BatchNorm2d } -> ReLU }
  }
  AdaptiveAvgPool2d(1) -> Flatten
  fc: Linear(5)
}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    plain = plain_of(network_of(SPEC, tmp_path), "float32")
    torch.save(plain.state_dict(), "net.pt")
    return plain


@pytest.mark.slow
@needs_native
def test_the_command_writes_source_and_weights(
    here: Any, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import load_file

    given = ["compile", "net.arch", "--weights", "net.pt", "--optimize", "-o", "fast.py"]
    said = command.printed(*given)
    assert said.splitlines()[-1] == "wrote       fast.py and fast.safetensors"
    command.printed(*given)  # what it wrote it may write again

    scope: dict[str, Any] = {}
    exec(Path("fast.py").read_text(), scope)
    module = scope["Net"]().eval()
    module.load_state_dict(load_file("fast.safetensors"))
    image = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        assert torch.allclose(module(image), here(image), atol=1e-5)
    require_success("mypy", "--strict", "fast.py")
    require_success("ruff", "check", "--isolated", "fast.py")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--optimize"], "--optimize works weights into each other"),
        (["--engine", "native"], "--engine says how to make it faster: add --optimize"),
        (["--optimize", "--weights", "net.pt", "--engine", "graphs"], "in Python"),
        (["--optimize", "--weights", "net.pt", "--verify"], "don't go together"),
        (["--optimize", "--weights", "net.pt", "--freeze", "*"], "don't go together"),
        (["--optimize", "--weights", "net.pt", "--freeze-but", "*"], "don't go together"),
        (["--optimize", "--weights", "net.pt", "--deconvnet", "fc"], "don't go together"),
        (["--optimize", "--weights", "net.pt", "-o", "-"], "writes two files"),
        (["--optimize", "--weights", "net.pt", "-o", "x.pt2"], "writes two files"),
        (["--optimize", "--weights", "net.pt", "--batch", "0"], "from 1 on"),
        (["--optimize", "--weights", "net.pt", "--passes", "nothing"], "is evaluation, scaling"),
        (["--optimize", "--weights", "none.pt"], "none.pt"),
        (["--optimize", "--weights", "net.pt", "-o", "mine.py"], "mine.safetensors is there"),
    ],
)
@pytest.mark.usefixtures("here")
def test_the_command_refuses_and_writes_nothing(
    given: list[str], said: str, command: Command
) -> None:
    Path("mine.safetensors").write_bytes(b"mine")

    result = command("compile", "net.arch", *given)

    assert result.status in (1, 2)
    assert said in result.error
    assert sorted(path.name for path in Path().iterdir()) == [
        "mine.safetensors", "net.arch", "net.pt",
    ]  # fmt: skip


def test_with_weights_nothing_is_drawn_that_they_replace(tmp_path: Path) -> None:
    text = """network net { input x: [3, 8, 8]
      c: Conv2d(4, 3, connections = [[0], [1], [2], [0, 1]]); BatchNorm2d; p: PReLU
      parameter own: [4, 6, 6] = normal(std = 2)
      add { branch { } branch { from own } }
      constant ramp: [6] = [i for i]
      add { branch { } branch { from ramp } }
    }"""
    network = network_of(text, tmp_path)
    stored = plain_of(network, "float32").state_dict()
    before = torch.get_rng_state()
    image = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))

    module = network.compile(weights=stored)

    assert all(torch.equal(each, stored[name]) for name, each in module.state_dict().items())
    assert torch.equal(module.eval()(image), plain_of(network, "float32")(image))
    drawn = network.compile(
        weights={name: one for name, one in stored.items() if name != "own"}, allow_mismatch="own"
    )
    assert 1 < drawn.own.std() < 3  # what isn't stored has its first values
    torch.set_rng_state(before)
    plain = network_of("network net { input x: [3]; Linear(2); Linear(2) }", tmp_path)
    weights = plain.compile().state_dict()
    before = torch.get_rng_state()
    plain.compile(weights=weights)
    assert torch.equal(torch.get_rng_state(), before)


def test_numbers_that_are_equal_in_all_uses_are_one_argument(tmp_path: Path) -> None:
    """What the passes leave comes of no spec, so nothing else says that they are one."""
    network = network_of(
        """block Bottleneck(width) {
          let channels = in.channels
          residual {
            conv1: Conv2d(width, 1, bias = false) -> BatchNorm2d -> ReLU
            conv2: Conv2d(width, 3, padding = 1, bias = false) -> BatchNorm2d -> ReLU
            conv3: Conv2d(channels, 1, bias = false) -> BatchNorm2d
          } -> ReLU
        }
        network net {
          input image: [8, 6, 6]
          a: Bottleneck(4) -> b: Bottleneck(6) -> wide: Conv2d(12, 1) -> c: Bottleneck(4)
        }""",
        tmp_path,
    )
    plain = plain_of(network, "float32")

    fast = network.optimize(weights=plain.state_dict(), engine="eager", passes="scaling")

    for use in ("a = Bottleneck(8, 4)", "b = Bottleneck(8, 6)", "c = Bottleneck(12, 4)"):
        assert f"self.{use}" in fast.source
    assert "def __init__(self, in_channels: int, out_channels: int)" in fast.source
    module = written_of(fast)
    image = torch.randn(2, 8, 6, 6)
    with torch.no_grad():
        assert torch.allclose(module(image), plain(image), atol=1e-5)


@needs_native
@pytest.mark.parametrize("engine", ["eager", "native"])
@pytest.mark.parametrize(
    "stages",
    [
        "Conv2d(4, 1); output first; Dropout(0.5); output second",
        "ReLU; output first { Dropout }; Dropout; output second",
        "BatchNorm2d; output first; Dropout; output second { Identity }",
        "Dropout",
        "Conv2d(4, 1); s: { ReLU; Conv2d(4, 1) }; reuse s",
        "Conv2d(4, 1); s: { Dropout; ReLU; Conv2d(4, 1); Dropout }; reuse s; reuse s",
        "BatchNorm2d; s: { ReLU; Conv2d(4, 1) }; reuse s",
        "Conv2d(4, 1); s: { z: Tanh; residual { Conv2d(4, 1) } }; reuse s",
    ],
    ids=range(8),
)
def test_what_goes_away_may_be_an_output_or_stand_elsewhere_too(
    stages: str, engine: str, tmp_path: Path
) -> None:
    network = network_of(f"network net {{ input x: [4, 6, 6]; {stages} }}", tmp_path)
    plain = plain_of(network, "float32")

    fast = network.optimize(weights=plain.state_dict(), engine=engine)

    written = written_of(fast)
    image = torch.randn(2, 4, 6, 6)
    with torch.no_grad():
        expected = listed(plain(image))
        for found in (listed(fast(image)), listed(written(image))):
            assert len(found) == len(expected)
            for one, two in zip(found, expected, strict=True):
                assert torch.allclose(one, two, atol=1e-5)
