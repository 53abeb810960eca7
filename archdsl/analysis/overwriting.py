"""Which activations may write their result over their input, as hand-written modules let them.

That saves a tensor and the time to write it. It is safe where nothing else reads the input, and
where what made it says that its result may be written over (`TorchModule.overwritable`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Set

from archdsl.analysis.checkpoints import groups
from archdsl.graph import CheckedGraph
from archdsl.layers.base import TorchModule, TorchTensor


def overwriting(checked: CheckedGraph, again: Set[str] = frozenset()) -> frozenset[int]:
    """Return the numbers of the nodes whose modules may work in place, in all their uses.

    They are those whose own modules the nodes are. What comes into a scope that is computed `again`
    has to stay for that.
    """
    arrays = checked.arrays
    apt = {
        id(facts)
        for facts, _ in checked.tally
        if isinstance(facts.torch, TorchModule) and facts.torch.overwrites
    }
    if not apt:
        return frozenset()
    able = [number for number, facts in enumerate(arrays.facts) if id(facts) in apt]
    readers = Counter(read for reads in arrays.reads for read in reads)
    readers.update(checked.ends)  # whoever gets an output reads it
    inside = {number: at for at, use in enumerate(groups(checked, again)) for number in use}
    owners: set[int] = set()
    unable: set[int] = set()
    for number in able:
        (read,) = arrays.reads[number]
        made = arrays.facts[read].torch
        may = readers[read] == 1 and not isinstance(made, TorchTensor) and made.overwritable
        may = may and (number not in inside or inside[number] == inside.get(read))
        (owners if may else unable).add(arrays.shares.get(number, number))
    # a module that is applied several times works in place in all its uses or in none
    return frozenset(owners - unable)
