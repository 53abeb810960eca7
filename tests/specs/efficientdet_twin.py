"""EfficientDet-D0 as one writes it in PyTorch: effdet, which has it, brings many packages."""

from __future__ import annotations

from collections.abc import Sequence

import timm
import torch
from torch import nn
from torch.nn import functional

WIDTH = 64


def norm() -> nn.Module:
    """Return a normalization of the neck or of a head."""
    return nn.BatchNorm2d(WIDTH, eps=0.001, momentum=0.01)


class Halved(nn.Module):
    """The maximum over 3 x 3 places, padded as TensorFlow does: more behind than before."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return a map of half the size."""
        high, wide = (1 - size % 2 for size in image.shape[2:])
        padded = functional.pad(image, (1 - wide, 1, 1 - high, 1), value=float("-inf"))
        halved: torch.Tensor = functional.max_pool2d(padded, 3, 2)
        return halved


class Lateral(nn.Module):
    """A map brought to the width of the neck."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, WIDTH, 1)
        self.bn = norm()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return a map of the same size."""
        mapped: torch.Tensor = self.bn(self.conv(image))
        return mapped


class Separable(nn.Module):
    """A convolution of each channel and one of all at each place."""

    def __init__(self, out: int = WIDTH, normalized: bool = False) -> None:
        super().__init__()
        self.conv_dw = nn.Conv2d(WIDTH, WIDTH, 3, padding=1, groups=WIDTH, bias=False)
        self.conv_pw = nn.Conv2d(WIDTH, out, 1)
        self.bn = norm() if normalized else nn.Identity()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return a map of the same size."""
        out: torch.Tensor = self.bn(self.conv_pw(self.conv_dw(image)))
        return out


class Combine(nn.Module):
    """Fast normalized fusion of maps: section 3.3 of the paper."""

    def __init__(self, inputs: int, level: int, channels: int) -> None:
        super().__init__()
        self.edge_weights = nn.Parameter(torch.ones(inputs))
        self.resample = nn.ModuleDict()
        if channels != WIDTH:
            self.resample[str(level)] = nn.ModuleDict({"conv": Lateral(channels)})

    def forward(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return a map of the size of the first; the last may be smaller or larger."""
        first, *others, last = maps
        if last.shape[2] < first.shape[2]:
            last = functional.interpolate(last, first.shape[2:])
        elif last.shape[2] > first.shape[2]:
            last = Halved()(last)
        for resample in self.resample.values():
            first = resample["conv"](first)
        weights = functional.relu(self.edge_weights)
        total = weights.sum() + 0.0001
        parts = [each * w / total for each, w in zip([first, *others, last], weights, strict=True)]
        summed: torch.Tensor = torch.stack(parts).sum(0)
        return summed


class Node(nn.Module):
    """Maps combined, and a convolution of the result."""

    def __init__(self, inputs: int, level: int, channels: int) -> None:
        super().__init__()
        self.combine = Combine(inputs, level, channels)
        self.after_combine = nn.ModuleDict({"conv": Separable(normalized=True)})

    def forward(self, *maps: torch.Tensor) -> torch.Tensor:
        """Return a map of the size of the first."""
        out: torch.Tensor = self.after_combine["conv"](functional.silu(self.combine(maps)))
        return out


class Cell(nn.Module):
    """One repetition of the BiFPN: Fig. 2 (d) of the paper."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        down = [Node(2, level, channels[level]) for level in (3, 2, 1, 0)]
        up = [Node(2 if level == 4 else 3, level, channels[level]) for level in (1, 2, 3, 4)]
        self.fnode = nn.ModuleList(down + up)

    def forward(self, maps: list[torch.Tensor]) -> list[torch.Tensor]:
        """Return five maps of the sizes of those that came."""
        down = {4: maps[4]}
        for node, level in zip(self.fnode[:4], (3, 2, 1, 0), strict=True):
            down[level] = node(maps[level], down[level + 1])
        up = [down[0]]
        for node, level in zip(self.fnode[4:], (1, 2, 3, 4), strict=True):
            up.append(node(maps[level], *([down[level]] if level < 4 else []), up[-1]))
        return up


class Neck(nn.Module):
    """Two coarser maps, and three cells."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.resample = nn.ModuleDict({"3": nn.ModuleDict({"conv": Lateral(channels[2])})})
        first = [*channels, WIDTH, WIDTH]
        self.cell = nn.Sequential(*(Cell(each) for each in (first, [WIDTH] * 5, [WIDTH] * 5)))

    def forward(self, maps: list[torch.Tensor]) -> list[torch.Tensor]:
        """Return five maps, the first of the size of the first that came."""
        maps.append(Halved()(self.resample["3"]["conv"](maps[-1])))
        maps.append(Halved()(maps[-1]))
        cells: list[torch.Tensor] = self.cell(maps)
        return cells


class Head(nn.Module):
    """The same convolutions on all maps, each of which has its own normalizations."""

    def __init__(self, out: int) -> None:
        super().__init__()
        self.conv_rep = nn.ModuleList(Separable() for _ in range(3))
        self.bn_rep = nn.ModuleList(
            nn.ModuleList(nn.ModuleDict({"bn": norm()}) for _ in range(5)) for _ in range(3)
        )
        self.predict = Separable(out)

    def forward(self, maps: list[torch.Tensor]) -> list[torch.Tensor]:
        """Return a map of predictions for each map."""
        predictions = []
        for level, image in enumerate(maps):
            for conv, norms in zip(self.conv_rep, self.bn_rep, strict=True):
                image = functional.silu(norms[level]["bn"](conv(image)))
            predictions.append(self.predict(image))
        return predictions


class EfficientDet(nn.Module):
    """EfficientDet-D0 up to the raw maps of its heads."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = timm.create_model(
            "tf_efficientnet_b0", features_only=True, out_indices=(2, 3, 4)
        )
        self.fpn = Neck(self.backbone.feature_info.channels())
        self.class_net = Head(9 * 90)
        self.box_net = Head(9 * 4)

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the ten maps by name."""
        maps = self.fpn(self.backbone(image))
        heads = {"class": self.class_net, "box": self.box_net}
        return {
            f"{name}_p{level}": out
            for name, head in heads.items()
            for level, out in enumerate(head(maps), 3)
        }
