"""Writes the classes of the generated file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from archdsl.backends.python_source.classes import ModuleClass
from archdsl.backends.python_source.forms import Form
from archdsl.backends.python_source.forward import TENSOR, Forward, with_runs
from archdsl.backends.python_source.layout import docstring, statement
from archdsl.backends.python_source.loops import Run
from archdsl.backends.python_source.makers import (
    NO_DEFAULT,
    Maker,
    TensorMaker,
    folded,
)
from archdsl.backends.python_source.names import (
    MODULE_ATTRIBUTES,
    is_attribute,
    literal,
    prose,
    quoted,
    unique,
    variable,
)
from archdsl.backends.python_source.outputs import Outputs
from archdsl.backends.python_source.tree import Place
from archdsl.backends.python_source.variables import is_owned, name_tensors
from archdsl.graph import CheckedGraph


@dataclass(slots=True)
class Members:
    """What a constructor makes.

    Attributes:
        made: the text that makes each member, by name in order.
        stored: numbers that the forward pass needs, by the name of their attribute.
        texts: the expression of each action, with numbers put in.
    """

    made: dict[str, str] = field(default_factory=dict)
    makers: dict[str, Maker] = field(default_factory=dict)
    stored: dict[str, str] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)


def write_class(checked: CheckedGraph, written: ModuleClass, outputs: Outputs) -> list[str]:
    """Return the lines of a class; `outputs` is what the network as a whole gives."""
    use = written.sample
    members = _members(written)
    place, form = use.shaped.place, use.shaped.form
    base = "nn.Sequential" if form is Form.CHAIN else "nn.Module"
    lines = [f"class {written.name}({base}):"]
    if place.parent is None:
        details = tuple(prose(text) for text in outputs.described(checked))
        summary = prose(checked.description) or f"The network `{prose(checked.name)}`."
        lines += docstring(summary, 1, details)
        lines.append("")
    elif place.scope.description:
        lines += [*docstring(prose(place.scope.description), 1), ""]
    buffers = [name for name, maker in members.makers.items() if _is_buffer(maker)]
    if plain := [name for name in buffers if is_attribute(name)]:
        lines += [*(f"    {name}: {TENSOR}" for name in plain), ""]
    if form is Form.CHAIN:
        return [*lines, *_init_header(written), *_chain_body(members)]
    forward = _forward(checked, written, members, outputs) if form is Form.CLASS else None
    if members.made or members.stored:
        runs = forward.runs if forward else {}
        lines += [*_init_header(written), *_init_body(written, members, runs)]
    if forward is None:
        return lines
    if members.made or members.stored:
        lines.append("")
    return [*lines, *_forward_lines(written, forward, outputs)]


def _members(written: ModuleClass) -> Members:
    """Put the arguments of a class into the texts of its members and actions."""
    use = written.sample
    fill = iter(written.arguments)
    members = Members(makers=dict(use.makers))
    for name, maker in use.makers:
        members.made[name] = maker.text(fill)
    names = {parameter.name for parameter in written.parameters}
    taken = {*MODULE_ATTRIBUTES, *members.made}
    for action in use.actions:
        pieces = [action.parts[0]]
        for part in action.parts[1:]:
            pieces += [_stored(next(fill), names, members.stored, taken), part]
        members.texts.append(_spaced("".join(pieces)))
    return members


def _stored(text: str | None, names: set[str], stored: dict[str, str], taken: set[str]) -> str:
    """Return how the forward pass reads a number: itself, or an attribute that keeps it."""
    assert text is not None
    first = text.split()[0]
    if not (text in names or first in names or text.split()[-1] in names):
        return text
    for name, kept in stored.items():
        if kept == text:
            return f"self.{name}"
    name = unique(text if text in names else variable(text) or "size", taken)
    taken.add(name)
    stored[name] = text
    return f"self.{name}"


def _spaced(text: str) -> str:
    """Write slices as the formatter does, with spaces around the colon beside an attribute."""
    text = re.sub(r"(?<=[\w\]]):(?=self\.)", " : ", text)
    text = re.sub(r"(self\.\w+):(?=\w)", r"\1 : ", text)
    text = re.sub(r"(self\.\w+):(?=[\],])", r"\1 :", text)
    return re.sub(r"(?<=[\[\s]):(?=self\.)", ": ", text)


def _is_buffer(maker: Maker) -> bool:
    return isinstance(maker, TensorMaker) and not maker.learnable


def _init_header(written: ModuleClass) -> list[str]:
    parts = ["self"]
    for parameter in written.parameters:
        text = f"{parameter.name}: {parameter.annotation}"
        if parameter.default is not NO_DEFAULT:
            text += f" = {literal(parameter.default)}"
        parts.append(text)
    return statement(f"def __init__({', '.join(parts)}) -> None:", 1)


def _chain_body(members: Members) -> list[str]:
    return statement(f"super().__init__({', '.join(folded(list(members.made.values())))})", 2)


def _init_body(written: ModuleClass, members: Members, runs: Mapping[int, Run]) -> Iterator[str]:
    yield from statement("super().__init__()", 2)
    for name, text in members.stored.items():
        yield from statement(f"self.{name} = {text}", 2)
    looped = _looped(written, runs)
    for name, text in members.made.items():
        run = looped.get(name)
        if run is None:
            yield from statement(_registration(name, text, members.makers[name]), 2)
            continue
        if name == _first_member(written, run):
            yield from statement(f"for i in {run.counts}:", 2)
            for turn in run.unit:
                if turn.step:
                    made = turn.constructor("i", run.first)
                    registration = f"self.add_module({turn.name('i', run.first)}, {made})"
                    yield from statement(registration, 3)


def _first_member(written: ModuleClass, run: Run) -> str:
    """Return the first module that a loop makes."""
    offset = next(at for at, turn in enumerate(run.unit) if turn.step)
    use = written.sample
    return use.shaped.members[use.actions[run.start + offset].target]


def _looped(written: ModuleClass, runs: Mapping[int, Run]) -> dict[str, Run]:
    """Return the members that loops make."""
    use = written.sample
    found: dict[str, Run] = {}
    for run in runs.values():
        for at, action in enumerate(use.actions[run.start : run.end]):
            if run.unit[at % len(run.unit)].step:
                found[use.shaped.members[action.target]] = run
    return found


def _registration(name: str, text: str, maker: Maker) -> str:
    """Return the statement that makes a member and gives it its name."""
    if _is_buffer(maker):
        return f"self.register_buffer({quoted(name)}, {text})"
    if is_attribute(name):
        return f"self.{name} = {text}"
    if isinstance(maker, TensorMaker):
        return f"self.register_parameter({quoted(name)}, {text})"
    return f"self.add_module({quoted(name)}, {text})"


def _forward(
    checked: CheckedGraph, written: ModuleClass, members: Members, outputs: Outputs
) -> Forward:
    use = written.sample
    place = use.shaped.place
    root = place.parent is None
    parameters = _parameters(checked, written)
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
        [use.shaped.members.get(action.target, "") for action in use.actions],
        frozenset(outputs.reserved),
        flows=not root,
    )
    training = {each for action in use.actions if action.training_only for each in action.outputs}
    forward = Forward(
        use.shaped,
        parameters,
        use.actions,
        members.texts,
        tensors,
        results,
        frozenset(_alone(results, outputs) if root else results[: len(results) == 1]),
        frozenset() if root else frozenset(results) & training,
        _shapes(checked, place) if root else {},
    )
    for at, action in enumerate(use.actions):
        if is_owned(action):
            tensors.names[action.outputs[0]] = forward.expression(at)
    return with_runs(forward, members.made)


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


def _parameters(checked: CheckedGraph, written: ModuleClass) -> list[str]:
    """Name the tensors that come into a class: the network's inputs by name, a block's `x`."""
    place = written.sample.shaped.place
    names: list[str] = []
    taken: set[str] = set()
    for number in range(len(place.inputs)):
        if place.parent is None:
            wanted = variable(list(place.inputs)[number]) or "x"
        elif len(place.inputs) == 1:
            wanted = "x"
        else:
            wanted = _common_label(checked, written, number)
        names.append(unique(wanted, taken))
        taken.add(names[-1])
    return names


def _common_label(checked: CheckedGraph, written: ModuleClass, number: int) -> str:
    """Return what all uses call a tensor that comes in, or x, y, z."""
    labels = {
        checked.nodes[list(use.shaped.place.inputs)[number]].label for use in written.uses[:100]
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


def _forward_lines(written: ModuleClass, forward: Forward, outputs: Outputs) -> Iterator[str]:
    root = written.sample.shaped.place.parent is None
    parameters = ", ".join(["self", *(f"{name}: {TENSOR}" for name in forward.parameters)])
    types = [
        f"{TENSOR} | None" if tensor in forward.conditional else TENSOR
        for tensor in forward.results
    ]
    gives = outputs.annotation if root else _tuple(types)
    yield from statement(f"def forward({parameters}) -> {gives}:", 1)
    if not root or (not outputs.training and not outputs.evaluation):
        yield from forward.lines(2)
        return
    yield from forward.body(2, len(forward.actions))
    for depth, text in outputs.returns([forward.name(tensor) for tensor in forward.results]):
        yield from statement(text, 2 + depth)


def _tuple(types: Sequence[str]) -> str:
    return types[0] if len(types) == 1 else f"tuple[{', '.join(types)}]"
