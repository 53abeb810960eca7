"""Pages of one HTML file: their parts are put together, and nothing from a spec can get out."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files

from archdsl.backends.escaping import html_text


def html_page(package: str, scripts: tuple[str, ...], data: object, **texts: str) -> str:
    """Return a page that needs no other file.

    All that comes from a spec stands in it as JSON or escaped; the page's policy allows no script
    and no style but its own, and no request to anywhere.

    Args:
        package: where `page.html` and `page.css` are.
        scripts: the names of its scripts there, which become one.
        data: what its JSON holds.
        texts: what else the page has holes for.
    """
    here = files(package)
    script = "".join((here / name).read_text(encoding="utf-8") for name in scripts)
    look = (here / "page.css").read_text(encoding="utf-8")
    parts = {
        **{name: html_text(text) for name, text in texts.items()},
        "style": look,
        "style_hash": _hash(look),
        "script": script,
        "script_hash": _hash(script),
        "data": script_json(data),
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
