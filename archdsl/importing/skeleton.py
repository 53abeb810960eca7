"""What statements are but for their numbers: by that, uses of blocks and turns of loops compare."""

from __future__ import annotations

from typing import Any

from archdsl.importing.tree import (
    From,
    If,
    Input,
    Let,
    Loop,
    Merge,
    Output,
    Own,
    Part,
    Register,
    Residual,
    Reuse,
    Stage,
    Statement,
    Tie,
    bodies_of,
)
from archdsl.importing.writing import reference


def skeleton(one: Statement, labels: bool = True) -> tuple[Any, ...]:
    """Return what a statement is but for the values of its arguments, and what is in it."""
    inner = tuple(tuple(skeleton(each, labels) for each in body) for body in bodies_of(one))
    return (*surface(one, labels), inner)


def surface(one: Statement, labels: bool = True) -> tuple[Any, ...]:
    """Return what a statement is but for the values of its arguments and what is in it."""
    name = one.label if labels else bool(one.label)
    kind = type(one).__name__
    if isinstance(one, Stage):
        ties = [pair for pair in one.arguments.items() if isinstance(pair[1], Tie)]
        return (kind, name, one.layer, *ties)
    if isinstance(one, Part):
        return (kind, name, one.block)
    if isinstance(one, Merge):
        return (kind, name, one.word, repr(one.arguments), len(one.branches))
    if isinstance(one, Residual):
        return (kind, name, one.condition)
    if isinstance(one, From):
        return (kind, *map(reference, one.references))
    if isinstance(one, Reuse):
        return (kind, name, one.name)
    if isinstance(one, Input):
        return (kind, one.name)
    if isinstance(one, Own):
        # what a parameter begins with is random, or else replaced by weights
        first = "" if one.word == "parameter" else one.value
        return (kind, one.label, one.word, one.batched, first, len(one.shape))
    if isinstance(one, Output):
        return (kind, one.name, one.training, one.statements is None)
    if isinstance(one, Loop):
        return (kind, one.head)
    if isinstance(one, If):
        return (kind, one.condition)
    if isinstance(one, Register):
        return (kind, *one.labels)
    if isinstance(one, Let):
        return (kind, one.name, one.expression)
    return (kind, name)


def arguments_of(one: Statement) -> dict[str, Any]:
    """Return the values of a statement that may differ between uses, by name.

    They are the arguments of layers and blocks, and the sizes of parameters.
    """
    if isinstance(one, Stage) or (isinstance(one, Part) and one.block):
        return one.arguments
    if isinstance(one, Own):
        return {f"size{number}": size for number, size in enumerate(one.shape)}
    return {}


def set_arguments(one: Statement, values: dict[str, Any]) -> None:
    """Give a statement other values."""
    if isinstance(one, Stage | Part):
        one.arguments = values
    elif isinstance(one, Own):
        one.shape = tuple(values.values())
