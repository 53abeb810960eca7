"""Which images of a folder excite each channel of a layer most, and where.

The images are read one batch after the other; what is kept is a few numbers for each channel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import torch

from archdsl.backends.seeing.lens import Lens
from archdsl.records import Record

AHEAD = 2  # batches that are read while the network computes one


class Top(Record):
    """The places that excite the channels of a layer most, one an image: [channels, most].

    In falling order; of equal ones the image that comes first is first.

    Attributes:
        images: the number of the image among all, from 0.
        rows, columns: the place in the map; values: what stands there.
    """

    images: torch.Tensor
    rows: torch.Tensor
    columns: torch.Tensor
    values: torch.Tensor

    def strongest(self, most: int) -> Sequence[int]:
        """Return the channels whose best images excite them most on average, falling."""
        means = self.values.float().mean(1)
        return [int(one) for one in means.argsort(descending=True, stable=True)[:most]]


@torch.no_grad()
def top(
    lens: Lens,
    layers: Sequence[str],
    count: int,
    read: Callable[[int], torch.Tensor],
    most: int,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, Top]:
    """Return by layer which images excite its channels most.

    Args:
        count: how many images there are.
        read: gives a prepared image by its number; called from another thread.
        most: how many are kept for each channel.
        progress: called with the number of images done since it was called last.
    """
    best: dict[str, Top] = {}
    done = 0
    for images in _batches(read, count, lens.batch):
        given = {lens.sights.image: images.to(lens.device, lens.dtype)}
        for name, maps in lens.steps.run(given, layers).items():
            values, places = maps.flatten(2).max(2)
            lens.require_numbers(name, values)
            numbers = torch.arange(done, done + len(images), device=maps.device)
            width = maps.shape[3]
            found = Top(
                numbers.expand_as(values.T),
                *(p.T for p in (places // width, places % width, values)),
            )
            best[name] = _merged(best[name], found, most) if name in best else _first(found, most)
        done += len(images)
        progress(len(images))
    return {name: Top(*(each.cpu() for each in found)) for name, found in best.items()}


def _batches(read: Callable[[int], torch.Tensor], count: int, size: int) -> Iterator[torch.Tensor]:
    """Yield images in batches, some of which are read ahead by another thread."""

    def batch(start: int) -> torch.Tensor:
        return torch.stack([read(number) for number in range(start, min(start + size, count))])

    with ThreadPoolExecutor(1) as reader:
        starts = iter(range(0, count, size))
        waiting = [reader.submit(batch, start) for start in islice(starts, AHEAD)]
        try:
            while waiting:
                images = waiting.pop(0).result()
                if (start := next(starts, None)) is not None:
                    waiting.append(reader.submit(batch, start))
                yield images
        finally:
            for each in waiting:
                each.cancel()


def _merged(one: Top, other: Top, most: int) -> Top:
    return _first(Top(*(torch.cat(pair, 1) for pair in zip(one, other, strict=True))), most)


def _first(found: Top, most: int) -> Top:
    # a stable order keeps the image that came first before others as strong
    order = found.values.argsort(dim=1, descending=True, stable=True)[:, :most]
    return Top(*(each.gather(1, order) for each in found))
