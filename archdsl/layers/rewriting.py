"""What may be done with a layer where nothing learns, so that the same is computed with less work.

A pass that makes a network faster asks its layers for it, and knows none of them by name. What a
module owns comes as tensors of torch in float64, by their names there; torch isn't imported here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from archdsl.layers.sizes import Shape

if TYPE_CHECKING:
    from typing import Self

Owned = Mapping[str, Any]


class Rewritable:
    """What layers answer; by default that nothing is known."""

    # Whether it hands on what comes in, outside of training.
    inert: ClassVar[bool] = False
    # Whether a channel of zeros comes out of it as zeros, and all others as without that channel.
    keeps_zeros: ClassVar[bool] = False

    @property
    def joins(self) -> bool:
        """Whether it gives the channels of all that it reads, one after the other."""
        return False

    @property
    def averages(self) -> bool:
        """Whether it makes of each channel weighted means of its places, of one sum of weights: 1.

        They are the same for all channels, and may be negative, as in bicubic interpolation.
        """
        return False

    @property
    def sums(self) -> bool:
        """Whether it makes of each channel sums of its places, with weights that never change.

        They are the same for all channels, and their own sum may differ from place to place, as
        where zeros around an image count.
        """
        return self.averages

    @property
    def mixes(self) -> bool:
        """Whether it makes of the channels of each place others, by the same sums at all places."""
        return False

    def linear(self, own: Owned) -> tuple[Self, Owned, Any] | None:
        """Return the layer that adds nothing, what its module owns, and what this one adds.

        That is a tensor of one axis; None where it adds nothing.
        """
        return None

    def channel_scale(self, own: Owned) -> tuple[Any, Any] | None:
        """Return the factor of each channel (first axis) in evaluation mode, and what is added.

        Two tensors of one axis, of those that its module owns, or its own numbers; None where that
        isn't all it does.
        """
        return None

    def scaled(
        self, own: Owned, factor: Any, summand: Any, output: Shape
    ) -> tuple[Self, Owned] | None:
        """Return the layer that does the same and then scales channels, and what its module owns.

        None where there is none for an output of that shape.
        """
        return None

    def fed(self, own: Owned, factor: Any, summand: Any, input: Shape) -> tuple[Self, Owned] | None:
        """Return the layer that scales channels and then does the same, and what its module owns.

        None where there is none for an input of that shape.
        """
        return None

    def abreast(self, others: Sequence[Self]) -> Self | None:
        """Return the layer that gives the channels of this and of others one after the other.

        All read the same, and what it owns is theirs, one after the other along the first axis.
        None where there is none.
        """
        return None

    def narrowed(
        self, own: Owned, seen: Any, given: Any, input: Shape
    ) -> tuple[Self, Owned] | None:
        """Return the layer that reads some channels and gives some, and what its module owns.

        `seen` and `given` are their numbers, as tensors of one axis, or slices. None where there is
        none for an input of that shape. A layer that answers has in `weight` a row for each channel
        that it gives, and a column for each that it reads.
        """
        return None

    def onednn(self) -> tuple[str, tuple[float, ...], str] | None:
        """Return what oneDNN calls an activation: its name, numbers and algorithm; else None."""
        return None
