"""What recurrent operators of ONNX become."""

from __future__ import annotations

from archdsl.importing.onnx.at import Entry, entering

ENTRIES: dict[str, Entry] = {}
operator = entering(ENTRIES)
