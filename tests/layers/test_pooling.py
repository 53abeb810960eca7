"""Pooling against torch and against counting, over all small sizes."""

from __future__ import annotations

from itertools import product
from math import ceil

import pytest
import torch

from archdsl.layers.adaptive_windows import adaptive_window, places_read
from archdsl.layers.base import LayerError
from archdsl.layers.pooling import LARGEST, AvgPool2d, MaxPool1d, MaxPool2d
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
