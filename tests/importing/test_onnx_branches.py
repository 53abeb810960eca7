"""Branches of ONNX files: the one that a known condition takes stands in the text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import archdsl
from archdsl.importing.errors import ImportingError

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
onnx_files = pytest.importorskip("onnx_files")
pytestmark = pytest.mark.usefixtures("one_thread")
node = onnx.helper.make_node

MAP: dict[str, list[Any]] = {"x": ["batch", 4, 6, 6]}


def graph(*nodes: Any, gives: tuple[str, ...] = ("out",), **tensors: Any) -> Any:
    infos = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in gives
    ]
    held = [onnx.numpy_helper.from_array(one, name) for name, one in tensors.items()]
    return onnx.helper.make_graph(nodes, "g", [], infos, initializer=held)


def either(
    then: Any, other: Any, met: str = "met", gives: tuple[str, ...] = ("y",), name: str = "n"
) -> Any:
    return node("If", [met], [*gives], name=name, then_branch=then, else_branch=other)


RELU = graph(node("Relu", ["h"], ["out"]))
TANH = graph(node("Tanh", ["h"], ["out"]))
CONV = node("Conv", ["x", "w"], ["h"], pads=[1, 1, 1, 1])


def channels_are(wanted: str) -> list[Any]:
    """Return nodes that ask for the channels of `h`."""
    return [
        node("Shape", ["h"], ["all"]), node("Gather", ["all", "one"], ["channels"]),
        node("Equal", ["channels", wanted], ["met"]),
    ]  # fmt: skip


def numbers(**more: Any) -> dict[str, Any]:
    held = onnx_files.weights(w=(4, 4, 3, 3))
    held |= {"one": np.array(1, "int64"), "four": np.array(4, "int64"), "yes": np.array(True)}
    return {**held, **more}


INNER = graph(either(RELU, TANH, "yes", ("all_of_it",), "inner"), gives=("all_of_it",))
OWN = graph(
    node("Conv", ["h", "w"], ["c"], pads=[1, 1, 1, 1]), node("Add", ["c", "own"], ["out"]),
    own=np.arange(4, dtype="float32").reshape(4, 1, 1),
)  # fmt: skip
PLAIN = graph(node("Conv", ["h", "w"], ["c"]), node("Relu", ["c"], ["out"]))
NARROW = graph(
    node("Conv", ["h", "w2"], ["c"]), node("Relu", ["c"], ["out"]),
    w2=onnx_files.weights(w=(3, 4, 1, 1))["w"],
)  # fmt: skip
WIDE = graph(
    node("Conv", ["a", "w2"], ["c"]), node("Relu", ["c"], ["out"]),
    w2=onnx_files.weights(w=(7, 3, 1, 1))["w"],
)  # fmt: skip

# Nodes, what the text holds of them, and what it doesn't.
CASES: dict[str, tuple[list[Any], str, str]] = {
    "met_by_a_constant": ([CONV, either(RELU, TANH, "yes")], "ReLU", "Tanh"),
    "not_met": ([CONV, *channels_are("one"), either(RELU, TANH)], "Tanh", "ReLU"),
    "met_by_a_shape": ([CONV, *channels_are("four"), either(RELU, TANH)], "ReLU", "Tanh"),
    "in_each_other": ([CONV, *channels_are("four"), either(INNER, TANH)], "ReLU", "Tanh"),
    "with_tensors_of_its_own": ([CONV, *channels_are("four"), either(OWN, TANH)], "Conv2d", "Tanh"),
    "with_names_that_come_again": (
        [CONV, either(NARROW, PLAIN, "yes", ("a",), "m"), either(WIDE, PLAIN, "yes")],
        "Conv2d(7", "Tanh",
    ),
    "that_gives_what_is_around_it": (
        [CONV, node("Tanh", ["h"], ["t"]),
         either(graph(node("Identity", ["h"], ["out"])), graph(node("Relu", ["t"], ["out"])),
                "yes", ("i",)),
         node("Relu", ["i"], ["y"])],
        "ReLU", "Tanh",
    ),
    "of_two_outputs": (
        [CONV,
         either(graph(node("Relu", ["h"], ["p"]), node("Sigmoid", ["p"], ["q"]), gives=("p", "q")),
                graph(node("Tanh", ["h"], ["p"]), node("Tanh", ["p"], ["q"]), gives=("p", "q")),
                "yes", ("a", "b")),
         node("Mul", ["a", "b"], ["y"])],
        "SiLU", "Tanh",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_branch_of_a_known_condition_is_taken(case: str, tmp_path: Path) -> None:
    nodes, wanted, other = CASES[case]
    made = onnx_files.model(nodes, numbers(), MAP)

    network = archdsl.from_onnx(onnx_files.saved(made, tmp_path))

    assert network.proof.same, network.proof.sentence()
    assert wanted in network.spec
    assert other not in network.spec


@pytest.mark.parametrize("size", ["batch", "height"])
def test_a_condition_on_an_open_size_is_refused(size: str, tmp_path: Path) -> None:
    """Whatever it says at the sizes that are tried, another one may say something else."""
    nodes = [
        CONV,
        node("Shape", ["h"], ["all"]),
        node("Gather", ["all", "place"], ["size"]),
        node("Div", ["size", "many"], ["parts"]),
        node("Equal", ["parts", "zero"], ["met"]),
        either(RELU, TANH),
    ]
    place = np.array(0 if size == "batch" else 2, "int64")
    more = {"place": place, "many": np.array(9999, "int64"), "zero": np.array(0, "int64")}
    made = onnx_files.model(nodes, numbers(**more), {"x": ["batch", 4, "h", "w_"]})
    path = onnx_files.saved(made, tmp_path)

    with pytest.raises(ImportingError) as caught:
        archdsl.from_onnx(path)
    assert "`If` whose condition follows from a size that the file leaves open" in str(caught.value)

    if size == "height":  # one that is given isn't open
        network = archdsl.from_onnx(path, shapes={"x": (4, 8, 8)})
        assert network.proof.same, network.proof.sentence()


def test_many_branches_with_equal_names_take_no_time_of_their_square(tmp_path: Path) -> None:
    count = 300
    nodes = [
        either(graph(node("Relu", [f"v{n}"], ["p"]), node("Neg", ["p"], ["out"])),
               graph(node("Tanh", [f"v{n}"], ["out"])), "yes", (f"v{n + 1}",), f"n{n}")
        for n in range(count)
    ]  # fmt: skip
    made = onnx_files.model(
        [node("Relu", ["x"], ["v0"]), *nodes], numbers(), {"x": ["batch", 4]}, (f"v{count}",)
    )

    network = archdsl.from_onnx(onnx_files.saved(made, tmp_path))

    assert network.proof.same, network.proof.sentence()


class Normed(nn.Module):
    """Takes an axis away, in a normalization, of which the older exporter doesn't know the size."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.norm = nn.LocalResponseNorm(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.norm(self.conv(x)).relu()
        return found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("samples", [1, 2], ids=["one_sample", "two"])
def test_what_the_older_exporter_asks_of_a_size_is_answered(samples: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "net.onnx"
    given = torch.randn(samples, 3, 8, 8)
    torch.onnx.export(Normed().eval(), (given,), str(path), dynamo=False)
    assert b"then_branch" in path.read_bytes()

    network = archdsl.from_onnx(path)

    assert network.proof.same, network.proof.sentence()
    assert network.count().parameters == 6 * 3 * 9 + 6
