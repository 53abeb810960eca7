"""A module that is brought in is the same module: by its names, its outputs, and its text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import modules
import pytest
import torch
import words
from torch import nn

import archdsl
from archdsl.importing import loops
from archdsl.importing.errors import ImportingError
from archdsl.importing.imported import Imported
from archdsl.importing.made import noted
from archdsl.importing.numbers import of_tensor
from archdsl.importing.proof import load_text

GOLDEN = Path(__file__).parents[1] / "golden" / "imported"


def brought(module: nn.Module, *shapes: tuple[int, ...]) -> Imported:
    torch.manual_seed(0)
    given = [torch.randn(2, *shape) for shape in shapes]
    return archdsl.from_torch(module, given)


CASES: dict[str, tuple[nn.Module, tuple[tuple[int, ...], ...]]] = {
    "residuals": (modules.Residuals(), ((3, 8, 8),)),
    "dense": (modules.Dense(), ((4, 6, 6),)),
    "heads": (modules.Heads(), ((4,),)),
    "crossed": (modules.Crossed(), ((4,),)),
    "two": (modules.Two(), ((2, 8, 8), (3, 4, 4))),
    "tokens": (modules.Tokens(), ((3, 8, 8),)),
    "twice": (modules.Twice(), ((4,),)),
    "own": (nn.Sequential(modules.Own(4), modules.Own(4)), ((3, 4),)),
    "scaled": (modules.Scaled(), ((4, 6, 6),)),
    "drops": (modules.Drops(), ((4,),)),
    "branches": (modules.Branches(), ((4,),)),
    "on the way": (modules.ReadsOnTheWay(), ((4,),)),
    "sequential": (nn.Sequential(nn.Linear(4, 3), nn.Identity(), nn.Linear(3, 2)), ((4,),)),
}


@pytest.mark.parametrize("name", CASES)
def test_a_module_comes_back(name: str) -> None:
    module, shapes = CASES[name]
    before = {key: value.clone() for key, value in module.state_dict().items()}

    network = brought(module, *shapes)

    assert network.proof.sentence() == "the same, name by name; outputs equal"
    assert network.proof.distance == {"evaluation": 0.0, "training": 0.0}
    assert [*network.weights] == [*before]
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    compiled = network.compile()  # with the module's weights
    for key, value in compiled.state_dict().items():
        assert torch.equal(value, before[key])
    assert network.count().parameters == sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("name", CASES)
def test_bringing_in_what_was_compiled_gives_equal_outputs(name: str) -> None:
    module, shapes = CASES[name]
    first = brought(module, *shapes)

    second = brought(first.compile(), *shapes)

    assert second.proof.same
    assert [*second.weights] == [*first.weights]


def test_attention_by_a_fused_function_is_one_layer() -> None:
    network = brought(nn.Sequential(modules.Attends(), modules.Attends()), (5, 8))

    assert network.proof.same
    assert max(network.proof.distance.values()) < 1e-6
    assert network.spec.count("ScaledDotProductAttention") == 1  # in one block


def test_order_of_registration_is_kept() -> None:
    network = brought(modules.Branches(), (4,))

    assert network.proof.ordered
    assert "register second" in network.spec


def test_uses_of_a_class_are_one_block_with_loops_and_conditions() -> None:
    text = brought(modules.Residuals(), (3, 8, 8)).spec

    assert text.count("block ") == 1
    assert "repeat 3 { Unit(8) }" in text
    assert "Unit(16, stride = 2)" in text
    assert "residual {" in text
    assert "if width != out_channels" in text


def test_a_list_that_grows_is_a_loop() -> None:
    text = brought(modules.Dense(), (4, 6, 6)).spec

    assert "for i in range(5) {" in text
    assert text.count("concat {") == 1
    assert len(text.splitlines()) < 20


def test_constants_have_numbers_where_the_module_has_none() -> None:
    module = modules.AsksConstants().to("meta")

    network = archdsl.from_torch(module, torch.empty(2, 4, device="meta"))

    assert network.proof.sentence().startswith("not compared: the module holds no numbers")
    assert "= [2.0, 4.0, 6.0, 8.0]" in network.spec


def test_what_resembles_a_loop_is_tried_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []
    turns_of = loops.turns_of

    def counted(run: Any, *rest: Any) -> Any:
        tried.append(len(run))
        return turns_of(run, *rest)

    monkeypatch.setattr(loops, "turns_of", counted)
    layers = [nn.Linear(8 + i % 7, 8 + (i + 1) % 7) for i in range(70)]

    network = brought(nn.Sequential(*layers), (8,))

    assert network.proof.same
    assert sum(tried) < 70 * 100  # each would be 70 * 70 * 70 / 2 and more


def test_what_only_training_gives_is_said_so() -> None:
    text = brought(modules.Heads(), (4,)).spec

    assert "output aux when training" in text
    assert text.rstrip().endswith("output out\n}")


def test_a_module_of_meta_tensors_is_written_without_comparing_outputs() -> None:
    with torch.device("meta"):
        module = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
        given = torch.empty(2, 4)

    network = archdsl.from_torch(module, given)

    assert "not compared" in network.proof.sentence()
    assert network.count().parameters == 15


def test_what_cant_be_said_is_listed_with_its_line_and_nothing_is_written() -> None:
    with pytest.raises(ImportingError) as caught:
        _ = brought(modules.Sorts(), (4,)).spec

    text = str(caught.value)
    assert "E0903" in text
    assert "2 times: `logcumsumexp`" in text
    assert "modules.py" in text
    assert "torch.logcumsumexp(torch.logcumsumexp(x, 1), 1)" in text


def test_a_way_that_depends_on_numbers_is_refused() -> None:
    with pytest.raises(ImportingError, match=r"reads the numbers of a tensor"):
        _ = brought(modules.Decides(), (4,)).spec


def test_a_layer_with_hooks_is_refused() -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.ReLU())
    module[1].register_forward_hook(lambda *given: given[-1] * 2)

    with pytest.raises(ImportingError, match=r"1 time: `Linear` with hooks"):
        _ = brought(module, (4,)).spec


def test_parameters_that_no_output_needs_are_said_and_left_out() -> None:
    network = brought(modules.Unused(), (4,))

    assert network.proof.same
    assert network.proof.missing == ("spare.weight", "spare.bias")
    assert "but for spare.weight, spare.bias, which no output needs" in network.proof.sentence()
    assert network.spec.startswith("# no output needs spare.weight, spare.bias")
    assert not {*network.proof.missing} & {*network.weights}
    assert {*network.weights} == {*network.compile().state_dict()}


def test_parameters_that_are_missing_are_a_difference_where_nothing_can_be_compared() -> None:
    module = modules.Unused().to("meta")

    network = archdsl.from_torch(module, torch.empty(2, 4, device="meta"))

    assert not network.proof.same
    assert network.spec.startswith("# archdsl import: not the same: the spec lacks spare.weight")


@pytest.mark.parametrize(
    ("module", "inputs", "said"),
    [
        (modules.Fails(), (torch.zeros(2, 4),), "KeyError"),
        (nn.Sequential(nn.Linear(4, 3)), (torch.zeros(2, 5),), "RuntimeError"),
        (nn.Sequential(nn.Linear(4, 3)), (), "needs inputs"),
        (print, (torch.zeros(2, 4),), "is no torch.nn.Module"),
        (nn.Linear(4, 3), (torch.zeros(2, 4),), "is a layer by itself"),
        (
            nn.Sequential(nn.Linear(4, 3, device="meta")),
            (torch.zeros(2, 4),),
            "is on the device meta, and what comes in on cpu",
        ),
        (nn.Sequential(nn.ReLU()), (torch.zeros(2, 4), torch.zeros(3, 4)), "needs inputs"),
    ],
    ids=["raises", "other input", "no input", "no module", "layer", "device", "batches"],
)
def test_bad_modules_and_inputs_are_said(
    module: nn.Module, inputs: tuple[torch.Tensor, ...], said: str
) -> None:
    with pytest.raises(ImportingError, match=said):
        archdsl.from_torch(module, inputs)


# By size of the image, with the lines of the spec that comes with the package.
NETWORKS = {
    "resnet50": (224, 79),
    "densenet121": (224, 72),
    "googlenet": (224, 80),
    "inception_v3": (299, 142),
    "mobilenet_v2": (224, 56),
    "efficientnet_b0": (224, 79),
    "vit_b_16": (224, 37),
    "convnext_tiny": (224, 37),
    "swin_t": (224, 60),
}


def torchvision_model(name: str) -> nn.Module:
    models = pytest.importorskip("torchvision.models")
    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    with noted():
        model: nn.Module = models.get_model(name, weights=None, **options)
    return model


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_torchvision_read_as_if_written_by_hand(
    name: str, golden: Callable[[Path, str], None]
) -> None:
    size, ours = NETWORKS[name]
    with torch.device("meta"):
        module = torchvision_model(name)

    network = archdsl.from_torch(module, torch.empty(2, 3, size, size, device="meta"), name=name)

    assert network.proof.same
    assert len(network.spec.splitlines()) <= 1.5 * ours
    golden(GOLDEN / f"{name}.arch", network.spec)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [n if n == "mobilenet_v2" else pytest.param(n, marks=pytest.mark.whole) for n in NETWORKS],
)
def test_networks_of_torchvision_are_equal_bit_by_bit(name: str) -> None:
    size = 299 if name == "inception_v3" else 224

    network = brought(torchvision_model(name), (3, size, size))

    assert network.proof.same
    assert network.proof.distance == {"evaluation": 0.0, "training": 0.0}


def test_another_way_for_more_samples_is_a_difference() -> None:
    assert not brought(modules.OfBatch(), (4,)).proof.same


def test_outputs_without_a_number_prove_nothing() -> None:
    module = modules.Of(lambda x, y: y + x)
    module.map.weight.data.fill_(float("nan"))
    assert not brought(module, (4,)).proof.same


def test_a_module_that_gives_what_came_in_is_refused() -> None:
    with pytest.raises(ImportingError, match="gives what came in"):
        _ = brought(modules.Same(), (4,)).spec


WORDS: dict[str, tuple[nn.Module, tuple[int, ...], tuple[str, ...]]] = {
    "windows": (words.Windows(), (8, 8, 8), ("Roll", "Reshape([4, 16, 8])", "for k in range(256)")),
    "masks": (words.Masks(), (6, 8), ("causal = true", "grouped = true", "[j <= i for i, j]")),
    "numbers": (words.Numbers(), (5, 5), ("Einsum(", "Shift(1)", "Where", "Div", "Flip([1])")),
    "second axis": (words.SecondAxis(), (5, 8), ("LSTM(4)", "Mean(1)")),
    "last state": (words.LastState(), (5, 8), ('gives = "h_n"',)),
    "tied": (words.Tied(), (-10, 5), ("weight = from words.weight",)),
    "rows": (words.Rows(), (5, 8), ("BatchNorm1d",)),
    "computes": (words.Computes(), (3, 8, 8), ("weight = from div, bias = from bias", "Embedding")),
    "waves": (words.Waves(), (300, 64), ("Div -> Sin",)),
    "biases": (words.Biases(), (25, 25), ("abs(i // 5 - j // 5)", "Embedding(25, 2")),
    "shared": (words.Shared(), (4, 6, 6), ("SiLU", "weight = from one.2.weight")),
    "for each": (words.ForEach(), (-9, 9), ("[batch, 9] = 0", "[batch, 9] = [i + 2 for i]")),
    "dropped": (words.Dropped(), (5, 8), ('StochasticDepth(0.25, "row")', "dropout = 0.1")),
    "transposed": (words.Transposed(), (5, 8), ("MatMul", "parameter first: [6]")),
    "convolved": (
        words.ConvolvedWindows(),
        (4, 8, 8),
        ("Repeat([4, 1, 1, 1])", "groups = 16", "MaxPool2d(2)", "3.3895313892515355e+38"),
    ),
    "heads": (words.Heads(), (6, 8), ("groups = 8", "parameter conv.weight: [4, 1, 3]")),
    "streams": (words.Streams(), (5, 8), ('"branch"."{i}".0: Linear', "from output2")),
    "biased": (words.Biased(), (5, 8), ("output output2", "input x2")),
    "distances": (words.Distances(), (5, 8), ('Einsum("abcd,bde->abce")',)),
    "adds": (words.Adds(), (3, 4), ("MatMul", "# frozen in the module", "# gradients stop")),
}


@pytest.mark.parametrize("name", WORDS)
def test_what_the_language_has_words_for_is_said(name: str) -> None:
    module, shape, wanted = WORDS[name]
    torch.manual_seed(0)
    with torch.no_grad():
        for one in module.parameters():
            one.uniform_(-1, 1)
    given = torch.randn(2, *shape) if shape[0] > 0 else torch.randint(0, -shape[0], (2, *shape[1:]))

    network = archdsl.from_torch(module, given)

    assert network.proof.same
    assert max(network.proof.distance.values()) < 1e-6
    assert all(text in network.spec for text in wanted), network.spec
    assert network.count().parameters == sum(p.numel() for p in module.parameters())


def test_what_the_text_does_not_say_stands_at_its_head() -> None:
    network = archdsl.from_torch(words.Adds(), torch.randn(2, 3, 4))

    assert network.notes[0].startswith("frozen in the module")
    assert "fixed.weight, fixed.bias" in network.notes[0]
    assert "self.fixed(y.detach())" in network.notes[1]  # the user's own line
    assert "buffers that are large, or hold infinity, are others here" in network.notes[2]
    assert network.notes[2].endswith("wave")
    assert all(f"# {note}\n" in network.spec for note in network.notes)


def of_shifted_windows(high: int, wide: int, side: int, shift: int) -> torch.Tensor:
    """Return the mask of windows as Swin makes it: places of several regions don't see others."""
    cuts = (slice(0, -side), slice(-side, -shift), slice(-shift, None))
    image = torch.zeros(high, wide)
    for number, (rows, columns) in enumerate((a, b) for a in cuts for b in cuts):
        image[rows, columns] = number
    windows = image.view(high // side, side, wide // side, side).transpose(1, 2)
    flat = windows.reshape(-1, side * side)
    return (flat[:, None] != flat[:, :, None]) * -100.0


def in_volumes(count: int) -> torch.Tensor:
    """Return a table of relative places in a volume of rows of 4 and layers of 12."""
    place = torch.arange(count)
    return place // 12 * 50 - (place // 4 % 3)[:, None] * 9 + place % 4


TENSORS: dict[str, tuple[torch.Tensor, str]] = {
    "steps": (torch.arange(50) * 3 + 2, "[3 * i + 2 for i]"),
    "differences": (torch.arange(9) - torch.arange(9)[:, None], "[j - i for i, j]"),
    "rows": (torch.arange(64).reshape(8, 8) // 4, ""),
    "causal": (torch.ones(9, 9).tril().bool(), "[j <= i for i, j]"),
    "additive": (torch.full((9, 9), -1e9).triu(1), "[0.0 if j <= i else -1000000000.0 for i, j]"),
    "from there on": (torch.arange(20)[:, None].expand(20, 3) >= 7, "[i >= 7 for i, j]"),
    "floats": (torch.arange(12) / 4, "[0.25 * i for i]"),
    "one number": (torch.full((3, 4), 0.1), "0.1"),
    "volumes": (in_volumes(24), "[50 * (j // 12) + j % 4 - 9 * (i % 12 // 4) for i, j]"),
    "a square in a row": (
        (torch.arange(9) // 3 * 7 - (torch.arange(9) % 3)[:, None] + 9).flatten(),
        "[7 * ((k % 9) // 3) - (k // 9) % 3 + 9 for k]",
    ),
    "windows": (of_shifted_windows(8, 16, 4, 1), ""),
    "wide windows": (of_shifted_windows(15, 10, 5, 2)[:, None], ""),
    "one axis": (torch.tensor([0.1, 0.3, 0.2]).expand(4, 5, 3), ""),
    "anything": (torch.tensor([[0.1, -2.5]]), "[0.1, -2.5]"),
}


def test_constants_are_formulas_of_their_place() -> None:
    lines: list[str] = []
    for number, (tensor, wanted) in enumerate(TENSORS.values()):
        text = of_tensor(tensor)
        assert text is not None
        assert not wanted or text == wanted
        shape = ", ".join(map(str, tensor.shape))
        lines.append(f"constant c{number}: [{shape}] = {text}")
        lines.append(f"output o{number} {{ from c{number} -> Reshape([{shape}]) }}")
    body = "\n".join(lines)

    made = load_text(f"network one {{ input x: [2]\n{body}\nReLU }}", "one").compile()

    _, *given = made(torch.zeros(1, 2))
    for found, (tensor, _) in zip(given, TENSORS.values(), strict=True):
        assert torch.equal(found, tensor)


LARGEST = torch.finfo(torch.float32).max


@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_number_is_not_rounded_up(sign: int) -> None:
    class Holds(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.own = nn.Parameter(torch.full((4,), sign * LARGEST))
            self.register_buffer("few", torch.tensor([0.0, sign * LARGEST, 1.0, 2.0]))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            masked = x + torch.full((4, 4), sign * LARGEST).triu(1) / 4
            return torch.minimum(masked, self.own) - torch.maximum(x, self.few) / 4

    network = brought(Holds(), (4, 4))
    assert network.proof.sentence() == "the same, name by name; outputs equal"
    for numbers in (torch.tensor([sign * LARGEST]), torch.eye(4) * sign * LARGEST):
        text = of_tensor(numbers)
        assert text is not None
        assert str(sign * LARGEST)[:10] in text


def test_constants_without_numbers_are_refused() -> None:
    with torch.device("meta"):
        module, given = words.Windows(), torch.empty(2, 8, 8, 8)

    network = archdsl.from_torch(module, given)

    with pytest.raises(ImportingError, match="meta device holds no numbers"):
        _ = network.spec
    assert network.count().parameters == sum(p.numel() for p in module.parameters())


FREE: dict[str, tuple[nn.Module, tuple[str, ...]]] = {
    "sizes": (words.Sizes(), ("in.height // 2", "[8, in.height // 4, 4, in.width // 4, 4]")),
}


@pytest.mark.parametrize("name", FREE)
def test_sizes_are_free_where_numbers_follow_them(name: str) -> None:
    module, wanted = FREE[name]

    network = archdsl.from_torch(module, torch.randn(2, 3, 16, 8), shapes=[[3, "H", "W"]])

    assert network.proof.same
    # it takes sizes that 4 divides, and says nothing of others
    assert [note.partition(":")[0] for note in network.notes] == [
        "compared at sizes that differ by 32"
    ]
    assert all(text in network.spec for text in ("input image: [3, H, W]", *wanted)), network.spec
    given = torch.randn(3, 3, 40, 24)
    assert torch.equal(network.compile().eval()(given), module.eval()(given))


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (words.Turns(), "goes another way at other sizes"),
        (words.Counts(), "no formula was found for a constant for `add`, at"),
        (nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 8, 2)), "at 3x80x40 the forward pass"),
    ],
)
def test_sizes_that_cant_be_free_are_said_and_stay(module: nn.Module, said: str) -> None:
    network = archdsl.from_torch(module, torch.randn(2, 3, 16, 8), shapes=[[3, "H", "W"]])

    assert network.proof.same
    assert network.notes[0].startswith("sizes are not free as asked for: ")
    assert said in network.notes[0]
    assert "input image: [3, 16, 8]" in network.spec


@pytest.mark.parametrize("how", ["pads", "decides", "cuts"])
def test_what_follows_the_rest_of_a_size_is_not_taken_for_free(how: str) -> None:
    module = words.Rests(how)

    network = archdsl.from_torch(module, torch.randn(2, 3, 32, 32), shapes=[[3, "H", "W"]])

    assert network.proof.same
    assert network.notes[0].startswith("sizes are not free as asked for: ")
    assert "input image: [3, 32, 32]" in network.spec


def test_sizes_that_a_module_refuses_are_said_to_be_unknown() -> None:
    module = words.Rests("refuses")

    network = archdsl.from_torch(module, torch.randn(2, 3, 32, 32), shapes=[[3, "H", "W"]])

    assert network.proof.same
    note = "compared at sizes that differ by 32: the module fails at 3x65x66 and 3x86x87"
    assert network.notes == (note,)
    assert network.spec.startswith(f"# {note}\n")
    assert "input image: [3, H, W]" in network.spec


def test_a_text_that_is_not_the_same_has_the_weights_all_the_same() -> None:
    module = modules.OfBatch()

    network = archdsl.from_torch(module, torch.randn(2, 4))

    assert not network.proof.same
    assert torch.equal(network.compile().map.weight, module.map.weight)


def test_shapes_of_other_inputs_are_refused() -> None:
    with pytest.raises(ImportingError, match="not of the shapes"):
        archdsl.from_torch(words.Turns(), torch.randn(2, 3, 16, 8), shapes=[[4, "H", "W"]])


def test_parameters_of_blocks_hide_no_variables_of_loops() -> None:
    module = nn.Sequential(modules.Scales(1.5), nn.ReLU(), modules.Scales(2.5))

    network = archdsl.from_torch(module, torch.randn(2, 4))

    assert network.proof.same
    assert "for factor in [2.0, 0.5, 3.0]" in network.spec
