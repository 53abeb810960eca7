"""What a class depends on: a grey square is moved over an image (Zeiler and Fergus, 2013, 4.2)."""

from __future__ import annotations

import torch

from archdsl.backends.seeing.lens import Lens
from archdsl.records import Record


class Occlusion(Record):
    """What became of an image while a square covered a part of it.

    Everything by the place of the square: [rows, columns].

    Attributes:
        tops, lefts: the first row and the first column of the image that the square covers, by row
            and by column of the tensors.
        size: of the square, in pixels.
        shares: of the class; share: without any square.
        winners: the class with the largest share.
        strengths: the sum of a feature map; strength: without any square. `layer` and `channel`
            say of which one.
    """

    tops: tuple[int, ...]
    lefts: tuple[int, ...]
    size: int
    target: int
    shares: torch.Tensor
    share: float
    winners: torch.Tensor
    layer: str
    channel: int
    strengths: torch.Tensor
    strength: float

    def attributions(self, height: int, width: int) -> torch.Tensor:
        """Return for each pixel how much the share falls, on average, when it is covered."""
        total, times = torch.zeros(height, width), torch.zeros(height, width)
        for row, top in enumerate(self.tops):
            for column, left in enumerate(self.lefts):
                part = (slice(top, top + self.size), slice(left, left + self.size))
                total[part] += self.share - self.shares[row, column].item()
                times[part] += 1
        return total / times.clamp(min=1)


def starts(places: int, size: int, step: int) -> tuple[int, ...]:
    """Return where a square begins along an axis; the last one lies at the end."""
    size = min(size, places)
    found = [*range(0, places - size + 1, step)]
    return tuple(found if found[-1] == places - size else [*found, places - size])


@torch.no_grad()
def occlude(
    lens: Lens, image: torch.Tensor, cls: int, size: int, step: int, layer: str | None = None
) -> Occlusion:
    """Cover an image with a grey square at every place, and follow what the network makes of it.

    Args:
        image: prepared, [channels, height, width].
        cls: the class whose share is followed.
        size, step: of the square and of its moves, in pixels.
        layer: whose strongest feature map is followed; else the last one with places.
    """
    height, width = image.shape[1:]
    tops, lefts = starts(height, size, step), starts(width, size, step)
    name = layer or lens.sights.last or lens.sights.image
    whole = lens.tensors(image[None], [name, lens.scores])
    strongest = whole[name][0].flatten(1).sum(1)
    channel = int(strongest.argmax())
    grey = lens.preparation.grey.to(image)
    places = [(top, left) for top in tops for left in lefts]
    shares, winners, strengths = [], [], []
    for start in range(0, len(places), lens.batch):
        covered = image.repeat(len(places[start : start + lens.batch]), 1, 1, 1)
        for one, (top, left) in zip(covered, places[start:], strict=False):
            one[:, top : top + size, left : left + size] = grey
        found = lens.tensors(covered, [name, lens.scores])
        answered = lens.shares(found[lens.scores]).cpu()
        shares.append(answered[:, cls])
        winners.append(answered.argmax(1))
        strengths.append(found[name][:, channel].flatten(1).sum(1))
    maps = [torch.cat(each).reshape(len(tops), len(lefts)) for each in (shares, winners, strengths)]
    share = lens.shares(whole[lens.scores]).cpu()[0, cls].item()
    return Occlusion(
        tops, lefts, size, cls, maps[0], share, maps[1],
        name, channel, maps[2], strongest[channel].item(),
    )  # fmt: skip
