"""The syntax tree: what a spec says, with the place of everything.

Named tuples rather than frozen dataclasses: they are as immutable, and 50 of them are defined in
a quarter of the time, which every start of the program pays.
"""

from __future__ import annotations

from typing import NamedTuple

from archdsl.diagnostics import Span

# --- expressions ----------------------------------------------------------------------------


class Literal(NamedTuple):
    """A number, a string without holes, `true`, `false` or `none`."""

    value: int | float | bool | str | None
    span: Span


class Text(NamedTuple):
    """A string with holes: `"layer{i + 1}"`."""

    parts: tuple[str | Expression, ...]
    span: Span
    depth: int


class Name(NamedTuple):
    """A parameter, a `let`, a loop's index, a function, a block or a layer."""

    name: str
    span: Span


class Flow(NamedTuple):
    """`in`: what flows at that point, in an expression or as a stage."""

    span: Span


class Listing(NamedTuple):
    """A list or a tuple."""

    items: tuple[Expression, ...]
    span: Span
    depth: int


class Comprehension(NamedTuple):
    """`[2 * w for w in widths if w > 1]`."""

    item: Expression
    targets: tuple[Name, ...]
    source: Expression
    condition: Expression | None
    span: Span
    depth: int


class Unary(NamedTuple):
    """`-x`, `+x` or `not x`."""

    operator: str
    operand: Expression
    span: Span
    depth: int


class Chain(NamedTuple):
    """Operators of one precedence, from left to right: `a - b + c`."""

    first: Expression
    rest: tuple[tuple[str, Expression], ...]
    span: Span
    depth: int


class Logical(NamedTuple):
    """`a and b and c`, or the same with `or`."""

    operator: str
    operands: tuple[Expression, ...]
    span: Span
    depth: int


class Comparison(NamedTuple):
    """`a < b <= c`, with Python's meaning."""

    first: Expression
    rest: tuple[tuple[str, Expression], ...]
    span: Span
    depth: int


class Conditional(NamedTuple):
    """`a if c else b`."""

    then: Expression
    condition: Expression
    otherwise: Expression
    span: Span
    depth: int


class Attribute(NamedTuple):
    """`in.channels`."""

    value: Expression
    name: str
    span: Span
    depth: int


class Index(NamedTuple):
    """`depths[i]`."""

    value: Expression
    item: Expression
    span: Span
    depth: int


class Slicing(NamedTuple):
    """`depths[start:stop:step]`."""

    value: Expression
    start: Expression | None
    stop: Expression | None
    step: Expression | None
    span: Span
    depth: int


class ShapeOf(NamedTuple):
    """`shape(label)`: the shape of a named tensor."""

    reference: Reference
    span: Span


class Argument(NamedTuple):
    """A value handed over by position, or by name."""

    name: str
    value: Expression
    span: Span


class Call(NamedTuple):
    """The use of a function, block or layer; as a stage or as a value."""

    name: Name
    arguments: tuple[Argument, ...]
    span: Span
    depth: int = 1


Expression = (
    Literal
    | Text
    | Name
    | Flow
    | Listing
    | Comprehension
    | Unary
    | Chain
    | Logical
    | Comparison
    | Conditional
    | Attribute
    | Index
    | Slicing
    | ShapeOf
    | Call
)

# --- names of stages ------------------------------------------------------------------------


class Path(NamedTuple):
    """A label, or a reference to one: names, integers and strings with holes, joined by dots."""

    parts: tuple[str | Text, ...]
    span: Span


class Reference(NamedTuple):
    """What `from` goes on with: a path or the flow (`path` is None), and perhaps an index."""

    path: Path | None
    item: Expression | None
    span: Span


# --- statements -----------------------------------------------------------------------------


class Description(NamedTuple):
    """The text with which a network or block begins."""

    text: str
    span: Span


class Group(NamedTuple):
    """`{ ... }` as a stage."""

    body: Body
    span: Span


class From(NamedTuple):
    """`from a, b`."""

    references: tuple[Reference, ...]
    span: Span


class Reuse(NamedTuple):
    """`reuse label`."""

    path: Path
    span: Span


class Inline(NamedTuple):
    """`inline Block(args)`."""

    call: Call
    span: Span


class Merge(NamedTuple):
    """`concat { ... }`, `add`, `mul` or `sub`; `word` says which."""

    word: str
    arguments: tuple[Argument, ...]
    body: Body
    name: Path | None
    span: Span  # of the word


class Residual(NamedTuple):
    """`residual when condition { ... } shortcut { ... }`."""

    condition: Expression | None
    body: Body
    shortcut: Body | None
    name: Path | None
    span: Span  # of the word


Operation = Call | Group | Flow | From | Reuse | Inline | Merge | Residual


class Stage(NamedTuple):
    """One step of a pipeline, and its label."""

    label: Path | None
    operation: Operation
    span: Span


class Let(NamedTuple):
    """`let a, b = row`."""

    targets: tuple[Name, ...]
    value: Expression
    span: Span


class For(NamedTuple):
    """`for n, w in pairs { ... }`."""

    targets: tuple[Name, ...]
    source: Expression
    body: Body
    span: Span  # of the word


class Repeat(NamedTuple):
    """`repeat n { ... }`."""

    turns: Expression
    body: Body
    span: Span  # of the word


class If(NamedTuple):
    """`if a { ... } else if b { ... } else { ... }`: conditions with their bodies."""

    cases: tuple[tuple[Expression, Body], ...]
    otherwise: Body | None
    span: Span  # of the word


class Branch(NamedTuple):
    """`branch { ... }`, inside a merge."""

    name: Path | None
    body: Body
    span: Span  # of the word


class Input(NamedTuple):
    """`input image: [3, 224, 224]`; `input low` and `input maps[]` in blocks."""

    name: str
    shape: Expression | None
    many: bool
    span: Span


class Output(NamedTuple):
    """`output aux when training { ... }`."""

    name: Path
    training: bool
    body: Body | None
    span: Span


class OwnTensor(NamedTuple):
    """`parameter gamma: shape = value`, or `buffer`."""

    word: str
    name: Path
    shape: Expression
    value: Expression | None
    span: Span


Statement = Description | Stage | Let | For | Repeat | If | Branch | Input | Output | OwnTensor


class Body(NamedTuple):
    """Statements in braces."""

    statements: tuple[Statement, ...]
    description: str
    span: Span


# --- items of a file ------------------------------------------------------------------------


class Parameter(NamedTuple):
    """A parameter of a network, block or function."""

    name: str
    type: str
    default: Expression | None
    span: Span


class Network(NamedTuple):
    """`network N(parameters) { ... }`."""

    name: str
    parameters: tuple[Parameter, ...]
    body: Body
    span: Span  # of the name


class NetworkAlias(NamedTuple):
    """`network resnet50 = ResNet(Bottleneck, [3, 4, 6, 3])`."""

    name: str
    call: Call
    description: str
    span: Span  # of the name


class Block(NamedTuple):
    """`block B(parameters) { ... }`."""

    name: str
    parameters: tuple[Parameter, ...]
    body: Body
    span: Span  # of the name


class BlockAlias(NamedTuple):
    """`block Norm = BatchNorm2d(eps = 0.001)`."""

    name: str
    call: Call
    span: Span  # of the name


class Function(NamedTuple):
    """`fn divisible(v, d = 8) = ...`."""

    name: str
    parameters: tuple[Parameter, ...]
    lets: tuple[Let, ...]
    value: Expression
    span: Span  # of the name


class Imported(NamedTuple):
    """A name of an import, and what it is called here."""

    name: str
    alias: str
    span: Span


class Import(NamedTuple):
    """`import A, B from "file.arch"`."""

    names: tuple[Imported, ...]
    path: str
    span: Span  # of the path


Item = Network | NetworkAlias | Block | BlockAlias | Let | Function | Import


class Program(NamedTuple):
    """A file."""

    items: tuple[Item, ...]
    source_path: str
