"""Writes a tree as the text of a spec, laid out as people do it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from textwrap import wrap
from typing import Any

from archdsl.diagnostics import printable
from archdsl.importing.naming import written
from archdsl.importing.tree import (
    REQUIRED,
    Definition,
    Flowing,
    From,
    If,
    Input,
    Let,
    Loop,
    Merge,
    Output,
    Own,
    Part,
    Reference,
    Register,
    Residual,
    Reuse,
    Stage,
    Statement,
    Weight,
    Written,
)
from archdsl.layers.registry import Registry

WIDTH = 100
LONGEST = 150  # characters of a line with a list, before it is broken
INDENT = "  "


def value(held: Any) -> str:
    """Write a value as the language does."""
    if isinstance(held, Written):
        return str(held)
    if isinstance(held, Weight):
        return f"from {reference(held.of)}"
    if held is None or isinstance(held, bool):
        return str(held).lower()
    if isinstance(held, str):
        text = held.replace("\\", "\\\\").replace('"', '\\"')
        return '"' + text.replace("{", "{{").replace("}", "}}") + '"'
    if isinstance(held, list | tuple):
        return f"[{', '.join(map(value, held))}]"
    return repr(held)


def remark(text: str) -> str:
    """Write a sentence as a comment, in which the name of a file or layer breaks no line."""
    return f"# {printable(text, len(text) + 1)}\n"


def body(statements: Iterable[Statement], indent: str) -> list[str]:
    """Return the lines of statements."""
    return [line for one in statements for line in lines(one, indent)]


def lines(one: Statement, indent: str) -> list[str]:
    """Return the lines of a statement."""
    label = f"{one.label}: " if one.label else ""
    if isinstance(one, Stage):
        return [f"{indent}{label}{call(one.layer, one.arguments)}"]
    if isinstance(one, Part) and one.block:
        return [f"{indent}{label}{call(one.block, one.arguments, one.open)}"]
    if isinstance(one, Part):
        return braces(f"{indent}{label}", one.statements, indent)
    if isinstance(one, Reuse):
        return [f"{indent}{label}reuse {one.name}"]
    if isinstance(one, From):
        return [f"{indent}from {', '.join(map(reference, one.references))}"]
    if isinstance(one, Let):
        return [f"{indent}let {one.name} = {one.expression}"]
    if isinstance(one, Register):
        return [f"{indent}register {', '.join(one.labels)}"]
    if isinstance(one, Flowing):
        return [f"{indent}{one.label}: in"]
    if isinstance(one, Input):
        return [f"{indent}input {one.name}"]
    if isinstance(one, Own):
        shape = ["batch"] * one.batched + [str(size) for size in one.shape]
        first = f" = {one.value}" if one.value else ""
        return wrapped(f"{one.word} {one.label}: [{', '.join(shape)}]{first}", indent)
    if isinstance(one, Output):
        when = " when training" if one.training else ""
        if one.statements is None:
            return [f"{indent}output {one.name}{when}"]
        return braces(f"{indent}output {one.name}{when} ", one.statements, indent)
    if isinstance(one, Loop):
        *before, head = wrapped(one.head, indent)
        return [*before, *braces(f"{head} ", one.statements, indent)]
    if isinstance(one, If):
        return braces(f"{indent}if {one.condition} ", one.statements, indent)
    if isinstance(one, Residual):
        return residual(one, indent)
    assert isinstance(one, Merge)
    return merge(one, indent)


def wrapped(head: str, indent: str) -> list[str]:
    """Return the lines of what ends with a list, which may be long."""
    if len(indent) + len(head) + 2 <= LONGEST or not head.endswith("]"):
        return [f"{indent}{head}"]
    start, _, listed = head.partition("= [") if "= [" in head else head.partition("[")
    start += "= " if "= [" in head else ""
    items = listed[:-1].replace("), (", "),\n(").splitlines()
    if len(items) == 1:
        width = WIDTH - len(indent) - len(INDENT)
        items = wrap(listed[:-1], width, break_long_words=False, break_on_hyphens=False)
    inner = [f"{indent}{INDENT}{item}" for item in items]
    return [f"{indent}{start}[", *inner, f"{indent}]"]


def merge(one: Merge, indent: str) -> list[str]:
    """Return the lines of a merge."""
    name = f" as {one.label}" if one.label else ""
    inner = indent + INDENT
    parts = [braces(f"{inner}branch ", branch, inner) for branch in one.branches]
    head = call(one.word, one.arguments, 0)
    if all(len(part) == 1 for part in parts):
        short = f"{indent}{head} {{ {' '.join(part[0].strip() for part in parts)} }}{name}"
        if len(short) <= 80:
            return [short]
    return [
        f"{indent}{head} {{",
        *(line for part in parts for line in part),
        f"{indent}}}{name}",
    ]


def residual(one: Residual, indent: str) -> list[str]:
    """Return the lines of a residual connection."""
    name = f" as {one.label}" if one.label else ""
    when = f"when {one.condition} " if one.condition else ""
    found = braces(f"{indent}residual {when}", one.statements, indent)
    if one.shortcut:
        short = braces("", one.shortcut, indent)
        found[-1] += f" shortcut {short[0].lstrip()}"
        found += short[1:]
    found[-1] += name
    return found


def braces(head: str, statements: list[Statement], indent: str) -> list[str]:
    """Return the lines of a body in braces, on one line where it is short."""
    if not statements:
        return [f"{head}{{}}"]
    inner = body(statements, indent + INDENT)
    if len(inner) == len(statements) <= 3 and _flows(statements):
        arrows = " -> ".join(line.strip() for line in inner)
        line = f"{head}{{ {arrows} }}"
        if len(line) <= 80 or (len(inner) == 1 and len(line) <= WIDTH):
            return [line]
    return [f"{head}{{", *inner, f"{indent}}}"]


def _flows(statements: list[Statement]) -> bool:
    return all(isinstance(one, Stage | Part | From | Reuse) for one in statements)


def call(name: str, arguments: Mapping[str, Any], by_position: int = -1) -> str:
    """Write a use of a layer, block or merge with its arguments."""
    if not arguments:
        return name
    kind = Registry().get(name) if by_position < 0 else None
    parts: list[str] = []
    straight = True
    for number, (key, held) in enumerate(arguments.items()):
        known = kind is not None and key in kind.model_fields  # else it is a tie
        required = kind is not None and known and kind.model_fields[key].is_required()
        text = value(held)
        fits = kind is None or (known and number == list(kind.model_fields).index(key))
        # what is meant is clear without its name
        said = text == key or (kind is not None and len(kind.model_fields) == 1)
        positional = number < by_position if by_position >= 0 else required or said
        straight = straight and positional and fits
        parts.append(text if straight else f"{key} = {text}")
    return f"{name}({', '.join(parts)})"


def name_of(one: Statement) -> str:
    """Return by what name a statement is referred to."""
    if isinstance(one, Input | Output):
        return one.name
    return one.label or written(one.path)


def reference(one: Reference) -> str:
    """Write a reference."""
    name = name_of(one.to)
    return f"{name}.{one.output}" if one.output else name


def definition(one: Definition) -> list[str]:
    """Return the lines of a block."""
    listed = [
        name if default is REQUIRED else f"{name} = {value(default)}"
        for name, default in one.parameters.items()
    ]
    head = f"block {one.name}({', '.join(listed)})" if listed else f"block {one.name}"
    return [f"{head} {{", *body(one.statements, INDENT), "}"]


def network(
    name: str,
    description: str,
    inputs: Mapping[str, tuple[Any, ...]],
    statements: list[Statement],
    blocks: list[Definition],
) -> str:
    """Write a network with its blocks."""
    head = [f"network {name} {{"]
    if description:
        head.append(f"{INDENT}{value(printable(description))}")
    for input_name, shape in inputs.items():
        head.append(f"{INDENT}input {input_name}: {value(list(shape))}")
    text = [*head, *body(statements, INDENT), "}"]
    for one in blocks:
        text += ["", *definition(one)]
    return "\n".join(text) + "\n"
