"""Tensors as pictures: pixels of 8 bits, in colours that say what is strong and what is weak.

Zero is black. What is above zero goes over orange to pale yellow, what is below it over blue to
pale blue: brighter is always further from zero, for any eye, and in print without colours.
"""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Sequence
from math import ceil, sqrt
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw

from archdsl.backends.seeing.nodes import Box

Pixels = np.ndarray[Any, np.dtype[np.uint8]]  # [height, width, 3]

ABOVE = ((0, 0, 0), (110, 40, 15), (226, 98, 37), (250, 170, 90), (255, 244, 200))
BELOW = ((0, 0, 0), (20, 50, 100), (55, 110, 175), (125, 180, 225), (225, 242, 255))
# Paul Tol's "bright" scheme, which the colour-blind can tell apart; the last one is for the rest.
CLASSES = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377", "#BBBBBB")
FRAME = (240, 60, 140)
GAP, BETWEEN = 2, 128  # pixels between pictures of a mosaic, and their grey
SHARP = 2**14  # pixels up to which a picture is kept without loss


def of_images(pixels: torch.Tensor) -> Pixels:
    """Return pixels between 0 and 1, [1 or 3, height, width], as a picture."""
    scaled = (pixels.float() * 255).round().clamp(0, 255).byte()
    return np.ascontiguousarray(scaled.expand(3, -1, -1).permute(1, 2, 0).numpy())


def of_map(values: torch.Tensor, most: float | None = None) -> Pixels:
    """Return a map, [height, width], as a picture; `most` is what is shown brightest."""
    values = values.float().nan_to_num(0, 0, 0)
    most = float(values.abs().max()) if most is None else most
    return colored(values / most if most > 0 else values * 0)


def colored(values: torch.Tensor) -> Pixels:
    """Return numbers from -1 to 1 in their colours."""
    size = values.abs().clamp(0, 1).numpy()
    stops = np.linspace(0, 1, len(ABOVE))
    channels = [
        np.where(
            values.numpy() >= 0,
            np.interp(size, stops, [color[channel] for color in ABOVE]),
            np.interp(size, stops, [color[channel] for color in BELOW]),
        )
        for channel in range(3)
    ]
    picture: Pixels = np.stack(channels, axis=-1).round().astype(np.uint8)
    return picture


def of_filter(weights: torch.Tensor) -> Pixels:
    """Return a filter, [1 or 3, height, width], with 0 as middle grey."""
    return of_images(0.5 + 0.5 * weights.float() / weights.abs().max().clamp(min=1e-12))


def laid_over(image: Pixels, heat: torch.Tensor) -> Pixels:
    """Return an image in grey with a map of its size on it, from 0 (not seen) to 1."""
    grey = image.mean(axis=2, keepdims=True) * 0.75 + 30
    share = heat.clamp(0, 1).numpy()[:, :, None] * 0.8
    mixed: Pixels = (grey * (1 - share) + colored(heat) * share).round().astype(np.uint8)
    return mixed


def framed(image: Pixels, box: Box) -> Pixels:
    """Return an image with a frame around a part of it."""
    drawn = Image.fromarray(image)
    width = max(1, max(image.shape) // 100)
    place = (box.left, box.top, box.right - 1, box.bottom - 1)
    ImageDraw.Draw(drawn).rectangle(place, outline=FRAME, width=width)
    return np.array(drawn)


def cut(image: Pixels, box: Box) -> Pixels:
    """Return a part of an image."""
    return image[box.top : box.bottom, box.left : box.right]


def mosaic(pictures: Sequence[Pixels], columns: int | None = None) -> Pixels:
    """Lay pictures out in a square, or in so many columns, each in the middle of its field."""
    columns = columns or ceil(sqrt(len(pictures)))
    height = max(picture.shape[0] for picture in pictures)
    width = max(picture.shape[1] for picture in pictures)
    rows = ceil(len(pictures) / columns)
    full = (rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3)
    whole = np.full(full, BETWEEN, dtype=np.uint8)
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        top = row * (height + GAP) + (height - picture.shape[0]) // 2
        left = column * (width + GAP) + (width - picture.shape[1]) // 2
        whole[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return whole


def of_classes(winners: torch.Tensor, ranked: Sequence[int]) -> Pixels:
    """Return a map of classes in the colours of the first few; all others share the last one."""
    colors = np.array([color_of(name) for name in CLASSES], dtype=np.uint8)
    places = {cls: place for place, cls in enumerate(ranked[: len(CLASSES) - 1])}
    other = len(CLASSES) - 1
    numbers = [[places.get(int(cls), other) for cls in row] for row in winners]
    picture: Pixels = colors[np.array(numbers)]
    return picture


def color_of(text: str) -> tuple[int, ...]:
    """Return the parts of a colour that is written `#4477AA`."""
    return tuple(bytes.fromhex(text[1:]))


def encoded(picture: Pixels, sharp: bool) -> str:
    """Return a picture as a `data:` address: without loss where it is small or is to be sharp."""
    written = io.BytesIO()
    if sharp or picture.shape[0] * picture.shape[1] <= SHARP:
        Image.fromarray(picture).save(written, "PNG", optimize=True)
        kind = "png"
    else:
        Image.fromarray(picture).save(written, "JPEG", quality=88)
        kind = "jpeg"
    return f"data:image/{kind};base64,{b64encode(written.getvalue()).decode()}"


def enlarged(picture: Pixels, times: int) -> Pixels:
    """Return a picture with so many times the pixels along each side."""
    times = max(times, 1)
    return np.repeat(np.repeat(picture, times, axis=0), times, axis=1)


def squared(picture: Pixels, side: int) -> Pixels:
    """Return a picture enlarged as a whole number of times goes into a side, on grey."""
    return padded(enlarged(picture, side // max(picture.shape[:2])), side)


def padded(picture: Pixels, side: int) -> Pixels:
    """Return a picture in the middle of a grey square."""
    height, width = picture.shape[:2]
    whole = np.full((side, side, 3), BETWEEN, dtype=np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    whole[top : top + height, left : left + width] = picture
    return whole
