"""For which inputs an exported program is compared with torch.

An exporter sees a network with one batch and one size, and what it writes may be right for those
alone. So programs are compared with other batches, one of them a single sample, and with other
sizes: those that the exporter saw; odd ones, and larger ones, of another ratio; and the smallest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, product

from archdsl.analysis.agreement import Assumptions, assumptions
from archdsl.analysis.solving import Requirement
from archdsl.backends.torch_module.running import chosen_sizes
from archdsl.graph import CheckedGraph
from archdsl.layers.sizes import substitute

SEEN = 2  # the batch that the exporter sees: it takes an axis of one for fixed
BATCHES = (1, 3)  # a single sample is where axes are dropped; and more than were seen
TRIED = 6  # values of each name, where several must agree
MOST_TRIED = 2_000  # choices of values for all names together


@dataclass(frozen=True, slots=True)
class Trial:
    """An input to compare with: the batch, and a value for each free size.

    Attributes:
        least: whether the sizes are the smallest ones.
    """

    batch: int
    sizes: Mapping[str, int]
    least: bool = False


def trials(checked: CheckedGraph) -> list[Trial]:
    """Return the inputs to compare with, the batch and sizes that the exporter sees first.

    Raises:
        TorchError: no value of a free size is known to do.
    """
    seen = chosen_sizes(checked)
    found = [Trial(SEEN, seen)]
    if not seen:
        return found + [Trial(batch, seen) for batch in BATCHES]
    known = assumptions(checked)
    odd = {name: _odd(known.requirements[name], size + 1) for name, size in seen.items()}
    wider = {name: _from(known.requirements[name], size + size // 2) for name, size in seen.items()}
    least = {name: _from(known.requirements[name], 1) for name in seen}
    one, three = BATCHES
    found.append(Trial(three, seen))
    for batch, values, apart in ((one, odd, 1), (one, wider, -1), (three, least, 0)):
        sizes = _chosen(known, values, apart)
        if sizes and all(sizes != trial.sizes for trial in found):
            found.append(Trial(batch, sizes, least=not apart))
    if all(trial.batch != one for trial in found):  # no other sizes are allowed
        found.append(Trial(one, seen))
    return found


def larger_trials(checked: CheckedGraph) -> Iterator[Trial]:
    """Yield inputs from the smallest sizes on, all sizes growing, up to those that are seen first.

    Raises:
        TorchError: no value of a free size is known to do.
    """
    seen, known = chosen_sizes(checked), assumptions(checked)
    before: dict[str, int] = {}
    for start in range(1, max(seen.values(), default=0) + 1):
        least = {name: _from(known.requirements[name], start) for name in seen}
        sizes = _chosen(known, least, 0)
        if sizes and sizes != before:
            yield Trial(BATCHES[1], sizes)
            before = sizes


def _from(requirement: Requirement, start: int, most: int = TRIED) -> list[int]:
    """Return the first values from `start` on that a free size may have."""
    found = [requirement.value(start)]
    # of a few values the last one stays
    while len(found) < most and (after := requirement.value(found[-1] + 1)) > found[-1]:
        found.append(after)
    return found


def _odd(requirement: Requirement, start: int) -> list[int]:
    """Return the first odd values from `start` on, or any if none is odd."""
    found = _from(requirement, start, 2 * TRIED)
    return ([value for value in found if value % 2] or found)[:TRIED]


def _chosen(
    known: Assumptions, values: Mapping[str, list[int]], apart: int
) -> dict[str, int] | None:
    """Choose a value for each name so that all equations hold; None if none is found.

    Neighbouring names get different ones if they may: the second larger than the first where
    `apart` is above 0, smaller where it is below.
    """
    names = list(values)
    turned = [
        _turned(listed, number if apart > 0 else len(names) - 1 - number) if apart else listed
        for number, listed in enumerate(values.values())
    ]
    if not known.equations:
        return {name: listed[0] for name, listed in zip(names, turned, strict=True)}
    for chosen in islice(product(*turned), MOST_TRIED):
        sizes = dict(zip(names, chosen, strict=True))
        if all(
            substitute(left, sizes) == substitute(right, sizes) for left, right in known.equations
        ):
            return sizes
    return None


def _turned(values: list[int], by: int) -> list[int]:
    """Return the values with another one first."""
    by %= len(values)
    return values[by:] + values[:by]
