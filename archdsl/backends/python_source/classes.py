"""Uses of a block that may share a class, and the arguments by which they differ."""

from __future__ import annotations

from collections.abc import Collection, Container, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from archdsl.backends.python_source.arguments import Opened
from archdsl.backends.python_source.errors import refuse_free
from archdsl.backends.python_source.explaining import Unexplained
from archdsl.backends.python_source.folding import Folded, fold
from archdsl.backends.python_source.forms import DEFAULT_CALL, Form, Shaped
from archdsl.backends.python_source.loops import WRITTEN
from archdsl.backends.python_source.makers import (
    MODULE_LIST,
    ClassMaker,
    ListMaker,
    Maker,
    Number,
    Parameter,
    argument_name,
    layer_maker,
    tensor_maker,
)
from archdsl.backends.python_source.names import positional, variable
from archdsl.backends.python_source.options import join
from archdsl.backends.python_source.outputs import Outputs
from archdsl.backends.python_source.parameters import resolve
from archdsl.backends.python_source.sharing import Alike, share
from archdsl.backends.python_source.sight import Sights
from archdsl.backends.python_source.sketch import sketch
from archdsl.backends.python_source.slots import numbers
from archdsl.backends.python_source.template import template
from archdsl.backends.python_source.ties import Tie, ties_by_class
from archdsl.backends.python_source.tree import Place, Step
from archdsl.backends.python_source.uses import Action, Use
from archdsl.graph import CheckedGraph, Node
from archdsl.layers.base import TorchFunction, TorchModule, TorchTensor


@dataclass(eq=False, slots=True)
class ModuleClass:
    """A class of the generated file.

    Attributes:
        number: unique, in the order in which classes were found.
        variants: its uses, with what repeats in them; all are alike but for their numbers, those
            of a variant in how often anything comes as well.
        arguments: for each number of a use the text that stands for it; None leaves it out.
        attributes: what an attribute is called that keeps such a number, by its text, for those
            that depend on a parameter.
        lets: which of these the spec has a name for.
        values: for each use the values of the parameters, each with its formula, and with that in
            which variables of loops are atoms.
        name: found when all classes are known.
    """

    number: int
    variants: list[Folded]
    parameters: tuple[Parameter, ...]
    arguments: tuple[str | None, ...]
    attributes: Mapping[str, str]
    lets: Collection[str]
    values: list[tuple[tuple[object, object, object], ...]]
    name: str = ""

    @property
    def uses(self) -> list[Use]:
        """The scopes that it is the class of."""
        return [use for each in self.variants for use in each.uses]

    @property
    def folded(self) -> Folded:
        """The first variant: it stands for all."""
        return self.variants[0]

    @property
    def sample(self) -> Use:
        """The first use: it stands for all."""
        return self.folded.sample

    @property
    def block(self) -> str:
        """Name of the block, or "" for a group."""
        return self.sample.shaped.place.scope.block


def group(
    checked: CheckedGraph,
    everything: Mapping[str, Shaped],
    targets: Mapping[tuple[str, str], str],
    overwriting: Container[str],
    outputs: Outputs,
    opened: Opened,
    again: str,
) -> list[ModuleClass]:
    """Find the classes, each after those that it uses.

    `targets` gives the name of the class for what a layer calls it and its source; `overwriting`
    are the nodes whose modules work in place; `outputs` is what the network gives; `again` is the
    call of what is computed again.

    Raises:
        CompileError: a module depends on a free size.
    """
    classes: list[ModuleClass] = []
    made: dict[str, tuple[ModuleClass, int]] = {}
    sights = Sights(checked, everything, opened)
    ties = ties_by_class(checked, everything)
    builder = _Builder(checked, targets, overwriting, made, sights, ties, again)
    for level in _levels(everything):
        same: dict[Hashable, list[Use]] = {}
        for shaped in level:
            use, key = builder.use(shaped)
            same.setdefault(key, []).append(use)
        for variants in share([*_optional([*same.values()], builder, outputs)]):
            places = [use.shaped.place for each in variants for use in each.uses]
            resolved = resolve(checked, places, numbers(variants), sights)
            found = ModuleClass(len(classes), variants, *resolved)
            classes.append(found)
            made.update((place.scope.name, (found, at)) for at, place in enumerate(places))
    return classes


def _optional(
    groups: Sequence[Sequence[Use]], builder: _Builder, outputs: Outputs
) -> Iterator[Alike]:
    """Yield the groups, those that differ in options alone as one if all in them is explained."""
    checked, sights = builder.checked, builder.sights
    apart = {uses[0].shaped.place.scope.name: uses for uses in groups}
    for uses in join(groups, sights, builder.described):
        alike = _alike(checked, uses, outputs)
        places = [use.shaped.place for use in uses]
        try:
            if uses[0].options:
                folded = fold(alike.uses, alike.sketch, WRITTEN)
                resolve(checked, places, numbers([folded]), sights, strict=True)
        except Unexplained:
            for place in places:
                sights.of(place).forget_equal(False)
            for place in places:
                own = [builder.described(use.shaped) for use in apart.get(place.scope.name, ())]
                if own:
                    yield _alike(checked, own, outputs)
        else:
            yield alike


def _alike(checked: CheckedGraph, uses: list[Use], outputs: Outputs) -> Alike:
    if uses[0].shaped.form is not Form.CLASS:
        return Alike(uses, None, lambda: None)
    return Alike(
        uses,
        sketch(checked, uses, outputs),
        lambda: sketch(checked, uses, outputs, fewest_alike=1),
    )


def _levels(everything: Mapping[str, Shaped]) -> list[list[Shaped]]:
    """Sort the scopes that become classes by how deep the classes within them are."""
    heights: dict[str, int] = {}
    levels: list[list[Shaped]] = []
    for name, shaped in everything.items():  # those within come first
        below = (heights[inner.place.scope.name] for inner in shaped.inner.values())
        heights[name] = max(below, default=-1)
        if shaped.form.inline:
            continue
        heights[name] += 1
        while len(levels) <= heights[name]:
            levels.append([])
        levels[heights[name]].append(shaped)
    # names of classes and their order follow the spec, whose first scopes come last here
    return [level[::-1] for level in levels]


@dataclass(frozen=True, slots=True)
class _Builder:
    checked: CheckedGraph
    targets: Mapping[tuple[str, str], str]
    overwriting: Container[str]
    made: Mapping[str, tuple[ModuleClass, int]]
    sights: Sights
    ties: Mapping[str, tuple[Tie, ...]]
    again: str

    def described(self, shaped: Shaped) -> Use:
        """Describe a scope that becomes a class."""
        return self.use(shaped)[0]

    def use(self, shaped: Shaped) -> tuple[Use, Hashable]:
        """Describe a scope that becomes a class, with the key of those that may share it."""
        place = shaped.place
        makers = dict(self.members(shaped, place))
        if shaped.form is Form.CHAIN:
            listed, loops = tuple(makers.values()), self.sights.open_loops(shaped, place)
            makers = {"": ListMaker("", tuple(makers), listed, positional=True, loops=loops)}
        tensors = {name: at for at, name in enumerate(place.inputs)}
        steps = list(self.actions(shaped, tensors)) if shaped.form is Form.CLASS else []
        actions = tuple(action for action, _ in steps)
        spoken = tuple(numbers for _, numbers in steps)
        ties = self.ties.get(place.scope.name, ())
        use = Use(shaped, tuple(makers.items()), actions, spoken, tensors, ties=ties)
        key = (
            use.family,
            tuple((name, maker.shape) for name, maker in makers.items()),
            use.actions,
            tuple(tensors[name] for name in place.outputs) if steps else (),
        )
        return use, key

    def members(self, shaped: Shaped, around: Place) -> Iterator[tuple[str, Maker]]:
        """Yield how each member is made, by its name; members that share one come once."""
        seen: set[str] = set()
        for label, child in shaped.place.children.items():
            name = shaped.members[label]
            if name not in seen:
                seen.add(name)
                yield name, self.maker(shaped, label, child, around)

    def maker(self, shaped: Shaped, label: str, child: Place | Node, around: Place) -> Maker:
        if isinstance(child, Place):
            inner = shaped.inner[label]
            if inner.form.inline:
                return self.list_maker(inner, around)
            return self.instance(inner, around)
        torch = child.facts.torch
        sight = self.sights.of(around)
        if isinstance(torch, TorchTensor):
            return tensor_maker(child, sight)
        assert isinstance(torch, TorchModule)
        sizes = self.checked.nodes[child.inputs[0]].shape if child.inputs else ()
        first = torch.positional[0] if torch.positional else None
        from_input = bool(child.inputs) and child.inputs[0] in around.inputs and first in sizes
        maker = layer_maker(child, from_input, sight)
        if child.name in self.overwriting:
            maker = replace(maker, arguments=(*maker.arguments, ("inplace", "True")))
        target = self.targets.get((torch.target, torch.source), torch.target)
        return maker if target == torch.target else replace(maker, target=target)

    def list_maker(self, inner: Shaped, around: Place) -> ListMaker:
        target = MODULE_LIST if inner.form is Form.LIST else "nn.Sequential"
        members = dict(self.members(inner, around))
        labels = tuple(members)
        loops = self.sights.open_loops(inner, around)
        return ListMaker(target, labels, tuple(members.values()), positional(labels), (), loops)

    def instance(self, inner: Shaped, around: Place) -> ClassMaker:
        """Return how a scope's module is made, of a class that is known already."""
        module_class, use = self.made[inner.place.scope.name]
        inputs = list(inner.place.inputs)
        fed = bool(inputs) and inputs[0] in around.inputs
        sight = self.sights.of(around)
        numbers = [
            Number(
                value,
                parameter.name,
                parameter.default,
                fed and parameter.from_input,
                parameter.turns,
                parameter.is_size,
                sight.of_value(value, formula),
                sight.counted(value, counted),
            )
            for (value, formula, counted), parameter in zip(
                module_class.values[use], module_class.parameters, strict=True
            )
        ]
        return ClassMaker(module_class, tuple(numbers))

    def actions(
        self, shaped: Shaped, tensors: dict[str, int]
    ) -> Iterator[tuple[Action, tuple[Number, ...]]]:
        """Yield the steps of a forward pass with the numbers in their expressions.

        The tensors that they give are added to `tensors`, each with a number of its own.
        """
        following = count(len(tensors))
        sight = self.sights.of(shaped.place)
        prefix = len(shaped.place.scope.name) + 1 if shaped.place.scope.name else 0
        for step in shaped.place.steps:
            target, text = self.expression(step)
            found = template(text)
            node = step.what if isinstance(step.what, Node) else None
            formulas = sight.spoken(node, text) if node else list(found.numbers)
            spoken = tuple(
                Number(
                    value,
                    hint or (argument_name(node, value) if node else "size"),
                    formula=formula,
                )
                for value, hint, formula in zip(found.numbers, found.hints, formulas, strict=True)
            )
            inputs = tuple(tensors[name] for name in step.inputs)
            # what a module owns is given each time that it is called: another tensor
            tensors.update(zip(step.outputs, following, strict=False))
            action = Action(
                target[prefix:],
                found.parts,
                inputs,
                tuple(tensors[name] for name in step.outputs),
                step.training_only and shaped.place.evaluated,
                self.names(step),
            )
            yield action, spoken

    def expression(self, step: Step) -> tuple[str, str]:
        """Return the name of what a step calls, and the text of the call."""
        if isinstance(step.what, Place):
            return step.what.scope.name, self.again if step.what.again else DEFAULT_CALL
        node, torch = step.what, step.what.facts.torch
        if isinstance(torch, TorchFunction):
            if torch.free is not None:
                raise refuse_free(node, torch.free)
            return "", torch.expression
        return self.checked.owner(node).name, torch.call

    def names(self, step: Step) -> tuple[str, ...]:
        """Return what the spec calls each tensor that a step gives, or ""."""
        if len(step.outputs) == 1 or not isinstance(step.what, Place):
            return (step.what.label,)
        inside = len(step.what.scope.name) + 1
        parts = (name[inside:].split(".") for name in step.outputs)
        return tuple(next(filter(variable, each), "") for each in parts)
