"""What becomes of each scope: a class, an `nn.Sequential` where it stands, or a list of modules."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from archdsl.backends.python_source.errors import refuse_reserved
from archdsl.backends.python_source.names import (
    DICT_ATTRIBUTES,
    LIST_ATTRIBUTES,
    attribute,
    is_attribute,
    is_number,
    is_reserved,
    positional,
    quoted,
    snake_case,
    unique,
    variable,
)
from archdsl.backends.python_source.tree import Place, Step, label_of
from archdsl.graph import Node
from archdsl.layers.base import TorchFunction, TorchModule, TorchTensor
from archdsl.layers.homes import is_own

DEFAULT_CALL = "{module}({inputs})"
PLAIN = re.compile("[A-Za-z0-9_]+")
DEEPER = re.compile(r'(.*)\.get_submodule\("([A-Za-z0-9_.]+)"\)')
DEEPEST_INLINE = 2  # lists within lists that are written where they stand


class Form(Enum):
    """What a scope is written as."""

    CLASS = "a class with a forward pass"
    CHAIN = "a class that is an nn.Sequential"
    HOLDER = "a class that only holds modules"
    SEQUENTIAL = "nn.Sequential where it stands"
    LIST = "nn.ModuleList where it stands"

    @property
    def inline(self) -> bool:
        """Whether it is written within the class around it."""
        return self in (Form.SEQUENTIAL, Form.LIST)


@dataclass(eq=False, slots=True)
class Shaped:
    """A place with its form.

    Attributes:
        members: what each child is called in the module: its label, save for layers without
            parameters that have none. Equal ones of those share a name and so a module.
        inner: the scopes within, by label.
        inline_depth: how many lists are written within each other here.
        positional: whether its children are numbered as those of a list.
        keyed: whether it is an `nn.ModuleDict`, since some of its modules can't be attributes.
    """

    place: Place
    form: Form
    members: dict[str, str] = field(default_factory=dict)
    inner: dict[str, Shaped] = field(default_factory=dict)
    inline_depth: int = 0
    positional: bool = False
    keyed: bool = False


def shape(places: Sequence[Place], overwriting: Container[str]) -> dict[str, Shaped]:
    """Decide the form of every scope; by name, those within before those around.

    `overwriting` are the nodes whose modules work in place.

    Raises:
        CompileError: a label is one that torch keeps for itself.
    """
    shaped: dict[str, Shaped] = {}
    for place in reversed(places):
        inner = {
            label: shaped[child.scope.name]
            for label, child in place.children.items()
            if isinstance(child, Place)
        }
        shaped[place.scope.name] = found = _shaped(place, inner)
        found.positional = positional(list(place.children))
        _name_members(found, overwriting)
        found.keyed = _is_keyed(found)
    return shaped


def _is_keyed(shaped: Shaped) -> bool:
    """Tell whether `self["0"]` is needed, and possible, to reach some of its modules."""
    if shaped.form not in (Form.CLASS, Form.HOLDER):
        return False
    if DICT_ATTRIBUTES.intersection(shaped.members.values()):
        return False
    children = shaped.place.children.items()
    modules = (shaped.members[label] for label, child in children if not _is_tensor(child))
    return not all(map(is_attribute, modules))


def _shaped(place: Place, inner: dict[str, Shaped]) -> Shaped:
    depth = 1 + max((each.inline_depth for each in inner.values()), default=0)
    if not place.callable:
        modules = all(not _is_tensor(child) for child in place.children.values())
        if modules and positional(list(place.children)) and depth <= DEEPEST_INLINE:
            return Shaped(place, Form.LIST, inner=inner, inline_depth=depth)
        return Shaped(place, Form.HOLDER, inner=inner)
    if not _is_chain(place) and not _list_functions(place):
        return Shaped(place, Form.CLASS, inner=inner)
    labels = list(place.children)
    listed = not LIST_ATTRIBUTES.intersection(labels)
    if place.is_group and listed and depth <= DEEPEST_INLINE:
        return Shaped(place, Form.SEQUENTIAL, inner=inner, inline_depth=depth)
    return Shaped(place, Form.CHAIN if positional(labels) else Form.CLASS, inner=inner)


def _is_chain(place: Place) -> bool:
    """Tell whether a scope does nothing but call each of its modules on what the last one gave."""
    if len(place.inputs) != 1 or len(place.steps) != len(place.children):
        return False
    flow = tuple(place.inputs)
    for step, child in zip(place.steps, place.children.values(), strict=True):
        if step.what is not child or step.inputs != flow or len(step.outputs) != 1:
            return False
        if step.training_only and place.evaluated:
            return False
        if child.again if isinstance(child, Place) else not _is_plain(child):
            return False
        flow = step.outputs
    return flow == tuple(place.outputs)


def _list_functions(place: Place) -> bool:
    """Make functions that stand between modules modules as well, and tell if all are a chain then.

    `nn.Flatten` in an `nn.Sequential` reads better than a class with a forward pass.
    """
    steps: list[Step] = []
    children: dict[str, Place | Node] = {}
    for step in place.steps:
        what = step.what
        label = what.label if isinstance(what, Place) else label_of(what)
        if place.children.get(label) is not what:
            if isinstance(what, Place) or not (node := _as_module(what)):
                return False
            what = node
        children[label] = what
        steps.append(replace(step, what=what))
    in_order = [label for label in children if label in place.children] == list(place.children)
    listed = in_order and (place.is_group or positional(list(children)))
    if not listed or not _is_chain(replace(place, steps=steps, children=children)):
        return False
    place.steps, place.children = steps, children
    return True


def _as_module(node: Node) -> Node | None:
    torch = node.facts.torch
    if not isinstance(torch, TorchFunction) or not torch.module or node.shares:
        return None
    return replace(node, facts=node.facts._replace(torch=torch.module))


def _is_plain(node: Node) -> bool:
    torch = node.facts.torch
    return isinstance(torch, TorchModule) and torch.call == DEFAULT_CALL


def _is_tensor(child: Place | Node) -> bool:
    return isinstance(child, Node) and not isinstance(child.facts.torch, TorchModule)


def _name_members(shaped: Shaped, overwriting: Container[str]) -> None:
    """Find a name for every child; those with parameters keep their labels."""
    unnamed: list[tuple[str, Node]] = []
    listed = shaped.form in (Form.CHAIN, Form.LIST) or (
        shaped.form is Form.SEQUENTIAL and shaped.positional
    )
    for label, child in shaped.place.children.items():
        node = child if isinstance(child, Node) else None
        held = node and (node.facts.params or node.facts.buffers or node.ties)
        stateless = node is not None and not held
        if not listed and node and stateless and is_number(label):
            unnamed.append((label, node))
            continue
        if is_reserved(label):
            if isinstance(child, Node):
                raise refuse_reserved(label, child)
            raise refuse_reserved(label, _any_node(child), child.scope)
        shaped.members[label] = label
    shared: dict[object, str] = {}
    taken = set(shaped.members.values())
    for label, node in unnamed:
        torch = node.facts.torch
        assert isinstance(torch, TorchModule)
        given = repr((torch.positional, sorted(torch.keywords.items())))
        key: object = (torch.target, given, node.name in overwriting)
        if shaped.form is Form.SEQUENTIAL or is_own(type(node.layer)):
            key = label  # a place of a list is a module of its own; a user's may keep a state
        if key not in shared:
            plain = variable(snake_case(torch.target.rpartition(".")[2])) or "layer"
            shared[key] = unique(f"{plain}_" if is_reserved(plain) else plain, taken)
            taken.add(shared[key])
        shaped.members[label] = shared[key]


def _any_node(place: Place) -> Node:
    """Return a node of a scope, to point at."""
    waiting: list[Place | Node] = list(place.children.values())
    for each in waiting:
        if isinstance(each, Node):
            return each
        waiting += [*each.children.values(), *(step.what for step in each.steps)]
    raise AssertionError(f"{place.scope.name} is empty")


def path_to(shaped: Shaped, name: str, owner: str = "self") -> str:
    """Return the expression for a module below a class, given its name from there on."""
    expression = owner
    rest = name
    while rest:
        label, child = _next(shaped, rest)
        rest = rest[len(label) + 1 :]
        expression = _step_into(shaped, expression, label)
        if child is not None:
            shaped = child
    return expression


def _next(shaped: Shaped, rest: str) -> tuple[str, Shaped | None]:
    """Return the child that the rest of a path begins with; labels hold no dots."""
    label = rest.partition(".")[0]
    return label, shaped.inner.get(label)


def _step_into(shaped: Shaped, expression: str, label: str) -> str:
    listed = shaped.positional and (shaped.form.inline or shaped.form is Form.CHAIN)
    name = label if listed else shaped.members[label]
    if expression.endswith(("]", ")")):  # a module of any kind, for all that mypy knows
        getter = _getter(shaped.place.children[label])
        path = DEEPER.fullmatch(expression) if PLAIN.fullmatch(name) else None
        if path and getter == "get_submodule":
            return f'{path[1]}.get_submodule("{path[2]}.{name}")'
        return f"{expression}.{getter}({quoted(name)})"
    if listed:
        return f"{expression}[{label}]"
    if shaped.keyed and not is_attribute(name) and not _is_tensor(shaped.place.children[label]):
        return f"{expression}[{quoted(name)}]"
    if shaped.form.inline:  # of an attribute of a list mypy doesn't know that it can be called
        return f"{expression}.get_submodule({quoted(name)})"
    return attribute(expression, name, _getter(shaped.place.children[label]))


def _getter(child: Place | Node) -> str:
    torch = child.facts.torch if isinstance(child, Node) else None
    if not isinstance(torch, TorchTensor):
        return "get_submodule"
    return "get_parameter" if torch.learnable else "get_buffer"


def paths(everything: Mapping[str, Shaped]) -> dict[str, str]:
    """Return where the module of each node is, for those that are not where their name says."""
    moved: dict[str, str] = {}
    for name, shaped in everything.items():
        for label, member in shaped.members.items():
            if member != label:
                prefix = f"{name}." if name else ""
                moved[prefix + label] = prefix + member
    return moved
