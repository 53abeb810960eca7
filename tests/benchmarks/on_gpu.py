"""Images a second on a GPU: torchvision's modules eager and compiled, and ours with each engine.

python tests/benchmarks/on_gpu.py --seconds 330

Of each network at each batch: torchvision's module in float32; in bfloat16 with channels last;
under `torch.compile(mode="max-autotune")`; and ours in bfloat16 by `graphs` and `inductor`. Beside
it stands the share of the least time that the device's peaks allow (`archdsl count --device`), if
it is one that archdsl knows. What the time doesn't suffice for is said and left out.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import torch
import torchvision

import archdsl
from archdsl.analysis.devices import known
from archdsl.analysis.roofline import roofline
from archdsl.diagnostics import ArchError

NETWORKS: dict[str, Callable[[], Any]] = {
    "resnet50": torchvision.models.resnet50,
    "inception_v3": lambda: torchvision.models.inception_v3(init_weights=False),
    "densenet121": torchvision.models.densenet121,
    "mobilenet_v2": torchvision.models.mobilenet_v2,
}
DTYPE = "bfloat16"
TURNS = 20
COMPILING = 60.0  # seconds that are set aside for what torch compiles


def seconds_of(work: Callable[[Any], Any], image: Any) -> float:
    """Return the median seconds of a batch, after some to warm up."""
    taken = []
    with torch.no_grad():
        for turn in range(TURNS + 5):
            torch.cuda.synchronize()
            begun = time.perf_counter()
            work(image)
            torch.cuda.synchronize()
            if turn >= 5:
                taken.append(time.perf_counter() - begun)
    return median(taken)


def ways(network: archdsl.Network, twin: Any, image: Any) -> Iterator[tuple[str, bool, Any]]:
    """Yield what is measured: its name, whether torch compiles it, and what makes it."""
    half = getattr(torch, DTYPE)
    weights = {name: each.cpu() for name, each in twin.state_dict().items()}

    def laid() -> Any:
        from copy import deepcopy

        return deepcopy(twin).to(half, memory_format=torch.channels_last)

    def run(module: Any) -> Any:
        return lambda given: module(given.to(half, memory_format=torch.channels_last))

    def ours(engine: str) -> Any:
        return network.optimize(
            weights=weights, device="cuda", dtype=DTYPE, engine=engine, batch=len(image)
        )

    yield "torchvision", False, lambda: twin
    yield f"torchvision, {DTYPE}, channels last", False, lambda: run(laid())
    yield "ours, graphs", False, lambda: ours("graphs")
    yield (
        "torchvision, torch.compile, max-autotune", True,
        lambda: run(torch.compile(laid(), mode="max-autotune")),
    )  # fmt: skip
    yield "ours, inductor", True, lambda: ours("inductor")


def least(network: archdsl.Network, batch: int) -> float | None:
    """Return the seconds that the peaks of this GPU allow at the least; None if it isn't known."""
    name = torch.cuda.get_device_name().lower().replace(" ", "-")
    found = [device for key, device in known().items() if key.split("-")[0] in name]
    if not found:
        return None
    return roofline(network.checked, found[0], batch, DTYPE).total.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 256])
    parser.add_argument("--seconds", type=float, default=330.0)
    options = parser.parse_args()
    end = time.perf_counter() + options.seconds

    print(f"torch {torch.__version__}, {torch.cuda.get_device_name()}")
    for name in options.networks:
        twin = NETWORKS[name]().eval().cuda()
        network = archdsl.load(name)
        (shape,) = network.checked.inputs.values()
        for batch in options.batch:
            image = torch.randn(batch, *(int(str(size)) for size in shape)).cuda()
            bound = least(network, batch)
            for title, compiles, make in ways(network, twin, image):
                if time.perf_counter() + COMPILING * compiles > end:
                    print(f"{name} b{batch} {title}: left out, for time")
                    continue
                try:
                    taken = seconds_of(make(), image)
                except (ArchError, RuntimeError) as error:
                    print(f"{name} b{batch} {title}: {str(error).splitlines()[0]}")
                    continue
                share = f", {100 * bound / taken:.0f} % of the roofline" if bound else ""
                print(f"{name} b{batch} {title}: {batch / taken:,.0f} a second{share}", flush=True)


if __name__ == "__main__":
    main()
