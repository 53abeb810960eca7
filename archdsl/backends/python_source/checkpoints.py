"""Calls of what is computed again in the backward pass, instead of kept."""

from __future__ import annotations

from collections.abc import Set

from archdsl.analysis.checkpoints import groups
from archdsl.graph import CheckedGraph

AGAIN = "checkpoint({module}, {inputs}, use_reentrant=False)"
AGAIN_ONCE = "checkpointed({module}, {inputs})"
# torch would update running statistics in both passes. Where it compiles, what it computes again
# is without updates, and it takes no functions that change something.
ONCE = '''
def checkpointed(module: nn.Module, *inputs: torch.Tensor) -> Any:
    """Call a module, and keep its inputs alone: the backward pass computes it again.

    Running statistics are updated by the first pass alone, as without.
    """
    if torch.compiler.is_compiling():
        return checkpoint(module, *inputs, use_reentrant=False)
    again = False

    def run(*given: torch.Tensor) -> Any:
        nonlocal again
        buffers = list(module.buffers()) if again else []
        before = [buffer.clone() for buffer in buffers]
        again = True
        try:
            return module(*given)
        finally:
            for buffer, values in zip(buffers, before):
                buffer.data.copy_(values)

    return checkpoint(run, *inputs, use_reentrant=False)
'''.lstrip()


def moving(checked: CheckedGraph, again: Set[str]) -> bool:
    """Tell whether something that is computed again has statistics that training changes."""
    arrays = checked.arrays
    numbers = [number for use in groups(checked, again) for number in use]
    owners = [arrays.shares.get(number, number) for number in numbers]
    return any(arrays.layers[one].buffers_move and arrays.facts[one].buffers for one in owners)
