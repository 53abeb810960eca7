"""Files whose names tell of no scopes: structures that come several times are blocks."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import archdsl
from archdsl.importing.imported import Imported

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.usefixtures("one_thread")


def file_of(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> Any:
    """Return what the older exporter of torch writes."""
    held = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), inputs, held, dynamo=False)
    return onnx.load_from_string(held.getvalue())


def nameless(made: Any) -> Any:
    """Take all names away but those of inputs and outputs."""
    kept = ["", *(one.name for one in [*made.graph.input, *made.graph.output])]
    names: dict[str, str] = {one: one for one in kept}

    def name(old: str) -> str:
        return names.setdefault(old, f"t{len(names)}")

    for tensor in made.graph.initializer:
        tensor.name = name(tensor.name)
    for node in made.graph.node:
        node.name = ""
        node.input[:] = map(name, node.input)
        node.output[:] = map(name, node.output)
    del made.graph.value_info[:]
    return made


def called(made: Any, label: Callable[[int], str]) -> Any:
    """Give the nodes of a nameless file names that stand in no scopes."""
    for number, node in enumerate(nameless(made).graph.node):
        node.name = f"{label(number)}/{node.op_type}"
    return made


def imported(made: Any, folder: Path) -> Imported:
    (folder / "net.onnx").write_bytes(made.SerializeToString())
    network = archdsl.from_onnx(folder / "net.onnx")
    assert network.proof.same, network.proof.sentence()
    return network


class Bottleneck(nn.Module):
    """A residual branch of three convolutions."""

    def __init__(self, width: int, out: int, stride: int = 1) -> None:
        super().__init__()
        inner = out // 4
        self.reduce, self.expand = nn.Conv2d(width, inner, 1), nn.Conv2d(inner, out, 1)
        self.conv = nn.Conv2d(inner, inner, 3, stride, 1)
        same = width == out and stride == 1
        self.short = nn.Identity() if same else nn.Conv2d(width, out, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = torch.relu(self.conv(torch.relu(self.reduce(x))))
        return torch.relu(self.expand(inner) + self.short(x))


class Apart(nn.Module):
    """Bottlenecks of other widths, with something else between them."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3), Bottleneck(8, 16), Bottleneck(16, 16), nn.MaxPool2d(2),
            Bottleneck(16, 32, 2), nn.Sigmoid(), Bottleneck(32, 32),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.layers(x)
        return found


def test_uses_that_are_not_in_a_row_and_have_other_widths_are_one_block(tmp_path: Path) -> None:
    network = imported(nameless(file_of(Apart(), (torch.randn(1, 3, 16, 16),))), tmp_path)

    assert network.spec.count("block ") == 1, network.spec
    assert network.spec.count("  Bottleneck(") == 4
    assert "shortcut {" in network.spec
    assert "if width == " in network.spec  # the shortcut that two of them lack
    assert ": Conv2d" not in network.spec  # no labels


class Inverted(nn.Module):
    """A branch whose sum is there where the width stays."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.up, self.down = nn.Conv2d(width, 4 * width, 1), nn.Conv2d(4 * width, out, 1)
        self.around = nn.Conv2d(4 * width, 4 * width, 3, padding=1, groups=4 * width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.down(torch.relu(self.around(torch.relu(self.up(x)))))
        return found + x if found.shape == x.shape else found


def test_what_lacks_the_sum_alone_is_a_use_as_well(tmp_path: Path) -> None:
    module = nn.Sequential(Inverted(4, 8), Inverted(8, 8), Inverted(8, 12), Inverted(12, 12))

    network = imported(nameless(file_of(module, (torch.randn(1, 4, 8, 8),))), tmp_path)

    assert network.spec.count("block ") == 1, network.spec
    assert network.spec.count("  InvertedResidual(") == 4
    assert "residual when " in network.spec


class Attending(nn.Module):
    """Attention and a map, each added to what comes in."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(8), nn.LayerNorm(8)
        self.maps = nn.ModuleList(nn.Linear(8, 8) for _ in range(4))
        self.up, self.down = nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(x)
        query, key, value = (
            one(y).unflatten(-1, (2, 4)).transpose(1, 2) for one in [*self.maps][:3]
        )
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        x = x + self.maps[3](mixed.transpose(1, 2).flatten(2))
        found: torch.Tensor = x + self.down(torch.relu(self.up(self.second(x))))
        return found


def test_structures_that_always_follow_each_other_are_one_block(tmp_path: Path) -> None:
    module = nn.Sequential(Attending(), Attending(), nn.Linear(8, 8), Attending())

    network = imported(nameless(file_of(module, (torch.randn(1, 5, 8),))), tmp_path)

    assert "block TransformerBlock {" in network.spec, network.spec
    assert network.spec.count("  TransformerBlock\n") == 3


def test_names_without_scopes_are_labels_where_all_uses_share_them(tmp_path: Path) -> None:
    names = ["stem"] + [
        f"unit_{number}_{one}"
        for number in range(3)
        for one in ("up", "relu", "around", "relu2", "down", "add")
    ]
    module = nn.Sequential(nn.Conv2d(3, 4, 3), *(Inverted(4, 4) for _ in range(3)))
    made = called(file_of(module, (torch.randn(1, 3, 8, 8),)), names.__getitem__)

    network = imported(made, tmp_path)

    assert "stem: Conv2d(4, 3)" in network.spec
    assert 'for i in range(3) { "unit_{i}": InvertedResidual }' in network.spec, network.spec
    assert "around: Conv2d(16, 3, padding = 1, groups = 16)" in network.spec


def test_what_is_read_from_outside_is_no_block(tmp_path: Path) -> None:
    """A sum over all that came before, twice: the first tensor of each is read by the other."""

    class Woven(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.maps = nn.ModuleList(nn.Linear(4, 4) for _ in range(4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            one, other = self.maps[0](x), self.maps[1](x)
            return torch.relu(self.maps[2](one) + other) + torch.relu(self.maps[3](other) + one)

    network = imported(nameless(file_of(Woven(), (torch.randn(2, 4),))), tmp_path)

    assert "block " not in network.spec


def test_an_input_that_nothing_reads_is_none(tmp_path: Path) -> None:
    made = file_of(nn.Linear(4, 3), (torch.randn(2, 4),))
    made.graph.input.append(onnx.helper.make_tensor_value_info("unread", 1, [1, 1, 3]))

    network = imported(made, tmp_path)

    assert "unread" not in network.spec


def test_a_scale_behind_a_convolution_goes_into_it(tmp_path: Path) -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, bias=False)
            self.scale, self.shift = (nn.Parameter(torch.randn(1, 4, 1, 1)) for _ in range(2))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.conv(x) * self.scale + self.shift
            return found

    network = imported(file_of(Scaled(), (torch.randn(2, 3, 8, 8),)), tmp_path)

    assert "Conv2d(4, 3)" in network.spec
    assert "parameter" not in network.spec


class Judged(nn.Module):
    """A module with functions behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = torch.softmax(self.net(x), 1)
        return found


def test_a_scope_that_holds_all_but_some_functions_stays(tmp_path: Path) -> None:
    network = imported(file_of(Judged(), (torch.randn(1, 3, 4, 4),)), tmp_path)

    assert "net: {" in network.spec, network.spec


def test_a_scope_outside_of_which_axes_are_turned_alone_is_none(tmp_path: Path) -> None:
    """As converters wrap what they write, and put the channels first before it."""
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sigmoid(), nn.Conv2d(4, 2, 1))
    made = called(file_of(module, (torch.randn(1, 3, 4, 4),)), lambda n: f"wrapped/part_{'abc'[n]}")
    made.graph.node[0].input[0] = "turned"
    turn = onnx.helper.make_node("Transpose", ["x"], ["turned"], name="turn", perm=[0, 3, 1, 2])
    made.graph.node.insert(0, turn)
    made.graph.input[0].CopyFrom(onnx.helper.make_tensor_value_info("x", 1, [1, 4, 4, 3]))

    network = imported(made, tmp_path)

    assert "part_a: Conv2d(4, 3)" in network.spec, network.spec
    assert "wrapped" not in network.spec


def structures(folder: Path, bits: int) -> Any:
    """Read a file with two uses of each of many structures, none of which goes on alike."""
    from itertools import product

    from archdsl.importing.onnx.reading import read

    kinds = list(product(["Relu", "Sigmoid"], repeat=bits))
    nodes: list[Any] = []
    at = "x"
    for kind in [*kinds, *reversed(kinds)]:
        start = at
        for op in kind:
            nodes.append(onnx.helper.make_node(op, [at], [f"t{len(nodes)}"]))
            at = f"t{len(nodes) - 1}"
        nodes.append(onnx.helper.make_node("Add", [at, start], [f"t{len(nodes)}"]))
        at = f"t{len(nodes) - 1}"
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", 4])
        for name in ("x", at)
    ]
    graph = onnx.helper.make_graph(nodes, "g", ends[:1], ends[1:])
    made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)])
    made.ir_version = 9
    path = folder / f"{bits}.onnx"
    path.write_bytes(made.SerializeToString())
    return read(str(path))


@pytest.mark.slow
def test_many_structures_take_time_in_proportion(
    tmp_path: Path, clocked: Callable[..., float]
) -> None:
    from archdsl.importing.onnx.regions import Wiring

    few, many = structures(tmp_path, 7), structures(tmp_path, 9)

    assert len(Wiring(many, set()).groups()) == 2**9
    times = [clocked(lambda file=file: Wiring(file, set()).groups()) for file in (few, many)]
    assert times[1] < 10 * times[0]  # of five times as many nodes; to try pairs takes 16 times
