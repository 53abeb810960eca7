"""What bodies make: that of a block is worked out once for all uses that are alike.

A *body* holds what the statements of a network or block made, in their order: nodes (`Made`),
scopes that were opened (`Opened`), uses of blocks (`Instance`), and turns of a loop that are like
the one before (`Again`). A use of a block says whose body it is and what comes in; so a block
within a block within a block is there once, however many nodes that comes to.

In a body its nodes are numbered from 0 on in the order in which they were made, those of the blocks
it uses included. What comes in has the numbers -1, -2, and so on (`~0`, `~1`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from archdsl.diagnostics import Span
from archdsl.elaborate.naming import Flow, Move, Opened, Place
from archdsl.layers.base import NOTHING, Facts, Layer, Shape
from archdsl.records import Record


class Way(Record):
    """The last block put in with `inline` on the way to a node within its body, and the way there.

    `name` is what the trail of an error calls it.
    """

    name: str
    span: Span
    outer: Way | None


@dataclass(slots=True, eq=False)
class Made:
    """A node that a body makes itself.

    Attributes:
        tail: its label or position in its scope, which may be dotted; "" for wiring, which is
            named at the end, when all labels are known.
        label: what the spec calls the tensor, or "".
        inputs: the numbers of the nodes that it reads.
        scope: None for the body's own.
        shares: for `reuse`, the number of the node whose module is applied again, else -1.
        like: for `reuse`, the number of the node in whose scope it lies, else -1.
        position: of a stage without a label, else -1.
        ties: parameters of its module that are another's: the name of each and its place among
            them, the number of the node that has it, and its name there.
    """

    tail: str
    label: str
    layer: Layer
    inputs: tuple[int, ...]
    facts: Facts
    scope: Opened | None
    span: Span
    way: Way | None
    shares: int = -1
    like: int = -1
    position: int = -1
    ties: tuple[tuple[str, int, int, str], ...] = ()


@dataclass(slots=True, eq=False)
class Instance:
    """A use of a block: `incoming` are the numbers of what comes in, in the body around it."""

    body: Body
    tail: str
    incoming: tuple[int, ...]
    scope: Opened | None
    span: Span
    way: Way | None
    position: int = -1


@dataclass(slots=True, eq=False)
class Again:
    """Further turns of a loop: each is what the items from `first` to `last` are, moved on.

    Attributes:
        start: the number of the first node of the turn that is repeated.
        size: how many nodes a turn has. It may read those of the turn before.
        times: how many more turns there are.
        scope: in which the loop stands, and how many stages without a label a turn has there.
    """

    first: int
    last: int
    start: int
    size: int
    times: int
    scope: Opened | None
    positions: int


Item = Opened | Made | Instance | Again


@dataclass(slots=True, eq=False)
class Body:
    """What the statements of a network, or of a block for some arguments and inputs, have made.

    Attributes:
        block: name of the block or network.
        arguments: the values of its parameters, by name.
        inputs: what it calls the tensors that come in, with their numbers.
        incoming: what is known of what comes in.
        items: in their order; `starts` has the number of the first node of each.
        size: how many nodes it has, and `edges` how many inputs they have together.
        steps: that it took to work it out.
        scopes, uses: how deep scopes, and uses of blocks, lie within each other in it.
        references: how many were followed so far to a label of its own.
        flow: what it gives; `place` has its labels.
        recipe: by which it was made, if it can be made again by one.
        ordered: the scopes with a `register` in them; `registered` has the order of the labels in
            each, as the `state_dict` is to have it.
    """

    block: str
    span: Span
    incoming: tuple[Facts, ...]
    arguments: Mapping[str, object] = field(default_factory=lambda: NOTHING)
    description: str = ""
    inputs: tuple[tuple[str, int], ...] = ()
    items: list[Item] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    size: int = 0
    edges: int = 0
    steps: int = 0
    scopes: int = 0
    uses: int = 0
    references: int = 0
    flow: Flow = None
    place: Place | None = None
    recipe: object = None
    ordered: list[Place] = field(default_factory=list)
    registered: dict[Opened | None, tuple[str, ...]] = field(default_factory=dict)
    _facts: dict[int, Facts] = field(default_factory=dict)

    def lead_in(self, start: int, incoming: tuple[int, ...]) -> Move:
        """Return what gives numbers of this body as a body around it knows them."""
        return lambda number: number + start if number >= 0 else incoming[~number]

    def add(self, item: Item, size: int = 0) -> int:
        """Keep an item of so many nodes, and return the number of the first."""
        start = self.size
        self.items.append(item)
        self.starts.append(start)
        self.size += size
        return start

    def make(self, made: Made) -> int:
        """Keep a node and return its number."""
        number = self.add(made, 1)
        self.edges += len(made.inputs)
        self._facts[number] = made.facts
        return number

    def keep_facts(self, number: int, facts: Facts) -> None:
        """Keep what is known of a node that is there already."""
        self._facts[number] = facts

    def reshape(self, number: int, output: Shape) -> None:
        """Let a node give another shape; a block's body that makes it is then of this use alone."""
        facts = self._facts[number] = self.facts(number)._replace(output=output)
        at = bisect_right(self.starts, number) - 1
        item = self.items[at]
        if isinstance(item, Made):
            self.items[at] = replace(item, facts=facts)
        else:
            assert isinstance(item, Instance)
            inner = item.body
            own = replace(inner, items=[*inner.items], _facts=inner._facts.copy())
            own.reshape(number - self.starts[at], output)
            self.items[at] = replace(item, body=own)

    def made_like(self, other: Body) -> Body:
        """Return a body that is given what this is, and has the items of another one."""
        return Body(
            self.block, self.span, self.incoming, self.arguments, self.description, self.inputs,
            other.items.copy(), other.starts, other.size, other.edges, other.steps, other.scopes,
            other.uses, flow=other.flow, place=other.place, recipe=other.recipe,
        )  # fmt: skip

    def facts(self, number: int) -> Facts:
        """Return what is known of a node, or of what comes in."""
        if number < 0:
            return self.incoming[~number]
        found = self._facts.get(number)
        if found is None:
            found = self._facts[number] = self.find(number)[0].facts
        return found

    def find(self, number: int) -> tuple[Made, Move]:
        """Return a node, and what gives the numbers that it knows as they are here."""
        body = self
        moves: list[tuple[int, int, tuple[int, ...] | None]] = []
        while True:  # a loop and no recursion: uses may be nested deeper than Python's stack allows
            at = bisect_right(body.starts, number) - 1
            item, start = body.items[at], body.starts[at]
            if isinstance(item, Made):
                return item, lambda inner: _moved(inner, moves)
            if isinstance(item, Instance):
                moves.append((0, start, item.incoming))
                body, number = item.body, number - start
            else:
                assert isinstance(item, Again)
                turn, inner = divmod(number - start, item.size)
                moves.append((item.start - item.size, (turn + 1) * item.size, None))
                number = item.start + inner


def _moved(number: int, moves: list[tuple[int, int, tuple[int, ...] | None]]) -> int:
    """Take a number out of the uses and turns that it lies in, the innermost first."""
    for floor, by, incoming in reversed(moves):
        if number < 0 and incoming is not None:
            number = incoming[~number]
        elif number >= floor:
            number += by
    return number


class At:
    """A body where it is used, while all that it makes is gone through.

    Attributes:
        base: the number of its first node in all of the network.
        incoming: the same of what comes in.
        outer, instance: the use; None for the network.
        moves: from which number of the body on numbers are larger, and by how much, in a turn.
        positions: by how much positions in a scope are larger in a turn.
    """

    __slots__ = ("base", "body", "incoming", "instance", "moves", "outer", "positions")

    def __init__(
        self,
        body: Body,
        base: int,
        incoming: tuple[int, ...],
        outer: At | None,
        instance: Instance | None,
    ) -> None:
        self.body = body
        self.base = base
        self.incoming = incoming
        self.outer = outer
        self.instance = instance
        self.moves: tuple[tuple[int, int], ...] = ()
        self.positions: tuple[tuple[Opened | None, int], ...] = ()

    def numbers(self, numbers: tuple[int, ...]) -> tuple[int, ...]:
        """Return the numbers that nodes of the body have in all of the network."""
        base, incoming, moves = self.base, self.incoming, self.moves
        if not moves:  # most nodes stand in no loop, and this is asked of each
            return tuple([base + one if one >= 0 else incoming[~one] for one in numbers])
        found: list[int] = []
        for one in numbers:
            if one < 0:
                found.append(incoming[~one])
            else:
                found.append(base + one + sum([by for floor, by in moves if one >= floor]))
        return tuple(found)

    def tail(self, item: Made | Instance | Opened) -> str:
        """Return the label or position of an item in its scope."""
        if not self.positions or item.position < 0:
            return item.tail
        scope = item.around if isinstance(item, Opened) else item.scope
        more = sum([by for opened, by in self.positions if opened is scope])
        return str(item.position + more)


def walk(root: Body, further: bool = True) -> Iterator[tuple[Item, At]]:
    """Yield all that a body makes, in order: a use of a block comes before what is in it.

    Nesting costs no Python stack. The last turn of a loop that was yielded is the one in which
    `At` gives numbers and positions. Without `further` turns each `Again` is yielded in the place
    of its turns.
    """
    at = At(root, 0, (), None, None)
    number = 0
    under_way: list[tuple[Iterator[Item], At]] = [(iter(root.items), at)]
    while under_way:
        items, at = under_way[-1]
        for item in items:
            if type(item) is Made:
                number += 1
                yield item, at
            elif type(item) is Instance:
                inner = At(item.body, number, at.numbers(item.incoming), at, item)
                yield item, inner
                under_way.append((iter(item.body.items), inner))
                break
            elif type(item) is Again and further:
                under_way.append((_turns(item, at), at))
                break
            else:
                if type(item) is Again:
                    number += item.times * item.size
                yield item, at
        else:
            under_way.pop()


def _turns(again: Again, at: At) -> Iterator[Item]:
    moves, positions = at.moves, at.positions
    items = at.body.items[again.first : again.last]
    for turn in range(1, again.times + 1):
        at.moves = (*moves, (again.start - again.size, turn * again.size))
        at.positions = (*positions, (again.scope, turn * again.positions))
        yield from items
    at.moves, at.positions = moves, positions  # what follows the loop stands in no turn of it
