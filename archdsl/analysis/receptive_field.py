"""Which places of an input each node can see.

Along one axis, output `i` of a node sees the `size` places of the input from
`i * stride + start` on. Through a layer whose windows have kernel size k, stride s and start p,

    size' = size + (k - 1) stride,    stride' = stride s,    start' = start + p stride

(Araujo, Norris, Sim: Computing Receptive Fields of Convolutional Neural Networks, Distill 2019;
their padding is -p). The field is the theoretical one: it may reach beyond the input, into padding.

* Where branches meet, the field is the smallest window that holds those of all branches.
* A layer that reads a whole axis of n places (global pooling, attention) has k = n: size
  `size + (n - 1) stride`. So has one that moves places (`Flatten`, `Permute`): its output as a
  whole sees that much. From there on the field is `whole`: further layers don't widen it. The
  stride is kept where the places are still as many as before; elsewhere it is None, since there
  is no fixed step any more.
* Branches of different strides meet in a whole field that holds all that any of their places see,
  and so do a map and a 1 x 1 map that is spread over it (squeeze and excitation).
* After upsampling by m the stride is a fraction, 1/m of what it was, and sizes may be fractions:
  a window covers at most the next larger whole number of places.
* A result is None where it would depend on free sizes in a way that can't be written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from archdsl.analysis.ordering import never_less
from archdsl.graph import CheckedGraph, Node
from archdsl.layers.base import Shape, Window
from archdsl.layers.sizes import Formula, Size

Extent = Size | Fraction | None


class Field(NamedTuple):
    """The places of an input along one axis that a node sees, in places of that input."""

    size: Extent
    stride: Extent
    start: Extent
    whole: bool = False  # every place of the node sees the same places


Fields = tuple[Field, ...]  # one for each axis of the input after the first


def receptive_fields(checked: CheckedGraph, of: str) -> Mapping[str, Fields]:
    """Return the fields of all nodes that depend on the input called `of`, by name."""
    axes = len(checked.inputs[of]) - 1
    found: dict[str, Fields] = {of: (Field(1, 1, 0),) * axes}
    for name, node in checked.nodes.items():
        seen = [read for read in node.inputs if read in found]
        if not seen:
            continue
        shapes = [checked.nodes[read].shape for read in seen]
        if len(seen) == 1 and node.facts.windows == "pointwise" and shapes[0] == node.shape:
            found[name] = found[seen[0]]
            continue
        branches = [
            _through(node, shape, found[read]) for read, shape in zip(seen, shapes, strict=True)
        ]
        found[name] = branches[0] if len(branches) == 1 else _merged(node.shape, shapes, branches)
    return found


def _through(node: Node, shape: Shape, fields: Fields) -> Fields:
    """Return the fields after a node of one of its inputs, which has that shape."""
    windows = node.facts.windows
    if len(shape) - 1 != len(fields):  # its axes are no longer those of the input
        return tuple(_whole(field, None, None) for field in fields)
    if isinstance(windows, tuple) and len(windows) == len(fields):
        return tuple(map(_window, fields, windows))
    if len(node.shape) != len(shape):
        return tuple(_whole(field, size, None) for field, size in _axes(fields, shape))
    if windows == "pointwise":
        return fields
    stays = node.shape[1:] == shape[1:]
    return tuple(
        _whole(field, size, field.stride if stays else None) for field, size in _axes(fields, shape)
    )


def _axes(fields: Fields, shape: Shape) -> Sequence[tuple[Field, Size]]:
    return list(zip(fields, shape[1:], strict=True))


def _window(field: Field, window: Window) -> Field:
    stride = _times(field.stride, window.stride)
    if field.whole:
        return field._replace(stride=stride)
    wider = _times(field.stride, window.size - 1)
    moved = _times(field.stride, window.start)
    return Field(_plus(field.size, wider), stride, _plus(field.start, moved))


def _whole(field: Field, places: Size | None, stride: Extent) -> Field:
    """Return the field of all places of an axis together."""
    if field.whole:
        return field._replace(stride=stride)
    wider = None if places is None else _times(field.stride, places - 1)
    return Field(_plus(field.size, wider), stride, field.start, whole=True)


def _merged(output: Shape, shapes: Sequence[Shape], branches: Sequence[Fields]) -> Fields:
    """Return the smallest fields that hold those of all branches."""
    fields: list[Field] = []
    for axis, along in enumerate(zip(*branches, strict=True), start=1):
        aligned = len(output) - 1 == len(along) or len(output) - 1 == len(branches[0])
        moving: list[Field] = []
        places: list[Size] = []
        for field, shape in zip(along, shapes, strict=True):
            spread = aligned and axis < len(shape) and shape[axis] == 1 and output[axis] != 1
            moving.append(_whole(field, 1, None) if spread else field)
            places.append(shape[axis] if axis < len(shape) else 1)
        fields.append(_hull(moving, places))
    return tuple(fields)


def _hull(fields: Sequence[Field], places: Sequence[Size]) -> Field:
    first = fields[0]
    if all(field == first for field in fields):
        return first
    strides = list(dict.fromkeys(field.stride for field in fields if field.stride is not None))
    stride = strides[0] if len(strides) == 1 else None
    alike = stride is not None and not any(field.whole for field in fields)
    if not alike or any(field.stride is None for field in fields):
        fields = [_whole(field, n, stride) for field, n in zip(fields, places, strict=True)]
    start = _extreme([_times(field.start, -1) for field in fields])
    end = _extreme([_plus(field.start, field.size) for field in fields])
    return Field(_plus(end, start), stride, _times(start, -1), whole=not alike)


def _extreme(extents: Sequence[Extent]) -> Extent:
    """Return the largest, if it is certain which one that is."""
    largest = extents[0]
    for extent in extents[1:]:
        if largest is None or extent is None:
            return None
        if _reaches(largest, extent):
            continue
        if not _reaches(extent, largest):
            return None
        largest = extent
    return largest


def _reaches(left: Size | Fraction, right: Size | Fraction) -> bool:
    if isinstance(left, Formula) or isinstance(right, Formula):
        if isinstance(left, Fraction) or isinstance(right, Fraction):
            return False
        return never_less(left, right)
    return left >= right


def _plus(left: Extent, right: Extent) -> Extent:
    if left is None or right is None:
        return None
    if isinstance(left, Fraction) or isinstance(right, Fraction):
        if isinstance(left, Formula) or isinstance(right, Formula):
            return None
        return _plain(Fraction(left) + right)
    return left + right


def _times(left: Extent, right: Extent) -> Extent:
    if left is None or right is None:
        return None
    if isinstance(left, Fraction) or isinstance(right, Fraction):
        if isinstance(left, Formula) or isinstance(right, Formula):
            return None
        return _plain(Fraction(left) * right)
    return left * right


def _plain(number: Fraction) -> int | Fraction:
    return number.numerator if number.denominator == 1 else number
