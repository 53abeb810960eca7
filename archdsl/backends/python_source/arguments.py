"""The arguments of the network's class: parameters of the network, such as `classes`.

A parameter can be one if layers take it as it is and nothing else depends on it. Whether that is
so shows when the network is worked out once more with the parameter left open: then each size
that depends on it is a formula, and a decision that depends on it is an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from archdsl.diagnostics import ArchError
from archdsl.graph import CheckedGraph, Node, Scope
from archdsl.layers.base import Torch, TorchModule, squeeze
from archdsl.layers.sizes import Formula
from archdsl.layers.traced import formula_of

MOST_TRIED = 8  # parameters, since each takes as long as to work out the network


@dataclass(frozen=True, slots=True)
class Argument:
    """A number that is the value of a parameter of the network.

    Attributes:
        formula: of the number, as the block sees it in which it stands.
    """

    name: str
    value: int
    formula: object = field(default=None, compare=False)


class _Needed(Exception):
    """More depends on a parameter than numbers that layers take as they are."""


def with_trace(checked: CheckedGraph) -> CheckedGraph:
    """Return the same graph with numbers that know how the spec makes them, if it has one."""
    if checked.again is None or checked.trace is not None:
        return checked
    try:
        traced = checked.again({}, True)
    except ArchError:  # what follows numbers takes more steps, and there may be none left
        return checked
    same = [*traced.nodes] == [*checked.nodes] and [*traced.scopes] == [*checked.scopes]
    return replace(traced, again=checked.again) if same else checked


def with_arguments(checked: CheckedGraph) -> CheckedGraph:
    """Return the graph with an `Argument` in the place of each number that is a parameter."""
    if checked.again is None:
        return checked
    free = {name for shape in checked.inputs.values() for name in _names(shape)}
    numbers = [
        Argument(name, value)
        for name, value in checked.arguments.items()
        if type(value) is int and name not in free
    ]
    found = checked
    taken: tuple[Argument, ...] = ()
    given = _given(checked)
    for argument in (each for each in numbers[:MOST_TRIED] if each.value in given):
        tried = (*taken, argument)
        try:
            general = checked.again({each.name: _left_open(each) for each in tried}, False)
            found, taken = _merged(checked, general, tried), tried
        except (ArchError, _Needed):
            continue
    return found


def _given(checked: CheckedGraph) -> set[float]:
    """Return the numbers that layers are given: no layer takes a parameter of another value."""
    facts = (node.facts.torch for node in checked.nodes.values())
    modules = (torch for torch in facts if isinstance(torch, TorchModule))
    values = (value for each in modules for value in (*each.positional, *each.keywords.values()))
    alone = (squeeze(value) if isinstance(value, tuple) else value for value in values)
    return {value for value in alone if isinstance(value, int | float)}


def _left_open(argument: Argument) -> Formula:
    return Formula.named(argument.name)


def _merged(
    checked: CheckedGraph, general: CheckedGraph, arguments: Sequence[Argument]
) -> CheckedGraph:
    """Put arguments where the graph that leaves them open has them.

    Raises:
        _Needed: more depends on one, or nothing does.
    """
    same = [*checked.nodes] == [*general.nodes] and [*checked.scopes] == [*general.scopes]
    if not same or _names(general.agreements) & {each.name for each in arguments}:
        raise _Needed
    merge = _Merge({_left_open(each): each for each in arguments})
    pairs = zip(checked.nodes.values(), general.nodes.values(), strict=True)
    nodes = {node.name: merge.node(node, other) for node, other in pairs}
    if len(merge.used) < len(arguments):
        raise _Needed
    scopes = {
        name: merge.scope(scope, general.scopes[name]) for name, scope in checked.scopes.items()
    }
    return replace(checked, nodes=nodes, scopes=scopes)


@dataclass(frozen=True, slots=True)
class _Merge:
    """Puts arguments in the place of the formulas that stand for them.

    Attributes:
        used: those that were put into a module of torch.
    """

    arguments: Mapping[Formula, Argument]
    used: set[Argument] = field(default_factory=set)

    def node(self, node: Node, general: Node) -> Node:
        torch = self.torch(node.facts.torch, general.facts.torch)
        if torch is node.facts.torch and node.shape == general.shape:
            return node
        return replace(node, facts=node.facts._replace(torch=torch, output=general.shape))

    def torch(self, torch: Torch, general: Torch) -> Torch:
        if torch == general:
            return torch
        if not isinstance(torch, TorchModule) or not isinstance(general, TorchModule):
            raise _Needed
        if general._replace(positional=torch.positional, keywords=torch.keywords) != torch:
            raise _Needed
        pairs = zip(torch.positional, general.positional, strict=True)
        positional = tuple(self.value(*pair) for pair in pairs)
        keywords = {
            name: self.value(value, general.keywords[name])
            for name, value in torch.keywords.items()
        }
        found = (*positional, *keywords.values())
        self.used.update(each for each in found if isinstance(each, Argument))
        return torch._replace(positional=positional, keywords=keywords)

    def scope(self, scope: Scope, general: Scope) -> Scope:
        """Tell a scope which of its block's arguments are one, and forget what else needs one."""
        arguments: dict[str, object] = {}
        for name, value in scope.arguments.items():
            with suppress(_Needed):
                arguments[name] = self.value(value, general.arguments[name])
        return replace(scope, arguments=arguments)

    def value(self, value: object, general: object) -> object:
        """Return a value, or the argument that it is.

        Raises:
            _Needed: it depends on one in another way.
        """
        alone = squeeze(general) if isinstance(general, tuple) else general
        if isinstance(alone, Formula) and alone in self.arguments:
            return replace(self.arguments[alone], formula=formula_of(squeeze(value)))
        if value != general:
            raise _Needed
        return value


def _names(value: object) -> frozenset[str]:
    """Return the free names that a size, or some of them, depend on."""
    if isinstance(value, Formula):
        return value.names
    if isinstance(value, tuple):
        return frozenset().union(*map(_names, value))
    return frozenset()
