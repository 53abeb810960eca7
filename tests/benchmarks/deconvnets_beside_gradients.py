"""Compares projections by deconvnets with a forward and backward pass of the same network.

    python tests/benchmarks/deconvnets_beside_gradients.py
    python tests/benchmarks/deconvnets_beside_gradients.py --device cuda --batch 32

Prints, for each network and rule, the time of a projection from the last layer to that of a forward
and a backward pass, as a step of training has them, and in brackets to that of passes which leave
the weights out: the least of ours to the least of theirs, taken in turn. The aim is at most 1.2. On
a CPU it is processor time on one thread; on a GPU the time until it is done.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch

import archdsl
from archdsl.backends.deconvnet.way_back import RULES

NETWORKS = ("alexnet", "zfnet", "resnet50", "googlenet", "inception_v3", "mobilenet_v2")


def seconds(work: Callable[[], object], device: str) -> float:
    if device == "cpu":
        begun = time.process_time()
        work()
        return time.process_time() - begun
    torch.cuda.synchronize()
    begun = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - begun


def whole(module: Any, images: Any) -> None:
    """Do a forward pass, and the backward pass of a step of training."""
    module(images.clone().requires_grad_()).amax(dim=1).sum().backward()
    module.zero_grad()


def alone(module: Any, images: Any) -> None:
    """Do a forward pass, and a backward pass that leaves the weights out."""
    leaf = images.clone().requires_grad_()
    torch.autograd.grad(module(leaf).amax(dim=1).sum(), leaf)


def ratios(network: archdsl.Network, rule: str, given: argparse.Namespace) -> str:
    """Return what is printed of a rule."""
    shape = next(iter(network.checked.inputs.values()))
    images = torch.randn(given.batch, *shape, device=given.device)
    plain: Any = network.compile(device=given.device).eval()
    output = network.checked.outputs[0].name
    module: Any = network.deconvnet(output, rule=rule, device=given.device)
    works: dict[str, Callable[[], object]] = {
        "ours": lambda: module(images),
        "whole": lambda: whole(plain, images),
        "alone": lambda: alone(plain, images),
    }
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(given.turns + 1):  # the first warms up
        for name, work in works.items():
            times[name].append(seconds(work, given.device))
    least = {name: min(found[1:]) for name, found in times.items()}
    return f"{rule} {least['ours'] / least['whole']:.2f} ({least['ours'] / least['alone']:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    for name in given.networks:
        network = archdsl.load(name)
        print(f"{name:<14}", ", ".join(ratios(network, rule, given) for rule in RULES), flush=True)


if __name__ == "__main__":
    main()
