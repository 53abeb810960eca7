"""A scatter plot on logarithmic axes, as SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import NamedTuple

from archdsl.backends.diagram.dot.lettering import FONTS, width_of

WIDTH, HEIGHT = 960, 640
LEFT, RIGHT, TOP, BOTTOM = 80, 20, 20, 60
SIZE = 12  # of the letters, in pixels
# Colours that can be told apart, also by those who see few: Okabe and Ito, 2008
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")


class Point(NamedTuple):
    """A point with its label; points of one group have one colour."""

    label: str
    group: str
    x: int
    y: int


class Box(NamedTuple):
    """A place that a label takes."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        apart = self.right < other.left or other.right < self.left
        return not (apart or self.bottom < other.top or other.bottom < self.top)


class Axis(NamedTuple):
    """A logarithmic axis from one pixel to another."""

    least: float
    most: float
    start: int
    end: int

    def at(self, value: float) -> float:
        share = math.log(value / self.least) / math.log(self.most / self.least)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self) -> list[int]:
        """Return the powers of ten on it."""
        first, last = math.ceil(math.log10(self.least)), math.floor(math.log10(self.most))
        return [10**power for power in range(first, last + 1)]


def scatter(points: Sequence[Point], x_title: str, y_title: str) -> str:
    """Draw the points. A label that would lie on another is left out, and is a tooltip only."""
    across = _axis([point.x for point in points], LEFT, WIDTH - RIGHT)
    up = _axis([point.y for point in points], HEIGHT - BOTTOM, TOP)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="{FONTS}" font-size="{SIZE}">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        *_grid(across, up),
        f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 15}" text-anchor="middle">{x_title}</text>',
        f'<text transform="translate(20 {HEIGHT / 2}) rotate(-90)" text-anchor="middle">'
        f"{y_title}</text>",
        *_points(points, across, up),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _axis(values: Sequence[int], start: int, end: int) -> Axis:
    return Axis(min(values) / 1.6, max(values) * 1.6, start, end)


def _grid(across: Axis, up: Axis) -> Iterator[str]:
    style = 'stroke="#dddddd"'
    for tick in across.ticks():
        x = across.at(tick)
        yield f'<line x1="{x}" y1="{TOP}" x2="{x}" y2="{HEIGHT - BOTTOM}" {style}/>'
        yield f'<text x="{x}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{_short(tick)}</text>'
    for tick in up.ticks():
        y = up.at(tick)
        yield f'<line x1="{LEFT}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}" {style}/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{_short(tick)}</text>'


def _points(points: Sequence[Point], across: Axis, up: Axis) -> Iterator[str]:
    groups = list(dict.fromkeys(point.group for point in points))
    taken = [
        Box(x - 4, y - 4, x + 4, y + 4)
        for x, y in ((across.at(point.x), up.at(point.y)) for point in points)
    ]
    for point in points:
        x, y = across.at(point.x), up.at(point.y)
        colour = COLOURS[groups.index(point.group) % len(COLOURS)]
        label = escape(point.label)
        title = f"{label}: {point.x:,} and {point.y:,}"
        yield f'<circle cx="{x}" cy="{y}" r="4" fill="{colour}"><title>{title}</title></circle>'
        width = width_of(point.label, SIZE)
        for place in _places(x, y, width):
            inside = place.left > LEFT and place.right < WIDTH - RIGHT
            if inside and not any(place.meets(other) for other in taken):
                taken.append(place)
                style = f'text-anchor="middle" fill="{colour}" textLength="{width:.1f}"'
                style += ' lengthAdjust="spacingAndGlyphs"'
                middle = (place.left + place.right) / 2
                yield f'<text x="{middle:.1f}" y="{place.bottom - 2:.1f}" {style}>{label}</text>'
                break


def _places(x: float, y: float, width: float) -> Iterator[Box]:
    """Return where the label of a point may be, best first: beside it, below, above, aslant."""
    beside, level = 6 + width / 2, 0.0
    near = [(beside, level), (-beside, level), (0.0, 12.0), (0.0, -12.0)]
    aslant = [(side * beside, up) for up in (9.0, -9.0) for side in (1, -1)]
    for across, down in near + aslant:
        middle, line = x + across, y + down
        yield Box(middle - width / 2, line - SIZE / 2, middle + width / 2, line + SIZE / 2)


def _short(value: int) -> str:
    for power, letter in ((9, "G"), (6, "M"), (3, "k")):
        if value >= 10**power:
            return f"{value // 10**power}{letter}"
    return str(value)
