"""Deconvnets: against ones written by hand, against Captum, and against gradients of copies."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from building import LAYERS, Builder

import archdsl
from archdsl.backends.deconvnet.source import deconvnet
from archdsl.backends.deconvnet.way_back import RULES
from archdsl.backends.python_source import PythonSource, generate
from archdsl.graph import CheckedGraph, Output
from archdsl.layers.base import (
    ArgumentErrors,
    Example,
    Kind,
    Layer,
    LayerError,
    construct,
)
from archdsl.layers.sizes import Formula

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from archdsl.backends.torch_module import torch_module  # noqa: E402
from archdsl.backends.torch_module.running import chosen_sizes, random_inputs  # noqa: E402

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::UserWarning"),  # of torch, about padding and the like
]
DOUBLE, CPU = torch.float64, torch.device("cpu")


# --- what a deconvnet is held against ----------------------------------------------------------


class Backwards(torch.autograd.Function):
    """A rectifier with the way back of a rule, written out: `passes` is where it lets through."""

    @staticmethod
    def forward(ctx: Any, x: Any, y: Any, passes: Any, rule: str) -> Any:
        ctx.rule = rule
        ctx.save_for_backward(passes)
        return y.clone()

    @staticmethod
    def backward(ctx: Any, back: Any) -> Any:
        (passes,) = ctx.saved_tensors
        positive = torch.where(back > 0, back, torch.zeros_like(back))
        if ctx.rule == "deconvnet":
            return positive, None, None, None
        return positive * passes, None, None, None


class Unnormalized(torch.autograd.Function):
    """Normalization of contrast, which a deconvnet leaves out on the way back."""

    @staticmethod
    def forward(ctx: Any, x: Any, y: Any) -> Any:
        return y.clone()

    @staticmethod
    def backward(ctx: Any, back: Any) -> Any:
        return back, None


# Where what rectifies lets through what comes in
PASSES: Mapping[type[nn.Module], Any] = {
    nn.ReLU: lambda layer, x: x > 0,
    nn.ReLU6: lambda layer, x: (x > 0) & (x < 6),
    nn.Hardtanh: lambda layer, x: (x > layer.min_val) & (x < layer.max_val),
    nn.Threshold: lambda layer, x: x > layer.threshold,
}


def rectifies(layer: nn.Module) -> bool:
    if isinstance(layer, nn.Hardtanh) and not isinstance(layer, nn.ReLU6):
        return layer.min_val == 0
    if isinstance(layer, nn.Threshold):
        return layer.value == 0 and layer.threshold >= 0
    return isinstance(layer, nn.ReLU | nn.ReLU6)


class Replaced(nn.Module):
    """A layer with the way back of a rule."""

    def __init__(self, layer: Any, rule: str) -> None:
        super().__init__()
        self.layer, self.rule = layer, rule
        layer.inplace = False

    def forward(self, x: Any) -> Any:
        if isinstance(self.layer, nn.LocalResponseNorm):
            return Unnormalized.apply(x, self.layer(x.detach()))  # type: ignore[no-untyped-call]
        passes = PASSES[type(self.layer)](self.layer, x.detach()).to(x.dtype)
        y = self.layer(x.detach())
        return Backwards.apply(x, y, passes, self.rule)  # type: ignore[no-untyped-call]


def replaced(module: nn.Module, rule: str) -> nn.Module:
    """Put layers with the way back of a rule into a network."""
    for holder in [*module.modules()]:
        for name, inner in [*holder._modules.items()]:
            if inner is None:
                continue
            contrast = isinstance(inner, nn.LocalResponseNorm) and rule == "deconvnet"
            if rule != "gradient" and (rectifies(inner) or contrast):
                holder._modules[name] = Replaced(inner, rule)
    return module


class Case:
    """A network, and a copy of it that gives the tensors of some of its nodes."""

    def __init__(self, checked: CheckedGraph, names: Sequence[str] = ()) -> None:
        self.checked = checked
        self.source: PythonSource = generate(checked)
        self.names = list(names) or [name for name in checked.nodes if leads(checked, name)]
        outputs = tuple(
            Output(f"out{number}", name, False, checked.span)
            for number, name in enumerate(self.names)
        )
        self.copied = replace(checked, outputs=outputs, training_only=frozenset(), again=None)
        torch.manual_seed(0)
        self.weights = shaken(torch_module(checked, self.source).double().state_dict())
        self.inputs = random_inputs(checked, CPU, DOUBLE, chosen_sizes(checked))

    def check(self, rule: str) -> None:
        """Compare what leads back from every node with the gradient of the copy."""
        copy = torch_module(self.copied).double().eval()
        copy.load_state_dict(self.weights)
        copy = replaced(copy, rule)
        given = {
            name: one.clone().requires_grad_(one.is_floating_point())
            for name, one in self.inputs.items()
        }
        found = copy(*given.values())
        tensors = (found,) if isinstance(found, torch.Tensor) else tuple(found)
        for name, tensor in zip(self.names, tensors, strict=True):
            made = deconvnet(self.checked, name, rule, self.source)
            module = torch_module(self.checked, made.source, dtype="float64")
            module.load_state_dict(self.weights)
            passed = [self.inputs[each] for each in made.inputs]
            leaves = [given[each] for each in made.inputs if given[each].requires_grad]
            projection: Any = module.projection(*passed)  # type: ignore[operator]
            assert same(module.activations(*passed), tensor.detach()), name  # type: ignore[operator]
            samples = tensor.reshape(len(tensor), -1)
            best = samples.argmax(1)
            strongest = samples.gather(1, best[:, None])
            assert same(projection.value, strongest[:, 0].detach()), name
            expected = gradient(strongest.sum(), leaves)
            assert close(projection.projected, expected), (name, rule)
            whole = module(*passed, everything=True)
            expected = gradient((samples * samples.detach()).sum(), leaves)
            assert close(whole, expected), (name, rule)


def gradient(of: Any, leaves: Sequence[Any]) -> Any:
    if not of.requires_grad:
        return [torch.zeros_like(leaf) for leaf in leaves]
    found = torch.autograd.grad(of, leaves, retain_graph=True, materialize_grads=True)
    return list(found)


def leads(checked: CheckedGraph, name: str) -> bool:
    """Tell whether a deconvnet of a node can be made."""
    try:
        deconvnet(checked, name)
    except archdsl.ArchError as error:
        return error.diagnostics[0].code != "E0614"
    return True


def shaken(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Return weights in which statistics and shifts are not what they are at first."""
    return {
        name: one + torch.rand_like(one) * 0.3 if one.is_floating_point() else one
        for name, one in weights.items()
    }


def same(found: Any, expected: Any) -> bool:
    """Tell whether tensors are equal, where no number is no number."""
    return bool(((found == expected) | (found.isnan() & expected.isnan())).all())


def close(found: Any, expected: Any) -> bool:
    """Tell whether tensors agree to 1e-6 of the largest number in them."""
    several = (found,) if isinstance(found, torch.Tensor) else found
    assert len(several) == len(expected)
    return all(
        one.shape == other.shape and bool(torch.allclose(
            one, other, rtol=0, atol=1e-6 * float(other.nan_to_num().abs().max()), equal_nan=True
        ))
        for one, other in zip(several, expected, strict=True)
    )  # fmt: skip


# --- every layer -------------------------------------------------------------------------------

COMBINATIONS = 6  # of other arguments, for each example
LARGEST = 4_000  # numbers that come in


def uses(kind: type[Layer], example: Example) -> Iterator[CheckedGraph]:
    """Yield networks of one layer, as in an example and with other arguments."""
    generator = random.Random(kind.__name__)
    choices = {
        name: samples
        for name, field in kind.model_fields.items()
        for samples in [[s for m in field.metadata if isinstance(m, Kind) for s in m.samples]]
        if samples
    }
    several: list[Mapping[str, object]] = [example.arguments]
    for _ in range(COMBINATIONS if choices else 0):
        several.append(
            dict(example.arguments)
            | {
                name: generator.choice(samples)
                for name, samples in choices.items()
                if generator.random() < 2 / 3
            }
        )
    for arguments in several:
        builder = Builder("one")
        # behind something that gives numbers of both signs and is no input
        read = [builder.input(f"x{place}", *shape) for place, shape in enumerate(example.inputs)]
        if "float" in kind.takes:
            read = [
                builder.put(f"before{place}", construct(LAYERS["Tanh"], {}), name)
                for place, name in enumerate(read)
            ]
        try:
            builder.put("layer", construct(kind, arguments), *read)
        except (ArgumentErrors, LayerError):
            continue
        yield builder.checked()


KINDS = [*LAYERS.values(), *map(LAYERS.word, ("concat", "add", "sub", "mul"))]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_layer(kind: type[Layer]) -> None:
    for example in kind.examples:
        sizes = [size for shape in example.inputs for size in shape]
        if any(isinstance(size, Formula) for size in sizes) or sum(map(int, sizes)) > LARGEST:
            continue
        for checked in uses(kind, example):
            if leads(checked, "layer"):
                case = Case(checked, ["layer"])
                for rule in RULES:
                    case.check(rule)
