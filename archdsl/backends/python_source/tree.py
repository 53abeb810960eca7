"""The modules of a network as a tree, and what each of them does in its forward pass.

A scope is *callable* if it can be a module with a forward pass of its own: its nodes follow each
other in the graph, something comes in and something goes out. Where that isn't so (a scope that is
filled at several places, a module that is applied again from elsewhere), the scope only holds
modules, and the scope around it calls them.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field

from archdsl.backends.python_source.errors import refuse_checkpoint
from archdsl.backends.python_source.names import positional
from archdsl.backends.python_source.replays import Event, events, home_of
from archdsl.graph import CheckedGraph, Node, Scope
from archdsl.layers.base import TorchModule, TorchTensor


@dataclass(eq=False, slots=True)
class Place:
    """A scope with all that happens in it. Filled in by `build`.

    Attributes:
        label: its last name: what its module is called in the module around it.
        children: what it holds, by label, in the order of the state_dict.
        steps: what its forward pass does, if it is callable.
        inputs: the tensors that come in, with what the block calls each or "": those that it
            declares in its order, then others in the order in which they are read.
        outputs: names of the tensors that are read outside, the last computed one first.
        first, last, count: places of its nodes in the order of the graph, and their number.
        entered: whether its call is among the steps of the scope around it.
        evaluated: whether any of its nodes is needed outside of training.
        again: it is computed again in the backward pass, for which it has to be a module.
    """

    scope: Scope
    parent: Place | None
    label: str
    first: int = -1
    last: int = -1
    count: int = 0
    callable: bool = True
    entered: bool = False
    evaluated: bool = False
    again: bool = False
    children: dict[str, Place | Node] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    inputs: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, None] = field(default_factory=dict)

    def holds(self, index: int) -> bool:
        """Tell whether the node at that place in the graph is in it."""
        return self.parent is None or self.first <= index <= self.last

    @property
    def owner(self) -> Place:
        """The nearest scope with a forward pass, itself included."""
        place = self
        while not place.callable and place.parent is not None:
            place = place.parent
        return place

    @property
    def is_group(self) -> bool:
        """Whether it is a `label: { ... }` and not the use of a block."""
        return self.parent is not None and not self.scope.block


@dataclass(slots=True)
class Step:
    """A statement of a forward pass: what a node computes, or the call of a scope's module."""

    what: Node | Place
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    training_only: bool


def label_of(node: Node) -> str:
    """Return the name of a node within its scope."""
    return node.name.rpartition(".")[2]


def first_node(what: Node | Place) -> str:
    """Return the name of a node, or of the first in a scope."""
    while isinstance(what, Place):
        inner: Node | Place | None = next(iter(what.children.values()), None)
        what = inner if inner is not None else what.steps[0].what
    return what.name


def build(checked: CheckedGraph, again: Set[str] = frozenset()) -> list[Place]:
    """Return the places of a network with everything in them, each before those within it.

    `again` are the scopes that are computed again in the backward pass.

    Raises:
        CompileError: one of these can't be a module.
    """
    opened: set[str] = set()
    while True:
        places, closed = _build(checked, opened, again)
        if not closed:
            for each in places:
                if each.again and not each.callable:
                    raise refuse_checkpoint(each.scope, bool(each.inputs))
            return [each for each in places if not each.parent or each.children or each.steps]
        opened |= closed


def _build(
    checked: CheckedGraph, opened: set[str], again: Set[str]
) -> tuple[list[Place], set[str]]:
    """Build all places; return the scopes as well that can't be applied again as one."""
    places = _places(checked)
    for name in again:
        places[name].again = True
    happens = events(checked, opened)
    index = dict.fromkeys(checked.inputs, -1)
    index |= {node.name: at for at, event in enumerate(happens) for node in event.nodes}
    homes = {node.name: event.home for event in happens for node in event.nodes}
    _extents(places, checked, happens)
    for event in happens:
        _let_callers_reach(places, event)
    for event in happens:
        _put(places, event)
    for name, labels in checked.registered.items():
        if name in places:
            _put_in_order(places[name], labels)
    for event in happens:
        _cross(places, homes, index, event)
    for output in checked.outputs:
        _leave(places[homes.get(output.node, "")], index, output.node)
        places[""].outputs[output.node] = None
    read = {name for event in happens for name in event.inputs}
    read |= {output.node for output in checked.outputs}
    for event in happens:
        _give_again(places, homes, read, event)
    names = list(checked.nodes)
    for place in places.values():
        _settle(place, index, names)
    if closed := {each.scope for each in happens if not places[each.scope].callable}:
        return [], closed
    training = _evaluate_again(places, checked, happens)
    for event in happens:
        _step(places, event, training)
    places[""].inputs = {name: name for name in checked.inputs}
    return list(places.values()), set()


def _settle(place: Place, index: dict[str, int], names: list[str]) -> None:
    """Decide whether a scope can have a forward pass, and order what that takes and gives.

    `names` are those of all nodes, in order.
    """
    declared: dict[str, str] = {}
    for own, node in place.scope.inputs:
        if names[node] in place.inputs:
            declared.setdefault(names[node], own)
    place.inputs = {**declared, **{name: "" for name in place.inputs if name not in declared}}
    if place.parent:
        computes = bool(place.inputs and place.outputs)
        if place.again:
            place.callable = place.callable and computes
        else:
            named = bool(place.children or place.scope.block)
            place.callable = place.callable and computes and named
            if place.is_group and len(place.outputs) > 1 and positional(list(place.children)):
                place.callable = False  # branches side by side: a list of modules
    inwards = sorted(place.outputs, key=lambda name: index[name])
    place.outputs = dict.fromkeys(inwards[-1:] + inwards[:-1])


def _places(checked: CheckedGraph) -> dict[str, Place]:
    """Make a place for every scope, and for those that only dotted labels name."""
    places = {"": Place(checked.scopes[""], None, "")}

    def place(name: str) -> Place:
        missing: list[str] = []
        while name not in places:
            missing.append(name)
            name = name.rpartition(".")[0]
        for each in reversed(missing):
            around = places[each.rpartition(".")[0]]
            scope = checked.scopes.get(each) or Scope(each, around.scope, "", checked.span)
            places[each] = Place(scope, around, each.rpartition(".")[2])
        return places[missing[0] if missing else name]

    for name in checked.scopes:
        place(name)
    for node in checked.nodes.values():
        place(home_of(node))
    return places


def _extents(places: dict[str, Place], checked: CheckedGraph, happens: list[Event]) -> None:
    """Find where the events of each scope lie, and whether they are all together."""
    for at, event in enumerate(happens):
        place = places[event.home]
        place.evaluated = place.evaluated or not _is_for_training(checked, event)
        place.first = at if place.count == 0 else place.first
        place.last = at
        place.count += 1
    for place in reversed(places.values()):
        around = place.parent
        if around is None or not place.count:
            continue
        around.first = place.first if not around.count else min(around.first, place.first)
        around.last = max(around.last, place.last)
        around.count += place.count
        around.evaluated = around.evaluated or place.evaluated
    for place in places.values():
        whole = place.last - place.first + 1 == place.count
        place.callable = place.parent is None or (place.count > 0 and whole)


def _is_for_training(checked: CheckedGraph, event: Event) -> bool:
    return all(node.name in checked.training_only for node in event.nodes)


def _evaluate_again(
    places: dict[str, Place], checked: CheckedGraph, happens: list[Event]
) -> Set[str]:
    """Return the nodes that run in training only, in all uses of their scope."""
    always: set[str] = set()
    for event in happens:
        for old, new in event.same.items():
            if old == new or new in checked.training_only:
                continue
            always.add(old)
            place = places[home_of(checked.nodes[old])]
            while place.scope.name.startswith(f"{event.scope}.") and place.parent:
                place.evaluated = True
                place = place.parent
    return checked.training_only - always


def _let_callers_reach(places: dict[str, Place], event: Event) -> None:
    """Open each scope from which a module outside of it is applied again."""
    shares = "" if event.scope else event.nodes[0].shares
    place = places[event.home]
    while shares and place.parent and not shares.startswith(f"{place.scope.name}."):
        place.callable = False
        place = place.parent


def _cross(
    places: dict[str, Place], homes: dict[str, str], index: dict[str, int], event: Event
) -> None:
    """Note which scopes each input of an event comes into, and which it leaves on its way."""
    for name in event.inputs:
        place = places[event.home]
        while place.parent and not (place.callable and place.holds(index[name])):
            place.inputs[name] = ""
            place = place.parent
        _leave(places[homes.get(name, "")], index, name, index[event.nodes[0].name])


def _leave(place: Place, index: dict[str, int], name: str, reader: int | None = None) -> None:
    """Note which scopes a tensor leaves on its way to an event, or out of the network."""
    while place.parent and not (place.callable and reader is not None and place.holds(reader)):
        place.outputs[name] = None
        place = place.parent


def _give_again(
    places: dict[str, Place], homes: dict[str, str], read: set[str], event: Event
) -> None:
    """Let a scope give whatever is read of it when it is applied again.

    What a scope within it gave when that one was applied again is the outer scope's to give.
    """
    again = {new: old for old, new in event.same.items()}
    for node in event.nodes if event.scope else ():
        if node.name not in read:
            continue
        place = places[homes[again[node.name]]]
        while place.scope.name != event.home and place.parent:
            place.outputs[again[node.name]] = None
            place = place.parent


def _put(places: dict[str, Place], event: Event) -> None:
    """Add a node to the modules of its scope, if it is one, and its scope to those around.

    A block that computes without modules is one all the same, since its name tells what it does.
    """
    place = places[event.home]
    node = event.nodes[0]
    own = not event.scope and not node.shares
    if own and isinstance(node.facts.torch, TorchModule | TorchTensor):
        place.children[label_of(node)] = node
    elif (place.is_group and not place.again) or not place.callable:
        return
    while place.parent and place.label not in place.parent.children:
        place.parent.children[place.label] = place
        place = place.parent


def _put_in_order(place: Place, labels: Sequence[str]) -> None:
    """Put the modules of a scope in the order that the spec asks for."""
    at = {label: number for number, label in enumerate(labels)}
    order = sorted(place.children, key=lambda label: at.get(label, len(at)))
    place.children = {label: place.children[label] for label in order}


def _step(places: dict[str, Place], event: Event, training: Set[str]) -> None:
    """Add an event to the forward pass that computes it, and that one's call to those around."""
    owner = places[event.home].owner
    training_only = all(node.name in training for node in event.nodes)
    if event.scope:
        called = places[event.scope]
        inputs = tuple(event.same.get(name, name) for name in called.inputs)
        outputs = tuple(event.same[name] for name in called.outputs)
        owner.steps.append(Step(called, inputs, outputs, training_only))
    else:
        node = event.nodes[0]
        owner.steps.append(Step(node, node.inputs, (node.name,), training_only))
    calls: list[tuple[Place, Place]] = []
    while not owner.entered and owner.parent is not None:
        owner.entered = True
        around = owner.parent.owner
        calls.append((around, owner))
        owner = around
    for around, called in calls:
        step = Step(called, tuple(called.inputs), tuple(called.outputs), not called.evaluated)
        around.steps.append(step)
