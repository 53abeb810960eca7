"""A network as one HTML file: a picture to fold, zoom and search, with a table beside it."""

from __future__ import annotations

from archdsl.backends.diagram.figures import totals_of
from archdsl.backends.diagram.notation import visible
from archdsl.backends.diagram.page.data import page_data
from archdsl.backends.diagram.style import Style
from archdsl.backends.diagram.view.view import View
from archdsl.backends.html_page import html_page

# One script, in this order; the parts share their names.
SCRIPTS = ("model.js", "layout.js", "ordering.js", "draw.js", "table.js", "app.js")


def to_html(view: View, style: Style) -> str:
    """Write a page that needs no other file, and that opens as the view is folded."""
    return html_page(
        "archdsl.backends.diagram.page",
        SCRIPTS,
        page_data(view, style),
        theme=style.theme.name,
        title=visible(view.checked.name),
        totals=totals_of(style.figures, style.notation),
    )
