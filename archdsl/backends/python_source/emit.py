"""Writes the classes of the generated file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from archdsl.backends.python_source.classes import ModuleClass
from archdsl.backends.python_source.forms import Form
from archdsl.backends.python_source.forward import CHILDREN, TENSOR, Forward
from archdsl.backends.python_source.layout import docstring, statement
from archdsl.backends.python_source.loops import Run, Turn, grown
from archdsl.backends.python_source.makers import NO_DEFAULT, Maker, TensorMaker
from archdsl.backends.python_source.names import (
    DICT_ATTRIBUTES,
    MODULE_ATTRIBUTES,
    is_attribute,
    literal,
    prose,
    quoted,
    unique,
)
from archdsl.backends.python_source.options import written as written_condition
from archdsl.backends.python_source.outputs import Outputs
from archdsl.backends.python_source.parameters import LIST
from archdsl.backends.python_source.slots import Member, written_actions, written_members
from archdsl.backends.python_source.template import filled
from archdsl.backends.python_source.ties import written_ties
from archdsl.backends.python_source.uses import Option
from archdsl.backends.python_source.worked_out import with_variables
from archdsl.graph import CheckedGraph


@dataclass(frozen=True, slots=True)
class _Texts:
    """What a class says, with its arguments put in.

    Attributes:
        lists: arguments that are lists, with how many items they must have.
        least: those by which loops turn, with the least that they may be.
        variables: in the constructor, with their texts: what would be worked out several times.
        members: those that are written, with the text that makes each.
        stored: attributes that keep numbers for the forward pass, by the texts of those.
        actions: the expression of each action that is written.
        ranges: for each loop what it counts through and begins to count with, in the constructor.
        kept: the same in the forward pass.
        conditions: of each option that under which it is there, by its flag.
    """

    lists: Mapping[str, int]
    least: Mapping[str, int]
    variables: Mapping[str, str]
    members: Sequence[tuple[Member, str]]
    stored: Mapping[str, str]
    actions: Mapping[int, str]
    ranges: Mapping[int, tuple[str, int]]
    kept: Mapping[int, tuple[str, int]]
    conditions: Mapping[str, str]


def write_class(checked: CheckedGraph, written: ModuleClass, outputs: Outputs) -> list[str]:
    """Return the lines of a class; `outputs` is what the network as a whole gives."""
    use = written.sample
    texts = _texts(written)
    place, form = use.shaped.place, use.shaped.form
    keyed = use.shaped.keyed
    base = "nn.Sequential" if form is Form.CHAIN else "nn.ModuleDict" if keyed else "nn.Module"
    lines = statement(f"class {written.name}({base}):", 0)
    if place.parent is None:
        details = tuple(prose(each) for each in outputs.described(checked))
        summary = prose(checked.description) or f"The network `{prose(checked.name)}`."
        lines += docstring(summary, 1, details)
        lines.append("")
    elif place.scope.description:
        lines += [*docstring(prose(place.scope.description), 1), ""]
    buffers = [name for name, maker in use.makers if _is_buffer(maker)]
    if plain := [name for name in buffers if is_attribute(name)]:
        lines += [*(line for name in plain for line in statement(f"{name}: {TENSOR}", 1)), ""]
    looped = bool(written.folded.runs)
    ties = [
        line for text in written_ties(use.shaped, use.ties, looped) for line in statement(text, 2)
    ]
    if form is Form.CHAIN:
        return [*lines, *_init_header(written), *_chain_body(texts), *ties]
    if texts.members or texts.stored:
        lines += [*_init_header(written), *_init_body(texts, keyed, use.options), *ties]
    folded = written.folded
    if folded.sketch is None:
        return lines
    if texts.members or texts.stored:
        lines.append("")
    forward = Forward(folded.sketch, texts.actions, folded.runs, texts.kept)
    return [*lines, *_forward_lines(written, forward, outputs)]


def _texts(written: ModuleClass) -> _Texts:
    """Put the arguments of a class into the texts of its members and actions."""
    use = written.sample
    worked_out = with_variables(written)
    names = worked_out.attributes
    fill = iter(worked_out.texts)
    members = [
        (member, member.maker.text(_with_growth(member, fill)))
        for member in written_members(written.folded)
    ]
    taken = {*MODULE_ATTRIBUTES, *DICT_ATTRIBUTES, *(name for name, _ in use.makers)}
    taken |= {option.flag for option in use.options}
    stored: dict[str, str] = {}

    def read(text: str) -> str:
        """Return how the forward pass reads a number: itself, or an attribute that keeps it."""
        if text not in names:
            return text
        if text not in stored:
            stored[text] = unique(names[text], {*taken, *stored.values()})
        return f"self.{stored[text]}"

    actions: dict[int, str] = {}
    for at in written_actions(written.folded):
        texts = [read(_given(fill)) for _ in use.spoken[at]]
        actions[at] = _spaced(filled(use.actions[at].parts, texts))
    ranges: dict[int, tuple[str, int]] = {}
    kept: dict[int, tuple[str, int]] = {}
    for run in written.folded.runs.values():
        count = _given(fill)
        ranges[run.start] = _range(run, count)
        over = [member for member, _ in members if member.run is run]
        if len(over) == 1 and len(members) == 1:
            kept[run.start] = (CHILDREN, 0)
        else:
            kept[run.start] = _range(run, read(count))
    conditions = {
        option.flag: str(
            written_condition(option.shape, iter([_given(fill) for _ in option.numbers]))
        )
        for option in use.options
    }
    lists = {
        parameter.name: len(parameter.default)
        for parameter in written.parameters
        if parameter.annotation == LIST and isinstance(parameter.default, tuple)
    }
    least = {each.name: each.least for each in written.parameters if each.least is not None}
    return _Texts(
        lists, least, worked_out.variables, members, stored, actions, ranges, kept, conditions
    )


def _with_growth(member: Member, fill: Iterator[str | None]) -> Iterator[str | None]:
    """Return the texts of a member's numbers, with the counter of a loop in those that grow."""
    grows = member.turn.grows if member.turn else ()
    if not any(grows):
        return fill
    texts = list(islice(fill, len(grows)))
    return iter(
        [
            grown(str(text), _given(fill)) if grow else text
            for text, grow in zip(texts, grows, strict=True)
        ]
    )


def _given(fill: Iterator[str | None]) -> str:
    text = next(fill)
    assert text is not None
    return text


def _range(run: Run, count: str) -> tuple[str, int]:
    """Return what a loop counts through, and what it begins with."""
    if run.first and count.isdigit():
        return f"range({run.first}, {run.first + run.turns})", run.first
    return f"range({count})", 0


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


def _assigned(texts: _Texts) -> Iterator[str]:
    for name, length in texts.lists.items():
        yield from statement(f"if len({name}) != {length}:", 2)
        yield from statement(f'raise ValueError("{name} must have {length} items")', 3)
    for name, least in texts.least.items():
        each, what = (f"min({name})", "every item of ") if name in texts.lists else (name, "")
        yield from statement(f"if {each} < {least}:", 2)
        yield from statement(f'raise ValueError("{what}{name} must be at least {least}")', 3)
    for variable, text in texts.variables.items():
        yield from statement(f"{variable} = {text}", 2)


def _chain_body(texts: _Texts) -> Iterator[str]:
    ((_, text),) = texts.members
    yield from _assigned(texts)
    yield from statement(f"super().__init__({text})", 2)


def _init_body(texts: _Texts, keyed: bool, options: Sequence[Option]) -> Iterator[str]:
    yield from statement("super().__init__()", 2)
    yield from _assigned(texts)
    for text, name in texts.stored.items():
        yield from statement(f"self.{name} = {text}", 2)
    looped: dict[int, list[tuple[Turn, str]]] = {}
    for member, text in texts.members:
        if member.turn and member.run:
            looped.setdefault(member.run.start, []).append((member.turn, text))
    optional = {name: option.flag for option in options for name in option.members}
    for option in options:
        if not option.members:
            yield from statement(f"self.{option.flag} = {texts.conditions[option.flag]}", 2)
    before = ""
    for member, text in texts.members:
        flag = optional.get(member.name, "")
        if flag and flag != before and member.name == flag:
            yield from statement(f"self.{flag}: nn.Module | None = None", 2)
            yield from statement(f"if {texts.conditions[flag]}:", 2)
        elif flag and flag != before:
            yield from statement(f"if self.{flag} is not None:", 2)
        before = flag
        if member.run is None:
            made = _registration(member.name, text, member.maker, keyed)
            yield from statement(made, 3 if flag else 2)
        elif turns := looped.pop(member.run.start, []):
            through, begin = texts.ranges[member.run.start]
            yield from statement(f"for i in {through}:", 2)
            for turn, made in turns:
                name = turn.name("i", begin)
                added = f"self[{name}] = {made}" if keyed else f"self.add_module({name}, {made})"
                yield from statement(added, 3)


def _registration(name: str, text: str, maker: Maker, keyed: bool) -> str:
    """Return the statement that makes a member and gives it its name."""
    if isinstance(maker, TensorMaker) and not maker.learnable:
        kept = "" if maker.stored else ", persistent=False"
        return f"self.register_buffer({quoted(name)}, {text}{kept})"
    if is_attribute(name):
        return f"self.{name} = {text}"
    if isinstance(maker, TensorMaker):
        return f"self.register_parameter({quoted(name)}, {text})"
    if keyed:
        return f"self[{quoted(name)}] = {text}"
    return f"self.add_module({quoted(name)}, {text})"


def _forward_lines(written: ModuleClass, forward: Forward, outputs: Outputs) -> Iterator[str]:
    root = written.sample.shaped.place.parent is None
    sketch = forward.sketch
    parameters = ", ".join(["self", *(f"{name}: {TENSOR}" for name in sketch.parameters)])
    types = [
        f"{TENSOR} | None" if tensor in sketch.conditional else TENSOR for tensor in sketch.results
    ]
    gives = outputs.annotation if root else _tuple(types)
    yield from statement(f"def forward({parameters}) -> {gives}:", 1)
    if not root or (not outputs.training and not outputs.evaluation):
        yield from forward.lines(2)
        return
    yield from forward.body(2, len(sketch.actions))
    for depth, text in outputs.returns([sketch.name(tensor) for tensor in sketch.results]):
        yield from statement(text, 2 + depth)


def _tuple(types: Sequence[str]) -> str:
    return types[0] if len(types) == 1 else f"tuple[{', '.join(types)}]"
