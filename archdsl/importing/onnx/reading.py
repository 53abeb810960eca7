"""Reads ONNX files, and believes nothing that they say: sizes, names and order are checked.

What comes out are plain values: nodes in an order in which they can be computed, and tensors whose
numbers are there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from archdsl.diagnostics import printable
from archdsl.importing.errors import ImportingError
from archdsl.importing.onnx.errors import BadOnnx
from archdsl.importing.ordering import after_others
from archdsl.reading import open_regular, read_regular, reason_of

MOST_BYTES = 2**31 - 1  # of a file, as protobuf can hold
MOST_NODES = 100_000
MOST_NUMBERS = 2**32  # in all tensors that the file holds
MOST_AXES = 8
MOST_DEEP = 16  # graphs in each other
LONGEST_NAME = 1000
BRANCHING = "If"  # the operator whose graphs are read; those of others are refused
OPSETS = range(7, 29)

# Types of numbers that are read, by their names in ONNX.
KINDS: dict[int, np.dtype[Any]] = {
    onnx.TensorProto.FLOAT: np.dtype("float32"),
    onnx.TensorProto.DOUBLE: np.dtype("float64"),
    onnx.TensorProto.INT64: np.dtype("int64"),
    onnx.TensorProto.INT32: np.dtype("int32"),
    onnx.TensorProto.BOOL: np.dtype("bool"),
}
FLOW = (onnx.TensorProto.FLOAT, onnx.TensorProto.INT64, onnx.TensorProto.INT32,
        onnx.TensorProto.BOOL)  # fmt: skip


@dataclass(eq=False)
class OnnxNode:
    """A node of the graph.

    Attributes:
        op: its operator, with the domain before it where that isn't ONNX's own.
        inputs, outputs: names of tensors; "" where one is left out.
        name: as the file has it, for messages.
        outer: names of tensors around it that graphs in it read.
    """

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    name: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    outer: tuple[str, ...] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of all tensors that have to be there before it is computed."""
        return tuple(name for name in (*self.inputs, *self.outer) if name)

    @property
    def graphs(self) -> list[Subgraph]:
        """The graphs in it."""
        found: list[Subgraph] = []
        for value in self.attributes.values():
            many = value if isinstance(value, tuple) else (value,)
            found += [one for one in many if isinstance(one, Subgraph)]
        return found

    @property
    def shown(self) -> str:
        """How messages call it."""
        name = self.name or next((one for one in self.outputs if one), "")
        return f"node `{printable(name[:200])}`"


@dataclass(eq=False)
class Subgraph:
    """A graph in a node.

    Attributes:
        nodes: those that its outputs need, each after those that it reads.
        takes: how many inputs it has.
        reads: names of tensors around it that it reads.
        makes: names of the tensors that it holds, and that graphs in it hold.
    """

    nodes: list[OnnxNode]
    tensors: dict[str, np.ndarray[Any, Any]]
    takes: int
    outputs: tuple[str, ...]
    reads: tuple[str, ...]
    makes: frozenset[str]


@dataclass(eq=False)
class OnnxInput:
    """An input: its name, its kind of numbers, and sizes with the batch; open ones as names."""

    name: str
    kind: np.dtype[Any]
    shape: tuple[int | str, ...]


@dataclass(eq=False)
class OnnxFile:
    """What an ONNX file holds."""

    shown: str
    opset: int
    nodes: list[OnnxNode]
    tensors: dict[str, np.ndarray[Any, Any]]
    inputs: list[OnnxInput]
    outputs: list[str]
    data: bytes  # the file itself, for onnxruntime
    numbers: int  # in all tensors that it holds
    said: dict[str, tuple[np.dtype[Any] | None, tuple[int | str, ...] | None]]  # of outputs

    @property
    def batch(self) -> int:
        """How many samples the file takes, where it has a number for them, else 0."""
        first = self.inputs[0].shape[:1]
        return first[0] if first and isinstance(first[0], int) else 0

    def bad(self, reason: str, hint: str = "") -> ImportingError:
        """Return an error about the file."""
        return ImportingError(BadOnnx(file=self.shown, reason=reason, hint=hint))


def read(path: str) -> OnnxFile:
    """Read an ONNX file.

    Raises:
        ImportingError: it can't be read, is none, or lies.
    """
    reader = Reader(path)
    return reader.file()


class Reader:
    """Reads one file."""

    def __init__(self, path: str) -> None:
        self.path, self.shown = path, f"`{printable(os.path.basename(path) or path)}`"
        self.numbers = self.nodes = self.depth = 0
        self.outside: dict[str, bytes] = {}  # other files with numbers, by their paths

    def fail(self, reason: str, hint: str = "") -> ImportingError:
        """Return an error about the file."""
        return ImportingError(BadOnnx(file=self.shown, reason=reason, hint=hint))

    def file(self) -> OnnxFile:
        """Return what the file holds."""
        try:
            data = read_regular(self.path, MOST_BYTES)
        except OSError as error:
            raise self.fail(reason_of(error)) from None
        if len(data) > MOST_BYTES:
            raise self.fail(f"has more than {MOST_BYTES:,} bytes")
        model = onnx.ModelProto()
        try:
            model.ParseFromString(data)
        except Exception:  # protobuf has errors of its own, which onnx doesn't name
            raise self.fail("is no ONNX file, or is damaged") from None
        graph = model.graph
        if not graph.node:
            raise self.fail("is no ONNX file, or holds no nodes")
        if model.functions:
            hint = "`onnx.inliner.inline_local_functions` puts them into the graph"
            raise self.fail("holds functions of its own, which are not read", hint)
        opset = self.opset(model)
        tensors = self.tensors(graph)
        inputs = [self.input(one) for one in graph.input if one.name not in tensors]
        if not inputs:
            raise self.fail("has no inputs")
        outputs = [one.name for one in graph.output]
        if not outputs or len({*outputs}) < len(outputs):
            raise self.fail("names no outputs, or one twice")
        given = [self.node(one) for one in graph.node]
        nodes = ordered(given, [*tensors, *(one.name for one in inputs)], outputs, self.fail)
        read = {name for node in nodes for name in node.needs} | {*outputs}
        wanted = [one for one in inputs if one.name in read] or inputs
        self.require_one_batch(wanted)
        if len(nodes) < len(given) or len(wanted) < len(inputs):
            # what isn't needed isn't run either
            kept = {*nodes}
            pairs = zip(given, [*graph.node], strict=True)
            needed = [proto for node, proto in pairs if node in kept]
            del graph.node[:]
            graph.node.extend(needed)
            unread = {one.name for one in inputs} - {one.name for one in wanted}
            for number in reversed(range(len(graph.input))):
                if graph.input[number].name in unread:
                    del graph.input[number]
            if not self.outside:
                data = bytes(model.SerializeToString())
        nodes = parted(nodes, tensors, outputs)
        whole = b"" if self.outside else data
        if self.outside:  # onnxruntime gets numbers that were checked, and opens no file
            whole = self.joined(model, tensors)
        said = {one.name: self.output(one) for one in graph.output}
        return OnnxFile(
            self.shown, opset, nodes, tensors, wanted, outputs, whole, self.numbers, said
        )

    def opset(self, model: Any) -> int:
        """Return the version of ONNX's own operators."""
        versions = [one.version for one in model.opset_import if one.domain in ("", "ai.onnx")]
        if len(versions) != 1 or versions[0] not in OPSETS:
            said = f"opset {versions[0]}" if versions else "no opset"
            known = f"{OPSETS[0]} to {OPSETS[-1]}"
            raise self.fail(
                f"is of {said}; opsets {known} are read",
                "export it again, or convert it with `onnx.version_converter`",
            )
        return int(versions[0])

    def require_name(self, name: str, what: str) -> None:
        """Refuse what has no name, or one that nobody could read."""
        if not name or len(name) > LONGEST_NAME:
            raise self.fail(f"has {what} without a name, or with one too long to read")

    # --- tensors --------------------------------------------------------------------------------

    def tensors(self, graph: Any) -> dict[str, np.ndarray[Any, Any]]:
        """Return the tensors that a graph holds, once it is known not to have too many nodes."""
        self.nodes += len(graph.node)
        if self.nodes > MOST_NODES:
            raise self.fail(f"has {self.nodes:,} nodes; at most {MOST_NODES:,} are read")
        if graph.sparse_initializer:
            raise self.fail("holds sparse tensors, which are not read")
        found: dict[str, np.ndarray[Any, Any]] = {}
        for tensor in graph.initializer:
            self.require_name(tensor.name, "a tensor")
            if tensor.name in found:
                raise self.fail(f"holds two tensors `{printable(tensor.name)}`")
            if self.depth and tensor.data_location == onnx.TensorProto.EXTERNAL:
                raise self.fail("keeps numbers of a graph in a node in another file")
            found[tensor.name] = self.tensor(tensor, tensor.name)
        return found

    def tensor(self, tensor: Any, name: str) -> np.ndarray[Any, Any]:
        """Return the numbers of a tensor, once its sizes are known to be those of its data."""
        what = f"tensor `{printable(name[:200])}`"
        kind = KINDS.get(tensor.data_type)
        if kind is None:
            raise self.fail(f"holds the {what} of {kind_name(tensor.data_type)}, {WANTED}")
        dims = self.sizes(tensor.dims, what)
        count = 1
        for size in dims:
            count *= size
        self.numbers += count
        if self.numbers > MOST_NUMBERS:
            raise self.fail(f"holds more than {MOST_NUMBERS:,} numbers")
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raw = self.external(tensor, what, count * kind.itemsize)
        elif tensor.HasField("raw_data"):
            raw = tensor.raw_data
        else:
            return self.listed(tensor, what, kind, dims, count)
        if len(raw) != count * kind.itemsize:
            raise self.lies(what, dims, len(raw) // kind.itemsize)
        found: np.ndarray[Any, Any] = np.frombuffer(raw, kind.newbyteorder("<"))
        return found.astype(kind).reshape(dims)

    def listed(
        self, tensor: Any, what: str, kind: np.dtype[Any], dims: tuple[int, ...], count: int
    ) -> np.ndarray[Any, Any]:
        """Return the numbers of a tensor that lists them."""
        held = max(
            len(tensor.float_data),
            len(tensor.double_data),
            len(tensor.int64_data),
            len(tensor.int32_data),
        )
        if held != count:
            raise self.lies(what, dims, held)
        try:
            return np.array(numpy_helper.to_array(tensor), kind).reshape(dims)
        except Exception:  # whatever the library says of data that isn't of its kind
            raise self.fail(f"holds the {what}, whose numbers are of another kind") from None

    def lies(self, what: str, dims: tuple[int, ...], held: int) -> ImportingError:
        """Return an error about sizes that aren't those of the data."""
        shape = "x".join(map(str, dims)) or "one number"
        return self.fail(f"says that the {what} is of {shape}, and holds {held:,} numbers for it")

    def sizes(self, dims: Sequence[int], what: str) -> tuple[int, ...]:
        """Return the sizes of a tensor."""
        if len(dims) > MOST_AXES or any(size < 0 or size > MOST_NUMBERS for size in dims):
            raise self.fail(f"says of the {what} that its sizes are {[*dims][:MOST_AXES]}")
        return tuple(dims)

    def external(self, tensor: Any, what: str, wanted: int) -> bytes:
        """Return bytes of another file, which lies in the folder of this one or below."""
        said = {one.key: one.value for one in tensor.external_data}
        location = said.get("location", "")
        folder = os.path.realpath(os.path.dirname(self.path) or os.curdir)
        target = os.path.realpath(os.path.join(folder, location)) if "\0" not in location else ""
        inside = target.startswith(folder + os.sep) and not os.path.isabs(location)
        if not location or not inside:
            raise self.fail(
                f"keeps the {what} in `{printable(location[:200])}`, which isn't in its folder"
            )
        try:
            offset, length = int(said.get("offset") or 0), int(said.get("length") or wanted)
        except ValueError:
            offset = length = -1
        if offset < 0 or length != wanted:
            raise self.fail(f"keeps the {what} at a place that isn't of its size")
        try:
            descriptor = open_regular(target)
        except OSError as error:
            name = printable(location[:200])
            raise self.fail(f"keeps the {what} in `{name}`, which {reason_of(error)}") from None
        with os.fdopen(descriptor, "rb") as file:
            there = os.fstat(descriptor).st_size
            if offset + length > there:
                raise self.fail(
                    f"keeps the {what} in bytes {offset:,} to {offset + length:,} of "
                    f"`{printable(location[:200])}`, which has {there:,}"
                )
            file.seek(offset)
            self.outside[location] = b""
            return file.read(length)

    def joined(self, model: Any, tensors: Mapping[str, np.ndarray[Any, Any]]) -> bytes:
        """Return the file with all its numbers in it; b"" where that is too much for one."""
        if sum(one.nbytes for one in tensors.values()) > MOST_BYTES // 2:
            return b""
        for tensor in model.graph.initializer:
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                whole = numpy_helper.from_array(tensors[tensor.name], tensor.name)
                tensor.CopyFrom(whole)
        return bytes(model.SerializeToString())

    # --- nodes ----------------------------------------------------------------------------------

    def input(self, one: Any) -> OnnxInput:
        """Return an input of the graph."""
        self.require_name(one.name, "an input")
        what = f"input `{printable(one.name[:200])}`"
        kind = one.type.tensor_type.elem_type
        if one.type.WhichOneof("value") != "tensor_type" or kind not in FLOW:
            raise self.fail(f"takes the {what} of {kind_name(kind)}, {WANTED}")
        if not one.type.tensor_type.HasField("shape"):
            raise self.fail(f"doesn't say how many axes the {what} has")
        shape: list[int | str] = []
        for number, dim in enumerate(one.type.tensor_type.shape.dim):
            if dim.HasField("dim_value"):
                self.sizes([dim.dim_value], what)
                if dim.dim_value < 1:
                    raise self.fail(f"takes the {what} with an axis of size {dim.dim_value}")
                shape.append(dim.dim_value)
            else:
                shape.append(dim.dim_param or f"size{number}")
        if len(shape) > MOST_AXES:
            raise self.fail(f"takes the {what} with {len(shape)} axes")
        return OnnxInput(one.name, KINDS[kind], tuple(shape))

    def require_one_batch(self, inputs: Sequence[OnnxInput]) -> None:
        """Refuse inputs of which not each has a row for each sample."""
        first = inputs[0]
        for one in inputs:
            if not one.shape:
                raise self.fail(f"takes a single number as `{printable(one.name)}`, and no batch")
            sizes = (first.shape[0], one.shape[0])
            if sizes[0] != sizes[1] and all(isinstance(size, int) for size in sizes):
                raise self.fail(
                    f"takes {sizes[0]} rows of `{printable(first.name)}` and {sizes[1]} of "
                    f"`{printable(one.name)}`, where both need one for each sample of a batch"
                )

    def output(self, one: Any) -> tuple[np.dtype[Any] | None, tuple[int | str, ...] | None]:
        """Return what the file says of an output: its kind and sizes, None where it doesn't."""
        held = one.type.tensor_type
        kind = KINDS.get(held.elem_type)
        if not held.HasField("shape"):
            return kind, None
        return kind, tuple(
            dim.dim_value if dim.HasField("dim_value") else dim.dim_param or f"size{number}"
            for number, dim in enumerate(held.shape.dim)
        )

    def node(self, one: Any) -> OnnxNode:
        """Return a node of the graph."""
        domain = "" if one.domain in ("", "ai.onnx") else f"{printable(one.domain[:100])}."
        attributes = {each.name: self.attribute(each, one) for each in one.attribute}
        node = OnnxNode(
            domain + printable(one.op_type[:100]),
            tuple(one.input),
            tuple(one.output),
            attributes,
            one.name,
            {each.key: each.value for each in one.metadata_props},
        )
        node.outer = tuple(dict.fromkeys(name for graph in node.graphs for name in graph.reads))
        return node

    def graph(self, graph: Any) -> Subgraph:
        """Return a graph in a node."""
        self.depth += 1
        if self.depth > MOST_DEEP:
            raise self.fail(f"holds graphs in each other, more than {MOST_DEEP} deep")
        tensors = self.tensors(graph)
        inputs = [one.name for one in graph.input if one.name not in tensors]
        outputs = tuple(one.name for one in graph.output)
        nodes = [self.node(one) for one in graph.node]
        self.depth -= 1
        made = {*tensors, *inputs}.union(*(one.outputs for one in nodes)) - {""}
        read = [*(name for one in nodes for name in one.needs), *outputs]
        reads = tuple(dict.fromkeys(name for name in read if name not in made))
        given = [*tensors, *inputs, *reads]
        inner = [held.makes for one in nodes for held in one.graphs]
        return Subgraph(
            ordered(nodes, given, outputs, self.fail),
            tensors,
            len(inputs),
            outputs,
            reads,
            frozenset(made).union(*inner),
        )

    def attribute(self, one: Any, node: Any) -> Any:
        """Return the value of an attribute."""
        kind = onnx.AttributeProto
        if one.type == kind.FLOAT:
            return float(one.f)
        if one.type == kind.INT:
            return int(one.i)
        if one.type == kind.STRING:
            return one.s.decode(errors="replace")
        if one.type == kind.TENSOR:
            if one.t.data_location == onnx.TensorProto.EXTERNAL:
                raise self.fail(f"keeps a number of `{printable(node.op_type)}` in another file")
            return self.tensor(one.t, f"{node.op_type} {node.name}")
        if one.type == kind.FLOATS:
            return tuple(map(float, one.floats))
        if one.type == kind.INTS:
            return tuple(map(int, one.ints))
        if one.type == kind.STRINGS:
            return tuple(text.decode(errors="replace") for text in one.strings)
        if one.type == kind.GRAPH:
            return self.graph(one.g)
        if one.type == kind.GRAPHS:
            return tuple(map(self.graph, one.graphs))
        return None  # of a kind that no operator here has


def ordered(
    nodes: Sequence[OnnxNode],
    given: Sequence[str],
    outputs: Sequence[str],
    fail: Callable[[str], ImportingError],
) -> list[OnnxNode]:
    """Return the nodes that the outputs need, each after those that it reads.

    Where ONNX lets several orders be, it is that of the file.

    Args:
        given: names of what no node makes.
        fail: makes an error of what is wrong.
    """
    makers: dict[str, int] = {}
    there = {*given}
    for number, node in enumerate(nodes):
        for name in filter(None, node.outputs):
            if name in makers or name in there:
                raise fail(f"makes the tensor `{printable(name[:200])}` twice")
            makers[name] = number
    for node in nodes:
        for graph in node.graphs:  # names in a graph are none of those around it
            again = next((name for name in graph.makes if name in makers or name in there), None)
            if again is not None:
                raise fail(f"makes the tensor `{printable(again[:200])}` twice")
    needed: set[int] = set()
    todo = [*outputs]
    while todo:
        name = todo.pop()
        if name in there:
            continue
        if name not in makers:
            raise fail(f"reads the tensor `{printable(name[:200])}`, which nothing makes")
        number = makers[name]
        if number not in needed:
            needed.add(number)
            todo += nodes[number].needs
    waits = {
        number: {makers[name] for name in nodes[number].needs if name in makers}
        for number in needed
    }
    found = [nodes[number] for number in after_others(waits)]
    if len(found) < len(needed):
        done = {*found}
        left = next(nodes[number] for number in sorted(needed) if nodes[number] not in done)
        raise fail(f"goes in a circle: {left.shown} needs what is made of it")
    return found


def parted(
    nodes: Sequence[OnnxNode], tensors: dict[str, np.ndarray[Any, Any]], outputs: Sequence[str]
) -> list[OnnxNode]:
    """Give tensors of several layers, which exporters keep once where they are equal, their names.

    One that tells layers apart, and has several names, is one weight of several layers.
    """
    found: list[OnnxNode] = []
    for node in nodes:
        plain = len(node.inputs) == len(node.outputs) == 1 and not node.attributes
        held = tensors.get(node.inputs[0]) if plain else None
        if node.op != "Identity" or held is None or node.outputs[0] in outputs:
            found.append(node)
        elif tells_apart(held):
            tensors[node.outputs[0]] = held
        else:
            tensors[node.outputs[0]] = held.copy()
    return found


def tells_apart(array: np.ndarray[Any, Any]) -> bool:
    """Tell whether two layers with the same numbers share them: vectors may be equal by chance."""
    return sum(size > 1 for size in array.shape) > 1 and bool((array != array.flat[0]).any())


WANTED = "of which only float32, int32, int64 and booleans are read"


def kind_name(kind: int) -> str:
    """Return what ONNX calls a kind of numbers."""
    try:
        return str(onnx.TensorProto.DataType.Name(kind)).lower()
    except ValueError:
        return f"kind {kind}"
