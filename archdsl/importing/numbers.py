"""Finds formulas for the numbers of a tensor, by their place; else they are listed.

A table of indices, a mask, or a grid is a rule: where places are counted by `i, j, ...`, integers
that grow evenly with the place, with its row and column in a square, or with these of two places;
and a choice between two numbers by how places compare. Where there is no rule for a whole tensor,
its first row may have one of its own, or each of a few planes.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import torch

from archdsl.importing.tree import Written

NAMES = "ijklmnop"
LISTED = 8  # numbers that are listed before a formula is looked for
LISTED_WHOLE = 256  # and before one is looked for in pieces
MOST_PIECES = 2  # axes that are cut for it
MOST_KINDS = 4  # places of an axis of which each has a formula of its own
MOST_LISTED = 16_384
MOST_WAYS = 100  # of cutting places that are tried
MOST_PLACES = 4_000_000
MOST_LANDMARKS = 16
LARGEST_WHOLE = 2**24  # of floats that are taken for integers

# What stands for infinity, which the language hasn't: the largest number of bfloat16, which
# float32 has as well.
LARGEST = torch.finfo(torch.bfloat16).max


def finite(tensor: Any) -> Any:
    """Return the numbers of a tensor with the largest one in the place of infinity."""
    if tensor.is_floating_point() and bool(tensor.isinf().any()):
        largest = min(LARGEST, torch.finfo(tensor.dtype).max)
        return torch.where(tensor.isinf(), largest * tensor.sign(), tensor)
    return tensor


def of_list(numbers: Sequence[int], shape: Sequence[int]) -> Written | None:
    """Return a list of integers as a comprehension, or None where no rule was found."""
    if len(numbers) <= LISTED:
        return None
    side = math.isqrt(len(numbers))
    if len(shape) == 1 and side * side == len(numbers):
        found = whole_numbers(torch.tensor(numbers).reshape(side, side))
        shape = (side, side) if found else shape
    else:
        found = whole_numbers(torch.tensor(numbers).reshape(*shape))
    if found is None:
        return None
    text, names = found
    inner = 1
    for name, size in [*zip(names, shape, strict=True)][::-1]:
        place = "k" if inner == 1 else f"k // {inner}"
        if math.prod(shape) // inner > size:
            place += f" % {size}"
        text = replaced(text, name, f"({place})" if " " in place else place)
        inner *= size
    written = Written(f"[{text} for k in range({len(numbers)})]")
    written.value = tuple(numbers)
    return written


def replaced(text: str, name: str, by: str) -> str:
    """Replace a name in a formula, which has no other words with that letter."""
    return re.sub(rf"\b{name}\b", by, text)


def of_tensor(tensor: Any) -> str | None:
    """Return what stands behind the `=` of a constant, or None if there is too much of it."""
    if tensor.numel() == 0 or tensor.numel() > MOST_PLACES:
        return None
    if bool(tensor.isnan().any()):
        return None
    tensor = finite(tensor)
    first = tensor.flatten()[0]
    if bool((tensor == first).all()):
        return number(first)
    if tensor.numel() > LISTED and (text := by_place(tensor)):
        return text
    axes = used_axes(tensor)
    core = tensor
    for axis in range(tensor.dim()):
        core = core if axis in axes else core.narrow(axis, 0, 1)
    if core.numel() > MOST_LISTED:
        return None
    listed = f"[{', '.join(shown(one, core.dtype) for one in core.flatten().tolist())}]"
    if core.numel() == tensor.numel():
        return listed
    place, inner = "", 1  # the same along some axes: the numbers of the others by their place
    for axis in reversed(axes):
        name = NAMES[axis] if inner == 1 else f"{inner} * {NAMES[axis]}"
        place = f"{name} + {place}" if place else name
        inner *= tensor.shape[axis]
    return f"[{listed}[{place}] for {', '.join(NAMES[: tensor.dim()])}]"


def number(one: Any) -> str:
    """Write a number of a tensor: a float as short as it may be."""
    return shown(one.item(), one.dtype)


def shown(held: bool | int | float, dtype: torch.dtype) -> str:
    """Write a number that a tensor of some type holds."""
    if isinstance(held, bool):
        return str(held).lower()
    if not isinstance(held, float) or not math.isfinite(held):
        return repr(held)
    limits = torch.finfo(dtype)
    # the type changes no number of so many digits, and of zeros at their end none is shown
    fewest = 1 if abs(held) < limits.smallest_normal else round(-math.log10(limits.resolution))
    for digits in range(fewest, 18):
        near = float(f"{held:.{digits}g}")
        # the largest number as short as may be is rounded up, to more than fits
        if abs(near) <= limits.max and as_held(near, dtype) == held:
            break
    return repr(near)


def as_held(one: float, dtype: torch.dtype) -> float:
    """Return what a tensor of some type makes of a float."""
    if dtype is torch.float32:  # long tables are written, and a tensor for each number takes time
        (found,) = struct.unpack("f", struct.pack("f", one))
        return float(found)
    return float(torch.tensor(one, dtype=dtype))


def by_place(tensor: Any) -> str | None:
    """Return a formula for each place, `[i // 7 for i, j]`, or None where none was found."""
    if tensor.dim() > len(NAMES):
        return None
    text = formula(tensor, MOST_PIECES if tensor.numel() > LISTED_WHOLE else 0)
    if text is None and tensor.dim() == 1 and not tensor.is_floating_point():
        row = of_list(tensor.tolist(), tensor.shape)  # a square in a row
        return None if row is None else str(row).replace(f" in range({len(tensor)})]", "]")
    return None if text is None else f"[{text} for {', '.join(NAMES[: tensor.dim()])}]"


def formula(tensor: Any, pieces: int = 0) -> str | None:
    """Return what stands before the `for` of a formula for each place, or None.

    `pieces` is how often an axis may be cut into parts that follow a formula each.
    """
    whole = not tensor.is_floating_point()
    found = whole_numbers(tensor) if whole else None
    found = found or two_values(tensor) or floats(tensor)
    if found is not None:
        return found[0]
    if not whole and bool(
        (tensor == tensor.round()).all() and (tensor.abs() < LARGEST_WHOLE).all()
    ):
        text = formula(tensor.long(), pieces)  # whole numbers, as those of a grid, that are floats
        return text and f"{bracketed(text)} + 0.0"
    return in_pieces(tensor, pieces) if pieces and tensor.dtype is not torch.bool else None


def in_pieces(tensor: Any, pieces: int) -> str | None:
    """Return a formula for each place of a few, or of the first place of an axis and the others.

    So has a table of relative positions rows and columns of its own for a token of the class.
    """
    for axis in sorted(used_axes(tensor), key=lambda one: tensor.shape[one]):
        name, size = NAMES[axis], tensor.shape[axis]
        cuts = [*range(size)] if size <= MOST_KINDS else [0, 1]
        texts = []
        for start, stop in zip(cuts, [*cuts[1:], size], strict=True):
            text = formula_of(tensor.narrow(axis, start, stop - start), pieces - 1)
            if text is None:
                break
            shifted = f"({name} - {start})" if start and stop - start > 1 else name
            texts.append(replaced(text, name, shifted))
        if len(texts) == len(cuts):
            chosen = [f"{bracketed(one)} if {name} == {n} else " for n, one in enumerate(texts)]
            return "".join(chosen[:-1]) + texts[-1]
    return None


def formula_of(tensor: Any, pieces: int) -> str | None:
    """Return a number that stands at all places, or else a formula."""
    first = tensor.flatten()[0]
    return number(first) if bool((tensor == first).all()) else formula(tensor, pieces)


def bracketed(text: str) -> str:
    """Put brackets around a choice."""
    return f"({text})" if " if " in text else text


Found = tuple[str, list[str]]


def used_axes(tensor: Any) -> list[int]:
    """Return the axes along which a tensor isn't the same everywhere."""
    return [
        axis
        for axis, size in enumerate(tensor.shape)
        if size > 1 and not bool((tensor == tensor.narrow(axis, 0, 1)).all())
    ]


def places(tensor: Any, axis: int) -> Any:
    """Return the place along an axis at each place of a tensor."""
    shape = [1] * tensor.dim()
    shape[axis] = tensor.shape[axis]
    return torch.arange(tensor.shape[axis], dtype=torch.float64).reshape(shape)


def whole_numbers(tensor: Any) -> Found | None:
    """Return integers as a sum of multiples of places, or of their rows and columns."""
    if tensor.dtype is torch.bool:
        return None
    axes = used_axes(tensor)
    cuts = [ways_to_cut(tensor.shape[axis]) for axis in axes]
    square = len({tensor.shape[axis] for axis in axes}) == 1  # whose axes are cut alike mostly
    ways = sorted(product(*cuts), key=lambda one: (square and len({*one}) > 1, sum(map(len, one))))
    # most rules are ruled out by few places of a large table
    few, some = tensor, [landmarks(tensor.shape[axis]) for axis in axes]
    for axis in range(tensor.dim()):
        at = some[axes.index(axis)] if axis in axes else [0]
        few = few.index_select(axis, torch.tensor(at))
    few, whole = few.double(), tensor.double()
    for chosen in ways[:MOST_WAYS]:
        if in_terms(few, axes, some, chosen) is None:
            continue
        every = [range(tensor.shape[axis]) for axis in axes]
        if (text := in_terms(whole, axes, every, chosen)) is not None:
            return text, [*NAMES[: tensor.dim()]]
    return None


def landmarks(size: int) -> list[int]:
    """Return places of an axis that show where rows of it begin and end, among others."""
    if size <= MOST_LANDMARKS:
        return [*range(size)]
    found = {0, 1, 2, 3, size // 2, size - 2, size - 1}
    return sorted(found | {by + more for by in divisors(size) for more in (-1, 0, 1)})


def in_terms(
    wanted: Any, axes: Sequence[int], at: Sequence[Sequence[int]], chosen: Sequence[tuple[int, ...]]
) -> str | None:
    """Return numbers at places of some axes as a sum, where these are cut in one way."""
    terms: list[tuple[str, Any]] = []
    for axis, places_of, by in zip(axes, at, chosen, strict=True):
        shape = [1] * wanted.dim()
        shape[axis] = len(places_of)
        place = torch.tensor([*places_of], dtype=torch.float64).reshape(shape)
        terms += digits(NAMES[axis], place, by)
    text = linear(wanted, terms)
    if text is not None or len(axes) != 2 or len({*chosen}) != 1 or len(terms) % 2:
        return text
    half = len(terms) // 2  # distances, as of relative positions, and their squares
    pairs = [*zip(terms[:half], terms[half:], strict=True)]
    apart = [(f"abs({a} - {b})", (one - other).abs()) for (a, one), (b, other) in pairs]
    squares = [(f"({a} - {b}) * ({a} - {b})", (one - other) ** 2) for (a, one), (b, other) in pairs]
    return linear(wanted, apart) or linear(wanted, squares)


def ways_to_cut(size: int) -> list[tuple[int, ...]]:
    """Return how places may be rows and columns, or layers of these: by how many each is cut."""
    found: list[tuple[int, ...]] = [(), *((by,) for by in divisors(size))]
    return found + [(by, inner) for by in divisors(size) for inner in divisors(by)]


def digits(name: str, place: Any, by: tuple[int, ...]) -> list[tuple[str, Any]]:
    """Return the parts of a place that is cut, with their texts."""
    if not by:
        return [(name, place)]
    first, *rest = by
    found = [(f"{name} // {first}", torch.floor(place / first))]
    if not rest:
        return [*found, (f"{name} % {first}", place % first)]
    (inner,) = rest
    found.append((f"{name} % {first} // {inner}", torch.floor(place % first / inner)))
    return [*found, (f"{name} % {inner}", place % inner)]


def divisors(size: int) -> list[int]:
    """Return by what a size can be cut into rows, those near a square first."""
    found = [one for one in range(2, size) if size % one == 0]
    return sorted(found, key=lambda one: abs(math.log(one * one / size)))[:6]


def linear(wanted: Any, terms: Sequence[tuple[str, Any]]) -> str | None:
    """Return numbers as a sum of whole multiples of terms, or None."""
    zero = tuple(0 for _ in wanted.shape)
    start = int(wanted[zero])
    rest, parts = wanted - start, []
    for text, values in terms:
        # where all other terms are as at the beginning
        others = [value for name, value in terms if name != text]
        alone = values == 1
        for other in others:
            alone = alone & (other == 0)
        flat = [int(at) for at in torch.nonzero(alone)[:1].flatten()]
        if not flat:
            return None
        times = rest[tuple(min(at, size - 1) for at, size in zip(flat, rest.shape, strict=True))]
        if times != times.round():
            return None
        parts.append((int(times), text))
        rest = rest - times * values
    if bool((rest != 0).any()):
        return None
    return joined(parts, start)


def joined(parts: Sequence[tuple[int, str]], start: int) -> str:
    """Write a sum."""
    text = ""
    for times, name in [*sorted(parts, key=lambda part: part[0] < 0), (start, "")]:
        if times == 0:
            continue
        sign = "-" if times < 0 else "+"
        bare = name if " " not in name or abs(times) == 1 else f"({name})"
        one = str(abs(times)) if not name else bare if abs(times) == 1 else f"{abs(times)} * {bare}"
        text = f"{text} {sign} {one}" if text else (f"-{one}" if times < 0 else one)
    return text or "0"


def two_values(tensor: Any) -> Found | None:
    """Return a choice between two numbers by how places compare."""
    values = tensor.unique()
    if len(values) != 2:
        return None
    names = [*NAMES[: tensor.dim()]]
    ways = [*conditions(tensor, names)]
    for high, low in ((values[1], values[0]), (values[0], values[1])):
        for text, true in ways:
            if bool((torch.where(true, high, low) == tensor).all()):
                if tensor.dtype is torch.bool:
                    return (text if bool(high) else f"not ({text})"), names
                return f"{number(high)} if {text} else {number(low)}", names
    return None


def conditions(tensor: Any, names: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Yield conditions on places, with where they are true."""
    axes = used_axes(tensor)
    for axis in axes:
        place = places(tensor, axis)
        line = tensor.movedim(axis, 0).reshape(tensor.shape[axis], -1)[:, 0]
        change = torch.nonzero(line != line[0]).flatten()
        if len(change):
            start = int(change[0])
            yield f"{names[axis]} < {start}", (place < start).expand(tensor.shape)
            yield f"{names[axis]} >= {start}", (place >= start).expand(tensor.shape)
    yield from parts(tensor, names, axes)
    if len(axes) == 3:
        yield from regions(tensor, names, axes)
    if len(axes) != 2:
        return
    first, second = axes
    one, other = places(tensor, first), places(tensor, second)
    a, b = names[first], names[second]
    for shift in (0, tensor.shape[second] - tensor.shape[first]):
        more = f" + {shift}" if shift else ""
        for sign, true in (
            ("<=", other <= one + shift),
            ("<", other < one + shift),
            ("==", other == one + shift),
            (">", other > one + shift),
        ):
            yield f"{b} {sign} {a}{more}", true.expand(tensor.shape)
    for by in divisors(tensor.shape[first]):
        pairs = [
            ("//", torch.floor(one / by), torch.floor(other / by)),
            ("%", one % by, other % by),
        ]
        for sign, left, right in pairs:
            yield f"{a} {sign} {by} == {b} {sign} {by}", (left == right).expand(tensor.shape)


def parts(tensor: Any, names: Sequence[str], axes: Sequence[int]) -> Iterator[tuple[str, Any]]:
    """Yield where the places of a number lie, if they are slices of axes."""
    for value in (tensor.max(), tensor.min()):
        texts, true = [], torch.ones(tensor.shape, dtype=torch.bool)
        found = torch.nonzero(tensor == value)
        for axis in axes:
            along = torch.unique(found[:, axis]).tolist()
            start, stop, name = along[0], along[-1] + 1, names[axis]
            step = along[1] - along[0] if len(along) > 1 else 1
            if stop - start == 1:
                texts.append(f"{name} == {start}")
            elif stop == tensor.shape[axis] and start >= step:
                texts.append(f"{name} >= {start}")
            elif start >= step or stop + step <= tensor.shape[axis]:
                texts.append(f"{start} <= {name} < {stop}" if start else f"{name} < {stop}")
            if step > 1:
                texts.append(f"{name} % {step} == {start % step}")
            place = places(tensor, axis)
            true = true & (place >= start) & (place < stop) & ((place - start) % step == 0)
        yield " and ".join(texts), true


def regions(tensor: Any, names: Sequence[str], axes: Sequence[int]) -> Iterator[tuple[str, Any]]:
    """Yield where two places of a window lie in one region, as masks of shifted windows have it.

    Windows are those of a grid; the last ones of a row and a column have a border within them.
    """
    count, side = tensor.shape[axes[0]], tensor.shape[axes[1]]
    if tensor.shape[axes[2]] != side:
        return
    window, one, other = (places(tensor, axis) for axis in axes)
    w, a, b = (names[axis] for axis in axes)
    order = [*axes, *(axis for axis in range(tensor.dim()) if axis not in axes)]
    core = tensor.permute(order).reshape(count, side, side, -1)[..., 0]
    for high in [1, *divisors(count), count]:
        wide = count // high
        for rows in divisors(side):
            columns = side // rows
            below = border(core[count - wide].reshape(rows, columns, rows, columns)[:, 0, :, 0])
            right = border(core[wide - 1].reshape(rows, columns, rows, columns)[0, :, 0, :])
            if below is None or right is None:
                continue
            texts, true = [], torch.ones(tensor.shape, dtype=torch.bool)
            for place, at, last, size, sign, cut in (
                (torch.floor(window / wide), f"{w} // {wide}", high - 1, columns, "//", below),
                (window % wide, f"{w} % {wide}", wide - 1, columns, "%", right),
            ):
                left, more = (
                    torch.floor(each / size) if sign == "//" else each % size
                    for each in (one, other)
                )
                same = (left < cut) == (more < cut)
                # torch's formulas by place compare numbers, and no truths
                pair = [f"{each} {sign} {size} // {cut}" for each in (a, b)]
                if 2 * cut < (side // size if sign == "//" else size):
                    pair = [f"min({each}, 1)" for each in pair]
                texts.append(f"({at} < {last} or {pair[0]} == {pair[1]})")
                true = true & ((place < last) | same)
            yield " and ".join(texts), true


def border(square: Any) -> int | None:
    """Return where what a place sees of a line of places changes, if it does so once."""
    line = square[0]
    change = torch.nonzero(line != line[0]).flatten()
    return int(change[0]) if len(change) else None


def floats(tensor: Any) -> Found | None:
    """Return floats that grow evenly along one axis."""
    axes = used_axes(tensor)
    if not tensor.is_floating_point() or len(axes) != 1:
        return None
    names = [*NAMES[: tensor.dim()]]
    (axis,) = axes
    line = tensor.movedim(axis, 0).reshape(tensor.shape[axis], -1)[:, 0]
    start, name = float(number(line[0])), names[axis]
    step = float(f"{(line[-1].double() - line[0].double()).item() / (len(line) - 1):.12g}")
    place = torch.arange(len(line), dtype=torch.float64)
    for text, values in (
        (name, place),
        (f"{step!r} * {name}", place * step),
        (f"{start!r} + {step!r} * {name}", start + place * step),
    ):
        if torch.equal(values.to(tensor.dtype), line):
            return (text if values is not place else f"{name} + 0.0"), names
    return None
