"""Checks nodes against what ONNX says of their operators, and outputs against what they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import torch

from archdsl.diagnostics import printable
from archdsl.importing.onnx.at import Missing
from archdsl.importing.onnx.operators import OPERATORS
from archdsl.importing.onnx.reading import BRANCHING, OnnxFile, OnnxNode, Subgraph

# Kinds of attributes, each with what a value must be, and the words for it.
KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "FLOAT": (lambda one: isinstance(one, float), "a number with a point"),
    "INT": (lambda one: isinstance(one, int), "a whole number"),
    "STRING": (lambda one: isinstance(one, str), "a text"),
    "TENSOR": (lambda one: isinstance(one, np.ndarray), "a tensor"),
    "FLOATS": (lambda one: list_of(float, one), "a list of numbers with points"),
    "INTS": (lambda one: list_of(int, one), "a list of whole numbers"),
    "STRINGS": (lambda one: list_of(str, one), "a list of texts"),
    "GRAPH": (lambda one: isinstance(one, Subgraph), "a graph"),
}

# Attributes that count, and are at least 1.
SAYS_NOTHING = {"seed", "momentum", "storage_order"}  # of what is computed in evaluation mode
COUNTS = ("kernel_shape", "strides", "dilations", "group", "blocksize", "num_groups", "size",
          "hidden_size", "num_outputs")  # fmt: skip
SIDES = ("pads", "output_padding")  # are at least 0, but where a `Pad` takes away
WORDS = {
    "auto_pad": ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"),
    "direction": ("forward", "reverse", "bidirectional"),
    "approximate": ("none", "tanh"),
    "padding_mode": ("zeros", "border", "reflection"),
    "nearest_mode": ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"),
}  # of which a text is one


def list_of(kind: type, value: Any) -> bool:
    """Tell whether a value is a list of a kind."""
    return isinstance(value, tuple) and all(isinstance(one, kind) for one in value)


def require_nodes(file: OnnxFile) -> None:
    """Refuse nodes that aren't as ONNX says of their operators.

    Raises:
        ImportingError: it names the first of them.
    """
    todo = file.nodes[::-1]
    while todo:
        node = todo.pop()
        if node.op in OPERATORS or node.op == BRANCHING:
            wrong = wrong_numbers(node, file.opset) or wrong_values(node) or wrong_branches(node)
            if wrong:
                raise file.bad(f"contradicts ONNX at {node.shown}: `{node.op}` {wrong}")
        if node.op == BRANCHING:
            todo += [one for graph in node.graphs for one in graph.nodes]


def wrong_numbers(node: OnnxNode, opset: int) -> str:
    """Say what is wrong with how many inputs and outputs a node has, and with its attributes."""
    try:
        schema = onnx.defs.get_schema(node.op, opset)
    except onnx.defs.SchemaError:
        return f"is no operator of opset {opset}"
    sides = (
        ("takes", "inputs", node.inputs, schema.inputs, schema.min_input, schema.max_input),
        ("gives", "outputs", node.outputs, schema.outputs, schema.min_output, schema.max_output),
    )
    for verb, what, names, formal, least, most in sides:
        if not least <= len(names) <= most:
            wanted = str(least) if least == most else f"{least} to {most}"
            wanted = wanted if most < 2**31 - 1 else f"at least {least}"
            what = what[:-1] if wanted == "1" else what
            return f"{verb} {wanted} {what}, and here {len(names)}"
        for name, one in zip(names, formal, strict=False):
            if not name and one.option == onnx.defs.OpSchema.FormalParameterOption.Single:
                return f"is without its {what[:-1]} `{one.name}`"
    for name, attribute in sorted(schema.attributes.items()):
        if name not in node.attributes:
            if attribute.required:
                return f"is without its attribute `{name}`"
            continue
        kind = KINDS.get(str(attribute.type).rpartition(".")[2])
        if kind and not kind[0](node.attributes[name]):
            return f"has another `{name}` than {kind[1]}"
    return ""


def wrong_branches(node: OnnxNode) -> str:
    """Say what is wrong with the graphs of a node that branches."""
    for graph in node.graphs if node.op == BRANCHING else ():
        if graph.takes:
            return "has a branch with inputs"
        if len(graph.outputs) != len(node.outputs):
            given, wanted = len(graph.outputs), len(node.outputs)
            return f"has a branch whose outputs are {given}, and gives {wanted}"
        if len({*graph.outputs}) < len(graph.outputs):
            return "has a branch that names an output twice"
    return ""


def wrong_values(node: OnnxNode) -> str:
    """Say which value of an attribute nothing can be computed with."""
    for name in COUNTS:
        if any(one < 1 for one in whole(node.attributes.get(name))):
            return f"has `{name}` of {shown(node.attributes[name])}, which is less than 1"
    for name in SIDES:
        if node.op != "Pad" and any(one < 0 for one in whole(node.attributes.get(name))):
            return f"has `{name}` of {shown(node.attributes[name])}, which is less than 0"
    for name, words in WORDS.items():
        value = node.attributes.get(name, words[0])
        if value not in words:
            return (
                f"has `{name}` of {printable(str(value)[:40])}, and not one of {', '.join(words)}"
            )
    return ""


def require_no_more(node: OnnxNode, asked: set[str], opset: int) -> None:
    """Refuse attributes that say something, and that nobody looked at to compute a node.

    Raises:
        Missing: it names the first.
    """
    for name in sorted(node.attributes.keys() - asked - SAYS_NOTHING):
        formal = onnx.defs.get_schema(node.op, opset).attributes.get(name)
        usual = formal.default_value if formal is not None else None
        value = node.attributes[name]
        if usual is None or plainly(usual) != value:
            raise Missing(f"`{node.op}` with `{name}` of {printable(shown(value)[:40])}")


def plainly(attribute: Any) -> Any:
    """Return what an attribute of a schema says, as those of nodes are kept."""
    value = onnx.helper.get_attribute_value(attribute) if attribute.type else None
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return tuple(value) if isinstance(value, list) else value


def whole(value: Any) -> Sequence[int]:
    """Return the whole numbers of an attribute; none where it is something else."""
    if isinstance(value, int):
        return [value]
    return [one for one in value if isinstance(one, int)] if isinstance(value, tuple) else []


def shown(value: Any) -> str:
    """Return a number or a list of them for a message."""
    return ", ".join(map(str, value[:8])) if isinstance(value, tuple) else str(value)


def require_outputs(
    file: OnnxFile, found: Mapping[str, torch.Tensor], again: Mapping[str, torch.Tensor]
) -> None:
    """Refuse outputs that aren't what the file says of them.

    Args:
        found: what they are for the file's own batch, where it has one.
        again: what they are for another batch.

    Raises:
        ImportingError: it says both.
    """
    free = any(isinstance(size, str) for one in file.inputs for size in one.shape[1:])
    for name, (kind, shape) in file.said.items():
        one = found[name]
        text = f"says that the output `{printable(name[:200])}` is"
        is_of = torch.empty(0, dtype=one.dtype).numpy().dtype
        if kind is not None and kind.kind != is_of.kind:
            raise file.bad(f"{text} of {kind}, and computes {is_of}")
        if shape is None:
            continue
        sizes = [
            size if isinstance(size, str) or free or (not file.batch and now != then) else now
            for size, now, then in zip(shape, one.shape, again[name].shape, strict=False)
        ]
        if len(shape) != one.dim() or sizes != [*shape]:
            said, is_it = ("x".join(map(str, one)) or "one number" for one in (shape, one.shape))
            raise file.bad(f"{text} {said}, and computes {is_it}")
