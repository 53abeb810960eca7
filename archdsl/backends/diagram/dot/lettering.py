"""How wide text is, and SVG in which it is as wide as that whatever fonts there are.

Graphviz measures text in Helvetica and leaves so much room. Where that font is missing another
takes its place, DejaVu Sans for one, which is up to a quarter wider.
"""

from __future__ import annotations

import re
from functools import lru_cache
from unicodedata import category

# Fonts as wide as Helvetica, which Graphviz measures; at last whatever there is.
FONTS = "Helvetica, Arial, Liberation Sans, Nimbus Sans, sans-serif"
# Widths of the letters from the space to the tilde for a size of 1,000: Adobe's font metrics.
HELVETICA = """
    278 278 355 556 556 889 667 191 333 333 389 584 278 333 278 278 556 556 556 556 556 556 556
    556 556 556 278 278 584 584 584 556 1015 667 667 722 722 667 611 778 722 278 500 667 556
    833 722 778 667 778 722 667 611 722 667 944 667 667 611 278 278 278 469 556 333 556 556 500
    556 556 278 556 556 222 222 500 222 833 556 556 556 556 333 500 278 556 500 722 500 500 500
    334 260 334 584
"""
BOLD = """
    278 333 474 556 556 889 722 238 333 333 389 584 278 333 278 278 556 556 556 556 556 556 556
    556 556 556 333 333 584 584 584 611 975 722 722 722 722 667 611 778 722 278 556 722 611 833
    722 778 667 778 722 667 611 722 667 944 667 667 611 333 278 333 584 556 333 556 611 556 611
    556 333 611 611 278 278 556 278 889 611 611 611 611 389 556 333 611 556 778 556 556 500 389
    280 389 584
"""
BYTE = 278  # what Graphviz leaves for each byte in UTF-8 of another character
ABOVE_OTHERS = ("Mn", "Me", "Cf")  # accents and the like, which take no room
TEXT = re.compile(r"<text ([^<>]*)>([^<>]*)</text>")
ENTITY = re.compile(r"&(#\d+|amp|lt|gt|quot|apos);")
ENTITIES = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}


class _Widths(dict[str, int]):
    """Widths of characters."""

    def __init__(self, table: str) -> None:
        letters = map(chr, range(ord(" "), ord("~") + 1))
        super().__init__(zip(letters, map(int, table.split()), strict=True))
        self["\N{NO-BREAK SPACE}"] = self[" "]

    def __missing__(self, character: str) -> int:
        if category(character) in ABOVE_OTHERS:
            return 0
        return BYTE * len(character.encode(errors="replace"))


WIDTHS = {False: _Widths(HELVETICA), True: _Widths(BOLD)}


@lru_cache(4096)  # the same few texts stand in a picture again and again
def width_of(text: str, size: float, bold: bool = False) -> float:
    """Tell how wide text is in Helvetica, in points."""
    return size * sum(map(WIDTHS[bold].__getitem__, text)) / 1000


def with_lengths(svg: str) -> str:
    """Give each text of an SVG by Graphviz the length that it was given room for.

    A viewer fits the letters into it, of whatever font. The fonts are named once, for all.
    """
    return TEXT.sub(_with_length, svg.replace("<svg ", f'<svg font-family="{FONTS}" ', 1))


def _with_length(found: re.Match[str]) -> str:
    attributes, text = re.sub(r' font-family="[^"]*"', "", found[1]), found[2]
    size = re.search(r'font-size="([\d.]+)"', attributes)
    bold = 'font-weight="bold"' in attributes
    width = width_of(_plain(text), float(size[1]), bold) if size else 0
    if width:
        attributes += f' textLength="{width:.2f}" lengthAdjust="spacingAndGlyphs"'
    return f"<text {attributes}>{text}</text>"


def _plain(text: str) -> str:
    return ENTITY.sub(lambda entity: _character(entity[1]), text) if "&" in text else text


def _character(entity: str) -> str:
    return ENTITIES[entity] if entity in ENTITIES else chr(int(entity[1:]))
