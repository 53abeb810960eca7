"""Files of Keras that lie, ask for too much, or hold what is not read: a sentence each."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_files import layer, model, saved, sequence, start
from running import Command

pytest.importorskip("torch")


def net(*layers: Any) -> dict[str, Any]:
    """Return a model of layers, each called on the one before."""
    before, held = "x", [start("x")]
    for number, (kind, config) in enumerate(layers):
        held.append(layer(kind, f"l{number}", before, **config))
        before = f"l{number}"
    return model(*held)


def conv(**config: Any) -> dict[str, Any]:
    """Return a model of a convolution, with other settings."""
    return net(("Conv2D", {"filters": 4, "kernel_size": [3, 3], **config}))


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """Return a model of a convolution in which something is changed."""
    made = conv()
    change(made)
    return made


def deep(depth: int) -> dict[str, Any]:
    """Return models in each other."""
    made = sequence(layer("ReLU", "act"))
    for number in range(depth):
        inner = {"class_name": "Sequential", "config": {**made["config"], "name": f"m{number}"}}
        made = {"class_name": "Sequential", "config": {"name": "net", "layers": [inner]}}
    return made


def circle() -> dict[str, Any]:
    return model(
        start("x"), layer("Add", "a", "x", "c"), layer("ReLU", "b", "a"), layer("ReLU", "c", "b")
    )


def own() -> dict[str, Any]:
    made = net(("Strange", {}), ("Lambda", {"function": "eval"}), ("Strange", {}))
    for one in made["config"]["layers"]:
        if one["class_name"] == "Strange":
            one["module"], one["registered_name"] = "mine", "mine>Strange"
    return made


def masked() -> dict[str, Any]:
    """Return a layer of one's own that is called like one of Keras."""
    made = conv()
    made["config"]["layers"][1]["module"] = "somebody"
    return made


def said(shape: list[Any]) -> dict[str, Any]:
    """Return a model that says that the shape of an input is another."""
    made = conv()
    config = made["config"]["layers"][1]["inbound_nodes"][0]["args"][0]["config"]
    config["shape"] = shape
    return made


def inputs(shape: Any) -> dict[str, Any]:
    made = conv()
    made["config"]["layers"][0]["config"]["batch_shape"] = shape
    return made


def called(**named: Any) -> dict[str, Any]:
    made = net(("BatchNormalization", {}))
    made["config"]["layers"][1]["inbound_nodes"][0]["kwargs"] = named
    return made


def operation(kind: str, **config: Any) -> dict[str, Any]:
    """Return a model of one of `keras.ops`."""
    made = model(start("x"), start("y", 3), layer(kind, "l0", "x", "y", **config))
    made["config"]["layers"][2]["module"] = "keras.src.ops.numpy"
    made["config"]["input_layers"] = [["x", 0, 0], ["y", 0, 0]]
    return made


LONG = {"class_name": "Dense", "config": {"units": 4}}
CASES: dict[str, tuple[Any, str]] = {
    "no JSON": (b"{", "is no JSON"),
    "no text": (b"\xff\xfe\x00", "is no JSON"),
    "a number": (b"1", "is no model of Keras"),
    "a list": (b"[]", "is no model of Keras"),
    "digits": (b'{"class_name": ' + b"9" * 5000 + b"}", "is no JSON"),
    "nested": (b'{"class_name": ' + b"[" * 100_000, "nested too deep"),
    "nothing": ({"class_name": "Functional"}, "a model without layers"),
    "no layers": ({"class_name": "Sequential", "config": {"layers": []}}, "without layers"),
    "own class": ({"class_name": "Mine", "config": {}}, "holds a `Mine`, a class of one's own"),
    "models": (deep(40), "more than 20 models in each other"),
    "a layer that is a number": (
        {"class_name": "Sequential", "config": {"layers": [3]}}, "a layer without a class",
    ),
    "a name that is a list": (
        {"class_name": "Sequential", "config": {"layers": [{**LONG, "name": [1]}]}},
        "a layer without a name",
    ),
    "a long name": (
        {"class_name": "Sequential", "config": {"layers": [{**LONG, "name": "n" * 9999}]}},
        "too long to read",
    ),
    "no shape": (
        {"class_name": "Sequential", "config": {"layers": [LONG]}}, "doesn't say the shape",
    ),
    "two of a name": (model(start("x"), start("x")), "has two layers `x`"),
    "circle": (circle(), "goes in a circle: `a` needs what is made of it"),
    "itself": (model(start("x"), layer("ReLU", "a", "a")), "goes in a circle"),
    "nothing makes it": (model(start("x"), layer("ReLU", "a", "b")), "reads what `b` gives"),
    "no outputs": (
        changed(lambda m: m["config"].update(output_layers=[])), "without inputs or outputs",
    ),
    "outputs that are a number": (
        changed(lambda m: m["config"].update(output_layers=3)), "nothing that can be read",
    ),
    "input that is none": (
        changed(lambda m: m["config"].update(input_layers=["l0", 0, 0])), "takes `l0` for an input",
    ),
    "an output of another call": (
        changed(lambda m: m["config"].update(output_layers=["l0", 7, 0])), "reads what `l0` gives",
    ),
    "a second output": (
        changed(lambda m: m["config"].update(output_layers=["l0", 0, 7])), "reads output 7 of `l0`",
    ),
    "own and Lambda": (own(), "2 times: `Strange`, a class of one's own"),
    "Lambda": (own(), "`Lambda`, whose code would have to be run"),
    "a name that is taken": (masked(), "`Conv2D`, a class of one's own that is called like one"),
    "filters": (conv(filters=0), "has 0 for `filters`, and not a whole number of at least 1"),
    "filters of text": (conv(filters="4"), "has '4' for `filters`"),
    "filters that are true": (conv(filters=True), "has True for `filters`"),
    "many filters": (conv(filters=10**12), "for `filters`"),
    "no filters": (net(("Conv2D", {"kernel_size": 3})), "is without its `filters`"),
    "kernel": (conv(kernel_size=[3]), "for `kernel_size`, and not 2 whole numbers"),
    "a large kernel": (conv(kernel_size=[9, 9]), "can't be computed at layer `l0`"),
    "a huge kernel": (conv(kernel_size=[2**30, 2**30], padding="same"), "net.json"),
    "much": (conv(filters=2**30, padding="same", kernel_size=1), "more than"),
    "strides": (conv(strides=[0, 1]), "for `strides`"),
    "groups": (conv(groups=2), "has 2 groups, which don't divide its channels"),
    "padding": (conv(padding="causal"), "for `padding`, and not one of valid, same"),
    "an odd setting": (conv(newest="yes"), "its setting `newest`"),
    "an odd activation": (conv(activation="mine"), "the activation 'mine'"),
    "an activation that is a number": (conv(activation=4), "an activation of one's own"),
    "an activation that is a layer": (
        conv(activation={"class_name": "Dense", "config": {"units": -1}}), "for `units`",
    ),
    "quantized": (conv(dtype={"config": {"name": "int8", "source_name": "float32"}}), "quantized"),
    "a shape that isn't so": (said([None, 9, 9, 3]), "says that what `x` gives is 9x9x3"),
    "a shape of fewer axes": (said([None, 8, 8]), "and its layers make it 8x8x3"),
    "a huge input": (inputs([None, 10**6, 10**6, 10**3]), "too many numbers"),
    "a negative input": (inputs([None, -8, 8, 3]), "doesn't say the shape"),
    "an input of text": (inputs("8x8x3"), "doesn't say the shape"),
    "no batch": (inputs([None]), "takes a single number"),
    "open channels": (inputs([None, 8, 8, None]), "leaves the sizes of its input `x` open"),
    "axes": (net(("Conv1D", {"filters": 2, "kernel_size": 3})), "takes 3 axes with the batch"),
    "rate": (net(("Dropout", {"rate": 3})), "for `rate`, and not a number from 0 to 1"),
    "rate that is no number": (net(("Dropout", {"rate": float("nan")})), "for `rate`"),
    "sizes": (net(("Reshape", {"target_shape": [7, 7]})), "makes [7, 7] of 192 numbers"),
    "two open sizes": (net(("Reshape", {"target_shape": [-1, -1]})), "for `target_shape`"),
    "dims": (net(("Permute", {"dims": [1, 1, 2]})), "for `dims`"),
    "axis": (net(("BatchNormalization", {"axis": 7})), "for `axis`, and not an axis of 4"),
    "batch axis": (net(("Softmax", {"axis": 0})), "an axis besides the batch"),
    "cropped": (net(("Cropping2D", {"cropping": 4})), "leaves nothing of an axis"),
    "one of a sum": (net(("Add", {})), "is called on fewer than two things"),
    "a sum of other sizes": (
        model(
            start("x"), start("y", 7, 7, 3), layer("Add", "sum", "x", "y"),
            inputs=[["x", 0, 0], ["y", 0, 0]],
        ),
        "can't be computed at layer `sum`",
    ),
    "masks": (
        model(start("x", 7, dtype="int32"),
              layer("Embedding", "e", "x", input_dim=4, output_dim=2, mask_zero=True)),
        "`mask_zero`",
    ),
    "reset": (
        model(start("x", 7, 4), layer("GRU", "g", "x", units=3, reset_after=False)),
        "`reset_after`",
    ),
    "a state": (
        model(start("x", 7, 4), layer("LSTM", "g", "x", units=3, return_state=True)),
        "`return_state`",
    ),
    "odd names": (
        model(start("x"), layer("Strange\x1b[31m", "a\nb", "x")), "Strange",
    ),
    "training in use": (called(training=True), "a call with `training=True`"),
    "a mask in a call": (called(mask=[True]), "a call with `mask`"),
    "time first": (
        model(start("x", 7, 4), layer("LSTM", "g", "x", units=3, time_major=True)),
        "its setting `time_major`",
    ),
    "parts of a batch": (
        net(("BatchNormalization", {"virtual_batch_size": 2})), "its setting `virtual_batch_size`",
    ),
    "weights besides": (net(("Dense", {"units": 4, "lora_rank": 2})), "its setting `lora_rank`"),
    "an operation": (operation("Reshape", newshape=[-1]), "`Reshape` of `keras.ops`, which is"),
    "an operation over axes": (operation("Average", axis=1), "`Average` of `keras.ops`, which is"),
    "fewer axes of an operation": (operation("Multiply"), "of which one has fewer axes"),
    "the same output": (
        model(start("x"), layer("ReLU", "a", "x"), outputs=[["a", 0, 0], ["a", 0, 0]]),
        "gives `a` twice as an output",
    ),
    "an output twice": (
        model(start("x"), layer("ReLU", "a", "x"), layer("Dropout", "d", "a", rate=0.5),
              outputs=[["a", 0, 0], ["d", 0, 0]]),
        "gives `a` and `d` as outputs, which are the same but in training",
    ),
    "an input for nothing": (
        model(start("x"), start("y"), layer("ReLU", "a", "x"), inputs=[["x", 0, 0], ["y", 0, 0]]),
        "takes an input `y` that nothing uses",
    ),
    "many layers": (
        {"class_name": "Sequential", "config": {"layers": [LONG] * 20_001}}, "more than 20,000",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_bad_configs_are_a_sentence(case: str, command: Command, tmp_path: Path) -> None:
    made, words = CASES[case]
    saved(made, tmp_path)

    result = command("import", "net.json", "-o", "net.arch")

    assert result.status == 1, result
    assert words in result.error
    assert len(result.error) < 2000
    assert "\x1b" not in result.error
    assert not (tmp_path / "net.arch").exists()


def zipped(method: int = zipfile.ZIP_DEFLATED, **files: bytes) -> bytes:
    """Return a zip; `__` stands for a dot."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", method) as made:
        for name, data in files.items():
            made.writestr(name.replace("__", "."), data)
    return held.getvalue()


def bomb() -> bytes:
    return zipped(config__json=b" " * (2**25 + 2**20))


def lying() -> bytes:
    """Return a zip that says that its list of files is large."""
    data = bytearray(zipped(config__json=b"{}") + b"\0" * 2**23)
    end = bytearray(zipped(config__json=b"{}")[-22:])
    end[12:16] = struct.pack("<I", 2**23)
    end[16:20] = struct.pack("<I", 8)
    return bytes(data) + bytes(end)


ARCHIVES: dict[str, tuple[bytes, str]] = {
    "no zip": (b"PK", "is no `.keras` file"),
    "empty": (b"", "is no `.keras` file"),
    "no config": (zipped(other__json=b"{}"), "holds no `config.json`"),
    "bomb": (bomb(), "a config of more than 33,554,432 bytes"),
    "a list that is too long": (lying(), "is no `.keras` file"),
    "cut off": (zipped(config__json=b"{}" * 99)[:-30], "is no `.keras` file"),
    "a config that is none": (zipped(config__json=b"[1]"), "is no model of Keras"),
}


@pytest.mark.parametrize("case", ARCHIVES)
def test_bad_archives_are_a_sentence(case: str, command: Command, tmp_path: Path) -> None:
    data, words = ARCHIVES[case]
    saved(data, tmp_path, "net.keras")

    result = command("import", "net.keras", "-o", "net.arch")

    assert result.status == 1, result
    assert words in result.error
    assert not (tmp_path / "net.arch").exists()


def test_a_large_file_is_not_read_whole(command: Command, tmp_path: Path) -> None:
    with open(tmp_path / "net.json", "wb") as file:
        file.truncate(2**30)  # a hole on the disk

    result = command("import", "net.json", "-o", "net.arch")

    assert result.status == 1
    assert "a config of more than 33,554,432 bytes" in result.error


# --- weights --------------------------------------------------------------------------------------


def stored(change: Callable[[Any], object]) -> bytes:
    """Return weights of a dense layer as Keras stores them, in which something is changed."""
    h5py = pytest.importorskip("h5py")
    held = io.BytesIO()
    with h5py.File(held, "w") as file:
        group = file.create_group("layers/dense/vars")
        group["0"] = np.ones((4, 3), "float32")
        group["1"] = np.zeros(3, "float32")
        change(group)
    return held.getvalue()


def put(group: Any, value: Any) -> None:
    del group["0"]
    group["0"] = value


def linked(group: Any) -> None:
    import h5py

    del group["0"]
    group["0"] = h5py.ExternalLink("/etc/hostname", "/x")


def outside(group: Any) -> None:
    del group["0"]
    group.create_dataset("0", (4, 3), "float32", external=[("other.bin", 0, 48)])


def virtual(group: Any) -> None:
    import h5py

    del group["0"]
    layout = h5py.VirtualLayout((4, 3), "float32")
    layout[:] = h5py.VirtualSource("other.h5", "x", (4, 3))
    group.create_virtual_dataset("0", layout)


def test_a_variance_below_0_is_a_sentence(command: Command, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    held = io.BytesIO()
    with h5py.File(held, "w") as file:
        for number, one in enumerate((1, 1, 1, -1)):
            file[f"layers/batch_normalization/vars/{number}"] = np.full(3, one, "f4")
    config = json.dumps(net(("BatchNormalization", {}))).encode()
    files = {"config__json": config, "model__weights__h5": held.getvalue()}
    saved(zipped(**files), tmp_path, "net.keras")

    result = command("import", "net.keras", "-o", "net.arch")

    assert result.status == 1, result
    assert "variances below 0 in its weights `layers/batch_normalization/vars`" in result.error


def test_a_model_saved_as_hdf5_is_a_sentence(command: Command, tmp_path: Path) -> None:
    saved(b"\x89HDF", tmp_path, "old.h5")

    result = command("import", "old.h5", "-o", "net.arch")

    assert result.status == 1, result
    assert "`old.h5` is a model saved as HDF5, which is not read" in result.error
    assert "model.save('model.keras')" in result.error


def test_a_size_of_0_is_a_sentence(command: Command, tmp_path: Path) -> None:
    made = model(start("x", None, None, 3), layer("ReLU", "a", "x"))
    saved(made, tmp_path)

    result = command("import", "net.json", "--input", "3x0x8", "-o", "net.arch")

    assert result.status != 0, result
    assert "0" in result.error
    assert "too many" not in result.error


WEIGHTS: dict[str, tuple[Callable[[Any], object], str]] = {
    "missing": (lambda group: group.__delitem__("0"), "holds no weights `layers/dense/vars/0`"),
    "other sizes": (lambda group: put(group, np.ones((3, 4), "f4")), "of 3x4, where the layers"),
    "text": (lambda group: put(group, np.full((4, 3), b"x")), "that are no numbers"),
    "NaN": (lambda group: put(group, np.full((4, 3), np.nan, "f4")), "not all finite"),
    "a group": (
        lambda group: (group.__delitem__("0"), group.create_group("0")),
        "holds no weights",
    ),
    "a link to elsewhere": (linked, "holds no weights"),
    "numbers in another file": (outside, "holds no weights"),
    "a view of another file": (virtual, "holds no weights"),
}


@pytest.mark.parametrize("case", WEIGHTS)
def test_bad_weights_are_a_sentence(case: str, command: Command, tmp_path: Path) -> None:
    change, words = WEIGHTS[case]
    config = json.dumps(model(start("x", 4), layer("Dense", "fc", "x", units=3))).encode()
    files = {"config__json": config, "model__weights__h5": stored(change)}
    saved(zipped(**files), tmp_path, "net.keras")

    result = command("import", "net.keras", "-o", "net.arch", "--weights-to", "w.safetensors")

    assert result.status == 1, result
    assert words in result.error
    assert not (tmp_path / "net.arch").exists()
    assert not (tmp_path / "w.safetensors").exists()


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"no HDF5", "is no HDF5 file of weights"), (b"\0" * (2**26 + 2**20), "more than 67,109,824")],
    ids=["another file", "bomb"],
)
def test_what_are_no_weights_is_a_sentence(
    data: bytes, words: str, command: Command, tmp_path: Path
) -> None:
    pytest.importorskip("h5py")
    config = json.dumps(model(start("x", 4), layer("Dense", "fc", "x", units=3))).encode()
    saved(zipped(config__json=config, model__weights__h5=data), tmp_path, "net.keras")

    result = command("import", "net.keras", "-o", "net.arch")

    assert result.status == 1
    assert words in result.error


def test_weights_need_h5py(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from archdsl.importing.keras import weights

    monkeypatch.setattr(weights, "find_spec", lambda name: None)
    saved(model(start("x", 4), layer("Dense", "fc", "x", units=3)), tmp_path)
    (tmp_path / "w.weights.h5").write_bytes(b"")

    result = command("import", "net.json", "--weights", "w.weights.h5", "-o", "net.arch")

    assert result.status == 1
    assert "pip install 'archdsl[keras]'" in result.error


def test_options_of_modules_are_refused(command: Command, tmp_path: Path) -> None:
    saved(conv(), tmp_path)

    result = command("import", "net.json", "--arg", "width=4")

    assert result.status == 2
    assert "--arg is of modules" in result.error


def test_odd_names_become_labels(command: Command, tmp_path: Path) -> None:
    """A name may be anything; the text has it in quotes, or another."""
    names = ["in", "block", 'a"b', "ä b", "forward", "{i}", "weight", "..", "1", "None"]
    held, before = [start("x")], "x"
    for name in names:
        held.append(layer("Conv2D", name, before, filters=3, kernel_size=1))
        before = name
    saved(model(*held), tmp_path)

    result = command("import", "net.json", "-o", "net.arch")

    assert result.status == 0, result
    assert command("check", "net.arch").status == 0
    assert command("count", "net.arch", "--depth", "0").status == 0


def test_a_deep_model_takes_no_stack(tmp_path: Path, command: Command) -> None:
    """Layers in a row are gone through in a loop, and not in each other."""
    made = net(*[("ReLU", {})] * 200)
    saved(made, tmp_path)

    assert command("import", "net.json", "-o", "net.arch").status == 0
