"""Which nodes of a network there is something to see of, found from the graph and by label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cached_property

from archdsl.analysis.receptive_field import Field, fields_and_axes
from archdsl.backends.seeing.errors import BadLayer
from archdsl.backends.seeing.preparing import image_input
from archdsl.diagnostics import ArchError, printable
from archdsl.graph import CheckedGraph, Node
from archdsl.layers.base import GLOBAL, TorchModule
from archdsl.layers.sizes import Size
from archdsl.node_names import find_node
from archdsl.records import Record

MOST_USUAL = 5  # layers that are shown where nobody asks for others


class Box(Record):
    """A part of an image: its rows and columns from the first up to, not including, the last."""

    top: int
    bottom: int
    left: int
    right: int


class Sights:
    """What there is to see of a network, for an image as its only input.

    Attributes:
        image: name of the input.
        height, width: of an image.
    """

    def __init__(self, checked: CheckedGraph) -> None:
        self.checked = checked
        self.image = image_input(checked)
        _, height, width = checked.inputs[self.image]
        assert isinstance(height, int)
        assert isinstance(width, int)
        self.height, self.width = height, width
        self._fields, self._axes = fields_and_axes(checked, self.image)

    @property
    def output(self) -> str:
        """Name of the node that gives the main output."""
        given = [each for each in self.checked.outputs if not each.training_only]
        return (given or self.checked.outputs)[0].node

    @property
    def classes(self) -> int | None:
        """How many classes the main output tells apart; None where it holds no classes."""
        shape = self.checked.nodes[self.output].shape
        if len(shape) in (1, 3) and isinstance(shape[0], int) and self.sees_image(self.output):
            return shape[0]
        return None

    def sees_image(self, name: str) -> bool:
        """Tell whether a node depends on the image."""
        return name in self._fields

    def has_places(self, name: str) -> bool:
        """Tell whether a node is a stack of maps, each laid out as the image is."""
        node = self.checked.nodes[name]
        return (
            len(node.shape) == 3
            and node.facts.batched
            and self._axes.get(name) == (1, 2)
            and all(isinstance(size, int) for size in node.shape)
            and name not in self.checked.training_only
            and self.checked.dtype(name) == "float"
        )

    @cached_property
    def behind(self) -> frozenset[str]:
        """The names of the nodes that the main output depends on, itself among them."""
        needed = {self.output}
        for name in reversed(list(self.checked.nodes)):
            if name in needed:
                needed.update(self.checked.nodes[name].inputs)
        return frozenset(needed)

    @cached_property
    def mapped(self) -> Sequence[str]:
        """The nodes with more than one place that lead from the image to the main output."""
        return [
            name
            for name, node in self.checked.nodes.items()
            if name in self.behind
            and name != self.image
            and self.has_places(name)
            and node.shape[1:] != (1, 1)
        ]

    @property
    def last(self) -> str | None:
        """The last node with places, where there is one that isn't the output itself."""
        inner = [name for name in self.mapped if name != self.output]
        return inner[-1] if inner else None

    @property
    def usual(self) -> Sequence[str]:
        """What is shown where nobody asks for a layer: the last of each size, of the last five."""
        by_size = {
            self.checked.nodes[name].shape[1:]: name for name in self.mapped if name != self.output
        }
        numbers = self.checked.numbers
        return sorted(by_size.values(), key=numbers.__getitem__)[-MOST_USUAL:]

    @property
    def first_convolution(self) -> Node | None:
        """The first two-dimensional convolution that sees the image."""
        for name, node in self.checked.nodes.items():
            if (
                node.layer.family == "convolution"
                and self.sees_image(name)
                and isinstance(node.facts.torch, TorchModule)
                and len(node.facts.params.get("weight", ())) == 4
            ):
                return node
        return None

    def find(self, label: str) -> str:
        """Return the name of the node that a label means.

        Raises:
            ArchError: it means none or several, or the node has no places.
        """
        node = find_node(self.checked, label)
        if node.name == self.image:
            what = f"`{node.name}` is the image itself, and no layer"
        elif not self.has_places(node.name):
            what = f"`{printable(label, 100)}` ({node.type}) {self._no_places(node)}"
        else:
            return node.name
        hint = f"`{self.last}` is the last one with places" if self.last else ""
        raise ArchError(BadLayer(what=what, hint=hint))

    def _no_places(self, node: Node) -> str:
        """Say why a node is no stack of maps."""
        if node.name in self.checked.training_only:
            return "is there in training only, and images are looked at in evaluation"
        if not self.sees_image(node.name) or not node.facts.batched:
            return "doesn't depend on the image"
        shape = " x ".join(map(str, node.shape)) or "one number"
        if len(node.shape) != 3:
            maps = "maps are channels x height x width"
            return f"has no places to show: it gives {shape}, and {maps}"
        if (dtype := self.checked.dtype(node.name)) != "float":
            return f"can't be shown: it gives numbers of the kind {dtype}"
        axes = ["channels", "channels", "channels"]
        for at, axis in enumerate(self._axes[node.name]):
            axes[axis] = ("height", "width")[at]
        lies = f"it gives {shape}, which lies as {' x '.join(axes)}"
        return f"can't be shown: {lies}, and maps are channels x height x width"

    def moved(self, name: str) -> str:
        """Name the first node that moves places, among those that a node depends on; "" if none.

        Behind it a place of a map need not lie where it does in the image.
        """
        return self._moved.get(name, "")

    @cached_property
    def _moved(self) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for name, node in self.checked.nodes.items():
            before = (found[read] for read in node.inputs if read in found)
            places = (self.checked.nodes[read].shape[1:] for read in node.inputs)
            moves = (
                node.layer.family == "reshape"
                and node.facts.windows == GLOBAL
                and not node.facts.moves  # axes are followed
                and self.sees_image(name)
                and any(size != 1 for shape in places for size in shape)
            )
            if first := next(before, name if moves else ""):
                found[name] = first
        return found

    def box(self, name: str, row: int, column: int) -> Box:
        """Return the part of the image that one place of a node sees, clipped to the image.

        It is the theoretical receptive field; where that isn't known, all of the image. So it is
        along an axis where the field reaches into padding that mirrors or repeats the image.
        """
        along = zip(self._fields[name], (row, column), (self.height, self.width), strict=True)
        wraps = self._wrapped.get(name)
        (top, bottom), (left, right) = (_reach(field, at, size, wraps) for field, at, size in along)
        return Box(top, bottom, left, right)

    @cached_property
    def _wrapped(self) -> Mapping[str, bool]:
        """The nodes behind padding that repeats places of the image.

        With whether such padding lies beyond the image for all of them: there may be less before
        it than the image, where edges were cut off.
        """
        found: dict[str, bool] = {}
        for name, node in self.checked.nodes.items():
            before = [found[read] for read in node.inputs if read in found]
            if node.facts.wraps and self.sees_image(name):
                (read,) = node.inputs
                before.append(
                    self._axes[read] == (1, 2)
                    and all(
                        _beyond(field, places, size)
                        for field, places, size in zip(
                            self._fields[read],
                            self.checked.nodes[read].shape[1:],
                            (self.height, self.width),
                            strict=True,
                        )
                    )
                )
            if before:
                found[name] = all(before)
        return found


def _reach(field: Field, place: int, size: int, wraps: bool | None) -> tuple[int, int]:
    """Return what a place sees of an axis of so many places.

    Args:
        wraps: whether what lies beyond the axis repeats places of it; False where it isn't known
            what lies there, None where it holds nothing of them.
    """
    start, end = field.reaches[0]
    if _is_even(field):
        start, end = field.reach(place)
    elif not field.whole:
        return 0, size
    if not isinstance(start, int) or not isinstance(end, int) or wraps is False:
        return 0, size
    first, last = max(start, 0), min(end, size)
    return (
        (first, last)
        if first < last and (wraps is None or (start, end) == (first, last))
        else (0, size)
    )


def _is_even(field: Field) -> bool:
    """Tell whether windows lie so that each can be told from its place."""
    known = isinstance(field.stride, int | Fraction)
    return known and not field.whole and all(isinstance(one.start, int) for one in field.reaches)


def _beyond(field: Field, places: Size, size: int) -> bool:
    """Tell whether places beyond both ends of an axis would see more than the image."""
    if not _is_even(field) or not isinstance(places, int):
        return False
    start, end = field.reach(-1).start, field.reach(places).end
    return isinstance(start, int) and isinstance(end, int) and start < 0 and end > size
