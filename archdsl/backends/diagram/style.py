"""How a picture looks. Its colours tell the families of layers, or how much a node costs.

The families have the colours of Paul Tol's "light" scheme (https://sronpersonalpages.nl/~pault/),
made for cells with black text that the colour-blind can tell apart. The dark theme has the same
hues, mixed with its background. Heat is a ramp of one hue, which any eye puts in order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from archdsl.backends.diagram.figures import Figures, Heat
from archdsl.backends.diagram.notation import Notation
from archdsl.backends.diagram.view.view import Box

FAMILIES: Mapping[str, str] = {
    "convolution": "#77AADD",
    "transposed_convolution": "#77AADD",
    "linear": "#EE8866",
    "recurrent": "#EE8866",
    "attention": "#FFAABB",
    "pooling": "#44BB99",
    "normalization": "#EEDD88",
    "activation": "#BBCC33",
    "embedding": "#FFAABB",
    "merge": "#99DDFF",
    "arithmetic": "#99DDFF",
    "tensor": "#FFFFFF",
}
OTHER = "#DDDDDD"  # reshape, dropout, padding, a user's own: told apart by their names


class Theme(NamedTuple):
    """The colours of a picture."""

    name: str
    background: str
    text: str
    muted: str  # names, shapes
    small: str  # names and remarks within boxes
    line: str  # borders and edges
    accent: str  # shortcuts
    block: str  # folded blocks
    clusters: tuple[str, ...]  # open blocks, by how deep they stand
    strength: float  # of a family's colour against the background
    heat: tuple[str, str]  # the least and the most

    def family(self, family: str) -> str:
        """Return the fill of a layer of a family."""
        return mixed(self.background, FAMILIES.get(family, OTHER), self.strength)

    def cluster(self, depth: int) -> str:
        """Return the fill of an open block that stands in `depth` others."""
        return self.clusters[depth % len(self.clusters)]

    def warm(self, share: float) -> str:
        """Return the fill of a node whose cost is a share of the largest."""
        return mixed(*self.heat, share)


THEMES: Mapping[str, Theme] = {
    "light": Theme(
        name="light",
        background="#FFFFFF",
        text="#111111",
        muted="#555555",
        small="#333333",
        line="#444444",
        accent="#AA3377",
        block="#F4F4F4",
        clusters=("#FAFAF7", "#F1F1EC"),
        strength=0.75,
        heat=("#FFFFFF", "#F4793B"),
    ),
    "dark": Theme(
        name="dark",
        background="#16181C",
        text="#F2F2F2",
        muted="#B4B8BF",
        small="#DADDE2",
        line="#A0A5AD",
        accent="#F28CC0",
        block="#2B2F36",
        clusters=("#1D2025", "#24282E"),
        strength=0.36,
        heat=("#24282E", "#B33A08"),
    ),
}


@lru_cache(256)
def mixed(under: str, over: str, share: float) -> str:
    """Lay a colour over another: `share` is how much of it is seen."""
    parts = (
        round(int(a, 16) + (int(b, 16) - int(a, 16)) * share)
        for a, b in zip(_parts(under), _parts(over), strict=True)
    )
    return "#" + "".join(f"{part:02X}" for part in parts)


def _parts(color: str) -> tuple[str, str, str]:
    return color[1:3], color[3:5], color[5:7]


@dataclass(frozen=True, eq=False)
class Style:
    """How a picture looks: theme, counts in the boxes, and the heat of each box."""

    theme: Theme
    figures: Figures
    notation: Notation
    counts: bool = False
    heat: dict[int, float] = field(default_factory=dict)
    heated: Heat | None = None  # by what; None for colours by family
    # What is said of a layer, and the labels of boxes in DOT: thousands are the same.
    said: dict[tuple[int, str], tuple[str, str, str, str]] = field(default_factory=dict)
    labels: dict[tuple[object, ...], str] = field(default_factory=dict)

    def fill(self, box: Box, family: str) -> str:
        """Return the fill of a row of a box."""
        if self.heated:
            return self.theme.warm(self.heat.get(box.index, 0.0))
        return self.theme.family(family) if family else self.theme.block
