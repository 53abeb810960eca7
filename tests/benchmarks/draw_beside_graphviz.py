"""Measures what drawing adds to Graphviz: python tests/benchmarks/draw_beside_graphviz.py

In one process and one run: the processor time from a checked network to DOT, and that of the
Graphviz that draws it, whichever are installed; folded and unfolded, and with about two thousand
boxes. Prints the times and the share. To be run by hand on a quiet machine: times are no test.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from archdsl import load
from archdsl.backends.diagram.drawing import Choices, write
from archdsl.backends.diagram.engines import ENGINES, render
from archdsl.graph import CheckedGraph

sys.path.insert(0, str(Path(__file__).parents[1] / "backends" / "diagram"))
from graphs import resnet

ROUNDS = 12
MOST_SHARE = 1 / 10
CASES: dict[str, tuple[Callable[[], CheckedGraph], Choices]] = {
    "lenet5": (lambda: load("lenet5").checked, Choices()),
    "inception_v3": (lambda: load("inception_v3").checked, Choices()),
    "inception_v3, open": (lambda: load("inception_v3").checked, Choices(depth=9)),
    "inception_v3, every layer": (lambda: load("inception_v3").checked, Choices(unfold=("*",))),
    "resnet152, every layer": (lambda: load("resnet152").checked, Choices(unfold=("*",))),
    "1,898 boxes": (lambda: resnet((3, 40, 120, 25)), Choices(unfold=("*",))),
}


def spent(who: int, run: Callable[[], object]) -> float:
    """Return the processor time that a call takes here, or in the processes that it starts."""
    before = resource.getrusage(who)
    run()
    after = resource.getrusage(who)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print; the first round is left out."""
    engines = [name for name, find in ENGINES.items() if find()]
    print(f"{'':28}{'DOT':>9}", *(f"{name:>24}" for name in engines))
    for case, (make, choices) in CASES.items():
        checked = make()
        source, _ = write(checked, "dot", choices)
        writing, *drawing = least(
            (resource.RUSAGE_SELF, partial(write, checked, "dot", choices)),
            *(
                (resource.RUSAGE_CHILDREN, partial(render, source, "svg", engine))
                for engine in engines
            ),
        )
        line = f"{case:28}{1000 * writing:6,.1f} ms"
        for each in drawing:
            line += f" {1000 * each:10,.0f} ms  + {writing / each:5.0%}"
        print(line)
    print(f"the promise: at most + {MOST_SHARE:.0%}")


def least(*measured: tuple[int, Callable[[], object]]) -> list[float]:
    """Return the least time of each. They take turns, since the machine is faster at times."""
    rounds = [[spent(who, run) for who, run in measured] for _ in range(ROUNDS + 1)]
    return [min(times) for times in zip(*rounds[1:], strict=True)]


if __name__ == "__main__":
    main()
