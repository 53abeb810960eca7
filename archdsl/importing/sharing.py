"""Says which of several uses of a module, or of its weights, is the first one as they are written.

Branches are written in another order than a module computes them in: the longer one of a sum
comes first. What is written first has the parameters; what comes later is a `reuse` of it, or a
layer whose weights are tied to it (`weight = from embed.weight`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from archdsl.importing.bodies import Body, Node
from archdsl.importing.making import Unsayable
from archdsl.importing.naming import written
from archdsl.importing.tree import (
    From,
    Part,
    Reference,
    Reuse,
    Stage,
    Statement,
    Tie,
    Weight,
    bodies_of,
    everything,
    in_scope,
)

Scopes = tuple[Part, ...]  # the bodies that something stands in, outermost first


def dissolve(body: Body) -> None:
    """Take bodies apart that would have to be blocks, and use what others hold.

    What takes or gives several tensors is no group, and no name leads out of a block.
    """
    found: list[Node | Body] = []
    for item in body.items:
        found.append(item)
        if isinstance(item, Body):
            dissolve(item)
            if (len(item.inputs) != 1 or len(item.outputs) > 1) and leads_out(item):
                found[-1:] = item.items
    body.items = found


def leads_out(body: Body) -> bool:
    """Tell whether a body uses modules or weights of which others are the first to do so."""
    inner = f"{body.path}."
    return any(
        not name.startswith(inner)
        for node in body.nodes()
        for name in (*node.ties.values(), *([node.path] if node.again and node.owns else ()))
    )


def settle(statements: list[Statement], body: Body) -> None:
    """Replace all uses of a module but the first that is written by a `reuse` of that one.

    Raises:
        Unsayable: a name from one use to the other would reach too far, or both differ.
    """
    Sharing(statements, body).settle()


class Sharing:
    """The modules of one network whose uses or weights are several."""

    def __init__(self, statements: list[Statement], body: Body) -> None:
        self.statements = statements
        self.first: dict[str, Stage | Part] = {}  # uses of modules by their paths
        self.replaced: dict[Statement, Reuse] = {}
        self.owners: dict[str, str] = {}  # parameters: by one of their names the one written first
        self.names: dict[str, dict[str, str]] = defaultdict(dict)
        for node in body.nodes():
            for name, of in node.ties.items():
                self.names[node.path][name] = of
                home, _, own = of.rpartition(".")
                self.names[home][own] = of

    def settle(self) -> None:
        """Go through all that is written, and let names lead to what stands there then."""
        self.walk(self.statements, ())
        for reference in references(self.statements):
            again = self.replaced.get(reference.to)
            if again is None:
                continue
            if reference.output:
                raise Unsayable(f"`{again.path}`, of whose later use several results are taken")
            reference.to, again.named = again, True

    def walk(self, statements: list[Statement], scopes: Scopes) -> None:
        """Go through statements in the order in which they are written."""
        for at, one in enumerate(statements):
            if isinstance(one, Stage | Part) and (path := path_of(one)):
                if path in self.first:
                    statements[at] = self.again(one, path, scopes)
                    continue
                self.first[path] = one
                if isinstance(one, Stage):
                    self.tie(one, path, scopes)
                elif any(known.startswith(f"{path}.") for known in self.first):
                    raise Unsayable(f"`{path}`, of which a part is applied by itself before")
            inner = (*scopes, one) if isinstance(one, Part) else scopes
            for body in bodies_of(one):
                self.walk(body, inner)

    def again(self, one: Stage | Part, path: str, scopes: Scopes) -> Reuse:
        """Return what stands for a later use of a module."""
        first = self.first[path]
        if does(first) != does(one):
            raise Unsayable(f"`{path}`, which does something else when it is applied again")
        first.named = True
        found = Reuse(name=self.reach(path, scopes), path=path, named=one.named)
        self.replaced[one] = found
        return found

    def tie(self, one: Stage, path: str, scopes: Scopes) -> None:
        """Tie the parameters of a layer to those of layers that are written before it."""
        for name, same in self.names.get(path, {}).items():
            own = f"{path}.{name}"
            owner = self.owners.setdefault(same, own)
            if owner != own:
                one.arguments[name] = Tie(f"from {self.reach(owner, scopes)}")
                holder = self.first[owner.rpartition(".")[0]]
                holder.named = True

    def reach(self, path: str, scopes: Scopes) -> str:
        """Return the name of something from within some bodies, which are no blocks then."""
        left = [*scopes]
        while left and not path.startswith(f"{place(left[-1])}."):
            left.pop()
        home = f"{place(left[-1])}." if left else ""
        name = path.removeprefix(home)
        for part in scopes[len(left) :]:
            part.bound = True
            hides = {each.path.split(".")[0] for each in in_scope(part.statements)}
            if name.split(".")[0] in hides:
                raise Unsayable(f"`{path}`, whose name another one hides where it is used again")
        return written(name)


def place(part: Part) -> str:
    """Return where a module stands in the network."""
    return part.body.path if part.body is not None else ""


def path_of(one: Stage | Part) -> str:
    """Return where the module stands that a statement applies; "" if it keeps nothing."""
    if isinstance(one, Part):
        return place(one)
    return one.node.path if one.node is not None and one.node.owns else ""


def does(one: Stage | Part) -> list[object]:
    """Return what a statement does, whatever comes in."""
    nodes: Iterable[Node] = ()
    if isinstance(one, Part) and one.body is not None:
        nodes = one.body.nodes()
    elif isinstance(one, Stage) and one.node is not None:
        nodes = [one.node]
    return [node.signature() for node in nodes]


def references(statements: list[Statement]) -> Iterable[Reference]:
    """Yield the names by which statements refer to others."""
    for one in everything(statements):
        if isinstance(one, From):
            yield from one.references
        elif isinstance(one, Stage):
            yield from (held.of for held in one.arguments.values() if isinstance(held, Weight))
