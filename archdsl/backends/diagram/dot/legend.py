"""The legend of a picture: name, totals, and what its colours and lines mean."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from textwrap import wrap

from archdsl.backends.diagram.box_rows import families_of
from archdsl.backends.diagram.dot.html_labels import SMALL
from archdsl.backends.diagram.dot.quoting import dot_html
from archdsl.backends.diagram.figures import totals_said
from archdsl.backends.diagram.notation import visible
from archdsl.backends.diagram.style import FAMILIES, Style
from archdsl.backends.diagram.view.view import View
from archdsl.layers.sizes import Formula

LONGEST_DESCRIPTION = 320
LINE = 72  # characters
LONGEST_TOTALS = 96
STEPS = 6  # of the scale of heat
PER_ROW = 6


def legend(view: View, style: Style) -> str:
    """Return the legend as a table in Graphviz' HTML-like language."""
    rows = [f"<B>{dot_html(visible(view.checked.name))}</B>"]
    if view.checked.description:
        said = visible(view.checked.description, LONGEST_DESCRIPTION)
        rows += [dot_html(line) for line in wrap(said, LINE, break_on_hyphens=False)]
    rows += [
        dot_html(line)
        for said in totals_said(style.figures, style.notation)
        for line in wrap(said, LONGEST_TOTALS)
    ]
    entries = list(_entries(view, style))
    lines = [entries[start : start + PER_ROW] for start in range(0, len(entries), PER_ROW)]
    if lines:
        rows.append(_table(f"<TR>{''.join(line)}</TR>" for line in lines))
    table = _table(f"<TR><TD>{row}</TD></TR>" for row in rows)
    return f'<FONT COLOR="{style.theme.text}" POINT-SIZE="10">{table}</FONT>'


def _table(lines: Iterable[str]) -> str:
    look = 'BORDER="0" CELLBORDER="0" CELLSPACING="3" CELLPADDING="2"'
    return f"<TABLE {look}>{''.join(lines)}</TABLE>"


def _entries(view: View, style: Style) -> Iterator[str]:
    theme = style.theme
    if style.heated:
        yield from _scale(view, style)
    else:
        shown = families_of(node for box in view.boxes for node in box.nodes)
        said: dict[str, list[str]] = {}  # some families share a colour, and then an entry
        for family in sorted(shown, key=_rank):
            if family != "tensor":
                said.setdefault(theme.family(family), []).append(family.replace("_", " "))
        for fill, families in said.items():
            yield _entry(f'BGCOLOR="{fill}"', "", visible(", ".join(families), 48), style)
    if any(edge.shortcut for edge in view.edges):
        yield _entry("", f'<FONT COLOR="{theme.accent}"><B>→</B></FONT>', "shortcut", style)
    if any(box.training_only for box in view.boxes):
        frame = f'BORDER="1" COLOR="{theme.line}" STYLE="DASHED"'
        yield _entry(frame, "", "in training only", style)


def _rank(family: str) -> tuple[int, str]:
    known = list(FAMILIES)
    return (known.index(family) if family in known else len(known)), family


def _scale(view: View, style: Style) -> Iterator[str]:
    what = style.heated
    if what is None:
        return
    values = [style.figures.of(box, what) for box in view.boxes if box.nodes]
    most = max((value for value in values if isinstance(value, int)), default=0)
    free = any(isinstance(value, Formula) for value in values)
    for step in range(0, STEPS, STEPS - 1):
        fill = style.theme.warm(step / (STEPS - 1))
        text = style.figures.quantity(most if step else 0, what, style.notation)
        text += ", or a formula" * (free and not step)
        yield _entry(f'BGCOLOR="{fill}" BORDER="1" COLOR="{style.theme.line}"', "", text, style)


def _entry(look: str, sign: str, text: str, style: Style) -> str:
    return (
        f'<TD {look} WIDTH="18">{sign}</TD><TD ALIGN="LEFT">'
        f'<FONT COLOR="{style.theme.muted}" POINT-SIZE="{SMALL}">{dot_html(text)}</FONT></TD>'
    )
