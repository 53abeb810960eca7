"""Chooses what the parameters of a block are, and writes values in them."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from archdsl.importing.aligning import Alignment
from archdsl.importing.made import MADE_WITH
from archdsl.importing.naming import fresh, valid
from archdsl.importing.skeleton import arguments_of, set_arguments
from archdsl.importing.tree import (
    REQUIRED,
    If,
    Loop,
    Merge,
    Output,
    Part,
    Residual,
    Stage,
    Statement,
    Written,
    everything,
)
from archdsl.layers.registry import Registry

ABSENT = object()  # in the place of a value, in a use that lacks the statement
FACTORS = (2, 3, 4, 6, 8, 16)
MOST_PARTS = 64  # of a condition, that are joined in pairs
LEAST_SIZE = 4  # what is smaller is a stride or a kernel, and no size
Vector = tuple[Any, ...]


class Parameters:
    """The parameters of one block, found on the way through its statements.

    Attributes:
        values: of each parameter by name, one for each use.
        lets: names for sizes of what comes in, with their expressions.
    """

    def __init__(self, parts: Sequence[Part], default: Callable[[Statement, str], Any]) -> None:
        self.parts = parts
        self.default = default
        self.values: dict[str, Vector] = {}
        self.lets: dict[str, str] = {}
        self.flags: set[str] = set()
        self.meant: dict[str, str] = {}  # the argument of a layer that each was found for
        self.waiting: list[tuple[Statement, tuple[bool | None, ...], str]] = []
        inside = [*everything(parts[0].statements)] if parts else []
        self.taken = {one.label for one in inside if one.label}
        for one in inside:
            if isinstance(one, Loop):  # whose variables hide nothing
                self.taken.update(one.head.removeprefix("for ").partition(" in ")[0].split(", "))
        self.sizes = dict(self.entry_sizes())
        self.asked = constructor_arguments([part.body.module for part in parts if part.body])

    def entry_sizes(self) -> Iterator[tuple[str, Vector]]:
        """Yield the sizes of what comes in, by their expressions."""
        shapes = [part.takes[0].shape for part in self.parts if len(part.takes) == 1]
        if len(shapes) == len(self.parts) and all(len(shape) > 1 for shape in shapes):
            yield "in.channels", tuple(shape[1] for shape in shapes)
            yield "in.features", tuple(shape[-1] for shape in shapes)

    # --- values ---------------------------------------------------------------------------------

    def settle(
        self, statements: list[Statement], rows: list[Alignment], around: Sequence[bool] = ()
    ) -> list[Statement]:
        """Return statements with expressions for the values in which uses differ.

        `around` tells which uses have the statement that these stand in.
        """
        found: list[Statement] = []
        around = around or [True] * len(rows)
        for one in statements:
            there = [row.get(one) for row in rows]
            # where what is around it is absent, nothing is to be said of it
            present = [
                other is not None if has else None for other, has in zip(there, around, strict=True)
            ]
            whole = all(has is not False for has in present)
            if isinstance(one, Residual) and not whole:
                # those that lack it have what is in it all the same, or nothing
                inner = any(
                    row.get(each) is not None
                    for row, has in zip(rows, present, strict=True)
                    if has is False
                    for each in everything(one.statements)
                )
                one.statements = self.settle(
                    one.statements, rows, around if inner else held(present)
                )
                if inner:
                    self.waiting.append((one, tuple(present), "residual"))
                    found.append(one)
                else:
                    self.under(found, one, tuple(present), "residual")
                continue
            self.arguments(one, there)
            has = held(present)
            if isinstance(one, Merge):
                one.branches = [self.settle(branch, rows, has) for branch in one.branches]
            elif isinstance(one, Residual):
                one.statements = self.settle(one.statements, rows, has)
                one.shortcut = self.settle(one.shortcut, rows, has)
            elif isinstance(one, Loop | If | Output) or (isinstance(one, Part) and not one.block):
                inside = self.settle(one.statements or [], rows, has)
                one.statements = inside or one.statements
            if whole:
                found.append(one)
                continue
            label = one.label or (one.layer if isinstance(one, Stage) else type(one).__name__)
            self.under(found, one, tuple(present), label)
        return found

    def under(
        self, found: list[Statement], one: Statement, present: tuple[bool | None, ...], label: str
    ) -> None:
        """Put a statement under a condition, which is chosen when all parameters are known."""
        before = found[-1] if found else None
        if isinstance(before, If) and any(
            each is before and has == present for each, has, _ in self.waiting
        ):
            before.statements.append(one)
        else:
            found.append(If(statements=[one]))
            self.waiting.append((found[-1], present, label))

    def decide(self) -> None:
        """Choose the conditions."""
        for one, present, label in self.waiting:
            assert isinstance(one, If | Residual)
            one.condition = self.condition(present, label)

    def arguments(self, one: Statement, there: Sequence[Statement | None]) -> None:
        """Write the arguments of a statement that stands for those of all uses."""
        names = list(
            dict.fromkeys(name for other in there if other for name in arguments_of(other))
        )
        if isinstance(one, Stage | Part):
            names = self.in_order(one, names)
        values: dict[str, Any] = {}
        for name in names:
            given = tuple(
                ABSENT
                if other is None
                else arguments_of(other).get(name, self.default(other, name))
                for other in there
            )
            known = [value for value in given if value is not ABSENT]
            if len(known) < len(given) and (meant := self.of_same_meaning(name, given)):
                values[name] = Written(meant)
                continue
            if all(repr(value) == repr(known[0]) for value in known):
                if any(other is not None and name in arguments_of(other) for other in there):
                    values[name] = known[0]
                continue
            values[name] = Written(self.expression(name, given, one, there))
        if names:
            set_arguments(one, values)

    def of_same_meaning(self, name: str, given: Vector) -> str:
        """Return a parameter for the same argument of other layers, where it has these values."""
        return next(
            (
                parameter
                for parameter, values in self.values.items()
                if self.meant.get(parameter) == name and agrees(values, given)
            ),
            "",
        )

    def in_order(self, one: Stage | Part, names: list[str]) -> list[str]:
        """Sort arguments as the layer or block declares them."""
        if isinstance(one, Stage):
            declared = [*Registry()[one.layer].model_fields]
            places = {each: at for at, each in enumerate(declared)}
            return sorted(names, key=lambda each: places.get(each, len(places)))
        return names

    def expression(
        self, name: str, given: Vector, one: Statement, there: Sequence[Statement | None]
    ) -> str:
        """Return an expression whose values are given, one for each use."""
        for parameter, values in self.values.items():
            if agrees(values, given):
                return parameter
        for size, values in self.local_sizes(there):
            if agrees(values, given):
                return size
        numeric = all(
            value is ABSENT or (isinstance(value, int) and not isinstance(value, bool))
            for value in given
        )
        for size, values in self.sizes.items():
            if agrees(values, given) and self.lets.setdefault("width", size) == size:
                return "width"
        for asked, values in self.asked.items():
            if agrees(values, given) and len({*map(repr, values)}) > 1:
                return self.parameter(asked, values, name)
        if numeric:
            for parameter, values in self.values.items():
                if text := scaled(parameter, values, given):
                    return text
            for size, values in self.sizes.items():
                text = scaled("width", values, given)
                if text and self.lets.setdefault("width", size) == size:
                    return text
        if any(value is ABSENT for value in given):
            most = Counter(repr(v) for v in given if v is not ABSENT).most_common(1)[0][0]
            fill = next(v for v in given if repr(v) == most)
            given = tuple(fill if value is ABSENT else value for value in given)
        return self.parameter(name, given, name)

    def parameter(self, name: str, values: Vector, meant: str = "") -> str:
        """Add a parameter, and return its name."""
        name = fresh(valid(name), self.taken)
        self.meant[name] = meant
        self.values[name] = values
        return name

    def local_sizes(self, there: Sequence[Statement | None]) -> Iterator[tuple[str, Vector]]:
        """Yield the sizes of what comes into a stage, by their expressions."""
        shapes: list[tuple[int, ...] | None] = []
        for other in there:
            if isinstance(other, Stage) and other.node is not None and other.node.inputs:
                shapes.append(other.node.inputs[0].shape)
            else:
                shapes.append(None)
        for text, axis in (("in.channels", 1), ("in.features", -1)):
            if any(shape is not None and len(shape) > 1 for shape in shapes):
                yield (
                    text,
                    tuple(
                        shape[axis] if shape is not None and len(shape) > 1 else ABSENT
                        for shape in shapes
                    ),
                )

    # --- conditions -----------------------------------------------------------------------------

    def condition(self, present: Sequence[bool | None], label: str) -> str:
        """Return a condition that holds in the uses that have something, and in no others."""
        atoms: list[tuple[str, tuple[bool, ...]]] = []
        for size, values in self.sizes.items():
            for name, others in self.values.items():
                for factor in (1, *FACTORS):
                    if not all(type(other) is int for other in others):
                        continue
                    text = name if factor == 1 else f"{factor} * {name}"
                    equal = tuple(a == factor * b for a, b in zip(values, others, strict=True))
                    atoms.append((f"width == {text} @{size}", equal))
                    atoms.append((f"width != {text} @{size}", tuple(not one for one in equal)))
        for name, values in self.values.items():
            if name in self.flags:
                atoms.append((name, tuple(map(bool, values))))
                continue
            simple = list(dict.fromkeys(map(hashable, values)))[:6]
            for value in simple:
                if isinstance(value, int | float | str) and not isinstance(value, bool):
                    for sign, test in (("==", True), ("!=", False)):
                        true = tuple((hashable(v) == value) is test for v in values)
                        atoms.append((f"{name} {sign} {written_value(value)}", true))
        wanted = tuple(present)
        # bits of the uses of which something is to be said
        asked = [at for at, has in enumerate(wanted) if has is not None]
        target = bits(wanted, asked)
        whole = (1 << len(asked)) - 1
        first: dict[int, str] = {}  # of the atoms that hold in the same uses one is enough
        for text, true in atoms:
            first.setdefault(bits(true, asked), text)
        if target in first:
            return self.with_width(first[target])
        # what holds in few of the uses that are wanted needs more than another atom, so the
        # largest are tried; an `and` is an `or` of what doesn't hold
        for word, flip in (("or", 0), ("and", whole)):
            goal = target ^ flip
            parts = [(mask ^ flip, text) for mask, text in first.items()]
            parts = [(mask, text) for mask, text in parts if mask and mask & ~goal == 0]
            parts = sorted(parts, key=lambda part: -part[0].bit_count())[:MOST_PARTS]
            for number, (one, text) in enumerate(parts):
                for other, more in parts[:number]:
                    if one | other == goal:
                        low, high = sorted((text, more))
                        return f"{self.with_width(low)} {word} {self.with_width(high)}"
        name = self.parameter(label.strip('"').split(".")[-1].lower(), tuple(map(bool, wanted)))
        self.flags.add(name)
        return name

    def with_width(self, text: str) -> str:
        """Return a condition; where it speaks of the size of what comes in, that gets a name."""
        condition, _, size = text.partition(" @")
        if size and self.lets.setdefault("width", size) != size:
            self.lets["breadth"] = size
            return condition.replace("width", "breadth")
        return condition

    # --- the result -----------------------------------------------------------------------------

    def signature(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return the parameters with their defaults, and the arguments of each use."""
        count = len(self.parts)
        required: dict[str, Any] = {}
        optional: dict[str, Any] = {}
        for name, values in self.values.items():
            common, times = Counter(map(hashable, values)).most_common(1)[0]
            if name in self.flags:
                optional[name] = False
            elif times * 2 > count > 2 and is_option(values):
                optional[name] = next(v for v in values if hashable(v) == common)
            else:
                required[name] = REQUIRED
        parameters = required | optional
        given = [
            {
                name: self.values[name][number]
                for name, default in parameters.items()
                if default is REQUIRED or hashable(self.values[name][number]) != hashable(default)
            }
            for number in range(count)
        ]
        return parameters, given


def bits(true: Sequence[bool | None], asked: Sequence[int]) -> int:
    """Return as the bits of a number in which of some uses something holds."""
    return sum(1 << place for place, at in enumerate(asked) if true[at])


def held(present: Sequence[bool | None]) -> list[bool]:
    """Return which uses are known to have something."""
    return [bool(has) for has in present]


def hashable(value: Any) -> Any:
    """Return something that compares as a value does, and can be a key."""
    return tuple(map(hashable, value)) if isinstance(value, list | tuple) else value


def written_value(held: Any) -> str:
    """Write a number or string in a condition."""
    return f'"{held}"' if isinstance(held, str) else repr(held)


def is_option(values: Vector) -> bool:
    """Tell whether values are such as have a default: no sizes, and nothing written elsewhere."""
    if any(isinstance(value, Written) for value in values):
        return False
    return not any(isinstance(value, int) and value >= LEAST_SIZE for value in values)


def agrees(values: Vector, given: Vector) -> bool:
    """Tell whether values are those that are given, in the uses that have any."""
    pairs = [pair for pair in zip(values, given, strict=True) if pair[1] is not ABSENT]
    return all(
        repr(one) == repr(other) or (one == other and type(one) is type(other))
        for one, other in pairs
    )


def scaled(name: str, values: Vector, given: Vector) -> str:
    """Return given values as a multiple or a part of others, or ""."""
    pairs = [
        (value, wanted) for value, wanted in zip(values, given, strict=True) if wanted is not ABSENT
    ]
    if not all(isinstance(v, int) and not isinstance(v, bool) for v, _ in pairs):
        return ""
    if len({wanted for _, wanted in pairs}) < 2:
        return ""
    if all(value == wanted for value, wanted in pairs):
        return name
    # small numbers are multiples of each other by chance; but padding is half of an odd kernel
    if any(value % 2 for value, _ in pairs) and all(v // 2 == wanted for v, wanted in pairs):
        return f"{name} // 2"
    if min(wanted for _, wanted in pairs) < LEAST_SIZE:
        return ""
    for factor in FACTORS:
        if all(factor * value == wanted for value, wanted in pairs):
            return f"{factor} * {name}"
    for factor in FACTORS:
        if all(value == factor * wanted for value, wanted in pairs):
            return f"{name} // {factor}"
    return ""


def constructor_arguments(modules: Sequence[Any]) -> dict[str, Vector]:
    """Return the arguments of a class's constructor that its modules keep, by name."""
    try:
        names = [*inspect.signature(type(modules[0]).__init__).parameters][1:]
    except (TypeError, ValueError, IndexError):
        return {}
    found: dict[str, Vector] = {}
    for name in names:
        values = [given(module, name) for module in modules]
        if all(isinstance(value, int | float | str | list | tuple) for value in values):
            found[name] = tuple(tuple(v) if isinstance(v, list) else v for v in values)
    return found


def given(module: Any, name: str) -> Any:
    """Return what a module was made with, as far as it is known."""
    kept = getattr(module, MADE_WITH, {})
    return kept.get(name, getattr(module, name, None))
