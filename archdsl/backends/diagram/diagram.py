"""The picture of a network, as an object that notebooks show and that can be saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archdsl.backends.diagram.drawing import PICTURES, Choices, write
from archdsl.backends.diagram.problems import BadChoice
from archdsl.backends.escaping import html_text
from archdsl.diagnostics import ArchError
from archdsl.graph import CheckedGraph

if TYPE_CHECKING:
    import graphviz

MEDIA_TYPES = {
    "svg": "image/svg+xml",
    "png": "image/png",
    "pdf": "application/pdf",
    "html": "text/html",
    "mmd": "text/vnd.mermaid",
}
OF_DOT = (*PICTURES, "dot")  # the formats that are made of DOT
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
            wrong = BadChoice(span=None, option="format", value=self.format, choices=OF_DOT)
            raise ArchError([wrong])
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
) -> Diagram:
    """Draw a network.

    Args:
        format: one of `drawing.FORMATS`, which are the endings of files as well.
        depth: how many levels of blocks are open; by default as many as fit on a page.
        unfold: names of blocks to open beyond that; `name.*` opens all below as well.
        direction: "TB", from top to bottom, or "LR", from left to right.
        theme: "light" or "dark".
        heat: "macs", "parameters" or "memory": colours the boxes by it, not by family.
        counts: whether boxes say their parameters and multiply-accumulates.
        engine: "graphviz-pure", "dot" or "pygraphviz"; by default the first that is there.

    Raises:
        ArchError: a choice is not one of these, there is nothing to draw with, or the picture
            would have more than 2,000 boxes; or it is to show costs that depend on free sizes in
            too intricate a way to write them down.
    """
    choices = Choices(depth, tuple(unfold), direction, theme, heat, counts, engine)
    source, data = write(checked, format, choices)
    return Diagram(format, source, data)
