"""The forward pass of a class before its numbers are known: names for all tensors, and results."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from archdsl.backends.python_source.forms import Shaped, path_to
from archdsl.backends.python_source.loops import Spoken
from archdsl.backends.python_source.makers import Maker
from archdsl.backends.python_source.names import argument, unique, variable
from archdsl.backends.python_source.outputs import Outputs
from archdsl.backends.python_source.template import substitute
from archdsl.backends.python_source.uses import Action, Option, Use
from archdsl.backends.python_source.variables import (
    FEWEST_ALIKE,
    Tensors,
    is_owned,
    name_tensors,
)
from archdsl.graph import CheckedGraph

SUM = re.compile(r"\{0\}(?: [-+*] \{\d+\})+\Z")
LONGEST_SUM = 6
MOST_ASKED = 100  # uses of a block that are asked what they call their inputs


@dataclass(frozen=True, slots=True)
class Sketch:
    """What a forward pass says, less its numbers.

    Attributes:
        parameters: names of the tensors that come in.
        results: the tensors that go out, in order.
        alone: those of them that are returned by themselves in some mode.
        conditional: those of them that are there in training mode only.
        notes: for each tensor a comment on its shape, or nothing.
        options: what is done under a condition only.
    """

    shaped: Shaped
    parameters: Sequence[str]
    actions: Sequence[Action]
    tensors: Tensors
    results: Sequence[int]
    alone: frozenset[int]
    conditional: frozenset[int]
    notes: Mapping[int, str]
    options: Sequence[Option] = ()

    def name(self, tensor: int) -> str:
        """Return the variable that holds a tensor, or the expression for one that is owned."""
        return self.tensors.names[tensor]

    def values(self, at: int, module: str = "") -> dict[str, str]:
        """Return what is put into the expression of an action."""
        action = self.actions[at]
        inputs = [self.name(tensor) for tensor in action.inputs]
        values = {str(place): name for place, name in enumerate(inputs)}
        values["inputs"] = ", ".join(inputs)
        values["batch"] = f"{self.parameters[0]}.shape[0]" if self.parameters else "1"
        if action.target:
            path = module or path_to(self.shaped, action.target)
            values["module"] = values["tensor"] = path
        return values

    def say(
        self, at: int, made: Mapping[str, tuple[Maker, tuple[int, ...]]], numbers: tuple[int, ...]
    ) -> Spoken | None:
        """Return what an action says, or None if it is nothing that a loop can say.

        `made` tells how each member is made, with the columns of its numbers; `numbers` are the
        columns of those in the expression.
        """
        action = self.actions[at]
        if self.is_silent(at) or self.is_long_sum(at):
            return None
        if any(option.first <= at < option.end for option in self.options):
            return None
        member = self.shaped.members.get(action.target, "")
        values = self.values(at, "self" if member in made else "")
        targets = tuple(self.name(tensor) for tensor in action.outputs)
        text = (targets, tuple(substitute(part, values) for part in action.parts), numbers)
        if member not in made:
            return Spoken(text, "", "", (), False, action.training_only)
        maker, columns = made[member]
        only = action.training_only
        return Spoken(text, member, maker.shape, columns, maker.counts, only)

    def parts_from_before(self, at: int) -> bool:
        """Tell whether a blank line helps: a branch of several statements begins, or has ended."""
        if at == 0 or self.notes or len(self.actions[at].outputs) != 1:
            return False
        chain = self.tensors.chain
        here, before = chain[self.actions[at].outputs[0]], chain[self.actions[at - 1].outputs[0]]
        sizes = self.tensors.chain_sizes
        return (
            here != before
            and sizes[here] + sizes[before] > 2
            and len(self.parameters) < self.tensors.long_chains
        )

    def is_silent(self, at: int) -> bool:
        """Tell whether nothing is to be written: a tensor of the module, or an unused result.

        A merge of a single branch gives what comes in, which mostly has the name already.
        """
        action = self.actions[at]
        if action.parts == ("{0}",) and self.name(action.inputs[0]) == self.name(action.outputs[0]):
            return True
        used = any(self.tensors.last_use[each] > at for each in action.outputs)
        return not used or all(each in self.tensors.owned for each in action.outputs)

    def is_long_sum(self, at: int) -> bool:
        """Tell whether an action adds so much up that it takes several statements."""
        action = self.actions[at]
        return len(action.inputs) > LONGEST_SUM and bool(SUM.match("".join(action.parts)))


def sketch(
    checked: CheckedGraph, uses: Sequence[Use], outputs: Outputs, fewest_alike: int = FEWEST_ALIKE
) -> Sketch:
    """Name what the forward pass of a class computes; `outputs` is what the network gives.

    So many labels that differ in a number alone may give one name.
    """
    use = uses[0]
    place = use.shaped.place
    root = place.parent is None
    parameters = _parameters(checked, uses, outputs)
    results = [use.tensors[name] for name in (outputs.nodes if root else place.outputs)]
    named = dict.fromkeys(results, "")
    if root:
        for name, node in zip(outputs.names, outputs.nodes, strict=True):
            named[use.tensors[node]] = name if node not in outputs.unnamed else ""
    tensors = name_tensors(
        parameters,
        use.actions,
        named,
        [use.shaped.members.get(action.target, action.target) for action in use.actions],
        frozenset(outputs.reserved),
        flows=not any(place.inputs.values()),
        fewest_alike=fewest_alike,
    )
    for action in use.actions:
        if is_owned(action):
            tensors.names[action.outputs[0]] = path_to(use.shaped, action.target)
    training = {each for action in use.actions if action.training_only for each in action.outputs}
    return Sketch(
        use.shaped,
        parameters,
        use.actions,
        tensors,
        results,
        frozenset(_alone(results, outputs) if root else results[: len(results) == 1]),
        frozenset() if root else frozenset(results) & training,
        _shapes(checked, use, outputs) if root else {},
        use.options,
    )


def _alone(results: Sequence[int], outputs: Outputs) -> list[int]:
    """Return the results of a network that it returns as a tensor and not in a tuple."""
    pairs = zip(results, outputs.training_only, strict=True)
    always = [tensor for tensor, only in pairs if not only]
    return [] if outputs.evaluation else always


def _parameters(checked: CheckedGraph, uses: Sequence[Use], outputs: Outputs) -> list[str]:
    """Name the tensors that come into a class: as the spec does, else `x`, or by their labels."""
    place = uses[0].shaped.place
    names: list[str] = []
    taken = outputs.reserved
    for number, declared in enumerate(place.inputs.values()):
        if declared:
            wanted = argument(declared)
        elif len(place.inputs) == 1:
            wanted = "x"
        else:
            wanted = _common_label(checked, uses, number)
        names.append(unique(wanted, taken))
        taken.add(names[-1])
    return names


def _common_label(checked: CheckedGraph, uses: Sequence[Use], number: int) -> str:
    """Return what all uses call a tensor that comes in, or x, y, z."""
    labels = {
        checked.nodes[list(use.shaped.place.inputs)[number]].label for use in uses[:MOST_ASKED]
    }
    label = variable(labels.pop()) if len(labels) == 1 else ""
    return label or ("x", "y", "z")[min(number, 2)]


def _shapes(checked: CheckedGraph, use: Use, outputs: Outputs) -> dict[int, str]:
    """Return the shape of each tensor that a network computes, where it is another than before."""
    notes: dict[int, str] = {}
    before: object = None
    for step, action in zip(use.shaped.place.steps, use.actions, strict=True):
        if len(step.outputs) != 1:
            continue
        node = checked.nodes[step.outputs[0]]
        if outputs.sizes(node) != before and node.facts.batched:
            text = outputs.shape(node)
            if len(text) <= 72:
                notes[action.outputs[0]] = text
        before = outputs.sizes(node)
    return notes
