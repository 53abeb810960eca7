"""Writes `docs/networks.md`, its diagrams and its plot, all of it from the specs:

python docs/networks.py
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scatter import Point, scatter

from archdsl import load
from archdsl.analysis.report import Report, report
from archdsl.backends.table import render
from archdsl.elaborate.network import open_parameters
from archdsl.pipeline import Spec

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "networks.md"
PICTURES = ROOT / "docs" / "networks"
REFERENCE: dict[str, dict[str, Any]] = json.loads(
    (ROOT / "tests" / "specs" / "reference.json").read_text()
)

HEAD = """\
# Networks

These networks come with the package: `archdsl count resnet50` counts one wherever you are, and
`archdsl networks` lists them with their parameters. `python docs/networks.py` writes this page.

Parameters and multiply-accumulates are exactly those of the source that each names, and the tests
hold them to it, layer by layer where the source lists its layers. Where torchvision, timm or effdet
has the network, names, shapes and order in the `state_dict` are the same, and so are the outputs to
the last bit; of transformers' GPT-2, BERT, Llama and T5 the outputs are the same to 1e-6, of timm's
CoAtNet and MobileViT to 1e-6 of the largest, of its DaViT and NFNet to 1e-5.

![Parameters against multiply-accumulates, on logarithmic axes](networks/plot.svg)
"""


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    for spec, name in library():
        load(str(spec), network=name).draw().save(str(PICTURES / f"{name}.svg"))
    (PICTURES / "plot.svg").write_text(plot(), encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")


def library() -> Iterator[tuple[Path, str]]:
    """Return the networks all of whose parameters have values, file by file."""
    for file in sorted((ROOT / "specs").glob("*.arch")):
        spec = Spec(str(file))
        for name in spec.networks:
            if all(each.default is not None for each in open_parameters(spec.file, name)):
                yield file, name


def page() -> str:
    """Return the text of the page."""
    reports = {name: report(Spec(str(file)).graph(name)) for file, name in library()}
    networks = [each for name, each in reports.items() if name in REFERENCE]
    parts = [HEAD, render(networks, "markdown")]
    present = ""
    for file, name in library():
        if file.name != present:
            present = file.name
            parts.append(f"## [{present}](../specs/{present})\n")
        parts.append(section(reports[name]))
    return "\n".join(parts)


def section(counted: Report) -> str:
    """Return what the page says of one network."""
    name, source = counted.network, REFERENCE.get(counted.network, {}).get("source", "")
    agrees = f"Agrees with {source}.\n\n" if source else ""
    macs = f"{counted.macs.inference:,} multiply-accumulates"
    return (
        f"### {name}\n\n"
        f"{counted.description}\n\n"
        f"{counted.parameters.total:,} parameters, {macs}.\n\n"
        f"{agrees}"
        f"![{name}](networks/{name}.svg)\n"
    )


def plot() -> str:
    """Return the plot of all networks that have a source.

    Where labels are in each other's way the best known network of each file has its own: the
    reference lists those first.
    """
    points: dict[Point, int] = {}
    files = {name: file for file, name in library()}
    for name in REFERENCE:
        counted = report(Spec(str(files[name])).graph(name))
        macs, parameters = int(str(counted.macs.inference)), int(str(counted.parameters.total))
        rank = sum(point.group == files[name].stem for point in points)
        points[Point(name, files[name].stem, macs, parameters)] = rank
    return scatter(sorted(points, key=points.__getitem__), "multiply-accumulates", "parameters")


if __name__ == "__main__":
    main()
