"""The syntax tree: what a spec says, with the place of everything."""

from __future__ import annotations

from archdsl.diagnostics import Source, Span
from archdsl.syntax.expressions import (
    Argument,
    Attribute,
    Call,
    Chain,
    Comparison,
    Comprehension,
    Conditional,
    Expression,
    Flow,
    Index,
    Indexed,
    Listing,
    Literal,
    Logical,
    Name,
    Path,
    Reference,
    ShapeOf,
    Slicing,
    TensorOf,
    Text,
    Unary,
)
from archdsl.syntax.node import Node

# Expressions are part of the tree as well: whoever reads it finds them here.
__all__ = [
    "Argument",
    "Attribute",
    "Call",
    "Chain",
    "Comparison",
    "Comprehension",
    "Conditional",
    "Expression",
    "Flow",
    "Index",
    "Indexed",
    "Listing",
    "Literal",
    "Logical",
    "Name",
    "Path",
    "Reference",
    "ShapeOf",
    "Slicing",
    "TensorOf",
    "Text",
    "Unary",
]

# --- statements -----------------------------------------------------------------------------


class Description(Node):
    """The text with which a network or block begins."""

    text: str
    span: Span


class Group(Node):
    """`{ ... }` as a stage."""

    body: Body
    span: Span


class From(Node):
    """`from a, b`."""

    references: tuple[Reference, ...]
    span: Span


class Reuse(Node):
    """`reuse label`."""

    path: Path
    span: Span


class Inline(Node):
    """`inline Block(args)`."""

    call: Call
    span: Span


class Merge(Node):
    """`concat { ... }`, `add`, `mul` or `sub`; `word` says which."""

    word: str
    arguments: tuple[Argument, ...]
    body: Body
    name: Path | None
    span: Span  # of the word


class Residual(Node):
    """`residual when condition { ... } shortcut { ... }`."""

    condition: Expression | None
    body: Body
    shortcut: Body | None
    name: Path | None
    span: Span  # of the word


Operation = Call | Group | Flow | From | Reuse | Inline | Merge | Residual


class Stage(Node):
    """One step of a pipeline, and its label."""

    label: Path | None
    operation: Operation
    span: Span


class Let(Node):
    """`let a, b = row`."""

    targets: tuple[Name, ...]
    value: Expression
    span: Span


class For(Node):
    """`for n, w in pairs { ... }`."""

    targets: tuple[Name, ...]
    source: Expression
    body: Body
    span: Span  # of the word


class Repeat(Node):
    """`repeat n { ... }`."""

    turns: Expression
    body: Body
    span: Span  # of the word


class If(Node):
    """`if a { ... } else if b { ... } else { ... }`: conditions with their bodies."""

    cases: tuple[tuple[Expression, Body], ...]
    otherwise: Body | None
    span: Span  # of the word


class Branch(Node):
    """`branch { ... }`, inside a merge."""

    name: Path | None
    body: Body
    span: Span  # of the word


class Input(Node):
    """`input image: [3, 224, 224]`; `input low` and `input maps[]` in blocks."""

    name: str
    shape: Expression | None
    many: bool
    span: Span


class Output(Node):
    """`output aux when training { ... }`."""

    name: Path
    training: bool
    body: Body | None
    span: Span


class OwnTensor(Node):
    """`parameter gamma: shape = value`, or `buffer`, or `constant`."""

    word: str
    name: Path
    shape: Expression
    value: Expression | None
    span: Span


class Registered(Node):
    """`register reduction, norm`: these labels have their places in the `state_dict` here."""

    paths: tuple[Path, ...]
    span: Span


Statement = (
    Description | Stage | Let | For | Repeat | If | Branch | Input | Output | OwnTensor | Registered
)


class Body(Node):
    """Statements in braces."""

    statements: tuple[Statement, ...]
    description: str
    span: Span


# --- items of a file ------------------------------------------------------------------------


class Parameter(Node):
    """A parameter of a network, block or function."""

    name: str
    type: str
    default: Expression | None
    span: Span


class Network(Node):
    """`network N(parameters) { ... }`."""

    name: str
    parameters: tuple[Parameter, ...]
    body: Body
    span: Span  # of the name


class NetworkAlias(Node):
    """`network resnet50 = ResNet(Bottleneck, [3, 4, 6, 3])`."""

    name: str
    call: Call
    description: str
    span: Span  # of the name


class Block(Node):
    """`block B(parameters) { ... }`."""

    name: str
    parameters: tuple[Parameter, ...]
    body: Body
    span: Span  # of the name


class BlockAlias(Node):
    """`block Norm = BatchNorm2d(eps = 0.001)`, `block F(out, stride) = Conv2d(out, 3, stride)`.

    `parameters` is None without brackets: then what the call leaves out stays open.
    """

    name: str
    parameters: tuple[Parameter, ...] | None
    call: Call
    span: Span  # of the name


class Function(Node):
    """`fn divisible(v, d = 8) = ...`."""

    name: str
    parameters: tuple[Parameter, ...]
    lets: tuple[Let, ...]
    value: Expression
    span: Span  # of the name


class Imported(Node):
    """A name of an import, and what it is called here."""

    name: str
    alias: str
    span: Span


class Import(Node):
    """`import A, B from "file.arch"`."""

    names: tuple[Imported, ...]
    path: str
    span: Span  # of the path


Item = Network | NetworkAlias | Block | BlockAlias | Let | Function | Import


class Program(Node):
    """A file."""

    items: tuple[Item, ...]
    source: Source
