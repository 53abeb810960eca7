"""Deconvnets: against ones written by hand, against Captum, and against gradients of copies."""

from __future__ import annotations

import os
import pickle
import random
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from building import LAYERS, Builder
from compiled import load, require_success
from generators import ArchSpec, arch_specs
from hypothesis import HealthCheck, given, settings

import archdsl
from archdsl import own_layers
from archdsl.backends.deconvnet.source import deconvnet
from archdsl.backends.deconvnet.way_back import RULES
from archdsl.cli import run
from archdsl.graph import CheckedGraph
from archdsl.layers.base import (
    ArgumentErrors,
    Example,
    Facts,
    Kind,
    Layer,
    LayerError,
    Shapes,
    TorchFunction,
    construct,
)
from archdsl.layers.sizes import Formula
from archdsl.node_names import find_node

torch = pytest.importorskip("torch")
from deconvnets import DOUBLE, Case, by_hand, close, leads, shaken  # noqa: E402
from test_random import Writer  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::UserWarning"),  # of torch, about padding and the like
]


# --- written by hand ---------------------------------------------------------------------------

ALEXNET = """
    conv features.0 stride=4 padding=2; relu; pool kernel_size=3 stride=2;
    conv features.3 padding=2; relu; pool kernel_size=3 stride=2;
    conv features.6 padding=1; relu; conv features.8 padding=1; relu; conv features.10 padding=1;
    relu; pool kernel_size=3 stride=2; flatten;
    linear classifier.1; relu; linear classifier.4; relu; linear classifier.6
""".strip()
POOL = "pool kernel_size=3 stride=2 ceil_mode=1"
ZFNET = f"""
    conv conv1 stride=2 padding=1; relu; norm; {POOL};
    conv conv2 stride=2; relu; norm; {POOL};
    conv conv3 padding=1; relu; conv conv4 padding=1; relu; conv conv5 padding=1;
    relu; {POOL}; flatten; linear fc6; relu; linear fc7; relu; linear fc8
""".strip()
TOWERS = """
    conv conv1 stride=4; relu; norm; pool kernel_size=3 stride=2;
    conv conv2 padding=2 groups=2; relu; norm; pool kernel_size=3 stride=2;
    conv conv3 padding=1; relu; conv conv4 padding=1 groups=2; relu;
    conv conv5 padding=1 groups=2; relu; pool kernel_size=3 stride=2
""".strip()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "steps", "ends"),
    [
        ("alexnet", ALEXNET, {"features.10": 11, "features.12": 13, "output": 19}),
        ("zfnet", ZFNET, {"conv1": 1, "pool2": 8, "conv5": 13, "output": 21}),
        ("alexnet_2012", TOWERS, {"conv5": 13, "pool5": 15}),
    ],
)
def test_deconvnets_of_papers(name: str, steps: str, ends: Mapping[str, int]) -> None:
    network = archdsl.load(name)
    torch.manual_seed(0)
    weights = network.compile(dtype="float64").state_dict()
    network.load_weights(weights)
    images = torch.randn(2, *network.checked.inputs["image"], dtype=DOUBLE)
    norm = nn.LocalResponseNorm(5, alpha=0.0005, beta=0.75, k=2)
    for label, count in ends.items():
        hand = by_hand(weights, ";".join(steps.split(";")[:count]), norm)
        maps = hand.forward(images)
        module: Any = network.deconvnet(label, dtype="float64")

        found = module.projection(images)

        best = maps.flatten(1).argmax(1)
        start = torch.zeros_like(maps).flatten(1).scatter(1, best[:, None], 1).view_as(maps)
        assert close(found.projected, [hand.back(start)]), label
        at = (torch.arange(2), found.channel, *found.place.T)
        assert close(found.value, [maps[at]])
        assert torch.equal(start[at], torch.ones(2, dtype=DOUBLE))
        channel = int(found.channel[0])
        one = torch.zeros_like(maps)
        one[:, channel] = maps[:, channel] if maps.dim() == 4 else 1
        assert close(module(images, channel=channel), [hand.back(one)]), label
        assert close(module(images, everything=True), [hand.back(maps)]), label


# --- Captum, where it can be imported ----------------------------------------------------------

PLAIN = """network plain {
  input image: [3, 20, 20]
  conv1: Conv2d(8, 3, padding = 1)
  bn1: BatchNorm2d
  relu1: ReLU
  pool: MaxPool2d(3, stride = 2)
  add {
    branch { conv2: Conv2d(8, 3, padding = 1, groups = 2) -> bn2: BatchNorm2d -> relu2: ReLU }
    branch { down: Conv2d(8, 1) }
  }
  relu3: ReLU
  concat {
    branch { conv3: Conv2d(4, 3, stride = 2) -> relu4: ReLU }
    branch { AvgPool2d(3, stride = 2) }
  }
  Flatten
  fc: Linear(10)
}"""


class Plain(nn.Module):
    """The same with a module of its own for each ReLU, as Captum needs it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 8, 3, padding=1, groups=2), nn.BatchNorm2d(8)
        self.down, self.conv3 = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 4, 3, stride=2)
        self.relu1, self.relu2, self.relu3, self.relu4 = nn.ReLU(), nn.ReLU(), nn.ReLU(), nn.ReLU()
        self.fc = nn.Linear(12 * 16, 10)

    def forward(self, image: Any) -> Any:
        x = functional.max_pool2d(self.relu1(self.bn1(self.conv1(image))), 3, stride=2)
        x = self.relu3(self.relu2(self.bn2(self.conv2(x))) + self.down(x))
        x = torch.cat([self.relu4(self.conv3(x)), functional.avg_pool2d(x, 3, stride=2)], dim=1)
        return self.fc(x.flatten(1))


@pytest.mark.parametrize("rule", RULES)
def test_captum_says_the_same(rule: str, tmp_path: Path) -> None:
    captum: Any = pytest.importorskip("captum.attr")
    ways = {
        "deconvnet": captum.Deconvolution,
        "guided": captum.GuidedBackprop,
        "gradient": captum.Saliency,
    }
    torch.manual_seed(0)
    plain = Plain().double().eval()
    plain.load_state_dict(shaken(plain.state_dict()))
    (tmp_path / "plain.arch").write_text(PLAIN)
    network = archdsl.load(str(tmp_path / "plain.arch"))
    module = network.deconvnet("fc", rule=rule, dtype="float64", weights=plain.state_dict())
    images = torch.randn(4, 3, 20, 20, dtype=DOUBLE)
    targets = torch.tensor([0, 3, 3, 9])

    signed = {"abs": False} if rule == "gradient" else {}
    expected = ways[rule](plain).attribute(images.clone().requires_grad_(), targets, **signed)

    assert close(module(images, channel=targets), [expected.detach()])


# --- networks ----------------------------------------------------------------------------------

UNET = """network unet {
  input image: [3, 32, 32]
  for i in range(3) {
    "enc{i}": Double(8 * 2 ** i)
    if i < 2 { MaxPool2d(2) }
  }
  for i in [1, 0] {
    "up{i}": ConvTranspose2d(8 * 2 ** i, 2, stride = 2)
    concat { branch {} branch { from "enc{i}" } }
    "dec{i}": Double(8 * 2 ** i)
  }
  head: Conv2d(2, 1)
}
block Double(out) { repeat 2 { Conv2d(out, 3, padding = 1) -> BatchNorm2d -> ReLU } }
"""
NETWORKS: Mapping[str, int] = {
    "inception_v3": 107,
    "googlenet": 64,
    "resnet50": 64,
    "densenet121": 64,
    "mobilenet_v2": 64,
    "deeplabv3_resnet50": 48,
    "unet": 32,
}


def network_of(name: str, folder: Path) -> CheckedGraph:
    """Return a network, for small images."""
    if name == "unet":
        return load(folder, UNET)
    size = NETWORKS[name]
    # what leads to an output of training alone takes no image as small as that
    without = {"aux": False} if name == "inception_v3" else {}
    return archdsl.load(name, inputs={"image": [3, size, size]}, parameters=without).checked


@pytest.mark.parametrize(
    "name",
    [
        name
        if name == "unet"
        else pytest.param(
            name, marks=pytest.mark.slow if name == "mobilenet_v2" else pytest.mark.whole
        )
        for name in NETWORKS
    ],
)
def test_networks(name: str, tmp_path: Path) -> None:
    checked = network_of(name, tmp_path)
    names = [each for each in checked.nodes if each not in checked.training_only]
    case = Case(checked, [*random.Random(name).sample(names[1:-1], 4), names[-1]])
    for rule in RULES:
        case.check(rule)


# --- every layer -------------------------------------------------------------------------------

COMBINATIONS = 3  # of other arguments, for each example
LARGEST = 4_000  # numbers that come in


def uses(kind: type[Layer], example: Example) -> Iterator[CheckedGraph]:
    """Yield networks of one layer, as in an example and with other arguments."""
    generator = random.Random(kind.__name__)
    choices = {
        name: samples
        for name, field in kind.model_fields.items()
        for samples in [[s for m in field.metadata if isinstance(m, Kind) for s in m.samples]]
        if samples
    }
    several: list[Mapping[str, object]] = [example.arguments]
    for _ in range(COMBINATIONS if choices else 0):
        several.append(
            dict(example.arguments)
            | {
                name: generator.choice(samples)
                for name, samples in choices.items()
                if generator.random() < 2 / 3
            }
        )
    for arguments in several:
        builder = Builder("one")
        # behind something that gives numbers of both signs and is no input
        read = [builder.input(f"x{place}", *shape) for place, shape in enumerate(example.inputs)]
        if "float" in kind.takes:
            read = [
                name
                if place in kind.wants
                else builder.put(f"before{place}", construct(LAYERS["Tanh"], {}), name)
                for place, name in enumerate(read)
            ]
        try:
            builder.put("layer", construct(kind, arguments), *read)
        except (ArgumentErrors, LayerError):
            continue
        yield builder.checked()


KINDS = [*LAYERS.values(), *map(LAYERS.word, ("concat", "add", "sub", "mul"))]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_layer(kind: type[Layer]) -> None:
    for example in kind.examples:
        sizes = [size for shape in example.inputs for size in shape]
        if any(isinstance(size, Formula) for size in sizes) or sum(map(int, sizes)) > LARGEST:
            continue
        for checked in uses(kind, example):
            if leads(checked, "layer"):
                case = Case(checked, ["layer"])
                for rule in RULES:
                    case.check(rule)


# --- random networks ---------------------------------------------------------------------------


def is_formatted(sources: Mapping[str, str], folder: Path) -> Path:
    """Hold sources to linter and formatter, and return where they are."""
    written = folder / "sources"
    written.mkdir()
    for name, text in sources.items():
        (written / f"{name}.py").write_text(text)
    require_success("ruff", "check", "--isolated", "--no-cache", str(written))
    require_success("ruff", "format", "--isolated", "--no-cache", "--check", str(written))
    return written


def is_clean(sources: Mapping[str, str], folder: Path) -> None:
    """Hold sources to linter, formatter and type checker."""
    cache = f"--cache-dir={folder / 'cache'}"
    written = str(is_formatted(sources, folder))
    require_success("mypy", "--strict", "--config-file=", cache, written)


def check_everything(checked: CheckedGraph) -> dict[str, str]:
    """Compare every node by every rule, and return the sources by the number of the node."""
    case = Case(checked)
    for rule in RULES:
        case.check(rule)
    return {
        f"{number}_{rule}": deconvnet(checked, name, rule, case.source).source.text
        for number, name in enumerate(case.names)
        for rule in RULES
    }


def test_a_random_network_in_all_constructs(tmp_path: Path) -> None:
    sources = check_everything(load(tmp_path, Writer(1).network()))

    is_formatted({f"net_{name}": text for name, text in sources.items()}, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "seed", [2, *(pytest.param(seed, marks=pytest.mark.whole) for seed in range(3, 12))]
)
def test_random_networks_in_all_constructs(seed: int, tmp_path: Path) -> None:
    sources = check_everything(load(tmp_path, Writer(seed).network()))

    is_clean({f"net_{name}": text for name, text in sources.items()}, tmp_path)


some = settings(
    max_examples=5,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@some
@given(arch_specs())
def test_random_networks(tmp_path: Path, spec: ArchSpec) -> None:
    check_everything(load(tmp_path, spec.text()))


@pytest.mark.slow
def test_random_networks_are_clean(tmp_path: Path) -> None:
    sources: dict[str, str] = {}

    @settings(some, max_examples=20)
    @given(arch_specs())
    def collect(spec: ArchSpec) -> None:
        for name, text in check_everything(load(tmp_path, spec.text())).items():
            sources[f"net{len(sources)}_{name}"] = text

    collect()
    is_clean(sources, tmp_path)


# --- what users meet ---------------------------------------------------------------------------

MIXED = """network mixed {
  input image: [3, 8, 8]
  input words: [4]
  from image -> projection: Conv2d(4, 3, padding = 1)
  ReLU
  activations: Body
  mul { branch left { Conv2d(4, 1) } branch { from activations.1 -> MaxPool2d(2) } } as gated
  AdaptiveAvgPool2d(1) -> Flatten
  "class": Linear(6)
  from words -> looked: Embedding(9, 4) -> flat: Flatten
  joined: concat { branch { from "class" } branch { from flat } }
  x: Linear(5)
  output aux when training { extra: Linear(2) }
  once: Linear(5)
  reuse once
  output score
}
block Body { Conv2d(4, 1) -> ReLU -> MaxPool2d(2) }
"""


@pytest.fixture
def mixed(tmp_path: Path) -> archdsl.Network:
    (tmp_path / "mixed.arch").write_text(MIXED)
    return archdsl.load(str(tmp_path / "mixed.arch"))


def given_to(network: archdsl.Network) -> tuple[Any, Any]:
    generator = torch.manual_seed(3)
    image = torch.randn(3, 3, 8, 8, generator=generator)
    return image, torch.randint(0, 9, (3, 4), generator=generator)


def test_every_node_of_a_network_with_odd_names(mixed: archdsl.Network) -> None:
    case = Case(mixed.checked)

    assert {"projection", "image", "mul", "activations.2", "once@2"} <= {*case.names}
    assert not {"words", "looked", "flat", "extra"} & {*case.names}
    for rule in RULES:
        case.check(rule)


@pytest.mark.parametrize(
    ("label", "node"),
    [
        ("activations.1", "activations.1"),
        ("gated", "mul"),
        ("left", "left.0"),
        ("class", "class"),
        ("score", "once@2"),
        ("once", "once"),
        ("joined", "joined.concat"),
        ("image", "image"),
        ("5", "5"),
    ],
)
def test_what_names_mean(mixed: archdsl.Network, label: str, node: str) -> None:
    assert find_node(mixed.checked, label).name == node


def test_blocks_are_called_as_what_they_give() -> None:
    inception = archdsl.load("inception_v3").checked

    assert find_node(inception, "Mixed_5d.branch1x1").name == "Mixed_5d.branch1x1.2"
    assert find_node(inception, "Mixed_5d").name == "Mixed_5d.concat"
    assert find_node(inception, "logits").name == "fc"


WRONG = [
    ("projektion", "deconvnet", r"nothing in `mixed` is called `projektion`.*`projection`"),
    ("0", "deconvnet", r"is called `0`.*did you mean `activations\.0` or `left\.0`\?"),
    ("activations", "deconvnet", r"gives several tensors.*`activations\.1` or `activations\.2`"),
    ("extra", "deconvnet", r"`extra` is there only in training"),
    ("words", "deconvnet", r"nothing leads back from `words` to the numbers of an input"),
    ("flat", "guided", r"nothing leads back from `flat`"),
    ("x", "integrated", r"there is no rule `integrated`.*deconvnet, guided and gradient"),
    ("\x1b[2J" * 99, "deconvnet", r"is called `\\x1b\[2J"),
]


@pytest.mark.parametrize(("label", "rule", "said"), WRONG)
def test_what_has_no_deconvnet(mixed: archdsl.Network, label: str, rule: str, said: str) -> None:
    with pytest.raises(archdsl.ArchError, match=f"(?s){said}"):
        mixed.deconvnet(label, rule=rule)


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_a_command_with_it_writes_nothing(
    number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    label, rule, said = WRONG[number]
    (tmp_path / "mixed.arch").write_text(MIXED)
    out = tmp_path / "out.py"

    status = run(
        ["compile", str(tmp_path / "mixed.arch"), "--deconvnet", label, "-o", str(out)]
        + (["--rule", rule] if rule in RULES else [])
    )

    if rule in RULES:
        assert status == 1
        assert re.search(f"(?s){said}", capsys.readouterr().err)
        assert not out.exists()


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (["--deconvnet", "x", "--rule", "integrated"], 2, "'integrated' is not one of"),
        (["--rule", "guided"], 2, "--rule is about a deconvnet"),
        (["--deconvnet", "x", "--verify"], 2, "--verify and --deconvnet don't go together"),
        (["--deconvnet", "x", "-o", "out.onnx"], 2, "out.onnx must end in .py"),
        (["--deconvnet", "x", "--weights", "lacking.pt"], 1, "lacking.pt does not exist"),
        (["--deconvnet", "x", "--weights", "other.pt"], 1, "doesn't fit the network"),
    ],
)
def test_commands_that_make_no_sense(
    options: list[str],
    status: int,
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mixed.arch").write_text(MIXED)
    torch.save({"conv.weight": torch.ones(3)}, "other.pt")

    assert run(["compile", "mixed.arch", *options]) == status

    assert said in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mixed.arch", "other.pt"]


ALONE = """
import sys, torch, mixed_deconvnet as made
module = made.MixedDeconvnet()
module.load_state_dict(torch.load("weights.pt"))
image, words = torch.load("inputs.pt")
found = [module(image, words), *module.projection(image, words, channel=2)]
torch.save(found, "found.pt")
assert not [name for name in sys.modules if name.startswith("archdsl")]
"""


def test_the_file_alone_gives_the_same(
    mixed: archdsl.Network, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, given = mixed.compile().state_dict(), given_to(mixed)
    torch.save(weights, tmp_path / "weights.pt")
    torch.save(given, tmp_path / "inputs.pt")
    spec, out = str(tmp_path / "mixed.arch"), str(tmp_path / "mixed_deconvnet.py")
    saved = str(tmp_path / "weights.pt")

    assert run(["compile", spec, "--deconvnet", "x", "--weights", saved, "-o", out]) == 0
    assert "what comes back is rectified at 2 ReLU" in capsys.readouterr().out
    alone = [sys.executable, "-Pc", ALONE]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(alone, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr

    module: Any = mixed.deconvnet("x", weights=weights)
    expected = [module(*given), *module.projection(*given, channel=2)]
    for one, other in zip(torch.load(tmp_path / "found.pt"), expected, strict=True):
        assert torch.allclose(one, other, rtol=1e-4)  # on other threads it rounds otherwise
    assert [*module.state_dict()] == [*weights]


def test_which_activations_are_projected(mixed: archdsl.Network) -> None:
    image, _ = given_to(mixed)
    module: Any = mixed.deconvnet("projection", rule="gradient")
    leaf = image.clone().requires_grad_()
    maps = module.activations(leaf)

    def gradient(of: Any) -> Any:
        return torch.autograd.grad(of, leaf, retain_graph=True)[0]

    one = module(image, channel=1, place=(2, 5))
    assert torch.allclose(one, gradient(maps[:, 1, 2, 5].sum()))
    channels, places = torch.tensor([1, 0, 3]), torch.tensor([[2, 5], [0, 0], [7, 7]])
    chosen = maps[torch.arange(3), channels, places[:, 0], places[:, 1]]
    assert torch.allclose(module(image, channels, places), gradient(chosen.sum()))
    found = module.projection(image, place=(4, 4))
    assert torch.equal(found.channel, maps[:, :, 4, 4].argmax(1))
    assert torch.equal(found.place, torch.full((3, 2), 4))
    whole = module.projection(image, channel=2)
    assert torch.allclose(whole.projected, gradient(maps[:, 2].square().sum() / 2), atol=1e-6)
    assert torch.equal(whole.value, maps[:, 2].flatten(1).amax(1))
    with torch.inference_mode():
        assert torch.equal(module(image, 1, (2, 5)), one)
    with torch.no_grad():
        assert torch.equal(module(image.clone(), 1, (2, 5)), one)
    assert not module.train().training
    for other in (deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(other(image, 1, (2, 5)), one)


@pytest.mark.parametrize(
    ("choice", "error", "said"),
    [
        ({"channel": 4}, IndexError, "channels are 0 to 3, and not"),
        ({"channel": -1}, IndexError, "channels are 0 to 3, and not"),
        ({"channel": 1, "place": (0, 8)}, IndexError, "places along axis 1 are 0 to 7"),
        ({"channel": 1, "place": 3}, ValueError, "a place has 2 numbers here"),
        ({"channel": 1, "place": (1, 2, 3)}, ValueError, "a place has 2 numbers here"),
        ({"channel": 1, "everything": True}, ValueError, "everything is all channels"),
    ],
)
def test_choices_that_there_are_not(
    mixed: archdsl.Network, choice: dict[str, Any], error: type[Exception], said: str
) -> None:
    module: Any = mixed.deconvnet("projection")

    with pytest.raises(error, match=said):
        module(given_to(mixed)[0], **choice)


def test_a_vector_has_no_places(mixed: archdsl.Network) -> None:
    module: Any = mixed.deconvnet("class", rule="gradient")
    image, _ = given_to(mixed)
    leaf = image.clone().requires_grad_()
    expected = torch.autograd.grad(module.activations(leaf)[:, 4].sum(), leaf)[0]

    assert torch.allclose(module(image, channel=4), expected)
    assert torch.allclose(module(image, channel=4, place=()), expected)
    with pytest.raises(ValueError, match="a place has 0 numbers"):
        module(image, channel=4, place=(1,))


def test_a_layer_of_a_users_own_goes_back_by_its_gradient_unless_it_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_layers, "_registered", {})

    @archdsl.layer
    class Cubed(archdsl.Layer):
        """The third power."""

        def infer(self, inputs: Shapes) -> Facts:
            return Facts(inputs[0], TorchFunction("{0} ** 3"))

    @archdsl.layer
    class Positive(archdsl.Layer):
        """The third power of what is above zero."""

        def infer(self, inputs: Shapes) -> Facts:
            made = TorchFunction("torch.relu({0}) ** 3")
            return Facts(inputs[0], made, back="rectified")

    (tmp_path / "net.arch").write_text("network net { input x: [5]; Cubed; Positive }")
    network = archdsl.load(str(tmp_path / "net.arch"))
    x = torch.tensor([[-1.0, 0.5, 1.0, 2.0, 3.0]])
    cubes = 3 * x**2
    passes = {"deconvnet": torch.ones(5), "guided": 3 * x**6, "gradient": 3 * x**6}
    for rule in RULES:
        found = network.deconvnet("1", rule=rule)(x, everything=True)
        strength = torch.relu(x**3) ** 3
        assert torch.allclose(found, strength * passes[rule] * cubes)


def test_a_layer_of_two_inputs_rectifies_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_layers, "_registered", {})

    @archdsl.layer
    class Larger(archdsl.Layer):
        """The larger one of two."""

        def infer(self, inputs: Shapes) -> Facts:
            return Facts(inputs[0], TorchFunction("torch.maximum({0}, {1})"), back="rectified")

    (tmp_path / "net.arch").write_text("network net { input x: [5]; input y: [5]; Larger }")
    network = archdsl.load(str(tmp_path / "net.arch"))

    with pytest.raises(
        archdsl.ArchError, match=r'(?s)`Larger` \(`0`\) says back="rectified".*:1:43'
    ):
        network.deconvnet("0")
