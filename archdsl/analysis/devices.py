"""Devices whose peaks are known: those of `devices.json`, a file of one's own, or two numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping

from archdsl.records import Record

DTYPES = ("float64", "float32", "float16", "bfloat16")


class Device(Record):
    """What a device can do at most.

    Attributes:
        bandwidth: of its memory, in bytes a second.
        matrix, vector: operations a second by type of number, in matrix products and in all else.
    """

    name: str
    title: str
    bandwidth: float
    matrix: Mapping[str, float]
    vector: Mapping[str, float]


class BadDevice(Exception):
    """A device that is described wrongly; the text is a sentence."""


def known() -> Mapping[str, Device]:
    """Return the devices that come with the package, by name."""
    import json
    from importlib.resources import files  # which take time that few counts need

    data = json.loads((files("archdsl.analysis") / "devices.json").read_text(encoding="utf-8"))
    return {name: device(name, entry) for name, entry in data.items() if name != "about"}


def of_numbers(text: str) -> Device:
    """Read `cpu:2e12:80e9`: operations and bytes a second.

    Raises:
        BadDevice: it is not of that form.
    """
    parts = text.split(":")
    try:
        peak, bandwidth = map(float, parts[1:])
    except ValueError:
        raise BadDevice(
            f"`{text}` is not cpu:OPERATIONS:BYTES a second, as in cpu:2e12:80e9"
        ) from None
    if not all(0 < one < math.inf for one in (peak, bandwidth)):
        raise BadDevice(f"`{text}` has a number that is not positive and finite")
    peaks = dict.fromkeys(DTYPES, peak)
    return Device(parts[0], parts[0], bandwidth, peaks, peaks)


def device(name: str, data: object) -> Device:
    """Return the device that JSON describes.

    Raises:
        BadDevice: something is missing, or no positive number.
    """
    if not isinstance(data, dict):
        raise BadDevice("a device is an object with `bandwidth`, `matrix` and `vector`")
    if unknown := data.keys() - {"title", "bandwidth", "matrix", "vector", "about"}:
        raise BadDevice(
            f"a device has no `{min(unknown)}`: it has `title`, `bandwidth`, `matrix`, `vector`"
        )
    if not isinstance(title := data.get("title", name), str):
        raise BadDevice("`title` is a text")
    peaks = {}
    for kind in ("matrix", "vector"):
        given = data.get(kind)
        if not isinstance(given, dict) or not given:
            raise BadDevice(f'`{kind}` has operations a second by type: {{"float32": 2e12}}')
        if unknown := given.keys() - {*DTYPES}:
            raise BadDevice(f"`{kind}` has `{min(unknown)}`, which is none of {', '.join(DTYPES)}")
        peaks[kind] = {
            dtype: _number(given[dtype], f"{kind}.{dtype}") for dtype in DTYPES if dtype in given
        }
    bandwidth = _number(data.get("bandwidth"), "bandwidth")
    return Device(name, title, bandwidth, peaks["matrix"], peaks["vector"])


def _number(found: object, what: str) -> float:
    """Return a number that stands alone, or with its source: {"value": 2e12, "source": "..."}."""
    if isinstance(found, dict):
        found = found.get("value")
    if isinstance(found, int | float) and found is not True and 0 < found < math.inf:
        return float(found)
    raise BadDevice(f"`{what}` is not a positive number")
