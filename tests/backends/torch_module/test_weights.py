"""Stored weights: what fits, what is refused and how it is said, and which parameters learn."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

import archdsl
from archdsl.backends.export import save_weights
from archdsl.backends.torch_module import TorchError, freeze, load_weights, torch_module
from archdsl.diagnostics import ArchError
from archdsl.patterns import listed, matches
from archdsl.pipeline import Spec

torch = pytest.importorskip("torch")


@pytest.fixture
def spec(spec_file: Path) -> Spec:
    return Spec(str(spec_file))


@pytest.fixture
def module(spec: Spec) -> Any:
    return torch_module(spec.graph())


@pytest.mark.parametrize("suffix", ["safetensors", "pt", "pth"])
def test_what_was_saved_comes_back(suffix: str, spec: Spec, module: Any, tmp_path: Path) -> None:
    path = tmp_path / f"weights.{suffix}"
    if suffix == "safetensors":
        save_weights(module, path)
    else:
        torch.save(
            {"state_dict": module.state_dict()} if suffix == "pth" else module.state_dict(), path
        )
    other = torch_module(spec.graph())

    report = load_weights(other, path)

    assert report.matched == tuple(module.state_dict())
    assert str(report) == "9 matched"
    for name, tensor in other.state_dict().items():
        assert torch.equal(tensor, module.state_dict()[name]), name


def test_a_new_head_must_be_asked_for(spec: Spec, module: Any) -> None:
    other = torch_module(spec.graph(parameters={"classes": 7}))
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}

    with pytest.raises(TorchError) as caught:
        load_weights(other, module.state_dict())
    text = str(caught.value)
    assert "doesn't fit the network: 7 matched, 2 of another shape" in text
    assert "fc.weight: 7 x 144 in the network, 5 x 144 stored" in text
    assert "--allow-mismatch 'fc.*'" in text
    assert all(torch.equal(before[name], tensor) for name, tensor in other.state_dict().items())

    report = load_weights(other, module.state_dict(), allow_mismatch=["fc.*"])
    assert set(report.differing) == {"fc.weight", "fc.bias"}
    assert torch.equal(other.features[0].weight, module.features[0].weight)
    assert torch.equal(other.fc.weight, before["fc.weight"])


def test_missing_and_surplus_names_are_named(module: Any) -> None:
    state = dict(module.state_dict())
    state["head.weight"] = state.pop("fc.weight")
    with pytest.raises(TorchError) as caught:
        load_weights(module, state)
    assert "missing: fc.weight" in str(caught.value)
    assert "surplus: head.weight" in str(caught.value)


class Evil:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("touched"),))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (pickle.dumps(Evil()), "holds more than tensors"),
        (b"", "is empty"),
        (b"not a file of weights", "is neither safetensors nor a file of torch.save"),
        (None, "does not exist"),
    ],
)
def test_nothing_but_tensors_is_read(
    content: bytes | None,
    reason: str,
    module: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "weights.pt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TorchError, match=reason):
        load_weights(module, path)
    assert not (tmp_path / "touched").exists()


def test_a_whole_module_is_not_read(module: Any, tmp_path: Path) -> None:
    path = tmp_path / "module.pt"
    torch.save(torch.nn.Linear(2, 2), path)
    with pytest.raises(TorchError, match="holds more than tensors"):
        load_weights(module, path)


def test_damaged_safetensors(module: Any, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"\xff" * 64)
    with pytest.raises(TorchError, match="is damaged, or no file of weights"):
        load_weights(module, path)


def test_freezing_by_pattern(spec: Spec, module: Any) -> None:
    counted = freeze(module, spec.graph(), ["features.*"])
    assert counted.frozen == 112 + 8
    assert counted.trainable == 725
    assert not module.features[0].weight.requires_grad
    assert module.fc.weight.requires_grad


def test_freezing_what_is_not_there(spec: Spec, module: Any) -> None:
    with pytest.raises(ArchError, match=r"no parameter and no buffer is called `feature.\*`"):
        freeze(module, spec.graph(), ["feature.*"])


SHARED = """network shared { input image: [3, 8, 8]
  first: { conv: Conv2d(4, 3, padding = 1) -> BatchNorm2d }
  again: Conv2d(4, 3, padding = 1)
  reuse again
  parameter gamma: [4, 1, 1] = 1
  mul { branch {} branch { from gamma } }
  output aux when training { Flatten -> head: Linear(2) }
  Flatten -> fc: Linear(5)
}"""


@pytest.mark.parametrize(
    "patterns",
    [["first"], ["first.*"], ["ag???"], ["gamma"], ["*.weight"], ["head", "fc.bias"], ["*"], []],
    ids=" ".join,
)
def test_the_count_says_what_torch_says(patterns: list[str], tmp_path: Path) -> None:
    path = tmp_path / "net.arch"
    path.write_text(SHARED)
    network = archdsl.load(path)
    module = network.compile(freeze=patterns)
    counted = network.count(freeze=patterns)

    for learns, said in ((True, "trainable"), (False, "frozen")):
        of_torch = sum(p.numel() for p in module.parameters() if p.requires_grad is learns)
        assert counted.to_dict()["parameters"][said] == of_torch  # type: ignore[index]
    for row in counted.report.rows:
        own = [p for name, p in module.named_parameters() if f"{name}.".startswith(f"{row.name}.")]
        assert row.frozen == sum(p.numel() for p in own if not p.requires_grad), row.name


@pytest.mark.parametrize(
    ("patterns", "but"),
    [([], ["fc"]), (["*"], ["first"]), (["*.weight"], ["fc.*"]), (["fc"], ["fc.bias"]), ([], "*")],
    ids=str,
)
def test_what_is_left_out_of_freezing_learns(
    patterns: list[str], but: list[str] | str, tmp_path: Path
) -> None:
    path = tmp_path / "net.arch"
    path.write_text(SHARED)
    network = archdsl.load(path)
    module = network.compile(freeze=patterns, freeze_but=but)
    counted = network.count(freeze=patterns, freeze_but=but)

    for name, one in module.named_parameters():
        meant = not patterns or matches(name, patterns)
        assert one.requires_grad is not (meant and not matches(name, listed(but))), name
    said: Any = counted.to_dict()["parameters"]
    assert said["frozen"] == sum(p.numel() for p in module.parameters() if not p.requires_grad)


@pytest.mark.parametrize("how", ["freeze", "freeze_but"])
@pytest.mark.parametrize("pattern", ["frst", "first.0.mean", ""])
def test_a_pattern_without_parameters_is_the_same_error(
    pattern: str, how: str, tmp_path: Path
) -> None:
    path = tmp_path / "net.arch"
    path.write_text(SHARED)
    network = archdsl.load(path)
    given: Any = {how: [pattern]}
    with pytest.raises(ArchError) as counting:
        network.count(**given)
    with pytest.raises(ArchError) as compiling:
        network.compile(**given)

    assert "error[E0608]" in str(counting.value)
    assert str(counting.value) == str(compiling.value)


def test_freezing_the_published_networks_agrees_with_torch() -> None:
    network = archdsl.load("inception_v3")
    patterns = ["Conv2d_*", "Mixed_5?", "AuxLogits"]
    module = network.compile(device="meta", freeze=patterns)
    frozen = sum(p.numel() for p in module.parameters() if not p.requires_grad)
    counted = network.count(freeze=patterns).report

    assert counted.parameters.frozen == counted.frozen.training == frozen
    auxiliary = sum(p.numel() for n, p in module.named_parameters() if n.startswith("AuxLogits"))
    assert counted.frozen.inference == frozen - auxiliary
