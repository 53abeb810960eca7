"""The use of a block, or a group, as its body sees what comes in, where numbers are followed."""

from __future__ import annotations

from typing import Any

from archdsl.elaborate.bodies import Body
from archdsl.elaborate.expressions import Names
from archdsl.layers.base import Facts, Shape, Shapes
from archdsl.layers.traced import Trace, bare, formula_of, parameter, size_atom, traced


class Inside:
    """The use of a block, or a group, as its body sees what comes in: with sizes that are atoms.

    Attributes:
        number: of the scope.
        parameters: the names that are atoms in it.
    """

    def __init__(
        self,
        trace: Trace,
        name: str,
        outer: Inside | None,
        around: Body,
        body: Body,
        incoming: tuple[int, ...] | None,
        nodes: int,
    ) -> None:
        """Begin a scope: `incoming` is what comes into a block; None for a group.

        `nodes` are those that the network has so far.
        """
        self.trace = trace
        self.outer = outer
        self.around, self.body = around, body
        self.incoming = incoming
        self.number: int = trace.enter(name, outer.number if outer else 0)
        self.first = 0 if incoming is not None else body.size
        self.base: int = nodes if incoming is not None else outer.base if outer else 0
        self.parameters: Names | None = None
        self._seen: dict[int, Shape] = {}

    def node(self, number: int) -> int:
        """Return the number that a node has in all of the network."""
        if number >= 0:
            return self.base + number
        if self.incoming is None:
            assert self.outer is not None
            return self.outer.node(number)
        outer = self.incoming[~number]
        return self.outer.node(outer) if self.outer else outer

    def outside(self, number: int) -> Shape:
        """Return the shape of a node from outside as it is seen there."""
        outer = number if self.incoming is None else self.incoming[~number]
        return self.outer.shape(outer) if self.outer else self.around.facts(outer).output

    def shape(self, number: int) -> Shape:
        """Return the shape of a node: sizes of one from outside are atoms."""
        if number >= self.first:
            return self.body.facts(number).output
        if number not in self._seen:
            outer, sizes = self.outside(number), []
            around = self.outer.number if self.outer else 0
            for axis, size in enumerate(outer):
                known: Any = bare(size)
                if isinstance(known, int):
                    atom = size_atom(self.node(number), axis, self.number)
                    # as it is seen there: in a long row of blocks it would follow from that of the
                    # block before, and so from those of all
                    seen = self.trace.seen(formula_of(size), around)
                    self.trace.definitions[atom] = traced(known, seen)
                    known = parameter(known, atom)
                sizes.append(known)
            self._seen[number] = tuple(sizes)
        return self._seen[number]

    def join(self, shapes: Shapes, facts: Facts) -> None:
        """Remember which sizes must be equal since tensors are merged."""
        for shape in shapes[1:]:
            for left, right, result in zip(shapes[0], shape, facts.output, strict=False):
                pair = formula_of(left), formula_of(right)
                if left == right == result != 1 and pair[0] != pair[1]:
                    self.trace.equal.setdefault(self.number, {})[pair] = None
