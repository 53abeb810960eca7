"""Lets uses of a block share a class where they differ in what an `if` of the block decides.

A stage that is there only under a condition is an *option* of the class: its constructor makes it
where the condition holds, and the forward pass goes around it elsewhere, as in the `downsample` of
a ResNet. That is so where one use has all that the others have, what they lack are stages of such
an `if`, and those take one tensor and give one; or what they lack is the addition of a
`residual when`, without which the result is what would be added to.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from archdsl.backends.python_source.forms import Form, Shaped
from archdsl.backends.python_source.makers import (
    ANY,
    ClassMaker,
    LayerMaker,
    ListMaker,
    Maker,
    Number,
    TensorMaker,
)
from archdsl.backends.python_source.names import is_attribute, unique
from archdsl.backends.python_source.sight import Sights
from archdsl.backends.python_source.tree import first_node
from archdsl.backends.python_source.uses import Action, Option, Shape, Use
from archdsl.layers.traced import Choice, Condition, Several, bare, formula_of

Where = tuple[str, int]
JOINED = "residual"  # the attribute that says whether an addition is there
MOST_CHOICES = 64  # in a block: with more of them a class tells a reader nothing


COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class _Segment:
    """What an `if` makes in a forward pass, and the members that nothing else calls."""

    first: int
    end: int
    members: tuple[str, ...]
    reads: int  # the tensor that goes in, which comes out where the condition doesn't hold
    gives: int


def join(
    groups: Sequence[Sequence[Use]], sights: Sights, describe: Callable[[Shaped], Use]
) -> list[list[Use]]:
    """Return the uses of each class; those of several groups where they differ in options alone.

    The use that comes first has all options. The order of the groups stays. `describe` makes a use
    of a scope anew: sizes that are equal where something is added need not be so elsewhere.
    """
    families: dict[Hashable, list[int]] = {}
    for at, uses in enumerate(groups):
        families.setdefault(uses[0].family, []).append(at)
    found = {at: list(uses) for at, uses in enumerate(groups)}
    for family in families.values():
        if len(family) < 2 or groups[family[0]][0].shaped.form is not Form.CLASS:
            continue
        most = max(family, key=lambda at: len(groups[at][0].actions))
        segments = _segments(groups[most][0], sights)
        joined: dict[int, list[frozenset[Where]]] = {}
        for at in family if segments else ():
            reduced = [_reduced(groups[most][0], use, segments, sights) for use in groups[at]]
            if at != most and None not in reduced:
                joined[at] = [each for each in reduced if each is not None]
        if joined:
            lacking = {where for each in joined.values() for one in each for where in one}
            wanted = {where: segments[where] for where in segments if where in lacking}
            for at in (most, *joined):
                for use in groups[at]:
                    sights.of(use.shaped.place).forget_equal()
            whole = [describe(use.shaped) for use in groups[most]]
            uses = [_with_options(use, None, wanted, sights) for use in whole]
            for at, each in joined.items():
                pairs = zip([describe(use.shaped) for use in groups[at]], each, strict=True)
                uses += [_with_options(*pair, wanted, sights, whole[0]) for pair in pairs]
            if all(_agree(uses[0], use) for use in uses):
                for at in joined:
                    del found[at]
                found[most] = uses
    return list(found.values())


def _agree(first: Use, use: Use) -> bool:
    return [each.shape for each in first.options] == [each.shape for each in use.options]


def _choices(use: Use, sights: Sights) -> Mapping[Where, Choice]:
    """Return the conditions that were decided once in a use of a block, by their place."""
    listed = sights.trace.choices.get(sights.of(use.shaped.place).number, [])
    if len(listed) > MOST_CHOICES:
        return {}
    often = Counter(choice.where for choice in listed)
    return {
        choice.where: choice for choice in listed if choice.condition and often[choice.where] == 1
    }


def _segments(use: Use, sights: Sights) -> dict[Where, _Segment]:
    """Return what each `if` has made that can be an option."""
    if use.shaped.keyed or use.ties:
        return {}
    steps = use.shaped.place.steps
    numbers = [sights.order[first_node(step.what)] for step in steps]
    found: dict[Where, _Segment] = {}
    for where, choice in _choices(use, sights).items():
        inside = [at for at, number in enumerate(numbers) if choice.first <= number < choice.end]
        if inside and inside[-1] - inside[0] + 1 == len(inside):
            segment = _segment(use, inside[0], inside[-1] + 1, choice.joins)
            if segment:
                found[where] = segment
    return found


def _segment(use: Use, first: int, end: int, joins: bool) -> _Segment | None:
    inside, outside = use.actions[first:end], (*use.actions[:first], *use.actions[end:])
    given = [tensor for action in inside for tensor in action.outputs]
    read = {tensor for action in inside for tensor in action.inputs} - set(given)
    results = {use.tensors[name] for name in use.shaped.place.outputs}
    used = ({tensor for action in outside for tensor in action.inputs} | results) & set(given)
    members = use.shaped.members
    called = dict.fromkeys(members.get(action.target, "") for action in inside if action.target)
    others = {members.get(action.target, "") for action in outside}
    own = tuple(name for name in called if name not in others)
    makers = dict(use.makers)
    plain = all(is_attribute(name) and not isinstance(makers[name], TensorMaker) for name in own)
    if "" in called or not plain or used != {given[-1]}:
        return None
    if any(action.training_only for action in inside):
        return None
    if joins and inside[-1].inputs[0] in read:
        return _Segment(first, end, own, inside[-1].inputs[0], given[-1])
    if not own or len(read) != 1:
        return None
    return _Segment(first, end, own, read.pop(), given[-1])


def _reduced(
    whole: Use, use: Use, segments: Mapping[Where, _Segment], sights: Sights
) -> frozenset[Where] | None:
    """Return which options a use lacks that another has, or None if it differs in more."""
    choices = _choices(use, sights)
    lacking = {
        where: segment
        for where, segment in segments.items()
        if where in choices and choices[where].first == choices[where].end
    }
    gone = {at for each in lacking.values() for at in range(each.first, each.end)}
    members = {name for each in lacking.values() for name in each.members}
    makers = [(name, maker.shape) for name, maker in whole.makers if name not in members]
    if makers != [(name, maker.shape) for name, maker in use.makers]:
        return None
    tensors = {at: at for at in range(len(whole.shaped.place.inputs))}
    around = {each.first: each for each in lacking.values()}
    actions = iter(use.actions)
    for at, action in enumerate(whole.actions):
        if segment := around.get(at):
            tensors[segment.gives] = tensors[segment.reads]
        if at in gone:
            continue
        other = next(actions, None)
        if other is None or not _says(whole.shaped, action, use.shaped, other, tensors):
            return None
        tensors.update(zip(action.outputs, other.outputs, strict=True))
    if next(actions, None) is not None:
        return None
    results = [tensors.get(whole.tensors[name]) for name in whole.shaped.place.outputs]
    if results != [use.tensors[name] for name in use.shaped.place.outputs]:
        return None
    return frozenset(lacking)


def _says(
    shaped: Shaped, action: Action, other_shaped: Shaped, other: Action, tensors: Mapping[int, int]
) -> bool:
    """Tell whether an action of one use is that of another, whose tensors have other numbers."""
    member = shaped.members.get(action.target, action.target)
    return (
        member == other_shaped.members.get(other.target, other.target)
        and action.parts == other.parts
        and tuple(tensors.get(each, -1) for each in action.inputs) == other.inputs
        and len(action.outputs) == len(other.outputs)
        and action.training_only == other.training_only
    )


def _with_options(
    use: Use,
    lacking: frozenset[Where] | None,
    segments: Mapping[Where, _Segment],
    sights: Sights,
    whole: Use | None = None,
) -> Use:
    """Return a use with its options; what it lacks is as in the use that has all."""
    choices = _choices(use, sights)
    sight = sights.of(use.shaped.place)
    taken = dict.fromkeys(name for name, _ in (whole or use).makers)
    options: list[Option] = []
    for where, segment in sorted(segments.items(), key=lambda item: item[1].first):
        choice = choices.get(where)
        flag = segment.members[0] if segment.members else unique(JOINED, taken)
        taken[flag] = None
        numbers = [
            Number(bare(value), name, ANY, formula=sight.of_value(value, formula_of(value)))
            for name, value in (_numbers(choice.condition) if choice else ())
        ]
        options.append(
            Option(
                segment.first,
                segment.end,
                segment.members,
                flag,
                segment.reads,
                segment.gives,
                _shape(choice.condition) if choice else None,
                tuple(numbers),
            )
        )
    if lacking is None or whole is None:
        return replace(use, options=tuple(options))
    own = dict(use.makers)
    gone = {at for where in lacking for at in range(segments[where].first, segments[where].end)}
    spoken = iter(use.spoken)
    return replace(
        use,
        makers=tuple((name, own.get(name) or _anything(maker)) for name, maker in whole.makers),
        actions=whole.actions,
        spoken=tuple(
            tuple(_any(number) for number in numbers) if at in gone else next(spoken)
            for at, numbers in enumerate(whole.spoken)
        ),
        options=tuple(options),
    )


def _anything(maker: Maker) -> Maker:
    """Return what makes the same, with numbers that nothing depends on."""
    if isinstance(maker, ListMaker):
        return replace(maker, children=tuple(map(_anything, maker.children)))
    assert isinstance(maker, LayerMaker | ClassMaker | TensorMaker)
    return replace(maker, numbers=tuple(map(_any, maker.numbers)))


def _any(number: Number) -> Number:
    return replace(number, value=ANY, formula=None)


def _numbers(condition: Condition | None) -> Iterator[tuple[str, Any]]:
    """Yield the numbers in a condition, each with what it is called."""
    if isinstance(condition, Several):
        for each in condition.operands:
            yield from _numbers(each)
    elif condition is not None:
        yield from (condition.left, condition.right)


def _shape(condition: Condition | None) -> Shape:
    """Return a condition without its numbers: a sign, or a word and what it joins."""
    if isinstance(condition, Several):
        return (condition.word, tuple(map(_shape, condition.operands)))
    return condition.sign if condition else None


def written(shape: Shape, texts: Iterator[str]) -> str | bool:
    """Write a condition, given the texts of its numbers; what is always so is left out."""
    if not isinstance(shape, tuple):
        left, right = next(texts), next(texts)
        numbers = (0.0, 0.0) if left == right else (_literal(left), _literal(right))
        if None not in numbers:
            return bool(COMPARISONS[str(shape)](*numbers))
        return f"{left} {shape} {right}"
    word, operands = shape
    found = [written(each, texts) for each in operands]
    decides: bool = word == "or"
    if decides in found:
        return decides
    other = " and " if decides else " or "
    said = [f"({text})" if other in text else text for text in found if isinstance(text, str)]
    if said:
        return f" {word} ".join(said)
    return not decides


def _literal(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
