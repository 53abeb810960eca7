"""Reads the graph of a network from JSON that may come from anywhere, and believes none of it."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    NonNegativeInt,
    PositiveInt,
)
from pydantic import ValidationError as Invalid

from archdsl.diagnostics import printable
from archdsl.layers.base import Dtype
from archdsl.reading import read_regular, reason_of

FORMAT = "archdsl graph 1"
MOST_BYTES = 64 * 2**20  # some 80,000 layers


def _finite(value: JsonValue) -> JsonValue:
    """Refuse numbers that Python reads and JSON doesn't have, such as NaN and 1e999."""
    under_way = [value]
    while under_way:
        one = under_way.pop()
        if isinstance(one, float) and not isfinite(one):
            raise ValueError("a number must be finite")
        if isinstance(one, list | dict):
            under_way += one if isinstance(one, list) else one.values()
    return value


Text = str  # as long as the file allows
Name = Annotated[str, Field(min_length=1)]
Argument = Annotated[JsonValue, AfterValidator(_finite)]
Formula = Annotated[str, Field(pattern=r"^[A-Za-z_(\d-][A-Za-z0-9_ +*/()-]*$", max_length=65_536)]
Shape = list[PositiveInt | Formula]
Count = NonNegativeInt | Formula


class GraphFileError(ValueError):
    """A file that can't be used as a graph; the text is a sentence that names it."""


class Record(BaseModel):
    """A part of the file; `docs/graph.md` says what its fields mean."""

    model_config = ConfigDict(extra="forbid", strict=True)


class OutputRecord(Record):
    name: Name
    node: Name
    training_only: bool


class ScopeRecord(Record):
    parent: Text | None
    label: Text
    block: Text
    arguments: dict[Name, Argument]
    description: Text
    registered: list[Name] = []
    place: Text


class GraphRecord(Record):
    format: Literal["archdsl graph 1"]
    name: Name
    description: Text
    arguments: dict[Name, Argument]
    inputs: dict[Name, Shape]
    outputs: list[OutputRecord]
    scopes: dict[Text, ScopeRecord]
    agreements: list[Annotated[list[Formula], Field(min_length=2, max_length=2)]]
    digest: Text


class NodeRecord(Record):
    id: Name
    type: Name
    family: Name
    label: Text
    scope: Text
    arguments: dict[Name, Argument]
    inputs: list[Name]
    output: Shape
    dtype: Dtype = "float"  # files written before there was this attribute lack it
    parameters: dict[Name, Shape]
    buffers: dict[Name, Shape]
    parameter_count: Count
    macs: Count
    other: dict[Name, Count]
    view: bool
    training_only: bool
    shares: Text
    ties: dict[Name, Name] = {}  # files written before there was this attribute lack it
    outputs: list[Name]
    place: Text


class EdgeRecord(Record):
    source: Name
    target: Name
    key: NonNegativeInt
    argument: NonNegativeInt
    shape: Shape


class FileRecord(Record):
    directed: Literal[True]
    multigraph: Literal[True]
    graph: GraphRecord
    nodes: list[NodeRecord]
    edges: list[EdgeRecord]


def read(path: Path | str, most_bytes: int = MOST_BYTES) -> FileRecord:
    """Read and check a graph in a file of no more than so many bytes.

    Raises:
        GraphFileError: it can't be read, is no such graph, or contradicts itself.
    """
    try:
        content = _content(path, most_bytes)
        data = FileRecord.model_validate_json(content)
        _check(data)
    except OSError as error:
        raise _error(path, reason_of(error)) from None
    except Invalid as error:
        raise _error(path, _first(error)) from None
    except ValueError as error:
        raise _error(path, str(error)) from None
    return data


def _error(path: Path | str, reason: str) -> GraphFileError:
    name = printable(str(path)) or '""'
    return GraphFileError(f"{name}: {printable(reason)}")


def _content(path: Path | str, most_bytes: int) -> bytes:
    content = read_regular(path, most_bytes)
    if len(content) > most_bytes:
        raise ValueError(f"is larger than {most_bytes:,} bytes (raise with `most_bytes`)")
    return content


def _first(error: Invalid) -> str:
    """Say what is wrong at the first place at which something is."""
    wrong = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(step) for step in wrong["loc"])
    return f"is not a graph of archdsl: {f'{where}: ' if where else ''}{wrong['msg']}"


def _check(data: FileRecord) -> None:
    """Check what holds between records, or raise ValueError with a sentence."""
    names: set[str] = set()
    held: set[str] = set()
    for node in data.nodes:
        _require(node.id not in names, f"two nodes are called `{node.id}`")
        _require(names.issuperset(node.inputs), f"`{node.id}` reads what doesn't come before it")
        _require(node.scope in data.graph.scopes, f"`{node.id}` is in a scope that is not there")
        shares_well = node.shares == "" or node.shares in names
        _require(shares_well, f"`{node.id}` shares the module of what doesn't come before it")
        known = set(node.ties.values()) <= held
        _require(known, f"`{node.id}` has a parameter of what doesn't come before it")
        held.update(node.parameters)
        names.add(node.id)
    _check_edges(data)
    _require(names.issuperset(data.graph.inputs), "an input is no node")
    _require(names.issuperset(out.node for out in data.graph.outputs), "an output is no node")
    seen: set[str | None] = {None}
    for name, scope in data.graph.scopes.items():
        _require(scope.parent in seen, f"the scope `{name}` comes before the one around it")
        seen.add(name)


def _check_edges(data: FileRecord) -> None:
    shapes = {node.id: node.output for node in data.nodes}
    expected = {
        (source, node.id, position)
        for node in data.nodes
        for position, source in enumerate(node.inputs)
    }
    found = [(edge.source, edge.target, edge.argument) for edge in data.edges]
    same = len(found) == len(expected) and set(found) == expected
    _require(same, "its edges are not those that the inputs of its nodes name")
    for edge in data.edges:
        where = f"the edge from `{edge.source}` to `{edge.target}`"
        _require(edge.key == edge.argument, f"{where} has a key that is not its argument")
        _require(edge.shape == shapes[edge.source], f"{where} has another shape than its source")


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)
