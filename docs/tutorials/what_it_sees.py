"""Trains two networks on handwritten digits, and looks at what they have learned to see.

python docs/tutorials/what_it_sees.py
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import torch
from PIL import Image
from sklearn.datasets import load_digits

import archdsl

HERE = Path(__file__).parent
NETWORKS = {"lenet5": "lenet5", "small_zfnet": str(HERE / "small_zfnet.arch")}
# Paper is -0.1 and ink 1.175, as in the tutorial on digits
MEAN, STD = [0.1 / 1.275], [1 / 1.275]
# Those that the page shows
PICTURES = (
    "lenet5_start-filters.png",
    "lenet5_end-filters.png",
    "small_zfnet_start-filters.png",
    "small_zfnet_end-filters.png",
    "small_zfnet-features-conv2.png",
    "small_zfnet-features-conv4.png",
    "small_zfnet-top-conv4.png",
    "small_zfnet-occlusion.png",
)


def tutorial(name: str) -> ModuleType:
    """Return the script of another tutorial."""
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_digits(folder: Path, count: int) -> None:
    """Write digits as images of 8 x 8, white ink on black."""
    folder.mkdir(parents=True, exist_ok=True)
    found = load_digits()
    for number, (image, digit) in enumerate(zip(found.images, found.target, strict=True)):
        if number < count:
            pixels = Image.fromarray((image * 255 / 16).astype("uint8"))
            pixels.save(folder / f"{digit}_{number:04}.png")


def trained(design: archdsl.Network, epochs: int) -> list[Mapping[str, torch.Tensor]]:
    """Train a network, and return its weights at the start, after an epoch, and at the end."""
    digits = tutorial("digits")
    torch.manual_seed(0)
    network = design.compile()
    loaders = digits.digits()
    weights = [{name: tensor.clone() for name, tensor in network.state_dict().items()}]
    for part in (1, epochs - 1):
        reached = digits.train(network, loaders, part, None)
        print(f"{design.name}: {reached:.1%} of the digits that were held out are recognized")
        weights.append({name: tensor.clone() for name, tensor in network.state_dict().items()})
    return weights


def look(name: str, epochs: int, count: int, output: Path) -> None:
    """Train a network, and write pictures of what it sees."""
    design = archdsl.load(NETWORKS[name])
    weights = trained(design, epochs)
    folder = output / "digits"
    write_digits(folder, count)
    three = sorted(folder.glob("3_*.png"))[0]
    checkpoints = [output / f"{name}_{when}.pt" for when in ("start", "early", "end")]
    for path, state in zip(checkpoints, weights, strict=True):
        torch.save(state, path)
    shown = {"mean": MEAN, "std": STD, "crop": 1.0}

    layers = ["conv2", "conv4"] if name == "small_zfnet" else ["C1", "C3"]
    for path in checkpoints[::2]:
        seen = design.see(three, weights=path, **shown)
        seen.save(output / f"{path.stem}.png", ["filters"])
    seen = design.see(
        three, weights=checkpoints[-1], layers=layers, channels=6, occlude=16, step=2,
        folder=folder, checkpoints=checkpoints, **shown,
    )  # fmt: skip
    seen.save(output / f"{name}.png")
    seen.save(output / f"{name}.html")


def show(output: Path, pictures: Path) -> None:
    """Write the pictures that the page shows, in fewer colours."""
    pictures.mkdir(parents=True, exist_ok=True)
    for name in PICTURES:
        with Image.open(output / name) as picture:
            picture.quantize(64).save(pictures / name, optimize=True)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--digits", type=int, default=1797, help="of which the best are found")
    parser.add_argument("--output", type=Path, default=Path("what_it_sees"))
    parser.add_argument("--pictures", type=Path, help="folder for those that the page shows")
    options = parser.parse_args(arguments)
    for name in NETWORKS:
        look(name, options.epochs, options.digits, options.output)
    if options.pictures:
        show(options.output, options.pictures)


if __name__ == "__main__":
    main()
