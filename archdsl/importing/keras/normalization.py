"""Normalization, dropout, and what scales numbers."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from archdsl.importing.keras.at import At, axes_of, layer, single
from archdsl.importing.keras.convolution import given_back, taken, unflattened
from archdsl.importing.keras.errors import Missing, Wrong
from archdsl.importing.keras.held import FIRST, LAST, Held, Order

NORMS: dict[int, Any] = {
    2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d
}  # fmt: skip
LEAST = 1e-7  # that `Normalization` divides by: `keras.backend.epsilon()`


class CenteredNorm(nn.Module):
    """Batch normalization that learns where the numbers lie, and not how far apart."""

    def __init__(self, kind: Any, channels: int, rank: int, eps: float, momentum: float) -> None:
        super().__init__()
        self.norm = kind(channels, eps, momentum, affine=False)
        sizes = [1] * (rank - 2) if channels > 1 else []
        self.beta = nn.Parameter(torch.zeros(channels, *sizes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.norm(x) + self.beta
        return found


@layer("BatchNormalization")
def batch_norm(at: At, *given: Any) -> Held:
    x, settings = single(given), at.settings
    axis = settings.axis("axis", x.rank)
    scale, center = settings.flag("scale", True), settings.flag("center", True)
    eps = settings.number("epsilon", 1e-3)
    momentum = round(1 - settings.number("momentum", 0.99), 12)
    if x.rank not in NORMS or axis not in (1, x.rank - 1):
        raise Missing(f"an axis {axis} of {x.rank}")
    kind = NORMS[x.rank]
    tensor: torch.Tensor
    order: Order
    if x.rank == 2:
        tensor, order = at.settled(x)
    elif axis == x.rank - 1:
        tensor, order = x.first, FIRST
    else:
        tensor, order = x.last, LAST
    channels = tensor.shape[1]

    def made() -> nn.Module:
        if center and not scale:
            return CenteredNorm(kind, channels, tensor.dim(), eps, momentum)
        one: nn.Module = kind(channels, eps, momentum, affine=scale, bias=center)
        return one

    module = at.module(made)
    norm = module.norm if center and not scale else module
    names = [(module, "weight")] * scale
    if center:
        names.append((module, "bias" if scale else "beta"))
    names += [(norm, "running_mean"), (norm, "running_var")]
    for number, (home, name) in enumerate(names):
        sizes = getattr(home, name).shape
        at.fill(
            home,
            name,
            at.variable(number, channels),
            lambda one, sizes=sizes: unflattened(order, one).reshape(sizes),
        )
    return Held(module(tensor), order)


@layer("LayerNormalization")
def layer_norm(at: At, *given: Any) -> Held:
    x, settings = single(given), at.settings
    axis = settings.axis("axis", x.rank)
    scale, center = settings.flag("scale", True), settings.flag("center", True)
    eps = settings.number("epsilon", 1e-3)
    if axis != x.rank - 1 or axis == 0:
        raise Missing("another axis than the last one")
    if settings.flag("rms_scaling"):
        raise Missing("its setting `rms_scaling`")
    if center and not scale:
        raise Missing("a center without a scale")
    tensor = x.last
    width = tensor.shape[-1]
    module = at.module(lambda: nn.LayerNorm(width, eps, elementwise_affine=scale, bias=center))
    if scale:
        at.fill(module, "weight", at.variable(0, width))
    if center:
        at.fill(module, "bias", at.variable(1, width))
    return Held(module(tensor))


@layer("GroupNormalization")
def group_norm(at: At, *given: Any) -> Held:
    x, settings = single(given), at.settings
    axis = settings.axis("axis", x.rank)
    if axis != x.rank - 1 or not (settings.flag("scale", True) and settings.flag("center", True)):
        raise Missing("another axis than the last one, or no scale or center")
    tensor = x.first
    channels = tensor.shape[1]
    groups = settings.value("groups", 32)
    groups = channels if groups == -1 else settings.whole("groups", 32)
    if channels % groups:
        raise Wrong(f"has {groups} groups, which don't divide {channels} channels")
    eps = settings.number("epsilon", 1e-3)
    module = at.module(lambda: nn.GroupNorm(groups, channels, eps))
    at.fill(module, "weight", at.variable(0, channels))
    at.fill(module, "bias", at.variable(1, channels))
    return Held(module(tensor), FIRST if x.rank > 2 else LAST)


@layer("UnitNormalization")
def unit_norm(at: At, *given: Any) -> Held:
    x = single(given)
    if at.settings.axis("axis", x.rank) != x.rank - 1:
        raise Missing("another axis than the last one")
    least = 1e-6 if at.build.early else 1e-12  # Keras 2 bounds the square, by 1e-12
    return Held(nn.functional.normalize(x.last, dim=-1, eps=least))


class LayerScale(nn.Module):
    """A learned factor for each channel, which stand on the last axis or behind the batch."""

    def __init__(self, width: int, rank: int, first: bool, value: float) -> None:
        super().__init__()
        sizes = (width, *[1] * (rank - 2)) if first else (width,)
        self.gamma = nn.Parameter(torch.full(sizes, value))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gamma


@layer("LayerScale")
def layer_scale(at: At, *given: Any) -> Held:
    """A layer of Keras's own ConvNeXt."""
    x, settings = single(given), at.settings
    width, value = settings.whole("projection_dim"), settings.number("init_values")
    if width != x.shape[-1]:
        raise Wrong(f"has {width} factors for {x.shape[-1]} channels")
    tensor, order = at.settled(x.ordered)
    module = at.module(lambda: LayerScale(width, x.rank, order == FIRST, value))
    at.fill(module, "gamma", at.variable(0, width), lambda one: one.reshape(module.gamma.shape))
    return Held(module(tensor), order)


# --- dropout and noise ----------------------------------------------------------------------------

CHANNELS: tuple[Any, ...] = (nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


@layer("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D")
def dropout(at: At, *given: Any) -> Held:
    x = single(given)
    rate = at.settings.number("rate")
    if not 0 <= rate <= 1:
        raise at.settings.wrong("rate", "a number from 0 to 1")
    if at.layer.kind != "Dropout":
        count = axes_of(at.layer.kind)
        tensor = taken(at, given, count)
        module = at.module(lambda: CHANNELS[count - 1](rate))
        return given_back(at, module(tensor))
    shape = at.settings.value("noise_shape")
    if shape is not None:
        whole = isinstance(shape, list) and len(shape) == x.rank and shape[1:] == [1] * (x.rank - 1)
        if not whole:
            raise Missing("its setting `noise_shape`")
        at.note("`noise_shape` drops whole samples in Keras, and single numbers here, in training")
    module = at.module(lambda: nn.Dropout(rate))
    return x.each(module)


UNSAID = (
    "GaussianNoise", "GaussianDropout", "AlphaDropout", "ActivityRegularization", "Identity",
    "RandomFlip", "RandomRotation", "RandomZoom", "RandomTranslation", "RandomContrast",
    "RandomBrightness",
)  # fmt: skip


@layer(*UNSAID)
def nothing(at: At, *given: Any) -> Held:
    """It gives what comes in, but in training."""
    at.settings.read.update(at.settings.held)
    if at.layer.kind != "Identity":
        at.note(f"`{at.layer.kind}` does something in training alone, and is not here")
    return single(given)


# --- what comes in --------------------------------------------------------------------------------


def spread(x: Held, value: float | list[float], device: torch.device) -> Any:
    """Return a number, or numbers for the channels, as they are computed with."""
    if isinstance(value, float):
        return value
    if len(value) != x.shape[-1]:
        raise Wrong(f"has {len(value)} numbers for {x.shape[-1]} channels")
    sizes = (len(value), *[1] * (x.rank - 2)) if x.order == FIRST else (len(value),)
    return torch.tensor(value, device=device).reshape(sizes)


@layer("Rescaling")
def rescaled(at: At, *given: Any) -> Held:
    x = single(given).ordered
    scale, offset = at.settings.numbers("scale", 1.0), at.settings.numbers("offset", 0.0)
    tensor, order = x.pair
    if scale != 1:
        tensor = tensor * spread(x, scale, tensor.device)
    if offset != 0:
        tensor = tensor + spread(x, offset, tensor.device)
    return Held(tensor, order)


class Normalization(nn.Module):
    """Brings what comes in to mean 0 and variance 1, by numbers that were measured before."""

    mean: torch.Tensor
    variance: torch.Tensor

    def __init__(self, width: int, rank: int, first: bool) -> None:
        super().__init__()
        sizes = (width, *[1] * (rank - 2)) if first else (width,)
        self.register_buffer("mean", torch.zeros(sizes))
        self.register_buffer("variance", torch.ones(sizes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x - self.mean) / torch.clamp(torch.sqrt(self.variance), LEAST)


@layer("Normalization")
def normalized(at: At, *given: Any) -> Held:
    x, settings = single(given).ordered, at.settings
    if settings.flag("invert"):
        raise Missing("its setting `invert`")
    last = settings.value("axis") in (-1, [-1], x.rank - 1, [x.rank - 1])
    mean, variance = settings.value("mean"), settings.value("variance")
    if mean is not None and variance is not None:
        means, variances = settings.numbers("mean"), settings.numbers("variance")
        if not last and len([*listed(means), *listed(variances)]) > 2:
            raise Missing("another axis than the last one")
        spans = [max(one, 0.0) ** 0.5 for one in listed(variances)]
        spans = [max(one, LEAST) for one in spans]
        scale = [1 / one for one in spans]
        shift = [
            -one / span
            for one, span in zip(
                listed(means) * (len(spans) // len(listed(means))), spans, strict=True
            )
        ]
        tensor, order = x.pair
        scaled = tensor * spread(x, scale if len(scale) > 1 else scale[0], tensor.device)
        return Held(scaled + spread(x, shift if len(shift) > 1 else shift[0], tensor.device), order)
    if not last:
        raise Missing("another axis than the last one")
    width = x.shape[-1]
    tensor, order = at.settled(x)
    module = at.module(lambda: Normalization(width, x.rank, order == FIRST))
    for number, name in enumerate(("mean", "variance")):
        at.fill(
            module, name, at.variable(number, width), lambda one: one.reshape(module.mean.shape)
        )
    at.leave(at.variable(2), "how many samples were measured")
    return Held(module(tensor), order)


def listed(value: float | list[float]) -> list[float]:
    """Return numbers as a list."""
    return value if isinstance(value, list) else [value]
