"""Compares compiled modules with torchvision's, in turn in one run.

    python tests/benchmarks/modules_against_torchvision.py
    python tests/benchmarks/modules_against_torchvision.py --device cuda --batch 64 --bfloat16

Prints ratios for constructing a module, for a forward pass and for a step of training: the least
of ours to the least of theirs, and the median of the pairs. Below 1 ours is faster. On a CPU it
is processor time on one thread; on a GPU the time until it is done.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torchvision import models

from archdsl.backends.python_source import generate
from archdsl.backends.torch_module.building import class_of
from archdsl.pipeline import Spec

SPECS = Path(__file__).parents[2] / "specs"
SEGMENTATION: Any = models.segmentation
TWINS: dict[str, tuple[Callable[[], Any], int]] = {
    "resnet.arch:resnet18": (models.resnet18, 224),
    "resnet.arch:resnet50": (models.resnet50, 224),
    "inception_v3.arch": (lambda: models.inception_v3(init_weights=False), 299),
    "googlenet.arch:googlenet": (lambda: models.googlenet(init_weights=False), 224),
    "densenet.arch:densenet121": (models.densenet121, 224),
    "mobilenet_v2.arch:mobilenet_v2": (models.mobilenet_v2, 224),
    "deeplabv3.arch:deeplabv3_resnet50": (
        lambda: SEGMENTATION.deeplabv3_resnet50(weights_backbone=None, aux_loss=True),
        128,
    ),
}


class Clock:
    """Takes turns between two pieces of work on a device, and compares their times."""

    def __init__(self, device: torch.device, turns: int) -> None:
        self.device = device
        self.turns = turns

    def seconds(self, work: Callable[[], object]) -> float:
        if self.device.type != "cuda":
            start = time.process_time()
            work()
            return time.process_time() - start
        torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        return time.perf_counter() - start

    def ratios(self, ours: Callable[[], object], theirs: Callable[[], object]) -> str:
        ours(), theirs()  # what is done but once: memory, choice of algorithms
        pairs = [(self.seconds(ours), self.seconds(theirs)) for _ in range(self.turns)]
        our, their = (min(times) for times in zip(*pairs, strict=True))
        median = statistics.median(our / their for our, their in pairs)
        return f"{our / their:.3f} (least), {median:.3f} (median), {1000 * our:.1f} ms"


def tensors(result: Any) -> Iterator[torch.Tensor]:
    """Yield the outputs of a module, whatever it puts them into."""
    if isinstance(result, torch.Tensor):
        yield result
    else:
        yield from result.values() if isinstance(result, dict) else result


def step(module: Any, image: torch.Tensor, device: torch.device, bfloat16: bool) -> None:
    """Go forward and backward once; auxiliary outputs are part of the loss."""
    module.zero_grad()
    with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
        loss = sum(output.float().square().mean() for output in tensors(module(image)))
    loss.backward()  # type: ignore[union-attr]


def compare(spec: str, clock: Clock, batch: int, bfloat16: bool) -> None:
    twin, size = TWINS[spec]
    checked = Spec(str(SPECS / spec)).graph()
    network = class_of(generate(checked))
    print(f"{spec}: constructing {clock.ratios(network, twin)}", flush=True)
    ours, theirs = network().to(clock.device), twin().to(clock.device)
    ours.load_state_dict(theirs.state_dict())
    image = torch.randn(batch, 3, size, size, device=clock.device)
    if bfloat16:
        image = image.to(memory_format=torch.channels_last)
        for module in (ours, theirs):
            module.to(memory_format=torch.channels_last)
    ours.eval(), theirs.eval()
    with torch.no_grad(), torch.autocast(clock.device.type, torch.bfloat16, enabled=bfloat16):
        print(f"{spec}: forward {clock.ratios(lambda: ours(image), lambda: theirs(image))}")
    ours.train(), theirs.train()
    image = image if batch > 1 else torch.cat([image, image])  # to normalize over a batch
    trained = [
        lambda module=module: step(module, image, clock.device, bfloat16)
        for module in (ours, theirs)
    ]
    print(f"{spec}: training {clock.ratios(*trained)}", flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--device", default="cpu")
    options.add_argument("--batch", type=int, default=1)
    options.add_argument("--turns", type=int, default=12)
    options.add_argument("--bfloat16", action="store_true", help="autocast, with channels last")
    options.add_argument("specs", nargs="*", default=list(TWINS))
    given = options.parse_args()
    if unknown := {*given.specs} - {*TWINS}:
        options.error(f"no twin for {', '.join(sorted(unknown))}; there are {', '.join(TWINS)}")
    torch.set_num_threads(1)
    clock = Clock(torch.device(given.device), given.turns)
    for spec in given.specs:
        compare(spec, clock, given.batch, given.bfloat16)


if __name__ == "__main__":
    main()
