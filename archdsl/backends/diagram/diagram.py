"""The way from a network to a picture in any format, and the picture as an object.

Notebooks show it, and it can be saved.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from archdsl.backends.diagram.dot.digraph import to_dot
from archdsl.backends.diagram.dot.engines import COARSE, ENGINES, SHARP, render
from archdsl.backends.diagram.errors import (
    BadChoice,
    PageFromLeftToRight,
    TooLargePage,
    TooManyBoxes,
    UnknownPath,
    WrongTimes,
)
from archdsl.backends.diagram.figures import HEATS, Figures, shares
from archdsl.backends.diagram.mermaid import to_mermaid
from archdsl.backends.diagram.style import THEMES, Style
from archdsl.backends.diagram.tikz import to_tikz
from archdsl.backends.diagram.view.folding import EVERYTHING
from archdsl.backends.diagram.view.view import View
from archdsl.backends.diagram.view.viewer import Viewer, foldable
from archdsl.backends.escaping import html_text
from archdsl.backends.marks import marked
from archdsl.counting import IntricateCosts
from archdsl.diagnostics import ArchError, Diagnostic, printable
from archdsl.graph import CheckedGraph
from archdsl.layers.sizes import FormulaError

if TYPE_CHECKING:
    import graphviz

MOST_DRAWN = 2_000  # boxes; beyond that Graphviz takes minutes, and nobody sees anything
MOST_SHARP = 200  # boxes of a PNG at its full size; more would be a hundred million dots
MOST_IN_PAGE = 20_000  # layers, folded or not: some 10 MB
MOST_NAMED = 8  # blocks, where one is asked for that is none
NONE = "this network has layers alone, and no block or group"
DIRECTIONS = ("TB", "LR")
MEDIA_TYPES = {
    "svg": "image/svg+xml",
    "png": "image/png",
    "pdf": "application/pdf",
    "html": "text/html",
    "mmd": "text/vnd.mermaid",
}
FRAME = '<iframe srcdoc="{}" style="width: 100%; height: 640px; border: 0"></iframe>'


@dataclass(frozen=True, slots=True)
class Diagram:
    """A picture of a network.

    Attributes:
        format: "svg", "png", "pdf", "dot", "html", "mmd" or "tex".
        source: the text that it was made of: DOT, unless the format is text itself.
        data: the bytes of a file of that format.
    """

    format: str
    source: str
    data: bytes

    def save(self, path: str | PathLike[str]) -> None:
        """Write the picture to a file, whole or not at all."""
        from archdsl.output import write_whole

        write_whole(Path(path), self.data)

    def to_graphviz(self) -> graphviz.Source:
        """Hand the picture over to the package graphviz: to go on with there, or to show.

        It draws with the program `dot`, which the package does not bring.

        Raises:
            ArchError: the picture was made as a page, Mermaid or TikZ, and has no DOT.
        """
        import graphviz

        if self.format not in OF_DOT:
            raise ArchError(BadChoice(option="format", value=self.format, choices=OF_DOT))
        form = None if self.format == "dot" else self.format
        return graphviz.Source(self.source, format=form)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """Return what a notebook shows."""
        media = MEDIA_TYPES.get(self.format, "text/plain")
        if self.format in ("png", "pdf"):
            return {media: self.data}
        text = self.data.decode()
        if self.format == "html":  # a page of its own, that shares nothing with the notebook
            text = FRAME.format(html_text(text))
        return {media: text}

    def __repr__(self) -> str:
        return f"<Diagram: {self.format}, {len(self.data):,} bytes>"


def draw(
    checked: CheckedGraph,
    *,
    format: str = "svg",
    depth: int | None = None,
    unfold: Sequence[str] = (),
    direction: str = "TB",
    theme: str = "light",
    heat: str | None = None,
    counts: bool = False,
    engine: str | None = None,
    times: Mapping[str, float] | None = None,
) -> Diagram:
    """Draw a network.

    Args:
        format: one of `FORMATS`, which are the endings of files as well.
        depth: how many levels of blocks are open; by default as many as fit on a page.
        unfold: names of blocks to open beyond that; `name.*` opens all below as well.
        direction: "TB", from top to bottom, or "LR", from left to right.
        theme: "light" or "dark".
        heat: "macs", "parameters", "memory" or "time": colours the boxes by it, not by family.
        counts: whether boxes say their parameters and multiply-accumulates.
        engine: "graphviz-pure", "dot" or "pygraphviz"; by default the first that is there.
        times: how many seconds layers took, by name, for `heat="time"`.

    Raises:
        ArchError: a choice is not one of these, there is nothing to draw with, or the picture
            would have more than 2,000 boxes; or it is to show costs that depend on free sizes in
            too intricate a way to write them down.
    """
    choices = Choices(depth, tuple(unfold), direction, theme, heat, counts, engine, times or {})
    source, data = write(checked, format, choices)
    return Diagram(format, source, data)


class Choices(NamedTuple):
    """How a network is to be drawn; `draw` explains them."""

    depth: int | None = None
    unfold: tuple[str, ...] = ()
    direction: str = "TB"
    theme: str = "light"
    heat: str | None = None
    counts: bool = False
    engine: str | None = None
    times: Mapping[str, float] = MappingProxyType({})


# From a view and the looks to the text of a format.
Writer = Callable[[View, Style, Choices], str]


def _dot(view: View, style: Style, choices: Choices) -> str:
    return to_dot(view, style, choices.direction)


def _html(view: View, style: Style, choices: Choices) -> str:
    from archdsl.backends.diagram.page import to_html

    nodes = len(view.checked.nodes)
    if nodes > MOST_IN_PAGE:
        raise ArchError(TooLargePage(nodes=nodes, limit=MOST_IN_PAGE))
    return to_html(view, style)


def _mermaid(view: View, style: Style, choices: Choices) -> str:
    return to_mermaid(view, style, choices.direction)


def _tikz(view: View, style: Style, choices: Choices) -> str:
    return to_tikz(view, style, choices.direction, choices.engine)


WRITERS: Mapping[str, Writer] = {"dot": _dot, "html": _html, "mmd": _mermaid, "tex": _tikz}
PICTURES = ("svg", "png", "pdf")
OF_DOT = (*PICTURES, "dot")  # the formats that are made of DOT
FORMATS: Sequence[str] = (*PICTURES, *WRITERS)


def check(checked: CheckedGraph, format: str, choices: Choices) -> None:
    """Raise ArchError with all that is wrong with what was chosen."""
    wrong: list[Diagnostic] = []
    allowed: list[tuple[str, str | None, Sequence[str]]] = [
        ("format", format, FORMATS),
        ("direction", choices.direction, DIRECTIONS),
        ("theme", choices.theme, tuple(THEMES)),
        ("heat", choices.heat, HEATS),
        ("engine", choices.engine, tuple(ENGINES)),
    ]
    for option, value, values in allowed:
        if value is not None and value not in values:
            wrong.append(BadChoice(option=option, value=str(value), choices=tuple(values)))
    if choices.heat == "time" and not choices.times:
        wrong.append(WrongTimes(reason="`time` colours by what was measured, and nothing is given"))
    if strange := [name for name in choices.times if name not in checked.nodes]:
        shown = printable(strange[0], 60)
        reason = f"the times have a layer `{shown}`, and `{checked.name}` has none of that name"
        wrong.append(WrongTimes(reason=reason))
    if format == "html" and choices.direction in DIRECTIONS[1:]:
        wrong.append(PageFromLeftToRight(direction=choices.direction))
    for path in choices.unfold:
        name = path.removesuffix(f".{EVERYTHING}")
        if path != EVERYTHING and not (name and name in checked.scopes):
            wrong.append(UnknownPath(path=path, hint=_what_unfolds(name, checked)))
    if wrong:
        raise ArchError(*wrong)


def _what_unfolds(name: str, checked: CheckedGraph) -> str:
    """Say what can be unfolded where a name can't be."""
    if name in checked.nodes:
        return f"`{name}` is a layer, and has nothing inside"
    scopes = [scope for scope in checked.scopes if scope]
    if nearest := get_close_matches(name, scopes, 2):
        return f"did you mean `{'` or `'.join(nearest)}`?"
    shown, more = "`, `".join(scopes[:MOST_NAMED]), len(scopes) - MOST_NAMED
    return f"blocks are `{shown}`" + (f" and {more} more" if more > 0 else "") if scopes else NONE


def view_of(checked: CheckedGraph, choices: Choices) -> View:
    """Fold a network as chosen.

    Raises:
        ArchError: more boxes would be seen than can be drawn.
    """
    viewer = Viewer(checked, choices.unfold)
    depth, direction = choices.depth, choices.direction
    view = viewer.fitting(direction) if depth is None else viewer.view(depth)
    if len(view.boxes) <= MOST_DRAWN:
        return view
    fitting = Viewer(checked).deepest_below(MOST_DRAWN)
    raise ArchError(TooManyBoxes(boxes=len(view.boxes), limit=MOST_DRAWN, fitting=fitting))


def style_of(view: View, choices: Choices) -> Style:
    """Return the looks of a view, with the figures that they need."""
    times = {name: round(seconds * 1e9) for name, seconds in choices.times.items()}
    figures = Figures(view.checked, times)
    heat = next((heat for heat in HEATS if heat == choices.heat), None)
    return Style(
        theme=THEMES[choices.theme],
        figures=figures,
        notation=view.notation,
        counts=choices.counts,
        heat=shares(view, figures, heat) if heat else {},
        heated=heat,
    )


def write(checked: CheckedGraph, format: str, choices: Choices) -> tuple[str, bytes]:
    """Return the text of a picture, and the bytes of a file in that format.

    For the formats that Graphviz draws the text is DOT; for others the bytes are those of the
    text. They end with a mark that says who wrote them.

    Raises:
        ArchError: a choice is wrong, there is nothing to draw with, or too much would be shown.
    """
    checked = foldable(checked)
    check(checked, format, choices)
    try:
        source, data = _written(checked, format, choices)
    except FormulaError:
        raise ArchError(IntricateCosts(checked.span, network=checked.name)) from None
    return source, marked(format, data)


def _written(checked: CheckedGraph, format: str, choices: Choices) -> tuple[str, bytes]:
    view = view_of(checked, choices)
    style = style_of(view, choices)
    if format in WRITERS:
        source = WRITERS[format](view, style, choices)
        return source, source.encode()
    source = to_dot(view, style, choices.direction)
    dpi = SHARP if len(view.boxes) <= MOST_SHARP else COARSE
    return source, render(source, format, choices.engine, dpi)
