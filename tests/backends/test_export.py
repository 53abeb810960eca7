"""Files for other programs give what torch gives, for other batches and sizes too."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
from compiled import load

import archdsl
from archdsl.backends.torch_module import TorchError, load_weights, torch_module
from archdsl.cli import run
from archdsl.pipeline import Spec

torch = pytest.importorskip("torch")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

from archdsl.backends.export import (  # noqa: E402
    export_onnx,
    export_pt2,
    save_weights,
    writing,
)
from archdsl.backends.export.alone import with_sizes  # noqa: E402
from archdsl.backends.export.comparing import Refused, apart, compared  # noqa: E402
from archdsl.backends.export.trials import trials  # noqa: E402

TEXT = """
block Head(classes) { AdaptiveAvgPool2d(1); Flatten; fc: Linear(classes) }
network net { input image: [3, H, W]
  stem: { Conv2d(4, 3, padding = 1) -> BatchNorm2d -> ReLU }
  residual { conv: Conv2d(4, 3, padding = 1) }
  output mask { Conv2d(1, 1) }
  output aux when training { Conv2d(2, 1) }
  head: Head(5)
}"""


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    path = tmp_path / "net.arch"
    path.write_text(TEXT)
    return Spec(str(path))


def run_onnx(path: str | Path, **inputs: Any) -> list[Any]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    given = {name: tensor.numpy() for name, tensor in inputs.items()}
    return [torch.from_numpy(array) for array in session.run(None, given)]


def test_onnx(spec: Spec, tmp_path: Path) -> None:
    checked = spec.graph()
    module = torch_module(checked).eval()

    exported = export_onnx(module, checked, tmp_path / "model.onnx")

    assert exported.difference < 1e-5
    assert exported.outputs == ("output", "mask")
    session = onnxruntime.InferenceSession(exported.path, providers=["CPUExecutionProvider"])
    image = torch.randn(3, 3, 20, 33)
    found = session.run(None, {"image": image.numpy()})
    with torch.no_grad():
        expected = module(image)
    for ours, theirs in zip(expected, found, strict=True):
        assert torch.allclose(ours, torch.from_numpy(theirs), atol=1e-5)
    assert not list(tmp_path.glob("*.tmp"))


def test_pt2(spec: Spec, tmp_path: Path) -> None:
    checked = spec.graph()
    module = torch_module(checked).eval()

    exported = export_pt2(module, checked, tmp_path / "model.pt2")

    assert exported.difference == 0
    program = torch.export.load(exported.path).module()
    image = torch.randn(3, 3, 20, 33)
    with torch.no_grad():
        for ours, theirs in zip(module(image), program(image), strict=True):
            assert torch.allclose(ours, theirs, atol=1e-6)


def test_safetensors(spec: Spec, tmp_path: Path) -> None:
    module, other = torch_module(spec.graph()), torch_module(spec.graph())
    save_weights(module, tmp_path / "weights.safetensors")
    load_weights(other, tmp_path / "weights.safetensors")
    assert all(map(torch.equal, module.state_dict().values(), other.state_dict().values()))


@pytest.mark.parametrize(
    "write", [export_onnx, export_pt2, save_weights], ids=["onnx", "pt2", "st"]
)
def test_a_module_on_meta_has_nothing_to_write(write: Any, spec: Spec, tmp_path: Path) -> None:
    checked = spec.graph()
    module = torch_module(checked, device="meta")
    given = (module,) if write is save_weights else (module, checked)
    with pytest.raises(TorchError, match=r"E0609.* on the meta device it has no numbers"):
        write(*given, tmp_path / "file")
    assert not (tmp_path / "file").exists()


def test_onnx_of_what_onnxruntime_cannot_run(spec: Spec, tmp_path: Path) -> None:
    checked = spec.graph()
    module = torch_module(checked, dtype="bfloat16")
    with pytest.raises(TorchError, match=r"(?s)E0609.*bfloat16.*float32"):
        export_onnx(module, checked, tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_onnx_of_half_precision(spec: Spec, tmp_path: Path) -> None:
    checked = spec.graph()
    exported = export_onnx(torch_module(checked, dtype="float16"), checked, tmp_path / "half.onnx")
    assert exported.difference < 1e-2


@pytest.mark.parametrize("name", ["lenet5", "lenet5_rbf"])
def test_layers_that_torch_lacks_give_the_same_as_onnx(name: str, tmp_path: Path) -> None:
    spec = Path(__file__).parents[2] / "specs" / "lenet5.arch"
    checked = Spec(str(spec)).graph(name)
    exported = export_onnx(torch_module(checked), checked, tmp_path / "lenet5.onnx")
    assert exported.difference < 1e-5


# What was refused or, where files were compared at one size, wrong; with the least size it takes.
OPEN = [
    ("AdaptiveAvgPool2d(6)", 1),
    ('Conv2d(4, 3, stride = 2, padding = "same")', 1),
    ('Conv2d(4, 5, stride = 3, padding = "same")', 1),
    ('Conv2d(4, 1, stride = 2, padding = "same")', 1),
    ("Conv2d(4, 3, stride = 32, padding = 1)", 1),
    ("MaxPool2d(2, 2, padding = 1, ceil_mode = true)", 1),
    ("Interpolate([-(-in.height // 2), in.width])", 1),
    ("AvgPool2d(2, 3, ceil_mode = true)", 2),
    ('Interpolate(scale_factor = 0.5, mode = "bilinear", antialias = true)', 2),
]


@pytest.mark.parametrize("writer", [export_onnx, export_pt2], ids=["onnx", "pt2"])
@pytest.mark.parametrize("least", [1, 2])
def test_files_are_right_for_every_size(least: int, writer: Any, tmp_path: Path) -> None:
    bodies = [body for body, start in OPEN if start <= least]
    outputs = "\n".join(f"output y{i} {{ {body} }}" for i, body in enumerate(bodies))
    checked = load(tmp_path, f"network net {{ input image: [3, H, W]\n{outputs} }}")
    module = torch_module(checked).eval()

    exported = writer(module, checked, tmp_path / "net.pt2")

    lows = [min(shapes["image"][axis] for shapes in exported.compared) for axis in (2, 3)]
    for height, width in [(225, 225), (128, 96), (32, 67), (100, 37), (5, 4), (least, 2)]:
        if exported.left_out and (height < lows[0] or width < lows[1]):
            continue  # said to be refused, by files of a torch before 2.9
        image = torch.randn(1, 3, height, width)
        with torch.no_grad():
            expected = module(image)
        if writer is export_onnx:
            found = run_onnx(exported.path, image=image)
        else:
            found = torch.export.load(exported.path).module()(image)
        for body, ours, theirs in zip(bodies, expected, found, strict=True):
            assert ours.shape == theirs.shape, body
            assert torch.allclose(ours, theirs, atol=1e-5, rtol=1e-4), body


@pytest.mark.parametrize("writer", [export_onnx, export_pt2], ids=["onnx", "pt2"])
def test_pools_of_sequences_are_right_for_every_length(writer: Any, tmp_path: Path) -> None:
    bodies = [
        "MaxPool1d(3, 2)",
        "MaxPool1d(2, 2, padding = 1, ceil_mode = true)",
        "MaxPool1d(3, 2, dilation = 2, padding = 1, ceil_mode = true)",
        'MaxPool1d(3, 2, padding = "same")',
    ]
    outputs = "\n".join(f"output y{i} {{ {body} }}" for i, body in enumerate(bodies))
    checked = load(tmp_path, f"network net {{ input x: [3, L]\n{outputs} }}")
    module = torch_module(checked).eval()

    exported = writer(module, checked, tmp_path / "net.pt2")

    for length in (5, 6, 7, 8, 33):
        x = torch.randn(2, 3, length)
        if writer is export_onnx:
            found = run_onnx(exported.path, x=x)
        else:
            found = torch.export.load(exported.path).module()(x)
        for body, ours, theirs in zip(bodies, module(x), found, strict=True):
            assert ours.shape == theirs.shape, body
            assert torch.equal(ours, theirs), body


@pytest.mark.parametrize(
    ("body", "last"),
    [
        ("MaxPool2d(3, 2, ceil_mode = true)", (6, 4)),
        ("AvgPool2d(2, 2, padding = 1, ceil_mode = true, count_include_pad = false)", (7, 5)),
        ("AvgPool2d(2, divisor_override = 3)", (6, 4)),
        ("AdaptiveMaxPool2d([3, 2])", (3, 2)),
    ],
)
def test_onnx_of_fixed_sizes(body: str, last: tuple[int, int], tmp_path: Path) -> None:
    checked = load(tmp_path, f"network net {{ input image: [3, 12, 9]; {body} }}")
    module = torch_module(checked).eval()

    exported = export_onnx(module, checked, tmp_path / "net.onnx")

    image = torch.randn(5, 3, 12, 9)
    (found,) = run_onnx(exported.path, image=image)
    assert found.shape[2:] == last
    torch.testing.assert_close(found, module(image))
    assert [shapes["image"][0] for shapes in exported.compared] == [2, 1, 3]


@pytest.mark.parametrize(
    ("inputs", "axes", "output"),
    [
        ("input a: [3, H, W]; MaxPool2d(2)", [["N", 3, "H", "W"]], ["N", 3, "(H//2)", "(W//2)"]),
        ("input a: [3, N, 8]; ReLU", [["batch", 3, "N", 8]], ["batch", 3, "N", 8]),
        ("input a: [batch, N]; ReLU", [["batch2", "batch", "N"]], ["batch2", "batch", "N"]),
        (
            "input a: [3, T]; input b: [5, T]; from a, b -> Both",
            [["N", 3, "T"], ["N", 5, "T"]],
            ["N", 8, "T"],
        ),
    ],
)
def test_axes_are_called_as_in_the_spec(
    inputs: str, axes: list[Any], output: list[Any], tmp_path: Path
) -> None:
    import onnx

    both = "block Both { input a; input b; concat { branch { from a } branch { from b } } }"
    checked = load(tmp_path, f"{both}\nnetwork net {{ {inputs} }}")
    exported = export_onnx(torch_module(checked), checked, tmp_path / "net.onnx")

    def dims(value: Any) -> list[Any]:
        return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]

    graph = onnx.load(exported.path).graph
    assert list(map(dims, graph.input)) == axes
    assert dims(graph.output[0]) == output


@pytest.mark.parametrize(
    "body",
    [
        "input x: [T, 8]; MultiheadAttention(2)",
        "input x: [2, H, W]; CircularPad2d(1)",
        "input x: [C, 8]; PReLU(4)",  # so C is 4, and no open axis
    ],
)
def test_pt2_of_a_single_sample(body: str, tmp_path: Path) -> None:
    checked = load(tmp_path, f"network net {{ {body} }}")
    exported = export_pt2(torch_module(checked), checked, tmp_path / "net.pt2")

    assert 1 in {shapes["x"][0] for shapes in exported.compared}


def test_pt2_gives_what_the_module_gives(spec: Spec, tmp_path: Path) -> None:
    checked = load(tmp_path, "network net { input x: [4]; Linear(3) }")
    one = export_pt2(torch_module(checked), checked, tmp_path / "one.pt2")
    several = export_pt2(torch_module(spec.graph()), spec.graph(), tmp_path / "several.pt2")

    program = torch.export.load(one.path)
    assert isinstance(program.module()(torch.randn(5, 4)), torch.Tensor)
    assert list(program.state_dict) == ["0.weight", "0.bias"]
    found = torch.export.load(several.path).module()(torch.randn(5, 3, 8, 9))
    assert type(found) is tuple
    assert [tensor.shape for tensor in found] == [(5, 5), (5, 1, 8, 9)]


class Halved(archdsl.Layer):
    """The first half of a sequence, rounded up: as ONNX, which rounds towards zero, it is not."""

    def infer(self, inputs: Any) -> archdsl.Facts:
        (channels, length), text = inputs[0], "{0}[:, :, : -(-{0}.shape[2] // 2)]"
        return archdsl.Facts(
            output=(channels, (length + 1) // 2), torch=archdsl.TorchFunction(text)
        )


class Fixed(archdsl.Layer):
    """Something that torch.export doesn't follow: a number that is made of a size."""

    def infer(self, inputs: Any) -> archdsl.Facts:
        text = "{0} * float({0}.shape[2])"
        return archdsl.Facts(output=inputs[0][:], torch=archdsl.TorchFunction(text))


@pytest.mark.parametrize(
    ("kind", "writer", "said"),
    [
        (Halved, export_onnx, r"for an input of 1 x 4 x 65 its output is 1 x 4 x 32, and 1 x 4 x "
         r"33 in torch(?s:.*)write a \.pt2 file, which can hold it"),
        (Fixed, export_pt2, r"a size for fixed that is open(?s:.*)help: give it fixed sizes: "
         r"`--input x=4x64`"),
    ],
)  # fmt: skip
def test_the_layer_that_cant_be_written_is_named(
    kind: Any, writer: Any, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "net.arch"
    path.write_text("""
block Tail { Conv1d(4, 1); cut: Cut; ReLU }
network net { input x: [4, T]; Conv1d(4, 3, padding = 1); ReLU; tail: Tail; Conv1d(2, 1) }""")
    checked = Spec(str(path), layers={"Cut": kind}).graph()

    with pytest.raises(TorchError, match=rf"E0609.* of `tail\.cut` \({kind.__name__}\): .*{said}"):
        writer(torch_module(checked), checked, tmp_path / "net.pt2")
    assert not (tmp_path / "net.pt2").exists()


def test_sizes_that_torch_does_not_take_are_passed_over(tmp_path: Path) -> None:
    checked = load(tmp_path, "network net { input x: [2, H, W]; InstanceNorm2d }")
    exported = export_onnx(torch_module(checked), checked, tmp_path / "net.onnx")

    assert min(shapes["x"][2:] for shapes in exported.compared) == (2, 2)
    (left_out,) = exported.left_out
    assert (left_out.shapes, left_out.torch) == ({"x": (3, 2, 1, 1)}, True)


@pytest.mark.parametrize(("body", "least"), [("ReflectionPad1d(5)", 6), ("CircularPad1d(90)", 90)])
def test_sizes_that_layers_refuse_are_not_tried(body: str, least: int, tmp_path: Path) -> None:
    checked = load(tmp_path, f"network net {{ input x: [2, T]; Conv1d(2, 1); pad: {body} }}")
    exported = export_pt2(torch_module(checked), checked, tmp_path / "net.pt2")

    assert min(shapes["x"][2] for shapes in exported.compared) == least
    assert not exported.left_out


def test_names_of_the_exporter_give_way_to_those_of_the_spec(tmp_path: Path) -> None:
    """It calls what it makes after operators, and checks no name that it is given."""
    text = """
network net { input conv1d: [3, T]
  Conv1d(2, 1) -> ReLU
  output relu { Conv1d(4, 1) }
  output relu_1
  Conv1d(1, 1) -> ReLU
  output val_0
}"""
    checked = load(tmp_path, text)
    module = torch_module(checked).eval()
    exported = export_onnx(module, checked, tmp_path / "net.onnx")

    x = torch.randn(2, 3, 9)
    session = onnxruntime.InferenceSession(exported.path, providers=["CPUExecutionProvider"])
    found = session.run(["relu", "relu_1", "val_0"], {"conv1d": x.numpy()})
    expected = module(x)
    for name, theirs in zip(("relu", "relu_1", "val_0"), found, strict=True):
        torch.testing.assert_close(getattr(expected, name), torch.from_numpy(theirs))


@pytest.mark.parametrize(
    ("package", "ending"),
    [
        ("onnx", "onnx"),
        ("onnxruntime", "onnx"),
        ("onnxscript", "onnx"),
        ("safetensors", "safetensors"),
    ],
)
def test_packages_that_are_missing_are_named(
    package: str,
    ending: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(writing, "import_module", import_module_but(package))
    path = tmp_path / f"lenet5.{ending}"

    assert run(["compile", "lenet5", "-o", str(path), "--device", "cpu"]) == 1
    said = capsys.readouterr().err
    assert f"of this network: {package} is not installed" in said
    assert "= help: pip install 'archdsl[" in said
    assert not path.exists()


def import_module_but(missing: str) -> Any:
    def imported(name: str) -> Any:
        if name == missing:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
        return importlib.import_module(name)

    return imported


def test_onnx_has_one_value_of_a_name(tmp_path: Path) -> None:
    checked = load(tmp_path, "network net { input x: [3, T]; Conv1d(2, 1); output x }")
    with pytest.raises(TorchError, match=r"E0609.* an input and an output are called `x`(?s:.*)3"):
        export_onnx(torch_module(checked), checked, tmp_path / "net.onnx")
    exported = export_pt2(torch_module(checked), checked, tmp_path / "net.pt2")
    assert exported.outputs == ("x",)


def test_onnx_of_more_than_it_can_hold(
    spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = spec.graph()
    monkeypatch.setattr(writing, "MOST_BYTES", 1_024)
    monkeypatch.setattr(writing, "attempt", None)  # refused before work is done
    with pytest.raises(TorchError, match=r"E0609.*the weights take 1\.\d KiB(?s:.*)\.pt2"):
        export_onnx(torch_module(checked), checked, tmp_path / "model.onnx")


@pytest.mark.parametrize("label", ["class", 'a"b', "a\\b"])
@pytest.mark.parametrize(
    "place",
    [
        '"{0}": Conv1d(2, 1)',
        '"{0}": {{ a: Conv1d(2, 1) -> ReLU }}',
        'parameter "{0}": [3, 1] = 1.0; add {{ branch {{}} branch {{ from "{0}" }} }}',
    ],
)
def test_the_label_at_which_torch_fails_is_named(label: str, place: str, tmp_path: Path) -> None:
    quoted = label.replace("\\", "\\\\").replace('"', '\\"')
    text = f"network net {{ input x: [3, T]\n ReLU\n {place.format(quoted)}\n}}"
    checked = load(tmp_path, text)
    with pytest.raises(TorchError) as caught:
        export_pt2(torch_module(checked), checked, tmp_path / "net.pt2")
    (problem,) = caught.value.diagnostics
    assert problem.message().endswith(f"torch's exporter fails at the label `{label}`")
    assert problem.span
    assert problem.span.line == 3
    assert "no word of Python" in problem.hint


@pytest.mark.parametrize(
    ("body", "values"),
    [
        ("residual { Conv2d(3, 3, padding = 1) } -> MaxPool2d(2)", {"H": 8, "W": 6}),
        (
            "parameter p: [3, 1, 1] = 1.0\n mul { branch {} branch { from p } }",
            {"H": 5, "W": 1},
        ),
    ],
)
def test_a_network_of_fixed_sizes(body: str, values: dict[str, int], tmp_path: Path) -> None:
    path = tmp_path / "net.arch"
    path.write_text(f"network net {{ input image: [3, H, W]\n {body} }}")
    fixed = with_sizes(Spec(str(path)).graph(), values)
    given = Spec(str(path)).graph(shapes={"image": (3, values["H"], values["W"])})
    assert [node.shape for node in fixed.nodes.values()] == [
        node.shape for node in given.nodes.values()
    ]
    assert fixed.inputs == given.inputs


@pytest.mark.parametrize("writer", [export_onnx, export_pt2, save_weights])
def test_a_disk_without_room_is_said(writer: Any, spec: Spec, tmp_path: Path) -> None:
    """Torch ends the process where it writes a file itself and there is no room for it."""
    resource = pytest.importorskip("resource")
    checked = spec.graph()
    module = torch_module(checked)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = list(tmp_path.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            writer(*([module] if writer is save_weights else [module, checked]), tmp_path / "net")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == before


def test_kinds_of_numbers_are_compared(spec: Spec) -> None:
    checked = spec.graph()
    module = torch_module(checked).eval()

    def program(inputs: Any) -> Any:
        with torch.no_grad():
            return [tensor.double() for tensor in module(*inputs)]

    with pytest.raises(Refused, match=r"`output` holds float64, and float32 in torch"):
        compared(module, checked, program, trials(checked))


@pytest.mark.parametrize(
    ("body", "same"),
    [
        ("ReLU", lambda h, w: True),
        ("Reshape([3, in.width, in.height])", lambda h, w: True),
        ("PixelUnshuffle(32)", lambda h, w: h % 32 == w % 32 == 0),
        ("add { branch {} branch { Permute([0, 1, 3, 2]) } }", lambda h, w: h == w),
        ("Conv2d(3, 7) -> add { branch {} branch { MaxPool2d(2) -> Upsample(2) } }",
         lambda h, w: h % 2 == w % 2 == 0 and h > 6),
    ],
)  # fmt: skip
def test_trials_are_what_the_spec_allows(body: str, same: Any, tmp_path: Path) -> None:
    """The sizes that the exporter sees, odd ones, larger ones and the least, at other batches."""
    body = body.replace("Upsample(2)", "Upsample(scale_factor = 2)")
    checked = load(tmp_path, f"network net {{ input image: [3, H, W]; {body} }}")
    found = trials(checked)
    sizes = [(trial.sizes["H"], trial.sizes["W"]) for trial in found]
    first = sizes[0]

    assert all(same(*each) for each in sizes)
    assert len(set(sizes)) >= 4
    assert {trial.batch for trial in found} == {1, 2, 3}
    assert any(height > first[0] and width > first[1] for height, width in sizes)
    assert any(height < first[0] and width < first[1] for height, width in sizes)
    if same(2, 3):
        assert any(height % 2 and width % 2 for height, width in sizes)
        assert any(height < width for height, width in sizes)
        assert any(height > width for height, width in sizes)


def test_what_is_no_number_must_be_none_in_both() -> None:
    nan, inf = float("nan"), float("inf")
    assert apart(torch.tensor([1.0, nan, inf]), torch.tensor([1.0, nan, inf])) == 0
    assert apart(torch.tensor([2.0, nan]), torch.tensor([1.0, nan])) == 0.5
    for ours, theirs in (([nan], [1.0]), ([1.0], [nan]), ([inf], [-inf]), ([1.0], [inf])):
        assert apart(torch.tensor(ours), torch.tensor(theirs)) == inf
    assert apart(torch.empty(0), torch.empty(0)) == 0


REFUSED = {
    "behind a slice": ("input s: [4, L]; Slice(1, none, 3, dim = 2); Conv1d(4, 1)", 2),
    "behind padding": (
        "input s: [1, L]; Conv1d(8, 1); ConstantPad1d([2, 0], 0.0); Conv1d(8, 2, dilation = 2)",
        1,
    ),
    "where torch takes no fewer than 3": (
        "input s: [3, L]; ReflectionPad1d(2); Slice(0, none, 16, dim = 2); Conv1d(2, 1)",
        3,
    ),
    "of two free sizes": (
        "input s: [4, L]; input t: [4, M]\n"
        "output x { from s; Slice(1, none, 3, dim = 2); Conv1d(4, 1) }\n"
        "output y { from t; Conv1d(4, 1) }",
        2,
    ),
}


@pytest.mark.parametrize(("body", "least"), REFUSED.values(), ids=REFUSED)
def test_sizes_that_a_file_refuses_are_said(
    body: str, least: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each size from the least is taken by the file, and right, or is said to be refused."""
    checked = load(tmp_path, f"network net {{ {body} }}")
    module = torch_module(checked).eval()
    exported = export_pt2(module, checked, tmp_path / "net.pt2")
    program = torch.export.load(exported.path).module()
    smallest = min(shapes["s"][2] for shapes in exported.compared)

    for size in range(least, smallest + 20):
        inputs = [torch.randn(3, shape[0], size) for shape in checked.inputs.values()]
        with torch.no_grad():
            expected = module(*inputs)
            if size < smallest:
                with pytest.raises(AssertionError, match="Guard failed"):
                    program(*inputs)
                continue
            torch.testing.assert_close(tuple(program(*inputs)), tuple(expected))
    refused = {each.shapes["s"][2] for each in exported.left_out if not each.torch}
    assert refused == ({least} if smallest > least else set())
    assert all(each.torch or "Guard failed" in each.why for each in exported.left_out)

    assert run(["compile", str(tmp_path / "net.arch"), "-o", str(tmp_path / "cli.pt2")]) == 0
    said = capsys.readouterr().out
    assert ("the file refuses it: Guard failed" in said) == bool(refused)
    assert ("the smallest input compared that the file takes is 3x" in said) == bool(refused)


@pytest.mark.parametrize("writer", [export_onnx, export_pt2], ids=["onnx", "pt2"])
def test_factors_behind_what_resizes(writer: Any, tmp_path: Path) -> None:
    """The sizes that come in are formulas, of which the file is given a size by its axis."""
    before = ["MaxPool2d(2)", "Conv2d(3, 3, stride = 2)", "Upsample(scale_factor = 3)"]
    after = [
        'Interpolate(scale_factor = 0.5, mode = "area")',
        'Upsample(scale_factor = [1.5, 0.25], mode = "area")',
        'Interpolate(scale_factor = 0.5, mode = "bilinear", antialias = true)',
    ]
    bodies = [f"{first} -> {second}" for first in before for second in after]
    outputs = "\n".join(f"output y{i} {{ {body} }}" for i, body in enumerate(bodies))
    checked = load(tmp_path, f"network net {{ input image: [3, H, W]\n{outputs} }}")
    module = torch_module(checked).eval()

    exported = writer(module, checked, tmp_path / "net.pt2")

    for height, width in [(90, 71), (37, 100), (16, 17)]:
        image = torch.randn(1, 3, height, width)
        with torch.no_grad():
            expected = module(image)
        if writer is export_onnx:
            found = run_onnx(exported.path, image=image)
        else:
            found = torch.export.load(exported.path).module()(image)
        for body, ours, theirs in zip(bodies, expected, found, strict=True):
            assert ours.shape == theirs.shape, body
            assert torch.allclose(ours, theirs, atol=1e-5, rtol=1e-4), body
