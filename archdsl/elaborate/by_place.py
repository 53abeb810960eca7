"""`[i - j for i, j]`: the numbers of a tensor by their place, as torch works them out at once.

What stands before `for` is written as an expression of torch, in which each index is a row of
numbers along its axis (`torch.arange`), so that a table of a million numbers is a line of source
and takes no time here. What holds no index is a value, and stands in it as a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import reduce
from itertools import product
from math import isfinite, prod
from typing import Any

from archdsl.diagnostics import ArchError
from archdsl.elaborate.bounds import NONE, Bounds, around, bounds_of, bounds_of_call
from archdsl.elaborate.expressions import Names, evaluate
from archdsl.elaborate.frames import Frame
from archdsl.elaborate.values import NoValue, Value, kind_of
from archdsl.layers.base import Dtype
from archdsl.layers.sizes import Formula, Size
from archdsl.layers.tensor import Formulas
from archdsl.layers.traced import Followed, bare, formula_of
from archdsl.limits import LARGEST
from archdsl.records import Record
from archdsl.syntax import ast

SIGNS = {"==", "!=", "<", "<=", ">", ">="}
OF_FLOATS = {"sqrt", "log", "exp", "sin", "cos"}  # they make floats of what has no fractions
WHOLE = {"floor", "ceil", "round"}
HOLE = re.compile("\0(\\d+)\0")  # stands for a free size, or what is followed, by its number
PARTIAL = {"sqrt", "log", "exp"}  # they have no result for some numbers
LARGEST_OF_DOUBLES = 1 << 53  # up to which doubles hold every integer
LARGEST_FREE = 1 << 20  # no network needs longer axes
MOST_LOOKED_AT = 256  # places of which the numbers are worked out, to know what is looked up


class _Text(Record):
    """An expression of torch.

    Attributes:
        kind: what it gives.
        loose: whether it stands in brackets where it is an operand.
        number: whether it is a number, and no tensor.
        bounds: between which numbers it surely is.
    """

    text: str
    kind: Dtype
    loose: bool = False
    number: bool = False
    bounds: Bounds = NONE

    @property
    def tight(self) -> str:
        return f"({self.text})" if self.loose else self.text


def by_place_of(
    node: ast.Indexed, shape: Sequence[object], learnable: bool, frame: Frame
) -> Formulas:
    """Return the numbers of a tensor of that shape as torch works them out.

    Raises:
        ArchError: something in it has no value, or can't be worked out for all places at once.
        NoValue: the names are not one for each axis.
    """
    if len(node.targets) != len(shape):
        names = [target.name for target in node.targets]
        count = "axis" if len(shape) == 1 else "axes"
        raise NoValue(f"the names {', '.join(names)} are {len(names)}, for {len(shape)} {count}")
    sizes = [size for size in shape if isinstance(size, int | Formula)]
    writer = _Writer(node, sizes, frame)
    return writer.whole(learnable)


class _Writer:
    def __init__(self, node: ast.Indexed, shape: Sequence[Size], frame: Frame) -> None:
        self.node = node
        self.given = shape  # with what is known of how they come about
        self.shape = [bare(size) for size in shape]
        self.frame = frame
        self.axes = {target.name: axis for axis, target in enumerate(node.targets)}
        self.free = any(isinstance(size, Formula) for size in self.shape)
        self.holes: list[Formula | Followed] = []
        self.fractions = False  # whether numbers are doubles, since some have fractions
        self.used: set[int] = set()
        self.written = 0  # how many indices

    def whole(self, learnable: bool) -> Formulas:
        """Return the text that makes all of the tensor."""
        found = self.write(self.node.item)
        if self.fractions:  # what was written before the first fraction was of integers
            self.holes.clear()
            found = self.write(self.node.item)
        sizes = [self.said(size) for size in self.given]
        listed = ", ".join(sizes) + ("," if len(sizes) == 1 else "")
        kind: Dtype = "float" if learnable else found.kind
        if found.number:
            device = ", device={0}.device" if self.free else ""
            whole = kind == "float" and found.kind != "float"
            value = f"float({found.text})" if whole else found.text
            text = f"torch.full(({listed}), {value}{device})"
        else:
            text = found.text
            ends = {"float": ".float()", "int": ".long()" if self.fractions else "", "bool": ""}
            if ends.get(kind):
                text = f"{found.tight.removesuffix('.double()')}{ends[kind]}"
            wide = [axis for axis, size in enumerate(self.shape) if size != 1]
            # what is written has no axes before the first of its indices
            spread = not self.used.issuperset(wide) or min(self.used, default=1) > 0
            # a statement of its own is easier to break over lines where it is a call
            if spread or (self.free and found.loose and not ends.get(kind)):
                text = f"torch.broadcast_to({text}, ({listed}))"
                text += ".clone()" if spread and not self.free else ""
        parts: list[str | Formula | Followed] = []
        for at, part in enumerate(HOLE.split(text)):
            if at % 2:
                parts.append(self.holes[int(part)])
            elif part:
                parts.append(part)
        return Formulas(tuple(parts), kind, self.reached() if kind == "int" else ())

    def reached(self) -> tuple[Size, ...]:
        """Return integers that it surely holds: those at its corners, or all where they are few.

        They are what formulas that only grow or fall along each axis reach to.
        """
        corners = [dict.fromkeys((0, size - 1)) for size in self.shape]
        if prod(map(len, corners)) > MOST_LOOKED_AT:
            return ()
        known = [size for size in self.shape if isinstance(size, int)]
        rows: list[Iterable[Size]] = [*corners]
        if len(known) == len(self.shape) and prod(known) <= MOST_LOOKED_AT:
            rows = [range(size) for size in known]
        found: dict[Size, None] = {}
        for place in product(*rows):
            # where it depends on what is free, nothing is known
            with suppress(ArchError):
                value = bare(self.at(self.node.item, place))
                if isinstance(value, int | Formula):
                    found[value] = None
        numbers = [value for value in found if isinstance(value, int)]
        ends = dict.fromkeys((min(numbers), max(numbers))) if numbers else ()
        return (*ends, *(value for value in found if isinstance(value, Formula)))

    def said(self, value: Size | float) -> str:
        """Return the text of a number; a hole for one that is free, or of which more is known."""
        if isinstance(value, Formula):
            return self.hole(value)
        known, number = formula_of(value), bare(value)
        sign = "-" if number < 0 else ""  # is none of the number's in the text
        known = -known if sign else known
        if not isinstance(known, Formula):
            return repr(number)
        return sign + self.hole(Followed(repr(abs(number)), known))

    def hole(self, what: Formula | Followed) -> str:
        self.holes.append(what)
        return f"\0{len(self.holes) - 1}\0"

    def write(self, node: ast.Expression) -> _Text:
        """Return the text of an expression.

        Raises:
            ArchError: it has no value, or can't be worked out for all places at once.
        """
        frame = self.frame
        frame.step(node.span)
        try:
            if not self.indices(node):
                return self.value(evaluate(node, frame, frame.most))
            before = self.written
            found = self.of_place(node)
            if self.written == before:  # an `if` has left out what holds an index
                return self.value(self.at(node, [0] * len(self.axes)))
            self.require_exact(node, found)
            return found
        except NoValue as error:
            raise error.at(node.span, frame.trail) from None

    def of_place(self, node: ast.Expression) -> _Text:
        match node:
            case ast.Name():
                return self.index(self.axes[node.name])
            case ast.Unary():
                return self.unary(node)
            case ast.Chain():
                return self.chain(node)
            case ast.Comparison():
                return self.comparison(node)
            case ast.Logical():
                return self.logical(node)
            case ast.Conditional():
                return self.conditional(node)
            case ast.Index():
                return self.item(node)
            case ast.Call():
                return self.call(node)
            case _:
                raise NoValue(
                    "this can't be worked out for all places at once",
                    "arithmetic, comparisons, `if`, parts of lists and most functions can",
                )

    def at(self, node: ast.Expression, place: Sequence[Size]) -> Value:
        """Return the value of an expression at one place."""
        frame, outer = self.frame, self.frame.names
        try:
            frame.names = Names(outer)
            # not by `axes`, where a name that stands twice, which is reported, is once
            names = [target.name for target in self.node.targets]
            frame.names.given.update(zip(names, place, strict=True))
            return evaluate(node, frame, frame.most)
        finally:
            frame.names = outer

    def require_exact(self, node: ast.Expression, found: _Text) -> None:
        """Refuse integers that torch would wrap around, or round where they are doubles."""
        most = LARGEST_OF_DOUBLES if self.fractions else LARGEST
        if found.kind != "int" or (-most <= found.bounds[0] and found.bounds[1] <= most):
            return
        values = self.everywhere(node)  # which refuses what is beyond `LARGEST`
        if any(abs(value) > most for value in values):
            raise NoValue(
                f"this reaches {max(values, key=abs)}: beside numbers with fractions, which are "
                f"doubles here, integers are exact up to 2^53",
                "write it as a float, such as `1e16`, where it need not be exact",
            )

    # --- what holds an index ----------------------------------------------------------------

    def indices(self, node: ast.Expression) -> list[str]:
        """Return the indices in an expression."""
        found: dict[str, None] = {}
        waiting: list[object] = [node]
        while waiting:
            one = waiting.pop()
            if isinstance(one, ast.Name) and one.name in self.axes:
                found[one.name] = None
            elif isinstance(one, tuple):  # nodes are, too
                waiting += one
        return sorted(found, key=self.axes.__getitem__)

    def value(self, value: Value) -> _Text:
        given, value = value, bare(value)
        if isinstance(value, Formula):
            return _Text(self.said(value), "int", number=True, bounds=(0, LARGEST_FREE))
        if isinstance(value, bool):
            return _Text(repr(value), "bool", number=True)
        if isinstance(value, int | float):
            self.fractions = self.fractions or isinstance(value, float)
            kind: Dtype = "float" if isinstance(value, float) else "int"
            text = self.said(given)
            return _Text(text, kind, value < 0, number=True, bounds=(value, value))
        raise NoValue(f"a tensor holds numbers, or true and false, and this is {kind_of(value)}")

    def index(self, axis: int) -> _Text:
        self.used.add(axis)
        self.written += 1
        given = [self.said(self.given[axis])]
        given += ["dtype=torch.float64"] * self.fractions + ["device={0}.device"] * self.free
        after = ", None" * (len(self.shape) - 1 - axis)
        size = self.shape[axis]
        bounds = 0, LARGEST_FREE if isinstance(size, Formula) else size - 1
        text = f"torch.arange({', '.join(given)})" + (f"[:{after}]" if after else "")
        return _Text(text, "int", bounds=bounds)

    def unary(self, node: ast.Unary) -> _Text:
        if node.operator == "not":
            return _Text(f"~{self.truth(node.operand).tight}", "bool", loose=True)
        found = self.number(node.operand)
        if node.operator == "+":
            return found
        low, high = found.bounds
        return _Text(f"-{found.tight}", found.kind, loose=True, bounds=(-high, -low))

    def chain(self, node: ast.Chain) -> _Text:
        left = self.number(node.first)
        head = left.text if left.number and node.rest[0][0] != "**" else left.tight
        for at, (operator, operand) in enumerate(node.rest):
            right = self.number(operand)
            before = node._replace(rest=node.rest[: at + 1])
            bounds = bounds_of(operator, left.bounds, right.bounds)
            if not _has_result(operator, left, right, bounds):
                self.everywhere(before)
            turned = operator == "**" and right.bounds[0] < 0
            self.fractions = self.fractions or operator == "/" or turned
            floats = operator == "/" or turned or "float" in (left.kind, right.kind)
            both = left.number and right.number
            head = f"{head} {operator} {right.tight}"
            left = _Text(head, "float" if floats else "int", True, number=both, bounds=bounds)
            self.require_exact(before, left)
        return left

    def everywhere(self, node: ast.Expression) -> list[Any]:
        """Work an expression out for each place, so that what has no result is found."""
        names = self.indices(node)
        sizes = [self.shape[self.axes[name]] for name in names]
        if any(isinstance(size, Formula) for size in sizes):
            raise NoValue(
                "whether this has a result for all places depends on a free size",
                "divide by, and take powers, roots and logarithms of, what has no index in it",
            )
        known = [size for size in sizes if isinstance(size, int)]
        self.frame.step(node.span, prod(known))
        rows = [range(size) if name in names else range(1) for name, size in self.sizes()]
        return [self.at(node, place) for place in product(*rows)]

    def sizes(self) -> list[tuple[str, int]]:
        """Return the size of each axis by its index; of a free one 1."""
        pairs = zip(self.axes, self.shape, strict=True)
        return [(name, size if isinstance(size, int) else 1) for name, size in pairs]

    def comparison(self, node: ast.Comparison) -> _Text:
        texts: list[str] = []
        before = node.first
        for sign, operand in node.rest:
            texts.append(self.compared(before, sign, operand))
            before = operand
        if len(texts) == 1:
            return _Text(texts[0], "bool", loose=not texts[0].startswith("torch.isin"))
        return _Text(" & ".join(f"({text})" for text in texts), "bool", loose=True)

    def compared(self, left: ast.Expression, sign: str, right: ast.Expression) -> str:
        if sign in SIGNS:
            return f"{self.number(left).tight} {sign} {self.number(right).tight}"
        if self.indices(right):
            raise NoValue("what is looked for may hold an index, and the list may not")
        found = f"torch.isin({self.number(left).text}, {self.table(right)})"
        return f"~{found}" if sign == "not in" else found

    def logical(self, node: ast.Logical) -> _Text:
        operands = [self.truth(operand).tight for operand in node.operands]
        sign = "&" if node.operator == "and" else "|"
        return _Text(f" {sign} ".join(operands), "bool", loose=True)

    def conditional(self, node: ast.Conditional) -> _Text:
        if not self.indices(node.condition):
            frame = self.frame
            chosen = evaluate(node.condition, frame, frame.most)
            if not isinstance(chosen, bool):
                raise NoValue(f"the condition must be true or false, and is {kind_of(chosen)}")
            return self.write(node.then if chosen else node.otherwise)
        condition = self.truth(node.condition)
        then, otherwise = self.write(node.then), self.write(node.otherwise)
        if (then.kind == "bool") != (otherwise.kind == "bool"):
            raise NoValue("a tensor holds numbers, or true and false, and not both")
        kind: Dtype = "float" if "float" in (then.kind, otherwise.kind) else then.kind
        text = f"torch.where({condition.text}, {then.text}, {otherwise.text})"
        plain = then.number and otherwise.number and kind != "bool" and self.fractions
        bounds = around(then.bounds, otherwise.bounds)
        return _Text(f"{text}.double()" if plain else text, kind, bounds=bounds)

    def item(self, node: ast.Index) -> _Text:
        if self.indices(node.value):
            raise NoValue("the place in a list may hold an index, and the list may not")
        values = bare(evaluate(node.value, self.frame, self.frame.most))
        at = self.number(node.item)
        text = self.table(node.value)  # which makes sure that these are numbers
        assert isinstance(values, tuple | range)
        if not 0 <= at.bounds[0] <= at.bounds[1] < len(values):
            values = self.everywhere(node)  # no place beyond its ends
        place = f"{at.tight}.long()" if self.fractions else at.text
        floats = any(isinstance(value, float) for value in values)
        kind: Dtype = "float" if floats else "bool" if bool in map(type, values) else "int"
        numbers: Any = NONE if kind == "bool" else (min(values), max(values))
        return _Text(f"{text}[{place}]", kind, bounds=numbers)

    def table(self, node: ast.Expression) -> str:
        """Return the text of a list of numbers."""
        values = evaluate(node, self.frame, self.frame.most)
        if not isinstance(values, tuple | range) or not values:
            raise NoValue(f"a list of numbers stands here, and this is {kind_of(values)}")
        self.frame.weigh(values, node.span)
        if not all(isinstance(value, int | float) for value in values):
            raise NoValue("this list holds something else than numbers")
        mixed = {type(value) is bool for value in values}
        if len(mixed) > 1:
            raise NoValue("a tensor holds numbers, or true and false, and not both")
        self.fractions = self.fractions or any(isinstance(one, float) for one in values)
        precise = ", dtype=torch.float64" if self.fractions and mixed == {False} else ""
        device = ", device={0}.device" if self.free else ""
        listed = ", ".join(map(self.said, values))
        return f"torch.tensor([{listed}]{precise}{device})"

    def call(self, node: ast.Call) -> _Text:
        name = node.name.name
        known = {"min", "max", "abs"} | OF_FLOATS | WHOLE
        hidden = self.frame.file.find(name) or self.frame.names.find(name)
        if hidden or name not in known or any(argument.name for argument in node.arguments):
            raise NoValue(
                f"`{name}` can't be worked out for all places at once",
                f"those that can are {', '.join(sorted(known))}",
            )
        numbers = [self.number(argument.value) for argument in node.arguments]
        kind: Dtype = "float" if "float" in [one.kind for one in numbers] else "int"
        several = name in ("min", "max")
        if several and len(numbers) < 2:
            raise NoValue(f"`{name}` takes several numbers here")
        if not several and len(numbers) != 1:
            raise NoValue(f"`{name}` takes one number here")
        bounds = bounds_of_call(name, [one.bounds for one in numbers])
        if several:
            found = reduce(lambda left, right: _extreme(name, left, right, kind), numbers)
            return found._replace(bounds=bounds)
        if name in PARTIAL and bounds == NONE:
            self.everywhere(node)
        if name in WHOLE and not self.fractions:
            return numbers[0]
        if name in OF_FLOATS:
            self.fractions = True
            kind = "float"
        kind = "int" if name in WHOLE else kind
        return _Text(f"torch.{name}({numbers[0].text})", kind, bounds=bounds)

    def number(self, node: ast.Expression) -> _Text:
        found = self.write(node)
        if found.kind == "bool":
            raise NoValue("this is true or false, and a number must stand here")
        return found

    def truth(self, node: ast.Expression) -> _Text:
        found = self.write(node)
        if found.kind != "bool":
            raise NoValue("this is a number, and what is true or false must stand here")
        return found


def _has_result(operator: str, left: _Text, right: _Text, bounds: Bounds) -> bool:
    """Tell whether an operation surely has a result, which is within those bounds."""
    if operator in ("/", "//", "%"):
        return not right.bounds[0] <= 0 <= right.bounds[1]
    if operator != "**":
        return True
    whole = right.kind == "int" and right.bounds[0] >= 0
    return whole or (left.bounds[0] >= 0 and isfinite(bounds[1]))


def _extreme(name: str, left: _Text, right: _Text, kind: Dtype) -> _Text:
    if left.number and right.number:
        return _Text(f"{name}({left.text}, {right.text})", kind, number=True)
    if not left.number and not right.number:
        return _Text(f"torch.{name}imum({left.text}, {right.text})", kind)
    tensor, number = (right, left) if left.number else (left, right)
    bound = "max" if name == "min" else "min"
    return _Text(f"torch.clamp({tensor.text}, {bound}={number.text})", kind)
