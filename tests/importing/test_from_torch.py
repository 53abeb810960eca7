"""A module that is brought in is the same module: by its names, its outputs, and its text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import modules
import pytest
import torch
from torch import nn

import archdsl
from archdsl.importing.errors import ImportingError
from archdsl.importing.imported import Imported
from archdsl.importing.made import noted

GOLDEN = Path(__file__).parents[1] / "golden" / "imported"


def brought(module: nn.Module, *shapes: tuple[int, ...]) -> Imported:
    torch.manual_seed(0)
    given = [torch.randn(2, *shape) for shape in shapes]
    return archdsl.from_torch(module, given)


CASES: dict[str, tuple[nn.Module, tuple[tuple[int, ...], ...]]] = {
    "residuals": (modules.Residuals(), ((3, 8, 8),)),
    "dense": (modules.Dense(), ((4, 6, 6),)),
    "heads": (modules.Heads(), ((4,),)),
    "crossed": (modules.Crossed(), ((4,),)),
    "two": (modules.Two(), ((2, 8, 8), (3, 4, 4))),
    "tokens": (modules.Tokens(), ((3, 8, 8),)),
    "twice": (modules.Twice(), ((4,),)),
    "own": (nn.Sequential(modules.Own(4), modules.Own(4)), ((3, 4),)),
    "scaled": (modules.Scaled(), ((4, 6, 6),)),
    "drops": (modules.Drops(), ((4,),)),
    "branches": (modules.Branches(), ((4,),)),
    "sequential": (nn.Sequential(nn.Linear(4, 3), nn.Identity(), nn.Linear(3, 2)), ((4,),)),
}


@pytest.mark.parametrize("name", CASES)
def test_a_module_comes_back(name: str) -> None:
    module, shapes = CASES[name]
    before = {key: value.clone() for key, value in module.state_dict().items()}

    network = brought(module, *shapes)

    assert network.proof.sentence() == "the same, name by name; outputs equal"
    assert network.proof.distance == {"evaluation": 0.0, "training": 0.0}
    assert [*network.weights] == [*before]
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    compiled = network.compile()  # with the module's weights
    for key, value in compiled.state_dict().items():
        assert torch.equal(value, before[key])
    assert network.count().parameters == sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("name", CASES)
def test_bringing_in_what_was_compiled_gives_equal_outputs(name: str) -> None:
    module, shapes = CASES[name]
    first = brought(module, *shapes)

    second = brought(first.compile(), *shapes)

    assert second.proof.same
    assert [*second.weights] == [*first.weights]


def test_attention_by_a_fused_function_is_written_out() -> None:
    network = brought(nn.Sequential(modules.Attends(), modules.Attends()), (5, 8))

    assert network.proof.same
    assert max(network.proof.distance.values()) < 1e-6
    assert network.spec.count("MatMul") == 2  # in one block


def test_order_of_registration_is_kept() -> None:
    network = brought(modules.Branches(), (4,))

    assert network.proof.ordered
    assert "register second" in network.spec


def test_uses_of_a_class_are_one_block_with_loops_and_conditions() -> None:
    text = brought(modules.Residuals(), (3, 8, 8)).spec

    assert text.count("block ") == 1
    assert "repeat 3 { Unit(8) }" in text
    assert "Unit(16, stride = 2)" in text
    assert "residual {" in text
    assert "if width != out_channels" in text


def test_a_list_that_grows_is_a_loop() -> None:
    text = brought(modules.Dense(), (4, 6, 6)).spec

    assert "for i in range(5) {" in text
    assert text.count("concat {") == 1
    assert len(text.splitlines()) < 20


def test_what_only_training_gives_is_said_so() -> None:
    text = brought(modules.Heads(), (4,)).spec

    assert "output aux when training" in text
    assert text.rstrip().endswith("output out\n}")


def test_a_module_of_meta_tensors_is_written_without_comparing_outputs() -> None:
    with torch.device("meta"):
        module = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
        given = torch.empty(2, 4)

    network = archdsl.from_torch(module, given)

    assert "not compared" in network.proof.sentence()
    assert network.count().parameters == 15


def test_what_cant_be_said_is_listed_with_its_line_and_nothing_is_written() -> None:
    with pytest.raises(ImportingError) as caught:
        brought(modules.Sorts(), (4,))

    text = str(caught.value)
    assert "E0903" in text
    assert "2 times: `logcumsumexp`" in text
    assert "modules.py" in text
    assert "torch.logcumsumexp(torch.logcumsumexp(x, 1), 1)" in text


def test_a_way_that_depends_on_numbers_is_refused() -> None:
    with pytest.raises(ImportingError, match=r"reads the numbers of a tensor"):
        brought(modules.Decides(), (4,))


def test_parameters_that_nothing_uses_are_a_difference() -> None:
    network = brought(modules.Unused(), (4,))

    assert not network.proof.same
    assert network.proof.missing == ("spare.weight", "spare.bias")
    assert network.spec.startswith("# archdsl import: not the same: the spec lacks spare.weight")


@pytest.mark.parametrize(
    ("module", "inputs", "said"),
    [
        (modules.Fails(), (torch.zeros(2, 4),), "KeyError"),
        (nn.Sequential(nn.Linear(4, 3)), (torch.zeros(2, 5),), "RuntimeError"),
        (nn.Sequential(nn.Linear(4, 3)), (), "needs inputs"),
        (print, (torch.zeros(2, 4),), "is no torch.nn.Module"),
        (nn.Linear(4, 3), (torch.zeros(2, 4),), "is a layer by itself"),
    ],
    ids=["raises", "other input", "no input", "no module", "layer"],
)
def test_bad_modules_and_inputs_are_said(
    module: nn.Module, inputs: tuple[torch.Tensor, ...], said: str
) -> None:
    with pytest.raises(ImportingError, match=said):
        archdsl.from_torch(module, inputs)


# By size of the image, with the lines of the spec that comes with the package.
NETWORKS = {
    "resnet50": (224, 79),
    "densenet121": (224, 72),
    "googlenet": (224, 80),
    "inception_v3": (299, 142),
    "mobilenet_v2": (224, 56),
    "efficientnet_b0": (224, 79),
    "vit_b_16": (224, 37),
    "convnext_tiny": (224, 37),
    "swin_t": (224, 60),
}


def torchvision_model(name: str) -> nn.Module:
    models = pytest.importorskip("torchvision.models")
    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    with noted():
        model: nn.Module = models.get_model(name, weights=None, **options)
    return model


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_torchvision_read_as_if_written_by_hand(
    name: str, golden: Callable[[Path, str], None]
) -> None:
    size, ours = NETWORKS[name]
    with torch.device("meta"):
        module = torchvision_model(name)

    network = archdsl.from_torch(module, torch.empty(2, 3, size, size, device="meta"), name=name)

    assert network.proof.same
    assert len(network.spec.splitlines()) <= 1.5 * ours
    golden(GOLDEN / f"{name}.arch", network.spec)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [n if n == "mobilenet_v2" else pytest.param(n, marks=pytest.mark.whole) for n in NETWORKS],
)
def test_networks_of_torchvision_are_equal_bit_by_bit(name: str) -> None:
    size = 299 if name == "inception_v3" else 224

    network = brought(torchvision_model(name), (3, size, size))

    assert network.proof.same
    assert network.proof.distance == {"evaluation": 0.0, "training": 0.0}


def test_a_number_that_is_that_of_the_batch_is_a_difference() -> None:
    assert not brought(modules.OfBatch(), (4,)).proof.same


def test_outputs_without_a_number_prove_nothing() -> None:
    module = modules.OfBatch()
    module.map.weight.data.fill_(float("nan"))
    assert not brought(module, (4,)).proof.same


def test_a_module_that_gives_what_came_in_is_refused() -> None:
    with pytest.raises(ImportingError, match="gives what came in"):
        brought(modules.Same(), (4,))
