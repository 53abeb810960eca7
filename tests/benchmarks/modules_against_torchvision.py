"""Compares compiled modules with torchvision's, in turn in one run: python <this file>.

Prints the processor time for constructing a module and for a forward pass of one image, as
ratios: the least of ours to the least of theirs, and the median of the pairs. Below 1 ours is
faster.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torchvision import models

from archdsl.backends.python_source import python_source
from archdsl.backends.torch_module.building import class_of
from archdsl.pipeline import Spec

SPECS = Path(__file__).parents[2] / "specs"
TWINS: dict[str, tuple[Callable[[], Any], int]] = {
    "resnet.arch:resnet18": (models.resnet18, 224),
    "resnet.arch:resnet50": (models.resnet50, 224),
    "inception_v3.arch": (lambda: models.inception_v3(init_weights=False), 299),
}
TURNS = 12


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def ratios(ours: Callable[[], object], theirs: Callable[[], object]) -> str:
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(TURNS)]
    least = min(our for our, _ in pairs) / min(their for _, their in pairs)
    median = statistics.median(our / their for our, their in pairs)
    return f"{least:.3f} (least), {median:.3f} (median)"


def main() -> None:
    torch.set_num_threads(1)
    for spec, (twin, size) in TWINS.items():
        checked = Spec(str(SPECS / spec)).graph()
        network = class_of(checked, python_source(checked))
        print(f"{spec}: constructing {ratios(network, twin)}")
        ours, theirs = network().eval(), twin().eval()
        ours.load_state_dict(theirs.state_dict())
        image = torch.randn(1, 3, size, size)
        with torch.no_grad():
            forward = ratios(lambda: ours(image), lambda: theirs(image))  # noqa: B023
        print(f"{spec}: forward {forward}")


if __name__ == "__main__":
    main()
