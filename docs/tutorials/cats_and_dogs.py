"""Teaches Inception v3, trained on ImageNet, to tell two kinds of pictures apart.

python docs/tutorials/cats_and_dogs.py PICTURES

PICTURES holds the folders `train` and `val`, and each of them one for each class: `train/cats`.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.models import Inception_V3_Weights
from torchvision.transforms import v2 as transforms
from tqdm import tqdm

import archdsl

SIZE = 299
AUXILIARY = 0.3  # weight of the auxiliary loss, as in Szegedy et al., 2015
SMOOTHING = 0.1  # of labels, from the same paper
HEADS = ("fc.", "AuxLogits.fc.")

Pictures = DataLoader[tuple[torch.Tensor, torch.Tensor]]


def two_classes(weights: str) -> nn.Module:
    """Return Inception v3 with new heads, in which nothing but the heads learns.

    `weights` is a file with a state_dict, "imagenet" for torchvision's, or "none".
    """
    design = archdsl.load("inception_v3", classes=2, transform_input=True)
    network = design.compile(
        weights=learned(weights),
        allow_mismatch=[f"{head}*" for head in HEADS],
        channels_last=True,  # as convolutions are fastest
    )
    for name, parameter in network.named_parameters():
        parameter.requires_grad = name.startswith(HEADS)
    return network


def learned(weights: str) -> str | Mapping[str, torch.Tensor] | None:
    """Return what was learned on ImageNet; the names are those of torchvision."""
    if weights == "imagenet":
        return Inception_V3_Weights.IMAGENET1K_V1.get_state_dict(progress=True)
    return None if weights == "none" else weights


def pictures(folder: Path, training: bool, batch: int) -> Pictures:
    """Return batches of a folder, as the weights expect them: normalized as for ImageNet."""
    crop = (
        [transforms.RandomResizedCrop(SIZE), transforms.RandomHorizontalFlip()]
        if training
        else [transforms.Resize(342), transforms.CenterCrop(SIZE)]
    )
    numbers = [
        transforms.ToImage(),
        transforms.ToDtype(torch.float32, scale=True),
        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ]
    found = ImageFolder(str(folder), transforms.Compose([*crop, *numbers]))
    return DataLoader(found, batch, shuffle=training)


def only_heads_train(network: nn.Module) -> None:
    """Set training mode, which has the auxiliary output, but keep the statistics of ImageNet."""
    network.train()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()


def train(
    network: nn.Module,
    loader: Pictures,
    optimizer: torch.optim.Optimizer,
    bfloat16: bool = False,
) -> float:
    """Learn from each picture once, and return the loss of the last batch."""
    device = next(network.parameters()).device
    only_heads_train(network)
    loss = torch.zeros(())
    for images, labels in (bar := tqdm(loader, unit="batch")):
        target = labels.to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            outputs = network(images.to(device))
            main, auxiliary = (
                functional.cross_entropy(output, target, label_smoothing=SMOOTHING)
                for output in (outputs.logits, outputs.aux)
            )
            loss = main + AUXILIARY * auxiliary
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        bar.set_postfix(loss=f"{loss.item():.3f}")
    return loss.item()


@torch.no_grad()
def accuracy(network: nn.Module, loader: Pictures) -> float:
    """Return the share of pictures that are recognized."""
    device = next(network.parameters()).device
    network.eval()
    right = total = 0
    for images, labels in loader:
        right += int((network(images.to(device)).argmax(1).cpu() == labels).sum())
        total += len(labels)
    return right / total


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--weights", default="imagenet", help="a file, imagenet or none")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--bfloat16", action="store_true", help="what is safe in 16 bits")
    parser.add_argument("--output", type=Path, default=Path("cats_and_dogs.pt"))
    parser.add_argument("--look", type=Path, help="picture in which to see what it has learned")
    options = parser.parse_args(arguments)

    network = two_classes(options.weights).to(options.device)
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    every = sum(parameter.numel() for parameter in network.parameters())
    print(f"{sum(each.numel() for each in learning):,} parameters of {every:,} learn")

    optimizer = torch.optim.AdamW(learning, lr=0.001)
    held_out = pictures(options.pictures / "val", training=False, batch=options.batch)
    learned_from = pictures(options.pictures / "train", training=True, batch=options.batch)
    for epoch in range(options.epochs):
        train(network, learned_from, optimizer, options.bfloat16)
        print(f"epoch {epoch + 1}: {accuracy(network, held_out):.1%} recognized")
    torch.save(network.state_dict(), options.output)
    if options.look:
        seen = archdsl.load("inception_v3", classes=2, transform_input=True).see(
            options.look, weights=network.state_dict(), classes=held_out.dataset.classes
        )
        seen.save(options.output.with_suffix(".html"))


if __name__ == "__main__":
    main()
