"""DOT -> SVG, PNG and PDF, by whichever Graphviz there is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from archdsl.backends.diagram.dot.lettering import with_lengths
from archdsl.backends.diagram.errors import EngineFailed, NoEngine, TooSlow
from archdsl.diagnostics import ArchError

LONGEST = 60  # seconds
PURE = "graphviz-pure"
# Text is sharp on the screens of today at 144 dots an inch, and still legible at 72.
SHARP, COARSE = 144, 72
# Scripts that the fonts of graphviz-pure lack (an expression that takes long to compile, and is
# seldom needed); for a PNG of them the system's fonts are better.
BEYOND = "[\u0590-\u1dff\u2e80-\ud7ff\uf900-\uffff\U00010000-\U0010ffff]"
# A PDF has its fonts in it. Where the system has none, there are only frames in place of letters.
FONTS = re.compile(rb"/FontFile|/BaseFont|/ObjStm")
FONTLESS = "there is no font on this system to write with"
GET_FONTS = "install fonts (`apt-get install fonts-liberation`), or draw SVG or PNG"
# pygraphviz brings a Graphviz as a library; it runs apart from us, so that it can be stopped.
PYGRAPHVIZ = (
    "import sys, pygraphviz as p\n"
    "g = p.AGraph(string=sys.stdin.buffer.read().decode())\n"
    "sys.stdout.buffer.write(g.draw(format=sys.argv[1], prog='dot'))\n"
)


def _pure() -> Sequence[str] | None:
    """Return the command of the wheel graphviz-pure, found wherever pip put it."""
    beside = Path(sys.executable or ".").parent / PURE
    if beside.is_file() and os.access(beside, os.X_OK):
        return [str(beside), "-q"]
    import importlib.metadata  # which takes longer than writing the DOT of most networks

    try:
        installed = importlib.metadata.files(PURE) or ()
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in installed:
        if file.stem == PURE and (path := Path(str(file.locate()))).is_file():
            return [str(path), "-q"]
    return None


def _dot() -> Sequence[str] | None:
    path = shutil.which("dot")
    return [path, "-q"] if path else None


def _pygraphviz() -> Sequence[str] | None:
    import importlib.util

    if not sys.executable or importlib.util.find_spec("pygraphviz") is None:
        return None
    # `-I`: nothing in the current folder can take the place of a module
    return [sys.executable, "-I", "-c", PYGRAPHVIZ]


ENGINES: Mapping[str, Callable[[], Sequence[str] | None]] = {
    "graphviz-pure": _pure,
    "dot": _dot,
    "pygraphviz": _pygraphviz,
}
DRAWS: Mapping[str, tuple[str, ...]] = {
    "svg": ("graphviz-pure", "dot", "pygraphviz"),
    "png": ("graphviz-pure", "dot", "pygraphviz"),
    "pdf": ("dot", "pygraphviz"),
    "json": ("graphviz-pure", "dot", "pygraphviz"),  # where everything stands, for TikZ
}


def render(dot: str, format: str, engine: str | None = None, dpi: int = SHARP) -> bytes:
    """Draw DOT as `format`: "svg", "png" with so many dots an inch, "pdf", or "json".

    Raises:
        ArchError: the engine asked for, or any, is not there; or it fails or takes too long.
    """
    able = DRAWS[format]
    if engine is not None and engine not in able:
        raise ArchError(NoEngine(format=format, engine=engine, able=able))
    if format == "png" and not dot.isascii() and re.search(BEYOND, dot):
        able = (*able[1:], able[0])
    for name in (engine,) if engine else able:
        command = ENGINES[name]()
        if command:
            return _run(name, command, dot, format, dpi)
    raise ArchError(NoEngine(format=format, engine=engine, able=able))


def _run(name: str, command: Sequence[str], dot: str, format: str, dpi: int) -> bytes:
    arguments = [format] if name == "pygraphviz" else [f"-T{format}"]
    if format == "png":
        # the first brace at the end of a line: others may stand in the name of the network
        dot = dot.replace("{\n", f'{{\n  graph [dpi="{dpi}"]\n', 1)
    try:
        done = subprocess.run(
            [*command, *arguments],
            input=dot.encode(),
            capture_output=True,
            timeout=LONGEST,
            env=os.environ | {"TZ": "UTC"},  # the date in a PDF ends in the time zone
        )
    except subprocess.TimeoutExpired:
        raise ArchError(TooSlow(engine=name, seconds=LONGEST)) from None
    except OSError as error:
        raise ArchError(EngineFailed(engine=name, said=str(error))) from None
    if done.returncode != 0 or not done.stdout:
        said = done.stderr.decode(errors="replace").strip() or "it said nothing"
        raise ArchError(EngineFailed(engine=name, said=said.splitlines()[-1]))
    if format == "svg":
        return with_lengths(done.stdout.decode()).encode()
    if format != "pdf":
        return done.stdout
    if not FONTS.search(done.stdout):
        raise ArchError(EngineFailed(engine=name, said=FONTLESS, hint=GET_FONTS))
    # the same file whenever it is made; the length stays, since a PDF counts its bytes
    return re.sub(rb"(?<=/CreationDate \(D:)\d{14}", b"19700101000000", done.stdout)
