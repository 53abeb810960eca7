"""What the module of a scope can know of its numbers: their formulas, as seen from that scope."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any

from archdsl.backends.python_source.arguments import Opened
from archdsl.backends.python_source.forms import Shaped
from archdsl.backends.python_source.rows import Row
from archdsl.backends.python_source.template import template
from archdsl.backends.python_source.tree import Place, first_node
from archdsl.graph import CheckedGraph, Node
from archdsl.layers.base import Shape, Torch, TorchFunction, TorchTensor, squeeze
from archdsl.layers.sizes import Formula, FormulaError
from archdsl.layers.traced import (
    Loop,
    Trace,
    Traced,
    TracedText,
    bare,
    formula_of,
    is_turn,
    loop_of,
    marks,
    needed,
    turn_of,
)

NO_TRACE = Trace()


class Sights:
    """The sights of all scopes of a network."""

    def __init__(
        self, checked: CheckedGraph, everything: Mapping[str, Shaped], opened: Opened
    ) -> None:
        self.checked = checked
        self.opened = opened
        self._opens: dict[Formula, bool] = {}
        self.everything = everything
        self.trace = checked.trace or NO_TRACE
        self.order = {name: at for at, name in enumerate(checked.nodes)}
        self.groups: dict[int, list[int]] = {}  # directly inside each scope
        for number in self.trace.names:
            self.groups.setdefault(self.trace.insides[number][1], []).append(number)
        loops = (loop for each in self.trace.loops.values() for loop in each)
        self.open = frozenset(loop.where for loop in loops if self.opens(loop.count))
        self._made: dict[int, Sight] = {}

    def of(self, place: Place) -> Sight:
        """Return the sight of a scope; one that is a mere label sees what is seen around it."""
        around: Place | None = place
        while around and around.scope.name not in self.trace.numbers:
            around = around.parent
        number = self.trace.numbers[around.scope.name] if around else 0
        if number not in self._made:
            arguments = around.scope.arguments if around else {}
            names = self.trace.names.get(number, arguments)
            self._made[number] = Sight(self, number, names, around.scope.block if around else "")
        return self._made[number]

    def opens(self, formula: Any) -> bool:
        """Tell whether a formula, in whatever scope, depends on an open parameter."""
        if isinstance(formula, tuple):
            return any(map(self.opens, formula))
        if not isinstance(formula, Formula) or not self.opened.atoms:
            return False
        if formula not in self._opens:
            found = self.trace.seen(formula, 0)
            names = found.names if isinstance(found, Formula) else ()
            needs = {need for atom in names for need in needed(atom)}
            self._opens[formula] = "*" in needs or not needs.isdisjoint(self.opened.atoms)
        return self._opens[formula]

    def opens_list(self, formula: Any) -> bool:
        """Tell whether a formula is that of a list with items that do so."""
        return isinstance(formula, tuple) and self.opens(formula)

    def open_in(self, number: int) -> list[Loop]:
        """Return the loops of a scope that turn by an open parameter, in some use of its block."""
        loops = self.trace.loops.get(number, ()) if self.open else ()
        return [loop for loop in loops if loop.where in self.open]

    def open_loops(self, shaped: Shaped, around: Place) -> tuple[Row, ...]:
        """Return the loops that make the children of a list, of those that turn by a parameter.

        How often they do is given in the sight of the scope whose class makes the list.
        """
        place, sight = shaped.place, self.of(around)
        loops = self.open_in(self.of(place).number)
        if not loops:
            return ()
        starts = [self.order[first_node(child)] for child in place.children.values()]
        found: list[Row] = []
        for loop in loops if starts == sorted(starts) else ():
            bounds = [bisect_left(starts, start) for start in loop.starts]
            periods = {end - start for start, end in pairwise(bounds)}
            if len(periods) == 1 and periods != {0}:
                found.append(Row(bounds[0], periods.pop(), loop.turns, sight.seen(loop.count)))
        found.sort(key=lambda row: row.start)
        # of loops in loops the source would have to be another
        apart = all(one.start + one.period * one.turns <= two.start for one, two in pairwise(found))
        return tuple(found) if apart else ()

    def around(self, place: Place) -> Sight:
        """Return the sight of the scope whose class makes the module of another."""
        outer = place.parent
        while outer and outer.parent and self.everything[outer.scope.name].form.inline:
            outer = outer.parent
        return self.of(outer or place)


class Sight:
    """What can be seen from a scope.

    Attributes:
        number: of the scope in the trace.
        block: name of the block, or "".
        names: what it can call by a name, with the values.
        equal: what sizes are that must be equal to others, for the merges in the scope.
    """

    def __init__(
        self, sights: Sights, number: int, names: Mapping[str, object], block: str
    ) -> None:
        self.sights = sights
        self.block = block
        self.trace = sights.trace
        self.number = number
        self.names = names
        self.equal: dict[str, Any] = {}
        self._seen: dict[Any, Any] = {}
        for pair in self._pairs():
            self._learn(*pair)
        self._learned = self.equal
        self._seen.clear()

    def _inside(self) -> Iterator[int]:
        """Yield the scope and all groups in it: their modules are made by its own."""
        waiting = [self.number]
        for number in waiting:
            yield number
            waiting += self.sights.groups.get(number, ())

    def _pairs(self) -> Iterator[tuple[Any, Any]]:
        for number in self._inside():
            for left, right in self.trace.equal.get(number, ()):
                yield self.seen(left), self.seen(right)
            for loop in self.sights.open_in(number):
                yield from self._unchanged(loop)

    def _unchanged(self, loop: Loop) -> Iterator[tuple[Any, Any]]:
        """Yield the sizes of what flows before a turn and behind it, where all are equal."""
        if len(loop.flows) == 2 and loop.flows[0] == loop.flows[1]:
            for before, after in zip(*loop.flows, strict=True):
                for left, right in zip(before, after, strict=True):
                    pair = formula_of(left), formula_of(right)
                    if pair[0] != pair[1]:
                        yield self.seen(pair[0]), self.seen(pair[1])

    def _learn(self, left: Any, right: Any) -> None:
        """Let one of two equal sizes be the other, if it is that of something that comes in."""
        for size, other in ((left, right), (right, left)):
            atom = next(iter(size.names), "") if isinstance(size, Formula) else ""
            is_size = atom.startswith("in.") and size == Formula.named(atom)
            names = other.names if isinstance(other, Formula) else frozenset()
            if is_size and atom not in self.equal and not {atom, *self.equal} & names:
                self.equal[atom] = other
                return

    def forget_equal(self, forget: bool = True) -> None:
        """Take no size for another since something is added that isn't in all uses, or do again."""
        self.equal = {} if forget else self._learned
        self._seen.clear()

    def seen(self, formula: Any) -> Any:
        """Return a formula in what the scope knows."""
        if isinstance(formula, tuple):
            return tuple(map(self.seen, formula))
        if not isinstance(formula, Formula):
            return formula
        if formula not in self._seen:
            found = self.trace.seen(formula, self.number)
            if isinstance(found, Formula) and self.equal.keys() & found.names:
                with suppress(FormulaError, ArithmeticError):
                    found = found.evaluate(self.equal)
            self._seen[formula] = found
        return self._seen[formula]

    def of_value(self, value: object, formula: object) -> Any:
        """Return the formula of a value, or itself if that follows from nothing."""
        found = self.seen(formula)
        if isinstance(found, Formula) and any(map(needed, found.names)):
            return found
        return bare(value) if isinstance(found, Formula) else found

    def counted(self, value: object, formula: object) -> Formula | None:
        """Return the formula of what follows from variables of loops and from nothing else.

        `formula` is what the value follows from, these included; of several the innermost stays.
        """
        if not isinstance(formula, Formula):
            return None
        found = self.trace.seen(formula, self.number, turns=True)
        if not isinstance(found, Formula) or not all(map(is_turn, found.names)):
            return None
        *others, turn = sorted(found.names, key=loop_of)
        found = found.evaluate({atom: turn_of(atom) for atom in others})
        if not isinstance(found, Formula):
            return None
        given = found.evaluate({turn: turn_of(turn)})
        return found if given == bare(value) and type(given) is type(bare(value)) else None

    def formula(self, node: Node, value: Any, keyword: str) -> Any:
        """Return the formula of what a layer is given; what has none is itself."""
        if isinstance(value, list) or not marks(value):
            flags = self.trace.flags.get(self.sights.order[node.name], {})
            return self.of_value(value, flags.get(keyword, value))
        return self.of_value(value, squeeze(formula_of(value)))

    def spoken(self, node: Node, text: str) -> list[Any]:
        """Return the formulas of the numbers in the text of a layer.

        The text itself may know them (`TracedText`). Else a number is what an argument of the layer
        is if it equals that, and still does so where the argument is another, or twice as large
        along with what comes in; else it follows from nothing that is known.
        """
        layer = node.layer
        shapes = [self.sights.checked.nodes[name].shape for name in node.inputs]
        said = template(text)
        found: list[Any] = list(said.numbers)
        if isinstance(text, TracedText):
            return [
                self.of_value(number, text.formulas.get(start, number))
                for number, start in zip(said.numbers, said.starts, strict=True)
            ]
        for name, given in vars(layer).items():
            items = given if isinstance(given, tuple) else (given,)
            for at, item in enumerate(items):
                if isinstance(item, Traced) and bare(item) in found:
                    self._follow(node, found, name, at, shapes)
        return found

    def _follow(
        self, node: Node, found: list[Any], name: str, at: int, shapes: Sequence[Shape]
    ) -> None:
        """Give those numbers a formula that change where an argument does, or an item of it."""
        given = getattr(node.layer, name)
        item: Any = given[at] if isinstance(given, tuple) else given
        value: Any = bare(item)
        nodes = self.sights.checked.nodes
        batched = [nodes[read].facts.batched for read in node.inputs]
        for other, incoming in [
            (value + 1, shapes),
            *((2 * value, each) for each in _doubled(shapes)),
        ]:
            whole = (*given[:at], other, *given[at + 1 :]) if isinstance(given, tuple) else other
            try:
                layer = node.layer.model_copy({name: whole})
                if batched and not all(batched):
                    torch = layer.infer_shared(tuple(incoming), batched).torch
                else:
                    torch = layer.infer(tuple(incoming)).torch
            except Exception:  # the layer, which may be a user's, doesn't take it
                continue
            text = torch.value if isinstance(torch, TorchTensor) else text_of(torch)
            numbers = template(text).numbers
            if len(numbers) == len(found):
                for place, number in enumerate(numbers):
                    if found[place] == value and number == other:
                        found[place] = self.of_value(item, formula_of(item))
            return

    def loops(self) -> Mapping[tuple[str, int], list[tuple[int, Any]]]:
        """Return how often the loops of the scope turn, with the formula, by their statement."""
        found: dict[tuple[str, int], list[tuple[int, Any]]] = {}
        for number in self._inside():
            for loop in self.trace.loops.get(number, ()):
                found.setdefault(loop.where, []).append((loop.turns, self.seen(loop.count)))
        return found


def _doubled(shapes: Sequence[Shape]) -> Iterator[list[Shape]]:
    """Yield shapes with one size twice as large: of the first that comes in, axis by axis."""
    for axis, size in enumerate(shapes[0] if shapes else ()):
        first = shapes[0]
        yield [(*first[:axis], 2 * size, *first[axis + 1 :]), *shapes[1:]]


def text_of(torch: Torch) -> str:
    """Return what a layer says in a forward pass."""
    if isinstance(torch, TorchFunction):
        return torch.expression
    return torch.call
