"""What a module computes, as stages of the language: the calls of a module are a body."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from archdsl.importing.layers import Use
from archdsl.importing.record import Value
from archdsl.layers.arguments import PROBABILITY
from archdsl.layers.registry import Registry


@dataclass(eq=False)
class Node:
    """A use of a layer, a merge, or something that the language has no word for.

    Attributes:
        use: of a layer; of a merge its word (`concat`) and arguments.
        merges: whether it is a merge.
        path: of the module that it is, with whose name its parameters are stored; "" if none is.
        missing: what can't be said, where it is that.
        again: whether the module was called before.
    """

    use: Use
    inputs: list[Value]
    output: Value
    path: str = ""
    merges: bool = False
    missing: str = ""
    place: str = ""
    again: bool = False
    owns: bool = False  # parameters or buffers
    costs: Any = ()  # what operators of torch computed for it, where that is asked for
    weights: dict[str, Value] = field(default_factory=dict)  # its parameters that are computed
    ties: dict[str, str] = field(default_factory=dict)  # its parameters that are another module's

    def signature(self) -> tuple[Any, ...]:
        """Return what it does, to compare it with another; but for what is drawn in training."""
        return (
            self.path,
            self.use.layer,
            repr(without_chances(self.use)),
            repr(self.ties),
            repr([*self.weights]),
            self.missing,
        )


@dataclass(eq=False)
class Body:
    """A call of a module that is no layer, with what it called in turn.

    Attributes:
        name: of the module's class.
        inputs: what comes from outside, in the order of the call's arguments.
        outputs: what is used outside.
        names: of outputs, where the module gives them names.
    """

    path: str
    name: str
    module: Any
    items: list[Node | Body] = field(default_factory=list)
    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    names: dict[Value, str] = field(default_factory=dict)
    given: list[Value] = field(default_factory=list)
    gives: list[tuple[str, Value]] = field(default_factory=list)
    place: str = ""
    again: bool = False

    def signature(self) -> tuple[Any, ...]:
        """Return which module it is, to compare it with another."""
        return (self.path, self.name)

    def nodes(self) -> Iterator[Node]:
        """Yield the nodes in it, however deep, in order."""
        for item in self.items:
            if isinstance(item, Node):
                yield item
            else:
                yield from item.nodes()

    def bodies(self) -> Iterator[Body]:
        """Yield it and the bodies in it, outermost first."""
        yield self
        for item in self.items:
            if isinstance(item, Body):
                yield from item.bodies()


def without_chances(use: Use) -> dict[str, Any]:
    """Return the arguments of a layer without the chances with which it draws in training."""
    kind = Registry().get(use.layer)
    fields = kind.model_fields if kind is not None else {}
    return {
        name: value
        for name, value in use.arguments.items()
        if name not in fields or PROBABILITY not in fields[name].metadata
    }


def reads(item: Node | Body) -> list[Value]:
    """Return what an item takes from outside."""
    return [*item.inputs, *item.weights.values()] if isinstance(item, Node) else item.inputs


def gives(item: Node | Body) -> list[Value]:
    """Return what an item makes that others use."""
    return [item.output] if isinstance(item, Node) else item.outputs
