"""What a config of Keras says, as plain values: models, layers, and what is called on what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Sizes = tuple[int | None, ...]  # as Keras has them: the batch first, None where a size is open


class Ref(NamedTuple):
    """A tensor: what a layer gave when it was called for the nth time, and which of several."""

    layer: str
    call: int = 0
    number: int = 0


@dataclass(eq=False)
class Layer:
    """A layer.

    Attributes:
        kind: its class.
        own: whether the class is one of the user's own, as far as the file tells.
        operation: whether it is one of `keras.ops`, some of which have the names of layers.
        model: the layers in it, where it is a model itself.
        home: where its weights stand in a file of weights.
        said: shapes of tensors that come in, by the file; none where it doesn't say.
        wrapped: the layers that it wraps.
    """

    kind: str
    name: str
    config: Mapping[str, Any]
    own: bool = False
    operation: bool = False
    model: Model | None = None
    home: str = ""
    said: list[Sizes] = field(default_factory=list)
    wrapped: dict[str, Layer] = field(default_factory=dict)

    def inside(self, kind: str, config: Mapping[str, Any], home: str) -> Layer:
        """Return a layer that this one wraps: the same one whenever it is asked for."""
        place = f"{self.home}/{home}" if home else self.home
        return self.wrapped.setdefault(home, Layer(kind, self.name, config, home=place))


@dataclass(eq=False)
class Use:
    """A call of a layer.

    Attributes:
        arguments, named: what it is called on, with a `Ref` in the place of each tensor.
        said: shapes that the file gives for some of these tensors.
    """

    layer: Layer
    number: int
    arguments: list[Any]
    named: dict[str, Any] = field(default_factory=dict)
    said: dict[Ref, Sizes] = field(default_factory=dict)

    @property
    def reads(self) -> list[Ref]:
        """The tensors that it is called on."""
        return [*refs([self.arguments, self.named])]


@dataclass(eq=False)
class Model:
    """A model: its calls in an order in which they can be computed.

    Attributes:
        names: of the outputs, where it gives them by names; else none.
    """

    name: str
    uses: list[Use]
    inputs: list[Ref]
    outputs: list[Ref]
    layers: dict[str, Layer]
    names: tuple[str, ...] = ()


def refs(held: Any) -> Iterator[Ref]:
    """Yield the tensors in lists and mappings."""
    if isinstance(held, Ref):
        yield held
    elif isinstance(held, list | tuple):
        for one in held:
            yield from refs(one)
    elif isinstance(held, dict):
        yield from refs([*held.values()])
