"""How much faster optimised networks are than torchvision's own modules, engine by engine.

python tests/benchmarks/optimised.py --batch 1 8 --engines eager native onnxruntime openvino

Prints ratios: the median of torchvision's times over ours, taken in turns in one process, and the
largest difference of outputs. `--inductor` adds torch.compile with freezing, which takes minutes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from math import prod
from statistics import median
from typing import Any

import torch
import torchvision

import archdsl
from archdsl.diagnostics import ArchError

MODELS: dict[str, Callable[[], Any]] = {
    "resnet50": torchvision.models.resnet50,
    "inception_v3": lambda: torchvision.models.inception_v3(init_weights=False),
    "densenet121": torchvision.models.densenet121,
    "mobilenet_v2": torchvision.models.mobilenet_v2,
    "vgg16": torchvision.models.vgg16,
}
ENGINES = ("eager", "native", "onnxruntime", "openvino")


def in_turns(modules: dict[str, Any], image: torch.Tensor, turns: int) -> dict[str, float]:
    """Return the median seconds of each of some modules, which take turns."""
    taken: dict[str, list[float]] = {name: [] for name in modules}
    for _ in range(turns):
        for name, module in modules.items():
            begun = time.perf_counter()
            module(image)
            taken[name].append(time.perf_counter() - begun)
    return {name: median(times) for name, times in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=list(MODELS))
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--engines", nargs="+", default=list(ENGINES))
    parser.add_argument("--inductor", action="store_true")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--turns", type=int, default=7)
    options = parser.parse_args()

    packages = ("torch", "torchvision", "onnxruntime", "openvino")
    print(", ".join(f"{each} {installed(each)}" for each in packages), end="")
    print(f", {torch.get_num_threads()} threads, {options.dtype}")
    engines = [*options.engines, *["inductor"] * options.inductor]
    ratios: dict[str, list[float]] = {engine: [] for engine in engines}
    for name in options.networks:
        other = MODELS[name]().eval()
        network = archdsl.load(name)
        for batch in options.batch:
            (shape,) = network.checked.inputs.values()
            image = torch.randn(batch, *(int(str(size)) for size in shape))
            made: dict[str, Any] = {}
            said = []
            for engine in engines:
                begun = time.perf_counter()
                try:
                    made[engine] = network.optimize(
                        weights=other.state_dict(), engine=engine, batch=batch, dtype=options.dtype
                    )
                except ArchError as error:
                    print(f"{name} b{batch} {engine}: {str(error).splitlines()[0]}")
                    continue
                said.append(f"{engine} {time.perf_counter() - begun:.1f} s")
            with torch.no_grad():
                modules = {"torchvision": other, **made}
                in_turns(modules, image, 1)
                times = in_turns(modules, image, options.turns)
                expected = other(image)
            row = []
            for engine, fast in made.items():
                ratio = times["torchvision"] / times[engine]
                ratios[engine].append(ratio)
                apart = (fast(image) - expected).abs().max() / expected.abs().max()
                row.append(f"{engine} {ratio:.2f} ({float(apart):.0e})")
            print(f"{name} b{batch}: {1000 * times['torchvision']:.1f} ms; {', '.join(row)}")
            print(f"  ready after {', '.join(said)}", flush=True)
    for engine, found in ratios.items():
        if found:
            print(f"{engine}: geometric mean {prod(found) ** (1 / len(found)):.2f}")


def installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


if __name__ == "__main__":
    main()
