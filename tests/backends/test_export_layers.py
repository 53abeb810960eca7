"""Every layer with free sizes, as ONNX and as .pt2, gives what torch gives for other sizes too.

A new layer is covered as soon as it is declared: its examples stand side by side with those of its
family in one network, and writing a file compares it for several sizes and batches.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from archdsl.layers.base import (
    ArgumentErrors,
    Example,
    Facts,
    Kind,
    Layer,
    LayerError,
    Shape,
    TorchFunction,
    TorchModule,
    construct,
)
from archdsl.layers.registry import Registry
from archdsl.layers.sizes import Formula, FormulaError, Size
from archdsl.pipeline import Spec

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

from archdsl.backends.export import export_onnx, export_pt2  # noqa: E402
from archdsl.backends.torch_module import running, torch_module  # noqa: E402

REGISTRY = Registry()
KINDS = [*REGISTRY.values(), *map(REGISTRY.word, ("concat", "add", "sub", "mul"))]
FAMILIES = sorted({kind.family for kind in KINDS})
WRITERS = {"onnx": export_onnx, "pt2": export_pt2}
Use = tuple[Layer, tuple[Shape, ...]]  # with the shapes of its inputs
# What torch.export writes for fixed sizes only, as it says itself.
FIXED_ONLY = {"pt2": {"recurrent"}, "onnx": set()}
OPTIONS = 0  # further arguments that are tried with each example


def written(value: object) -> str:
    """Write a value as the language does."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple):
        return f"[{', '.join(map(written, value))}]"
    return str(value)


# Which axes are fixed, counted from the first and the last: as few as a layer can do with.
FIXED = [(), (0,), (-1,), (0, -1), (0, -1, -2), (0, 1, 2, 3)]


def opened(shapes: tuple[Shape, ...], fixed: tuple[int, ...]) -> tuple[Shape, ...]:
    """Make axes free, all but some and those of size 1.

    They are called by their place, and apart where an example has different sizes there.
    """
    found: dict[int, list[Size]] = {}

    def free(axis: int, size: Size, rank: int) -> Size:
        if size == 1 or axis in fixed or axis - rank in fixed:
            return size
        sizes = found.setdefault(axis, [])
        if size not in sizes:
            sizes.append(size)
        return Formula.named(f"s{axis}{'abc'[sizes.index(size)]}")

    return tuple(
        tuple(free(axis, size, len(shape)) for axis, size in enumerate(shape)) for shape in shapes
    )


def uses(kind: type[Layer]) -> Iterator[Use]:
    """Yield a layer as in its examples, and with other arguments, with inputs as free as can be."""
    generator = random.Random(kind.__name__)
    seen: set[Use] = set()
    for example in kind.examples:
        for arguments in (example.arguments, *others(kind, example, generator)):
            for fixed in FIXED:
                shapes = opened(example.inputs, fixed)
                try:
                    layer = construct(kind, arguments)
                    facts = layer.infer(shapes)
                    if not can_be_made(facts) or not can_be_solved(facts):
                        continue
                    if (layer, shapes) not in seen:
                        yield layer, shapes
                        seen.add((layer, shapes))
                    break
                except (ArgumentErrors, LayerError, FormulaError):
                    continue


def writable(kind: type[Layer], ending: str) -> Iterator[Use]:
    """Yield the uses of a layer that can be written: ONNX's operators for sequences don't project.

    That these are refused is tested beside the layers.
    """
    for layer, shapes in uses(kind):
        if ending != "onnx" or not getattr(layer, "proj_size", 0):
            yield layer, shapes


def can_be_solved(facts: Facts) -> bool:
    """Tell whether what free sizes must be concerns one of them at a time."""
    names = [(left - right).names for left, right in facts.agreements]  # type: ignore[union-attr]
    return all(len(each) == 1 for each in names)


def can_be_made(facts: Facts) -> bool:
    """Tell whether no parameter or argument depends on a free size."""
    made = facts.torch
    values = [*facts.params.values(), *facts.buffers.values()]
    if isinstance(made, TorchModule):
        values += [made.positional, tuple(made.keywords.values())]
    if isinstance(made, TorchFunction) and made.free is not None:
        return False
    return "Formula" not in repr(values)


def others(
    kind: type[Layer], example: Example, generator: random.Random
) -> Iterator[Mapping[str, object]]:
    """Yield random choices of other arguments than an example's."""
    choices = {
        name: samples
        for name, field in kind.model_fields.items()
        for samples in [[s for m in field.metadata if isinstance(m, Kind) for s in m.samples]]
        if samples
    }
    for _ in range(OPTIONS if choices else 0):
        yield dict(example.arguments) | {
            name: generator.choice(samples)
            for name, samples in choices.items()
            if generator.random() < 2 / 3
        }


def spec_of(chosen: Iterable[Use]) -> str:
    """Write a network in which each use of a layer has an output of its own."""
    inputs: dict[str, str] = {}
    stages: list[str] = []
    for number, (layer, shapes) in enumerate(chosen, start=1):
        kind = type(layer)
        listed = [f"[{', '.join(map(str, shape))}]" for shape in shapes]
        held = "float" if "float" in kind.takes else "int"
        if layer.infer(shapes).agreements:  # which would bind the sizes of other layers too
            listed = [text.replace("s", f"s{number}_") for text in listed]
        names = [
            inputs.setdefault(f"{kind.wants.get(at, held)} {text}", f"x{len(inputs)}")
            for at, text in enumerate(listed)
        ]
        given = ", ".join(
            f"{name} = {written(value)}"
            for name, value in vars(layer).items()
            if value != kind.model_fields[name].default
        )
        if layer.word:
            branches = " ".join(f"branch {{ from {name} }}" for name in names)
            stage = f"{layer.word}{f'({given})' if given else ''} {{ {branches} }}"
        else:
            stage = f"from {', '.join(names)} -> {kind.__name__}({given})"
        stages.append(f"  output y{number} {{ {stage} }}")
    declared = [f"  input {name}: {text.partition(' ')[2]}" for text, name in inputs.items()]
    return "\n".join(["network layers {", *declared, *stages, "}"])


def check(chosen: Iterable[Use], ending: str, folder: Path) -> None:
    path = folder / "layers.arch"
    path.write_text(spec_of(chosen))
    checked = Spec(str(path)).graph()

    found = WRITERS[ending](torch_module(checked), checked, folder / f"layers.{ending}")

    assert len({tuple(shapes.values()) for shapes in found.compared}) >= 4


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "USUAL_SIZE", 9)  # for time


@pytest.mark.parametrize("ending", ["pt2", pytest.param("onnx", marks=pytest.mark.slow)])
def test_one_layer_of_every_family(ending: str, tmp_path: Path) -> None:
    generator = random.Random(12)
    kinds = [
        generator.choice(
            [each for each in KINDS if each.family == family and any(writable(each, ending))]
        )
        for family in FAMILIES
        if family not in FIXED_ONLY[ending]
    ]

    check((generator.choice([*writable(kind, ending)]) for kind in kinds), ending, tmp_path)


# torch.export follows each of these in one of two ways only, if they stand as torch has them.
APART = """
network apart {
  input image: [8, H, W]
  input row: [4, L]
  input indices: [L]
  output a { from image -> Conv2d(4, 3, padding = 1, padding_mode = "circular") }
  output b { from image -> Conv2d(4, [3, 4], 2, padding = "same", padding_mode = "circular") }
  output c { from image -> CircularPad2d([1, 2, -1, 3]) }
  output d { from row -> CircularPad1d([1, -1]) }
  output e { from image -> Conv2d(8, [3, 5], dilation = 2, groups = 4) }
  output f { from indices -> EmbeddingBag(100, 8, mode = "sum") }
  output g { from row -> Transpose(1, 2) -> MultiheadAttention(2) }
}
"""


def test_layers_that_are_followed_in_different_ways(tmp_path: Path) -> None:
    path = tmp_path / "apart.arch"
    path.write_text(APART)
    checked = Spec(str(path)).graph()

    found = export_pt2(torch_module(checked), checked, tmp_path / "apart.pt2")

    assert {1, 2, 3} == {shapes["image"][0] for shapes in found.compared}


@pytest.mark.slow
@pytest.mark.parametrize("ending", WRITERS)
def test_one_use_of_every_layer(ending: str, tmp_path: Path) -> None:
    kinds = [kind for kind in KINDS if kind.family not in FIXED_ONLY[ending]]

    check((use for kind in kinds for use in [*writable(kind, ending)][-1:]), ending, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("ending", WRITERS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_layer_at_other_sizes(family: str, ending: str, tmp_path: Path) -> None:
    kinds = [kind for kind in KINDS if kind.family == family]
    if family in FIXED_ONLY[ending]:
        pytest.skip("can be written with fixed sizes only")

    check((use for kind in kinds for use in writable(kind, ending)), ending, tmp_path)
