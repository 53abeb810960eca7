"""The options that say on which device times are worked out, for how many samples of which kind."""

from __future__ import annotations

from collections.abc import Mapping

import click

from archdsl.analysis.devices import DTYPES, BadDevice, Device, device, known, of_numbers
from archdsl.analysis.roofline import NoRoofline, Roofline, roofline
from archdsl.diagnostics import printable
from archdsl.elaborate.wording import did_you_mean
from archdsl.graph import CheckedGraph
from archdsl.reading import read_regular, reason_of

MOST_BYTES = 2**16  # of a file that describes a device


def device_named(text: str, option: str) -> Device:
    """Return a device by its name, from a file, or of two numbers.

    Raises:
        click.BadParameter: there is none of that name, or it is described wrongly.
    """
    try:
        if text.lower().endswith(".json"):
            return _from_file(text)
        if text.startswith("cpu:"):
            return of_numbers(text)
    except BadDevice as error:
        raise click.BadParameter(printable(str(error)), param_hint=option) from None
    devices: Mapping[str, Device] = known()
    if text not in devices:
        hint = did_you_mean(text, devices)
        others = "FILE.json and cpu:2e12:80e9 (operations and bytes a second) describe others"
        reason = f"there is no device `{printable(text, 60)}`; {hint}; {others}"
        raise click.BadParameter(reason.replace("; ;", ";"), param_hint=option)
    return devices[text]


def _from_file(path: str) -> Device:
    try:
        data = read_regular(path, MOST_BYTES)
    except OSError as error:
        raise BadDevice(f"{path} {reason_of(error)}") from None
    if len(data) > MOST_BYTES:
        raise BadDevice(f"{path} is larger than {MOST_BYTES:,} bytes")
    import json

    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise BadDevice(f"{path} is no JSON") from None
    try:
        return device(path, found)
    except BadDevice as error:
        raise BadDevice(f"{path}: {error}") from None


def least_times(
    checked: CheckedGraph, name: str | None, batch: int | None, dtype: str | None
) -> Roofline | None:
    """Return the least times of a network, if a device is named.

    Raises:
        click.UsageError: the device is not known, or the times can't be worked out.
    """
    if name is None:
        for option, given in (("--batch", batch), ("--dtype", dtype)):
            if given is not None:
                raise click.UsageError(f"{option} is of --device and --training, and none is given")
        return None
    try:
        return roofline(checked, device_named(name, "--device"), batch or 1, dtype or "float32")
    except NoRoofline as error:
        raise click.BadParameter(printable(str(error)), param_hint="--device") from None


__all__ = ["DTYPES", "device_named", "least_times"]
