"""Random models of Keras, with layers that are called again: outputs equal to those of NumPy."""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from keras_files import layer, model, saved, start

import archdsl
from archdsl.importing.errors import ImportingError
from archdsl.importing.imported import Unproven

pytestmark = pytest.mark.usefixtures("one_thread")
SNAKE = {"Dense": "dense", "BatchNormalization": "batch_normalization", "Functional": "functional"}
Array = Any


class Made:
    """A layer: its config, its weights by their places, and what it does in NumPy."""

    def __init__(self, held: dict[str, Any], weights: dict[str, Array], does: Any) -> None:
        self.held, self.weights, self.does = held, weights, does


class Graph:
    """A model that grows by random layers, each of which is computed where it is called."""

    def __init__(self, draw: random.Random, shape: tuple[int, ...], depth: int = 0) -> None:
        self.draw, self.depth, self.layers = draw, depth, [start("x", *shape)]
        self.numbers = np.random.default_rng(draw.randrange(2**32))
        x = self.numbers.normal(size=(2, *shape)).astype("float32")
        self.values: list[tuple[tuple[str, int], Array]] = [(("x", 0), x)]
        self.made: list[tuple[Made, tuple[int, ...]]] = []
        self.calls: list[tuple[Made, tuple[str, int]]] = []
        self.homes: dict[str, int] = {}

    def call(self, made: Made, place: tuple[str, int], x: Array) -> None:
        """Call a layer on what another gave."""
        name, nodes = made.held["name"], made.held["inbound_nodes"]
        config = {"keras_history": [*place, 0]}
        nodes.append({"args": [{"class_name": "__keras_tensor__", "config": config}], "kwargs": {}})
        self.calls.append((made, place))
        self.values.append(((name, len(nodes) - 1), made.does(x)))

    def grow(self) -> None:
        """Call a layer, a new one or one that was there, on the last tensor or one before."""
        behind = self.draw.random() < 0.7
        place, x = self.values[-1] if behind else self.draw.choice(self.values)
        again = [made for made, shape in self.made if shape == x.shape]
        if again and self.draw.random() < 0.5:
            self.call(self.draw.choice(again), place, x)
            return
        made = self.new(x)
        self.layers.append(made.held)
        self.made.append((made, x.shape))
        self.call(made, place, x)

    def numbers_of(self, *shape: int, least: float = -1.0) -> Array:
        return self.numbers.uniform(least, 1.5, shape).astype("float32")

    def new(self, x: Array) -> Made:
        """Return a random layer for a tensor."""
        name, sizes = f"l{len(self.layers)}", x.shape[1:]
        width = sizes[-1]
        kinds = ["Reshape", "ReLU", "Dropout", "BatchNormalization", "Softmax", "Rescaling"]
        kinds += ["Flatten", "Flatten", "Flatten"] if len(sizes) > 1 else ["Dense", "Dense"]
        kinds += ["Permute"] if len(sizes) > 1 else ["RepeatVector"]
        kinds += ["Functional"] if self.depth == 0 else []
        kind = self.draw.choice(kinds)
        config: dict[str, Any] = {}
        weights: dict[str, Array] = {}
        does: Callable[[Array], Array] = lambda x: x  # noqa: E731
        if kind == "Reshape":
            count = int(np.prod(sizes))
            shapes = [(count,), (2, count // 2), (count // 2, 2), (2, count // 4, 2), (-1, 2, 2)]
            shape = self.draw.choice(shapes)
            config, does = {"target_shape": [*shape]}, lambda x: x.reshape(2, *shape)
        elif kind == "Flatten":
            does = lambda x: x.reshape(2, -1)  # noqa: E731
        elif kind == "ReLU":
            does = lambda x: np.maximum(x, 0)  # noqa: E731
        elif kind == "Dropout":
            config = {"rate": 0.5}
        elif kind == "Softmax":
            axis = self.draw.randrange(1, x.ndim)
            config, does = {"axis": axis}, lambda x: softmax(x, axis)
        elif kind == "Rescaling":
            scale = self.numbers_of(width, least=0.5)
            config, does = {"scale": scale.tolist(), "offset": 0.25}, lambda x: x * scale + 0.25
        elif kind == "Permute":
            axes = self.draw.sample(range(1, x.ndim), x.ndim - 1)
            config, does = {"dims": axes}, lambda x: x.transpose(0, *axes)
        elif kind == "RepeatVector":
            config, does = {"n": 2}, lambda x: np.repeat(x[:, None], 2, axis=1)
        elif kind == "Dense":
            units = self.draw.choice((8, 12, 16))
            kernel, bias = self.numbers_of(width, units) / width**0.5, self.numbers_of(units)
            config, does = {"units": units}, lambda x: x @ kernel + bias
            weights = {"vars/0": kernel, "vars/1": bias}
        elif kind == "BatchNormalization":
            scale = self.draw.random() < 0.5
            held = [self.numbers_of(width, least=0.5) for _ in range(3 + scale)]
            *factor, beta, mean, variance = held
            gamma = factor[0] if scale else 1.0
            config = {"scale": scale}
            does = lambda x: gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta  # noqa: E731
            weights = {f"vars/{number}": one for number, one in enumerate(held)}
        else:
            return self.model(name, sizes)
        return Made(layer(kind, name, **config), self.placed(kind, weights), does)

    def model(self, name: str, sizes: tuple[int, ...]) -> Made:
        """Return a model as a layer."""
        inner = Graph(self.draw, sizes, 1)
        for _ in range(3):
            inner.grow()
        config = {**inner.config(inner.values[-1:])["config"], "name": name}
        held = {**layer("Functional", name), "config": config}
        weights = self.placed("Functional", inner.weights())
        return Made(held, weights, lambda x: inner.again(x)[-1])

    def placed(self, kind: str, weights: dict[str, Array]) -> dict[str, Array]:
        """Return weights where Keras has them: each class of a model counts its layers."""
        if kind not in SNAKE:
            return {}
        number = self.homes.get(kind, -1) + 1
        self.homes[kind] = number
        home = SNAKE[kind] + (f"_{number}" if number else "")
        return {f"layers/{home}/{key}": one for key, one in weights.items()}

    def weights(self) -> dict[str, Array]:
        return {key: one for made, _ in self.made for key, one in made.weights.items()}

    def again(self, x: Array) -> list[Array]:
        """Return what all calls give for another input."""
        found = {("x", 0): x}
        counts: dict[str, int] = {}
        for made, place in self.calls:
            name = made.held["name"]
            number = counts.get(name, 0)
            counts[name] = number + 1
            found[name, number] = made.does(found[place])
        return [*found.values()]

    def config(self, given: list[Any]) -> dict[str, Any]:
        outputs = [[*place, 0] for place, _ in given]
        return model(*self.layers, inputs=[["x", 0, 0]], outputs=outputs)


def softmax(x: Array, axis: int) -> Array:
    found = np.exp(x - x.max(axis=axis, keepdims=True))
    return found / found.sum(axis=axis, keepdims=True)


def file_of(graph: Graph, given: list[Any]) -> bytes:
    """Return a `.keras` file."""
    h5py = pytest.importorskip("h5py")
    weights, held = io.BytesIO(), io.BytesIO()
    with h5py.File(weights, "w") as file:
        for key, one in graph.weights().items():
            file[key] = one
    with zipfile.ZipFile(held, "w") as made:
        made.writestr("config.json", json.dumps(graph.config(given)))
        made.writestr("model.weights.h5", weights.getvalue())
    return held.getvalue()


@pytest.mark.parametrize("seed", range(8))
def test_no_order_of_numbers_is_lost(seed: int, tmp_path: Path) -> None:
    """A flattened image stays channels first as long as nobody asks for another order."""
    draw = random.Random(seed)
    written = 0
    for number in range(6):
        graph = Graph(draw, draw.choice([(2, 4, 3), (4, 2, 8), (4, 6), (1, 1, 16)]))
        for _ in range(draw.randint(3, 8)):
            graph.grow()
        last = graph.values[-1:]
        others = [one for one in graph.values[1:-1] if not np.array_equal(one[1], last[0][1])]
        given = last + (draw.sample(others, 1) if others and draw.random() < 0.3 else [])

        path = saved(file_of(graph, given), tmp_path, f"n{number}.keras")
        try:
            network = archdsl.from_keras(path)
        except Unproven:
            raise
        except ImportingError:  # what no text says, as an input that is an output as well
            continue

        written += 1
        assert network.proof.same, network.proof.sentence()
        x = torch.tensor(graph.values[0][1])
        with torch.no_grad():
            found = network.compile().eval()(x.movedim(-1, 1) if x.dim() > 3 else x)
        many = [found] if isinstance(found, torch.Tensor) else [*found._asdict().values()]
        for one, (_, wanted) in zip(many, given, strict=True):
            one = one.movedim(1, -1) if one.dim() > 3 else one
            assert one.shape == wanted.shape
            assert np.allclose(one.numpy(), wanted, atol=1e-4), network.spec
    assert written >= 4
