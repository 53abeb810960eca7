"""From bodies to a graph: all nodes in order, each with its name, when somebody asks for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from archdsl.diagnostics import Use
from archdsl.elaborate.bodies import At, Body, Instance, Made, Way, walk
from archdsl.elaborate.naming import Opened
from archdsl.graph import Arrays, Node, Scope, Tie
from archdsl.layers.base import Facts, Layer


class Flat:
    """All that a network is made of, worked out when it is asked for."""

    def __init__(self, root: Body) -> None:
        self.root = root
        self._named: _Named | None = None
        self._arrays: Arrays | None = None

    def nodes(self) -> Mapping[str, Node]:
        """Return the nodes by name."""
        return self._all().nodes

    def scopes(self) -> Mapping[str, Scope]:
        """Return the scopes by name."""
        return self._all().scopes

    def registered(self) -> Mapping[str, tuple[str, ...]]:
        """Return the labels of scopes whose order in the state_dict is given."""
        return self._all().registered

    def name(self, number: int) -> str:
        """Return the name of a node."""
        return self._all().names[number]

    def arrays(self) -> Arrays:
        """Return what there is to know of the nodes but for their names."""
        if self._arrays is None:
            self._arrays = _arrays(self.root)
        return self._arrays

    def _all(self) -> _Named:
        if self._named is None:
            self._named = _Naming(self.root).all()
        return self._named


def _arrays(root: Body) -> Arrays:
    layers: list[Layer] = []
    facts: list[Facts] = []
    reads: list[tuple[int, ...]] = []
    shares: dict[int, int] = {}
    ties: dict[int, tuple[int, ...]] = {}
    for item, at in walk(root):
        if type(item) is Made:
            if item.shares >= 0:
                (shares[len(layers)],) = at.numbers((item.shares,))
            if item.ties:
                owners = tuple([owner for _, _, owner, _ in item.ties])
                ties[len(layers)] = at.numbers(owners)
            layers.append(item.layer)
            facts.append(item.facts)
            reads.append(at.numbers(item.inputs))
    return Arrays(layers, facts, reads, shares, ties)


@dataclass(slots=True)
class _Named:
    names: list[str] = field(default_factory=list)
    nodes: dict[str, Node] = field(default_factory=dict)
    scopes: dict[str, Scope] = field(default_factory=dict)
    registered: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(slots=True)
class _Nameless:
    """A node where it is used, with all but its name: numbers are those of the network."""

    made: Made
    at: At
    scope: Scope
    name: str  # "" for wiring and for what `reuse` makes
    inputs: tuple[int, ...]
    shares: int
    tied: tuple[int, ...]  # the nodes of whose parameters its module has some


class _Naming:
    """Names all nodes and scopes. Of a body that is used often each use has its own."""

    def __init__(self, root: Body) -> None:
        self.root = root
        self.found = _Named()
        self.inside: dict[At, dict[Opened | None, Scope]] = {}  # the scopes of each use of a body
        self.trails: dict[At, dict[int, tuple[Use, ...]]] = {}
        self.nameless: list[_Nameless] = []

    def all(self) -> _Named:
        scopes = self.found.scopes
        for item, at in walk(self.root):
            if type(item) is Made:
                self.nameless.append(self.node(item, at))
            elif isinstance(item, Instance):
                assert at.outer is not None
                scope = self.enter(item, at, at.outer)
                scopes[scope.name] = scope
            elif isinstance(item, Opened):
                inside = self.within(at)
                around = inside[item.around]
                name = around.full_name(at.tail(item))
                scopes[name] = inside[item] = Scope(name, around, "", item.span)
                self.register(at, item, name)
        self.name()
        return self.found

    def node(self, made: Made, at: At) -> _Nameless:
        shares, scope = -1, self.within(at)[made.scope]
        if made.like >= 0:  # `reuse` leaves what it makes in the scope of what it repeats
            scope = self.nameless[at.numbers((made.like,))[0]].scope
        if made.shares >= 0:
            (shares,) = at.numbers((made.shares,))
        name = scope.full_name(at.tail(made)) if made.tail else ""
        tied = at.numbers(tuple([owner for _, _, owner, _ in made.ties])) if made.ties else ()
        return _Nameless(made, at, scope, name, at.numbers(made.inputs), shares, tied)

    def within(self, at: At) -> dict[Opened | None, Scope]:
        """Return the scopes of a use of a body, of which the first is the network's or block's."""
        found = self.inside.get(at)
        if found is None:
            body = at.body
            scope = Scope("", None, body.block, body.span, body.arguments, body.description)
            self.found.scopes[""] = scope
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
            self.found.registered[name] = labels

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

    def name(self) -> None:
        """Make the nodes. Wiring is named after its scope and word, numbered where needed."""
        free = _Free({*(each.name for each in self.nameless), *self.found.scopes})
        names, nodes = self.found.names, self.found.nodes
        for each in self.nameless:
            made, name, shares = each.made, each.name, ""
            if each.shares >= 0:
                shares = names[each.shares]
                name = free.name(f"{shares}@", first=2)
            elif not name:
                word = made.layer.word or type(made.layer).__name__
                name = free.name(each.scope.full_name(word), first=1)
            free.taken.add(name)
            names.append(name)
            nodes[name] = Node(
                name,
                made.label,
                made.layer,
                tuple([names[number] for number in each.inputs]),
                made.facts,
                each.scope,
                made.span,
                self.trail(made.way, each.at),
                shares,
                tuple(
                    Tie(own, place, names[owner], of)
                    for (own, place, _, of), owner in zip(made.ties, each.tied, strict=True)
                ),
            )


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
