"""The mark that pictures and pages end with: a later run knows by it that it may replace them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from zlib import crc32

MARK = b"Drawn by archdsl"
LONGEST_TAIL = 64  # bytes within which it stands
COMMENTS: Mapping[str, bytes] = {
    "svg": b"<!-- %b -->\n",
    "html": b"<!-- %b -->\n",
    "dot": b"// %b\n",
    "mmd": b"%%%% %b\n",
    "tex": b"%% %b\n",
    "pdf": b"%% %b\n",  # readers look for the end of a PDF in its last 1,024 bytes
}
PNG_END = b"\0\0\0\0IEND\xaeB`\x82"


def marked(format: str, data: bytes) -> bytes:
    """Return a file in that format with the mark at its end, where it changes nothing."""
    if format != "png":
        gap = b"" if data.endswith(b"\n") else b"\n"
        return data + gap + COMMENTS[format] % MARK
    text = b"tEXtSoftware\0" + MARK
    chunk = (len(text) - 4).to_bytes(4, "big") + text + crc32(text).to_bytes(4, "big")
    return data.removesuffix(PNG_END) + chunk + PNG_END


def is_drawn(path: str) -> bool:
    """Tell whether a file has the mark."""
    with open(path, "rb") as file:
        length = file.seek(0, os.SEEK_END)
        file.seek(max(length - LONGEST_TAIL, 0))
        return MARK in file.read(LONGEST_TAIL)
