"""Small networks of the library as one writes them in PyTorch: no package has these."""

from __future__ import annotations

import torch
from torch import nn


class Generator(nn.Module):
    """The generator of a DCGAN."""

    def __init__(self, noise: int = 100, width: int = 64, channels: int = 3) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(noise, width * 8, 4, bias=False),
            nn.BatchNorm2d(width * 8),
            nn.ReLU(True),
            nn.ConvTranspose2d(width * 8, width * 4, 4, 2, 1, bias=False),
            nn.BatchNorm2d(width * 4),
            nn.ReLU(True),
            nn.ConvTranspose2d(width * 4, width * 2, 4, 2, 1, bias=False),
            nn.BatchNorm2d(width * 2),
            nn.ReLU(True),
            nn.ConvTranspose2d(width * 2, width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(True),
            nn.ConvTranspose2d(width, channels, 4, 2, 1, bias=False),
            nn.Tanh(),
        )

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Return images: [batch, 3, 64, 64]."""
        images: torch.Tensor = self.main(z)
        return images


class Discriminator(nn.Module):
    """The discriminator of a DCGAN."""

    def __init__(self, width: int = 64, channels: int = 3) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(channels, width, 4, 2, 1, bias=False),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(width, width * 2, 4, 2, 1, bias=False),
            nn.BatchNorm2d(width * 2),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(width * 2, width * 4, 4, 2, 1, bias=False),
            nn.BatchNorm2d(width * 4),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(width * 4, width * 8, 4, 2, 1, bias=False),
            nn.BatchNorm2d(width * 8),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(width * 8, 1, 4, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return how likely each image is a real one: [batch, 1, 1, 1]."""
        likely: torch.Tensor = self.main(image)
        return likely


class Tagger(nn.Module):
    """A tag for each word, by two layers of LSTM."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 300)
        self.encoder = nn.LSTM(300, 512, num_layers=2, batch_first=True)
        self.decoder = nn.Linear(512, 20)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return scores: [batch, length, 20]."""
        states, _ = self.encoder(self.embedding(tokens))
        scores: torch.Tensor = self.decoder(states)
        return scores


class Classifier(nn.Module):
    """A class for a text, by the mean of what a GRU finds in both directions."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10000, 128)
        self.encoder = nn.GRU(128, 256, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(512, 2)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return scores: [batch, 2]."""
        states, _ = self.encoder(self.embedding(tokens))
        scores: torch.Tensor = self.fc(self.dropout(states.mean(1)))
        return scores
