"""What deconvnets are held against: gradients of copies of a network, and ones written by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn import functional

import archdsl
from archdsl.backends.deconvnet.source import deconvnet
from archdsl.backends.python_source import PythonSource, generate
from archdsl.backends.torch_module import torch_module
from archdsl.backends.torch_module.running import chosen_sizes, random_inputs
from archdsl.graph import CheckedGraph, Output

DOUBLE, CPU = torch.float64, torch.device("cpu")


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
        self.names = list(names) or [
            name for name in checked.nodes if leads(checked, name, self.source)
        ]
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
            activations: Any = module.activations(*passed)  # type: ignore[operator]
            # attention runs in another kernel where no gradient is asked of its mask
            assert torch.allclose(activations, tensor.detach(), 1e-12, 1e-12, True), name
            samples = tensor.reshape(len(tensor), -1)
            best = samples.argmax(1)
            strongest = samples.gather(1, best[:, None])
            assert torch.allclose(projection.value, strongest[:, 0].detach(), 1e-12, 1e-12, True)
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


def leads(checked: CheckedGraph, name: str, source: PythonSource | None = None) -> bool:
    """Tell whether a deconvnet of a node can be made."""
    try:
        deconvnet(checked, name, "gradient", source)
    except archdsl.ArchError as error:
        return error.diagnostics[0].code != "E0614"
    return True


def shaken(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Return weights in which statistics, scales and shifts are not what they are at first."""
    return {
        name: one + torch.rand_like(one) * 0.3
        if one.is_floating_point() and one.dim() == 1
        else one
        for name, one in weights.items()
    }


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


class ByHand:
    """A chain of convolutions with ReLU, and pooling, led back step by step as in the paper.

    Args:
        steps: of each step `("conv", weight, bias, options)`, `("relu",)`, `("norm", layer)`,
            `("pool", options)`, `("flatten",)` or `("linear", weight, bias)`.
    """

    def __init__(self, steps: Sequence[tuple[Any, ...]]) -> None:
        self.steps = steps

    def forward(self, x: Any) -> Any:
        self.came: list[tuple[Any, Any]] = []  # what came into each step, and its switches
        for what, *given in self.steps:
            switches = None
            before = x
            if what == "conv":
                x = functional.conv2d(x, given[0], given[1], **given[2])
            elif what == "linear":
                x = x @ given[0].T + given[1]
            elif what == "relu":
                x = x * (x > 0)
            elif what == "norm":
                x = given[0](x)
            elif what == "pool":
                x, switches = functional.max_pool2d(x, return_indices=True, **given[0])
            else:
                x = x.flatten(1)
            self.came.append((before, switches))
        return x

    def back(self, x: Any) -> Any:
        for (what, *given), (before, switches) in zip(
            reversed(self.steps), reversed(self.came), strict=True
        ):
            if what == "conv":
                x = self.filtered(x, before, given[0], **given[2])
            elif what == "linear":
                x = x @ given[0]
            elif what == "relu":
                x = x * (x > 0)
            elif what == "pool":
                unpooled = torch.zeros_like(before).flatten(2)
                x = unpooled.scatter_add(2, switches.flatten(2), x.flatten(2)).view_as(before)
            elif what == "flatten":
                x = x.view_as(before)
        return x

    def filtered(
        self, x: Any, before: Any, weight: Any, stride: int = 1, padding: int = 0, groups: int = 1
    ) -> Any:
        """Filter by the transposed convolution; what no window reached is 0."""
        reached = (x.shape[2] - 1) * stride + weight.shape[2] - 2 * padding
        return functional.conv_transpose2d(
            x,
            weight,
            stride=stride,
            padding=padding,
            output_padding=before.shape[2] - reached,
            groups=groups,
        )


def by_hand(weights: Mapping[str, Any], steps: str, norm: nn.Module | None = None) -> ByHand:
    """Make one of steps such as `conv features.0 stride=4; relu; pool kernel_size=3`."""
    made: list[tuple[Any, ...]] = []
    for step in steps.split(";"):
        what, *given = step.split()
        pairs = [one.partition("=") for one in given if "=" in one]
        options = {key: key == "ceil_mode" or int(value) for key, _, value in pairs}
        names = [one for one in given if "=" not in one]
        tensors = [weights[f"{name}.{kind}"] for name in names for kind in ("weight", "bias")]
        if what == "norm":
            made.append((what, norm))
        else:
            made.append((what, *tensors, *[options] * (what in ("conv", "pool"))))
    return ByHand(made)
