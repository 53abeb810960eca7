"""Writes a forward pass, one statement an action."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import dropwhile
from operator import not_

from archdsl.backends.python_source.layout import statement
from archdsl.backends.python_source.loops import Run
from archdsl.backends.python_source.names import unique
from archdsl.backends.python_source.sketch import Sketch
from archdsl.backends.python_source.template import substitute
from archdsl.backends.python_source.uses import Option

TENSOR = "torch.Tensor"
CHILDREN = "self.children()"


@dataclass(frozen=True, slots=True)
class Forward:
    """A forward pass with its numbers.

    Attributes:
        texts: for each action that is written its expression, with numbers put in.
        runs: the loops, by their first action.
        ranges: for each of them what it counts through, and what it begins to count with.
    """

    sketch: Sketch
    texts: Mapping[int, str]
    runs: Mapping[int, Run]
    ranges: Mapping[int, tuple[str, int]]

    def expression(self, at: int, module: str = "") -> str:
        """Return what an action computes, with its inputs put in, and another module if given."""
        return substitute(self.texts[at], self.sketch.values(at, module))

    def direct(self) -> str:
        """Return the expression that gives the only result, if it can be returned as it is."""
        sketch = self.sketch
        if len(sketch.results) != 1 or not sketch.actions or sketch.actions[-1].training_only:
            return ""
        last, (result,) = sketch.actions[-1], sketch.results
        ends = [run.end for run in self.runs.values()] + [each.end for each in sketch.options]
        if len(sketch.actions) in ends:
            return ""
        plain = last.outputs == (result,) and not sketch.tensors.readers[result]
        text = self.expression(len(sketch.actions) - 1) if plain and not last.target else ""
        return text if text.startswith("torch.") else ""  # of others the type may be unknown

    def lines(self, depth: int) -> Iterator[str]:
        """Yield the body of the function."""
        direct = self.direct()
        yield from self.body(depth, len(self.sketch.actions) - bool(direct))
        names = ", ".join(map(self.sketch.name, self.sketch.results))
        yield from statement(f"return {direct or names}", depth)

    def body(self, depth: int, stop: int) -> Iterator[str]:
        """Yield the statements of the actions before `stop`, the first without a line before it."""
        return dropwhile(not_, self._statements(depth, stop))

    def _statements(self, depth: int, stop: int) -> Iterator[str]:
        sketch = self.sketch
        declared = set(sketch.parameters)
        typed = {sketch.name(tensor) for tensor in sketch.alone}
        for tensor in sketch.results:
            if tensor in sketch.conditional:
                yield from statement(f"{sketch.name(tensor)}: {TENSOR} | None = None", depth)
                declared.add(sketch.name(tensor))
        at = 0
        guarded = False
        options = {option.first: option for option in sketch.options}
        while at < stop:
            action = sketch.actions[at]
            run = self.runs.get(at)
            end = run.end if run else at + 1
            if option := options.get(at):
                if not guarded and sketch.parts_from_before(at):
                    yield ""
                yield from self.option(option, depth, typed, declared)
                at = option.end
                continue
            if not run and sketch.is_silent(at):
                at = end
                continue
            if action.training_only and not guarded:
                yield from statement("if self.training:", depth)
            guarded = action.training_only
            inner = depth + guarded
            if not guarded and sketch.parts_from_before(at):
                yield ""
            if run:
                yield from self.loop(run, inner, typed, declared)
            else:
                yield from self.assignment(at, inner, typed, declared)
            for tensor in sketch.actions[end - 1].outputs:
                if tensor in sketch.notes:
                    yield from statement(f"# {sketch.notes[tensor]}", inner)
            at = end

    def option(
        self, option: Option, depth: int, typed: set[str], declared: set[str]
    ) -> Iterator[str]:
        """Yield the statements of what is done where a member is there."""
        sketch = self.sketch
        came, gone = sketch.name(option.reads), sketch.name(option.gives)
        flag, made = f"self.{option.flag}", bool(option.members)
        alone = option.end == option.first + 1
        declared.add(gone)
        if alone and came != gone:
            text = self.expression(option.first)
            text = (
                f"{came} if {flag} is None else {text}" if made else f"{text} if {flag} else {came}"
            )
            yield from statement(f"{gone} = {text}", depth)
            return
        yield from statement(f"if {flag} is not None:" if made else f"if {flag}:", depth)
        for at in range(option.first, option.end):
            if not sketch.is_silent(at):
                yield from self.assignment(at, depth + 1, typed, declared)
        if came != gone:
            yield from statement("else:", depth)
            yield from statement(f"{gone} = {came}", depth + 1)

    def assignment(
        self,
        at: int,
        depth: int,
        typed: set[str],
        declared: set[str],
        module: str = "",
        looped: bool = False,
    ) -> Iterator[str]:
        """Yield the statement of one action."""
        sketch = self.sketch
        outputs = sketch.actions[at].outputs
        targets = [sketch.name(tensor) for tensor in outputs]
        if len(outputs) > 1 and not looped:  # in a loop a later turn may give what is needed
            used = [sketch.tensors.last_use[tensor] > at for tensor in outputs]
            targets = [
                name if is_used else "_" for name, is_used in zip(targets, used, strict=True)
            ]
        text = self.expression(at, module)
        annotated = ""
        for target in targets:
            if target in typed and target not in declared and len(targets) > 1:
                yield from statement(f"{target}: {TENSOR}", depth)
            elif target in typed and target not in declared:
                annotated = f": {TENSOR}"
            declared.add(target)
        if sketch.is_long_sum(at):
            *partial, text = self.pairs(at)
            for line in partial:
                yield from statement(line, depth)
        yield from statement(f"{', '.join(targets)}{annotated} = {text}", depth)

    def pairs(self, at: int) -> Iterator[str]:
        """Yield a long sum as statements that each add one more; the last is the rest of it."""
        sketch = self.sketch
        operands = re.split(r" ([-+*]) ", self.texts[at])
        names = [sketch.name(sketch.actions[at].inputs[int(each[1:-1])]) for each in operands[::2]]
        total = unique("total", set(sketch.tensors.names.values()))
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
            module = f"self[{name}]" if self.sketch.shaped.keyed else f"getattr(self, {name})"
            module = ("layer" if whole else module) if turn.step else ""
            yield from self.assignment(turn.at, depth + 1, typed, declared, module, True)
