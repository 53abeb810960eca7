"""Makes figures of what was seen, with words for somebody who doesn't know the papers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

import archdsl.backends.seeing.pictures as pictures
from archdsl.backends.seeing.class_maps import STEPS, Curves, enlarged
from archdsl.backends.seeing.figures import Bars, Figure, Key, Lines, Part, Row, Tile
from archdsl.backends.seeing.nodes import Box
from archdsl.backends.seeing.occlusion import Occlusion
from archdsl.graph import CheckedGraph

MOST_BARS = 5
LED_BACK = {
    "deconvnet": "by a deconvnet",
    "guided": "by guided backpropagation (`--rule guided`)",
    "gradient": "by the gradient (`--rule gradient`)",
}
MOST_FILTERS = 256
FILTER, EDGE = 56, 4  # pixels of the longer side of one, or less, and around it


class Activation(NamedTuple):
    """One activation: its place in its layer, and the part of the image that it sees.

    Attributes:
        image: number of the image.
        value: how strong it is.
        projection: what it is led back to, in the size of the image.
    """

    image: int
    channel: int
    row: int
    column: int
    value: float
    box: Box
    projection: torch.Tensor | None = None


class ClassMap(NamedTuple):
    """Where in an image a class is found.

    Attributes:
        method: "CAM" or "Grad-CAM"; layer: the node whose maps it is made of.
        image: number of the image; cls: of the class.
        values: the map, [height, width], of the layer's size.
        curves: how faithful it is.
    """

    method: str
    layer: str
    image: int
    target: int
    values: torch.Tensor
    curves: Curves


class Shown(NamedTuple):
    """An image as the network takes it: its name, and its pixels as a picture."""

    name: str
    picture: pictures.Pixels


def described(checked: CheckedGraph, name: str, verb: str = "") -> str:
    """Say what a layer is: "layer conv5 (Conv2d, 256 x 13 x 13)"."""
    node = checked.nodes[name]
    return f"layer {name}{verb} ({node.type}, {' x '.join(map(str, node.shape))})"


def percent(share: float) -> str:
    """Write a share."""
    return f"{share:.1%}"


def number(value: float) -> str:
    """Write a number to three digits."""
    return f"{value:.3g}"


def photo(shown: Shown, label: str = "", size: str = "middle") -> Tile:
    """Show an image."""
    return Tile(shown.picture, label or shown.name, "", smooth=True, size=size)


def answers_figure(
    images: Sequence[Shown], shares: torch.Tensor, classes: Sequence[str], names: str
) -> Figure:
    """Show which classes the network finds in each image."""
    rows = []
    for shown, each in zip(images, shares, strict=True):
        best = each.argsort(descending=True, stable=True)[:MOST_BARS].tolist()
        bars = Bars([(classes[cls], float(each[cls])) for cls in best])
        rows.append(Row([photo(shown), bars]))
    text = (
        "The image as the network sees it, and the classes that it finds most likely, each with "
        "the share that it gives it."
    )
    return Figure("answers", "What the network answers", f"{text}{names}", rows)


def filters_figure(checked: CheckedGraph, name: str, filters: torch.Tensor) -> Figure:
    """Show the filters of the first convolution as images."""
    height, width = filters.shape[2:]
    squares = (pictures.of_filter(each) for each in filters[:MOST_FILTERS])
    times = FILTER // max(height, width)
    side = max(height, width) * max(times, 1) + 2 * EDGE
    shown = [pictures.padded(pictures.enlarged(each, times), side) for each in squares]
    more = len(filters) - len(shown)
    text = (
        f"Each square is one filter of {height} x {width} weights, shown as the piece of image "
        "that it answers to most. Middle grey is zero. Stripes find edges of that direction, "
        "spots find colours; a filter that looks like noise has learned little."
    )
    if more > 0:
        text += f" The first {len(shown)} of {len(filters):,} are shown."
    title = f"Filters of the first convolution, {described(checked, name)}"
    columns = min(len(shown), 16)
    return Figure(
        "filters", title, text, [Row([Tile(pictures.mosaic(shown, columns), size="natural")])]
    )


def features_figure(
    checked: CheckedGraph,
    name: str,
    images: Sequence[Shown],
    maps: torch.Tensor,
    projected: Sequence[Activation],
    rule: str,
) -> Figure:
    """Show the strongest feature maps of a layer for each image, with what excites them."""
    rows = []
    for image, shown in enumerate(images):
        parts: list[Part] = []
        for one in (each for each in projected if each.image == image):
            values = maps[image, one.channel]
            label = f"channel {one.channel}"
            assert one.projection is not None
            tiles = grown(shown, values, one, one.projection)
            note = f"up to {number(one.value)}" if one.value else "nothing here excites it"
            parts.append(Tile(tiles, label, note, True, "wide"))
        rows.append(Row(parts, shown.name if len(images) > 1 else ""))
    seen = (
        "Left: one channel of this layer, bright where it is excited (blue where it is below "
        "zero). In the middle: the part of the image that its most excited place sees, which is "
        f"its receptive field. Right: that activation led back to the pixels {LED_BACK[rule]}; "
        "what stands out is what excited it, and grey is what it doesn't look at."
    )
    text = f"{seen} The strongest channels come first; each has a scale of its own."
    return Figure(f"features-{name}", f"Feature maps of {described(checked, name)}", text, rows)


def triptych(tiles: Sequence[pictures.Pixels]) -> pictures.Pixels:
    """Lay pictures side by side, each enlarged to the height of the largest, by squares."""
    side = max(96, *(max(tile.shape[:2]) for tile in tiles))
    return pictures.mosaic([pictures.squared(tile, side) for tile in tiles], len(tiles))


def grown(
    shown: Shown, values: torch.Tensor, one: Activation, projection: torch.Tensor
) -> pictures.Pixels:
    """Return a map, the part of the image that its activation sees, and its projection."""
    patch = pictures.cut(shown.picture, one.box)
    return triptych([pictures.of_map(values), patch, of_projection(one.box, projection)])


def of_projection(box: Box, projection: torch.Tensor) -> pictures.Pixels:
    """Return a projection where its receptive field is, with zero as middle grey."""
    return pictures.of_filter(projection[:, box.top : box.bottom, box.left : box.right])


def class_maps_figure(
    checked: CheckedGraph,
    images: Sequence[Shown],
    maps: Sequence[ClassMap],
    random: Sequence[Curves],
    classes: Sequence[str],
) -> Figure:
    """Show where each image has what speaks for its class, and how far the map is to be trusted."""
    rows = []
    for image, shown in enumerate(images):
        own = [each for each in maps if each.image == image]
        if not own:
            continue
        parts: list[Part] = [photo(shown)]
        deleted, inserted = [], []
        for one in own:
            height, width = shown.picture.shape[:2]
            heat = enlarged(one.values[None].float(), height, width)[0].clamp(min=0)
            heat = heat / heat.max() if heat.max() > 0 else heat
            out, into = one.curves.areas
            way = f"{one.method} at layer {one.layer}"
            note = f"deletion {out:.2f}, insertion {into:.2f}"
            if not one.values.gt(0).any():
                note += "; nothing here speaks for the class"
            over = pictures.laid_over(shown.picture, heat)
            parts.append(Tile(over, way, note, smooth=True, size="middle"))
            deleted.append((way, one.curves.deletion.tolist()))
            inserted.append((way, one.curves.insertion.tolist()))
        out, into = random[image].areas
        deleted.append((f"in random order ({out:.2f})", random[image].deletion.tolist()))
        inserted.append((f"in random order ({into:.2f})", random[image].insertion.tolist()))
        share = f"share of {classes[own[0].target]}"
        parts.append(Lines(deleted, "pixels turned grey, the brightest of the map first", share))
        parts.append(Lines(inserted, "pixels put into the blurred image", share))
        rows.append(Row(parts, f"{shown.name}: {classes[own[0].target]}"))
    text = (
        "Bright places speak for the class. CAM weighs the last feature maps as the network itself "
        "does where it takes their mean; Grad-CAM weighs the maps of any layer by how much the "
        "score of the class grows with them. Whether to believe a map: its brightest pixels are "
        f"turned grey first, {100 // STEPS}% at a time (deletion), or put first into a blurred "
        "image (insertion). A faithful map lets the class vanish and appear early: its area under "
        "the curve is smaller for deletion, and larger for insertion, than that of a random order."
    )
    return Figure("classes", "Where the network finds the class", text, rows)


def occlusion_figure(
    checked: CheckedGraph,
    images: Sequence[Shown],
    found: Sequence[Occlusion],
    classes: Sequence[str],
    step: int,
) -> Figure:
    """Show what a class depends on, as a grey square moves over the image."""
    rows = []
    for shown, one in zip(images, found, strict=True):
        height, width = shown.picture.shape[:2]
        at = divmod(int(one.shares.argmin()), len(one.lefts))
        top, left = one.tops[at[0]], one.lefts[at[1]]
        covered = shown.picture.copy()
        covered[top : top + one.size, left : left + one.size] = 128
        name = classes[one.target]
        worst = f"{name}: {percent(float(one.shares.min()))} instead of {percent(one.share)}"
        drop = one.attributions(height, width).clamp(min=0)
        heat = drop / drop.max() if drop.max() > 0 else drop
        ranked = _ranked(one.winners)
        key = [(pictures.CLASSES[place], classes[cls]) for place, cls in enumerate(ranked[:6])]
        if len(ranked) > 6:
            key.append((pictures.CLASSES[-1], "others"))
        strongest = f"channel {one.channel} of layer {one.layer}"
        parts: list[Part] = [
            Tile(covered, "The square where it hurts most", worst, smooth=True, size="middle"),
            Tile(
                pictures.laid_over(shown.picture, heat),
                "What must not be covered",
                f"bright: the share of {name} falls",
                smooth=True,
                size="middle",
            ),
            Tile(
                pictures.of_map(one.shares, max(float(one.shares.max()), 1e-12)),
                f"Share of {name}",
                f"by the place of the square: black 0%, pale {percent(float(one.shares.max()))}",
                size="middle",
            ),
            Tile(
                pictures.of_classes(one.winners, ranked),
                "Which class wins",
                "by the place of the square",
                size="middle",
            ),
            Tile(
                pictures.of_map(one.strengths),
                "Strength of one feature map",
                f"{strongest}: sum over its places; {number(one.strength)} with nothing covered",
                size="middle",
            ),
            Key(key),
        ]
        rows.append(Row(parts, f"{shown.name}: {name}"))
    size = found[0].size if found else 0
    text = (
        f"A grey square of {size} x {size} pixels is moved over the image in steps of {step}, and "
        "the network looks at each of these images. In the maps each field stands for one place of "
        "the square. Where covering a place makes the share of the class fall, the class depends "
        "on what is there; where it stays, the network doesn't need it."
    )
    return Figure("occlusion", "What the class depends on", text, rows)


def _ranked(winners: torch.Tensor) -> list[int]:
    """Return the classes that win, that of the most places first."""
    classes, counts = torch.unique(winners, return_counts=True)
    order = counts.argsort(descending=True, stable=True)
    return [int(cls) for cls in classes[order]]


class Excitement(NamedTuple):
    """What excites a channel most: patches of images, and what in them does."""

    channel: int
    most: float
    patches: Sequence[pictures.Pixels]
    projections: Sequence[pictures.Pixels]


def top_figure(
    checked: CheckedGraph,
    name: str,
    found: Sequence[Excitement],
    images: int,
    most: int,
    dead: int,
) -> Figure:
    """Show for each channel the patches that excite it most; `dead` channels nothing excites."""
    parts: list[Part] = []
    for each in found:
        side = max(max(patch.shape[:2]) for patch in each.patches)
        mosaics = [pictures.mosaic([pictures.padded(one, side) for one in each.patches])]
        if each.projections:
            mosaics.append(
                pictures.mosaic([pictures.padded(one, side) for one in each.projections])
            )
        shown = pictures.mosaic(mosaics, len(mosaics))
        size = "middle" if len(mosaics) == 1 else "wide"
        parts.append(
            Tile(shown, f"channel {each.channel}", f"up to {number(each.most)}", True, size)
        )
    text = (
        f"For each channel, the {most} of {images:,} images that excite it most: of each the part "
        "that the most excited place sees. What the parts have in common is what the channel has "
        "learned to find, and what differs between them is what it doesn't care about."
    )
    if any(each.projections for each in found):
        text += (
            " Beside them each activation is led back to the pixels: what stands out is what "
            "excited the channel."
        )
    if dead:
        text += f" {dead:,} of its channels no image excites."
    return Figure(
        f"top-{name}",
        f"What excites the channels of {described(checked, name)}",
        text,
        [Row(parts)],
    )


def development_figure(
    checked: CheckedGraph, name: str, columns: Sequence[str], channels: Sequence[int],
    cells: Sequence[Sequence[pictures.Pixels]],
) -> Figure:  # fmt: skip
    """Show how channels of a layer change from one checkpoint to the next."""
    rows = []
    for channel, own in zip(channels, cells, strict=True):
        pairs = zip(own, columns, strict=True)
        tiles = [Tile(cell, column, "", True, "wide") for cell, column in pairs]
        rows.append(Row(tiles, f"channel {channel}"))
    text = (
        "The same channels after each of the checkpoints, in the order in which they were given: "
        "the map for the first image, the part of it that excites the channel most, and what that "
        "activation is led back to. Channels that are strong at the end are shown. "
        "Low layers settle early; what high layers answer to changes for long."
    )
    return Figure(
        f"development-{name}", f"How {described(checked, name, ' developed')}", text, rows
    )
