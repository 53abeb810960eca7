"""ONNX files that lie, ask for too much, or hold what is not read: a sentence each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from running import Command

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
onnx_files = pytest.importorskip("onnx_files")
helper, TensorProto = onnx.helper, onnx.TensorProto


def changed(change: Callable[[Any], object]) -> bytes:
    """Return a file with a linear layer in which something is changed."""
    made = onnx_files.linear()
    change(made)
    return bytes(made.SerializeToString())


def weight(made: Any) -> Any:
    return made.graph.initializer[0]


def of_nodes(*nodes: Any, **given: Any) -> bytes:
    return bytes(onnx_files.model(nodes, **given).SerializeToString())


def outside(location: str, offset: str = "0", length: str = "48") -> bytes:
    """Return a file whose weight lies in another one."""

    def change(made: Any) -> None:
        tensor = weight(made)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", offset), ("length", length)):
            tensor.external_data.add(key=key, value=value)

    return changed(change)


def graph(*nodes: Any, outputs: tuple[str, ...] = ("inner",), **given: Any) -> Any:
    """Return a graph for a node to hold."""
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    return helper.make_graph(nodes or [helper.make_node("Relu", ["x"], ["inner"])], "g", [], infos,
                             **given)  # fmt: skip


def branching(then: Any = None, other: Any = None, given: Any = "met", **named: Any) -> bytes:
    """Return a file with a node that takes one of two graphs."""
    held = {"then_branch": then or graph(), "else_branch": other or graph()}
    inputs = [given] if isinstance(given, str) else given
    made = helper.make_node("If", inputs, ["y"], name="n", **{**held, **named})
    return of_nodes(made, tensors={"met": np.array(True), "two": np.array([True, False])})


def nested(depth: int) -> bytes:
    """Return a file with branches in branches."""
    inner = graph()
    for number in range(depth):
        outputs = [f"inner{number}"]
        held = {"then_branch": inner, "else_branch": inner}
        inner = graph(helper.make_node("If", ["met"], outputs, **held), outputs=tuple(outputs))
        if number > 2:  # or the file would double with each
            held["else_branch"] = graph()
    return branching(inner)


def of_a_tensor(**changes: Any) -> Any:
    """Return a graph that adds a tensor of its own, in which something is changed."""
    tensor = onnx.numpy_helper.from_array(np.ones(4, "float32"), "own")
    for name, value in changes.items():
        if name == "dims":
            del tensor.dims[:]
            tensor.dims.extend(value)
        else:
            setattr(tensor, name, value)
    if "data_location" in changes:
        tensor.ClearField("raw_data")
        tensor.external_data.add(key="location", value="short.bin")
    return graph(helper.make_node("Add", ["x", "own"], ["inner"]), initializer=[tensor])


def constant_outside() -> Any:
    """Return a constant whose number is said to lie in another file."""
    tensor = TensorProto(dims=[1], data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="short.bin")
    return helper.make_node("Constant", [], ["c"], value=tensor)


def many(count: int) -> list[Any]:
    return [helper.make_node("Relu", [f"v{n}"], [f"v{n + 1}"]) for n in range(count)]


def of_window(**attributes: Any) -> bytes:
    """Return a file with a convolution."""
    return of_nodes(
        helper.make_node("Conv", ["x", "w"], ["y"], **attributes),
        tensors=onnx_files.weights(w=(4, 3, 3, 3)),
        inputs={"x": [1, 3, 8, 8]},
    )


def output_of(made: Any, sizes: list[Any]) -> None:
    """Let a file say of its output that it is of some sizes."""
    output = made.graph.output[0]
    output.CopyFrom(helper.make_tensor_value_info(output.name, TensorProto.FLOAT, sizes))


def growing(op: str, *more: str, times: int = 40, size: int = 8, **attributes: Any) -> bytes:
    """Return a file in which a constant goes through many nodes; "" stands for itself."""
    tensors = {
        "w0": np.ones((size, size), "float32"),
        "row": np.ones((1, size), "float32"),
        "twice": np.array([2, 1], "int64"),
        "far": np.array([2**22, size, size], "int64"),
        "sides": np.array([0, 0, 2**20, 0], "int64"),
        "places": np.zeros(2**10, "int64"),
    }
    nodes = [
        helper.make_node(op, [one or f"w{n}" for one in ["", *more]], [f"w{n + 1}"], **attributes)
        for n in range(times)
    ]
    nodes += [
        helper.make_node("ReduceMax", [f"w{times}"], ["most"], keepdims=0),
        helper.make_node("Add", ["x", "most"], ["y"]),
    ]
    return of_nodes(*nodes, tensors=tensors)


def many_layers() -> bytes:
    """Return a file whose weight stands in many layers that aren't the same."""
    nodes = [
        helper.make_node("Gemm", [f"h{n}", "w"], [f"h{n + 1}"], alpha=1 + n / 1000)
        for n in range(400)
    ]
    tensors = {"w": np.eye(4, dtype="float32")}
    return of_nodes(
        helper.make_node("Relu", ["x"], ["h0"]), *nodes, tensors=tensors, outputs=("h400",)
    )


# Small files that ask for GB, or for hours: each makes something large out of constants.
GROWING = {
    "concat": growing("Concat", "", axis=0),
    "tile": growing("Tile", "twice"),
    "expand": growing("Expand", "far"),
    "pad": growing("Pad", "sides"),
    "gather": growing("Gather", "places", times=100, size=2**10),
    "einsum": growing("Einsum", "", equation="ab,ac->abc", times=1, size=2**10),
    "einsum_inside": growing("Einsum", "", "", equation="ab,bc,cd->ad", times=99, size=2**9),
    "matmul": growing("MatMul", "", times=99, size=2**9),
    "one_by_one": growing("Add", "", times=300, size=2**10),
}


@pytest.mark.parametrize("case", GROWING)
def test_what_is_made_of_constants_is_bounded_before_it_is_made(
    case: str, command: Command, tmp_path: Path
) -> None:
    (tmp_path / "net.onnx").write_bytes(GROWING[case])

    result = command("import", "net.onnx", "-o", "net.arch")

    assert result.status == 1, result
    assert "numbers out of constants at node `w" in result.error, result.error


def test_weights_in_many_layers_are_bounded(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from archdsl.importing.onnx import module

    monkeypatch.setattr(module, "MOST_KNOWN", 2**10)
    (tmp_path / "net.onnx").write_bytes(many_layers())

    result = command("import", "net.onnx", "-o", "net.arch")

    assert result.status == 1, result
    assert "numbers out of constants at node" in result.error, result.error


WRONG: dict[str, tuple[bytes, str]] = {
    "no_onnx": (b"network net { ReLU }", "is no ONNX file"),
    "empty": (b"", "holds no nodes"),
    "sizes_that_lie": (
        changed(lambda made: weight(made).dims.__setitem__(0, 1000)),
        "says that the tensor `fc.weight` is of 1000x4, and holds 12 numbers",
    ),
    "sizes_beyond_all": (
        changed(lambda made: weight(made).dims.__setitem__(0, 2**60)),
        "its sizes are",
    ),
    "sizes_below_zero": (
        changed(lambda made: weight(made).dims.__setitem__(0, -3)),
        "its sizes are [-3, 4]",
    ),
    "half_precision": (
        changed(lambda made: setattr(weight(made), "data_type", TensorProto.FLOAT16)),
        "of float16",
    ),
    "no_kind": (changed(lambda made: setattr(weight(made), "data_type", 99)), "of kind 99"),
    "numbers_twice": (
        changed(lambda made: made.graph.initializer.append(weight(made))),
        "two tensors `fc.weight`",
    ),
    "made_twice": (
        changed(lambda made: made.graph.node.append(made.graph.node[0])),
        "makes the tensor `h` twice",
    ),
    "made_by_none": (
        changed(lambda made: made.graph.node[0].input.__setitem__(0, "nowhere")),
        "reads the tensor `nowhere`, which nothing makes",
    ),
    "circle": (
        changed(lambda made: made.graph.node[0].input.__setitem__(0, "y")),
        "goes in a circle",
    ),
    "old_opset": (
        changed(lambda made: setattr(made.opset_import[0], "version", 3)),
        "is of opset 3; opsets 7 to",
    ),
    "opset_to_come": (
        changed(lambda made: setattr(made.opset_import[0], "version", 400)),
        "is of opset 400",
    ),
    "no_opset": (changed(lambda made: made.ClearField("opset_import")), "is of no opset"),
    "no_inputs": (changed(lambda made: made.graph.ClearField("input")), "has no inputs"),
    "no_outputs": (changed(lambda made: made.graph.ClearField("output")), "names no outputs"),
    "input_without_axes": (
        changed(lambda made: made.graph.input[0].type.tensor_type.ClearField("shape")),
        "doesn't say how many axes",
    ),
    "input_of_half_precision": (
        changed(lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", 10)),
        "takes the input `x` of float16",
    ),
    "input_of_nothing": (
        of_nodes(helper.make_node("Relu", ["x"], ["y"]), inputs={"x": [1, 0]}),
        "an axis of size 0",
    ),
    "input_that_is_huge": (
        of_nodes(helper.make_node("Relu", ["x"], ["y"]), inputs={"x": [1, 2**31]}),
        "takes inputs of too many numbers",
    ),
    "inputs_of_two_batches": (
        of_nodes(helper.make_node("Add", ["x", "b"], ["y"]), inputs={"x": [3, 4], "b": [1, 4]}),
        "takes 3 rows of `x` and 1 of `b`, where both need one for each sample of a batch",
    ),
    "file_above": (outside("../secret.bin"), "isn't in its folder"),
    "file_elsewhere": (outside("/etc/hostname"), "isn't in its folder"),
    "file_by_a_link": (outside("link.bin"), "isn't in its folder"),
    "file_of_no_name": (outside(""), "isn't in its folder"),
    "file_that_is_missing": (outside("gone.bin"), "`gone.bin`, which does not exist"),
    "file_that_is_a_folder": (outside("folder"), "is a folder"),
    "file_that_is_short": (outside("short.bin"), "which has 5"),
    "place_below_zero": (outside("short.bin", "-1"), "at a place that isn't of its size"),
    "place_of_no_number": (outside("short.bin", "many"), "at a place that isn't of its size"),
    "length_that_lies": (outside("short.bin", "0", "5"), "at a place that isn't of its size"),
    "number_of_a_node_elsewhere": (
        of_nodes(constant_outside(), helper.make_node("Add", ["x", "c"], ["y"])),
        "keeps a number of `Constant` in another file",
    ),
    "functions": (changed(lambda made: made.functions.add(name="Relu")), "functions of its own"),
    "graphs_in_nodes": (
        of_nodes(helper.make_node("Loop", ["", "", "x"], ["y"], body=graph())),
        "`Loop`, which holds graphs of its own",
    ),
    "graphs_elsewhere": (
        of_nodes(helper.make_node("Relu", ["x"], ["y"], body=graph())),
        "`Relu`, which holds graphs of its own",
    ),
    "lists_of_graphs": (
        of_nodes(helper.make_node("Relu", ["x"], ["y"], bodies=[graph(), graph()])),
        "`Relu`, which holds graphs of its own",
    ),
    "branch_that_hangs_on_data": (
        of_nodes(
            helper.make_node("ReduceSum", ["x"], ["s"], keepdims=0),
            helper.make_node("Greater", ["s", "zero"], ["met"]),
            helper.make_node(
                "If", ["met"], ["y"], name="n", then_branch=graph(), else_branch=graph()
            ),
            tensors={"zero": np.array(0, "float32")},
        ),
        "`If` whose condition follows from the numbers that come in, at node `n`",
    ),
    "branch_that_hangs_on_the_batch": (
        of_nodes(
            helper.make_node("Shape", ["x"], ["all"]),
            helper.make_node("Gather", ["all", "zero"], ["size"]),
            helper.make_node("Greater", ["size", "many"], ["met"]),
            helper.make_node(
                "If", ["met"], ["y"], name="n", then_branch=graph(), else_branch=graph()
            ),
            tensors={"zero": np.array(0, "int64"), "many": np.array(999, "int64")},
        ),
        "`If` whose condition follows from a size that the file leaves open, at node `n`",
    ),
    "branch_of_no_boolean": (
        branching(given="two"),
        "contradicts ONNX at node `n`: `If` takes 2 numbers of bool as its condition",
    ),
    "branch_of_no_condition": (branching(given=[]), "`If` takes 1 input, and here 0"),
    "branch_of_two_conditions": (branching(given=["met"] * 2), "`If` takes 1 input, and here 2"),
    "branch_that_is_no_graph": (branching(then_branch=1), "has another `then_branch` than a graph"),
    "branch_of_more": (branching(third=graph()), "`If` with `third`"),
    "branch_that_takes": (
        branching(other=helper.make_graph(
            [helper.make_node("Relu", ["x"], ["inner"])], "g",
            [helper.make_tensor_value_info("own", TensorProto.FLOAT, [1])],
            [helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)])),
        "at node `n`: `If` has a branch with inputs",
    ),
    "branch_that_gives_more": (
        branching(other=graph(outputs=("inner", "x"))),
        "`If` has a branch whose outputs are 2, and gives 1",
    ),
    "branch_that_gives_twice": (
        of_nodes(
            helper.make_node(
                "If", ["met"], ["y", "z"], name="n",
                then_branch=graph(outputs=("inner", "inner")),
                else_branch=graph(outputs=("inner", "inner")),
            ),
            tensors={"met": np.array(True)},
        ),
        "`If` has a branch that names an output twice",
    ),
    "branch_that_gives_nothing": (
        branching(other=graph(outputs=())), "has a branch whose outputs are 0, and gives 1"
    ),
    "branch_that_reads_nothing": (
        branching(other=graph(helper.make_node("Relu", ["nowhere"], ["inner"]))),
        "reads the tensor `nowhere`, which nothing makes",
    ),
    "branch_that_reads_what_it_gives": (
        branching(graph(helper.make_node("Relu", ["y"], ["inner"]))), "goes in a circle",
    ),
    "branch_in_a_circle": (
        branching(other=graph(helper.make_node("Relu", ["b"], ["inner"]),
                              helper.make_node("Relu", ["inner"], ["b"]))),
        "goes in a circle",
    ),
    "branch_that_makes_what_is_there": (
        branching(other=graph(helper.make_node("Relu", ["x"], ["y"]), outputs=("y",))),
        "makes the tensor `y` twice",
    ),
    "branch_that_makes_an_input": (
        branching(other=graph(helper.make_node("Relu", ["met"], ["x"]), outputs=("x",))),
        "makes the tensor `x` twice",
    ),
    "branch_with_a_node_that_lies": (
        branching(other=graph(helper.make_node("Conv", ["x"], ["inner"], name="c"))),
        "at node `c`: `Conv` takes 2 to 3 inputs, and here 1",
    ),
    "branch_with_an_operator_of_others": (
        branching(graph(helper.make_node("Own", ["x"], ["inner"], domain="com.example"))),
        "`com.example.Own`",
    ),
    "branch_with_numbers_elsewhere": (
        branching(of_a_tensor(data_location=TensorProto.EXTERNAL)),
        "keeps numbers of a graph in a node in another file",
    ),
    "branch_with_a_tensor_that_lies": (
        branching(other=of_a_tensor(dims=[2**30])), "and holds 4 numbers",
    ),
    "branches_in_branches": (nested(17), "holds graphs in each other, more than 16 deep"),
    "operator_of_others": (
        of_nodes(helper.make_node("FusedConv", ["x"], ["y"], domain="com.example")),
        "1 time: `com.example.FusedConv`",
    ),
    "too_large_a_constant": (
        of_nodes(
            helper.make_node("ConstantOfShape", ["sizes"], ["c"]),
            helper.make_node("Add", ["x", "c"], ["y"]),
            tensors={"sizes": np.array([2**40], "int64")},
        ),
        "makes a tensor of 1099511627776 numbers",
    ),
    "too_large_a_spread": (
        of_nodes(
            helper.make_node("Expand", ["x", "sizes"], ["y"]),
            tensors={"sizes": np.array([2**20, 2**20, 1, 1], "int64")},
        ),
        "makes a tensor of",
    ),
    "too_large_a_sum": (
        of_nodes(
            helper.make_node("Range", ["zero", "many", "one"], ["row"]),
            helper.make_node("Unsqueeze", ["row", "axis"], ["column"]),
            helper.make_node("Add", ["row", "column"], ["square"]),
            helper.make_node("Cast", ["square"], ["s"], to=1),
            helper.make_node("ReduceSum", ["s"], ["sum"], keepdims=0),
            helper.make_node("Add", ["x", "sum"], ["y"]),
            tensors={
                "zero": np.array(0, "int64"),
                "one": np.array(1, "int64"),
                "many": np.array(2**20, "int64"),
                "axis": np.array([1], "int64"),
            },
        ),
        "makes a tensor of 1048576x1048576",
    ),
    "too_large_a_padding": (
        of_nodes(
            helper.make_node("Pad", ["x", "pads"], ["y"]),
            tensors={"pads": np.array([0, 0, 0, 2**50], "int64")},
        ),
        "makes a tensor of",
    ),
    "sizes_that_do_not_fit": (
        changed(lambda made: made.graph.input[0].type.tensor_type.shape.dim[1].__setattr__(
            "dim_value", 5)),
        "can't be computed at node `/fc/Gemm` (`Gemm`)",
    ),
    "weights_of_other_sizes": (
        of_nodes(
            helper.make_node("BatchNormalization", ["x", "s", "s", "s", "short"], ["y"], name="n"),
            tensors={"s": np.ones(4, "float32"), "short": np.ones(2, "float32")},
        ),
        "at node `n` (`BatchNormalization`)",
    ),
    "attributes_that_are_missing": (
        of_nodes(helper.make_node("Concat", ["x", "x"], ["y"], name="n")),
        "at node `n`: `Concat` is without its attribute `axis`",
    ),
    "too_few_inputs": (
        of_nodes(helper.make_node("Conv", ["x"], ["y"], name="n")),
        "at node `n`: `Conv` takes 2 to 3 inputs, and here 1",
    ),
    "too_many_outputs_of_a_tensor": (
        of_nodes(
            helper.make_node("Identity", ["c"], ["a", "b"], name="n"),
            helper.make_node("Add", ["x", "b"], ["y"]),
            tensors={"c": np.ones(4, "float32")},
        ),
        "at node `n`: `Identity` gives 1 output, and here 2",
    ),
    "inputs_left_out": (
        of_nodes(helper.make_node("Add", ["", "x"], ["y"], name="n")),
        "at node `n`: `Add` is without its input `A`",
    ),
    "attributes_of_another_kind": (
        of_nodes(helper.make_node("Transpose", ["x"], ["y"], name="n", perm=1)),
        "at node `n`: `Transpose` has another `perm` than a list of whole numbers",
    ),
    "operator_to_come": (
        of_nodes(helper.make_node("Gelu", ["x"], ["y"], name="n"), opset=13),
        "at node `n`: `Gelu` is no operator of opset 13",
    ),
    "strides_of_zero": (of_window(strides=[0, 0]), "`Conv` has `strides` of 0, 0, which is less"),
    "padding_below_zero": (of_window(pads=[-1] * 4), "`Conv` has `pads` of -1, -1, -1, -1, which"),
    "no_groups": (of_window(group=0), "`Conv` has `group` of 0, which is less than 1"),
    "padding_of_no_kind": (of_window(auto_pad="FOO"), "`Conv` has `auto_pad` of FOO, and not one"),
    "windows_of_other_sizes": (
        of_window(kernel_shape=[5, 5]),
        "its `kernel_shape` is [5, 5], and that of its weight [3, 3]",
    ),
    "parts_that_are_not_all": (
        of_nodes(
            helper.make_node("Split", ["x", "sizes"], ["y", "z"], axis=1),
            tensors={"sizes": np.array([1, 2], "int64")},
        ),
        "it parts an axis of size 4 into 2: [1, 2]",
    ),
    "axis_that_is_not_there": (
        of_nodes(
            helper.make_node("Slice", ["x", "zero", "one", "axis"], ["y"]),
            tensors={
                "zero": np.array([0], "int64"),
                "one": np.array([1], "int64"),
                "axis": np.array([9], "int64"),
            },
        ),
        "inputs of 2x4, 1, 1, 1",
    ),
    "axis_beyond_the_last": (
        of_nodes(
            helper.make_node("Unsqueeze", ["x", "axis"], ["y"]),
            tensors={"axis": np.array([9], "int64")},
        ),
        "it names axis 9 of 3",
    ),
    "hidden_size_of_another": (
        of_nodes(
            helper.make_node("RNN", ["x", "w", "r"], ["y"], hidden_size=9),
            tensors={"w": np.ones((1, 3, 4), "float32"), "r": np.ones((1, 3, 3), "float32")},
            inputs={"x": [5, "batch", 4]},
        ),
        "its input weights are of (1, 3, 4), where (1, 9, 4) is needed",
    ),
    "weights_that_are_no_numbers": (
        of_nodes(
            helper.make_node("Gemm", ["x", "w"], ["y"], name="n"),
            tensors={"w": np.full((4, 3), np.nan, "float32")},
        ),
        "at node `n` (`Gemm`): its weight holds NaN, which is no number",
    ),
    "weights_without_end": (
        of_nodes(
            helper.make_node("Conv", ["x", "w", "b"], ["y"], name="n"),
            tensors={"w": np.ones((2, 4, 1), "float32"), "b": np.array([1, np.inf], "float32")},
            inputs={"x": ["batch", 4, 5]},
        ),
        "at node `n` (`Conv`): its bias holds infinity",
    ),
    "parameters_that_are_no_numbers": (
        of_nodes(
            helper.make_node("Add", ["x", "w"], ["y"], name="n"),
            tensors={"w": np.array([1, np.nan, 2, 3], "float32")},
        ),
        "at node `n` (`Add`): its w holds NaN, which is no number",
    ),
    "number_that_is_none": (
        of_nodes(
            helper.make_node("Mul", ["x", "w"], ["y"], name="n"),
            tensors={"w": np.array(np.nan, "float32")},
        ),
        "at node `n` (`Mul`): it takes NaN, which is no number",
    ),
    "output_without_a_batch": (
        of_nodes(helper.make_node("Flatten", ["x"], ["y"], axis=0), inputs={"x": [2, 4]}),
        "an output whose first axis isn't the batch\n",
    ),
    "outputs_of_other_sizes": (
        changed(lambda made: output_of(made, [1, 77])),
        "says that the output `y` is 1x77, and computes 2x3",
    ),
    "outputs_of_other_axes": (
        changed(lambda made: output_of(made, ["batch", 3, 1])),
        "says that the output `y` is batchx3x1, and computes 2x3",
    ),
    "outputs_of_another_kind": (
        changed(lambda m: setattr(m.graph.output[0].type.tensor_type, "elem_type", 9)),
        "says that the output `y` is of bool, and computes float32",
    ),
}  # fmt: skip


# What messages of Python hold, which say nothing to who never saw the code.
OF_PYTHON = ("Traceback", "argument:", "arguments", "<lambda>", "index out of range", "modulo",
             "NoneType", "object ", "unpack", "zip()", "Error:")  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_file_that_is_wrong_gets_a_sentence(case: str, command: Command, tmp_path: Path) -> None:
    content, wanted = WRONG[case]
    folder = tmp_path / "inner"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(b"\0" * 48)
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    (folder / "short.bin").write_bytes(b"\0" * 5)
    (folder / "folder").mkdir()
    (folder / "net.onnx").write_bytes(content)

    result = command("import", "inner/net.onnx", "-o", "net.arch", "--weights-to", "w.safetensors")

    assert result.status == 1, result
    assert wanted in result.error, result.error
    assert not any(one in result.error for one in OF_PYTHON), result.error
    assert not (tmp_path / "net.arch").exists()
    assert not (tmp_path / "w.safetensors").exists()


def test_each_operator_says_how_many_inputs_it_takes(tmp_path: Path) -> None:
    import archdsl
    from archdsl.importing.errors import ImportingError
    from archdsl.importing.onnx.operators import OPERATORS

    opset = min(23, onnx.defs.onnx_opset_version())
    for op in sorted(OPERATORS):
        if "." in op:
            continue  # what patterns make
        schema = onnx.defs.get_schema(op, 9 if op == "Upsample" else opset)
        counts = [schema.min_input - 1] if schema.min_input else []
        counts += [schema.max_input + 1] if schema.max_input < 100 else []
        for count in counts:
            made = onnx_files.model(
                [
                    helper.make_node("Relu", ["x"], ["h"]),
                    helper.make_node(op, ["h"] * count, ["y"]),
                ],
                opset=9 if op == "Upsample" else opset,
            )
            with pytest.raises(ImportingError) as caught:
                archdsl.from_onnx(onnx_files.saved(made, tmp_path))
            assert f"`{op}` takes " in str(caught.value), caught.value
            assert f"and here {count}" in str(caught.value)


def test_weights_beside_the_file_are_read(command: Command, tmp_path: Path) -> None:
    whole = onnx_files.linear()
    (tmp_path / "net.onnx").write_bytes(outside("numbers.bin", "8"))
    (tmp_path / "numbers.bin").write_bytes(b"\0" * 8 + weight(whole).raw_data)

    result = command("import", "net.onnx", "-o", "net.arch")

    assert result.status == 0, result
    assert "the same: outputs " in result.out


def test_too_many_nodes_are_not_read(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from archdsl.importing.onnx import reading

    monkeypatch.setattr(reading, "MOST_NODES", 5)
    nodes = [helper.make_node("Relu", ["x"], ["v0"]), *many(5)]
    onnx_files.saved(onnx_files.model(nodes, outputs=("v5",)), tmp_path)

    result = command("import", "net.onnx", "-o", "-")

    assert result.status == 1
    assert "has 6 nodes; at most 5 are read" in result.error


def test_names_that_say_nothing_are_shown_harmless(command: Command, tmp_path: Path) -> None:
    """Names come into messages and labels: none may hold what a terminal obeys."""
    nodes = [
        helper.make_node(
            "Gemm", ["x", "a\x1b[31m/../.weight", "b"], ["h"], transB=1, name="/\x1b/\n/G"
        ),
        helper.make_node("Relu", ["h"], ["y"], name="/forward/type/R"),
    ]
    random = onnx_files.weights(w=(3, 4), b=(3,))
    made = onnx_files.model(nodes, {"a\x1b[31m/../.weight": random["w"], "b": random["b"]})
    onnx_files.saved(made, tmp_path)

    result = command("import", "net.onnx", "-o", "net.arch")

    assert result.status == 0, result
    assert "\x1b" not in result.out + (tmp_path / "net.arch").read_text()


def test_nothing_is_half_written_where_onnxruntime_refuses(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    def refuse(*given: Any, **named: Any) -> None:
        raise RuntimeError("not this one")

    monkeypatch.setattr(onnxruntime, "InferenceSession", refuse)
    onnx_files.saved(onnx_files.linear(), tmp_path)

    result = command("import", "net.onnx", "-o", "net.arch")

    assert result.status == 1
    assert "not compared: onnxruntime doesn't run the file: not this one" in result.out
    assert (tmp_path / "net.arch").read_text().startswith("# archdsl import: not compared")
