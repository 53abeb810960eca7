"""Builds the syntax tree: one method for each rule of the grammar, called as the rule is found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isinf
from typing import Any, cast

from archdsl.diagnostics import ArchError, Diagnostic, Source, Span
from archdsl.limits import LARGEST, Limits
from archdsl.syntax import ast
from archdsl.syntax.errors import BadNumber, BadPath, BadString, Misplaced

CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "none": None}
# From loosest to tightest; `not` stands between `and` and the comparisons, `**` above signs.
PRECEDENCE = {"OR": 0, "AND": 1, "COMPARISON": 3, "IN": 3, "SIGN": 4, "TIMES": 5, "POWER": 7}
NOT, SIGN = 2, 6
INTEGER_DIGITS = len(str(LARGEST))
ESCAPES = {"n": "\n", "t": "\t", '"': '"', "\\": "\\"}

Children = list[Any]


class TreeBuilder:
    """Turns tokens and parts into nodes. Children are in the order of the grammar's rules.

    `parse_hole` parses the expression between two places of the source. What is wrong is kept in
    `errors`, so that parsing goes on.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.source = Source("", "")
        self.errors: list[Diagnostic] = []
        self.described: dict[Span, Span] = {}  # bodies that begin with a description
        self.parse_hole: Callable[[int, int], ast.Expression | None]

    # --- items ------------------------------------------------------------------------------

    def file(self, items: Children) -> ast.Program:
        for span in self.described.values():  # of groups, loops and the like: the rest was taken
            self.misplaced_description(span)
        return ast.Program(tuple(items), self.source)

    def network(self, children: Children) -> ast.Network:
        _, name, *parameters, body = children
        self.described.pop(body.span, None)
        return ast.Network(self.name_of(name), self.only(parameters), body, self.span(name))

    def network_alias(self, children: Children) -> ast.NetworkAlias:
        _, name, call, *text = children
        description = self.plain(text[0]) if text else ""
        return ast.NetworkAlias(self.name_of(name), call, description, self.span(name))

    def block(self, children: Children) -> ast.Block:
        _, name, *parameters, body = children
        self.described.pop(body.span, None)
        return ast.Block(self.name_of(name), self.only(parameters), body, self.span(name))

    def block_alias(self, children: Children) -> ast.BlockAlias:
        _, name, *parameters, call = children
        own = parameters[0] if parameters else None
        return ast.BlockAlias(self.name_of(name), own, call, self.span(name))

    def function(self, children: Children) -> ast.Function:
        _, name, parameters, *lets, value = children
        return ast.Function(self.name_of(name), parameters, tuple(lets), value, self.span(name))

    def imports(self, children: Children) -> ast.Import:
        _, *names, _, path = children
        return ast.Import(tuple(names), self.plain(path), self.span(path))

    def imported(self, children: Children) -> ast.Imported:
        name, alias = children[0], children[-1]  # without `as` the same
        return ast.Imported(self.name_of(name), self.name_of(alias), self.span(name, alias))

    def only(self, parameters: Children) -> tuple[ast.Parameter, ...]:
        return parameters[0] if parameters else ()

    def parameters(self, children: Children) -> tuple[ast.Parameter, ...]:
        if len(children) > self.limits.parameters:
            span = children[self.limits.parameters].span
            self.too_many(
                "parameters", f"there are {len(children)} parameters", span, len(children)
            )
        return tuple(children)

    def parameter(self, children: Children) -> ast.Parameter:
        name, *rest = children
        kind = str(rest.pop(0)) if rest and hasattr(rest[0], "type") else ""
        default = rest[0] if rest else None
        return ast.Parameter(self.name_of(name), kind, default, self.span(name))

    # --- statements -------------------------------------------------------------------------

    def body(self, children: Children) -> ast.Body:
        *parts, closing = children
        statements: list[ast.Statement] = []
        description = ""
        for number, part in enumerate(parts):
            if isinstance(part, ast.Description):
                if number == 0:
                    description = part.text
                    self.described[self.span(closing)] = part.span
                else:
                    self.misplaced_description(part.span)
            elif isinstance(part, list):
                statements += part
            else:
                statements.append(part)
        return ast.Body(tuple(statements), description, self.span(closing))

    def description(self, children: Children) -> ast.Description:
        return ast.Description(self.plain(children[0]), self.span(children[0]))

    def chain(self, children: Children) -> list[ast.Stage]:
        return children

    def stage(self, children: Children) -> ast.Stage:
        operation = children[-1]
        label = children[0] if len(children) == 2 else None
        # a label that stands beside a merge or group is shown, not the whole of what it holds
        span = self.span(label or operation, operation)
        return ast.Stage(label, operation, span)

    def call(self, children: Children) -> ast.Call:
        name, *rest = children
        arguments, end = rest[0] if rest else ((), name)
        return ast.Call(
            ast.Name(self.name_of(name), self.span(name)), arguments, self.span(name, end)
        )

    def group(self, children: Children) -> ast.Group:
        return ast.Group(children[0], children[0].span)

    def flow(self, children: Children) -> ast.Flow:
        return ast.Flow(self.span(children[0]))

    def from_(self, children: Children) -> ast.From:
        word, *references = children
        return ast.From(tuple(references), self.span(word, references[-1]))

    def reuse(self, children: Children) -> ast.Reuse:
        return ast.Reuse(children[1], self.span(children[0], children[1]))

    def inline(self, children: Children) -> ast.Inline:
        return ast.Inline(children[1], self.span(children[0], children[1]))

    def merge(self, children: Children) -> ast.Merge:
        word, *rest = children
        # arguments are a plain tuple; so are nodes, but those have a place
        arguments = (
            rest.pop(0)[0] if isinstance(rest[0], tuple) and not hasattr(rest[0], "span") else ()
        )
        name = rest[-1] if len(rest) > 1 else None
        return ast.Merge(str(word), arguments, rest[0], name, self.span(word))

    def residual(self, children: Children) -> ast.Residual:
        word, *rest = children
        # each part is known by the word that stands before it
        parts = {
            getattr(before, "type", ""): part
            for before, part in zip([None, *rest], rest, strict=False)
            if not hasattr(part, "type")
        }
        bodies = [part for part in rest if isinstance(part, ast.Body)]
        shortcut = parts.get("SHORTCUT")
        return ast.Residual(
            parts.get("WHEN"), bodies[0], shortcut, parts.get("AS"), self.span(word)
        )

    def branch(self, children: Children) -> ast.Branch:
        word, *name, body = children
        return ast.Branch(name[0] if name else None, body, self.span(word))

    def let(self, children: Children) -> ast.Let:
        word, targets, value, *more = children
        if more:
            span = self.span(value, more[-1])
            value = ast.Listing((value, *more), span, self.deeper(span, (value, *more)))
        return ast.Let(targets, value, self.span(word, value))

    def for_loop(self, children: Children) -> ast.For:
        word, targets, _, source, body = children
        return ast.For(targets, source, body, self.span(word))

    def repeat(self, children: Children) -> ast.Repeat:
        word, count, body = children
        return ast.Repeat(count, body, self.span(word))

    def if_else(self, children: Children) -> ast.If:
        word, condition, body, *rest = children
        otherwise = rest[1] if rest else None
        cases: tuple[tuple[ast.Expression, ast.Body], ...] = ((condition, body),)
        if isinstance(otherwise, ast.If):  # flat, so that a long chain is no deep nesting
            return ast.If(cases + otherwise.cases, otherwise.otherwise, self.span(word))
        return ast.If(cases, otherwise, self.span(word))

    def input(self, children: Children) -> ast.Input:
        word, name, *rest = children
        many = len(rest) == 2
        shape = rest[0] if len(rest) == 1 else None
        return ast.Input(
            self.name_of(name), shape, many, self.span(word, rest[-1] if rest else name)
        )

    def output(self, children: Children) -> ast.Output:
        word, name, *rest = children
        body = rest.pop() if rest and isinstance(rest[-1], ast.Body) else None
        if rest and rest[1] != "training":
            self.misplaced(
                f"`when {rest[1]}`",
                "an output may be given `when training` only",
                self.span(rest[1]),
            )
        return ast.Output(name, bool(rest), body, self.span(word, name))

    def own_tensor(self, children: Children) -> ast.OwnTensor:
        word, name, shape, *value = children
        span = self.span(word, value[0] if value else shape)
        return ast.OwnTensor(str(word), name, shape, value[0] if value else None, span)

    def registered(self, children: Children) -> ast.Registered:
        word, *paths = children
        return ast.Registered(tuple(paths), self.span(word, paths[-1]))

    # --- names ------------------------------------------------------------------------------

    def targets(self, children: Children) -> tuple[ast.Name, ...]:
        return tuple(self.name([child]) for child in children)

    def path(self, children: Children) -> ast.Path:
        parts: list[str | ast.Text] = []
        for token in children:
            if token.type == "STRING":
                text = self.string([token])
                parts.append(str(text.value) if isinstance(text, ast.Literal) else text)
            elif token.type == "FLOAT":  # `from layer3.0.1`: no number lurks in it
                parts += token.split(".")
                if not all(part.isdigit() for part in token.split(".")):
                    self.errors.append(BadPath(self.span(token), part=str(token)))
            else:
                parts.append(self.name_of(token))
        return ast.Path(tuple(parts), self.span(children[0], children[-1]))

    def reference(self, children: Children) -> ast.Reference:
        first = children[0]
        path = first if isinstance(first, ast.Path) else None
        index = children[1] if len(children) > 1 else None
        return ast.Reference(path, index, self.span(first, children[-1]))

    # --- arguments --------------------------------------------------------------------------

    def arguments(self, children: Children) -> tuple[tuple[ast.Argument, ...], Any]:
        *parts, closing = children
        if len(parts) > self.limits.arguments:
            span = self.span(parts[self.limits.arguments])
            self.too_many("arguments", f"there are {len(parts)} arguments", span, len(parts))
        arguments = tuple(
            part if isinstance(part, ast.Argument) else ast.Argument("", part, part.span)
            for part in parts
        )
        return arguments, closing

    def keyword(self, children: Children) -> ast.Argument:
        name, value = children
        return ast.Argument(self.name_of(name), value, self.span(name, value))

    def tensor_of(self, children: Children) -> ast.TensorOf:
        return ast.TensorOf(children[1], self.span(children[0], children[1]))

    # --- expressions ------------------------------------------------------------------------

    def conditional(self, children: Children) -> ast.Conditional:
        then, _, condition, _, otherwise = children
        span = self.span(then, otherwise)
        depth = self.deeper(span, (then, condition, otherwise))
        return ast.Conditional(then, condition, otherwise, span, depth)

    def operators(self, children: Children) -> ast.Expression:
        """Put operators and operands together by precedence climbing."""
        flat = children[::-1]  # the first is taken from the end, which moves no other
        if len(flat) > 2 * self.limits.nesting + 1:
            asks = f"{len(flat) // 2} operators stand in a row"
            self.too_many("nesting", asks, self.span(flat[-1], flat[0]), len(flat) // 2)
        return self.climb(flat, 0)

    def not_in(self, children: Children) -> Any:
        return children[1].of("IN", "not in")

    def climb(self, flat: list[Any], least: int) -> ast.Expression:
        """Take an operand with all operators after it that bind at least as tightly as `least`."""
        left = self.operand(flat)
        while flat and (level := PRECEDENCE[flat[-1].type]) >= least:
            left = self.run(left, flat, level)
        return left

    def operand(self, flat: list[Any]) -> ast.Expression:
        head = flat.pop()
        if getattr(head, "type", "") not in ("NOT", "SIGN"):
            return cast("ast.Expression", head)
        inner = self.climb(flat, NOT + 1 if head.type == "NOT" else SIGN)
        span = self.span(head, inner)
        return ast.Unary(str(head), inner, span, self.deeper(span, (inner,)))

    def run(self, first: ast.Expression, flat: list[Any], level: int) -> ast.Expression:
        """Take all operators of one level that follow."""
        rest: list[tuple[str, ast.Expression]] = []
        while flat and PRECEDENCE[flat[-1].type] == level:
            operator = flat.pop()
            # 2 ** 3 ** 2 is 2 ** (3 ** 2), and 2 ** -1 takes the sign with it
            operand = self.climb(flat, SIGN if operator.type == "POWER" else level + 1)
            rest.append((str(operator), operand))
        span = self.span(first, rest[-1][1])
        operands = (first, *(operand for _, operand in rest))
        depth = self.deeper(span, operands)
        if level <= PRECEDENCE["AND"]:
            return ast.Logical(rest[0][0], operands, span, depth)
        kind = ast.Comparison if level == PRECEDENCE["COMPARISON"] else ast.Chain
        return kind(first, tuple(rest), span, depth)

    def name(self, children: Children) -> ast.Name:
        return ast.Name(self.name_of(children[0]), self.span(children[0]))

    def number(self, children: Children) -> ast.Literal:
        token = children[0]
        digits = token.lstrip("0") or "0"
        value: int | float
        if token.type == "FLOAT":
            value = float(token)
        else:
            # a longer one is too large, and takes Python quadratic time
            value = int(digits) if len(digits) <= INTEGER_DIGITS else LARGEST + 1
        if isinf(value) or (token.type == "INTEGER" and value > LARGEST):
            self.errors.append(BadNumber(self.span(token)))
            value = 1  # which is wrong nowhere
        return ast.Literal(value, self.span(token))

    def word(self, children: Children) -> ast.Literal:
        return ast.Literal(CONSTANTS[children[0]], self.span(children[0]))

    def parenthesis(self, children: Children) -> ast.Expression:
        opening, *items, closing = children
        if len(items) == 1:
            return cast("ast.Expression", items[0])
        # a comma at the end is among the items, to tell `(1,)` from `(1)`
        values = [item for item in items if not hasattr(item, "type")]
        span = self.span(opening, closing)
        return ast.Listing(tuple(values), span, self.deeper(span, values))

    def listing(self, children: Children) -> ast.Listing:
        opening, *items, closing = children
        span = self.span(opening, closing)
        return ast.Listing(tuple(items), span, self.deeper(span, items))

    def comprehension(self, children: Children) -> ast.Comprehension:
        opening, item, _, targets, _, source, *condition, closing = children
        span = self.span(opening, closing)
        test = condition[1] if condition else None
        depth = self.deeper(span, (item, source, test))
        return ast.Comprehension(item, targets, source, test, span, depth)

    def indexed(self, children: Children) -> ast.Indexed:
        opening, item, _, targets, closing = children
        span = self.span(opening, closing)
        return ast.Indexed(item, targets, span, self.deeper(span, (item,)))

    def value_call(self, children: Children) -> ast.Call:
        name, (arguments, end) = children
        span = self.span(name, end)
        depth = self.deeper(span, [argument.value for argument in arguments])
        return ast.Call(ast.Name(self.name_of(name), self.span(name)), arguments, span, depth)

    def shape_of(self, children: Children) -> ast.ShapeOf:
        return ast.ShapeOf(children[1], self.span(children[0], children[2]))

    def attribute(self, children: Children) -> ast.Attribute:
        value, name = children
        span = self.span(value, name)
        return ast.Attribute(value, str(name), span, self.deeper(span, (value,)))

    def index(self, children: Children) -> ast.Index:
        value, index, closing = children
        span = self.span(value, closing)
        return ast.Index(value, index, span, self.deeper(span, (value, index)))

    def hole(self, children: Children) -> ast.Expression:
        return cast("ast.Expression", children[0])

    def slicing(self, children: Children) -> ast.Slicing:
        value, *rest, closing = children
        bounds: list[ast.Expression | None] = [None, None, None]
        at = 0
        for part in rest:
            if getattr(part, "type", "") == "COLON":
                at += 1
            else:
                bounds[at] = part
        span = self.span(value, closing)
        depth = self.deeper(span, (value, *bounds))
        return ast.Slicing(value, bounds[0], bounds[1], bounds[2], span, depth)

    # --- strings ----------------------------------------------------------------------------

    def string(self, children: Children) -> ast.Literal | ast.Text:
        """Split a string into text and holes."""
        token = children[0]
        span = self.span(token)
        self.check_length(token)
        if "{" not in token and "}" not in token:
            return ast.Literal(self.unescaped(token[1:-1], span), span)
        parts: list[str | ast.Expression] = []
        text, at, end = "", 1, len(token) - 1
        while at < end:
            character = token[at]
            if token[at : at + 2] in ("{{", "}}"):
                text, at = text + character, at + 2
            elif character == "\\":
                text, at = text + token[at : at + 2], at + 2
            elif character == "}":
                return self.bad_string("a `}` stands alone in this string", span)
            elif character == "{":
                # a hole holds no string, so that the first `}` ends it
                close = token.find("}", at, end)
                if close < 0:
                    return self.bad_string("a hole of this string has no closing `}`", span)
                parts.append(self.unescaped(text, span))
                hole = self.parse_hole(token.start_pos + at + 1, token.start_pos + close)
                if hole is None:
                    return ast.Literal("", span)
                parts.append(hole)
                text, at = "", close + 1
            else:
                text, at = text + character, at + 1
        parts.append(self.unescaped(text, span))
        if len(parts) == 1 and isinstance(parts[0], str):
            return ast.Literal(parts[0], span)
        return ast.Text(tuple(parts), span, self.deeper(span, parts))

    def plain(self, token: Any) -> str:
        """Return the text of a string in which braces mean nothing."""
        self.check_length(token)
        return self.unescaped(token[1:-1], self.span(token))

    def check_length(self, token: Any) -> None:
        if len(token) - 2 > self.limits.string:
            asks = f"a string has {len(token) - 2:,} characters"
            self.too_many("string", asks, self.span(token), len(token) - 2)

    def unescaped(self, text: str, span: Span) -> str:
        if "\\" not in text:
            return str(text)
        pieces = text.split("\\")
        done, at = pieces[0], 1
        while at < len(pieces):
            piece = pieces[at]
            if not piece:  # two backslashes in a row
                done += "\\" + (pieces[at + 1] if at + 1 < len(pieces) else "")
                at += 2
            elif piece[0] in ESCAPES:
                done += ESCAPES[piece[0]] + piece[1:]
                at += 1
            else:
                self.bad_string(f"`\\{piece[0]}` means nothing in a string", span)
                return done
        return done

    def bad_string(self, reason: str, span: Span) -> ast.Literal:
        self.errors.append(BadString(span, reason=reason))
        return ast.Literal("", span)

    # --- what many rules need ---------------------------------------------------------------

    def span(self, first: Any, last: Any = None) -> Span:
        """Return the place of a token or node, or from one to another."""
        end = first if last is None else last
        return Span(
            self.source,
            first.start_pos if hasattr(first, "start_pos") else first.span.start,
            end.end_pos if hasattr(end, "end_pos") else end.span.end,
        )

    def deeper(self, span: Span, parts: Sequence[Any]) -> int:
        """Return how deeply an expression is nested; evaluating it takes as many calls."""
        depth = 1 + max((getattr(part, "depth", 0) for part in parts), default=0)
        if depth > self.limits.nesting:
            self.too_many("nesting", f"an expression is nested {depth} deep", span, depth)
        return depth

    def too_many(self, limit: str, asks: str, span: Span, needed: int | None = None) -> None:
        raise ArchError(self.limits.over(limit, asks, span, needed=needed))

    def name_of(self, token: Any) -> str:
        if len(token) > self.limits.name:
            asks = f"a name has {len(token):,} characters"
            self.too_many("name", asks, self.span(token), len(token))
        return str(token)

    def misplaced_description(self, span: Span) -> None:
        self.misplaced(
            "a description",
            "it is the first statement of a network or block; "
            "to name a stage with a string, write `:` after it",
            span,
        )

    def misplaced(self, what: str, hint: str, span: Span) -> None:
        self.errors.append(Misplaced(span, what=what, hint=hint))
