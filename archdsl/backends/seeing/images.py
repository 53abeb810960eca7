"""Reads images that may be anybody's, with Pillow, whose limits stay on.

What an image is follows from its first bytes. Its size is looked at before anything is decoded.
"""

from __future__ import annotations

import io
import os
import threading
import warnings
from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageOps, UnidentifiedImageError

from archdsl.backends.seeing.errors import BadImage, NoImages
from archdsl.diagnostics import ArchError, printable
from archdsl.reading import read_regular, reason_of

# Formats of pixels. Pillow knows more, some of which run other programs.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
ENDINGS = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
MOST_BYTES = 128 * 2**20
MOST_PIXELS = 64_000_000  # 8,000 x 8,000; decoded they take 256 MB
MOST_RATIO = 50  # of the longer side to the shorter: resized, it would be all but a line
MOST_FILES = 1_000_000  # of a folder
WHITE = (255, 255, 255, 255)
DEEP = ("I;16", "I;16L", "I;16B", "I;16N")  # how Pillow calls grey images of 16 bits

_warnings = threading.Lock()  # what is ignored and what isn't is one setting for all threads


def read_image(path: str) -> Image.Image:
    """Return an image as its maker meant it to be seen: in RGB or grey, turned upright, on white.

    Raises:
        ArchError: it can't be read, is no image, is damaged, animated, too large or too narrow.
    """
    try:
        data = read_regular(path, MOST_BYTES)
    except OSError as error:
        hint = "name its images with `--images DIR`" if isinstance(error, IsADirectoryError) else ""
        raise _bad(path, reason_of(error), hint) from None
    if not data:
        raise _bad(path, "is empty")
    if len(data) > MOST_BYTES:
        raise _bad(path, f"is larger than the {MOST_BYTES >> 20} MiB that are read of an image")
    with _warnings, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what else a file says wrong of itself
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return _decoded(path, data)


def _decoded(path: str, data: bytes) -> Image.Image:
    try:
        image: Any = Image.open(io.BytesIO(data), formats=FORMATS)
        require_size(path, image.size)
        # a phone puts a second picture, of depths or brightness, into the file of a photograph
        if getattr(image, "is_animated", False) and image.format != "MPO":
            reason = f"is animated: it holds {image.n_frames:,} pictures"
            raise _bad(path, reason, "save the one that is meant as an image of its own")
        image.load()
        return plain(path, ImageOps.exif_transpose(image))
    except (ArchError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large(path, "too many pixels") from None
    except UnidentifiedImageError:
        reason = f"is no image, or damaged: {', '.join(FORMATS[:-1])} and {FORMATS[-1]} are read"
        raise _bad(path, reason) from None
    except Exception as error:  # whatever Pillow makes of a damaged file
        said = printable(" ".join(str(error).split()) or type(error).__name__, 100)
        raise _bad(path, f"is damaged: {said}") from None


def require_size(path: str, size: tuple[int, int]) -> None:
    """Raise ArchError where an image has too many pixels, or is too narrow."""
    width, height = size
    if width * height > MOST_PIXELS:
        raise _too_large(path, f"{width:,} x {height:,} pixels")
    if max(size) > MOST_RATIO * min(size):
        reason = f"has {width:,} x {height:,} pixels, which is too narrow to be seen"
        raise _bad(path, reason, "cut a part out of it that is no more than 50 times as long")


def _too_large(path: str, has: str) -> ArchError:
    reason = f"has {has}, and at most {MOST_PIXELS:,} are decoded"
    return _bad(path, reason, "make it smaller first: a network sees a few hundred pixels")


def plain(path: str, image: Image.Image) -> Image.Image:
    """Return an image in RGB or grey (L). What is transparent is laid on white."""
    if image.mode in DEEP:  # Pillow would cut off what is brighter than 255
        return image.point(lambda value: value * (1 / 257) + 0.5).convert("L")
    if image.mode in ("I", "F"):
        raise _bad(path, "has other numbers than pixels do", "save it with 8 or 16 bits")
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        grey = image.mode in ("LA", "La", "L", "1")
        full = image.convert("RGBA")
        on_white = Image.alpha_composite(Image.new("RGBA", full.size, WHITE), full)
        return on_white.convert("L" if grey else "RGB")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def images_in(folder: str) -> Sequence[str]:
    """Return the paths of the images in a folder and the folders in it, in order.

    What is an image is told by the ending of its name; hidden files and folders are left out.

    Raises:
        ArchError: it is no folder, can't be read, or has no images.
    """
    found: list[str] = []
    try:
        os.listdir(folder)  # which says what is wrong, as `os.walk` does not
        for here, folders, files in os.walk(folder):
            folders[:] = sorted(one for one in folders if not one.startswith("."))
            found += [
                os.path.join(here, one)
                for one in sorted(files)
                if one.lower().endswith(ENDINGS) and not one.startswith(".")
            ]
            if len(found) > MOST_FILES:
                what = f"{printable(folder)} has more than {MOST_FILES:,} images"
                raise ArchError(NoImages(what=what, hint="take a part of them"))
    except (NotADirectoryError, ValueError):
        what = f"{printable(folder)} is no folder"
        hint = "a single image is given with `--image FILE`"
        raise ArchError(NoImages(what=what, hint=hint)) from None
    except OSError as error:
        raise ArchError(NoImages(what=f"{printable(folder)} {reason_of(error)}")) from None
    if not found:
        what = f"{printable(folder)} has no images"
        hint = f"images are files that end in {', '.join(ENDINGS[:6])}, ..."
        raise ArchError(NoImages(what=what, hint=hint))
    return found


def _bad(path: str, reason: str, hint: str = "") -> ArchError:
    return ArchError(BadImage(path=printable(path) or "an empty path", reason=reason, hint=hint))
