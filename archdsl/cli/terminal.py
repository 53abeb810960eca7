"""What is printed: results to standard output, complaints to standard error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import TextIO

from archdsl.diagnostics import ArchError, Diagnostic, printable, render_all, trail_notes

# Exit statuses
OK, WRONG_INPUT, WRONG_USAGE, INTERNAL, INTERRUPTED = 0, 1, 2, 70, 130
READER_GONE = 141  # as the shell says of a program that the signal SIGPIPE ended


def is_colorful(stream: TextIO) -> bool:
    """Tell whether a stream is a terminal whose user has not asked for plain text (NO_COLOR)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def complain(text: str) -> None:
    """Print one line about what went wrong."""
    print(f"archdsl: {printable(text)}", file=sys.stderr)


def complain_of(error: ArchError, color: bool) -> None:
    """Print all that is wrong with a spec."""
    print(render_all(error.diagnostics, color), file=sys.stderr)


def mention(warnings: Sequence[Diagnostic]) -> None:
    """Print what is worth saying of a network with which nothing is wrong."""
    if warnings:
        print(render_all(warnings, is_colorful(sys.stderr)), file=sys.stderr)


def as_json(diagnostics: Sequence[Diagnostic]) -> str:
    """Return diagnostics as a JSON array; lines and columns count from 1, in characters."""
    return json.dumps([_as_data(diagnostic) for diagnostic in diagnostics], indent=2)


def _as_data(diagnostic: Diagnostic) -> dict[str, object]:
    span = diagnostic.span
    return {
        "code": diagnostic.code,
        "message": printable(diagnostic.message()),
        "file": span.source.path if span else None,
        "line": span.line if span else None,
        "column": span.column if span else None,
        "label": printable(diagnostic.label()),
        "labels": [
            {
                "file": label.span.source.path,
                "line": label.span.line,
                "column": label.span.column,
                "text": printable(label.text),
            }
            for label in diagnostic.others()
        ],
        "uses": [
            {
                "name": use.name,
                "file": use.span.source.path,
                "line": use.span.line,
                "column": use.span.column,
            }
            for use in diagnostic.trail
        ],
        "notes": [
            printable(note) for note in (*diagnostic.notes(), *trail_notes(diagnostic.trail))
        ],
        "help": printable(diagnostic.help()),
    }
