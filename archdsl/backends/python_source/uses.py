"""What the generator knows of a scope that a class is written for, before the class is known."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from archdsl.backends.python_source.forms import Shaped
from archdsl.backends.python_source.makers import Maker, Number

Shape = Any  # of a condition: its sign, or a word with the shapes of what it joins


@dataclass(frozen=True, slots=True)
class Action:
    """A step of a forward pass, less all that may differ between uses of a block.

    Attributes:
        target: name of what is called, from the class on ("branch1x1", "inner_blocks.0"), or "".
        parts: the expression around its numbers, with `{0}`, `{inputs}`, `{module}`, `{tensor}`.
        inputs, outputs: numbers of the tensors; those that come into the class are first.
        names: what the spec calls each output, or "".
    """

    target: str
    parts: tuple[str, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    training_only: bool
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Option:
    """Actions that are there under a condition only, one after the other.

    Attributes:
        first, end: their places.
        members: what they alone call.
        flag: the attribute that tells the forward pass whether they are there: the first member,
            which is None elsewhere, or where there is none a bool.
        reads, gives: the tensor that goes in, and the one that comes out: the same elsewhere.
        shape, numbers: the condition without its numbers, and those in order.
    """

    first: int
    end: int
    members: tuple[str, ...]
    flag: str
    reads: int
    gives: int
    shape: Shape
    numbers: tuple[Number, ...]


@dataclass(frozen=True, slots=True)
class Use:
    """A scope that a class is made for, and the numbers that it has there.

    Attributes:
        makers: by the name of the member, in order.
        spoken: the numbers in the expression of each action.
        tensors: the number of each tensor by its name; of one that comes several times the last.
        options: what of it is not in all uses of its class.
        ties: parameters of modules in it that are others': for each the module and the name of the
            parameter, then those of what it is, from the class on.
    """

    shaped: Shaped
    makers: tuple[tuple[str, Maker], ...]
    actions: tuple[Action, ...]
    spoken: tuple[tuple[Number, ...], ...]
    tensors: Mapping[str, int]
    options: tuple[Option, ...] = ()
    ties: tuple[tuple[str, str, str, str], ...] = ()

    @property
    def family(self) -> Hashable:
        """What all uses that share a class have in common."""
        place = self.shaped.place
        description = place.scope.description if place.scope.block else ""
        return (place.scope.block, description, self.shaped.form, len(place.inputs), self.ties)
