"""The forward pass of a class before its numbers are known: names for all tensors, and results."""

from __future__ import annotations

from collections.abc import Sequence

from archdsl.backends.python_source.forward import Forward
from archdsl.backends.python_source.names import prose, unique, variable
from archdsl.backends.python_source.outputs import Outputs
from archdsl.backends.python_source.tree import Place
from archdsl.backends.python_source.uses import Use
from archdsl.backends.python_source.variables import FEWEST_ALIKE, is_owned, name_tensors
from archdsl.graph import CheckedGraph

MOST_ASKED = 100  # uses of a block that are asked what they call their inputs


def sketch(
    checked: CheckedGraph, uses: Sequence[Use], outputs: Outputs, fewest_alike: int = FEWEST_ALIKE
) -> Forward:
    """Name what the forward pass of a class computes; `outputs` is what the network gives.

    So many labels that differ in a number alone may give one name.
    """
    use = uses[0]
    place = use.shaped.place
    root = place.parent is None
    parameters = _parameters(checked, uses)
    numbers = _tensor_numbers(place)
    results = [numbers[name] for name in (outputs.nodes if root else place.outputs)]
    named = dict.fromkeys(results, "")
    if root:
        for name, node in zip(outputs.names, outputs.nodes, strict=True):
            named[numbers[node]] = name if node not in outputs.unnamed else ""
    tensors = name_tensors(
        parameters,
        use.actions,
        named,
        [use.shaped.members.get(action.target, action.target) for action in use.actions],
        frozenset(outputs.reserved),
        flows=not root,
        fewest_alike=fewest_alike,
    )
    training = {each for action in use.actions if action.training_only for each in action.outputs}
    forward = Forward(
        use.shaped,
        parameters,
        use.actions,
        tensors,
        results,
        frozenset(_alone(results, outputs) if root else results[: len(results) == 1]),
        frozenset() if root else frozenset(results) & training,
        _shapes(checked, place) if root else {},
    )
    for at, action in enumerate(use.actions):
        if is_owned(action):
            tensors.names[action.outputs[0]] = forward.values(at)["tensor"]
    return forward


def _alone(results: Sequence[int], outputs: Outputs) -> list[int]:
    """Return the results of a network that it returns as a tensor and not in a tuple."""
    pairs = zip(results, outputs.training_only, strict=True)
    always = [tensor for tensor, only in pairs if not only]
    return [] if outputs.evaluation else always


def _tensor_numbers(place: Place) -> dict[str, int]:
    numbers = {name: at for at, name in enumerate(place.inputs)}
    for step in place.steps:
        for name in step.outputs:
            numbers[name] = len(numbers)
    return numbers


def _parameters(checked: CheckedGraph, uses: Sequence[Use]) -> list[str]:
    """Name the tensors that come into a class: the network's inputs by name, a block's `x`."""
    place = uses[0].shaped.place
    names: list[str] = []
    taken: set[str] = set()
    for number in range(len(place.inputs)):
        if place.parent is None:
            wanted = variable(list(place.inputs)[number]) or "x"
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


def _shapes(checked: CheckedGraph, place: Place) -> dict[int, str]:
    """Return the shape of each tensor that a network computes, where it is another than before."""
    notes: dict[int, str] = {}
    numbers = _tensor_numbers(place)
    before: object = None
    for step in place.steps:
        if len(step.outputs) != 1:
            continue
        node = checked.nodes[step.outputs[0]]
        if node.shape != before and node.facts.batched:
            text = prose(" x ".join(["N", *map(str, node.shape)]))
            if len(text) <= 72:
                notes[numbers[step.outputs[0]]] = text
        before = node.shape
    return notes
