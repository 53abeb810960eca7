"""Blocks from classes: uses of a module class that compute the same share one definition.

The uses are laid side by side. What all have is the block's body; values in which they differ are
its parameters, or formulas of these and of the size of what comes in; statements that some lack
stand under an `if` whose condition follows from the parameters.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from archdsl.importing.aligning import Alignment, align
from archdsl.importing.layers import squeezed
from archdsl.importing.loops import fold
from archdsl.importing.making import Unsayable
from archdsl.importing.naming import fresh, valid
from archdsl.importing.parameters import Parameters
from archdsl.importing.tree import (
    REQUIRED,
    Definition,
    Let,
    Part,
    Stage,
    Statement,
    bodies_of,
    everything,
)
from archdsl.layers.registry import Registry

PLAIN = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


class Blocks:
    """The blocks of one network."""

    def __init__(self, statements: list[Statement], taken: set[str]) -> None:
        self.statements = statements
        self.taken = taken | set(Registry())
        self.found: list[Definition] = []
        self.by_name: dict[str, Definition] = {}

    def default(self, one: Statement, name: str) -> Any:
        """Return what an argument is that a statement leaves out."""
        if isinstance(one, Stage):
            kind = Registry()[one.layer]
            if name not in kind.model_fields:
                return None  # a tie
            default = kind.model_fields[name].default
            return squeezed(kind, {name: default})[name]
        if isinstance(one, Part) and one.block:
            return self.by_name[one.block].parameters[name]
        return None

    def extract(self) -> list[Definition]:
        """Make all blocks, inner ones first."""
        uses: dict[Any, list[Part]] = {}
        for part, key in keyed(self.statements):
            uses.setdefault(key, []).append(part)
        done: set[Any] = set()

        def visit(key: Any) -> None:
            if key in done:
                return
            done.add(key)
            for part in uses[key]:
                for _, inner in keyed(part.statements):
                    visit(inner)
            self.make(key, uses[key])

        for key in uses:
            visit(key)
        self.statements[:] = fold(self.statements, self.default)
        return self.found[::-1]

    def make(self, key: Any, parts: list[Part]) -> None:
        """Make the blocks of one class."""
        for part in parts:
            part.statements = fold(part.statements, self.default)
        left = sorted(parts, key=lambda part: -len(list(everything(part.statements))))
        wide = any(needs_block(part) for part in parts)
        while left:
            first = left[0]
            together: list[tuple[Part, Alignment]] = []
            for part in left:
                rows = align(first.statements, part.statements)
                if rows is not None:
                    together.append((part, rows))
            members = [part for part, _ in together]
            left = [part for part in left if part not in members]
            if len(members) > 1 or wide:
                order = sorted(together, key=lambda pair: parts.index(pair[0]))
                self.define(first, order)

    def define(self, first: Part, together: list[tuple[Part, Alignment]]) -> None:
        """Make one block of uses that are laid side by side."""
        assert first.body is not None
        name = fresh(valid(first.body.name).lstrip("_") or "Block", self.taken)
        chosen = Parameters([part for part, _ in together], self.default)
        rows = [rows for _, rows in together]
        statements = chosen.settle(first.statements, rows)
        chosen.decide()
        for let, expression in chosen.lets.items():
            place = sum(type(one).__name__ == "Input" for one in statements)
            statements.insert(place, Let(name=let, expression=expression))
        parameters, given = chosen.signature()
        for (part, _), arguments in zip(together, given, strict=True):
            part.block, part.arguments = name, arguments
            part.open = sum(default is REQUIRED for default in parameters.values())
        one = Definition(name, parameters, statements)
        self.found.append(one)
        self.by_name[name] = one


def needs_block(part: Part) -> bool:
    """Tell whether a body takes or gives several tensors, which a group can't."""
    body = part.body
    return body is not None and (len(body.inputs) != 1 or len(body.outputs) > 1)


def keyed(statements: list[Statement]) -> Iterator[tuple[Part, Any]]:
    """Yield the bodies whose uses may share a block, with what they have to have in common."""
    for one in statements:
        if isinstance(one, Part) and one.body is not None:
            kind = type(one.body.module)
            if one.bound and needs_block(one):
                raise Unsayable(f"`{one.body.path}`, a block that uses what stands outside again")
            if (kind not in PLAIN and not one.bound) or needs_block(one):
                nested = any(
                    isinstance(inner, Part)
                    and inner.body is not None
                    and type(inner.body.module) is kind
                    for inner in everything(one.statements)
                )
                yield one, (kind, height(one) if nested else 0)
        for inner_list in bodies_of(one):
            yield from keyed(inner_list)


def height(part: Part) -> int:
    """Return how deep bodies of the same class stand in each other."""
    assert part.body is not None
    kind = type(part.body.module)
    return 1 + max(
        (
            height(one)
            for one in everything(part.statements)
            if isinstance(one, Part) and one.body and type(one.body.module) is kind
        ),
        default=0,
    )


def extract(statements: list[Statement], taken: set[str]) -> list[Definition]:
    """Replace the uses of classes by uses of blocks, and return these."""
    return Blocks(statements, taken).extract()
