"""What single operators of ONNX become: the text gives what onnxruntime gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import archdsl
from archdsl.importing.errors import ImportingError

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
onnx_files = pytest.importorskip("onnx_files")
pytestmark = pytest.mark.usefixtures("one_thread")
node = onnx.helper.make_node

MAP = {"x": ["batch", 4, 6, 6]}
ROWS = {"x": ["batch", 5, 4]}
ONE = {"x": [1, 4, 6, 6]}


def whole(*numbers: int) -> Any:
    return np.array(numbers, "int64")


# Nodes with the tensors that they take and the input, and a part of the text that comes of them.
CASES: dict[str, tuple[list[Any], dict[str, Any], dict[str, Any], str]] = {
    "conv_same": (
        [node("Conv", ["x", "w"], ["y"], auto_pad="SAME_UPPER", strides=[2, 2])],
        onnx_files.weights(w=(8, 4, 3, 3)), MAP, "Conv2d(8, 3, stride = 2",
    ),
    "conv_groups": (
        [node("Conv", ["x", "w", "b"], ["y"], group=2, dilations=[2, 2], pads=[2, 2, 2, 2])],
        onnx_files.weights(w=(6, 2, 3, 3), b=(6,)), MAP, "dilation = 2, groups = 2",
    ),
    "conv_transpose": (
        [node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2], output_padding=[1, 1])],
        onnx_files.weights(w=(4, 6, 3, 3)), MAP, "ConvTranspose2d(6, 3, stride = 2",
    ),
    "gemm": (
        [node("Flatten", ["x"], ["f"]), node("Gemm", ["f", "w", "b"], ["y"], alpha=0.5, beta=2.0)],
        onnx_files.weights(w=(144, 3), b=(3,)), MAP, "Linear(3)",
    ),
    "matmul_without_bias": (
        [node("MatMul", ["x", "w"], ["y"])],
        onnx_files.weights(w=(4, 7)), ROWS, "Linear(7, bias = false)",
    ),
    "batch_norm": (
        [node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"], epsilon=1e-3)],
        {**onnx_files.weights(s=(4,), b=(4,), m=(4,)), "v": np.arange(1, 5, dtype="float32")},
        MAP, "BatchNorm2d(eps = 0.001)",
    ),
    "layer_norm": (
        [node("LayerNormalization", ["x", "s", "b"], ["y"])],
        onnx_files.weights(s=(4,), b=(4,)), ROWS, "LayerNorm",
    ),
    "pool_rounded_up": (
        [node("AveragePool", ["x"], ["y"], kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1])],
        {}, MAP, "AvgPool2d(3, stride = 2, ceil_mode = true",
    ),
    "pool_to_one_side": (
        [node("AveragePool", ["x"], ["y"], kernel_shape=[6, 6], pads=[0, 0, 1, 1])],
        {}, MAP, "AvgPool2d(6, stride = 1, padding = 1, count_include_pad = false)",
    ),
    "norm_of_one_sample": (
        [node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"])],
        {**onnx_files.weights(s=(4,), b=(4,), m=(4,)), "v": np.arange(1, 5, dtype="float32")},
        {"x": [1, 4]}, "BatchNorm1d",
    ),
    "max_pool": (
        [node("MaxPool", ["x"], ["y"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])],
        {}, MAP, "MaxPool2d(3, stride = 2, padding = 1)",
    ),
    "lrn": ([node("LRN", ["x"], ["y"], size=3)], {}, MAP, "LocalResponseNorm(3"),
    "prelu": (
        [node("PRelu", ["x", "s"], ["y"])],
        onnx_files.weights(s=(4, 1, 1)), MAP, "PReLU(num_parameters = 4)",
    ),
    "clip": (
        [node("Clip", ["x", "low", "high"], ["y"])],
        {"low": np.float32(0), "high": np.float32(6)}, MAP, "ReLU6",
    ),
    "softmax_of_old": (
        [node("Softmax", ["x"], ["y"], axis=1)], {}, {"x": ["batch", 4]}, "Softmax",
    ),
    "resize": (
        [node("Resize", ["x", "", "by"], ["y"], mode="linear")],
        {"by": np.array([1, 1, 2, 2], "float32")}, MAP, "(scale_factor = 2",
    ),
    "pad": (
        [node("Pad", ["x", "p"], ["y"], mode="reflect")],
        {"p": whole(0, 0, 1, 2, 0, 0, 1, 2)}, MAP, "ReflectionPad2d",
    ),
    "split": (
        [node("Split", ["x", "s"], ["a", "b"], axis=1), node("Mul", ["a", "b"], ["y"])],
        {"s": whole(2, 2)}, MAP, "mul {",
    ),
    "slice": (
        [node("Slice", ["x", "a", "b", "c"], ["y"])],
        {"a": whole(1), "b": whole(2**62), "c": whole(-1)}, MAP, "Slice(1",
    ),
    "a_number_less": (
        [node("Sub", ["one", "x"], ["y"])], {"one": np.float32(1)}, MAP, "Neg -> Shift(1",
    ),
    "a_number_by": (
        [node("Sigmoid", ["x"], ["s"]), node("Div", ["two", "s"], ["y"])],
        {"two": np.float32(2)}, MAP, "Reciprocal",
    ),
    "reduced": ([node("ReduceMean", ["x", "a"], ["y"])], {"a": whole(2, 3)}, MAP,
                "AdaptiveAvgPool2d(1)"),
    "reduced_twice": (
        [node("ReduceMax", ["x", "a"], ["y"], keepdims=0)], {"a": whole(2, 3)}, MAP, "Max(",
    ),
    "depth": ([node("DepthToSpace", ["x"], ["y"], blocksize=2, mode="CRD")], {}, MAP,
              "PixelShuffle(2)"),
    "silu": (
        [node("Sigmoid", ["x"], ["s"]), node("Mul", ["x", "s"], ["y"])], {}, MAP, "SiLU",
    ),
    # a number for the batch of the file grows with the batch
    "heads_of_one_sample": (
        [
            node("Reshape", ["x", "flat"], ["f"]), node("Transpose", ["f"], ["t"], perm=[0, 2, 1]),
            node("MatMul", ["t", "w"], ["m"]), node("Reshape", ["m", "back"], ["y"]),
        ],
        {**onnx_files.weights(w=(4, 4)), "flat": whole(1, 4, 36), "back": whole(1, 36, 2, 2)},
        ONE, "Linear(4",
    ),
    "token_of_one_sample": (
        [node("Reshape", ["x", "s"], ["r"]), node("Concat", ["token", "r"], ["y"], axis=1)],
        {**onnx_files.weights(token=(1, 1, 36)), "s": whole(1, 4, -1)}, ONE, "parameter token",
    ),
    "keys_turned_by_dynamo": (
        [
            node("Reshape", ["x", "parted"], ["p"]),
            node("Transpose", ["p"], ["q"], perm=[0, 2, 1, 3]),
            node("Reshape", ["q", "rows"], ["r"]), node("Transpose", ["r"], ["t"], perm=[0, 2, 1]),
            node("Reshape", ["t", "last"], ["k"]), node("Mul", ["q", "half"], ["a"]),
            node("Mul", ["k", "half"], ["b"]), node("MatMul", ["a", "b"], ["s"]),
            node("Softmax", ["s"], ["m"]), node("MatMul", ["m", "q"], ["y"]),
        ],
        {"parted": whole(1, 36, 2, 2), "rows": whole(-1, 36, 2), "last": whole(1, 2, 2, 36),
         "half": np.array([0.5**0.25], "float32")},
        ONE, "ScaledDotProductAttention",
    ),
    "a_scale_for_each_head": (
        [
            node("Transpose", ["x"], ["k"], perm=[0, 1, 3, 2]), node("MatMul", ["x", "k"], ["s"]),
            node("Exp", ["log"], ["scale"]), node("Mul", ["s", "scale"], ["m"]),
            node("Softmax", ["m"], ["p"]), node("MatMul", ["p", "x"], ["y"]),
        ],
        onnx_files.weights(log=(4, 1, 1)), MAP, "Softmax(-1)",
    ),
    "shape_of_what_comes_in": (
        [
            node("Shape", ["x"], ["all"]), node("Gather", ["all", "zero"], ["n"]),
            node("Concat", ["n", "rest"], ["s"], axis=0), node("Reshape", ["x", "s"], ["y"]),
        ],
        {"zero": whole(0), "rest": whole(-1)}, MAP, "Flatten",
    ),
    "cast_of_a_boolean": (
        [
            node("Greater", ["x", "zero"], ["gate"]), node("Cast", ["gate"], ["g"], to=1),
            node("Mul", ["g", "x"], ["y"]),
        ],
        {"zero": np.array(0, "float32")}, ROWS, 'Greater(0.0) -> To("float")',
    ),
    "cast_of_an_integer": (
        [
            node("Mul", ["x", "k"], ["scaled"]), node("Cast", ["scaled"], ["i"], to=7),
            node("Cast", ["i"], ["f"], to=1), node("Add", ["f", "x"], ["y"]),
        ],
        {"k": np.array([3.7], "float32")}, ROWS, 'Scale(3.7) -> To("int") -> To("float")',
    ),
    "cast_to_what_another_is": (
        [
            node("Less", ["x", "zero"], ["gate"]), node("CastLike", ["gate", "x"], ["g"]),
            node("Add", ["g", "x"], ["y"]),
        ],
        {"zero": np.array(0, "float32")}, ROWS, 'Less(0.0) -> To("float")',
    ),
    "cast_to_a_boolean": (
        [
            node("Cast", ["x"], ["b"], to=9), node("Not", ["b"], ["n"]),
            node("Cast", ["n"], ["f"], to=1), node("Add", ["f", "x"], ["y"]),
        ],
        {}, ROWS, 'To("bool") -> Equal(0) -> To("float")',
    ),
    "recurrent_of_one_way": (
        [
            node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
            node("RNN", ["t", "w", "r"], ["both", "end"], hidden_size=3),
            node("Squeeze", ["both", "axis"], ["h"]),
            node("Transpose", ["h"], ["y"], perm=[1, 0, 2]),
        ],
        onnx_files.weights(w=(1, 3, 4), r=(1, 3, 3)) | {"axis": whole(1)}, ROWS,
        "RNN(3, bias = false)",
    ),
    "mask_of_infinity": (
        [node("Add", ["x", "mask"], ["m"]), node("Softmax", ["m"], ["y"])],
        {"mask": np.triu(np.full((5, 5), -np.inf, "float32"), 1)},
        {"x": ["batch", 5, 5]}, "constant table: [5, 5] = [0.0 if j <= i else -3.4e+38 for i, j]",
    ),
    "mask_of_infinity_that_is_computed": (
        [
            node("ConstantOfShape", ["sizes"], ["all"], value=onnx.numpy_helper.from_array(
                np.array([-np.inf], "float32"))),
            node("Trilu", ["all", "one"], ["mask"], upper=1),
            node("Add", ["x", "mask"], ["m"]), node("Softmax", ["m"], ["y"]),
        ],
        {"sizes": whole(9, 9), "one": np.array(1, "int64")},
        {"x": ["batch", 9, 9]}, "constant table: [9, 9] = [0.0 if j <= i else -3.4e+38 for i, j]",
    ),
    "table_that_is_computed": (
        [
            node("ConstantOfShape", ["sizes"], ["all"], value=onnx.numpy_helper.from_array(
                np.array([2], "float32"))),
            node("Trilu", ["all"], ["table"], upper=0), node("Mul", ["x", "table"], ["y"]),
        ],
        {"sizes": whole(9, 9)},
        {"x": ["batch", 9, 9]}, "constant table: [9, 9] = [2.0 if j <= i else 0.0 for i, j]",
    ),
    "reshape_of_a_single_number": (
        [node("Reshape", ["k", "sizes"], ["row"]), node("Mul", ["x", "row"], ["y"])],
        {"k": np.array(2.5, "float32"), "sizes": whole(1, 1)}, ROWS, "Scale(2.5)",
    ),
    "resize_with_what_other_modes_take": (
        [node("Resize", ["x", "", "", "s"], ["y"], mode="linear", nearest_mode="floor",
              cubic_coeff_a=-0.5, extrapolation_value=1.0)],
        {"s": whole(1, 4, 9, 8)}, ONE, 'mode = "bilinear"',
    ),
    "resize_by_a_factor_that_is_rounded": (
        [node("Resize", ["x", "", "s"], ["y"], mode="linear")],
        {"s": np.array([1, 1, 0.7, 0.7], "float32")}, MAP, "scale_factor = 0.7",
    ),
    "resize_to_the_nearest_of_halves": (
        [node("Resize", ["x", "", "", "s"], ["y"], mode="nearest")],
        {"s": whole(1, 4, 4, 4)}, ONE, '"nearest-exact"',
    ),
    "written_into_a_constant": (
        [node("ScatterND", ["c", "i", "u"], ["m"]), node("Add", ["x", "m"], ["y"])],
        {"c": np.zeros((6, 6), "float32"), "i": whole(0, 3).reshape(2, 1),
         "u": np.arange(12, dtype="float32").reshape(2, 6) - 5}, MAP, "constant table: [6, 6] = [",
    ),
    "weights_brought_to_a_scale": (
        [node("LayerNormalization", ["w", "s"], ["n"], axis=1), node("Conv", ["x", "n"], ["y"])],
        onnx_files.weights(w=(8, 4, 3, 3), s=(4, 3, 3)), MAP, "Conv2d(8, 3, bias = false)",
    ),
    "hard_sigmoid_of_another_kind": (
        [node("HardSigmoid", ["x"], ["h"], alpha=1 / 6, beta=0.25), node("Mul", ["h", "x"], ["y"])],
        {}, MAP, "Clamp(min = 0, max = 1)",
    ),
    "free_sizes": (
        [node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]), node("Relu", ["c"], ["y"])],
        onnx_files.weights(w=(2, 3, 3, 3)), {"x": ["n", 3, "h", "w2"]}, "input x: [3, h, w2]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_an_operator_becomes_a_layer(case: str, tmp_path: Path) -> None:
    nodes, tensors, inputs, wanted = CASES[case]
    opset = 9 if case.endswith("_of_old") else onnx_files.OPSET
    made = onnx_files.model(nodes, tensors, inputs, opset=opset)

    network = archdsl.from_onnx(onnx_files.saved(made, tmp_path))

    assert network.proof.same, network.proof.sentence()
    text = " -> ".join(line.strip() for line in network.spec.splitlines())
    assert wanted in text, network.spec


# What would be silently something else if an attribute or an output were passed over.
REFUSED: dict[str, tuple[list[Any], dict[str, Any], str]] = {
    "last_of_equals": (
        [node("ArgMax", ["x"], ["y"], axis=1, select_last_index=1)], {},
        "`ArgMax` with `select_last_index` of 1",
    ),
    "rounded_up_and_padded": (
        [node("MaxPool", ["x"], ["y"], kernel_shape=[3, 3], pads=[0, 0, 1, 1], ceil_mode=1)], {},
        "`MaxPool` with `ceil_mode` of 1",
    ),
    "other_cubes": (
        [node("Resize", ["x", "", "s"], ["y"], mode="cubic", cubic_coeff_a=-0.5)],
        {"s": np.array([1, 1, 2, 2], "float32")}, "`Resize` with `cubic_coeff_a` of -0.5",
    ),
    "nearest_above": (
        [node("Resize", ["x", "", "s"], ["y"], mode="nearest", nearest_mode="ceil")],
        {"s": np.array([1, 1, 2, 2], "float32")}, "`Resize` to the nearest, half_pixel and ceil",
    ),
    "no_attribute_of_it": ([node("Relu", ["x"], ["y"], alpha=0.5)], {}, "`Relu` with `alpha`"),
    "means": (
        [node("LayerNormalization", ["x", "s"], ["n", "y"])], onnx_files.weights(s=(6,)),
        "`LayerNormalization` of which output 2 is read",
    ),
    "places": (
        [node("MaxPool", ["x"], ["p", "i"], kernel_shape=[2, 2]), node("Cast", ["i"], ["y"], to=1)],
        {}, "`MaxPool` of which output 2 is read",
    ),
    "training": (
        [node("Dropout", ["x", "r", "t"], ["y"])],
        {"r": np.array(0.5, "float32"), "t": np.array(True)}, "`Dropout` in training mode",
    ),
    "slopes_along_the_last_axis": (
        [node("PRelu", ["x", "s"], ["y"])], onnx_files.weights(s=(6,)),
        "`PRelu` with a slope for each place",
    ),
    "even_window": ([node("LRN", ["x"], ["y"], size=4)], {}, "`LRN` over an even number"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_another_meaning_is_refused(case: str, tmp_path: Path) -> None:
    nodes, tensors, wanted = REFUSED[case]
    made = onnx_files.model(nodes, tensors, MAP)

    with pytest.raises(ImportingError) as caught:
        archdsl.from_onnx(onnx_files.saved(made, tmp_path))

    assert wanted in str(caught.value), caught.value


# Ways to read an image at the places of a grid: by opset, how many axes the image has.
MODES = {16: ("bilinear", "nearest", "bicubic"), 20: ("linear", "nearest", "cubic")}
SAMPLED = [
    (opset, axes, mode, beyond, corners)
    for opset in MODES
    for axes in ((4,) if opset == 16 else (4, 5))
    for mode in MODES[opset]
    if axes == 4 or mode != "cubic"
    for beyond in ("zeros", "border", "reflection")
    for corners in (0, 1)
]  # fmt: skip


@pytest.mark.parametrize(
    ("opset", "axes", "mode", "beyond", "corners"),
    SAMPLED,
    ids=["_".join(map(str, one)) for one in SAMPLED],
)
def test_a_grid_reads_an_image(
    opset: int, axes: int, mode: str, beyond: str, corners: int, tmp_path: Path
) -> None:
    # random places of which many lie beyond the edges
    nodes = [node("GridSample", ["x", "g"], ["y"], mode=mode, padding_mode=beyond,
                  align_corners=corners)]  # fmt: skip
    image, grid = (5, 7, 6)[-axes + 2 :], (4, 3, 5)[-axes + 2 :]
    inputs = {"x": ["batch", 2, *image], "g": ["batch", *grid, axes - 2]}
    made = onnx_files.model(nodes, {}, inputs, opset=opset)

    network = archdsl.from_onnx(onnx_files.saved(made, tmp_path))

    assert network.proof.same, network.proof.sentence()
    assert "GridSample" in network.spec


@pytest.mark.parametrize("batch", ["batch", 1, 2], ids=["free", "one", "two"])
def test_a_grid_that_the_file_holds_is_that_of_each_sample(batch: Any, tmp_path: Path) -> None:
    nodes = [node("GridSample", ["x", "grid"], ["y"])]
    grid = onnx_files.weights(grid=(1, 3, 5, 2))["grid"]
    tensors = {"grid": np.concatenate([grid, grid]) if batch == 2 else grid}
    made = onnx_files.model(nodes, tensors, {"x": [batch, 4, 6, 6]})

    if batch == "batch":  # then it is one for a single sample
        with pytest.raises(ImportingError) as caught:
            archdsl.from_onnx(onnx_files.saved(made, tmp_path))
        assert "it has 2 images and 1 grids" in str(caught.value), caught.value
        return
    network = archdsl.from_onnx(onnx_files.saved(made, tmp_path))

    assert network.proof.same, network.proof.sentence()


@pytest.mark.parametrize(("opset", "mode"), [(16, "cubic"), (20, "bilinear"), (20, "area")],
                         ids=["of_later", "of_before", "of_none"])  # fmt: skip
def test_a_grid_is_read_by_the_words_of_its_opset(opset: int, mode: str, tmp_path: Path) -> None:
    inputs = {"x": ["batch", 4, 6, 6], "g": ["batch", 3, 3, 2]}
    made = onnx_files.model([node("GridSample", ["x", "g"], ["y"], mode=mode)], {}, inputs,
                            opset=opset)  # fmt: skip

    with pytest.raises(ImportingError) as caught:
        archdsl.from_onnx(onnx_files.saved(made, tmp_path))

    assert f"it has `mode` of {mode}, which opset {opset} hasn't" in str(caught.value)


IDS = {"x": ["batch", 5]}
# Ways in which files let a table of 9 x 4 be the matrix of a linear map as well.
TIED: dict[str, list[Any]] = {
    "transposed": [node("Transpose", ["w"], ["t"]), node("MatMul", ["rows", "t"], ["y"])],
    "gemm": [
        node("ReduceMean", ["rows", "first"], ["mean"], keepdims=0),
        node("Gemm", ["mean", "w"], ["y"], transB=1),
    ],
    "twice_transposed": [
        node("Transpose", ["w"], ["t"]), node("Transpose", ["t"], ["back"]),
        node("ReduceMean", ["rows", "first"], ["mean"], keepdims=0),
        node("Gemm", ["mean", "back"], ["y"], transB=1),
    ],
    "by_another_name": [
        node("Identity", ["w"], ["same"]), node("Transpose", ["same"], ["t"]),
        node("MatMul", ["rows", "t"], ["y"]),
    ],
}  # fmt: skip


@pytest.mark.parametrize("case", TIED)
def test_one_weight_of_several_layers_is_counted_once(case: str, tmp_path: Path) -> None:
    nodes = [node("Gather", ["w", "x"], ["rows"]), *TIED[case]]
    tensors = onnx_files.weights(w=(9, 4)) | {"first": whole(1)}
    made = onnx_files.model(nodes, tensors, IDS, kind=onnx.TensorProto.INT64)

    network = archdsl.from_onnx(onnx_files.saved(made, tmp_path))

    assert network.proof.same, network.proof.sentence()
    assert network.count().parameters == 9 * 4


def test_a_layer_whose_biases_are_kept_twice_is_one(tmp_path: Path) -> None:
    nodes = [
        node("Identity", ["b"], ["b2"]),
        node("Identity", ["w"], ["w2"]),
        node("Conv", ["x", "w", "b"], ["h"]),
        node("Conv", ["h", "w2", "b2"], ["y"]),
    ]
    made = onnx_files.model(nodes, onnx_files.weights(w=(4, 4, 3, 3), b=(4,)), MAP)

    network = archdsl.from_onnx(onnx_files.saved(made, tmp_path))

    assert network.proof.same, network.proof.sentence()
    assert network.count().parameters == 4 * 4 * 9 + 4


def test_outputs_keep_their_names(tmp_path: Path) -> None:
    nodes = [node("Relu", ["x"], ["low"]), node("Sigmoid", ["low"], ["high"])]
    made = onnx_files.model(nodes, outputs=("high", "low"))

    network = archdsl.from_onnx(onnx_files.saved(made, tmp_path))

    assert "output low" in network.spec
    assert "output high" in network.spec
