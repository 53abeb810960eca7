"""From bodies to a graph: all nodes in order, each with its name, when somebody asks for them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from archdsl.diagnostics import Use
from archdsl.elaborate.bodies import Again, At, Body, Instance, Made, Way, walk
from archdsl.elaborate.naming import Opened
from archdsl.graph import Arrays, Loop, Node, Outline, Scope, Tie
from archdsl.layers.base import Facts, Layer


class Flat:
    """All that a network is made of, worked out when it is asked for."""

    def __init__(self, root: Body) -> None:
        self.root = root
        self._nodes: Mapping[str, Node] | None = None

    @cached_property
    def arrays(self) -> Arrays:
        """What there is to know of the nodes but for their names."""
        return _arrays(self.root)

    def outline(self, exact: bool = False) -> Outline:
        """Return the names of the nodes, and the scopes around them.

        Unless it is to be exact, that of a node in a loop may be the one around the loop.
        """
        found = self._short
        if found is None or (exact and not found.even):
            found = self._full
        return Outline(found.names, found.around)

    def nodes(self) -> Mapping[str, Node]:
        """Return the nodes by name."""
        if self._nodes is None:
            self._nodes = self._full.nodes(self.arrays)
        return self._nodes

    def scopes(self) -> Mapping[str, Scope]:
        """Return the scopes by name."""
        return self._full.scopes

    def registered(self) -> Mapping[str, tuple[str, ...]]:
        """Return the labels of scopes whose order in the state_dict is given."""
        return self._full.registered

    def name(self, number: int) -> str:
        """Return the name of a node."""
        return self.outline().names[number]

    @cached_property
    def _short(self) -> _Naming | None:
        if not self.arrays.loops:
            return self._full
        found = _Naming(self.root, further=False)
        return found if found.name_all() else None

    @cached_property
    def _full(self) -> _Naming:
        found = _Naming(self.root, further=True)
        found.name_all()
        return found


def _arrays(root: Body) -> Arrays:
    layers: list[Layer] = []
    facts: list[Facts] = []
    reads: list[tuple[int, ...]] = []
    shares: dict[int, int] = {}
    ties: dict[int, tuple[int, ...]] = {}
    loops: list[Loop] = []
    for item, at in walk(root, further=False):
        if type(item) is Made:
            number = len(layers)
            if item.shares >= 0:
                (shares[number],) = at.numbers((item.shares,))
            if item.ties:
                owners = tuple([owner for _, _, owner, _ in item.ties])
                ties[number] = at.numbers(owners)
            layers.append(item.layer)
            facts.append(item.facts)
            read = at.numbers(item.inputs)
            reads.append(read)
            if loops:
                _read(read, loops)
                _read(ties.get(number, ()), loops)
                _read((shares.get(number, -1),), loops)
        elif type(item) is Again:
            size, times, first = item.size, item.times, len(layers) - item.size
            floor, turn = first - size, reads[first:]
            layers += layers[first:] * times
            facts += facts[first:] * times
            moves = range(size, (times + 1) * size, size)
            for by in moves:
                reads += [tuple([n + by if n >= floor else n for n in read]) for read in turn]
            for more in (shares, ties) if shares or ties else ():
                _repeat(more, first, size, moves)
            inner: list[Loop] = []
            while loops and loops[-1].first >= first:
                inner.append(loops.pop())
            inner.reverse()
            for read in turn:  # what a turn reads of the one before, it reads in all of them
                _read(tuple([n + size for n in read if floor <= n < first]), inner)
            loops.append(Loop(first, size, times + 1, tuple(inner)))
    return Arrays(layers, facts, reads, shares, ties, tuple(loops))


def _read(numbers: tuple[int, ...], loops: list[Loop]) -> None:
    """Forget a loop of which something before its end is read from behind it."""
    for number in numbers:
        at = bisect_right(loops, number, key=_first) - 1
        if at >= 0 and loops[at].hides(number):
            del loops[at]


def _first(loop: Loop) -> int:
    return loop.first


def _repeat(more: dict[int, Any], first: int, size: int, moves: range) -> None:
    """Say of further turns of a loop what is known of some nodes of the first: whose they share."""
    floor = first - size
    turn = {number: owners for number, owners in more.items() if number >= first}
    for by in moves:
        for number, owners in turn.items():
            if isinstance(owners, tuple):
                more[number + by] = tuple([n + by if n >= floor else n for n in owners])
            else:
                more[number + by] = owners + by if owners >= floor else owners


class _Naming:
    """Names all nodes and scopes. Of a body that is used often each use has its own.

    Without `further` turns, only the names of what is in these are made, of those in the first.

    Attributes:
        names, around, positions: of each node its name, its scope, and its position in that if it
            is a stage without a label, else -1. In further turns what is known of the innermost
            scope may be the one around the loop, with the position that the turn has there.
        even: that is so nowhere.
        scopes: by name.
    """

    def __init__(self, root: Body, further: bool) -> None:
        self.root = root
        self.further = further
        self.names: list[str] = []
        self.around: list[Scope] = []
        self.positions: list[int] = []
        self.even = True
        self.scopes: dict[str, Scope] = {}
        self.registered: dict[str, tuple[str, ...]] = {}
        self.inside: dict[At, dict[Opened | None, Scope]] = {}  # the scopes of each use of a body
        self.trails: dict[At, dict[int, tuple[Use, ...]]] = {}
        self.made: list[tuple[Made, At]] = []
        self.placed: dict[Scope, int] = {}  # positions of scopes in those around them
        self.opened: list[tuple[int, Scope]] = []  # with how many nodes came before
        self.numbered = False  # a scope in a loop may be called `add_2`, as wiring is
        # what has no name of its own: wiring with its scope and word, and what `reuse` makes with
        # the number of the node whose module is applied again
        self.stems: dict[int, str] = {}
        self.shares: dict[int, int] = {}

    def name_all(self) -> bool:
        """Name all, or return False if that needs all turns."""
        for item, at in walk(self.root, self.further):
            if type(item) is Made:
                self.node(item, at)
            elif isinstance(item, Instance):
                assert at.outer is not None
                self.open(self.enter(item, at, at.outer), item.position)
            elif isinstance(item, Opened):
                inside = self.within(at)
                around = inside[item.around]
                name = around.full_name(at.tail(item))
                inside[item] = Scope(name, around, "", item.span)
                self.open(inside[item], item.position)
                self.register(at, item, name)
            elif type(item) is Again and not self.repeat(item, self.within(at)[item.scope]):
                return False
        if self.stems and self.numbered:
            return False  # the names of scopes in further turns aren't known here
        self.name_others()
        return True

    def open(self, scope: Scope, position: int) -> None:
        self.scopes[scope.name] = scope
        if not self.further:
            self.opened.append((len(self.names), scope))
            self.placed[scope] = position

    def node(self, made: Made, at: At) -> None:
        number, scope = len(self.names), self.within(at)[made.scope]
        if made.like >= 0:  # `reuse` leaves what it makes in the scope of what it repeats
            scope = self.around[at.numbers((made.like,))[0]]
        self.around.append(scope)
        self.names.append(scope.full_name(at.tail(made)) if made.tail else "")
        if made.shares >= 0:
            (self.shares[number],) = at.numbers((made.shares,))
        elif not made.tail:
            self.stems[number] = scope.full_name(made.layer.word or type(made.layer).__name__)
        if self.further:
            self.made.append((made, at))
        else:
            self.positions.append(made.position)

    def repeat(self, again: Again, loop: Scope) -> bool:
        """Name what is in further turns of a loop: only positions in its scope are others there.

        Return False if that isn't so.
        """
        size, times, by = again.size, again.times, again.positions
        first, prefix = len(self.names) - size, loop.full_name("")
        if self.shares or not by:
            return False
        names, positions = [""] * (size * times), [-1] * (size * times)
        for inside in range(size):
            number = first + inside
            later = range(number + size, number + size * times + 1, size)
            place = self.place(self.around[number], self.positions[number], loop)
            name, stem = self.names[number], self.stems.get(number, "")
            if place is None or (place < 0 and name):
                return False
            if place < 0:  # wiring that stands in the scope of the loop itself
                self.stems |= dict.fromkeys(later, stem)
                continue
            places = range(place + by, place + by * times + 1, by)
            positions[inside::size] = places
            rest = (name or stem)[len(prefix) + len(str(place)) :]
            moved = [f"{prefix}{one}{rest}" for one in places]
            if name:
                names[inside::size] = moved
            else:
                self.stems |= zip(later, moved, strict=True)
        for before, scope in reversed(self.opened):
            if before < first:
                break
            self.numbered = self.numbered or (self.placed[scope] < 0 and "_" in scope.name)
        self.even = self.even and all(scope is loop for scope in self.around[first:])
        self.names += names
        self.positions += positions
        self.around += [loop] * (size * times)
        return True

    def place(self, scope: Scope | None, position: int, loop: Scope) -> int | None:
        """Return the position in the scope of a loop of what is in another one, at a position.

        It is -1 if it has a label there, and None if it isn't in it at all.
        """
        while scope is not loop:
            if scope is None:
                return None
            position, scope = self.placed.get(scope, -1), scope.parent
        return position

    def name_others(self) -> None:
        """Name wiring after its scope and word, and what `reuse` makes, numbered where needed."""
        if not self.stems and not self.shares:
            return
        free = _Free({*self.names, *self.scopes})
        for number in sorted({*self.stems, *self.shares}):
            if number in self.shares:
                name = free.name(f"{self.names[self.shares[number]]}@", first=2)
            else:
                name = free.name(self.stems[number], first=1)
            free.taken.add(name)
            self.names[number] = name

    def nodes(self, arrays: Arrays) -> dict[str, Node]:
        """Return all nodes by name."""
        names, found = self.names, {}
        rows = zip(names, self.made, arrays.reads, self.around, strict=True)
        for number, (name, (made, at), reads, scope) in enumerate(rows):
            shares = arrays.shares.get(number, -1)
            found[name] = Node(
                name,
                made.label,
                made.layer,
                tuple([names[read] for read in reads]),
                made.facts,
                scope,
                made.span,
                self.trail(made.way, at),
                names[shares] if shares >= 0 else "",
                tuple(
                    Tie(own, place, names[owner], of)
                    for (own, place, _, of), owner in zip(
                        made.ties, arrays.ties.get(number, ()), strict=True
                    )
                ),
            )
        return found

    def within(self, at: At) -> dict[Opened | None, Scope]:
        """Return the scopes of a use of a body, of which the first is the network's or block's."""
        found = self.inside.get(at)
        if found is None:
            body = at.body
            scope = Scope("", None, body.block, body.span, body.arguments, body.description)
            self.scopes[""] = scope
            found = self.inside[at] = {None: scope}
            self.register(at, None, "")
        return found

    def enter(self, item: Instance, at: At, outer: At) -> Scope:
        body = at.body
        around = self.within(outer)[item.scope]
        numbers = at.numbers(tuple([number for _, number in body.inputs]))
        scope = Scope(
            around.full_name(outer.tail(item)),
            around,
            body.block,
            body.span,
            body.arguments,
            body.description,
            tuple([(name, at) for (name, _), at in zip(body.inputs, numbers, strict=True)]),
        )
        self.inside[at] = {None: scope}
        self.register(at, None, scope.name)
        return scope

    def register(self, at: At, opened: Opened | None, name: str) -> None:
        if (labels := at.body.registered.get(opened)) is not None:
            self.registered[name] = labels

    def trail(self, way: Way | None, at: At) -> tuple[Use, ...]:
        """Return the uses of blocks that led to a node, innermost first."""
        known = self.trails.setdefault(at, {})
        new: list[Way] = []
        while way is not None and id(way) not in known:
            new.append(way)
            way = way.outer
        trail = known.get(id(way)) if way is not None else self.trail_to(at)
        assert trail is not None
        for one in reversed(new):
            trail = known[id(one)] = (Use(one.name, one.span), *trail)
        return trail

    def trail_to(self, at: At) -> tuple[Use, ...]:
        """Return the uses of blocks that led to a use of a body, that one included."""
        known = self.trails.setdefault(at, {})
        if 0 not in known:
            instance, outer = at.instance, at.outer
            if instance is None or outer is None:
                known[0] = ()
            else:
                scope = self.within(at)[None]
                known[0] = (Use(scope.name, instance.span), *self.trail(instance.way, outer))
        return known[0]


class _Free:
    """Finds names that nothing has."""

    def __init__(self, taken: set[str]) -> None:
        self.taken = taken
        self.counts: dict[str, int] = {}

    def name(self, stem: str, first: int) -> str:
        """Return the next name with that stem; a stem that ends in `@` is always numbered."""
        while True:
            count = self.counts[stem] = self.counts.get(stem, first - 1) + 1
            name = f"{stem}{count}" if stem.endswith("@") else f"{stem}_{count}"
            name = stem if count == 1 else name
            if name not in self.taken:
                return name
