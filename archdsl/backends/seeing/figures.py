"""What is shown, as figures that a page and a picture are both made of."""

from __future__ import annotations

from collections.abc import Sequence

from archdsl.backends.seeing.pictures import Pixels
from archdsl.records import Record


class Tile(Record):
    """A picture with what stands under it.

    Attributes:
        smooth: whether it is a photograph; what is none shows its pixels as squares.
        size: how wide it is shown: "small", "middle", "wide", or "natural", by its own pixels.
    """

    picture: Pixels
    label: str = ""
    note: str = ""
    smooth: bool = False
    size: str = "small"


class Bars(Record):
    """Shares, each with what it is of, the first at the top."""

    shares: Sequence[tuple[str, float]]


class Lines(Record):
    """Curves over the same steps, between 0 and 1: each with its name."""

    curves: Sequence[tuple[str, Sequence[float]]]
    across: str
    up: str


class Key(Record):
    """What colours mean: each with a text."""

    colors: Sequence[tuple[str, str]]


Part = Tile | Bars | Lines | Key


class Row(Record):
    """Parts side by side, with a heading."""

    parts: Sequence[Part]
    title: str = ""


class Figure(Record):
    """Something to see, with what it means for somebody who doesn't know the paper.

    Attributes:
        name: in small letters, by which files and links call it.
        title: what it shows; text: how to read it.
    """

    name: str
    title: str
    text: str
    rows: Sequence[Row]
