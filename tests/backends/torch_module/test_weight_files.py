"""Files of weights from anybody: read within bounds, without waiting or running them."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import re
import socket
import struct
import subprocess
import sys
import threading
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import archdsl
from archdsl.backends.export import save_weights
from archdsl.backends.torch_module import fitting_weights, load_weights, torch_module
from archdsl.backends.torch_module.errors import TorchError
from archdsl.backends.torch_module.weight_files import BASE
from archdsl.cli import run
from archdsl.pipeline import Spec

torch = pytest.importorskip("torch")

State = dict[str, Any]
LEGACY = {"_use_new_zipfile_serialization": False}
MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."  # before what torch pickled


@pytest.fixture
def module(spec_file: Path) -> Any:
    return torch_module(Spec(str(spec_file)).graph())


@pytest.fixture
def state(module: Any) -> State:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def refusal(module: Any, weights: Any, **options: Any) -> str:
    """Return the one error, in lines; the module must be as it was."""
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    with pytest.raises(TorchError) as caught:
        load_weights(module, weights, **options)
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert len(caught.value.diagnostics) == 1
    return str(caught.value)


# What is no file of weights


def test_what_is_no_regular_file_is_not_waited_for(module: Any, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pt")
    (tmp_path / "link.safetensors").symlink_to("pipe.pt")
    (tmp_path / "ring.pt").symlink_to("ring.pt")
    (tmp_path / "file.pt").write_bytes(b"x")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket.pt"))
        for path, said in {
            tmp_path / "pipe.pt": "is no regular file",
            tmp_path / "link.safetensors": "is no regular file",
            tmp_path / "socket.pt": "is no regular file",
            "/dev/zero": "is no regular file",
            "/dev/null": "is no regular file",
            tmp_path: "is a folder\n  = help: name a file in it",
            tmp_path / "ring.pt": "is a link that leads in a circle",
            f"{tmp_path}/file.pt/": "does not exist: a part of its path is a file",
            tmp_path / "nothing.pt": "does not exist",
            tmp_path / ("x" * 300): "has too long a name",
            "": "an empty path names no file",
            "a\0b": "can't be a file name",
        }.items():
            assert said in refusal(module, path)


@pytest.mark.parametrize("path", ["/proc/kmsg", "/proc/self/mem", "/proc/self/maps"])
def test_files_of_the_system(path: str, module: Any) -> None:
    if not os.access(path, os.R_OK):
        pytest.skip(f"{path} is not there, or not for us")
    refusal(module, path)


def test_other_files_are_told_what_they_are(module: Any, tmp_path: Path) -> None:
    import numpy

    numpy.savez(tmp_path / "arrays.npz", a=numpy.ones(3))
    numpy.save(tmp_path / "array.npy", numpy.ones(3))
    with zipfile.ZipFile(tmp_path / "program.pt", "w") as archive:
        for name in ("data.pkl", "constants.pkl", "code/__torch__.py"):
            archive.writestr(f"program/{name}", b"\x80\x02}.")
    (tmp_path / "pointer.safetensors").write_bytes(
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    )
    (tmp_path / "page.pt").write_bytes(b"<!DOCTYPE html><title>Sign in</title>")
    (tmp_path / "keras.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    torch.save([1, 2], tmp_path / "list.pt")
    torch.save(torch.ones(3), tmp_path / "tensor.pt")
    torch.save({"epoch": 3, "lr": 0.1}, tmp_path / "training.pt")
    torch.save({3: torch.ones(3)}, tmp_path / "numbers.pt")
    for name, said in {
        "arrays.npz": "is a zip file, and none that torch.save wrote",
        "array.npy": "is neither safetensors nor a file of torch.save",
        "program.pt": "is a program of TorchScript",
        "pointer.safetensors": "is a pointer of Git LFS\n  = help: fetch the file itself",
        "page.pt": "is a page of the web",
        "keras.h5": "is a file of HDF5",
        "list.pt": "holds no state_dict: it is a `list`",
        "tensor.pt": "holds no state_dict: it is a `Tensor`",
        "training.pt": "holds no state_dict: `epoch` is an `int`, `lr` is a `float`",
        "numbers.pt": "has a name that is no text: 3",
    }.items():
        assert said in refusal(module, tmp_path / name)


def test_safetensors_are_known_by_what_is_in_them(module: Any, tmp_path: Path) -> None:
    save_weights(module, tmp_path / "weights.safetensors")
    os.rename(tmp_path / "weights.safetensors", tmp_path / "weights.bin")

    assert str(load_weights(module, tmp_path / "weights.bin")) == "9 matched"


def test_what_torch_saved_has_another_name(module: Any, state: State, tmp_path: Path) -> None:
    torch.save(state, tmp_path / "weights.safetensors")

    assert "if torch.save wrote it, call it .pt" in refusal(
        module, tmp_path / "weights.safetensors"
    )


def test_what_is_no_state_dict_is_told_so(module: Any, state: State) -> None:
    arrays = {name: tensor.numpy() for name, tensor in state.items()}
    for weights, said in {
        "module": (module, "what was given holds no state_dict: it is a `Net`"),
        "list": ([1, 2], "what was given holds no state_dict: it is a `list`"),
        "nothing": (None, "what was given holds no state_dict: it is a `NoneType`"),
        "bytes": (b"a.pt", "what was given holds no state_dict: it is a `bytes`"),
        "arrays": (arrays, "the state_dict holds no state_dict: `features.0.weight` is a `ndarr"),
    }.values():
        text = refusal(module, weights)
        assert said in text
        assert "tensors by their names, as `module.state_dict()` gives it" in text
    text = refusal(module, {"model": state, "ema": dict(state)})
    assert "holds several state_dicts: `model`, `ema`\n  = help: give one of them" in text


def test_a_matrix_that_is_turned_is_told_so(module: Any, state: State) -> None:
    turned = {**state, "fc.weight": state["fc.weight"].t()}
    assert "144 in the network, 144 x 5 stored, transposed" in refusal(module, turned)


@pytest.mark.parametrize(("dtype", "most"), [("float32", 1e39), ("float16", 1e5)])
def test_numbers_that_would_become_infinite_are_refused(
    dtype: str, most: float, spec_file: Path, state: State
) -> None:
    module = archdsl.load(spec_file).compile(dtype=dtype)
    given = {name: tensor.double() for name, tensor in state.items()}
    given["fc.bias"] = torch.tensor([most, 1.0, 2.0, float("inf"), float("nan")]).double()
    given["fc.bias"][0] = most
    said = f"fc.bias holds more than fits into the {dtype} of the network"
    assert said in refusal(module, given)

    given["fc.bias"][0] = 3.0
    load_weights(module, given)
    assert module.fc.bias.tolist()[:4] == [3.0, 1.0, 2.0, float("inf")]


@pytest.mark.parametrize("form", ["safetensors", "pt", "legacy"])
def test_weights_stay_what_they_were_when_they_were_read(
    form: str, spec_file: Path, tmp_path: Path
) -> None:
    """Files are mapped, and may be written over: in place, or cut off, which would be a crash."""
    path = tmp_path / f"weights.{form}"
    network = archdsl.load(spec_file)
    module = network.compile()
    if form == "safetensors":
        save_weights(module, path)
    else:
        torch.save(module.state_dict(), path, **(LEGACY if form == "legacy" else {}))
    network.load_weights(path)
    with open(path, "r+b") as file:
        file.write(bytes(path.stat().st_size))
    os.truncate(path, 10)

    for name, tensor in network.compile().state_dict().items():
        assert torch.equal(tensor, module.state_dict()[name])


# Files that lie about what they hold


def safetensors(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(shape: list[int], begin: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def zipped(pickled: bytes, compression: int = zipfile.ZIP_STORED, **entries: bytes) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", compression=compression) as archive:
        archive.writestr("a/data.pkl", pickled)
        archive.writestr("a/version", "3\n")
        for name, data in entries.items():
            archive.writestr(f"a/data/{name}", data)
    return held.getvalue()


def overlapping() -> bytes:
    """Return a zip file with a hundred entries that are all the same megabyte."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("a/data.pkl", b"\x80\x02}.")
        archive.writestr("a/data/0", bytes(2**20))
        one = archive.filelist[-1]
        for number in range(1, 100):
            other = zipfile.ZipInfo(f"a/data/{number}")
            other.header_offset, other.CRC = one.header_offset, one.CRC
            other.file_size = other.compress_size = one.file_size
            archive.filelist.append(other)
    return held.getvalue()


def lying(numel: int) -> bytes:
    """Return what torch saves of four numbers, with another number of them in the pickle."""
    held, changed = io.BytesIO(), io.BytesIO()
    torch.save({"w": torch.ones(4)}, held)
    with zipfile.ZipFile(held) as given, zipfile.ZipFile(changed, "w") as archive:
        for info in given.infolist():
            data = given.read(info.filename)
            if info.filename.endswith("data.pkl"):
                number = b"J" + struct.pack("<i", numel)
                assert data.count(b"K\x04") == 2, "the size of the storage, and of the tensor"
                data = data.replace(b"K\x04", number)
            archive.writestr(info.filename, data)
    return changed.getvalue()


DICTS = b"\x80\x02" + b"}" * (BASE + 2**20) + b"."  # each byte makes an object of 64
NUMBERS = b'"%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'
LIES: dict[str, tuple[Callable[[], bytes], str]] = {
    "header longer than the file": (lambda: struct.pack("<Q", 2**40) + b"{}", "neither"),
    "header longer than needed": (
        lambda: safetensors(b"{" + b",".join(NUMBERS % n for n in range(90_000)) + b"}"),
        "bytes to say what it holds",
    ),
    "tensors beyond the file": (lambda: safetensors({"w": entry([4], 0, 16)}, b"1234"), "damaged"),
    "tensors over each other": (
        lambda: safetensors({"v": entry([4], 0, 16), "w": entry([4], 0, 16)}, bytes(16)),
        "damaged",
    ),
    "more than any machine has": (lambda: safetensors({"w": entry([2**62, 4], 0, 0)}), "damaged"),
    "header that is deep": (lambda: safetensors(b"[" * 100_000), "neither"),
    "zip bomb": (lambda: zipped(bytes(2**28), zipfile.ZIP_DEFLATED), "is compressed"),
    "zip bomb of numbers": (
        lambda: zipped(b"\x80\x02}.", zipfile.ZIP_DEFLATED, **{"0": bytes(2**28)}),
        "is compressed",
    ),
    "zip entries over each other": (overlapping, "says that it holds more than there is in it"),
    "pickle of objects": (lambda: zipped(DICTS), "bytes to say what it holds"),
    "old pickle of objects": (lambda: MAGIC + DICTS, "bytes to say what it holds"),
    "more numbers than stored": (lambda: lying(2**30), "damaged"),
    "a few numbers more": (lambda: lying(1_000), "damaged"),
}


@pytest.mark.parametrize("name", LIES)
def test_what_lies_is_refused(name: str, module: Any, tmp_path: Path) -> None:
    content, said = LIES[name]
    path = tmp_path / "weights.pt"
    path.write_bytes(content())

    assert said in refusal(module, path)


def test_a_file_with_nothing_in_it_is_refused_at_once(module: Any, tmp_path: Path) -> None:
    """A terabyte that takes no place on the disk takes none in memory either."""
    for begins in (b"", b"PK\x03\x04", MAGIC, struct.pack("<Q", 2**40) + b"{"):
        path = tmp_path / "weights.pt"
        path.write_bytes(begins)
        os.truncate(path, 2**40)
        refusal(module, path)
        os.unlink(path)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux forgets a peak")
def test_refusals_take_little_memory(spec_file: Path, tmp_path: Path) -> None:
    """Less than 256 MiB beyond what the process had before, as of every refusal."""
    for number, (content, _) in enumerate(LIES.values()):
        (tmp_path / f"{number}.pt").write_bytes(content())
    (tmp_path / "work.py").write_text(
        f"""
import re, safetensors.torch, archdsl
from archdsl.backends.torch_module import load_weights

def memory(of):
    return int(re.search(of + r":\\s*(\\d+) kB", open("/proc/self/status").read())[1])

module = archdsl.load({str(spec_file)!r}).compile()
for number in range({len(LIES)}):
    open("/proc/self/clear_refs", "w").write("5")  # forget the peak so far
    before = memory("VmRSS")
    try:
        load_weights(module, f"{{number}}.pt")
    except archdsl.ArchError:
        print(memory("VmHWM") - before)
"""
    )
    done = subprocess.run(
        [sys.executable, "work.py"],
        cwd=tmp_path, capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip

    found = dict(zip(LIES, map(int, done.stdout.split()), strict=True))
    assert max(found.values()) < 256 * 2**10, found


# What mutants of real files do


def contents() -> dict[str, bytes]:
    state = OrderedDict(w=torch.linspace(0, 1, 12).view(3, 4), b=torch.ones(3))
    held: dict[str, bytes] = {}
    for name, saved, options in (
        ("zip", state, {}),
        ("wrapped", {"model": state, "epoch": 1}, {}),
        ("legacy", state, LEGACY),
    ):
        file = io.BytesIO()
        torch.save(saved, file, **options)
        held[name] = file.getvalue()
    held["safetensors"] = safetensors(
        {"w": entry([3, 4], 0, 48), "b": entry([3], 48, 60)}, bytes(60)
    )
    return held


@settings(
    derandomize=True, deadline=None, database=None, max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(form=st.sampled_from(["zip", "wrapped", "legacy", "safetensors"]), seed=st.integers(0))
def test_mutants_are_read_or_refused(form: str, seed: int, module: Any, tmp_path: Path) -> None:
    chance = random.Random(seed)
    data = bytearray(contents()[form])
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(data))
        other = chance.randrange(len(data))
        match chance.randrange(4):
            case 0:
                data[place] = chance.randrange(256)
            case 1:
                del data[place : place + chance.randint(1, 16)]
            case 2:
                data[place:place] = data[other : other + chance.randint(1, 64)]
            case 3:
                data = data[: place + 1]
    path = tmp_path / "weights.pt"
    path.write_bytes(data)

    refusal(module, path)  # nothing else leaves it, and nothing fits


# Tensors that can't be loaded as they are


def kinds() -> dict[str, tuple[Callable[[Any], Any], str]]:
    import warnings

    def quietly(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def made(tensor: Any) -> Any:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return make(tensor)

        return made

    class Own(torch.Tensor):  # type: ignore[misc]
        pass

    found = {
        "sparse": (lambda t: t.to_sparse(), "is not stored densely (sparse_coo)"),
        "rows": (lambda t: t.to_sparse_csr(), "is not stored densely (sparse_csr)"),
        "opaque": (lambda t: t.to_mkldnn(), "is not stored densely (_mkldnn)"),
        "quantized": (
            lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8), "is quantized (qint8)"
        ),
        "channels": (
            lambda t: torch.quantize_per_channel(
                t, torch.ones(len(t)), torch.zeros(len(t)), 0, torch.quint8
            ),
            "is quantized (quint8)",
        ),
        "complex": (lambda t: t.to(torch.complex64), "holds complex numbers (complex64)"),
        "conjugate": (lambda t: t.to(torch.complex128).conj(), "holds complex numbers"),
        "meta": (lambda t: t.to("meta"), "is on the meta device, which has no numbers"),
        "nested": (lambda t: torch.nested.nested_tensor([t, t[:1]]), "is a nested tensor"),
        "jagged": (
            lambda t: torch.nested.nested_tensor([t, t[:1]], layout=torch.jagged),
            "is a nested tensor",
        ),
        "float8": (lambda t: t.to(torch.float8_e4m3fn), "holds numbers of few bits (float8_e4m3"),
        "float8 wide": (lambda t: t.to(torch.float8_e5m2), "holds numbers of few bits (float8_e5"),
        "bits": (lambda t: t.view(torch.uint8).view(torch.bits8), "holds bits8, which are no numb"),
        "subclass": (lambda t: t.as_subclass(Own), "is an `Own`, and no plain tensor"),
        "lazy": (
            lambda t: torch.nn.UninitializedParameter(),
            "is an `UninitializedParameter`, and no plain tensor",
        ),
        "int": (lambda t: 3, "is an `int`, and no tensor"),
        "none": (lambda t: None, "is a `NoneType`, and no tensor"),
        "array": (lambda t: t.numpy(), "is a `ndarray`, and no tensor"),
    }  # fmt: skip
    return {name: (quietly(make), said) for name, (make, said) in found.items()}


KINDS = kinds()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", ["state_dict", "pt", "legacy"])
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_told_at_its_name(
    kind: str, form: str, module: Any, state: State, tmp_path: Path
) -> None:
    make, said = KINDS[kind]
    if (kind, form) == ("nested", "legacy"):
        pytest.skip(
            "torch reads other sizes each time: it saves memory that nothing was written to"
        )
    state["fc.weight"] = make(state["fc.weight"])
    given: Any = state
    if form != "state_dict":
        given = tmp_path / "weights.pt"
        try:
            torch.save(state, given, **(LEGACY if form == "legacy" else {}))
        except (NotImplementedError, pickle.PicklingError, AttributeError, RuntimeError):
            pytest.skip("torch can't save it")
    text = refusal(module, given)
    if "holds more than tensors" in text or "is damaged" in text:
        return  # torch itself reads no such thing with weights_only=True

    assert f"fc.weight {said}" in text
    assert "doesn't fit the network: 8 matched, 1 of another kind" in text
    assert "help: `--allow-mismatch fc.weight` leaves those out" in text
    report = load_weights(module, given, allow_mismatch=["fc.weight"])
    assert len(report.matched) == 8
    assert [*report.unusable] == ["fc.weight"]


@pytest.mark.parametrize("dtype", ["C64", "F8_E4M3", "F8_E5M2", "F8_E8M0"])
def test_kinds_in_safetensors(dtype: str, module: Any, tmp_path: Path) -> None:
    size = 8 if dtype == "C64" else 1
    path = tmp_path / "weights.safetensors"
    header = {"fc.bias": entry([5], 0, 5 * size, dtype)}
    path.write_bytes(safetensors(header, bytes(5 * size)))
    text = refusal(module, path, allow_mismatch=["features", "fc.weight"])

    assert re.search(r"fc.bias holds (complex numbers|numbers of few bits)|is damaged", text)


@pytest.mark.parametrize(
    "dtype",
    ["float64", "float16", "bfloat16", "int8", "int64", "uint8", "uint16", "uint64", "bool"],
)
def test_what_torch_takes_without_a_loss_is_taken(dtype: str, module: Any, state: State) -> None:
    state["fc.bias"] = torch.tensor([0, 1, 1, 0, 1]).to(getattr(torch, dtype))
    load_weights(module, state)

    assert module.fc.bias.tolist() == [0, 1, 1, 0, 1]


@pytest.mark.parametrize(
    ("stored", "loaded"),
    [
        (torch.tensor(7.0), 7),
        (torch.tensor(7.0, dtype=torch.float16), 7),
        (torch.tensor([7]), 7),
        (torch.tensor(True), 1),
        (torch.tensor(0.5), None),
        (torch.tensor(float("inf")), None),
        (torch.tensor(float("nan")), None),
        (torch.tensor(1e30), None),
        (torch.tensor(7 + 1j), None),
    ],
    ids=str,
)
def test_whole_numbers_stay_whole(
    stored: Any, loaded: int | None, module: Any, state: State
) -> None:
    """A state_dict all of which was made float16 has its counters in float16 too."""
    name = "features.1.num_batches_tracked"
    state[name] = stored
    if loaded is None:
        assert f"{name} holds " in refusal(module, state)
    else:
        load_weights(module, state)
        assert module.state_dict()[name] == loaded


# Checkpoints that training code wrote


def without_counters(state: State) -> State:
    return {name: tensor for name, tensor in state.items() if "num_batches" not in name}


@pytest.mark.parametrize("form", ["state_dict", "pt", "legacy", "safetensors"])
def test_counters_may_be_missing_as_in_torch(
    form: str, spec_file: Path, state: State, tmp_path: Path
) -> None:
    old: Any = without_counters(state)
    module = archdsl.load(spec_file).compile()
    module.load_state_dict(old, strict=True)
    given = old
    if form == "safetensors":
        from safetensors.torch import save_file

        save_file(old, given := tmp_path / "old.safetensors")
    elif form != "state_dict":
        torch.save(old, given := tmp_path / "old.pt", **(LEGACY if form == "legacy" else {}))
    network = archdsl.load(spec_file)
    report = network.load_weights(given)

    assert report.filled == ("features.1.num_batches_tracked",)
    assert str(report) == "8 matched, 1 not stored and not needed"
    assert all(
        torch.equal(tensor, module.state_dict()[name])
        for name, tensor in network.compile().state_dict().items()
    )


def test_what_torch_misses_is_missed(module: Any) -> None:
    """A state that says it is of a version with counters must have them."""
    state = module.state_dict()
    del state["features.1.num_batches_tracked"]
    with pytest.raises(RuntimeError, match="Missing key"):
        module.load_state_dict(state, strict=True)
    text = refusal(module, state)

    assert "missing: features.1.num_batches_tracked" in text
    assert "`--allow-mismatch features.1.num_batches_tracked` leaves those out" in text


def test_a_module_that_can_not_be_copied_needs_all_names(module: Any, state: State) -> None:
    module.lock = threading.Lock()

    assert "missing: features.1.num_batches_tracked" in refusal(module, without_counters(state))
    assert str(load_weights(module, state)) == "9 matched"


@pytest.mark.parametrize("keys", [[], ["state_dict"], ["model"], ["a", "b.c"], ["x", "y", "z"]])
def test_what_is_kept_under_keys(keys: list[str], module: Any, state: State) -> None:
    given: Any = state
    for key in reversed(keys):
        rest = {"epoch": 3, "optimizer": {"state": {0: {"step": torch.ones(1)}}, "lr": 0.1}}
        given = {key: given, **rest}

    assert load_weights(module, given).key == ".".join(keys)


def test_one_of_several_is_named(
    spec_file: Path, module: Any, state: State, tmp_path: Path
) -> None:
    ema = {name: torch.zeros_like(tensor) for name, tensor in state.items()}
    path = tmp_path / "best.pt"
    torch.save({"model": state, "ema": {"shadow": ema, "decay": 0.9}, "m.ema": ema}, path)
    text = refusal(module, path)

    assert "holds several state_dicts: `model`, `m.ema`" in text
    assert f"say which is meant: `--weights '{path}:model'`" in text
    assert load_weights(module, f"{path}:model").key == "model"
    for key in ("ema.shadow", "m.ema"):
        assert load_weights(module, f"{path}:{key}").key == key
        assert not module.fc.weight.any()
    for key, known in (("nix", "`model`, `ema`, `m.ema`"), ("ema.nix", "`shadow`, `decay`")):
        text = refusal(module, f"{path}:{key}")
        assert f"has no key `{key}`\n  = help: it has {known}" in text
    assert "is a `float`" in refusal(module, f"{path}:ema.decay")


def test_the_one_whose_names_fit_is_taken(module: Any, state: State) -> None:
    metrics = {"accuracy": torch.tensor(0.9)}
    module_names = {f"module.{name}": tensor for name, tensor in state.items()}

    assert load_weights(module, {"metrics": metrics, "net": state}).key == "net"
    given = {"metrics": metrics, "net": module_names}
    assert "several" in refusal(module, given)
    assert load_weights(module, given, rename={"module.*": "*"}).key == "net"


def test_tensors_beside_others_are_the_state_dict(module: Any, state: State) -> None:
    text = refusal(module, {**state, "epoch": 3, "extra": {"a": torch.ones(1)}})

    assert "surplus: epoch, extra" in text


def test_a_state_that_is_in_itself_many_times_is_gone_through_once(module: Any) -> None:
    inner: Any = {f"k{n}": 1 for n in range(1_000)}
    for _ in range(3):
        inner = {f"k{n}": inner for n in range(1_000)}

    assert "holds no state_dict" in refusal(module, inner)


def test_an_enemys_names_are_shown_as_escapes(module: Any, state: State) -> None:
    state["\x1b[31mred\n"] = torch.ones(1)
    text = refusal(module, state)

    assert "\x1b" not in text
    assert r"surplus: \x1b[31mred\n" in text


# What is said, and done about it


def test_help_names_what_differs_and_no_more(tmp_path: Path) -> None:
    stored = archdsl.load("inception_v3").compile(device="meta").state_dict()
    given = {name: torch.zeros(()).expand(tensor.shape) for name, tensor in stored.items()}
    network = archdsl.load("inception_v3", classes=10)
    with pytest.raises(archdsl.ArchError) as caught:
        network.compile(device="meta", weights=given)

    help = "help: `--allow-mismatch 'AuxLogits.fc.*' --allow-mismatch 'fc.*'` leaves those out"
    assert str(caught.value).endswith(help)


def test_a_rename_is_proposed_and_does_it(module: Any, state: State, tmp_path: Path) -> None:
    given = {f"module.{name}": tensor for name, tensor in state.items()}
    assert refusal(module, given).endswith("help: `--rename 'module.*=*'` makes all names fit")
    given["module.fc.weight"] = torch.ones(7, 144)
    text = refusal(module, given)
    assert text.endswith(
        "help: `--rename 'module.*=*'` makes 8 names fit, "
        "and `--allow-mismatch fc.weight` leaves out the rest"
    )

    report = load_weights(module, given, rename={"module.*": "*"}, allow_mismatch=["fc.weight"])
    assert len(report.matched) == 8
    assert report.differing == {"fc.weight": ((5, 144), (7, 144))}


def test_renames_of_a_network_stay_with_it(spec_file: Path, state: State) -> None:
    network = archdsl.load(spec_file)
    given = {f"a.{name}": tensor for name, tensor in state.items()}
    network.load_weights(given, rename={"a.*": "*"})
    for module in (network.compile(), network.compile(weights=given, rename={"a.*": "*"})):
        for name, tensor in module.state_dict().items():
            assert torch.equal(tensor, state[name])
    with pytest.raises(archdsl.ArchError, match="no stored weight is called `b"):
        network.load_weights(given, rename={"b.*": "*"})


def test_of_another_network_nothing_is_proposed(module: Any) -> None:
    text = refusal(module, {"x.kernel": torch.ones(3), "y": torch.ones(2)})

    assert text.endswith("help: no name fits: are these the weights of another network?")


def test_fitting_weights_leave_the_module_alone(module: Any, state: State) -> None:
    changed = {name: tensor + 1 for name, tensor in state.items()}
    fitting = fitting_weights(module, changed)

    assert torch.equal(module.fc.bias, state["fc.bias"])
    assert torch.equal(fitting.tensors["fc.bias"], changed["fc.bias"])


def test_the_command_renames(
    spec_file: Path, state: State, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"net": {f"module.model.{n}": t for n, t in state.items()}}, tmp_path / "w.pt")
    given = ["compile", str(spec_file), "--device", "cpu", "-o", str(tmp_path / "net.py")]
    weights = ["--weights", str(tmp_path / "w.pt")]
    assert run([*given, *weights]) == 1
    assert "help: `--rename 'module.model.*=*'` makes all names fit" in capsys.readouterr().err

    assert run([*given, *weights, "--rename", "module.*=*", "--rename", "model.*=*"]) == 0
    said = capsys.readouterr().out
    assert "weights     9 matched, under `net` in the file\n" in said
    assert said.endswith("net.py, which is the source alone: without weights\n")


def test_names_with_equal_signs_are_renamed(
    spec_file: Path, state: State, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is proposed can be given, and what can be taken in two ways is refused."""
    torch.save({f"x=1.{name}": tensor for name, tensor in state.items()}, tmp_path / "w.pt")
    given = ["compile", str(spec_file), "--device", "cpu", "-o", str(tmp_path / "net.py")]
    given += ["--weights", str(tmp_path / "w.pt")]

    assert run(given) == 1
    assert r"help: `--rename 'x\=1.*=*'` makes all names fit" in capsys.readouterr().err
    assert run([*given, "--rename", "x=1.*=*"]) == 2
    assert "`x=1.*=*` has several `=`: one that belongs to a name" in capsys.readouterr().err
    assert run([*given, "--rename", r"x\=1.*=*"]) == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--rename", "x", "--weights", "w"], "`x` is not OLD=NEW, as in 'module.*=*'"),
        (["--rename", "=x", "--weights", "w"], "`=x` is not OLD=NEW"),
        (["--rename", "x=", "--weights", "w"], "`x=` is not OLD=NEW"),
        (["--rename", "x=y", "--rename", "x=z", "--weights", "w"], "`x=z` is given twice"),
        (["--rename", "x=y"], "--rename is about weights: give them with --weights FILE"),
        (["--allow-mismatch", "x"], "--allow-mismatch is about weights"),
    ],
)
def test_wrong_usage(
    options: list[str], said: str, spec_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["compile", str(spec_file), *options]) == 2
    assert said in capsys.readouterr().err
