"""Free sizes: the module is recorded at several sizes, and what differs becomes a formula.

An argument that is another number at another size follows from the sizes of what comes into its
stage, or the import says that it doesn't.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any

from archdsl.importing.bodies import Body, Node
from archdsl.importing.tree import Written

Shape = tuple[int | str, ...]

STEP = 32  # image networks that halve their input five times take sizes that differ by it
MOST_FACTOR = 64
MOST_FREE = 8  # free sizes that all change otherwise
OPEN = ("shape", "unflattened_size")  # arguments of which one size may be -1


def other_shapes(
    shapes: Sequence[Shape], given: Sequence[tuple[int, ...]]
) -> list[list[tuple[int, ...]]]:
    """Return two more rows of shapes for inputs some of whose sizes are free, or none.

    Every free size is another number in each, and no two change alike.
    """
    return [
        _row(shapes, given, [STEP * (1 + (turn + number) % 2) for number in range(MOST_FREE)])
        for turn in ((1, 2) if _free(shapes, given) else ())
    ]


def odd_shapes(
    shapes: Sequence[Shape], given: Sequence[tuple[int, ...]]
) -> list[list[tuple[int, ...]]]:
    """Return two rows of shapes whose free sizes leave other rests than those of `other_shapes`.

    Whatever is rounded, padded or decided by such a rest shows there. None is larger than theirs.
    """
    by = [[first + number for number in range(MOST_FREE)] for first in (STEP + 1, STEP + 22)]
    return [_row(shapes, given, more) for more in by if _free(shapes, given)]


def _free(shapes: Sequence[Shape], given: Sequence[tuple[int, ...]]) -> dict[str, int]:
    """Return the free sizes, as they were given."""
    return {
        name: size
        for shape, held in zip(shapes, given, strict=True)
        for name, size in zip(shape, held, strict=True)
        if isinstance(name, str)
    }


def _row(
    shapes: Sequence[Shape], given: Sequence[tuple[int, ...]], by: Sequence[int]
) -> list[tuple[int, ...]]:
    """Return shapes whose free sizes are larger, each by a number of its own."""
    sizes = _free(shapes, given).items()
    row = {name: size + by[number % len(by)] for number, (name, size) in enumerate(sizes)}
    return [tuple(row[one] if isinstance(one, str) else one for one in shape) for shape in shapes]


class Differs(Exception):
    """The module goes another way at another size; the text says where."""


def unify(bodies: Sequence[Body]) -> list[tuple[str, str]]:
    """Write formulas into the first of several bodies where the others have other numbers.

    Returns:
        arguments for which there is none, with their places.

    Raises:
        Differs: they are not the same but for their numbers.
    """
    lost: list[tuple[str, str]] = []
    listed = [[*body.nodes()] for body in bodies]
    if len({len(nodes) for nodes in listed}) > 1:
        raise Differs(first_difference(listed))
    for row in zip(*listed, strict=True):
        if len({(node.path, node.use.layer, node.missing) for node in row}) > 1:
            raise Differs(row[0].place)
        names = list(dict.fromkeys(name for node in row for name in node.use.arguments))
        for name in names:
            values = [node.use.arguments.get(name) for node in row]
            if all(repr(value) == repr(values[0]) for value in values):
                continue
            found = formula(values, row, name)
            if found is None:
                lost.append((f"`{name}` of `{row[0].use.layer}`", row[0].place))
            else:
                row[0].use.arguments[name] = found
        for values_of in zip(*(node.inputs for node in row), strict=True):
            if values_of[0].fixed and len({value.shape for value in values_of}) > 1:
                lost.append((f"a constant for `{row[0].use.layer}`", row[0].place))
    return lost


def reshapes(row: Sequence[Node]) -> bool:
    """Tell whether nodes give as many numbers as they take."""
    return all(
        len(node.inputs) == 1 and prod(node.inputs[0].shape) == prod(node.output.shape)
        for node in row
    )


def first_difference(listed: Sequence[Sequence[Node]]) -> str:
    """Return the place of the first node that not all have."""
    for row in zip(*listed, strict=False):
        if len({(node.path, node.use.layer) for node in row}) > 1:
            return str(row[0].place)
    longest = max(listed, key=len)
    place: str = longest[min(map(len, listed))].place
    return place


def formula(values: Sequence[Any], row: Sequence[Node], name: str) -> Any:
    """Return an argument by a formula, given its value at each size, or None."""
    if all(isinstance(value, tuple) for value in values):
        if len({len(value) for value in values}) > 1:
            return None
        columns = [*zip(*values, strict=True)]
        differ = [at for at, column in enumerate(columns) if len({*map(repr, column)}) > 1]
        # a shape may leave one size open, but for one that spreads what is there
        if name in OPEN and len(differ) == 1 and reshapes(row):
            return tuple(-1 if at in differ else column[0] for at, column in enumerate(columns))
        parts = [
            formula(column, row, "") if at in differ else column[0]
            for at, column in enumerate(columns)
        ]
        return None if any(part is None for part in parts) else tuple(parts)
    if not all(type(value) is int for value in values):
        return None
    atoms = list(sizes_of(row))
    for text, sizes in atoms:
        if [*sizes] == [*values]:
            return Written(text)
    for text, sizes in atoms:
        for factor in range(2, MOST_FACTOR):
            if all(size == factor * value for size, value in zip(sizes, values, strict=True)):
                return Written(f"{text} // {factor}")
            if all(factor * size == value for size, value in zip(sizes, values, strict=True)):
                return Written(f"{factor} * {text}")
    for number, (text, sizes) in enumerate(atoms):
        for more, others in atoms[number + 1 :]:
            products = [a * b for a, b in zip(sizes, others, strict=True)]
            for factor in (1, 2, 4, 16, 49, 64):
                if products == [factor * value for value in values]:
                    return Written(f"{text} * {more}" + (f" // {factor}" if factor > 1 else ""))
    return None


def sizes_of(row: Sequence[Node]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the sizes of what comes into a node, by their expressions, where they differ."""
    for number in range(len(row[0].inputs)):
        shapes = [node.inputs[number].shape[1:] for node in row]
        if len({len(shape) for shape in shapes}) > 1:
            continue
        start = "in" if len(row[0].inputs) == 1 else f"in[{number}]"
        rank = len(shapes[0])
        names: Mapping[int, str] = {1: "height", 2: "width"} if rank == 3 else {}
        for axis in range(rank):
            sizes = tuple(shape[axis] for shape in shapes)
            if len({*sizes}) > 1:
                yield f"{start}.{names.get(axis, f'shape[{axis}]')}", sizes
