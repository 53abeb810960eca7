"""The passes: each takes a program and gives one that computes the same with less work.

One pass a file. A pass knows no layer by name: layers say what may be done with them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from archdsl.backends.optimizing.passes.appending import appending
from archdsl.backends.optimizing.passes.clamping import clamping
from archdsl.backends.optimizing.passes.evaluation import evaluation
from archdsl.backends.optimizing.passes.exchanging import exchanging
from archdsl.backends.optimizing.passes.joining import joining
from archdsl.backends.optimizing.passes.merging import merging
from archdsl.backends.optimizing.passes.pruning import pruning
from archdsl.backends.optimizing.passes.scaling import scaling
from archdsl.backends.optimizing.program import Program

Pass = Callable[[Program], Program]

# In this order.
PASSES: Mapping[str, Pass] = {
    "evaluation": evaluation,
    "scaling": scaling,
    "pruning": pruning,
    "exchanging": exchanging,
    "clamping": clamping,
    "appending": appending,
    "joining": joining,
    "merging": merging,
}
