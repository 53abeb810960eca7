"""The cells of a count for programs that read CSV: sizes as they are, in columns that stay."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from archdsl.analysis.receptive_field import Extent
from archdsl.analysis.report import Report
from archdsl.analysis.rows import Row, first_fields
from archdsl.backends.grid import Column, Grid
from archdsl.layers.sizes import Size, total


def raw(report: Report) -> Grid:
    """Lay out one row a layer or block."""
    headings: dict[str, Callable[[Row], str]] = {
        "name": lambda row: row.name,
        "type": lambda row: row.type,
        "inputs": lambda row: ";".join(map(_compact, row.inputs)),
        "output": lambda row: _compact(row.output),
        "parameters": lambda row: str(row.parameters),
        "arithmetic": lambda row: row.arithmetic,
        "frozen": lambda row: str(row.frozen),
        "buffers": lambda row: str(row.buffers),
        "macs": lambda row: str(row.macs),
        "other": lambda row: _sum(row.other.values()),
        "memory": lambda row: str(row.memory),
        "receptive_field": lambda row: _compact([each.size for each in first_fields(row)]),
        "stride": lambda row: _compact([each.stride for each in first_fields(row)]),
        "training_only": lambda row: "true" if row.training_only else "false",
    }
    return Grid(
        tuple(map(Column, headings)),
        [[text(row) for text in headings.values()] for row in report.rows],
    )


def raw_comparison(reports: Sequence[Report]) -> Grid:
    """Lay out one row a network."""
    headings: dict[str, Callable[[Report], str]] = {
        "network": lambda report: report.network,
        "inputs": lambda report: ";".join(map(_compact, report.inputs.values())),
        "depth": lambda report: str(report.depth),
        "parameters": lambda report: str(report.parameters.total),
        "parameters_trainable": lambda report: str(report.parameters.trainable),
        "parameters_frozen": lambda report: str(report.parameters.frozen),
        "parameters_inference": lambda report: str(report.parameters.inference),
        "buffers": lambda report: str(report.buffers.training),
        "macs_inference": lambda report: str(report.macs.inference),
        "macs_training": lambda report: str(report.macs.training),
        "other_inference": lambda report: _sum(usage.inference for usage in report.other.values()),
        "other_training": lambda report: _sum(usage.training for usage in report.other.values()),
        "memory_parameters": lambda report: str(report.memory.parameters),
        "memory_activations": lambda report: str(report.memory.training),
        "memory_peak": lambda report: _blank(report.memory.peak),
    }
    return Grid(
        tuple(map(Column, headings)),
        [[text(report) for text in headings.values()] for report in reports],
    )


def _sum(sizes: Iterable[Size]) -> str:
    return str(total(sizes))


def _compact(sizes: Sequence[Extent]) -> str:
    return "x".join(map(_blank, sizes))


def _blank(extent: Extent) -> str:
    return "" if extent is None else str(extent)
