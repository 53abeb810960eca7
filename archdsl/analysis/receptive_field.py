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

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from math import ceil, gcd, lcm

from archdsl.analysis.loops import go_through
from archdsl.analysis.ordering import never_less
from archdsl.graph import CheckedGraph
from archdsl.layers.base import Facts, Shape, Window
from archdsl.layers.sizes import Formula, FormulaError, Size
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


def seen_by_input(checked: CheckedGraph) -> Mapping[str, Seen]:
    """Return what nodes see of each of the first eight inputs, by its name."""
    return {of: Seen(checked, of) for of in [*checked.inputs][:MOST_INPUTS]}


def fields_by_input(checked: CheckedGraph) -> Mapping[str, Mapping[str, Fields]]:
    """Return the fields with respect to each of the first eight inputs, by its name."""
    return {of: receptive_fields(checked, of) for of in [*checked.inputs][:MOST_INPUTS]}


def receptive_fields(checked: CheckedGraph, of: str) -> Mapping[str, Fields]:
    """Return the fields of all nodes that depend on the input called `of`, by name."""
    return fields_and_axes(checked, of)[0]


def fields_and_axes(
    checked: CheckedGraph, of: str
) -> tuple[Mapping[str, Fields], Mapping[str, Axes]]:
    """Return the fields of all nodes that depend on an input, and where its axes lie, by name."""
    seen, names = Seen(checked, of), checked.names
    numbers = [number for number in range(len(names)) if seen.has(number)]
    return (
        {names[number]: seen.fields(number) for number in numbers},
        {names[number]: seen.axes(number) for number in numbers},
    )


FEWEST_TURNS = 8  # that are worked out as one: formulas take longer than numbers
TURN = "a turn"  # which of them it is, from 1 on; no free size is called so


class Stretch(Record):
    """Turns of a loop whose fields are those of one, moved on evenly.

    Attributes:
        first: the number of the first of their nodes.
        size: how many nodes a turn has; turns: how many there are.
        fields: of each node of a turn, None where it doesn't see the input. Sizes may be formulas
            in `TURN`.
    """

    first: int
    size: int
    turns: int
    fields: tuple[Fields | None, ...]


class Seen:
    """What the nodes of a network see of one of its inputs.

    Of turns of a loop that are alike it is worked out once. What a turn sees follows from what that
    before it sees. So a turn is gone through in which that is `a + turn * b`, with the numbers of
    two turns that were gone through before, and a name in the place of the number of the turn. If
    it gives `a + (turn + 1) * b`, all further turns do, whatever the layers in it are.

    Attributes:
        stretches: what was worked out so.
    """

    def __init__(self, checked: CheckedGraph, of: str) -> None:
        self._arrays = checked.arrays
        start = [*checked.inputs].index(of)
        self._straight: Axes = tuple(range(1, len(self._arrays.facts[start].output)))
        self._fields: dict[int, Fields] = {start: (Field(1, (Reach(0, 1),)),) * len(self._straight)}
        self._axes: dict[int, Axes] = {start: self._straight}
        self.stretches: list[Stretch] = []
        go_through(len(self._arrays.facts), checked.loops, self._go, self._settles)

    def has(self, number: int) -> bool:
        """Tell whether a node sees anything of the input."""
        return self._worked_out(number) in self._fields

    def fields(self, number: int) -> Fields:
        """Return the fields of a node that sees something of it."""
        number, turn, stretch = self._place(number)
        if stretch is None:
            return self._fields[number]
        fields = stretch.fields[number - (stretch.first - stretch.size)]
        assert fields is not None
        return in_turn(fields, turn)

    def evenly(self, number: int) -> Fields | None:
        """Return the fields of a node of a stretch in all its turns; None if it sees nothing."""
        place, _, stretch = self._place(number)
        assert stretch is not None
        return stretch.fields[place - (stretch.first - stretch.size)]

    def axes(self, number: int) -> Axes:
        """Return where the axes of the input lie in the shape of such a node."""
        return self._axes[self._worked_out(number)]

    def _worked_out(self, number: int) -> int:
        """Return the node that was gone through and is like one, but for the turn."""
        stretch: Stretch | None = self.stretches[0] if self.stretches else None
        while stretch is not None:  # what stands for it may be in a loop within the loop
            number, _, stretch = self._place(number)
        return number

    def _place(self, number: int) -> tuple[int, int, Stretch | None]:
        """Return the node that stands for one, which turn after that it is in, and of what."""
        at = bisect_right(self.stretches, number, key=lambda stretch: stretch.first) - 1
        if at < 0:
            return number, 0, None
        stretch = self.stretches[at]
        turn, inside = divmod(number - stretch.first, stretch.size)
        if turn >= stretch.turns:
            return number, 0, None
        return stretch.first - stretch.size + inside, turn + 1, stretch

    def _go(self, at: int, stop: int) -> None:
        for number in range(at, stop):
            found = self._of(number, self.fields)
            if found is not None:
                self._fields[number], self._axes[number] = found

    def _of(self, number: int, known: Callable[[int], Fields]) -> tuple[Fields, Axes] | None:
        """Work out the fields of a node, and where the axes lie, from those of what it reads."""
        facts, reads = self._arrays.facts[number], self._arrays.reads[number]
        every = self._arrays.facts
        unseen, straight = facts.shape_only, self._straight
        seen = [r for at, r in enumerate(reads) if self.has(r) and at not in unseen]
        if not seen:
            return None
        output = facts.output
        if len(reads) == 1:  # most nodes, so they have a way of their own
            axes = self.axes(seen[0])
            fields = _through(facts, every[seen[0]].output, known(seen[0]), axes)
        else:
            shapes = [every[read].output for read in seen]
            axes, *others = dict.fromkeys(map(self.axes, seen))
            if others:  # what lies differently meets as a whole
                axes = straight
                branches = [
                    _all(known(read), shape, self.axes(read))
                    for read, shape in zip(seen, shapes, strict=True)
                ]
            else:
                branches = [
                    _through(facts, shape, known(read), axes)
                    for read, shape in zip(seen, shapes, strict=True)
                ]
            fields = _merged(output, shapes, branches, axes)
        if len(output) - 1 != len(straight):  # its axes are no longer those of the input
            axes = straight
        elif facts.moves:
            axes = tuple(map(facts.moves.index, axes))
        return fields, axes

    def _settles(self, at: int, size: int, left: int) -> bool:
        if left < FEWEST_TURNS:
            return False
        for number in range(at, at + size):
            if self.has(number) != self.has(number - size):
                return False
            if self.has(number) and self.axes(number) != self.axes(number - size):
                return False
        try:
            found = self._evenly(at, size)
        except FormulaError:
            return False
        if found is not None:
            self.stretches.append(Stretch(at + size, size, left, found))
        return found is not None

    def _evenly(self, at: int, size: int) -> tuple[Fields | None, ...] | None:
        """Return the fields of further turns like the one that begins with a node, if that goes."""
        trial: dict[int, Fields] = {}  # what comes of the turn before, and then what follows
        wanted: dict[int, Fields] = {}
        for number in range(at, at + size):
            for read in self._arrays.reads[number]:
                if at - size <= read < at and read not in trial and self.has(read):
                    moved = _moving(self.fields(read), self.fields(read + size))
                    if moved is None:
                        return None
                    trial[read], wanted[read + size] = moved

        def known(number: int) -> Fields:
            return trial[number] if number in trial else self.fields(number)

        for number in range(at, at + size):
            found = self._of(number, known)
            if found is not None:
                trial[number] = found[0]
                if _gaps(found[0]):  # what isn't certain for all turns at once may be so for each
                    return None
        if any(trial[number] != fields for number, fields in wanted.items()):
            return None
        return tuple([trial.get(number) for number in range(at, at + size)])


def _moving(old: Fields, new: Fields) -> tuple[Fields, Fields] | None:
    """Return the fields of two turns, one after the other, as those of any two later ones.

    None if they are not alike but for where they begin and end.
    """
    turn, before, after = Formula.named(TURN), [], []
    for one, other in zip(old, new, strict=True):
        alike = one.stride == other.stride and one.whole == other.whole
        if not alike or len(one.reaches) != len(other.reaches):
            return None
        was: list[Reach] = []
        now: list[Reach] = []
        for here, there in zip(one.reaches, other.reaches, strict=True):
            if here.start is None or here.end is None or there.start is None or there.end is None:
                return None
            start, end = turn * (there.start - here.start), turn * (there.end - here.end)
            was.append(Reach(here.start + start, here.end + end))
            now.append(Reach(there.start + start, there.end + end))
        before.append(Field(one.stride, tuple(was), one.whole))
        after.append(Field(one.stride, tuple(now), one.whole))
    return tuple(before), tuple(after)


def _gaps(fields: Fields) -> bool:
    """Tell whether something isn't known of fields."""
    return any(None in reach for field in fields for reach in field.reaches)


def straight(extent: Extent) -> tuple[int, int] | None:
    """Return the `a` and `b` of a number that is `a + turn * b` in each turn, or None."""
    if not isinstance(extent, Formula):
        return (extent, 0) if isinstance(extent, int) else None
    terms = dict(extent.terms)
    start, by = terms.pop((), 0), terms.pop((TURN,), 0)
    return None if terms else (start, by)


def in_turn(fields: Fields, turn: int) -> Fields:
    """Return the fields in a turn of a stretch, from 1 on."""
    values = {TURN: turn}

    def there(size: Size | None) -> Size | None:
        return size.evaluate(values) if isinstance(size, Formula) else size

    return tuple(
        [
            Field(
                field.stride,
                tuple([Reach(there(start), there(end)) for start, end in field.reaches]),
                field.whole,
            )
            for field in fields
        ]
    )


def _through(facts: Facts, shape: Shape, fields: Fields, axes: Axes) -> Fields:
    """Return the fields after a node of one of its inputs, which has that shape."""
    output = facts.output
    if facts.moves:  # `Seen.axes` says where they lie from here on
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
    # one place that is enlarged is seen by all that come of it, which stand no step apart
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
