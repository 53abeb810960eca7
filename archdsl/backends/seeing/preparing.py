"""How an image becomes what a network takes, and back.

As torchvision's presets do it: it is resized so that its shorter side is the network's size divided
by 0.875, its middle is cut out, and the mean of each channel is taken away and its spread made 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from PIL import Image

from archdsl.backends.seeing.errors import BadView, NotForImages
from archdsl.backends.seeing.images import images_in, read_image
from archdsl.diagnostics import ArchError
from archdsl.graph import CheckedGraph
from archdsl.records import Record

# Of ImageNet, which torchvision's weights were trained on.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CROP = 224 / 256
USUAL_SIZE = 224  # where a network takes any
NAMES = {1: "grey", 3: "red, green, blue"}


class Preparation(Record):
    """How images are prepared.

    Attributes:
        channels: 1 for grey, 3 for RGB.
        height, width: what the network takes, in pixels.
        mean, std: taken away from pixels between 0 and 1, and by which they are then divided.
        crop: which part of the resized image is cut out, along its shorter side.
    """

    channels: int
    height: int
    width: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop: float = CROP

    def prepared(self, image: Image.Image) -> torch.Tensor:
        """Return an image as the network takes it: [channels, height, width], in float32."""
        image = self.cut(image).convert("L" if self.channels == 1 else "RGB")
        pixels = torch.from_numpy(np.array(image, dtype=np.float32) / 255)
        pixels = pixels.reshape(self.height, self.width, self.channels).permute(2, 0, 1)
        return (pixels - self._column(self.mean)) / self._column(self.std)

    def cut(self, image: Image.Image) -> Image.Image:
        """Return the part of an image that the network sees, in its size."""
        least_width, least_height = round(self.width / self.crop), round(self.height / self.crop)
        width, height = image.size
        # the side that needs more enlarging comes to its size, the other is as much as it must be
        if width * least_height <= height * least_width:
            sizes = (least_width, max(least_height, int(least_width * height / width)))
        else:
            sizes = (max(least_width, int(least_height * width / height)), least_height)
        resized = image.resize(sizes, Image.Resampling.BILINEAR)
        left, top = round((sizes[0] - self.width) / 2), round((sizes[1] - self.height) / 2)
        return resized.crop((left, top, left + self.width, top + self.height))

    def pixels(self, prepared: torch.Tensor) -> torch.Tensor:
        """Return prepared images as pixels between 0 and 1: what is beyond them is cut off."""
        column = (self._column(each).to(prepared) for each in (self.std, self.mean))
        std, mean = column
        return (prepared * std + mean).clamp(0, 1)

    @property
    def grey(self) -> torch.Tensor:
        """A grey that is half-way between black and white, as the network takes it."""
        return (0.5 - self._column(self.mean)) / self._column(self.std)

    @staticmethod
    def _column(values: Sequence[float]) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.float32).reshape(-1, 1, 1)

    def __str__(self) -> str:
        def listed(values: Sequence[float]) -> str:
            return ", ".join(f"{value:g}" for value in values)

        least = [round(size / self.crop) for size in (self.height, self.width)]
        way = (
            f"resized (bilinear) to cover {least[0]} x {least[1]}, and the middle "
            f"{self.height} x {self.width} cut out"
            if self.crop < 1
            else f"resized (bilinear) to cover {self.height} x {self.width}, which is cut out "
            "of the middle"
        )
        return (
            f"{way}; pixels between 0 and 1 ({NAMES[self.channels]}), less {listed(self.mean)}, "
            f"divided by {listed(self.std)}"
        )


def image_input(checked: CheckedGraph) -> str:
    """Return the name of a network's only input, which must be an image.

    Raises:
        ArchError: it has others.
    """
    shapes = checked.inputs
    if len(shapes) != 1:
        raise _not(checked, f"has {len(shapes)} inputs, and only networks with one can be seen")
    ((name, shape),) = shapes.items()
    if len(shape) != 3 or checked.dtype(name) != "float":
        takes = " x ".join(map(str, shape))
        raise _not(checked, f"takes {takes}, which is no image: channels x height x width")
    return name


def sizes_to_give(checked: CheckedGraph, size: Sequence[int] | None) -> tuple[int, ...] | None:
    """Return the shape that the input is to be given, or None where it has all its sizes.

    Raises:
        ArchError: the network takes another size than was asked for, or no images.
    """
    name = image_input(checked)
    channels, *places = checked.inputs[name]
    if not isinstance(channels, int):
        raise _not(checked, f"takes any number of channels: say how many with `--input {name}=...`")
    wanted = None if size is None else tuple(size) * (2 if len(size) == 1 else 1)
    free = [not isinstance(one, int) for one in places]
    for one, asked, is_free in zip(places, wanted or (), free, strict=False):
        if not is_free and one != asked:
            shape = "x".join(map(str, (channels, *(wanted or ()))))
            takes = " x ".join(map(str, places))
            raise ArchError(
                BadView(
                    option="--size",
                    reason=f"can't be {' x '.join(map(str, wanted or ()))}: the network "
                    f"`{checked.name}` takes images of {takes}",
                    hint=f"`--input {name}={shape}` makes it one that takes these",
                )
            )
    if not any(free):
        return None
    given = wanted or (USUAL_SIZE, USUAL_SIZE)
    return (channels, *given)


def preparation(
    checked: CheckedGraph,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    crop: float | None = None,
) -> Preparation:
    """Return how images are prepared for a network: in the usual size, if it takes any.

    Raises:
        ArchError: it takes no images, or a mean or spread makes no sense.
    """
    shape = sizes_to_give(checked, None) or checked.inputs[image_input(checked)]
    channels, height, width = shape
    assert isinstance(channels, int)
    assert isinstance(height, int)
    assert isinstance(width, int)
    if channels not in NAMES:
        reason = f"takes {channels:,} channels, and images have 1 (grey) or 3 (red, green, blue)"
        raise _not(checked, reason)
    usual = (MEAN, STD) if channels == 3 else ((0.0,), (1.0,))
    values = [
        _values(option, given, default, channels)
        for option, given, default in (("--mean", mean, usual[0]), ("--std", std, usual[1]))
    ]
    if not all(value > 0 for value in values[1]):
        raise ArchError(BadView(option="--std", reason="must be above 0, since it divides"))
    crop = CROP if crop is None else crop
    if not 0.1 <= crop <= 1:
        reason = f"is the share of the image that is cut out, from 0.1 to 1, and not {crop:g}"
        raise ArchError(BadView(option="--crop", reason=reason))
    return Preparation(channels, height, width, values[0], values[1], crop)


def images_of(
    checked: CheckedGraph,
    folder: str,
    most: int,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    crop: float | None = None,
) -> Iterator[torch.Tensor]:
    """Yield the images of a folder as batches of one, evenly chosen where there are more than some.

    Raises:
        ArchError: an image can't be read, or what `preparation` and `images_in` raise.
    """
    prepared = preparation(checked, mean, std, crop)
    paths = images_in(folder)
    number = min(most, len(paths))
    for each in range(number):
        yield prepared.prepared(read_image(paths[each * len(paths) // number]))[None]


def _values(
    option: str, given: Sequence[float] | None, usual: tuple[float, ...], channels: int
) -> tuple[float, ...]:
    if given is None:
        return usual
    values = tuple(map(float, given))
    if len(values) == 1:
        values *= channels
    if len(values) != channels or not all(abs(value) < 1e6 for value in values):
        reason = f"takes one number, or {channels} separated by commas: one for each channel"
        if channels == 1:
            reason = "takes one number, since the network takes grey images"
        raise ArchError(BadView(option=option, reason=reason))
    return values


def _not(checked: CheckedGraph, reason: str) -> ArchError:
    return ArchError(NotForImages(checked.span, network=checked.name, reason=reason))
