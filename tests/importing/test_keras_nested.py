"""Models of Keras whose inputs and outputs stand in lists and mappings, in each other.

Keras counts the tensors of a mapping by its keys, and writes them as they were given.
"""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from keras_files import layer, model, saved, start, tensors

import archdsl
from archdsl.importing.errors import ImportingError
from archdsl.network import Network

pytestmark = pytest.mark.usefixtures("one_thread")
EARLY = pytest.mark.parametrize("early", [False, True], ids=["keras 3", "keras 2"])


def halves(early: bool = False) -> list[dict[str, Any]]:
    """Return an inner model that gives its input times 2 and 3, by names out of order."""
    inside = [layer("Rescaling", f"by{by}", "z", scale=float(by)) for by in (2, 3)]
    gives = {"b": ["by2", 0, 0], "a": ["by3", 0, 0]}
    inner = layer("Functional", "inner", "x")
    inner["config"] = model(start("z", 4), *inside, outputs=gives)["config"]
    if early:
        inner["inbound_nodes"] = [[["x", 0, 0, {}]]]
    return [start("x", 4), inner]


def sums(*takes: str, call: Any, inputs: Any = None, mask: Any = None) -> dict[str, Any]:
    """Return a model with one in it, which gives its first input and 10 times its second."""
    inside = [
        *(start(name, 4) for name in takes),
        layer("Rescaling", "ten", takes[1], scale=10.0),
        layer("Add", "sum", takes[0], "ten"),
    ]
    places = [[name, 0, 0] for name in takes]
    inner = layer("Functional", "inner", "x")
    inner["config"] = model(*inside, inputs=inputs or places)["config"]
    inner["inbound_nodes"] = [{"args": [call], "kwargs": {"mask": mask}}]
    made = model(
        start("x", 4), start("y", 4), inner,
        inputs=[["x", 0, 0], ["y", 0, 0]], outputs=["inner", 1, 0],
    )  # fmt: skip
    return made


def early(made: dict[str, Any]) -> dict[str, Any]:
    """Return a model as Keras 2 says what is called on what."""
    made["keras_version"] = "2.11.0"

    def plain(held: Any) -> Any:
        if isinstance(held, list):
            return [plain(one) for one in held]
        if "config" in held:
            return [*held["config"]["keras_history"], {}]
        return {key: plain(one) for key, one in held.items()}

    def settle(config: dict[str, Any]) -> None:
        for one in config["layers"]:
            found = [plain(node["args"][0]) for node in one["inbound_nodes"]]
            one["inbound_nodes"] = [
                [node] if isinstance(node, list) and isinstance(node[0], str) else node
                for node in found
            ]
            if one["class_name"] == "Functional":
                settle(one["config"])

    settle(made["config"])
    return made


def imported(made: dict[str, Any], folder: Path) -> Network:
    network = archdsl.from_keras(saved(made, folder))
    assert network.proof.same, network.proof.sentence()
    return network


def given(network: Network, *inputs: torch.Tensor) -> Any:
    """Return what a network gives."""
    with torch.no_grad():
        return network.compile().eval()(*inputs)


@EARLY
@pytest.mark.parametrize(("number", "by"), [(0, 3), (1, 2)])
def test_outputs_of_a_model_in_another_are_counted_by_their_names(
    number: int, by: int, early: bool, tmp_path: Path
) -> None:
    made = model(*halves(early), outputs=["inner", 1, number])
    if early:
        made["keras_version"] = "2.11.0"

    x = torch.randn(2, 4)
    assert torch.allclose(given(imported(made, tmp_path), x), x * by)


def swapped() -> dict[str, Any]:
    """Return what a model is called on: a mapping whose names stand in another order."""
    return {"q": tensors("y"), "p": tensors("x")}


@pytest.mark.parametrize("of_keras_2", [False, True], ids=["keras 3", "keras 2"])
@pytest.mark.parametrize(
    "takes", ["a mapping", "a mapping in order", "a list", "a list out of order"]
)
def test_inputs_by_names_find_those_of_the_model(
    takes: str, of_keras_2: bool, tmp_path: Path
) -> None:
    """Where it takes a mapping by its keys, and where it takes a list by the names of inputs."""
    names = ("q", "p") if "out of order" in takes else ("p", "q")
    wanted: Any = None
    if "mapping" in takes:
        order = ("p", "q") if "in order" in takes else ("q", "p")
        wanted = {name: [name, 0, 0] for name in order}
    made = sums(*names, call=swapped(), inputs=wanted, mask={"q": None, "p": None})
    made = early(made) if of_keras_2 else made

    x, y = torch.randn(2, 4), torch.randn(2, 4)
    first, second = (y, x) if names == ("q", "p") else (x, y)
    assert torch.allclose(given(imported(made, tmp_path), x, y), first + 10 * second)


@pytest.mark.parametrize("of_keras_2", [False, True], ids=["keras 3", "keras 2"])
def test_mappings_in_lists_are_counted_in_a_row(of_keras_2: bool, tmp_path: Path) -> None:
    takes = [{"p": ["q", 0, 0]}, {"q": ["p", 0, 0]}]
    call = [{"p": tensors("x")}, {"q": tensors("y")}]
    made = sums("p", "q", call=call, inputs=takes, mask=[{"p": None}, {"q": None}])
    made = early(made) if of_keras_2 else made

    x, y = torch.randn(2, 4), torch.randn(2, 4)
    assert torch.allclose(given(imported(made, tmp_path), x, y), y + 10 * x)


def test_calls_by_other_names_are_refused(tmp_path: Path) -> None:
    call = {"v": tensors("x"), "w": tensors("y")}
    wanted = {"p": ["p", 0, 0], "q": ["q", 0, 0]}

    for inputs in (wanted, None):
        with pytest.raises(ImportingError, match="calls `inner` on tensors by other names"):
            archdsl.from_keras(saved(sums("p", "q", call=call, inputs=inputs), tmp_path))


def test_a_mask_in_a_mapping_is_refused(tmp_path: Path) -> None:
    made = sums("p", "q", call=swapped(), mask={"q": None, "p": tensors("x")})

    with pytest.raises(ImportingError, match="a call with `mask`"):
        archdsl.from_keras(saved(made, tmp_path))


def test_numbers_as_keys_have_no_order_that_a_file_tells(tmp_path: Path) -> None:
    """Keras counted 9 before 10, and the file says "9" and "10"."""
    layers = halves()
    gives = layers[1]["config"]["output_layers"]
    layers[1]["config"]["output_layers"] = {"10": gives["b"], "9": gives["a"]}
    with pytest.raises(ImportingError, match="by the keys 10, 9 in a model in another"):
        archdsl.from_keras(saved(model(*layers, outputs=["inner", 1, 0]), tmp_path))

    layers[1]["config"]["output_layers"] = {"2": gives["b"], "1": gives["a"]}
    x = torch.randn(2, 4)
    made = model(*layers, outputs=["inner", 1, 0])
    assert torch.allclose(given(imported(made, tmp_path), x), 3 * x)


def test_mappings_in_mappings_are_read_where_their_order_is_certain(tmp_path: Path) -> None:
    """Keras 3 counts the inner one as it is written on torch, and elsewhere by its keys."""
    layers = halves()
    gives = layers[1]["config"]["output_layers"]
    layers[1]["config"]["output_layers"] = {"k": gives}
    made = model(*layers, outputs=["inner", 1, 0])
    with pytest.raises(ImportingError, match="by the keys b, a in a model in another"):
        archdsl.from_keras(saved(made, tmp_path))

    layers[1]["config"]["output_layers"] = {"k": {"a": gives["a"], "b": gives["b"]}}
    x = torch.randn(2, 4)
    assert torch.allclose(given(imported(made, tmp_path), x), 3 * x)


# --- names of outputs -----------------------------------------------------------------------------

FAIR = [["a", 0, 0], ["b", 0, 0], ["c", 0, 0]]
ONE, TWO, THREE = FAIR


@pytest.mark.parametrize(
    ("gives", "names", "said"),
    [
        (
            {"class": ONE, "1": TWO, "from": THREE},
            {"class": 2, "_1": 3, "from_": 5},
            "`1` is `_1` here, `from` is `from_` here",
        ),
        ({"a b": ONE, "a_b": TWO, "c": THREE}, {"a_b2": 2, "a_b": 3, "c": 5}, "`a b` is `a_b2`"),
        (
            [ONE, {"b": TWO, "a": THREE}],
            {"output1": 2, "output2_b": 3, "output2_a": 5},
            "`0` is `output1` here, `1.a` is `output2_a` here, `1.b` is `output2_b` here",
        ),
        (
            {"x": {"b": ONE, "a": TWO}, "c": THREE},
            {"c": 5, "x_b": 2, "x_a": 3},
            "`x.a` is `x_a` here, `x.b` is `x_b` here",
        ),
    ],
    ids=["some names", "the same name", "a list", "a mapping"],
)  # fmt: skip
def test_names_that_outputs_lose_are_said(
    gives: Any, names: dict[str, int], said: str, tmp_path: Path
) -> None:
    scales = {"a": 2, "b": 3, "c": 5}
    layers = [layer("Rescaling", name, "x", scale=float(by)) for name, by in scales.items()]
    network = imported(model(start("x", 4), *layers, outputs=gives), tmp_path)

    assert f"outputs have names in Keras that no text can give them: {said}" in network.spec
    x = torch.randn(2, 4)
    assert {one.name for one in network.checked.outputs} == {*names}
    for one, found in zip(network.checked.outputs, given(network, x), strict=True):
        assert torch.allclose(found, x * names[one.name])


def test_lists_of_outputs_in_a_list_are_said(tmp_path: Path) -> None:
    layers = [layer("Rescaling", name, "x", scale=3.0 + len(name)) for name in ("a", "bb", "ccc")]
    gives = [["a", 0, 0], [["bb", 0, 0], ["ccc", 0, 0]]]
    network = imported(model(start("x", 4), *layers, outputs=gives), tmp_path)

    assert "outputs are lists in a list in Keras, and here they are one" in network.spec
    x = torch.randn(2, 4)
    assert all(
        torch.allclose(one, x * by) for one, by in zip(given(network, x), (4, 5, 6), strict=True)
    )


# --- Keras itself ---------------------------------------------------------------------------------

KEYS = ("b", "a", "Z", "class", "ab", "aB", "k2", "k10")


def nested(draw: random.Random, held: list[Any], certain: bool, depth: int = 0) -> Any:
    """Return tensors in random lists and mappings.

    Args:
        certain: whether a mapping in another has its keys in order.
    """
    if len(held) == 1 and depth and draw.random() < 0.7:
        return held[0]
    count = draw.randint(1, min(len(held), 3))
    cuts = sorted(draw.sample(range(1, len(held)), count - 1))
    parts = [held[start:end] for start, end in pairwise([0, *cuts, len(held)])]
    if depth < 2:
        found = [nested(draw, part, certain, depth + 1) for part in parts]
    else:
        found = [part if len(part) > 1 else part[0] for part in parts]
    if draw.random() < 0.4:
        return found
    keys = draw.sample(KEYS, count)
    return dict(zip(sorted(keys) if certain and depth else keys, found, strict=True))


def by_path(held: Any, *path: str) -> dict[str, Any]:
    """Return what stands in lists and mappings, by the names that outputs get."""
    if not isinstance(held, dict | list):
        return {"_".join(path): held}
    pairs = held.items() if isinstance(held, dict) else enumerate(held)
    names = [(key if isinstance(key, str) else f"output{key + 1}", one) for key, one in pairs]
    return {name: each for key, one in names for name, each in by_path(one, *path, key).items()}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning:keras")
@pytest.mark.parametrize("seed", range(6))
def test_nested_models_are_those_of_keras(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random structures go in and out of a model in another, as Keras makes and runs them."""
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    draw = random.Random(seed)
    for number in range(5):
        keras.utils.set_random_seed(seed * 100 + number)
        sizes = [draw.randint(2, 4), draw.randint(1, 4)]

        starts = [keras.Input((4,), name=f"i{n}") for n in range(sizes[0])]
        takes = nested(draw, starts, certain=True)
        joined = keras.layers.Concatenate()(keras.tree.flatten(takes))
        ends = [keras.layers.Dense(4)(joined) for _ in range(sizes[1])]
        inner = keras.Model(takes, nested(draw, ends, certain=True))

        outer = [keras.Input((4,), name=f"o{n}") for n in range(sizes[0])]
        draw.shuffle(outer)
        found = keras.tree.flatten(inner(keras.tree.pack_sequence_as(takes, outer)))
        found = draw.sample(found, draw.randint(1, len(found)))
        draw.shuffle(outer)
        gives = {"top": nested(draw, found, certain=False)}
        made = keras.Model(nested(draw, outer, certain=False), gives)
        path = tmp_path / f"n{number}.keras"
        made.save(path)

        network = archdsl.from_keras(path)

        assert network.proof.same, network.proof.sentence()
        x = {one.name: torch.randn(2, 4) for one in outer}
        row = [x[one.name] for one in made.inputs]
        wanted = by_path(made(keras.tree.pack_sequence_as(made.input, row)))
        many = given(network, *(x[name] for name in network.checked.inputs))
        many = [many] if isinstance(many, torch.Tensor) else [*many]
        assert len(many) == len(wanted)
        for one, output in zip(many, network.checked.outputs, strict=True):
            other = wanted[output.name].detach().cpu()
            assert torch.allclose(one, other, atol=1e-5), network.spec
