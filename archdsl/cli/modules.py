"""Modules of PyTorch in the place of specs: `--module package.module:name`."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, TypeVar

import click

from archdsl.cli.options import shape_of
from archdsl.cli.terminal import complain
from archdsl.graph import CheckedGraph

Command = TypeVar("Command", bound=Callable[..., Any])

ARGUMENTS = click.option(
    "--arg",
    "arguments",
    multiple=True,
    metavar="NAME=VALUE",
    help="Argument for what makes the module: width=64.",
)


def modules(command: Command) -> Command:
    """Add the options that name modules of PyTorch to count or draw."""
    named = click.option(
        "--module",
        "modules",
        multiple=True,
        metavar="MODULE:NAME",
        help="A PyTorch module, its class, or what makes one: its code is run.",
    )
    return named(ARGUMENTS(command))


def require_torch() -> None:
    """Leave with a message where torch isn't installed."""
    if find_spec("torch") is None:
        complain("torch is not installed: pip install 'archdsl[torch]'")
        raise click.exceptions.Exit(2)


def graphs_of(
    names: Sequence[str], arguments: Sequence[str], inputs: Sequence[str]
) -> list[CheckedGraph]:
    """Return the graphs of modules, each of which is run once.

    Raises:
        ArchError: one can't be found or made, or doesn't run on the inputs.
        click.BadParameter: an option is not of the form it must have.
    """
    if not names:
        if arguments:
            raise click.UsageError("--arg is of --module, which is not given")
        return []
    require_torch()
    from archdsl.importing.made import from_here
    from archdsl.importing.recorded import recorded

    given = values(arguments)
    shapes = numbers(shapes_of(inputs))
    click.get_current_context().with_resource(from_here())
    return [recorded(name, given, shapes) for name in names]


def shapes_of(texts: Sequence[str]) -> list[tuple[str, tuple[int | str, ...]]]:
    """Return names, "" where none is given, and shapes of inputs."""
    found: list[tuple[str, tuple[int | str, ...]]] = []
    for text in texts or ("3x224x224",):
        name, _, shape = text.rpartition("=")
        found.append((name.strip(), tuple(shape_of(shape))))
    return found


def values(texts: Sequence[str]) -> dict[str, object]:
    """Return the arguments that are given as NAME=VALUE."""
    found: dict[str, object] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip().isidentifier():
            raise click.BadParameter(f"`{text}` is not NAME=VALUE", param_hint="--arg")
        found[name.strip()] = literal(value.strip())
    return found


def literal(text: str) -> object:
    """Read a value as Python has it; what is none is a string."""
    try:
        value: object = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return {"true": True, "false": False, "none": None}.get(text, text)
    return value


def numbers(
    shapes: Sequence[tuple[str, tuple[int | str, ...]]],
) -> list[tuple[str, tuple[int, ...]]]:
    """Return shapes of numbers alone.

    Raises:
        click.BadParameter: there are free sizes among them.
    """
    found: list[tuple[str, tuple[int, ...]]] = []
    for name, shape in shapes:
        sizes = tuple(size for size in shape if isinstance(size, int))
        if len(sizes) < len(shape):
            text = "x".join(map(str, shape))
            reason = f"`{text}` has free sizes; a module is run on sizes that are numbers"
            raise click.BadParameter(reason, param_hint="--input")
        found.append((name, sizes))
    return found


SIZES = (224, 192)  # that free ones have where a module is run, in turns


def given_sizes(shapes: Sequence[tuple[int | str, ...]]) -> list[tuple[int, ...]]:
    """Return shapes with a number for each free size."""
    names = dict.fromkeys(size for shape in shapes for size in shape if isinstance(size, str))
    sizes = {name: SIZES[number % len(SIZES)] for number, name in enumerate(names)}
    return [
        tuple(sizes[size] if isinstance(size, str) else size for size in shape) for shape in shapes
    ]
