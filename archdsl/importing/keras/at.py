"""Where a layer is made: what makes its modules and weights, and the table of layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import nn

from archdsl.importing.keras.errors import Missing, Wrong
from archdsl.importing.keras.held import LAST, Held, Order
from archdsl.importing.keras.models import Layer, leaves
from archdsl.importing.keras.settings import Settings

Turned = Callable[[torch.Tensor], torch.Tensor]


class Variable(NamedTuple):
    """A weight of Keras.

    Attributes:
        home, number: where it stands in a file of weights.
        shape: that it has in Keras.
    """

    home: str
    number: int
    shape: tuple[int, ...]


class Source(NamedTuple):
    """What a parameter or buffer is made of.

    Attributes:
        made: makes it of the variables, in the order in which they are given.
    """

    variables: tuple[Variable, ...]
    made: Callable[..., torch.Tensor]


class Build(Protocol):
    """What is known while the modules of a file are made."""

    early: bool  # whether the file is of Keras 2
    orders: dict[Layer, tuple[Order, int]]  # for which weights are made, and how many axes

    def called(self, at: At, given: Sequence[Any]) -> Held:
        """Return what a layer makes of what it is called on."""

    def module(self, at: At, name: str, make: Callable[[], nn.Module]) -> tuple[nn.Module, bool]:
        """Return a module of a layer, made where it is the first time, and whether it is new."""

    def fill(self, module: nn.Module, name: str, source: Source) -> None:
        """Say what a parameter or buffer is made of."""

    def leave(self, variable: Variable) -> None:
        """Say of a weight of Keras that nothing is made of it."""

    def note(self, text: str) -> None:
        """Say what the text doesn't."""


class At:
    """A layer where it is called.

    Attributes:
        home: the module that its own stand in.
        label: by which name.
    """

    def __init__(
        self,
        layer: Layer,
        build: Build,
        home: nn.Module,
        label: str,
        named: Mapping[str, Any],
    ) -> None:
        self.layer, self.build, self.home, self.label = layer, build, home, label
        self.settings = Settings(layer.config)
        self.named = dict(named)
        self.new = False

    def module(self, make: Callable[[], nn.Module], name: str = "") -> Any:
        """Return a module of the layer; `new` says whether it was made now."""
        found, self.new = self.build.module(self, name, make)
        return found

    def settled(self, x: Held) -> tuple[torch.Tensor, Order]:
        """Return a tensor in the order that the weights are made for: that of the first call.

        Raises:
            Missing: another number of axes can't stand in that order.
        """
        order, rank = self.build.orders.setdefault(self.layer, (x.order, x.rank))
        if order != LAST and rank != x.rank:
            raise Missing(f"calls on {rank} axes and on {x.rank}, with the same weights,")
        return x.within(order), order

    def variable(self, number: int, *shape: int, home: str = "vars") -> Variable:
        """Return a weight of the layer in Keras."""
        return Variable(f"{self.layer.home}/{home}", number, shape)

    def fill(
        self,
        module: nn.Module,
        name: str,
        variables: Variable | Sequence[Variable],
        made: Callable[..., torch.Tensor] = lambda one: one,
    ) -> None:
        """Say of which weights of Keras a parameter or buffer of a new module is made."""
        if self.new:
            given = (variables,) if isinstance(variables, Variable) else tuple(variables)
            self.build.fill(module, name, Source(given, made))

    def leave(self, variable: Variable, what: str) -> None:
        """Say of a weight that no output needs, and that isn't here."""
        if self.new:
            self.build.leave(variable)
            self.note(f"`{self.layer.kind}` keeps in Keras {what}, and not here")

    def note(self, text: str) -> None:
        """Say what the text doesn't."""
        self.build.note(text)

    def wraps(self, kind: str, config: Mapping[str, Any], home: str) -> At:
        """Return where a layer is called that this one wraps."""
        inner = self.layer.inside(kind, config, home)
        return At(inner, self.build, self.home, self.label, {})

    def take(self, name: str, default: Any = None) -> Any:
        """Return a named argument of the call."""
        return self.named.pop(name, default)

    def require_all(self) -> None:
        """Refuse named arguments that nobody took, and settings that nobody read."""
        require_plain(self.named)
        self.settings.require_all()


def require_plain(named: Mapping[str, Any]) -> None:
    """Refuse named arguments that change what is computed."""
    for name, value in named.items():
        if name == "training" and value:
            raise Missing("a call with `training=True`, which Keras applies in use as well,")
        # a model says a mask for each of its tensors, as they are nested, and that there is none
        held = [one for _, one in leaves(value)] if name == "mask" else [value]
        if name != "training" and any(one is not None for one in held):
            raise Missing(f"a call with `{name}`")


Entry = Callable[..., Any]
LAYERS: dict[str, Entry] = {}


def layer(*kinds: str) -> Callable[[Entry], Entry]:
    """Enter what makes a layer, which gets where it is and what it is called on, into the table."""

    def enter(entry: Entry) -> Entry:
        for kind in kinds:
            LAYERS[kind] = entry
        return entry

    return enter


def axes_of(kind: str) -> int:
    """Return over how many axes a layer goes, by its name: 2 for `Conv2D`."""
    return next(count for count in (1, 2, 3) if f"{count}D" in kind)


def require_rank(x: Held, rank: int) -> None:
    """Refuse what has another number of axes than a layer takes."""
    if x.rank != rank:
        raise Wrong(f"takes {rank} axes with the batch, and is called on {x.rank}")


def single(given: Sequence[Any]) -> Held:
    """Return the only tensor that a layer is called on."""
    if len(given) != 1 or not isinstance(given[0], Held):
        raise Wrong("is called on other things than one tensor")
    return given[0]
