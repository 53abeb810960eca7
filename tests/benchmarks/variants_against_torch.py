"""Measures variants a second: python tests/benchmarks/variants_against_torch.py

Residual networks of about the size of ResNet-50, with other widths and depths: by a sweep, and in
the usual way, torchvision's module on the meta device under torch's FlopCounterMode, in one
process and on one core. Their parameters and multiply-accumulates must be equal. Prints the rates
and the ratio, and the rate for inception_v3. To be run by hand on a quiet machine: times are no
test.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.resnet import Bottleneck, ResNet

import archdsl
from archdsl.variants.plan import Counting
from archdsl.variants.sweep import Sweep

SPECS = Path(__file__).parents[2] / "specs"
VARIANTS, IN_TORCH = 1_000, 12
WIDTHS = range(16, 129, 16)
DEPTHS = [[a, b, c, d] for a in (2, 3, 4) for b in (3, 4, 5) for c in (5, 6, 7) for d in (2, 3, 4)]
LEAST_RATE, MOST_TIMES = 400, 4


def residual(widths: range) -> Sweep:
    """Return a sample of residual networks with such widths inside their blocks."""
    units = [f"Bottleneck(group_width = {width})" for width in widths]
    return archdsl.sweep(
        SPECS / "resnet.arch", network="ResNet", unit=units, depths=DEPTHS, random=VARIANTS
    )


def inception() -> Sweep:
    return archdsl.sweep("inception_v3", classes=range(10, 10 + VARIANTS))


def seconds(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def rate(sweep: Sweep) -> float:
    """Return how many variants are counted in a second of one core's time."""
    counting, chosen = Counting(sweep.plan), list(sweep.chosen)
    return len(chosen) / seconds(lambda: [counting.outcome(number) for number in chosen])


def in_torch(width: int, depths: list[int]) -> tuple[int, int]:
    """Return parameters and multiply-accumulates as one gets them from torch."""
    with torch.device("meta"):
        module = ResNet(Bottleneck, depths, width_per_group=width).eval()
        counter = FlopCounterMode(display=False)
        with counter:
            module(torch.empty(1, 3, 224, 224))
    return sum(each.numel() for each in module.parameters()), counter.get_total_flops() // 2


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    sweep = residual(WIDTHS)
    rows = list(sweep)[:: VARIANTS // IN_TORCH][:IN_TORCH]
    asked = [(int(row["unit"].split("=")[1].rstrip(")")), [*row["depths"]]) for row in rows]
    in_torch(*asked[0])  # which imports what torch imports late
    found: list[tuple[int, int]] = []
    torch_rate = len(asked) / seconds(lambda: found.extend(in_torch(*one) for one in asked))
    assert found == [(row["parameters"], row["macs"]) for row in rows]

    ours, cold = rate(sweep), rate(residual(range(16, 16 + 40 * VARIANTS, 40)))
    times = ours / rate(inception())
    print(f"meta device, FlopCounterMode  {torch_rate:7.0f} a second")
    print(f"sweep over 8 x 81 variants    {ours:7.0f} a second (at least {LEAST_RATE})")
    print(f"sweep, each width a new one   {cold:7.0f} a second")
    print(f"times as many                 {ours / torch_rate:7.1f}")
    print(f"inception_v3 takes            {times:7.1f} times as long (at most {MOST_TIMES})")


if __name__ == "__main__":
    main()
