"""What `archdsl.load` takes, and what it says of the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

import archdsl
from archdsl import ArchError

TEXT = """network n(inputs: int = 3, limits: int = 1, spec: int = 1, self: int = 1) {
  input x: [3, 8, 8]
  Linear(inputs + 10 * limits + 100 * spec + 1000 * self)
}
"""


class Size:
    """An integer of another library."""

    def __index__(self) -> int:
        return 16


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "n.arch"
    path.write_text(TEXT)
    return path


def features(network: archdsl.Network) -> object:
    return network.checked.nodes[network.checked.outputs[0].node].shape[-1]


def test_parameters_have_any_name(spec: Path) -> None:
    """Those of arguments of `load` too, in a mapping."""
    assert features(archdsl.load(spec, parameters={"inputs": 5, "limits": 2})) == 1125
    assert features(archdsl.load(spec, parameters={"inputs": 5}, spec=2, self=3)) == 3215
    assert features(archdsl.load(spec, parameters={})) == features(archdsl.load(spec)) == 1113


def test_shapes_of_inputs(spec: Path) -> None:
    shape = archdsl.load(spec, inputs={"x": (3, Size(), "W")}).checked.inputs["x"]

    assert [*map(str, shape)] == ["3", "16", "W"]
    assert type(shape[1]) is int


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"inputs": 5}, '`inputs` must be shapes by name: `{"image": [3, 224, 224]}`, not `5`'),
        ({"inputs": 5}, 'a parameter called `inputs` is given as `parameters={"inputs": ...}`'),
        ({"inputs": "x=3x8x8"}, "`inputs` must be shapes by name"),
        ({"inputs": [("x", [3, 8, 8])]}, "not list"),
        ({"inputs": {5: [3, 8, 8]}}, "`inputs` must be shapes by name"),
        ({"inputs": {"x": 5}}, "the shape of `x` must be a list of sizes: `[3, 224, 224]`"),
        ({"inputs": {"x": "3x8x8"}}, "the shape of `x` must be a list of sizes"),
        ({"inputs": {"x": [3, 0, 8]}}, "the shape of `x` must be positive integers and names"),
        ({"inputs": {"x": [3, -8, 8]}}, "not `-8`"),
        ({"inputs": {"x": [3, 8.0, 8]}}, "not `8.0`"),
        ({"inputs": {"x": [3, True, 8]}}, "not `True`"),
        ({"inputs": {"x": [3, None, 8]}}, "not NoneType"),
        ({"inputs": {"x": [3, "a b", 8]}}, "not `'a b'`"),
        ({"inputs": {"x": [3, 2**63, 8]}}, "the shape of `x` must be positive integers"),
        ({"inputs": {"y": [3, 8, 8]}}, "no input called `y`"),
        ({"network": 5}, "`network` must be a name, not `5`"),
        ({"limits": 5}, "`limits` must be archdsl.Limits(...), not `5`"),
        ({"limits": {"layers": 5}}, "a parameter called `limits` is given as"),
        ({"search": "folder"}, "`search` must be a list of folders"),
        ({"search": [5]}, "`search` must be a list of folders"),
        ({"parameters": 5}, '`parameters` must be values by name: `{"classes": 10}`, not `5`'),
        ({"parameters": {5: 5}}, "`parameters` must be values by name"),
        ({"parameters": {"spec": 5}, "spec": 5}, "`spec` is given twice"),
        ({"parameters": {"width": 5}}, "no parameter called `width`"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said(spec: Path, arguments: dict[str, object], said: str) -> None:
    with pytest.raises(ArchError) as caught:
        archdsl.load(spec, **arguments)  # type: ignore[arg-type]

    assert said in str(caught.value)


@pytest.mark.parametrize("spec", [None, 5, b"lenet5", ["lenet5"]], ids=repr)
def test_a_spec_is_a_path_or_a_name(spec: object) -> None:
    with pytest.raises(ArchError, match="the spec must be a path or a name"):
        archdsl.load(spec)  # type: ignore[arg-type]
