"""The text of a spec as a tree, before it is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from archdsl.importing.bodies import Body, Node
from archdsl.importing.record import Value


class Written(str):
    """An expression of the language as text, in the place of a value.

    Attributes:
        value: that it has, where it is always the same.
    """

    value: Any = None


@dataclass(eq=False)
class Definition:
    """A block: its parameters, with their defaults where they have any, and its statements."""

    name: str
    parameters: dict[str, Any]
    statements: list[Statement]


class Tie(Written):
    """The name of another layer's parameter, in the place of one of a layer."""


REQUIRED = object()  # in the place of a default


@dataclass(eq=False)
class Statement:
    """A statement of a body.

    Attributes:
        label: as it is written; "" if it has none.
        named: whether something refers to it, so that it needs a name.
        path: labels by which the module is called in its scope; "" for what has no name there.
    """

    label: str = ""
    named: bool = False
    path: str = ""


@dataclass(eq=False)
class Stage(Statement):
    """A use of a layer or block with arguments by name."""

    layer: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)
    node: Node | None = None


@dataclass(eq=False)
class Part(Statement):
    """A body in its own scope: a group, or the use of a block.

    Attributes:
        bound: whether a name in it leads out of it, so that it can be no block.
    """

    statements: list[Statement] = field(default_factory=list)
    body: Body | None = None
    takes: tuple[Value, ...] = ()  # what comes in
    block: str = ""  # the block that it is a use of, with the arguments for it
    arguments: dict[str, Any] = field(default_factory=dict)
    open: int = 0  # how many of them are given by position
    bound: bool = False


@dataclass(eq=False)
class Merge(Statement):
    """Branches that are joined."""

    word: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)
    branches: list[list[Statement]] = field(default_factory=list)
    node: Node | None = None


@dataclass(eq=False)
class Residual(Statement):
    """A body whose result is added to what came in, or to a shortcut of it."""

    statements: list[Statement] = field(default_factory=list)
    shortcut: list[Statement] = field(default_factory=list)
    condition: str = ""
    node: Node | None = None


@dataclass(eq=False)
class Reference:
    """A name for a value: of the statement that made it, and of an output of that."""

    to: Statement
    output: str = ""


@dataclass(eq=False, repr=False)
class Weight:
    """A tensor in the place of a parameter of a layer."""

    of: Reference

    def __repr__(self) -> str:
        to = self.of.to
        return f"from {to.label or to.path}{self.of.output and '.'}{self.of.output}"


@dataclass(eq=False)
class From(Statement):
    """Goes on from one value or several that were made before."""

    references: list[Reference] = field(default_factory=list)


@dataclass(eq=False)
class Reuse(Statement):
    """Applies a stage again, which has a name there."""

    name: str = ""


@dataclass(eq=False)
class Flowing(Statement):
    """Names what flows: `name: in`."""


@dataclass(eq=False)
class Input(Statement):
    """An input of a block."""

    name: str = ""


@dataclass(eq=False)
class Own(Statement):
    """A `parameter`, `buffer` or `constant` of the network's own."""

    word: str = "parameter"
    differs: bool = False  # whether its first values are others than the module's
    infinite: bool = False  # whether it has infinity in the module, and the largest number here
    shape: tuple[Any, ...] = ()
    batched: bool = False
    value: str = ""


@dataclass(eq=False)
class Output(Statement):
    """Names an output; one with statements is computed on the side."""

    name: str = ""
    statements: list[Statement] | None = None
    training: bool = False


@dataclass(eq=False)
class Loop(Statement):
    """Statements that come several times: `repeat`, or `for` over values."""

    head: str = ""
    statements: list[Statement] = field(default_factory=list)


@dataclass(eq=False)
class If(Statement):
    """Statements that are there under a condition."""

    condition: str = ""
    statements: list[Statement] = field(default_factory=list)


@dataclass(eq=False)
class Register(Statement):
    """Keeps places for stages that come later, in the order in which a module holds them."""

    labels: list[str] = field(default_factory=list)


@dataclass(eq=False)
class Let(Statement):
    """Gives a value a name."""

    name: str = ""
    expression: str = ""


def bodies_of(statement: Statement) -> list[list[Statement]]:
    """Return the lists of statements in one, in the order in which they are written."""
    if isinstance(statement, Part) and statement.block:
        return []  # they stand in the block
    if isinstance(statement, Merge):
        return statement.branches
    if isinstance(statement, Residual):
        return [statement.statements, statement.shortcut]
    if isinstance(statement, Part | Loop | If):
        return [statement.statements]
    if isinstance(statement, Output):
        return [statement.statements or []]
    return []


def everything(statements: list[Statement]) -> Iterator[Statement]:
    """Yield statements with all that is in them, in order."""
    for one in statements:
        yield one
        for inner in bodies_of(one):
            yield from everything(inner)


def taking_positions(statements: list[Statement]) -> Iterator[Statement]:
    """Yield what takes a position in a scope: layers, blocks and groups."""
    for one in in_scope(statements):
        if isinstance(one, Stage | Part):
            yield one


def in_scope(statements: list[Statement]) -> Iterator[Statement]:
    """Yield what takes a name or a position in the scope that statements stand in."""
    for one in statements:
        yield one
        if not isinstance(one, Part):
            for inner in bodies_of(one):
                yield from in_scope(inner)
