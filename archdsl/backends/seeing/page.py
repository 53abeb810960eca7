"""What was seen of a network as one HTML file, which loads nothing from anywhere."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Sequence
from hashlib import sha256
from importlib.resources import files

import archdsl.backends.seeing.pictures as pictures
from archdsl.backends.escaping import html_text
from archdsl.backends.marks import marked
from archdsl.backends.seeing.figures import Bars, Figure, Key, Lines, Part, Row, Tile
from archdsl.records import Record

FRAME = '<iframe srcdoc="{}" style="width: 100%; height: 720px; border: 0"></iframe>'
WIDTH, HEIGHT, EDGE = 226, 190, 10  # of a chart, in its own units
POLICY = "default-src 'none'; img-src data:; style-src '{}'"


class Page(Record):
    """What a page shows.

    Attributes:
        network, description: its name and what its spec says of it.
        facts: what is said at the head, each with its name.
    """

    network: str
    description: str
    facts: Sequence[tuple[str, str]]
    figures: Sequence[Figure]


def to_html(page: Page) -> str:
    """Write the page. All that comes from a user is escaped; there is no script in it."""
    look = (files(__package__) / "page.css").read_text(encoding="utf-8")
    style_hash = f"sha256-{b64encode(sha256(look.encode()).digest()).decode()}"
    title = html_text(f"What {page.network} sees")
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY.format(style_hash)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<link rel="icon" href="data:,">',
            f"<title>{title}</title>",
            f"<style>{look}</style>",
            "</head>",
            "<body>",
            *_head(page, title),
            "<main>",
            *(
                line
                for number, figure in enumerate(page.figures)
                for line in _figure(number, figure)
            ),
            "</main>",
            "<footer>Made by archdsl.</footer>",
            "</body>",
            "</html>",
        ]
    )


def marked_page(page: Page) -> bytes:
    """Return the page as a file, which ends with a mark that says who wrote it."""
    return marked("html", to_html(page).encode(errors="backslashreplace"))


def in_notebook(page: Page) -> str:
    """Return the page in a frame, which keeps its look apart from that of the notebook."""
    return FRAME.format(html_text(to_html(page)))


def _head(page: Page, title: str) -> Iterator[str]:
    yield f"<header>\n<h1>{title}</h1>"
    if page.description:
        yield f"<p>{html_text(page.description)}</p>"
    rows = "".join(f"<dt>{name}</dt><dd>{html_text(text)}</dd>" for name, text in page.facts)
    yield f"<dl>{rows}</dl>"
    links = "".join(
        f'<li><a href="#figure-{number}">{html_text(figure.title.partition(" (")[0])}</a></li>'
        for number, figure in enumerate(page.figures)
    )
    yield f'<nav aria-label="Figures"><ol>{links}</ol></nav>\n</header>'


def _figure(number: int, figure: Figure) -> Iterator[str]:
    yield f'<section id="figure-{number}">'
    yield f"<h2>{html_text(figure.title)}</h2>"
    yield f"<p>{_coded(figure.text)}</p>"
    for row in figure.rows:
        yield from _row(row)
    yield "</section>"


def _row(row: Row) -> Iterator[str]:
    if row.title:
        yield f"<h3>{html_text(row.title)}</h3>"
    yield '<div class="row">'
    for part in row.parts:
        yield _part(part)
    yield "</div>"


def _part(part: Part) -> str:
    if isinstance(part, Tile):
        return _tile(part)
    if isinstance(part, Bars):
        return _bars(part)
    return _lines(part) if isinstance(part, Lines) else _key(part)


def _tile(tile: Tile) -> str:
    height, width = tile.picture.shape[:2]
    note = f"<span>{html_text(tile.note)}</span>" if tile.note else ""
    said = f"<figcaption>{html_text(tile.label)}{note}</figcaption>" if tile.label else ""
    kind = "" if tile.smooth else " squares"
    return (
        f'<figure class="{tile.size}{kind}"><img alt="{html_text(tile.label)}" width="{width}" '
        f'height="{height}" src="{pictures.encoded(tile.picture, not tile.smooth)}">{said}</figure>'
    )


def _bars(bars: Bars) -> str:
    rows = "".join(
        f"<tr><td>{html_text(name)}</td><td>"
        '<svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="track" width="100" height="10"/>'
        f'<rect class="bar" width="{100 * share:.2f}" height="10"/></svg></td>'
        f"<td>{share:.1%}</td></tr>"
        for name, share in bars.shares
    )
    return f'<table class="bars">{rows}</table>'


def _key(key: Key) -> str:
    rows = "".join(
        f'<li><svg viewBox="0 0 10 10" aria-hidden="true"><rect width="10" height="10" '
        f'fill="{color}"/></svg>{html_text(name)}</li>'
        for color, name in key.colors
    )
    return f'<ul class="key">{rows}</ul>'


def _lines(lines: Lines) -> str:
    grid = "".join(
        f'<path class="grid" d="M{_at(0, share)}L{_at(1, share)}"/>' for share in (0, 0.5, 1)
    )
    kinds = [f"c{place % 5}" for place in range(len(lines.curves) - 1)] + ["last"]
    drawn = "".join(
        f'<path class="{kind}" d="{path_of(values)}"/>'
        for kind, (_, values) in zip(kinds, lines.curves, strict=True)
    )
    names = "".join(
        f'<li><svg viewBox="0 0 22 8" aria-hidden="true"><path class="{kind}" d="M0,4L22,4"/></svg>'
        f"{html_text(name)}</li>"
        for kind, (name, _) in zip(kinds, lines.curves, strict=True)
    )
    across, up = html_text(lines.across), html_text(lines.up)
    labels = (
        f'<text x="{EDGE + 4}" y="{EDGE + 14}">100%</text>'
        f'<text x="{EDGE + 4}" y="{HEIGHT - EDGE - 5}">0%</text>'
    )
    return (
        f'<figure class="lines"><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{up}, over {across}">{grid}{drawn}{labels}</svg>'
        f"<figcaption>{up}<span>from left to right: {across}</span></figcaption>"
        f"<ul>{names}</ul></figure>"
    )


def _at(across: float, up: float) -> str:
    x = EDGE + across * (WIDTH - 2 * EDGE)
    y = HEIGHT - EDGE - min(max(up, 0), 1) * (HEIGHT - 2 * EDGE)
    return f"{x:.1f},{y:.1f}"


def path_of(values: Sequence[float]) -> str:
    """Return a curve as the path of a drawing."""
    last = max(len(values) - 1, 1)
    return "M" + "L".join(_at(place / last, value) for place, value in enumerate(values))


def _coded(text: str) -> str:
    """Write a text of ours, with what stands between backticks as code."""
    parts = html_text(text).split("`")
    return "".join(
        f"<code>{part}</code>" if place % 2 else part for place, part in enumerate(parts)
    )
