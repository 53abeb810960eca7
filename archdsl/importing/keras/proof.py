"""Compares what was made of a file of Keras with what the file says, and says what was not."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from archdsl.importing.keras.module import Builder
from archdsl.importing.proof import Proof, joint, prove
from archdsl.network import Network

COUNTED = "num_batches_tracked"  # by torch alone
TOO_LARGE = "the network is too large to be run with weights that are drawn"


def compared(
    build: Builder,
    loaded: Network,
    module: nn.Module | None,
    runs: Sequence[tuple[torch.Tensor, ...]],
    weights: bool,
) -> Proof:
    """Compare a network with the layers of a file, and these with what the file says.

    Args:
        module: the layers with numbers; None where there are too many to be drawn.
        weights: whether the numbers are those of the file.
    """
    wrong = unmade(build)
    if wrong:
        return Proof(differing=wrong)
    if module is None:
        proof = prove(loaded, build.root.module, runs[0])._replace(reason=TOO_LARGE)
    else:
        proof = joint([prove(loaded, module, run) for run in runs])
    numbers = f"{build.count:,} numbers in weights{', read' if weights else ''}"
    if build.compared:
        shapes = f"{build.compared:,} shapes are those that the file says"
    else:
        shapes = "the file says no shapes to compare"
    return proof._replace(besides=f"{numbers}; {shapes}; Keras was not run")


def unmade(build: Builder) -> tuple[str, ...]:
    """Return the parameters and buffers that aren't made of weights of Keras, number by number."""
    made: set[int] = set()
    wrong: list[str] = []
    names = {id(one): name for name, one in build.root.module.state_dict(keep_vars=True).items()}
    for home, name, source in build.sources:
        held = getattr(home, name)
        made.add(id(held))
        given = [torch.empty(one.shape, device="meta") for one in source.variables]
        if given and source.made(*given).numel() != held.numel():
            wrong.append(names[id(held)])
    wrong += [name for key, name in names.items() if key not in made and not name.endswith(COUNTED)]
    return tuple(wrong)
