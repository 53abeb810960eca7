"""Modules whose layers or functions have arguments that no weight shows, and joined frames."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional

import archdsl
from archdsl.importing.errors import ImportingError

Function = Callable[[torch.Tensor], torch.Tensor]


class Behind(nn.Module):
    """Does something to what a convolution gives."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.function(self.conv(x))
        return y


IMAGE = torch.randn(2, 3, 6, 6)

NORMS: dict[str, tuple[Function, str]] = {
    "module": (nn.LayerNorm([6, 6], elementwise_affine=False), "axes = 2"),
    "module_of_all": (nn.LayerNorm([4, 6, 6], elementwise_affine=False), "axes = 3"),
    "rms_module": (nn.RMSNorm([6, 6], elementwise_affine=False), "axes = 2"),
    "one_axis": (nn.LayerNorm(6, elementwise_affine=False), "LayerNorm(elementwise_affine = fal"),
    "function": (lambda x: functional.layer_norm(x, (6, 6)), "axes = 2"),
    "function_of_all": (lambda x: functional.layer_norm(x, x.shape[1:]), "axes = 3"),
    "rms": (lambda x: functional.rms_norm(x, (6, 6)), "axes = 2"),
    "behind_the_batch": (
        lambda x: functional.layer_norm(x.transpose(0, 1), (6, 6)).transpose(0, 1),
        "axes = 2",
    ),
}


@pytest.mark.parametrize(("function", "said"), NORMS.values(), ids=NORMS)
def test_axes_are_found_without_weights(function: Function, said: str) -> None:
    network = archdsl.from_torch(Behind(function), IMAGE)

    assert network.proof.sentence().startswith("the same, name by name; outputs"), network.proof
    assert said in network.spec


def over_the_batch(x: torch.Tensor) -> torch.Tensor:
    y = functional.layer_norm(x.permute(1, 2, 3, 0), x.shape[:1])
    return y.permute(3, 0, 1, 2)


def test_a_normalization_over_the_batch_is_refused() -> None:
    with pytest.raises(ImportingError, match="isn't the batch"):
        _ = archdsl.from_torch(Behind(over_the_batch), IMAGE).spec


class Two(nn.Module):
    """Puts two batches one behind the other, or something else made of two inputs."""

    def __init__(self, function: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.function = function

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return self.function(self.conv, left, right)


HALVES: dict[str, tuple[Callable[..., torch.Tensor], str]] = {
    "first": (lambda conv, a, b: conv(torch.cat([a, b])).chunk(2)[0], "right"),
    "second": (lambda conv, a, b: conv(torch.cat([a, b])).chunk(2)[1], "left"),
    "more": (lambda conv, a, b: conv(torch.cat([a, b])).chunk(2)[1].relu(), "left"),
    "before": (lambda conv, a, b: conv(torch.cat([a, b]).chunk(2)[0]), "right"),
    "of_none": (lambda conv, a, b: conv(torch.cat([a, b * 0 + 1])).chunk(2)[0], "right"),
    "zeros": (lambda conv, a, b: conv(torch.cat([torch.zeros_like(a), b])).chunk(2)[1], "left"),
    "apart": (lambda conv, a, b: conv(a), "right"),
}


@pytest.mark.parametrize(("function", "unused"), HALVES.values(), ids=HALVES)
def test_an_input_that_no_output_needs_is_refused(
    function: Callable[..., torch.Tensor], unused: str
) -> None:
    network = archdsl.from_torch(Two(function), (IMAGE, IMAGE + 1))

    assert network.count().parameters == 16
    with pytest.raises(ImportingError, match=f"the input `{unused}`, which no output needs"):
        _ = network.spec


def test_one_tensor_may_come_in_twice() -> None:
    network = archdsl.from_torch(Two(lambda conv, a, b: conv(a) - conv(b)), (IMAGE, IMAGE))

    assert network.proof.sentence() == "the same, name by name; outputs equal"


class Frames(nn.Module):
    """Does the same to each frame of a film, which are joined with the batch."""

    def __init__(self, inner: nn.Module | Function) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 6)
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.inner(self.linear(x).flatten(0, 1))
        return y.unflatten(0, (x.shape[0], x.shape[1])).mean(1)


class Dropping(nn.Module):
    """Drops channels by a function."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.dropout2d(x, 0.5, self.training)


FRAMES: dict[str, nn.Module | Function] = {
    "reflect": nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
    "replicate": nn.Conv2d(4, 4, 3, padding=(2, 1), padding_mode="replicate", stride=2),
    "circular": nn.Conv2d(4, 4, 3, padding="same", padding_mode="circular", dilation=(1, 2)),
    "unpadded": nn.Conv2d(4, 4, 3, padding_mode="reflect", groups=2),
    "sequence_of_rows": nn.Linear(6, 5),
    "neighbouring_channels": nn.LocalResponseNorm(3, alpha=1),
    "neighbouring_by_function": lambda x: functional.local_response_norm(x, 3, alpha=1),
    "shuffled": nn.ChannelShuffle(2),
    "shuffled_by_function": lambda x: functional.channel_shuffle(x, 2),
    "softmax_of_channels": nn.Softmax(1),
    "softmax_of_rows": nn.Softmax(2),
    "softmax_of_columns": nn.Softmax(3),
    "slopes": nn.PReLU(4),
    "statistics": nn.BatchNorm2d(4),
    "dropout": nn.Dropout(),
    "channels_dropped": nn.Dropout2d(),
    "channels_dropped_by_function": Dropping(),
    "channels_set": nn.FeatureAlphaDropout(),
    "all_of_a_frame": nn.LayerNorm([4, 6, 6]),
}


@pytest.mark.parametrize("count", [3, 4], ids=["frames_3", "as_many_frames_as_channels"])
@pytest.mark.parametrize("inner", FRAMES.values(), ids=FRAMES)
def test_layers_do_the_same_to_each_frame(inner: nn.Module | Function, count: int) -> None:
    network = archdsl.from_torch(Frames(inner), torch.randn(2, count, 4, 6, 6))

    assert network.proof.sentence().startswith("the same, name by name; outputs"), network.proof


REFUSED: dict[str, nn.Module | Function] = {
    "groups": nn.GroupNorm(2, 4, affine=False),
    "groups_by_function": lambda x: functional.group_norm(x, 2),
    "instances": nn.InstanceNorm2d(4),
    "instances_by_function": lambda x: functional.instance_norm(x),
}


@pytest.mark.parametrize("inner", REFUSED.values(), ids=REFUSED)
def test_what_would_mix_frames_is_refused(inner: nn.Module | Function) -> None:
    with pytest.raises(ImportingError, match=r"joined with the batch|as it is used here"):
        _ = archdsl.from_torch(Frames(inner), torch.randn(2, 4, 4, 6, 6)).spec


def test_frames_that_are_dropped_as_wholes_are_refused() -> None:
    operations = pytest.importorskip("torchvision.ops")
    module = Frames(operations.StochasticDepth(0.5, "row"))
    with pytest.raises(ImportingError, match="joined with the batch"):
        _ = archdsl.from_torch(module, torch.randn(2, 3, 4, 6, 6)).spec


NORMLESS: dict[str, tuple[Callable[..., torch.Tensor], str]] = {
    "parameters": (lambda conv, a, b: conv(a - b) / conv.weight.norm(), "numbers of parameters"),
    "batch": (lambda conv, a, b: conv(a - b) / b.norm(), "numbers of a whole batch"),
    "order": (lambda conv, a, b: conv(a - b).norm(1, dim=1), "a norm of the order 1"),
}


@pytest.mark.parametrize(("function", "said"), NORMLESS.values(), ids=NORMLESS)
def test_norms_are_refused_for_what_they_are(
    function: Callable[..., torch.Tensor], said: str
) -> None:
    with pytest.raises(ImportingError, match=said):
        _ = archdsl.from_torch(Two(function), (IMAGE, IMAGE + 1)).spec
