"""Measures what drawing adds to Graphviz: python tests/benchmarks/draw_beside_graphviz.py

In one process and one run: the processor time from a checked network to DOT, and that of the
Graphviz that draws it, whichever are installed; folded and unfolded, and with about two thousand
boxes; at the end the sums over the networks of specs/: as they are drawn by default, and those that
have few layers with each layer shown.
Prints the times and the share. To be run by hand on a quiet machine: times are no test.
"""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial

from archdsl import ArchError, load
from archdsl.backends.diagram.diagram import Choices, write
from archdsl.backends.diagram.dot.engines import ENGINES, render
from archdsl.graph import CheckedGraph
from archdsl.pipeline import Spec
from archdsl.sources import shipped


def deep_resnet() -> CheckedGraph:
    """Return a ResNet of 188 units in four stages."""
    return load("resnet50", network="ResNet", unit="Bottleneck", depths=[3, 40, 120, 25]).checked


ROUNDS = 12
FEW = 330  # layers
MOST_SHARE = 1 / 10
CASES: dict[str, tuple[Callable[[], CheckedGraph], Choices]] = {
    "lenet5": (lambda: load("lenet5").checked, Choices()),
    "inception_v3": (lambda: load("inception_v3").checked, Choices()),
    "inception_v3, open": (lambda: load("inception_v3").checked, Choices(depth=9)),
    "inception_v3, every layer": (lambda: load("inception_v3").checked, Choices(unfold=("*",))),
    "resnet152, every layer": (lambda: load("resnet152").checked, Choices(unfold=("*",))),
    "1,897 boxes": (lambda: deep_resnet(), Choices(unfold=("*",))),
}


def spent(who: int, run: Callable[[], object]) -> float:
    """Return the processor time that a call takes here, or in the processes that it starts."""
    before = resource.getrusage(who)
    run()
    after = resource.getrusage(who)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print."""
    engines = [name for name, find in ENGINES.items() if find()]
    print(f"{'':28}{'DOT':>9}", *(f"{name:>24}" for name in engines))
    for case, (make, choices) in CASES.items():
        print(line(case, least(make(), choices, engines)))
    every = list(in_specs())
    small = [checked for checked in every if len(checked.nodes) <= FEW]
    sums = [("by default", every, Choices()), ("every layer", small, Choices(unfold=("*",)))]
    for how, networks, choices in sums:
        times = [least(checked, choices, engines, 3) for checked in networks]
        total = [sum(each) for each in zip(*times, strict=True)]
        print(line(f"{len(networks)} networks, {how}", total))
    print(f"the promise: at most + {MOST_SHARE:.0%}")


def in_specs() -> Iterator[CheckedGraph]:
    """Yield the networks that come with the package, but those that others are made of."""
    for file in sorted(shipped().glob("*.arch")):
        for name in Spec(str(file)).networks:
            with suppress(ArchError):  # it needs values for its parameters
                yield load(f"{file}:{name}").checked


def least(
    checked: CheckedGraph, choices: Choices, engines: Sequence[str], rounds: int = ROUNDS
) -> list[float]:
    """Return the least time that writing DOT takes, and that of each engine to draw it.

    They take turns, since the machine is faster at times; the first round is left out.
    """
    source, _ = write(checked, "dot", choices)
    measured = [(resource.RUSAGE_SELF, partial(write, checked, "dot", choices))]
    for engine in engines:
        measured.append((resource.RUSAGE_CHILDREN, partial(render, source, "svg", engine)))
    turns = [[spent(who, run) for who, run in measured] for _ in range(rounds + 1)]
    return [min(times) for times in zip(*turns[1:], strict=True)]


def line(case: str, times: Sequence[float]) -> str:
    """Write a row: the time of writing DOT, that of each engine, and what share the first is."""
    writing, *drawing = times
    shares = (f" {1000 * each:10,.0f} ms  + {writing / each:5.0%}" for each in drawing)
    return f"{case:28}{1000 * writing:6,.1f} ms{''.join(shares)}"


if __name__ == "__main__":
    main()
