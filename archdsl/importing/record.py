"""What one forward pass was: calls of modules, with the calls that each made in turn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


class Value:
    """A tensor on its way through the module; one that is written over is another one then.

    Attributes:
        shape: as torch counts it, batch included.
        own: the name in the state_dict of a parameter or buffer.
        tensor: of a tensor that the module holds or makes itself, and of nothing that was computed.
        alone: whether a parameter or buffer is declared without a batch, since functions that
            count its axes take it.
        input: which input of the module it is, from 0.
        fixed: whether it is the same in every forward pass: it was made of nothing that comes in
            and of no parameter, and `tensor` holds its numbers.
        made: whether that was done in the pass.
    """

    __slots__ = ("alone", "dtype", "fixed", "input", "made", "number", "own", "shape", "tensor")

    def __init__(self, number: int, shape: tuple[int, ...], dtype: str) -> None:
        self.number = number
        self.shape = shape
        self.dtype = dtype
        self.own = ""
        self.alone = False
        self.fixed = False
        self.made = False
        self.tensor: Any = None
        self.input: int | None = None

    @property
    def held(self) -> bool:
        """Whether no layer computes it: a parameter, a buffer, or what is always the same."""
        return bool(self.own) or self.fixed

    def __repr__(self) -> str:
        return f"v{self.number}{list(self.shape)}{self.own and ' ' + self.own}"


@dataclass(eq=False)
class Call:
    """A use of a module or a function.

    Attributes:
        path: of the module that was called, or in which the function was.
        name: of the class or the function.
        module: that was called; None for a function.
        arguments, named, result: as they were, with a `Value` in the place of each tensor.
        place: file and line of the user's code, for messages.
        inside: what a module called in turn; nothing for one that is a layer.
        training: whether it was in training mode.
        stopped: whether the module lets no gradients through it: `torch.no_grad()` is around it.
    """

    path: str
    name: str
    module: Any
    function: Any
    arguments: tuple[Any, ...]
    named: dict[str, Any]
    result: Any = None
    place: str = ""
    inside: list[Call] = field(default_factory=list)
    training: bool = False
    stopped: bool = False
    layer: Any = None  # how a module that is a layer is written: a `Use`
    fixed: bool = False  # whether what it gives is the same in every forward pass
    costs: Any = ()  # what operators computed in it, where that is asked for

    def values_in(self) -> list[Value]:
        """Return the tensors that it is given, in order."""
        return [*tensors((self.arguments, self.named))]

    def values_out(self) -> list[Value]:
        """Return the tensors that it gives, in order."""
        return [*tensors(self.result)]


def tensors(held: Any) -> Iterator[Value]:
    """Yield the tensors in lists, tuples and mappings, however nested."""
    if isinstance(held, Value):
        yield held
    elif isinstance(held, dict):
        for one in held.values():
            yield from tensors(one)
    elif isinstance(held, list | tuple):
        for one in held:
            yield from tensors(one)


def swapped(held: Any, own: dict[Value, Value]) -> Any:
    """Return the same with others in the place of values."""
    if isinstance(held, Value):
        return own.get(held, held)
    if isinstance(held, dict):
        return {key: swapped(one, own) for key, one in held.items()}
    if isinstance(held, list | tuple):
        return type(held)([swapped(one, own) for one in held])
    return held
