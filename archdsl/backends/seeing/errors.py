"""What can go wrong when a network is shown images."""

from __future__ import annotations

from archdsl.diagnostics import Diagnostic


class BadImage(Diagnostic):
    """An image that can't be shown to a network.

    What an image is follows from what it holds, and not from the ending of its name. Its size is
    looked at before it is decoded.
    """

    code = "E0811"
    text = "{path} {reason}"

    path: str
    reason: str


class NoImages(Diagnostic):
    """Nothing to show to a network: a folder without images, or none at all."""

    code = "E0812"
    text = "{what}"

    what: str


class NotForImages(Diagnostic):
    """A network that can't be shown images, or not in the way that was asked for."""

    code = "E0813"
    text = "`{network}` {reason}"

    network: str
    reason: str


class BadLayer(Diagnostic):
    """A layer that has no places, so that it can't be shown as a picture."""

    code = "E0814"
    text = "{what}"

    what: str


class BadClass(Diagnostic):
    """A class that a network doesn't have, or names of classes that don't fit it."""

    code = "E0815"
    text = "{what}"

    what: str


class BadView(Diagnostic):
    """An option of `archdsl see` that makes no sense, by itself or for this network."""

    code = "E0816"
    text = "`{option}` {reason}"

    option: str
    reason: str
