"""The part of the syntax tree that has values: expressions, and the names of stages."""

from __future__ import annotations

from archdsl.diagnostics import Span
from archdsl.syntax.node import Node


class Literal(Node):
    """A number, a string without holes, `true`, `false` or `none`."""

    value: int | float | bool | str | None
    span: Span


class Text(Node):
    """A string with holes: `"layer{i + 1}"`."""

    parts: tuple[str | Expression, ...]
    span: Span
    depth: int


class Name(Node):
    """A parameter, a `let`, a loop's index, a function, a block or a layer."""

    name: str
    span: Span


class Flow(Node):
    """`in`: what flows at that point, in an expression or as a stage."""

    span: Span


class Listing(Node):
    """A list or a tuple."""

    items: tuple[Expression, ...]
    span: Span
    depth: int


class Comprehension(Node):
    """`[2 * w for w in widths if w > 1]`."""

    item: Expression
    targets: tuple[Name, ...]
    source: Expression
    condition: Expression | None
    span: Span
    depth: int


class Indexed(Node):
    """`[i - j for i, j]`: the numbers of a tensor, by their place along each of its axes."""

    item: Expression
    targets: tuple[Name, ...]
    span: Span
    depth: int


class Unary(Node):
    """`-x`, `+x` or `not x`."""

    operator: str
    operand: Expression
    span: Span
    depth: int


class Chain(Node):
    """Operators of one precedence, from left to right: `a - b + c`."""

    first: Expression
    rest: tuple[tuple[str, Expression], ...]
    span: Span
    depth: int


class Logical(Node):
    """`a and b and c`, or the same with `or`."""

    operator: str
    operands: tuple[Expression, ...]
    span: Span
    depth: int


class Comparison(Node):
    """`a < b <= c`, with Python's meaning."""

    first: Expression
    rest: tuple[tuple[str, Expression], ...]
    span: Span
    depth: int


class Conditional(Node):
    """`a if c else b`."""

    then: Expression
    condition: Expression
    otherwise: Expression
    span: Span
    depth: int


class Attribute(Node):
    """`in.channels`."""

    value: Expression
    name: str
    span: Span
    depth: int


class Index(Node):
    """`depths[i]`."""

    value: Expression
    item: Expression
    span: Span
    depth: int


class Slicing(Node):
    """`depths[start:stop:step]`."""

    value: Expression
    start: Expression | None
    stop: Expression | None
    step: Expression | None
    span: Span
    depth: int


class ShapeOf(Node):
    """`shape(label)`: the shape of a named tensor."""

    reference: Reference
    span: Span


class TensorOf(Node):
    """`from embed.weight`: a tensor that an argument of a layer takes, and no value."""

    reference: Reference
    span: Span


class Argument(Node):
    """A value handed over by position, or by name."""

    name: str
    value: Expression
    span: Span


class Call(Node):
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
    | Indexed
    | Unary
    | Chain
    | Logical
    | Comparison
    | Conditional
    | Attribute
    | Index
    | Slicing
    | ShapeOf
    | TensorOf
    | Call
)

# --- names of stages ------------------------------------------------------------------------


class Path(Node):
    """A label, or a reference to one: names, integers and strings with holes, joined by dots."""

    parts: tuple[str | Text, ...]
    span: Span


class Reference(Node):
    """What `from` goes on with: a path or the flow (`path` is None), and perhaps an index."""

    path: Path | None
    item: Expression | None
    span: Span
