"""Trains LeNet-5 on handwritten digits, on a GPU or in a minute or two on a CPU.

python docs/tutorials/digits.py
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset, random_split
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

import archdsl

BATCH = 64


class Loaders(NamedTuple):
    """What is learned from, and what is held out."""

    train: DataLoader[tuple[torch.Tensor, ...]]
    test: DataLoader[tuple[torch.Tensor, ...]]


def digits(test_share: float = 0.25) -> Loaders:
    """Return 1,797 digits of 8 x 8, enlarged to 32 x 32; paper is -0.1 and ink is 1.175."""
    found = load_digits()
    images = torch.tensor(found.images, dtype=torch.float32).unsqueeze(1) / 16
    images = functional.interpolate(images, size=(32, 32), mode="bilinear") * 1.275 - 0.1
    labels = torch.tensor(found.target)
    generator = torch.Generator().manual_seed(0)
    train, test = random_split(
        TensorDataset(images, labels), [1 - test_share, test_share], generator
    )
    return Loaders(
        DataLoader(train, BATCH, shuffle=True, generator=generator), DataLoader(test, 256)
    )


@torch.no_grad()
def accuracy(network: nn.Module, loader: DataLoader[tuple[torch.Tensor, ...]]) -> float:
    """Return the share of digits that are recognized."""
    device = next(network.parameters()).device
    network.eval()
    right = total = 0
    for images, labels in loader:
        right += int((network(images.to(device)).argmax(1).cpu() == labels).sum())
        total += len(labels)
    return right / total


def train(network: nn.Module, loaders: Loaders, epochs: int, log: str | None) -> float:
    """Train the network, and return its accuracy on the digits that were held out."""
    device = next(network.parameters()).device
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.01)
    steps = epochs * len(loaders.train)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.006, total_steps=steps)
    writer = SummaryWriter(log) if log else None
    reached = 0.0
    with tqdm(total=steps, unit="batch") as bar:
        for epoch in range(epochs):
            network.train()
            for images, labels in loaders.train:
                loss = functional.cross_entropy(network(images.to(device)), labels.to(device))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                bar.update()
                if writer:
                    writer.add_scalar("loss", loss.item(), bar.n)
            reached = accuracy(network, loaders.test)
            bar.set_postfix(epoch=epoch + 1, loss=f"{loss.item():.3f}", accuracy=f"{reached:.1%}")
            if writer:
                writer.add_scalar("accuracy", reached, epoch + 1)
    if writer:
        writer.close()
    return reached


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="lenet5", help="lenet5 or lenet5_dense")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--log", default="runs/digits", help="folder for TensorBoard")
    options = parser.parse_args()

    torch.manual_seed(0)
    design = archdsl.load(options.network)
    print(f"{design.name}: {design.count().parameters:,} parameters")
    network = design.compile().to(options.device)
    reached = train(network, digits(), options.epochs, options.log)
    print(f"{reached:.1%} of the digits that were held out are recognized")


if __name__ == "__main__":
    main()
