"""Networks that compute in integers of 8 bits: calibrated by samples, compared on others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from running import Command

import archdsl
from archdsl.diagnostics import ArchError

torch = pytest.importorskip("torch")
onnxruntime = pytest.importorskip("onnxruntime")
np = pytest.importorskip("numpy")
Image = pytest.importorskip("PIL.Image")

from archdsl.backends.optimizing import MOST, optimized  # noqa: E402
from archdsl.backends.optimizing.calibration import calibration  # noqa: E402
from archdsl.backends.optimizing.engines import ENGINES, Place  # noqa: E402

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning"),  # of exporters
]

SPEC = """network net {
  input image: [3, 16, 16]
  stem: { conv: Conv2d(8, 3, padding = 1) -> bn: BatchNorm2d -> ReLU }
  residual { conv: Conv2d(8, 3, padding = 1) }
  concat { branch { AvgPool2d(2) } branch { less: Conv2d(4, 2, stride = 2) -> Sigmoid } }
  AdaptiveAvgPool2d(1) -> Flatten
  fc: Linear(5)
}
"""


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    Path("net.arch").write_text(SPEC)
    return archdsl.load("net.arch")


@pytest.fixture
def weights(network: Any) -> Any:
    torch.manual_seed(0)
    made = network.compile().state_dict()
    torch.save(made, "net.pt")
    return made


def pictures(folder: Path, number: int) -> None:
    folder.mkdir()
    numbers = np.random.default_rng(0)
    for each in range(number):
        pixels = numbers.integers(0, 256, (20, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{each}.png")


@pytest.mark.slow
def test_it_computes_in_integers_and_says_how_well(network: Any, weights: Any) -> None:
    images = torch.randn(24, 3, 16, 16)

    fast = network.optimize(weights=weights, calibrate=images.split(8))

    found = fast.report.tried[0]
    assert 0 < found.difference < 0.1  # of 8 bits, and not the float's own
    assert found.agreement[1] == 12
    assert "of 12 samples is the same (" in str(fast.report)
    plain = network.compile(weights=weights).eval()
    with torch.no_grad():
        expected = plain(images)
    assert (fast(images) - expected).abs().max() < 0.15 * expected.abs().max()
    assert len(fast.onnx) > 0
    session = onnxruntime.InferenceSession(fast.onnx, providers=["CPUExecutionProvider"])
    assert session.run(None, {"image": images.numpy()})[0].shape == (24, 5)
    assert fast.onnx.count(b"QuantizeLinear") > 10


@pytest.mark.slow
def test_the_command_writes_onnx(network: Any, weights: Any, command: Command) -> None:
    pictures(Path("photos"), 6)
    given = ["compile", "net.arch", "--weights", "net.pt", "--optimize"]

    said = command.printed(*given, "--calibrate", "photos", "--mean", "0.5", "--std", "0.25")

    *_, row, wrote = said.splitlines()
    assert row.startswith("onnxruntime one sample in ")
    assert " of 3 samples is the same (" in row
    assert wrote == "wrote       net_fast.onnx"
    assert b"QuantizeLinear" in Path("net_fast.onnx").read_bytes()
    assert not Path("net_fast.safetensors").exists()

    floats = command.printed(*given, "-o", "floats.onnx")
    assert floats.splitlines()[-1] == "wrote       floats.onnx"
    assert b"QuantizeLinear" not in Path("floats.onnx").read_bytes()
    session = onnxruntime.InferenceSession("floats.onnx", providers=["CPUExecutionProvider"])
    image = torch.randn(2, 3, 16, 16)
    expected = network.compile(weights=weights).eval()(image)
    (found,) = session.run(None, {"image": image.numpy()})
    assert torch.allclose(torch.from_numpy(found), expected, atol=1e-5)


def test_samples_to_compare_are_others_than_those_that_ranges_come_of(network: Any) -> None:
    batches = [torch.full((3, 3, 16, 16), float(number)) for number in range(400)]

    made = calibration(network.checked, iter(batches))

    assert len(made.ranging) == len(made.comparing) == MOST // 2
    assert all(each.shape == (1, 3, 16, 16) for sample in made.ranging for each in sample)
    numbers = [[float(sample[0][0, 0, 0, 0]) for sample in part] for part in made]
    assert numbers[0][:4] == [0, 0, 1, 2]
    assert numbers[1][:4] == [0, 1, 1, 2]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "two samples or more, one to compare with, and none are there"),
        ([torch.zeros(1, 3, 16, 16)], "and one is there"),
        ([(torch.zeros(2, 3, 16, 16), torch.zeros(2))], "a batch of 2 things, and `net` takes im"),
        ([torch.zeros(2, 3, 16, 15)], "of 2 x 3 x 16 x 15 for `image`, where batch x 3 x 16 x 16"),
        ([torch.zeros(3, 16, 16)], "of 3 x 16 x 16 for `image`"),
        ([3], "a batch of int"),
        ([[3]], "has a int for `image`"),
        ([torch.full((2, 3, 16, 16), float("nan"))], "NaN or infinity for `image`"),
        ([torch.zeros(2, 3, 16, 16, dtype=torch.uint8)], "has uint8 for `image`, where floats"),
        ([torch.zeros(0, 3, 16, 16)], "a tensor of 0 x 3 x 16 x 16 for `image`"),
        (5, "batches or a folder of images, and not int"),
    ],
    ids=range(11),
)
def test_samples_that_do_not_fit_are_refused(given: Any, said: str, network: Any) -> None:
    with pytest.raises(ArchError, match="`--calibrate`") as caught:
        network.optimize(calibrate=given)

    assert said in str(caught.value)


def test_indices_beyond_a_table_are_refused(network: Any, tmp_path: Path) -> None:
    Path("words.arch").write_text(
        "network words { input text: [4]; Embedding(10, 6); Linear(2); Flatten }"
    )
    words = archdsl.load("words.arch")

    with pytest.raises(ArchError, match="samples with which the network itself fails: index out"):
        words.optimize(calibrate=[torch.full((2, 4), 10)])
    with pytest.raises(ArchError, match="has float32 for `text`, where whole numbers are"):
        words.optimize(calibrate=[torch.zeros(2, 4)])


def test_one_tensor_is_a_batch_and_floats_of_any_kind_do(network: Any) -> None:
    made = calibration(network.checked, torch.randn(5, 3, 16, 16, dtype=torch.float64))

    assert [len(part) for part in made] == [3, 2]
    assert {each.dtype for part in made for sample in part for each in sample} == {torch.float32}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"engine": "native"}, "`native` computes in floats alone"),
        ({"dtype": "bfloat16"}, "integers of 8 bits between numbers of float32, and not of bf"),
        ({"engine": "openvino"}, "`openvino` computes in floats alone"),
        ({"engine": "tensorrt"}, "`tensorrt` computes in floats alone"),
    ],
    ids=range(4),
)
def test_integers_are_for_some_engines(given: Any, said: str, network: Any) -> None:
    with pytest.raises(ArchError, match=said):
        network.optimize(calibrate=[torch.zeros(2, 3, 16, 16)], **given)


def test_what_gives_something_else_is_not_used(
    network: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wrong(type(ENGINES["onnxruntime"])):  # type: ignore[misc]
        name = "wrong"
        needs = ()

        def made(self, *_: object) -> Any:
            return lambda image: 1e3 * torch.ones(len(image), 5)

    monkeypatch.setattr(optimized, "ENGINES", {"wrong": Wrong()})

    with pytest.raises(ArchError, match="`wrong` gives outputs that differ by"):
        network.optimize(engine="wrong", calibrate=[torch.randn(4, 3, 16, 16)])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--calibrate", "photos"], "--calibrate says how to make it faster: add --optimize"),
        (["--optimize", "--mean", "0.5"], "--mean is about images: give some with --calibrate"),
        (["--optimize", "--calibrate", "none"], "none does not exist"),
        (["--optimize", "--calibrate", "one"], "needs two samples or more"),
        (["--optimize", "--calibrate", "bad"], "0.png is no image, or damaged"),
        (["--optimize", "--calibrate", "photos", "--std", "0"], "--std` must be above 0"),
        (["--optimize", "--calibrate", "photos", "-o", "x.py"], "name one that ends in .onnx"),
        (["--optimize", "--calibrate", "photos", "--engine", "native"], "computes in floats alone"),
        (["--optimize", "--calibrate", "photos", "--engine", "graphs"], "and not for `graphs`"),
        (["--optimize", "--engine", "openvino", "-o", "x.py"], "name one that ends in .onnx"),
    ],
    ids=range(10),
)
@pytest.mark.usefixtures("weights")
def test_the_command_refuses_and_writes_nothing(
    given: list[str], said: str, command: Command
) -> None:
    pictures(Path("photos"), 4)
    pictures(Path("one"), 1)
    Path("bad").mkdir()
    Path("bad", "0.png").write_bytes(b"x")
    before = sorted(Path().iterdir())

    result = command("compile", "net.arch", "--weights", "net.pt", *given)

    assert result.status in (1, 2)
    assert said in result.error
    assert sorted(Path().iterdir()) == before


def test_tensorrt_is_for_a_gpu_and_says_what_it_needs(network: Any) -> None:
    with pytest.raises(ArchError, match="`tensorrt` is for a GPU with CUDA, and not for cpu"):
        network.optimize(engine="tensorrt")
    lacks = ENGINES["tensorrt"].lacks(Place(torch.device("cuda"), torch.float16))
    assert lacks in ("", "needs torch_tensorrt, which is not installed: pip install torch-tensorrt")


def test_tensorrt_compiles_by_its_backend(network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for the package: on a machine with a GPU, `pytest -m gpu` runs the real."""
    from torch import _dynamo

    seen: list[Any] = []

    def stand_in(graph: Any, inputs: Any, **options: Any) -> Any:
        seen.append(options)
        return graph.forward

    _dynamo.register_backend(stand_in, name="torch_tensorrt")
    module_of = __import__("types").ModuleType("torch_tensorrt")
    monkeypatch.setitem(__import__("sys").modules, "torch_tensorrt", module_of)
    plain = network.compile().eval()
    engine = ENGINES["tensorrt"]
    program = optimized.passed(network.checked, plain.state_dict(), ())[0]
    place = Place(torch.device("cpu"), torch.float32)
    image = torch.randn(2, 3, 16, 16)
    try:
        with torch.no_grad():
            runs = engine.made(program, place, [image])
            assert torch.allclose(runs(image), plain(image), atol=1e-6)
            assert torch.allclose(runs(image[:1]), plain(image[:1]), atol=1e-6)
    finally:
        _dynamo.reset()
        _dynamo.backends.registry._COMPILER_FNS.pop("torch_tensorrt", None)
    assert seen[0] == {"options": {"use_explicit_typing": True}}
