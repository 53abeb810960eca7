"""Pooling against torch and against counting, over all small sizes."""

from __future__ import annotations

from itertools import product
from math import ceil, inf
from random import Random

import pytest
import torch
from torch_facts import Built

from archdsl.layers import pooling
from archdsl.layers.adaptive_windows import adaptive_window, places_read
from archdsl.layers.base import Layer, LayerError
from archdsl.layers.ceil_windows import count, overhang
from archdsl.layers.pooling import LARGEST, AvgPool2d, LPPool1d, MaxPool1d, MaxPool2d
from archdsl.layers.sizes import Formula, substitute

N = Formula.named("n")


@pytest.mark.parametrize("ceil_mode", [False, True])
def test_windows_are_counted_as_torch_does(ceil_mode: bool) -> None:
    for size, kernel, stride, padding, dilation in product(
        range(1, 9), range(1, 5), range(1, 6), range(3), (1, 2)
    ):
        arguments = {"kernel_size": kernel, "stride": stride, "padding": padding}
        arguments |= {"dilation": dilation, "ceil_mode": ceil_mode}
        try:
            expected = torch.nn.MaxPool1d(**arguments)(torch.zeros(1, 1, size)).shape[-1]
        except RuntimeError:
            expected = None
        try:
            found = MaxPool1d(**arguments).infer(((1, size),)).output[-1]
        except LayerError:
            found = None
        assert found == expected, (size, arguments)
        if found is not None:
            free = MaxPool1d(**arguments).infer(((1, N),)).output[-1]
            assert substitute(free, {"n": size}) == found


def test_padding_behind_an_axis_holds_the_windows_of_ceil_mode() -> None:
    for size, kernel, stride, padding, dilation in product(
        range(1, 9), range(1, 5), range(1, 6), range(3), (1, 2)
    ):
        span = dilation * (kernel - 1) + 1
        (behind,) = overhang((kernel,), (stride,), (padding,), (dilation,))

        without_ceil_mode = (size + padding + behind - span) // stride + 1
        assert without_ceil_mode == count(size, span, stride, padding, True)


def same_windows(size: int, kernel: int, stride: int, dilation: int) -> list[list[int]]:
    """Return which places of an axis each window reads by TensorFlow's rule, padding left out."""
    places = ceil(size / stride)
    total = max((places - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
    starts = [place * stride - total // 2 for place in range(places)]
    reads = [[start + dilation * tap for tap in range(kernel)] for start in starts]
    return [[place for place in window if 0 <= place < size] for window in reads]


@pytest.mark.parametrize("kind", ["MaxPool", "AvgPool", "LPPool"])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_same_padding_is_that_of_tensorflow(kind: str, axes: int) -> None:
    layer = getattr(pooling, f"{kind}{axes}d")
    random = Random(axes)
    for _ in range(60):
        image, kernels, strides = (
            [random.randint(1, most) for _ in range(axes)] for most in (7, 4, 4)
        )
        dilations = [random.randint(1, 2) if kind == "MaxPool" else 1 for _ in range(axes)]
        arguments = {"kernel_size": tuple(kernels), "padding": "same"}
        arguments |= {"stride": tuple(strides)} if random.random() < 0.8 else {}
        arguments |= {"dilation": tuple(dilations)} if kind == "MaxPool" else {}
        arguments |= {"norm_type": 3} if kind == "LPPool" else {}
        arguments |= {"ceil_mode": True} if random.random() < 0.2 else {}
        facts = layer(**arguments).infer(((2, *image),))
        x = torch.rand(1, 2, *image, dtype=torch.double) - (0.5 if kind == "MaxPool" else 0)

        steps = strides if "stride" in arguments else kernels
        windows = [*map(same_windows, image, kernels, steps, dilations)]
        expected = [
            [reduced(kind, channel, taps) for taps in product(*windows)] for channel in x[0]
        ]
        found = Built(facts.torch)(x)

        assert facts.output == tuple(found.shape[1:])
        torch.testing.assert_close(found.flatten(2)[0], torch.tensor(expected, dtype=x.dtype))
        free = layer(**arguments).infer(((2, *map(Formula.named, "abc"[:axes])),)).output
        sizes = dict(zip("abc", image, strict=False))
        assert tuple(substitute(size, sizes) for size in free) == facts.output


def reduced(kind: str, channel: torch.Tensor, taps: tuple[list[int], ...]) -> float:
    """Return what a window gives that reads the product of so many places of each axis."""
    read = [float(channel[place]) for place in product(*taps)]
    if kind == "LPPool":
        return sum(value**3 for value in read) ** (1 / 3)
    # a dilated window may step over a small input, which torch's own pooling calls minus infinity
    return max(read, default=-inf) if kind == "MaxPool" else sum(read) / len(read)


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (AvgPool2d(kernel_size=2, padding="same", divisor_override=3), "divisor_override"),
        (LPPool1d(norm_type=-2, kernel_size=2, padding="same"), "norm_type below 0"),
    ],
)
def test_what_same_padding_would_falsify_is_refused(layer: Layer, reason: str) -> None:
    with pytest.raises(LayerError, match=reason):
        layer.infer(((4, *(8,) * layer.axes),))


def test_a_pool_over_the_whole_map_may_have_a_free_kernel() -> None:
    facts = AvgPool2d(kernel_size=(N, 3)).infer(((8, N, 6),))

    assert facts.output == (8, 1, 2)
    assert facts.other == {"pooling": 8 * 2 * 3 * N}


def test_ceil_mode_needs_a_kernel_of_known_size() -> None:
    with pytest.raises(LayerError, match="known size"):
        MaxPool1d(kernel_size=N, stride=2, ceil_mode=True).infer(((8, N),))


def test_arguments_are_of_32_bits() -> None:
    assert MaxPool2d(kernel_size=2, stride=LARGEST).infer(((1, 8, 8),)).output == (1, 1, 1)
    with pytest.raises(LayerError, match="2147483647"):
        MaxPool2d(kernel_size=2, stride=LARGEST + 1).infer(((1, 8, 8),))


@pytest.mark.parametrize(("size", "output"), list(product(range(1, 15), range(1, 15))))
def test_adaptive_windows_are_counted_exactly(size: int, output: int) -> None:
    starts = [i * size // output for i in range(output)]
    ends = [-(-(i + 1) * size // output) for i in range(output)]
    total = sum(ends) - sum(starts)

    assert places_read(size, output) == total
    assert substitute(places_read(N, output), {"n": size}) == total
    window = adaptive_window(size, output)
    assert window is not None
    firsts = [ceil(i * window.stride + window.start) for i in range(output)]
    assert firsts == starts or output == 1
    assert window.size == max(end - start for start, end in zip(starts, ends, strict=True))


def test_adaptive_windows_over_free_sizes() -> None:
    assert adaptive_window(7 * N, 7) == (N, N, 0)
    assert adaptive_window(N, N) == (1, 1, 0)
    assert adaptive_window(N, 7) is None
    assert adaptive_window(N, 2 * N) is None
    assert places_read(7 * N, 7) == 7 * N
    assert places_read(N, 1_000_000_007) == N + 1_000_000_006  # at most
