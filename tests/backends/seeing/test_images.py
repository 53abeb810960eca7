"""Images that may be anybody's: what is read, what is refused, and how they are prepared."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
np = pytest.importorskip("numpy")
Image: Any = pytest.importorskip("PIL.Image")

from archdsl.backends.seeing.images import images_in, read_image  # noqa: E402
from archdsl.backends.seeing.preparing import MEAN, STD, Preparation  # noqa: E402
from archdsl.diagnostics import ArchError  # noqa: E402


def picture(width: int = 20, height: int = 12, mode: str = "RGB") -> Any:
    numbers = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(numbers).convert(mode)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def huge_png(width: int, height: int) -> bytes:
    """Return a PNG that says it is huge, and holds next to nothing."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def animated() -> bytes:
    written = io.BytesIO()
    frames = [picture().rotate(turn * 90) for turn in range(3)]
    frames[0].save(written, "GIF", save_all=True, append_images=frames[1:])
    return written.getvalue()


def saved(image: Any, kind: str, **options: Any) -> bytes:
    written = io.BytesIO()
    image.save(written, kind, **options)
    return written.getvalue()


REFUSED = {
    "empty.png": (b"", "is empty"),
    "text.jpg": (
        b"hello",
        "is no image, or damaged: JPEG, PNG, GIF, BMP, WEBP, TIFF and PPM are read",
    ),
    "page.png": (b"<html></html>", "is no image"),
    "cut.jpg": (saved(picture(200, 200), "JPEG")[:900], "is damaged"),
    "cut.png": (saved(picture(200, 200), "PNG")[:900], "is damaged"),
    "crc.png": (saved(picture(), "PNG").replace(b"IDAT", b"IDAX"), "or damaged"),
    "huge.png": (huge_png(20_000, 20_000), "pixels, and at most 64,000,000 are decoded"),
    "large.png": (huge_png(9_000, 8_000), "has 9,000 x 8,000 pixels, and at most"),
    "bomb.png": (huge_png(12_000, 8_000), "pixels, and at most 64,000,000 are decoded"),
    "line.png": (huge_png(20_000, 10), "is too narrow to be seen"),
    "moving.gif": (animated(), "is animated: it holds 3 pictures"),
    "script.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "is no image"),
    "float.tiff": (saved(Image.new("F", (9, 9)), "TIFF"), "has other numbers than pixels do"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_image_is_refused_in_a_sentence(name: str, tmp_path: Path) -> None:
    data, reason = REFUSED[name]
    (tmp_path / name).write_bytes(data)

    with pytest.raises(ArchError) as caught:
        read_image(str(tmp_path / name))

    (found,) = caught.value.diagnostics
    assert name in found.message()
    assert reason in found.message()
    assert "\n" not in found.message()


def test_files_that_are_not_there_or_none(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "x.png", "does not exist"), (tmp_path, "is a folder")):
        with pytest.raises(ArchError, match=reason):
            read_image(str(path))
    with pytest.raises(ArchError, match="no regular file"):
        read_image("/dev/zero")


READ = {
    "grey.png": (saved(picture(mode="L"), "PNG"), "L"),
    "black_and_white.png": (saved(picture(mode="1"), "PNG"), "L"),
    "palette.gif": (saved(picture(mode="P"), "GIF"), "RGB"),
    "alpha.png": (saved(picture(mode="RGBA"), "PNG"), "RGB"),
    "grey_alpha.png": (saved(picture(mode="LA"), "PNG"), "L"),
    "print.jpg": (saved(picture(mode="CMYK"), "JPEG"), "RGB"),
    "one.png": (saved(picture(1, 1), "PNG"), "RGB"),
    "lies.jpg": (saved(picture(), "PNG"), "RGB"),
    "no_ending": (saved(picture(), "BMP"), "RGB"),
}


@pytest.mark.parametrize("name", READ)
def test_images_of_every_kind_are_read(name: str, tmp_path: Path) -> None:
    data, mode = READ[name]
    (tmp_path / name).write_bytes(data)
    image = read_image(str(tmp_path / name))

    assert image.mode == mode
    for channels in (1, 3):
        how = Preparation(channels, 16, 16, (0.0,) * channels, (1.0,) * channels)
        prepared = how.prepared(image)
        assert prepared.shape == (channels, 16, 16)
        assert prepared.min() >= 0
        assert prepared.max() <= 1


def test_what_is_transparent_lies_on_white(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(tmp_path / "x.png")
    Image.new("RGBA", (4, 4), (0, 0, 0, 128)).save(tmp_path / "y.png")

    assert read_image(str(tmp_path / "x.png")).getpixel((0, 0)) == (255, 255, 255)
    assert read_image(str(tmp_path / "y.png")).getpixel((0, 0)) == (127, 127, 127)


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    values = np.array([[0, 257, 32768, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "x.png")

    image = read_image(str(tmp_path / "x.png"))

    assert [image.getpixel((column, 0)) for column in range(4)] == [0, 1, 128, 255]


def test_a_photograph_is_turned_upright(tmp_path: Path) -> None:
    image = Image.new("RGB", (20, 10), "black")
    image.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    image.save(tmp_path / "x.png", exif=exif)

    found = read_image(str(tmp_path / "x.png"))

    assert found.size == (10, 20)
    assert found.getpixel((9, 0)) == (255, 255, 255)


@pytest.mark.parametrize("size", [(300, 200), (200, 300), (500, 500), (31, 47), (1, 1), (224, 224)])
@pytest.mark.parametrize("side", [224, 299])
def test_images_are_prepared_as_torchvision_does_it(size: tuple[int, int], side: int) -> None:
    transforms = pytest.importorskip("torchvision.transforms")
    image = picture(*size)
    wanted = transforms.Compose(
        [
            transforms.Resize(round(side * 256 / 224)),
            transforms.CenterCrop(side),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )(image)
    how = Preparation(3, side, side, MEAN, STD)

    found = how.prepared(image)

    assert torch.allclose(found, wanted, atol=1e-6)
    shown = wanted * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None]
    assert torch.allclose(how.pixels(found), shown, atol=1e-6)


def test_oblong_networks_see_the_middle() -> None:
    how = Preparation(3, 10, 40, (0.0,) * 3, (1.0,) * 3, crop=1.0)
    image = Image.new("RGB", (40, 40), "black")
    image.paste((255, 255, 255), (0, 15, 40, 25))

    assert how.prepared(image).min() == 1


def test_images_of_a_folder(tmp_path: Path) -> None:
    for name in ("b.png", "a/c.JPG", "a/.hidden.png", ".git/x.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")

    found = images_in(str(tmp_path))

    assert [path.removeprefix(f"{tmp_path}/") for path in found] == ["b.png", "a/c.JPG"]
    for folder, reason in (
        (tmp_path / "none", "does not exist"),
        (tmp_path / "b.png", "is no folder"),
        (tmp_path / "empty", "has no images"),
    ):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(ArchError, match=reason):
            images_in(str(folder))


def test_a_photograph_with_a_second_picture_is_that_photograph(tmp_path: Path) -> None:
    path = tmp_path / "phone.jpg"
    second = Image.new("RGB", (8, 8), (0, 0, 255))
    Image.new("RGB", (8, 8), (255, 0, 0)).save(
        path, format="MPO", save_all=True, append_images=[second]
    )

    red, _, blue = read_image(str(path)).getpixel((4, 4))
    assert red > 200
    assert blue < 50
