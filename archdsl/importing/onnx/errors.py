"""Why an ONNX file can't be brought in."""

from __future__ import annotations

from archdsl.diagnostics import Diagnostic


class BadOnnx(Diagnostic):
    """An ONNX file that is none, contradicts itself, or asks for too much.

    A file is data from anybody, so all that it says is checked before it is used: sizes of tensors
    against the bytes that are there, names of other files against the folder that it lies in.
    """

    code = "E0904"
    text = "{file} {reason}"
    mend = "{hint}"

    file: str
    reason: str
    hint: str = ""
