"""Where in an image a network finds a class: CAM and Grad-CAM, and how faithful they are.

CAM (Zhou et al., Learning Deep Features for Discriminative Localization, 2015): where the scores
are an affine function of the means of the last maps, the map of class k is sum_c w_kc f_c.

Grad-CAM (Selvaraju et al., 2016), for any maps f before the scores y:

    a_c = mean over places of dy_k / df_c,    map = max(0, sum_c a_c f_c)

Deletion and insertion (Petsiuk, Das, Saenko: RISE, 2018): the pixels are taken away, or put in, in
the order of the map, and the share of the class is followed. The area under the curve is low for
deletion and high for insertion where the map is faithful.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

from archdsl.backends.seeing.lens import Lens, over_places
from archdsl.records import Record

STEPS = 20  # of the curves
COARSE = 4  # places along each side that a blurred image has left


class MeanHead(Record):
    """The end of a network in which scores follow from the means of maps.

    Attributes:
        maps: name of the node that gives the maps.
        weights: of each class for each map, [classes, maps].
        bias: what is left where all means are 0, [classes].
    """

    maps: str
    weights: torch.Tensor
    bias: torch.Tensor


class Curves(Record):
    """How the share of a class changes while pixels go or come: at 0, 1/20, ..., 20/20 of them."""

    deletion: torch.Tensor
    insertion: torch.Tensor

    @property
    def areas(self) -> tuple[float, float]:
        """The areas under both curves, between 0 and 1."""
        deletion, insertion = (
            float(torch.trapezoid(curve, dx=1 / (len(curve) - 1))) for curve in self
        )
        return deletion, insertion


@torch.no_grad()
def mean_head(lens: Lens) -> MeanHead | None:
    """Find out whether the scores are an affine function of the means of maps.

    It is found from the graph and from what its nodes compute of random numbers, whatever they are
    called: one node takes means over all places, and what follows it is affine.
    """
    nodes = lens.checked.nodes
    name = lens.scores
    while True:
        node = nodes[name]
        if len(node.inputs) != 1:
            return None
        (read,) = node.inputs
        if nodes[read].shape[1:] not in ((), (1, 1)) and read in lens.sights.behind:
            break
        name = read
    if not lens.sights.has_places(read):
        return None
    channels, height, width = (int(str(size)) for size in nodes[read].shape)
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator).to(lens.device, lens.dtype)

    maps = drawn(2, channels, height, width)
    means = lens.steps.run({read: maps}, [name])[name]
    if means.numel() != 2 * channels or not _close(means.flatten(1), maps.mean((2, 3))):
        return None

    def scores(vectors: torch.Tensor) -> torch.Tensor:
        given = vectors.reshape(len(vectors), *means.shape[1:])
        return over_places(lens.steps.run({name: given}, [lens.scores])[lens.scores])

    zero = drawn(1, channels) * 0
    bias = scores(zero)
    one, other = drawn(4, channels) * 3, drawn(4, channels) * 3
    if not _close(scores(one) + scores(other) - bias, scores(one + other)):
        return None
    unit = torch.eye(channels, device=lens.device, dtype=lens.dtype)
    weights = torch.cat([scores(part) for part in torch.split(unit, 256)]) - bias
    return MeanHead(read, weights.T.cpu(), bias[0].cpu())


def _close(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and bool(
        (one - other).abs().max() <= 1e-4 * other.abs().max().clamp(min=1)
    )


def class_activation(
    lens: Lens, head: MeanHead, images: torch.Tensor, classes: Sequence[int]
) -> torch.Tensor:
    """Return the map of a class for each image: [images, height, width].

    Its mean over all places, and the bias, make the score of the class.
    """
    maps = lens.tensors(images, [head.maps])[head.maps]
    return torch.einsum("nc,nchw->nhw", head.weights[list(classes)], maps)


def grad_cam(lens: Lens, name: str, images: torch.Tensor, classes: Sequence[int]) -> torch.Tensor:
    """Return the Grad-CAM of a class at a node for each image: [images, height, width]."""
    maps, slopes = lens.gradient(images, name, classes)
    return torch.einsum("nc,nchw->nhw", slopes.mean((2, 3)), maps).relu()


def enlarged(maps: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Return maps in the size of the image, between their places as a straight line goes."""
    return functional.interpolate(
        maps[:, None], (height, width), mode="bilinear", align_corners=False
    )[:, 0]


def curves(lens: Lens, image: torch.Tensor, cls: int, importance: torch.Tensor) -> Curves:
    """Follow the share of a class while the most important pixels go, and while they come.

    Args:
        image: prepared, [channels, height, width].
        importance: of each pixel, [height, width].
    """
    order = importance.flatten().argsort(descending=True, stable=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order))
    counts = torch.arange(STEPS + 1) * len(order) // STEPS
    among = (rank < counts[:, None]).reshape(-1, 1, *importance.shape)
    grey = lens.preparation.grey.to(image)
    coarse = functional.adaptive_avg_pool2d(image[None], COARSE)
    blurred = functional.interpolate(coarse, image.shape[1:], mode="bilinear")
    found = [
        lens.answers(torch.where(among, *pair))[:, cls]
        for pair in ((grey, image), (image, blurred[0]))
    ]
    return Curves(*found)


def at_random(lens: Lens, image: torch.Tensor, cls: int) -> Curves:
    """Return the curves of pixels in random order, which those of a faithful map are far from."""
    generator = torch.Generator().manual_seed(0)
    return curves(lens, image, cls, torch.rand(*image.shape[1:], generator=generator))
