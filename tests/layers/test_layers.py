"""Every layer of the registry against its examples, against torch, and with free sizes.

A new layer is covered by all of these as soon as it is declared; none of them is edited.
"""

from __future__ import annotations

import inspect
import math
import random
import re
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from itertools import combinations
from typing import Any

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch_facts import (
    Built,
    difference,
    from_input,
    is_lacking,
    learns,
    refuses,
    tensors,
    torch_class,
    usual,
)

from archdsl.backends.torch_module.verifying import macs_of
from archdsl.layers.base import (
    ArgumentErrors,
    Example,
    Facts,
    Kind,
    Layer,
    LayerError,
    Shapes,
    TorchModule,
    Window,
    construct,
    numel,
)
from archdsl.layers.registry import Registry
from archdsl.layers.sizes import Formula, FormulaError, Size, substitute

REGISTRY = Registry()
KINDS = [*REGISTRY.values(), *map(REGISTRY.word, ("concat", "add", "sub", "mul"))]
EXAMPLES = [
    pytest.param(kind, example, id=f"{kind.__name__}-{number}")
    for kind in KINDS
    for number, example in enumerate(kind.examples)
]
every_layer = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
every_example = pytest.mark.parametrize(("kind", "example"), EXAMPLES)

# Larger inputs are left to the examples: combinations are tried on the small ones.
SMALL = 4_000
RANDOM_COMBINATIONS = 40

# Multiply-accumulates that FlopCounterMode does not see.
UNSEEN = {
    "Bilinear": "FlopCounterMode has no formula for aten::_trilinear",
    "DeformConv2d": "FlopCounterMode has no formula for torchvision::deform_conv2d",
}
# Layers of one operation, which keeps numbers for itself: means and variances, or a mask.
KEPT_BY_ONE_OPERATION = (
    r"(Batch|Group|Instance|Layer|RMS)Norm(\dd)?",
    r".*Dropout(\dd)?",
    "StochasticDepth",
)
pytestmark = pytest.mark.usefixtures("one_thread", "no_fused_kernels")

# Arguments of torch that a layer lacks although they don't follow from its input.
LEFT_OUT = {
    r".*\.(inplace|device|dtype)": "the compiler's choice",
    r".*\.return_indices": "layers have one output",
    r".*\._.*": "no part of torch's interface",
    r"ConvTranspose\dd\.padding_mode": "torch takes the default only",
    r"EmbeddingBag\.include_last_offset": "it says how several bags lie in one tensor",
    r"Hardtanh\.(min|max)_value": "deprecated",
    r"MultiheadAttention\.(batch_first|kdim|vdim)": "follow from the inputs",
}
# Refusals of what torch takes, by their text: rules that are stricter on purpose.
STRICTER = {
    r"can repeat at most \d+ places": "with a cut on the other side torch returns unwritten memory",
}


@pytest.fixture
def no_fused_kernels() -> Iterator[None]:
    """Let recurrent layers go step by step, where what they add and keep can be seen."""
    enabled = torch.backends.mkldnn.enabled
    torch.backends.mkldnn.enabled = False
    yield
    torch.backends.mkldnn.enabled = enabled


def inferred(kind: type[Layer], arguments: Mapping[str, object], shapes: Shapes) -> Facts:
    return construct(kind, arguments).infer(shapes)


@every_layer
def test_layer_is_documented(kind: type[Layer]) -> None:
    assert "__doc__" in vars(kind)
    assert inspect.getdoc(kind)
    assert kind.examples


@every_example
def test_example_holds(kind: type[Layer], example: Example) -> None:
    facts = inferred(kind, example.arguments, example.inputs)

    assert facts.output == example.output
    assert sum(map(numel, facts.params.values())) == example.params
    assert facts.macs == example.macs


@every_example
def test_example_agrees_with_torch(kind: type[Layer], example: Example) -> None:
    facts = inferred(kind, example.arguments, example.inputs)

    assert not difference(facts, example.inputs, usual(kind))


@every_example
def test_example_has_the_operations_of_torch(kind: type[Layer], example: Example) -> None:
    facts = inferred(kind, example.arguments, example.inputs)
    module = Built(facts.torch).eval()

    inputs = tensors(example.inputs, usual(kind))

    with torch.no_grad():
        found = macs_of(lambda: module(*inputs))

    assert found == (0 if kind.__name__ in UNSEEN else 2 * facts.macs)


class Biases(TorchDispatchMode):
    """Counts the numbers that operations give which read one of some tensors, or a part of it."""

    def __init__(self, biases: Iterable[torch.Tensor]) -> None:
        super().__init__()
        self.places = {bias.untyped_storage().data_ptr() for bias in biases}
        self.added = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> torch.Tensor:
        result: torch.Tensor = func(*args, **(kwargs or {}))
        read = {x.untyped_storage().data_ptr() for x in args if isinstance(x, torch.Tensor)}
        if read & self.places and not func.is_view:
            self.added += result.numel()
        return result


@every_example
def test_biases_are_added_as_often_as_in_torch(kind: type[Layer], example: Example) -> None:
    facts = inferred(kind, example.arguments, example.inputs)
    if "normalization" in facts.other:  # which counts its biases among its own operations
        return
    module = Built(facts.torch).train()  # evaluation may have one operation for several biases
    inputs = tensors(example.inputs, usual(kind), batch=1)

    named = re.compile(r".*bias(_[ih]h_l\d+(_reverse)?)?").fullmatch
    held = [bias for name, bias in module.named_parameters() if named(name)]
    with torch.no_grad(), Biases(held) as biases:
        module(*inputs)

    assert biases.added == facts.other.get("bias", 0)


@every_example
def test_what_stands_inside_is_what_torch_keeps(kind: type[Layer], example: Example) -> None:
    """Floats that the backward pass needs, and that are neither input, output nor parameters."""
    facts = inferred(kind, example.arguments, example.inputs)
    module = Built(facts.torch).train()
    batch = 2 if kind.__name__.startswith("BatchNorm") else 1
    inputs = [
        one.requires_grad_(one.is_floating_point())
        for one in tensors(example.inputs, usual(kind), batch)
    ]
    kept: dict[int, torch.Tensor] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        output = module(*inputs)

    for known in (*inputs, output, *module.state_dict(keep_vars=True).values()):
        kept.pop(known.untyped_storage().data_ptr(), None)
    floats = [one for one in kept.values() if one.dtype == torch.float32]
    found = sum(one.untyped_storage().nbytes() // 4 for one in floats)
    if re.fullmatch("|".join(KEPT_BY_ONE_OPERATION), kind.__name__):
        assert not facts.inside
    else:
        assert facts.inside + facts.inside_training == found


@every_example
def test_what_computes_lists_its_operations(kind: type[Layer], example: Example) -> None:
    """An output that holds numbers which are neither in the input nor stored was computed."""
    facts = inferred(kind, example.arguments, example.inputs)
    module = Built(facts.torch).eval()
    inputs = tensors(example.inputs, usual(kind))

    with torch.no_grad():
        output = module(*inputs).float()

    known = torch.cat([held.float().flatten() for held in (*inputs, *module.state_dict().values())])
    new = output[~torch.isin(output, known)].unique()
    if len(new) > 1:  # a single one is a constant, such as padding
        assert facts.macs or facts.other
    assert all(isinstance(count, int) and count > 0 for count in facts.other.values())


@every_example
def test_arithmetic_gives_the_parameters(kind: type[Layer], example: Example) -> None:
    facts = inferred(kind, example.arguments, example.inputs)
    if not facts.arithmetic and len(facts.params) < 2:  # a size alone needs none
        return

    assert re.fullmatch(r"[\d x+()]+", facts.arithmetic)
    assert eval(facts.arithmetic.replace("x", "*")) == example.params


@every_layer
def test_signature_is_that_of_torch(kind: type[Layer]) -> None:
    """Names, order and defaults are torch's, less what follows from the input."""
    target = torch_class(kind)
    module = inferred(kind, kind.examples[0].arguments, kind.examples[0].inputs).torch
    if target is None or not isinstance(module, TorchModule):
        return
    follow = from_input(kind, module)
    wanted = {
        name: parameter.default
        for name, parameter in inspect.signature(target).parameters.items()
        if parameter.kind is not parameter.VAR_POSITIONAL
        and parameter.kind is not parameter.VAR_KEYWORD
        and name not in follow
        and not any(re.fullmatch(pattern, f"{kind.__name__}.{name}") for pattern in LEFT_OUT)
    }
    fields = {name: field for name, field in kind.model_fields.items() if name in wanted}

    assert list(fields) == list(wanted)
    for name, field in fields.items():
        if not field.is_required() and wanted[name] is not inspect.Parameter.empty:
            assert one(field.default) == one(wanted[name]), name


def one(value: object) -> object:
    """Return the number that stands for a tuple of equal ones."""
    return value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value


@every_layer
def test_options_agree_with_torch(kind: type[Layer]) -> None:
    """What is accepted runs with the shapes that were inferred; what is refused, torch refuses."""
    generator = random.Random(kind.__name__)
    small = [example for example in kind.examples if sum(map(numel, example.inputs)) <= SMALL]
    wrong: list[str] = []
    for example in small or kind.examples[:1]:
        reference = inferred(kind, example.arguments, example.inputs).torch
        for arguments in options(kind, example, generator):
            shapes = resized(example.inputs, generator)
            use = f"{kind.__name__}({arguments}) of {shapes}: "
            try:
                facts = inferred(kind, arguments, shapes)
            except (ArgumentErrors, LayerError) as error:
                reason = str(error)
                if any(re.search(pattern, reason) for pattern in STRICTER):
                    continue
                if refuses(kind, reference, arguments, shapes) is False:
                    wrong.append(f"{use}torch takes what is refused: {reason}")
            else:
                if is_lacking(facts.torch):
                    continue
                if found := difference(facts, shapes, usual(kind)):
                    wrong.append(use + found)
    assert not wrong, "\n".join([f"{len(wrong)} differ", *wrong[:5]])


@every_layer
def test_a_layer_that_is_derived_with_another_default_is_the_same_in_torch(
    kind: type[Layer],
) -> None:
    example = kind.examples[0]
    for name, field in kind.model_fields.items():
        for sample in [s for m in field.metadata if isinstance(m, Kind) for s in m.samples]:
            rest = {given: value for given, value in example.arguments.items() if given != name}
            try:
                expected = inferred(kind, {**rest, name: sample}, example.inputs).torch
            except (ArgumentErrors, LayerError):
                continue
            body = {name: field.check(sample), "examples": (), "__module__": "of_a_user"}
            derived = type(f"Own{kind.__name__}", (kind,), body)

            assert inferred(derived, rest, example.inputs).torch == expected


def options(
    kind: type[Layer], example: Example, generator: random.Random
) -> Iterator[dict[str, object]]:
    """Yield all pairs of arguments beside an example's, and random choices of all of them."""
    choices = {
        name: samples
        for name, field in kind.model_fields.items()
        for samples in [[s for m in field.metadata if isinstance(m, Kind) for s in m.samples]]
        if samples
    }
    base = dict(example.arguments)
    yield base
    for name, samples in choices.items():
        yield from (base | {name: sample} for sample in samples)
    for left, right in combinations(choices, 2):
        for first in choices[left]:
            yield from (base | {left: first, right: second} for second in choices[right])
    if len(choices) > 2:
        for _ in range(RANDOM_COMBINATIONS):
            yield base | {name: generator.choice(samples) for name, samples in choices.items()}


def resized(shapes: Shapes, generator: random.Random) -> Shapes:
    """Make axes after the first smaller, equal ones equally, in two thirds of all cases."""
    if generator.random() < 1 / 3:
        return shapes
    sizes: dict[tuple[int, Size], int] = {}

    def smaller(axis: int, size: Size) -> Size:
        assert isinstance(size, int)
        return sizes.setdefault((axis, size), generator.randint(max(1, size - 4), size))

    return tuple(
        tuple(smaller(axis, size) if axis else size for axis, size in enumerate(shape))
        for shape in shapes
    )


@every_example
def test_free_sizes_give_the_same_facts(kind: type[Layer], example: Example) -> None:
    expected = inferred(kind, example.arguments, example.inputs)
    values: dict[str, Size] = {}

    def free(axis: int, size: Size) -> Size:
        if axis == 0 or size == 1:
            return size
        values[f"n{axis}_{size}"] = size
        return Formula.named(f"n{axis}_{size}")

    shapes = tuple(
        tuple(free(axis, size) for axis, size in enumerate(shape)) for shape in example.inputs
    )
    facts, refusal = None, ""
    try:
        facts = inferred(kind, example.arguments, shapes)
    except (LayerError, FormulaError) as error:
        refusal = str(error)
    if facts is None:
        assert re.search("free|known", refusal), refusal
        return

    assert put(facts.output, values) == expected.output
    assert put(facts.params, values) == expected.params
    assert put(facts.buffers, values) == expected.buffers
    assert put(facts.macs, values) == expected.macs
    assert put(facts.other, values) == expected.other
    windows = put(facts.windows, values)
    if example.arguments.get("padding") == "same":  # where they start depends on a remainder
        assert [window[:2] for window in windows] == [window[:2] for window in expected.windows]
    else:
        assert windows in ("global", expected.windows)
    assert (facts.view, facts.batched) == (expected.view, expected.batched)
    assert all(put(left, values) == put(right, values) for left, right in facts.agreements)


def put(value: Any, values: Mapping[str, Size]) -> Any:
    """Put numbers in the place of free sizes, however deep they lie."""
    if isinstance(value, Mapping):
        return {name: put(inner, values) for name, inner in value.items()}
    if isinstance(value, Window):
        return Window(*(put(inner, values) for inner in value))
    if isinstance(value, tuple):
        return tuple(put(inner, values) for inner in value)
    return substitute(value, values) if isinstance(value, Formula) else value


@every_example
def test_windows_are_what_is_read(kind: type[Layer], example: Example) -> None:
    """A place that holds NaN makes NaN of the outputs that read it, and of no others."""
    facts = inferred(kind, example.arguments, example.inputs)
    (shape, *others), windows = example.inputs, facts.windows
    if others or windows == "global" or usual(kind) != "float" or numel(shape) > SMALL:
        return
    if not learns(construct(kind, example.arguments), example.inputs):
        return  # NaN is no integer
    if windows == "pointwise":
        windows = (Window(1),) * (len(shape) - 1)
    assert len(windows) == len(shape) - 1
    module = Built(facts.torch).eval().double()
    for axis, window in enumerate(windows, start=1):
        seen = read_by(module, example.inputs, axis)
        whole: list[int] = []
        for output, places in enumerate(seen):
            first = math.ceil(Fraction(output) * window.stride + window.start)
            last = first + window.size - 1
            inside = first >= 0 and last < shape[axis]
            if inside or kind.family != "padding":  # whose images of the input lie outside it
                assert all(first <= place <= last for place in places), (axis, output, places)
            if inside:
                whole.append(max(places) - min(places) + 1 if places else 0)
        assert not whole or max(whole) == window.size, (axis, whole)


@every_example
def test_places_of_the_first_axis_that_are_apart(kind: type[Layer], example: Example) -> None:
    facts = inferred(kind, example.arguments, example.inputs)
    (shape, *others) = example.inputs
    if others or usual(kind) != "float" or numel(shape) > SMALL:
        return
    if not learns(construct(kind, example.arguments), example.inputs):
        return  # NaN is no integer
    seen = read_by(Built(facts.torch).eval().double(), example.inputs, 0)
    apart = seen == [[place] for place in range(shape[0])]

    if facts.apart:
        assert apart
    elif facts.windows != "global" and shape[0] > 1:
        assert not apart


@every_example
def test_views_are_those_of_torch(kind: type[Layer], example: Example) -> None:
    facts = inferred(kind, example.arguments, example.inputs)
    module = Built(facts.torch).train()  # what does nothing in evaluation mode may work here
    inputs = tensors(example.inputs, usual(kind))

    with torch.no_grad():
        output = module(*inputs)

    places = {tensor.untyped_storage().data_ptr() for tensor in inputs}
    assert facts.view == (output.untyped_storage().data_ptr() in places)


@every_example
def test_axes_that_move(kind: type[Layer], example: Example) -> None:
    facts = inferred(kind, example.arguments, example.inputs)
    if not facts.moves:
        return
    (x,) = tensors(example.inputs, "float")

    assert torch.equal(Built(facts.torch)(x), x.permute(0, *(axis + 1 for axis in facts.moves)))


def read_by(module: Built, shapes: Shapes, axis: int) -> list[list[int]]:
    """Return for each place of the output along an axis the places of the input that it reads."""
    # above 0, where every layer has a value
    (whole,) = (tensor.double().abs() + 0.1 for tensor in tensors(shapes, "float"))
    columns: list[list[bool]] = []
    with torch.no_grad():
        for place in range(whole.shape[axis + 1]):
            spoilt = whole.clone()
            spoilt.select(axis + 1, place).fill_(math.nan)
            spoilt = module(spoilt).isnan().transpose(0, axis + 1).flatten(1).any(1)
            columns.append(spoilt.tolist())
    return [[place for place, hit in enumerate(row) if hit] for row in zip(*columns, strict=True)]
