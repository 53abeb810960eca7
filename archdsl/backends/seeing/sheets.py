"""A figure as one picture, for papers and slides: with its title, its tiles and what they are."""

from __future__ import annotations

import io
from collections.abc import Sequence
from textwrap import wrap

from PIL import Image, ImageDraw, ImageFont

from archdsl.backends.marks import marked
from archdsl.backends.seeing.figures import Bars, Figure, Key, Lines, Part, Row, Tile

WIDTH, EDGE, GAP = 1240, 24, 16
SIDES = {"small": 120, "middle": 224, "wide": 386}
TEXT, MUTED, LINE, PANEL = "#111111", "#555555", "#d5d5d0", "#f4f4f4"
BAR, TRACK = "#77aadd", "#e8e8e4"
CURVES = ("#dd6622", "#3377cc", "#228833", "#aa3377", "#997700")
LAST = "#8a8f98"
CHART = (226, 190)

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def to_png(figure: Figure) -> bytes:
    """Return a figure as a PNG file, which ends with a mark that says who wrote it."""
    parts = [_text(figure.title, WIDTH - 2 * EDGE, 22, TEXT)]
    parts.append(_text(figure.text.replace("`", ""), WIDTH - 2 * EDGE, 14, MUTED))
    parts += [_row(row) for row in figure.rows]
    height = sum(part.height + GAP for part in parts) + 2 * EDGE - GAP
    sheet = Image.new("RGB", (WIDTH, height), "white")
    top = EDGE
    for part in parts:
        sheet.paste(part, (EDGE, top))
        top += part.height + GAP
    written = io.BytesIO()
    sheet.save(written, "PNG", optimize=True)
    return marked("png", written.getvalue())


def _row(row: Row) -> Image.Image:
    """Lay the parts of a row side by side, in as many lines as they need."""
    width = WIDTH - 2 * EDGE
    drawn = [_part(part) for part in row.parts]
    if row.title:
        drawn.insert(0, _text(row.title, width, 15, TEXT, full=True))
    places, left, top, lowest = [], 0, 0, 0
    for part in drawn:
        if left and left + part.width > width:
            left, top = 0, lowest + GAP
        places.append((left, top))
        left += part.width + GAP
        lowest = max(lowest, top + part.height)
    whole = Image.new("RGB", (width, max(lowest, 1)), "white")
    for part, place in zip(drawn, places, strict=True):
        whole.paste(part, place)
    return whole


def _part(part: Part) -> Image.Image:
    if isinstance(part, Tile):
        return _tile(part)
    if isinstance(part, Bars):
        return _bars(part)
    return _lines(part) if isinstance(part, Lines) else _key(part)


def _tile(tile: Tile) -> Image.Image:
    image = Image.fromarray(tile.picture)
    side = SIDES.get(tile.size) or min(image.width, WIDTH - 2 * EDGE)
    height = max(1, round(image.height * side / image.width))
    way = Image.Resampling.BICUBIC if tile.smooth else Image.Resampling.NEAREST
    if image.width > side:
        way = Image.Resampling.LANCZOS
    parts = [image.resize((side, height), way)]
    if tile.label:
        parts.append(_text(tile.label, side, 13, TEXT))
    if tile.note:
        parts.append(_text(tile.note, side, 13, MUTED))
    return _stacked(parts)


def _bars(bars: Bars) -> Image.Image:
    whole = Image.new("RGB", (420, max(1, len(bars.shares)) * 28), "white")
    draw, font = ImageDraw.Draw(whole), _font(14)
    for place, (name, share) in enumerate(bars.shares):
        top = place * 28
        draw.text((0, top + 4), _shortened(name, 150, font), TEXT, font)
        draw.rectangle((160, top + 6, 350, top + 18), TRACK)
        draw.rectangle((160, top + 6, 160 + round(190 * min(max(share, 0), 1)), top + 18), BAR)
        draw.text((360, top + 4), f"{share:.1%}", TEXT, font)
    return whole


def _key(key: Key) -> Image.Image:
    whole = Image.new("RGB", (SIDES["middle"], max(1, len(key.colors)) * 22), "white")
    draw, font = ImageDraw.Draw(whole), _font(13)
    for place, (color, name) in enumerate(key.colors):
        draw.rectangle((0, place * 22 + 3, 13, place * 22 + 16), color)
        draw.text((21, place * 22 + 2), _shortened(name, 200, font), TEXT, font)
    return whole


def _lines(lines: Lines) -> Image.Image:
    width, height = CHART
    chart = Image.new("RGB", CHART, PANEL)
    draw = ImageDraw.Draw(chart)

    def at(across: float, up: float) -> tuple[float, float]:
        return 10 + across * (width - 20), height - 10 - min(max(up, 0), 1) * (height - 20)

    for share in (0, 0.5, 1):
        draw.line([at(0, share), at(1, share)], LINE)
    colors = [CURVES[place % len(CURVES)] for place in range(len(lines.curves) - 1)] + [LAST]
    for color, (_, values) in zip(colors, lines.curves, strict=True):
        last = max(len(values) - 1, 1)
        draw.line([at(place / last, value) for place, value in enumerate(values)], color, 2)
    names = Key([(color, name) for color, (name, _) in zip(colors, lines.curves, strict=True)])
    across = f"from left to right: {lines.across}"
    said = [_text(lines.up, width, 13, TEXT), _text(across, width, 13, MUTED), _key(names)]
    return _stacked([chart, *said])


def _stacked(parts: Sequence[Image.Image]) -> Image.Image:
    width, height = max(part.width for part in parts), sum(part.height + 4 for part in parts)
    whole = Image.new("RGB", (width, height), "white")
    top = 0
    for part in parts:
        whole.paste(part, (0, top))
        top += part.height + 4
    return whole


def _text(text: str, width: int, size: int, color: str, full: bool = False) -> Image.Image:
    """Write a text in lines that are no wider than that."""
    font = _font(size)
    each = max(font.getlength("abcdefghij klmnopqrstuvwxyz") / 27, 1)
    lines = wrap(text, max(int(width / each), 4)) or [""]
    height = round(size * 1.4)
    longest = max(int(font.getlength(line)) for line in lines) + 1
    whole = Image.new(
        "RGB", (width if full else min(max(longest, 1), width), height * len(lines)), "white"
    )
    draw = ImageDraw.Draw(whole)
    for place, line in enumerate(lines):
        draw.text((0, place * height), line, color, font)
    return whole


def _shortened(text: str, width: int, font: Font) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}...") > width:
        text = text[:-1]
    return f"{text}..."


def _font(size: int) -> Font:
    """Return the font that comes with Pillow, which is the same on every machine."""
    return ImageFont.load_default(size)
