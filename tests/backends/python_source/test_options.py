"""Every layer with every pair of its options, through the source that is written for it.

Uses stand in networks of many, alternately as stages and in blocks: blocks whose uses differ in
numbers share a class, so that each option goes through a constructor as well.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from itertools import combinations

import pytest
from building import LAYERS, Builder
from compiled import verified

from archdsl.graph import CheckedGraph
from archdsl.layers.base import (
    ArgumentErrors,
    Example,
    Kind,
    Layer,
    LayerError,
    construct,
    numel,
)

torch = pytest.importorskip("torch")

from torch_facts import is_lacking  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = 4_000  # numbers in the inputs of an example
MOST_USES = 40  # in a network
Arguments = dict[str, object]


def small_examples(kind: type[Layer]) -> list[Example]:
    """Return the examples of a layer with small inputs of known sizes."""
    known = [each for each in kind.examples if all(map(is_known, each.inputs))]
    return [each for each in known if sum(map(numel, each.inputs)) <= SMALL]  # type: ignore[misc]


def is_known(shape: tuple[object, ...]) -> bool:
    return all(isinstance(size, int) for size in shape)


def choices(kind: type[Layer]) -> dict[str, list[object]]:
    """Return the values that each argument of a layer is tried with."""
    found = {
        name: [value for each in field.metadata if isinstance(each, Kind) for value in each.samples]
        for name, field in kind.model_fields.items()
    }
    return {name: values for name, values in found.items() if values}


def accepted(kind: type[Layer], arguments: Mapping[str, object], example: Example) -> bool:
    try:
        made = construct(kind, arguments).infer(example.inputs).torch
    except (ArgumentErrors, LayerError):
        return False
    return not is_lacking(made)


def pairwise(kind: type[Layer], example: Example) -> Iterator[Arguments]:
    """Yield few uses in which each pair of values that a layer accepts occurs at least once."""
    base = dict(example.arguments)
    values = choices(kind)
    singles = [{name: value} for name in values for value in values[name]]
    pairs = [a | b for a, b in combinations(singles, 2) if not a.keys() & b.keys()]
    waiting = [each for each in singles + pairs if accepted(kind, base | each, example)]
    yield base
    while waiting:
        use = waiting.pop()
        for more in reversed(waiting):
            if len(use) == len(values):
                break
            if agree(use, more) and accepted(kind, base | use | more, example):
                use = use | more
        waiting = [each for each in waiting if not (each.keys() <= use.keys() and agree(use, each))]
        yield base | use


def agree(one: Arguments, other: Arguments) -> bool:
    """Tell whether arguments have the same values where both are given; 1 is not True here."""
    return all(repr(one[name]) == repr(other[name]) for name in one.keys() & other.keys())


def networks(kind: type[Layer], uses: list[tuple[Arguments, Example]]) -> Iterator[CheckedGraph]:
    """Yield networks that hold all these uses; each use is an output."""
    for start in range(0, len(uses), MOST_USES):
        units = {f"unit{number}": "Unit" for number in range(1, MOST_USES, 2)}
        builder = Builder("many", units)
        inputs: dict[tuple[object, ...], list[str]] = {}
        made = 0  # inputs
        for number, (arguments, example) in enumerate(uses[start : start + MOST_USES]):
            if example.inputs not in inputs:
                named = enumerate(example.inputs, made)
                inputs[example.inputs] = [builder.input(f"x{at}", *shape) for at, shape in named]
                made += len(example.inputs)
            name = f"unit{number}.layer" if number % 2 else f"layer{number}"
            builder.put(name, construct(kind, arguments), *inputs[example.inputs])
            builder.output(f"y{number}")
        yield builder.checked()


def compare(kind: type[Layer], uses: list[tuple[Arguments, Example]]) -> None:
    for checked in networks(kind, uses):
        source, found = verified(checked)
        assert found.agrees, (found.disagreeing, found.differing, source)


@pytest.mark.parametrize("name", LAYERS)
def test_pairs_of_options(name: str) -> None:
    kind = LAYERS[name]
    for example in small_examples(kind)[:1]:
        compare(kind, [(arguments, example) for arguments in pairwise(kind, example)])


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYERS)
def test_all_examples_and_many_options_at_once(name: str) -> None:
    kind = LAYERS[name]
    chance = random.Random(name)
    values = choices(kind)
    uses: list[tuple[Arguments, Example]] = []
    for example in small_examples(kind):
        uses += [(arguments, example) for arguments in pairwise(kind, example)]
        for _ in range(100 if len(values) > 2 else 0):
            several = chance.sample(list(values), chance.randint(2, len(values)))
            drawn = {each: chance.choice(values[each]) for each in several}
            if accepted(kind, arguments := dict(example.arguments) | drawn, example):
                uses.append((arguments, example))
    compare(kind, uses)
