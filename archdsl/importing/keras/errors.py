"""Why a Keras model can't be brought in."""

from __future__ import annotations

from archdsl.diagnostics import Diagnostic
from archdsl.importing.errors import ImportingError


class BadKeras(Diagnostic):
    """A file of Keras that is none, contradicts itself, or asks for too much.

    The JSON of `model.to_json()` and the config in a `.keras` file are data from anybody, so all
    that they say is checked: settings of layers, sizes, and from where each layer takes what.
    """

    code = "E0905"
    text = "{file} {reason}"
    mend = "{hint}"

    file: str
    reason: str
    hint: str = ""


class Wrong(Exception):
    """What is wrong with a setting of a layer, in words that go on after its name."""


class Missing(Exception):
    """What a layer does and the language can't say."""


def bad(file: str, reason: str, hint: str = "") -> ImportingError:
    """Return an error about a file."""
    return ImportingError(BadKeras(file=file, reason=reason, hint=hint))
