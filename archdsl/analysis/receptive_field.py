"""Which places of an input each node can see.

Along one axis, output `i` of a node sees the `size` places of the input from
`i * stride + start` on. Through a layer whose windows have kernel size k, stride s and start p,

    size' = size + (k - 1) stride,    stride' = stride s,    start' = start + p stride

(Araujo, Norris, Sim: Computing Receptive Fields of Convolutional Neural Networks, Distill 2019;
their padding is -p). The field is the theoretical one: it may reach beyond the input, into padding.

* Where branches meet, the field is the smallest window that holds those of all branches.
* After upsampling by m the stride is a fraction, and the window of output `i` isn't moved evenly:
  how it lies depends on the remainder of `i` by m (its phase). Each phase is followed on its own;
  `size` is the largest of them, and `start` belongs to output 0.
* A layer that reads a whole axis of n places (global pooling, attention) has k = n: size
  `size + (n - 1) stride`. So has one that moves places (`Flatten`, `Roll`): its output as a
  whole sees that much. From there on the field is `whole`: further layers don't widen it. The
  stride is kept where the places are still as many as before; elsewhere it is None, since there
  is no fixed step any more.
* Axes that change places (`Permute`, `Transpose`) take their fields along: what follows is looked
  at along the axis where each has come to lie, the first one included.
* Branches of different strides meet in a whole field that holds all that any of their places see,
  and so do a map and a 1 x 1 map that is spread over it (squeeze and excitation).
* One place that is enlarged (image pooling in DeepLab) is seen by all places that come of it.
* Inputs of which a layer uses nothing but the shape (`ResizeLike`) are not seen.
* A result is None where it would depend on free sizes in a way that can't be written, or where
  upsampling has more than 256 phases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import ceil, gcd, lcm

from archdsl.analysis.ordering import never_less
from archdsl.graph import CheckedGraph
from archdsl.layers.base import Facts, Shape, Window
from archdsl.layers.sizes import Formula, Size
from archdsl.records import Record

# each is followed on its own, through all that comes behind
MOST_PHASES = 256
MOST_INPUTS = 8  # that are followed at once: each takes as long as the whole network

Extent = Size | Fraction | None


class Reach(Record):
    """The places of an input from `start` up to, not including, `end`."""

    start: Size | None
    end: Size | None


UNKNOWN = Reach(None, None)


class Field(Record):
    """The places of an input along one axis that a node sees, in places of that input.

    Attributes:
        reaches: what the first outputs see; output `i + len(reaches)` sees what output `i` does,
            `len(reaches) * stride` places further on.
        whole: every place of the node sees the same places.
    """

    stride: Extent
    reaches: tuple[Reach, ...]
    whole: bool = False

    @property
    def size(self) -> Size | None:
        """How many places an output sees at most."""
        return _largest([_minus(reach.end, reach.start) for reach in self.reaches])

    @property
    def start(self) -> Size | None:
        """The first place that output 0 sees."""
        return self.reaches[0].start

    def reach(self, output: int) -> Reach:
        """Return what one output sees, where strides are numbers."""
        turns, phase = divmod(output, len(self.reaches))
        return _moved(self.reaches[phase], self.turn * turns, self.turn * turns)

    @property
    def turn(self) -> int:
        """How far the window moves while all phases pass once."""
        assert isinstance(self.stride, int | Fraction)
        return int(self.stride * len(self.reaches))


Fields = tuple[Field, ...]  # one for each axis of the input after the first
Axes = tuple[int, ...]  # where each of them lies in the shape of a node


def fields_by_input(checked: CheckedGraph) -> Mapping[str, Mapping[str, Fields]]:
    """Return the fields with respect to each of the first eight inputs, by its name."""
    return {of: receptive_fields(checked, of) for of in [*checked.inputs][:MOST_INPUTS]}


def receptive_fields(checked: CheckedGraph, of: str) -> Mapping[str, Fields]:
    """Return the fields of all nodes that depend on the input called `of`, by name."""
    return fields_and_axes(checked, of)[0]


def fields_and_axes(
    checked: CheckedGraph, of: str
) -> tuple[Mapping[str, Fields], Mapping[str, Axes]]:
    """Return the fields of all nodes that depend on the input called `of`, by name.

    And where in the shape of each node the axes of the input lie, after the first.
    """
    # the first axis of an input holds its channels, which are no places
    straight = tuple(range(1, len(checked.inputs[of])))
    arrays, start = checked.arrays, checked.numbers[of]
    lying: dict[int, Axes] = {start: straight}
    found: dict[int, Fields] = {start: (Field(1, (Reach(0, 1),)),) * len(straight)}
    for number, (facts, reads) in enumerate(zip(arrays.facts, arrays.reads, strict=True)):
        unseen = facts.shape_only
        seen = [r for at, r in enumerate(reads) if r in found and at not in unseen]
        if not seen:
            continue
        output = facts.output
        if len(reads) == 1:  # most nodes, so they have a way of their own
            axes = lying[seen[0]]
            found[number] = _through(facts, arrays.facts[seen[0]].output, found[seen[0]], axes)
        else:
            shapes = [arrays.facts[read].output for read in seen]
            axes, *others = dict.fromkeys(lying[read] for read in seen)
            if others:  # what lies differently meets as a whole
                axes = straight
                pairs = zip(seen, shapes, strict=True)
                branches = [_all(found[read], shape, lying[read]) for read, shape in pairs]
            else:
                branches = [
                    _through(facts, shape, found[read], axes)
                    for read, shape in zip(seen, shapes, strict=True)
                ]
            found[number] = _merged(output, shapes, branches, axes)
        lying[number] = axes
        if len(output) - 1 != len(straight):  # its axes are no longer those of the input
            lying[number] = straight
        elif facts.moves:
            lying[number] = tuple(map(facts.moves.index, axes))
    names = checked.names
    return (
        {names[number]: fields for number, fields in found.items()},
        {names[number]: axes for number, axes in lying.items()},
    )


def _through(facts: Facts, shape: Shape, fields: Fields, axes: Axes) -> Fields:
    """Return the fields after a node of one of its inputs, which has that shape."""
    output = facts.output
    if facts.moves:
        return fields
    if facts.windows == "pointwise" and len(output) == len(shape):
        if facts.apart or 0 not in axes:
            return fields
        # no place is moved, but channels are mixed, and one of the axes lies along them
        windows = (Window(1),) * (len(shape) - 1)
    elif len(shape) - 1 != len(fields):  # its axes are no longer those of the input
        return tuple(_whole(field, None, None) for field in fields)
    elif isinstance(facts.windows, tuple) and len(facts.windows) == len(fields):
        windows = facts.windows
    else:
        stays = len(output) == len(shape) and all(output[axis] == shape[axis] for axis in axes)
        return _all(fields, shape, axes, stays)
    first = Window(1) if facts.apart else Window(shape[0], 0)
    along = [windows[axis - 1] if axis else first for axis in axes]
    sizes = [shape[axis] for axis in axes]
    if len(fields) == 2 and (fields[0], along[0], sizes[0]) == (fields[1], along[1], sizes[1]):
        return (_window(fields[0], along[0], sizes[0]),) * 2  # mostly: half of the work
    return tuple(map(_window, fields, along, sizes))


def _all(fields: Fields, shape: Shape, axes: Axes, stays: bool = False) -> Fields:
    """Return the fields of all places together."""
    return tuple(
        _whole(field, shape[axis] if axis < len(shape) else 1, field.stride if stays else None)
        for field, axis in zip(fields, axes, strict=True)
    )


def _window(field: Field, window: Window, places: Size) -> Field:
    """Return the field after windows over an axis of so many places that has that field."""
    size, step, start = window
    stride = _times(field.stride, step)
    if places == 1 and type(step) is Fraction and step < 1:
        return _whole(field, places, None)
    if field.whole:
        return field._replace(stride=stride)
    if len(field.reaches) == 1 and type(step) is not Fraction:
        first, last = _times(field.stride, start), _times(field.stride, size - 1)
        if isinstance(first, int | Formula | None) and isinstance(last, int | Formula | None):
            return Field(stride, (_moved(field.reaches[0], first, _plus(first, last)),))
    if not isinstance(stride, int | Fraction) or isinstance(size, Formula):
        return Field(stride, (UNKNOWN,))
    if isinstance(step, Formula) or isinstance(start, Formula):
        return Field(stride, (UNKNOWN,))
    # after so many places of the output the window has moved by whole turns of the field
    turn = Fraction(step).denominator * len(field.reaches)
    phases = turn // gcd(Fraction(step).numerator, turn)
    if phases > MOST_PHASES:
        return Field(stride, (UNKNOWN,))
    firsts = [ceil(phase * step + start) for phase in range(phases)]
    return Field(
        stride,
        tuple(
            Reach(field.reach(first).start, field.reach(first + size - 1).end) for first in firsts
        ),
    )


def _whole(field: Field, places: Size | None, stride: Extent) -> Field:
    """Return the field of all places of an axis together."""
    if field.whole:
        return field._replace(stride=stride)
    start, end = field.start, None
    if isinstance(places, int) and isinstance(field.stride, int | Fraction):
        end = field.reach(places - 1).end
    elif places is not None and len(field.reaches) == 1:
        further = _times(field.stride, places - 1)
        end = None if isinstance(further, Fraction) else _plus(field.reaches[0].end, further)
    return Field(stride, (Reach(start, end),), whole=True)


def _merged(
    output: Shape, shapes: Sequence[Shape], branches: Sequence[Fields], axes: Axes
) -> Fields:
    """Return the smallest fields that hold those of all branches."""
    merged: list[Field] = []
    for axis, fields in zip(axes, zip(*branches, strict=True), strict=True):
        places = [shape[axis] if axis < len(shape) else 1 for shape in shapes]
        # one place that is spread over an axis is seen by all of its places
        spread = [size == 1 and axis < len(output) and output[axis] != 1 for size in places]
        along = [
            _whole(field, 1, None) if is_spread else field
            for field, is_spread in zip(fields, spread, strict=True)
        ]
        merged.append(_hull(along, places))
    return tuple(merged)


def _hull(fields: Sequence[Field], places: Sequence[Size]) -> Field:
    """Return the smallest field that holds several, each of so many places."""
    first = fields[0]
    if all(field == first for field in fields):
        return first
    strides = list(dict.fromkeys(field.stride for field in fields if field.stride is not None))
    stride = strides[0] if len(strides) == 1 else None
    phases = lcm(*(len(field.reaches) for field in fields))
    # phases can be laid over each other only where all windows move alike
    alike = phases <= MOST_PHASES and all(
        field.stride == stride and not field.whole for field in fields
    )
    if not alike:
        fields = [_whole(field, n, stride) for field, n in zip(fields, places, strict=True)]
    if phases == 1 or not alike:
        return Field(stride, (_around([field.reaches[0] for field in fields]),), whole=not alike)
    return Field(
        stride,
        tuple(_around([field.reach(phase) for field in fields]) for phase in range(phases)),
    )


def _around(reaches: Sequence[Reach]) -> Reach:
    start = _largest([_minus(0, reach.start) for reach in reaches])
    return Reach(_minus(0, start), _largest([reach.end for reach in reaches]))


def _moved(reach: Reach, start: Size | None, end: Size | None) -> Reach:
    return Reach(_plus(reach.start, start), _plus(reach.end, end))


def _largest(sizes: Sequence[Size | None]) -> Size | None:
    """Return the largest, if it is certain which one that is."""
    largest = sizes[0]
    for size in sizes[1:]:
        if largest is None or size is None:
            return None
        if never_less(largest, size):
            continue
        if not never_less(size, largest):
            return None
        largest = size
    return largest


def _plus(left: Size | None, right: Size | None) -> Size | None:
    return None if left is None or right is None else left + right


def _minus(left: Size | None, right: Size | None) -> Size | None:
    return None if left is None or right is None else left - right


def _times(left: Extent, right: Extent) -> Extent:
    if type(left) is int and type(right) is int:  # mostly, and to ask for fractions takes longer
        return left * right
    if left is None or right is None:
        return None
    if isinstance(left, Fraction) or isinstance(right, Fraction):
        if isinstance(left, Formula) or isinstance(right, Formula):
            return None
        product = Fraction(left) * right
        return product.numerator if product.denominator == 1 else product
    return left * right
