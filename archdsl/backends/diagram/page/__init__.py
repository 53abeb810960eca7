"""A network as one HTML file: a picture to fold, zoom and search, with a table beside it."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files

from archdsl.backends.diagram.figures import totals_of
from archdsl.backends.diagram.notation import visible
from archdsl.backends.diagram.page.data import page_data
from archdsl.backends.diagram.style import Style
from archdsl.backends.diagram.view.view import View
from archdsl.backends.escaping import html_text

# One script, in this order; the parts share their names.
SCRIPTS = ("model.js", "layout.js", "ordering.js", "draw.js", "table.js", "app.js")


def to_html(view: View, style: Style) -> str:
    """Write a page that needs no other file, and that opens as the view is folded.

    All that comes from the spec stands in it as JSON or escaped; the page's policy allows no
    script and no style but its own, and no request to anywhere.
    """
    here = files(__package__)
    script = "".join((here / name).read_text(encoding="utf-8") for name in SCRIPTS)
    look = (here / "page.css").read_text(encoding="utf-8")
    parts = {
        "theme": style.theme.name,
        "title": html_text(visible(view.checked.name)),
        "totals": html_text(totals_of(style.figures, style.notation)),
        "style": look,
        "style_hash": _hash(look),
        "script": script,
        "script_hash": _hash(script),
        "data": script_json(page_data(view, style)),
    }
    page = (here / "page.html").read_text(encoding="utf-8")
    return re.sub(r"\{(\w+)\}", lambda found: parts[found.group(1)], page)


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def script_json(value: object) -> str:
    """Write JSON within a `<script>` element: no `<`, `>` or `&` that could end or change it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return re.sub(
        "[<>&\u2028\u2029\ud800-\udfff]", lambda found: f"\\u{ord(found.group()):04x}", text
    )
