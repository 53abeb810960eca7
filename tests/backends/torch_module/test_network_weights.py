"""Weights given to a network, from which on every module that it compiles begins with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import archdsl
from archdsl.backends.export import save_weights

torch = pytest.importorskip("torch")
from archdsl.backends.torch_module import WeightReport  # noqa: E402


def same(module: Any, state: dict[str, Any]) -> bool:
    return all(torch.equal(tensor, state[name]) for name, tensor in module.state_dict().items())


@pytest.mark.parametrize("form", ["state_dict", "pt", "safetensors", "str"])
def test_every_module_begins_with_them(form: str, spec_file: Path, tmp_path: Path) -> None:
    network = archdsl.load(spec_file)
    trained = network.compile()
    state = {name: tensor.clone() for name, tensor in trained.state_dict().items()}
    given: Any = state
    if form != "state_dict":
        given = tmp_path / f"weights.{'pt' if form == 'str' else form}"
        torch.save(state, given)
        if form == "safetensors":
            save_weights(trained, given)
    report = network.load_weights(str(given) if form == "str" else given)

    assert str(report) == "9 matched"
    assert same(network.compile(), state)
    assert same(network.compile(), state)
    assert not same(archdsl.load(spec_file).compile(), state), "another network has its own"


def test_neither_the_giver_nor_a_module_changes_them_later(spec_file: Path) -> None:
    network = archdsl.load(spec_file)
    giver = network.compile()
    before = {name: tensor.clone() for name, tensor in giver.state_dict().items()}
    network.load_weights(giver.state_dict())
    for module in (giver, network.compile()):
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.zero_()

    assert same(network.compile(), before)


def test_what_is_refused_changes_nothing(spec_file: Path) -> None:
    network = archdsl.load(spec_file)
    state = network.compile().state_dict()
    network.load_weights(state)
    other = archdsl.load(spec_file, classes=7).compile().state_dict()
    with pytest.raises(archdsl.ArchError, match="7 matched, 2 of another shape"):
        network.load_weights(other)
    with pytest.raises(archdsl.ArchError, match="does not exist"):
        network.load_weights("nothing.safetensors")

    assert same(network.compile(), state)


def test_a_new_head_keeps_its_first_values(spec_file: Path) -> None:
    state = archdsl.load(spec_file).compile().state_dict()
    network = archdsl.load(spec_file, classes=7)
    report = network.load_weights(state, allow_mismatch=["fc"])
    module: Any = network.compile()

    assert set(report.differing) == {"fc.weight", "fc.bias"}
    assert report.differing["fc.bias"] == ((7,), (5,))
    assert torch.equal(module.features[0].weight, state["features.0.weight"])
    assert module.fc.weight.shape == (7, 144)


def test_weights_for_one_module_come_before_those_for_all(spec_file: Path) -> None:
    network = archdsl.load(spec_file)
    first, second = network.compile().state_dict(), network.compile().state_dict()
    network.load_weights(first)

    assert same(network.compile(weights=second), second)
    assert same(network.compile(), first)


def test_on_meta_they_are_compared_and_not_copied(spec_file: Path) -> None:
    network = archdsl.load(spec_file)
    network.load_weights(network.compile().state_dict())
    assert all(tensor.is_meta for tensor in network.compile(device="meta").parameters())
    other = archdsl.load(spec_file, classes=7).compile().state_dict()
    with pytest.raises(archdsl.ArchError, match="2 of another shape"):
        network.compile(device="meta", weights=other)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"fc.weight": 3}, "holds no state_dict"),
        ({"fc.weight": torch.empty(1, device="meta")}, "meta"),
    ],
    ids=["numbers", "meta"],
)
def test_what_holds_no_weights(given: Any, reason: str, spec_file: Path) -> None:
    with pytest.raises(archdsl.ArchError, match=reason):
        archdsl.load(spec_file).load_weights(given)


def test_what_is_wrapped_by_training_code(spec_file: Path) -> None:
    network = archdsl.load(spec_file)
    state = network.compile().state_dict()
    network.load_weights({"epoch": 3, "model": state})

    assert same(network.compile(), state)


def test_a_notebook_shows_how_many_fit_and_the_names_of_what_does_not(spec_file: Path) -> None:
    network = archdsl.load(spec_file)
    state = dict(network.compile().state_dict())
    name = next(iter(state))
    del state[name]
    state["<script>"] = torch.zeros(3)
    report = network.load_weights(state, allow_mismatch=["*"])

    assert repr(report) == f"<WeightReport: {report}>"
    page = report._repr_html_()
    assert f"<li>{name}</li>" in page
    assert "<li>&lt;script&gt;</li>" in page
    assert all(fits not in page for fits in report.matched)


def test_of_very_many_names_a_notebook_shows_some() -> None:
    report = WeightReport((), tuple(f"layer{n}" for n in range(10_000)), (), {})

    assert "... and 9,800 more" in report._repr_html_()
