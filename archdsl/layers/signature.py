"""How layers are explained: from their fields, kinds of argument, docstrings and examples."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import cleandoc
from typing import Any

from archdsl.layers.base import (
    DTYPES,
    FLOATS,
    Kind,
    Layer,
    construct,
    numel,
    squeeze,
)
from archdsl.layers.fields import Field


def signature(kind: type[Layer]) -> str:
    """Return how a layer is written, with its defaults: `Linear(out_features, bias = true)`."""
    parts = [
        name if field.is_required() else f"{name} = {_default(field)}"
        for name, field in kind.model_fields.items()
    ]
    return f"{kind.__name__}({', '.join(parts)})" if parts else kind.__name__


def summary(kind: type[Layer]) -> str:
    """Return the first line of what a layer's declaration says of it."""
    return cleandoc(kind.__doc__ or "").partition("\n")[0]


def reference(kind: type[Layer]) -> str:
    """Return everything about a layer: its signature, meaning, arguments and examples."""
    lines = [signature(kind), "", cleandoc(kind.__doc__ or "")]
    fields = kind.model_fields
    if fields:
        wide = max(map(len, fields))
        lines += ["", "Arguments"]
        for name, field in fields.items():
            default = "" if field.is_required() else f"; {_default(field)} if left out"
            lines.append(f"  {name:<{wide}}  {expected(field)}{default}")
    # nothing in the language makes complex numbers
    common = {held: given for held, given in kind.takes.items() if held != "complex"}
    if common != FLOATS:
        lines += ["", "Kinds of numbers"]
        lines += [f"  {DTYPES[held]} give {DTYPES[given]}" for held, given in common.items()]
    if kind.examples:
        lines += ["", "Examples"]
    for example in kind.examples:
        facts = construct(kind, example.arguments).infer(example.inputs)
        inputs = " and ".join(" x ".join(map(str, shape)) for shape in example.inputs)
        output = " x ".join(map(str, facts.output))
        counts = f"{numel_of(facts.params):,} parameters, {facts.macs:,} multiply-accumulates"
        lines.append(f"  {written(kind, example.arguments)}")
        lines.append(f"      {inputs} -> {output}; {counts}")
    return "\n".join(lines)


def written(kind: type[Layer], arguments: Mapping[str, object]) -> str:
    """Return how a use of a layer is written: `Conv2d(out_channels = 2, kernel_size = 5)`."""
    fields = kind.model_fields
    texts = [f"{name} = {_written(_short(fields[name], v))}" for name, v in arguments.items()]
    return f"{kind.__name__}({', '.join(texts)})"


def _default(field: Field) -> str:
    return _written(_short(field, field.default))


def _short(field: Field, value: object) -> object:
    """Return one number for a list of equal ones, where the argument takes it as the same."""
    short = squeeze(value)
    try:
        return short if field.check(short) == value else value
    except ValueError:
        return value


def numel_of(tensors: Any) -> int:
    """Return how many numbers tensors hold together, none of whose sizes is free."""
    return sum(int(str(numel(shape))) for shape in tensors.values())


def expected(field: Any) -> str:
    """Say what an argument may be, in the words of its kind."""
    for kind in field.metadata:
        if isinstance(kind, Kind):
            return kind.expected
    return "a value"


def _written(value: object) -> str:
    """Write a value as the language does."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple):
        return f"[{', '.join(map(_written, value))}]"
    return str(value)
