"""archdsl.from_keras and archdsl import FILE.keras: texts, equal to what Keras says and gives."""

from __future__ import annotations

import io
import json
import math
import zipfile
from pathlib import Path
from typing import Any

import keras_files
import numpy as np
import pytest
import torch
from keras_files import layer, model, saved, sequence, start
from running import Command
from safetensors.torch import load

import archdsl
from archdsl.importing.errors import ImportingError
from archdsl.importing.keras import imported

pytestmark = pytest.mark.usefixtures("one_thread")
GOLDEN = Path(__file__).parents[1] / "golden" / "imported"

# As `model.count_params()` has them: `keras_models/make.py` prints them.
APPLICATIONS = {
    "ConvNeXtTiny": 28589128,
    "DenseNet121": 8062504,
    "EfficientNetB0": 5330571,
    "InceptionV3": 23851784,
    "MobileNet": 4253864,
    "MobileNetV2": 3538984,
    "MobileNetV3Small": 2554968,
    "ResNet50": 25636712,
    "ResNet50V2": 25613800,
    "VGG16": 138357544,
    "Xception": 22910480,
}
LINES = {"InceptionV3": 215, "MobileNetV3Small": 125}  # at most; 100 for all others
SAMPLE = ("MobileNet", "ResNet50")
COUNT = 1  # number that `Normalization` keeps, and nothing needs


def numbers(network: archdsl.Network) -> int:
    """Return how many numbers a network holds that Keras counts."""
    state = network.compile(device="meta").state_dict()
    return sum(one.numel() for name, one in state.items() if not name.endswith("_tracked"))


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=() if n in SAMPLE else pytest.mark.whole) for n in APPLICATIONS],
)
def test_applications_have_their_parameters_and_shapes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = keras_files.unpacked("applications", f"{name}.json", tmp_path)
    monkeypatch.setattr(imported, "MOST_HELD", 0)  # outputs of large networks take long

    network = archdsl.from_keras(path)

    said = json.loads(path.read_text())
    held = said["config"]["layers"]
    measured = [one for one in held if one["class_name"] == "Normalization"]
    left = sum(COUNT for one in measured if one["config"]["mean"] is None)
    assert numbers(network) == APPLICATIONS[name] - left
    assert f"{APPLICATIONS[name]:,} numbers in weights" in network.proof.sentence()
    # the file says a shape with each tensor that a layer is called on, and the layers give it
    assert int(network.proof.besides.split("; ")[1].split()[0].replace(",", "")) >= len(held)
    assert len(network.spec.splitlines()) <= LINES.get(name, 100)
    golden = GOLDEN / f"keras_{name}.arch"
    if golden.exists():
        assert network.spec == golden.read_text()


MODELS = (
    "attention", "conv_same", "depthwise", "flat_and_not", "flat_end", "flat_norm", "front",
    "functions", "functions_of_images", "gate", "halves", "nested", "norm_vector", "norms",
    "operations", "pooling", "recurrent", "recurrent_plain", "sequence", "shapes", "sizes",
    "there_and_back", "towers", "transposed", "two_of_each", "volume", "words",
)  # fmt: skip


def sample(shape: tuple[int, ...], whole: bool) -> torch.Tensor:
    """Return what Keras was given: two samples, channels last."""
    count = 2 * math.prod(shape)
    if whole:
        return torch.arange(count).mul(3).remainder(5).reshape(2, *shape)
    return torch.arange(count, dtype=torch.float64).sin().float().reshape(2, *shape)


@pytest.mark.parametrize("name", MODELS)
def test_outputs_with_weights_are_those_of_keras(name: str, tmp_path: Path) -> None:
    """What Keras gave for the same weights and inputs was kept when the files were made."""
    pytest.importorskip("h5py")
    path = keras_files.unpacked("models", f"{name}.keras", tmp_path)
    outputs = load(keras_files.unpacked("models", "outputs.safetensors", tmp_path).read_bytes())

    network = archdsl.from_keras(path)

    assert network.proof.same, network.proof.sentence()
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))["config"]
    shapes = [
        (one["config"]["batch_shape"][1:], "int" in one["config"]["dtype"])
        for one in config["layers"]
        if one["class_name"] == "InputLayer"
    ]
    given = [sample(tuple(shape), whole) for shape, whole in shapes]
    first = [one.movedim(-1, 1) if one.dim() > 3 or name == "sequence" else one for one in given]
    with torch.no_grad():
        found = network.compile().eval()(*first)
    many = [found] if isinstance(found, torch.Tensor) else [*found._asdict().values()]
    for number, one in enumerate(many):
        wanted = outputs[f"{name}.{number}"]
        one = one.movedim(1, -1) if one.dim() > 3 else one
        assert one.shape == wanted.shape
        assert torch.allclose(one, wanted, rtol=1e-5, atol=1e-5 * float(wanted.abs().max()))


def test_the_command_says_what_was_compared(command: Command, tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    keras_files.unpacked("models", "conv_same.keras", tmp_path)
    given = ("import", "conv_same.keras", "-o", "net.arch", "--weights-to", "net.safetensors")

    result = command(*given)

    assert result.status == 0, result
    assert "290 numbers in weights, read; 4 shapes are those that the file says" in result.out
    assert "Keras was not run" in result.out
    text = (tmp_path / "net.arch").read_text()
    assert "conv2d: Conv2d(4, 3, stride = 2)" in text
    archdsl.load(tmp_path / "net.arch").load_weights(tmp_path / "net.safetensors")
    assert command(*given).status == 2


def test_a_config_has_no_weights_and_others_may_be_named(command: Command, tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    path = keras_files.unpacked("models", "norm_vector.keras", tmp_path)
    with zipfile.ZipFile(path) as archive:
        (tmp_path / "net.json").write_bytes(archive.read("config.json"))
        (tmp_path / "net.weights.h5").write_bytes(archive.read("model.weights.h5"))

    result = command("import", "net.json", "-o", "net.arch", "--weights-to", "net.safetensors")

    assert result.status == 2
    assert "net.json holds no weights; --weights FILE.weights.h5" in result.error
    assert not (tmp_path / "net.arch").exists()
    given = ("--weights", "net.weights.h5", "--weights-to", "net.safetensors")
    assert command("import", "net.json", "-o", "net.arch", *given).status == 0
    network = archdsl.load(tmp_path / "net.arch")
    network.load_weights(tmp_path / "net.safetensors")
    theirs, x = archdsl.from_keras(path).compile().eval(), torch.randn(2, 6)
    assert torch.equal(network.compile().eval()(x), theirs(x))


def test_a_config_of_keras_2_is_read(tmp_path: Path) -> None:
    """Inputs stand in the first layer, and `hard_sigmoid` was another function."""
    made = sequence(
        layer("Conv2D", "conv", filters=4, kernel_size=[3, 3], batch_input_shape=[None, 6, 6, 3]),
        layer("Activation", "act", activation="hard_sigmoid"),
        layer("LeakyReLU", "leaky", alpha=0.2),
        layer("Flatten", "flatten", data_format="channels_last"),
        layer("Dense", "fc", units=5, activation="linear", use_bias=True),
    )

    network = archdsl.from_keras(saved(made, tmp_path))

    assert network.proof.same
    for line in ("conv: Conv2d(4, 3)", "Scale(0.2)", "LeakyReLU(0.2)"):
        assert line in network.spec
    assert network.count().parameters == (3 * 9 + 1) * 4 + (64 + 1) * 5


def test_calls_of_keras_2_are_read(tmp_path: Path) -> None:
    def early(kind: str, name: str, *reads: str, **config: Any) -> dict[str, Any]:
        nodes = [[[one, 0, 0, {}] for one in reads]] if reads else []
        return {
            "class_name": kind, "config": {"name": name, **config}, "name": name,
            "inbound_nodes": nodes,
        }  # fmt: skip

    layers = [
        early("InputLayer", "x", batch_input_shape=[None, 8, 8, 4], dtype="float32"),
        early("Conv2D", "block1_conv", "x", filters=4, kernel_size=[3, 3], padding="same"),
        early("BatchNormalization", "block1_bn", "block1_conv", axis=[3], epsilon=0.001),
        early("Add", "block1_add", "block1_bn", "x"),
    ]
    made = {
        "class_name": "Functional",
        "config": {
            "name": "net", "layers": layers, "input_layers": [["x", 0, 0]],
            "output_layers": [["block1_add", 0, 0]],
        },
        "keras_version": "2.9.0",
    }  # fmt: skip

    network = archdsl.from_keras(saved(made, tmp_path))

    assert "residual {" in network.spec
    assert "bn: BatchNorm2d(eps = 0.001, momentum = 0.01)" in network.spec


def over_windows(image: Any, size: int, stride: int, function: Any) -> Any:
    """Return what windows give as TensorFlow's "same" has them, without what stands outside."""
    length = image.shape[0]
    places = -(-length // stride)
    before = max((places - 1) * stride + size - length, 0) // 2
    starts = [place * stride - before for place in range(places)]
    return np.array(
        [
            [function(image[max(i, 0) : i + size, max(j, 0) : j + size]) for j in starts]
            for i in starts
        ]
    )


@pytest.mark.parametrize("kind", ["AveragePooling2D", "MaxPooling2D"])
@pytest.mark.parametrize(("size", "length", "stride"), [(3, 8, 2), (2, 7, 2), (2, 5, 1), (3, 7, 3)])
def test_what_uneven_padding_adds_is_left_out_of_windows(
    kind: str, size: int, length: int, stride: int, tmp_path: Path
) -> None:
    pool = {"pool_size": [size, size], "strides": [stride, stride], "padding": "same"}
    path = saved(model(start("x", length, length, 1), layer(kind, "pool", "x", **pool)), tmp_path)

    if kind.startswith("Average") and stride == 1:
        with pytest.raises(archdsl.ArchError, match="uneven padding of means"):
            archdsl.from_keras(path)
        return
    compiled = archdsl.from_keras(path).compile()

    image = np.sin(np.arange(length * length)).reshape(length, length).astype("float32")
    found = compiled(torch.tensor(image)[None, None])[0, 0]
    wanted = over_windows(image, size, stride, np.mean if kind.startswith("Average") else np.max)
    assert np.allclose(found.numpy(), wanted, atol=1e-6)


def test_open_sizes_are_free_or_given(command: Command, tmp_path: Path) -> None:
    made = model(
        start("x", None, None, 3),
        layer("Conv2D", "conv", "x", filters=4, kernel_size=3, strides=2),
        layer("GlobalAveragePooling2D", "pool", "conv"),
        layer("Dense", "fc", "pool", units=2),
    )
    path = saved(made, tmp_path)

    assert "input image: [3, H, W]" in archdsl.from_keras(path).spec
    result = command("import", path, "--input", "3x32x48", "-o", "-")
    assert "input image: [3, 32, 48]" in result.out
    assert "fc: Linear(2)" in result.out


def test_open_sizes_that_are_not_free_are_told_in_the_text(tmp_path: Path) -> None:
    made = model(
        start("x", None, None, 3),
        layer("Conv2D", "conv", "x", filters=1, kernel_size=32, strides=32),
        layer("Flatten", "flat", "conv"),
        layer("Dense", "fc", "flat", units=2),
    )

    spec = archdsl.from_keras(saved(made, tmp_path)).spec

    assert "input image: [3, 224, 224]" in spec
    assert "# sizes that are open in the file are 224 here: " in spec


def test_a_name_of_a_file_breaks_no_line_of_the_text(tmp_path: Path) -> None:
    made = model(start("x", 4), layer("Dense", "fc", "x", units=3))

    spec = archdsl.from_keras(saved(made, tmp_path, "a\nb.json")).spec

    text = tmp_path / "net.arch"
    text.write_text(spec)
    assert r"from a\\nb.json" in spec
    assert archdsl.load(text).count().parameters == 15


def test_names_tell_blocks_and_loops(tmp_path: Path) -> None:
    layers = [start("image", 8, 8, 4)]
    before = "image"
    for number in range(1, 4):
        for kind, end, config in (
            ("Conv2D", "1_conv", {"filters": 4, "kernel_size": 3, "padding": "same"}),
            ("ReLU", "1_relu", {}),
            ("Conv2D", "2_conv", {"filters": 4, "kernel_size": 1}),
        ):
            layers.append(layer(kind, f"conv2_block{number}_{end}", before, **config))
            before = layers[-1]["name"]
    layers.append(layer("GlobalMaxPooling2D", "max_pool", before))

    spec = archdsl.from_keras(saved(model(*layers), tmp_path)).spec

    assert 'for i in range(3) { "block{i + 1}": Block }' in spec
    assert "conv1: Conv2d(4, 3, padding = 1)" in spec


@pytest.mark.parametrize("early", [False, True], ids=["keras 3", "keras 2"])
def test_calls_of_a_model_are_counted_as_its_version_counts_them(
    early: bool, tmp_path: Path
) -> None:
    """Making a model is its first call, in outputs of Keras 3 and everywhere in Keras 2."""
    inner = layer("Functional", "inner", "x")
    inner["config"] = model(start("z", 4), layer("Dense", "fc", "z", units=4))["config"]
    inner["inbound_nodes"] += layer("Functional", "inner", "inner")["inbound_nodes"]
    if early:
        inner["inbound_nodes"] = [[["x", 0, 0, {}]], [["inner", 1, 0, {}]]]
    made = model(start("x", 4), inner, outputs=[["inner", 1, 0], ["inner", 2, 0]])
    if early:
        made["keras_version"] = "2.11.0"

    compiled = archdsl.from_keras(saved(made, tmp_path)).compile().eval()

    once, twice = compiled(torch.randn(2, 4))
    assert torch.equal(compiled(once)[0], twice)
    assert not torch.equal(once, twice)


def test_fewer_axes_are_aligned_from_the_batch(tmp_path: Path) -> None:
    """A factor for each sample and channel, as `Multiply` has it; NumPy aligns otherwise."""
    made = model(
        start("x", 4, 3), start("y", 3), layer("Multiply", "m", "x", "y"),
        inputs=[["x", 0, 0], ["y", 0, 0]],
    )  # fmt: skip

    compiled = archdsl.from_keras(saved(made, tmp_path)).compile()

    x, y = torch.randn(2, 4, 3), torch.randn(2, 3)
    assert torch.equal(compiled(x, y), x * y[:, None])


def test_words_are_whole_numbers_whatever_kind_the_file_says(tmp_path: Path) -> None:
    """`Input((7,))` of Keras is of floats, and `Embedding` takes them."""
    inner = layer("Functional", "inner", "x")
    inner["config"] = model(
        start("z", 7, dtype="float32"), layer("Embedding", "e", "z", input_dim=2, output_dim=2)
    )["config"]
    made = model(start("x", 7, dtype="float32"), inner, outputs=["inner", 1, 0])

    network = archdsl.from_keras(saved(made, tmp_path))

    assert network.proof.same
    assert network.compile()(torch.zeros(2, 7, dtype=torch.int64)).shape == (2, 7, 2)


@pytest.mark.parametrize(("version", "least"), [("2.11.0", 1e-6), ("3.5.0", 1e-12)])
def test_short_vectors_are_divided_by_the_least_norm(
    version: str, least: float, tmp_path: Path
) -> None:
    made = model(start("x", 4), layer("UnitNormalization", "n", "x", axis=-1))
    made["keras_version"] = version

    compiled = archdsl.from_keras(saved(made, tmp_path)).compile()

    x = torch.tensor([[3e-9, 0.0, 4e-9, 0.0]])
    assert torch.allclose(compiled(x), x / max(5e-9, least), rtol=1e-5)


def archive(**files: bytes) -> bytes:
    """Return a zip."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in files.items():
            made.writestr(name.replace("__", "."), data)
    return held.getvalue()


def test_a_keras_file_without_weights_is_a_config(tmp_path: Path) -> None:
    made = model(start("x", 4), layer("Dense", "fc", "x", units=3))
    path = saved(archive(config__json=json.dumps(made).encode()), tmp_path, "net.keras")

    network = archdsl.from_keras(path)

    assert "15 numbers in weights;" in network.proof.sentence()
    assert network.count().parameters == 15


def two_heads(first: str, second: str) -> dict[str, Any]:
    """Return a model that gives two outputs by names."""
    one, other = (layer("Dense", name, "x", units=3) for name in ("a", "b"))
    made = model(start("x", 4), one, other)
    made["config"]["output_layers"] = {first: ["a", 0, 0], second: ["b", 0, 0]}
    return made


def test_outputs_that_are_given_by_names_keep_them(tmp_path: Path) -> None:
    network = archdsl.from_keras(saved(two_heads("boxes", "classes"), tmp_path))

    assert network.proof.same, network.proof.sentence()
    assert [one.name for one in network.checked.outputs] == ["boxes", "classes"]
    given = network.compile()(torch.randn(2, 4))
    assert given._fields == ("boxes", "classes")


def test_a_single_output_keeps_its_name(tmp_path: Path) -> None:
    made = model(start("x", 4), layer("Dense", "a", "x", units=3))
    made["config"]["output_layers"] = {"classes": ["a", 0, 0]}

    network = archdsl.from_keras(saved(made, tmp_path))

    assert network.proof.same, network.proof.sentence()
    assert [one.name for one in network.checked.outputs] == ["classes"]


@pytest.mark.parametrize("name", ["a-b", "1st", "in", ""])
def test_names_that_no_text_can_give_are_said(name: str, tmp_path: Path) -> None:
    network = archdsl.from_keras(saved(two_heads("boxes", name), tmp_path))

    assert network.proof.same, network.proof.sentence()
    assert "outputs have names in Keras that no text can give them" in network.spec
    assert len(network.checked.outputs) == 2


def test_given_means_of_another_axis_are_refused(tmp_path: Path) -> None:
    """They stand for rows: the image has as many as channels, so that nothing else tells."""
    numbers = {"mean": [1.0, 2.0, 3.0], "variance": [1.0, 4.0, 9.0]}
    made = model(start("x", 3, 5, 3), layer("Normalization", "a", "x", axis=[1], **numbers))

    with pytest.raises(ImportingError, match="another axis than the last one"):
        assert archdsl.from_keras(saved(made, tmp_path)).spec


def test_maps_are_dropped_where_the_channels_come_first(tmp_path: Path) -> None:
    config = {"rate": 0.5, "data_format": "channels_first"}
    conv = layer("Conv2D", "a", "x", filters=4, kernel_size=[1, 1], data_format="channels_first")
    made = model(start("x", 3, 6, 5), conv, layer("SpatialDropout2D", "b", "a", **config))

    network = archdsl.from_keras(saved(made, tmp_path))

    assert network.proof.same, network.proof.sentence()
    assert "Dropout2d" in network.spec
    assert "Permute" not in network.spec
