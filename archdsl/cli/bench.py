"""archdsl bench"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import click

from archdsl.analysis.devices import DTYPES, Device
from archdsl.analysis.roofline import NoRoofline, Roofline, roofline
from archdsl.backends import grid
from archdsl.backends.columns import NOTHING, Writer
from archdsl.backends.formulas import in_seconds, readable
from archdsl.backends.grid import Heading
from archdsl.cli.on_device import device_named
from archdsl.cli.options import Reading, graph_of, network, reading
from archdsl.cli.terminal import mention
from archdsl.diagnostics import printable
from archdsl.graph import CheckedGraph

FORMATS = ("table", "json", "csv")
# How torch calls the devices whose peaks come with the package.
NAMES = {
    "NVIDIA H100 80GB HBM3": "h100-sxm",
    "NVIDIA H200": "h200",
    "NVIDIA A100-SXM4-80GB": "a100",
    "NVIDIA L4": "l4",
    "NVIDIA GeForce RTX 4090": "rtx4090",
}


@click.command("bench")
@click.argument("name", metavar="SPEC")
@network
@click.option(
    "--device", metavar="NAME", help="Where it runs: cpu, cuda; else a GPU if there is one."
)
@click.option("--batch", type=click.IntRange(1, 65_536), default=1, metavar="N", help="Samples.")
@click.option("--dtype", type=click.Choice(DTYPES), default="float32", help="Of the numbers.")
@click.option(
    "--peaks",
    metavar="NAME",
    help="Of which device: h100-sxm, cpu:2e12:80e9, FILE.json; else measured.",
)
@click.option(
    "--rounds", type=click.IntRange(1, 1_000), default=5, metavar="N", help="Take the median of N."
)
@click.option("--sort", type=click.Choice(["time", "wasted"]), help="The most first.")
@click.option("--top", type=click.IntRange(1), metavar="N", help="Show the first N only.")
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="table", help="Of the result."
)
@reading
def command(
    name: str,
    parameters: tuple[str, ...],
    inputs: tuple[str, ...],
    device: str | None,
    batch: int,
    dtype: str,
    peaks: str | None,
    rounds: int,
    sort: str | None,
    top: int | None,
    form: str,
    reading: Reading,
) -> None:
    """Measure how long each layer takes, beside the least time that it could.

    The module that `archdsl compile` writes runs layer by layer, warm, at inference. The JSON
    colours pictures: archdsl draw SPEC --heat time --times FILE.
    """
    checked = graph_of(reading.spec(name), parameters, inputs)
    mention(checked.warnings)
    given = device_named(peaks, "--peaks") if peaks is not None else None
    # imported late: who has something wrong in a spec need not wait for torch
    import archdsl.backends.torch_module as backend
    from archdsl.backends.python_source import generate

    place, kind = backend.device_of(device), backend.dtype_of(dtype)
    source = generate(checked)
    module = backend.torch_module(checked, source, device=str(place), dtype=dtype)
    called = backend.name_of(place)
    if given is None and called in NAMES:
        given = device_named(NAMES[called], "--peaks")
    if given is None:
        peak, bandwidth = backend.rates(place, kind)
        every = {dtype: peak}
        measured = f"{peak:.3g} operations and {bandwidth:.3g} bytes a second, as measured here"
        given = Device(called, f"{called}, {measured}", bandwidth, every, every)
    try:
        least = roofline(checked, given, batch, dtype)
    except NoRoofline as error:
        raise click.BadParameter(printable(str(error)), param_hint="--peaks") from None
    found = backend.measure(module, checked, source.moved, place, kind, batch=batch, rounds=rounds)
    names = [*found]
    if sort is not None:
        value = {"time": lambda n: found[n], "wasted": lambda n: found[n] - least.nodes[n].seconds}
        names.sort(key=value[sort], reverse=True)
    write = {"table": _table, "json": _json, "csv": _csv}[form]
    click.echo(write(checked, called, found, least, names[:top]).removesuffix("\n"))


def _rows(
    checked: CheckedGraph, found: Mapping[str, float], least: Roofline, names: Sequence[str]
) -> list[dict[str, object]]:
    return [
        {
            "name": name,
            "type": checked.nodes[name].type,
            "output": list(checked.nodes[name].shape),
            "seconds": found[name],
            "least_seconds": least.nodes[name].seconds,
            "bound_by": least.nodes[name].by or None,
        }
        for name in names
    ]


def _json(
    checked: CheckedGraph,
    called: str,
    found: Mapping[str, float],
    least: Roofline,
    names: Sequence[str],
) -> str:
    head = {
        "network": checked.name,
        "device": called,
        "peaks": least.device.title,
        "batch": least.batch,
        "dtype": least.dtype,
        "seconds": sum(found.values()),
        "least_seconds": least.total.seconds,
    }
    rows = ",\n".join(f"    {json.dumps(row)}" for row in _rows(checked, found, least, names))
    return json.dumps(head, indent=2)[:-2] + f',\n  "layers": [\n{rows}\n  ]\n}}'


def _csv(
    checked: CheckedGraph,
    called: str,
    found: Mapping[str, float],
    least: Roofline,
    names: Sequence[str],
) -> str:
    rows = _rows(checked, found, least, names)
    titles = ("name", "type", "output", "seconds", "least_seconds", "bound_by")
    cells = [
        ["x".join(map(str, checked.nodes[str(row["name"])].shape)) if title == "output"
         else "" if row[title] is None else str(row[title]) for title in titles]
        for row in rows
    ]  # fmt: skip
    return grid.csv(grid.of_rows(tuple(map(Heading, titles)), cells))


def _table(
    checked: CheckedGraph,
    called: str,
    found: Mapping[str, float],
    least: Roofline,
    names: Sequence[str],
) -> str:
    write, whole = Writer(readable(checked).known), sum(found.values())
    headings = (
        Heading("layer"), Heading("type"), Heading("output"), Heading("time", True),
        Heading("%", True), Heading("least time", True), Heading("times", True),
        Heading("bound by"),
    )  # fmt: skip

    def cells(
        label: str, kind: str, shape: str, seconds: float, bound: float, by: str
    ) -> list[str]:
        return [
            label, kind, shape, in_seconds(seconds), f"{100 * seconds / whole:.1f}",
            in_seconds(bound) if bound else NOTHING,
            f"{seconds / bound:,.1f}" if bound else NOTHING, by or NOTHING,
        ]  # fmt: skip

    rows = []
    for name in names:
        node, bound = checked.nodes[name], least.nodes[name]
        shape = write.shape(node.shape)
        rows.append(cells(name, node.type, shape, found[name], bound.seconds, bound.by))
    totals = [cells("total", "", "", whole, least.total.seconds, least.total.by)]
    head = f"{printable(checked.name)}: batch of {least.batch:,}, {least.dtype}, on {called}"
    below = f"Least times are a bound and no forecast: {least.device.title}"
    return f"{head}\n\n{grid.plain(grid.of_rows(headings, rows, totals))}\n{below}\n"
