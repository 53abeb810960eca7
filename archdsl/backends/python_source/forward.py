"""Writes a forward pass, one statement an action."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from archdsl.backends.python_source.forms import Shaped, path_to
from archdsl.backends.python_source.layout import statement
from archdsl.backends.python_source.loops import Run, Spoken
from archdsl.backends.python_source.makers import Maker
from archdsl.backends.python_source.names import unique
from archdsl.backends.python_source.template import substitute
from archdsl.backends.python_source.uses import Action
from archdsl.backends.python_source.variables import Tensors

SUM = re.compile(r"\{0\}(?: [-+*] \{\d+\})+\Z")
LONGEST_SUM = 6
TENSOR = "torch.Tensor"
CHILDREN = "self.children()"


@dataclass(slots=True)
class Forward:
    """What is needed to write a forward pass.

    Attributes:
        parameters: names of the tensors that come in.
        results: the tensors that go out, in order.
        alone: those of them that are returned by themselves in some mode.
        conditional: those of them that are there in training mode only.
        notes: for each tensor a comment on its shape, or nothing.
        texts: for each action its expression, with numbers put in.
        runs: the loops, by their first action.
        ranges: for each of them what it counts through, and what it begins to count with.
    """

    shaped: Shaped
    parameters: Sequence[str]
    actions: Sequence[Action]
    tensors: Tensors
    results: Sequence[int]
    alone: frozenset[int] = frozenset()
    conditional: frozenset[int] = frozenset()
    notes: Mapping[int, str] = field(default_factory=dict)
    texts: Mapping[int, str] = field(default_factory=dict)
    runs: Mapping[int, Run] = field(default_factory=dict)
    ranges: Mapping[int, tuple[str, int]] = field(default_factory=dict)

    def name(self, tensor: int) -> str:
        """Return the variable that holds a tensor, or the expression for one that is owned."""
        return self.tensors.names[tensor]

    def expression(self, at: int, module: str = "") -> str:
        """Return what an action computes, with its inputs put in, and another module if given."""
        return substitute(self.texts[at], self.values(at, module))

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
        member = self.shaped.members.get(action.target, "")
        values = self.values(at, "self" if member in made else "")
        targets = tuple(self.name(tensor) for tensor in action.outputs)
        text = (targets, tuple(substitute(part, values) for part in action.parts), numbers)
        if member not in made:
            return Spoken(text, "", "", (), False, action.training_only)
        maker, columns = made[member]
        only = action.training_only
        return Spoken(text, member, maker.shape, columns, maker.counts, only)

    def direct(self) -> str:
        """Return the expression that gives the only result, if it can be returned as it is."""
        if len(self.results) != 1 or not self.actions or self.actions[-1].training_only:
            return ""
        last = self.actions[-1]
        if any(run.end == len(self.actions) for run in self.runs.values()):
            return ""
        plain = last.outputs == tuple(self.results) and self.tensors.readers[last.outputs[0]] == 0
        text = self.expression(len(self.actions) - 1) if plain and not last.target else ""
        return text if text.startswith("torch.") else ""  # of others the type may be unknown

    def lines(self, depth: int) -> Iterator[str]:
        """Yield the body of the function."""
        body = list(self.body(depth, len(self.actions) - bool(self.direct())))
        yield from body
        names = ", ".join(self.name(tensor) for tensor in self.results)
        yield from statement(f"return {self.direct() or names}", depth)

    def body(self, depth: int, stop: int) -> Iterator[str]:
        """Yield the statements of the actions before `stop`."""
        declared = set(self.parameters)
        typed = {self.name(tensor) for tensor in self.alone}
        for tensor in self.results:
            if tensor in self.conditional:
                yield from statement(f"{self.name(tensor)}: {TENSOR} | None = None", depth)
                declared.add(self.name(tensor))
        at = 0
        guarded = False
        while at < stop:
            action = self.actions[at]
            run = self.runs.get(at)
            end = run.end if run else at + 1
            if not run and self.is_silent(at):
                at = end
                continue
            if action.training_only and not guarded:
                yield from statement("if self.training:", depth)
            guarded = action.training_only
            inner = depth + guarded
            if not guarded and self.parts_from_before(at):
                yield ""
            if run:
                yield from self.loop(run, inner, typed, declared)
            else:
                yield from self.assignment(at, inner, typed, declared)
            for tensor in self.actions[end - 1].outputs:
                if tensor in self.notes:
                    yield from statement(f"# {self.notes[tensor]}", inner)
            at = end

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
        """Tell whether nothing is to be written: a tensor of the module, or an unused result."""
        action = self.actions[at]
        used = any(self.tensors.last_use[each] > at for each in action.outputs)
        return not used or all(each in self.tensors.owned for each in action.outputs)

    def is_long_sum(self, at: int) -> bool:
        """Tell whether an action adds so much up that it takes several statements."""
        action = self.actions[at]
        return len(action.inputs) > LONGEST_SUM and bool(SUM.match("".join(action.parts)))

    def assignment(
        self, at: int, depth: int, typed: set[str], declared: set[str], module: str = ""
    ) -> Iterator[str]:
        """Yield the statement of one action."""
        targets = [self.name(tensor) for tensor in self.actions[at].outputs]
        text = self.expression(at, module)
        annotated = ""
        for target in targets:
            if target in typed and target not in declared and len(targets) > 1:
                yield from statement(f"{target}: {TENSOR}", depth)
            elif target in typed and target not in declared:
                annotated = f": {TENSOR}"
            declared.add(target)
        if self.is_long_sum(at):
            *partial, text = self.pairs(at)
            for line in partial:
                yield from statement(line, depth)
        yield from statement(f"{', '.join(targets)}{annotated} = {text}", depth)

    def pairs(self, at: int) -> Iterator[str]:
        """Yield a long sum as statements that each add one more; the last is the rest of it."""
        operands = re.split(r" ([-+*]) ", self.texts[at])
        names = [self.name(self.actions[at].inputs[int(each[1:-1])]) for each in operands[::2]]
        total = unique("total", set(self.tensors.names.values()))
        left = names[0]
        for sign, name in zip(operands[1:-2:2], names[1:-1], strict=True):
            yield f"{total} = {left} {sign} {name}"
            left = total
        yield f"{left} {operands[-2]} {names[-1]}"

    def loop(self, run: Run, depth: int, typed: set[str], declared: set[str]) -> Iterator[str]:
        """Yield statements that follow each other several times."""
        through, begin = self.ranges[run.start]
        whole = through == CHILDREN
        counter = "layer" if whole else "i" if run.numbered else "_"
        yield from statement(f"for {counter} in {through}:", depth)
        for turn in run.unit:
            name = turn.name("i", begin)
            module = f"self[{name}]" if self.shaped.keyed else f"getattr(self, {name})"
            module = ("layer" if whole else module) if turn.step else ""
            yield from self.assignment(turn.at, depth + 1, typed, declared, module)
