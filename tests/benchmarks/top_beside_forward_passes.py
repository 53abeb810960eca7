"""How long it takes to find what excites channels most, beside plain forward passes.

python tests/benchmarks/top_beside_forward_passes.py --network resnet50 --images 1000

Prints ratios. Images are random ones in a temporary folder. `top` reads them, runs the network up
to the layer, keeps the best places, and projects those that are shown; the forward passes read the
same images in the same batches, or have them in memory.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import archdsl
from archdsl.backends.seeing.images import images_in, read_image
from archdsl.backends.seeing.preparing import preparation


def write_images(folder: Path, count: int) -> None:
    numbers = np.random.default_rng(0)
    for number in range(count):
        pixels = numbers.integers(0, 256, (28, 28, 3), dtype=np.uint8)
        image = Image.fromarray(pixels).resize((224, 224), Image.Resampling.BICUBIC)
        image.save(folder / f"{number:05}.jpg")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="resnet50")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--layer", help="else the last with places")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()

    design = archdsl.load(options.network)
    module = design.compile(device=options.device).eval()
    how = preparation(design.checked)
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder), options.images)
        paths = images_in(folder)

        def forward(read: bool) -> float:
            kept = torch.zeros(options.batch, how.channels, how.height, how.width)
            begun = time.perf_counter()
            with torch.no_grad():
                for start in range(0, len(paths), options.batch):
                    part = paths[start : start + options.batch]
                    images = (
                        torch.stack([how.prepared(read_image(path)) for path in part])
                        if read
                        else kept[: len(part)]
                    )
                    module(images.to(options.device)).cpu()
            return time.perf_counter() - begun

        def top() -> float:
            begun = time.perf_counter()
            design.see(
                folder=folder, top=9, layers=options.layer or (), batch=options.batch,
                device=options.device,
            )  # fmt: skip
            return time.perf_counter() - begun

        forward(False)
        plain, reading, taken = forward(False), forward(True), top()
    print(f"{options.network}, {options.images} images, batches of {options.batch}")
    print(f"--top 9 takes {taken / plain:.2f} times the forward passes of images in memory,")
    print(f"and {taken / reading:.2f} times those that read the images one after the other")


if __name__ == "__main__":
    main()
