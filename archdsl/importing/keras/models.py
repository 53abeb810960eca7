"""What a config of Keras says, as plain values: models, layers, and what is called on what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Sizes = tuple[int | None, ...]  # as Keras has them: the batch first, None where a size is open

Path = tuple[str | int, ...]  # keys of mappings and numbers in lists, outermost first


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
        return [*refs(self.arguments), *refs([*self.named.values()])]


@dataclass(eq=False)
class Model:
    """A model: its calls in an order in which they can be computed.

    Attributes:
        takes, gives: the inputs and outputs in the lists and mappings that hold them.
    """

    name: str
    uses: list[Use]
    takes: Any
    gives: Any
    layers: dict[str, Layer]

    @property
    def inputs(self) -> list[Ref]:
        """The tensors that it takes, as Keras counts them."""
        return [*refs(self.takes)]

    @property
    def outputs(self) -> list[Ref]:
        """The tensors that it gives, as Keras counts them."""
        return [*refs(self.gives)]


def leaves(held: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield what lists and mappings hold, with where it stands in them, as Keras counts it.

    A mapping counts by its keys, whatever order they are written in: so the second output of a
    model in another is told from the first.
    """
    if isinstance(held, list):
        for number, one in enumerate(held):
            yield from leaves(one, (*path, number))
    elif isinstance(held, dict):
        for key in sorted(held):
            yield from leaves(held[key], (*path, key))
    else:
        yield path, held


def refs(held: Any) -> Iterator[Ref]:
    """Yield the tensors in lists and mappings, as Keras counts them."""
    return (one for _, one in leaves(held) if isinstance(one, Ref))
