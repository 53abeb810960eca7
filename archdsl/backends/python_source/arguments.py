"""The arguments of the network's class: parameters of the network, such as `classes` or `growth`.

A parameter is *open*, so that the class is right for every value of it, if nothing depends on it
but numbers, and how often loops turn. Whether that is so shows when the network is worked out once
more with the parameter left open: then each number that depends on it is a formula, and a decision
that does is an error, as is one that depends on which turn it is of such a loop.
The formulas must be those that the numbers have when they are followed (`layers/traced.py`), since
by these they are explained in the class. Of a parameter by which loops turn, a *count*, the class
must be written the same for other values as well (`module.py`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from archdsl.analysis.overwriting import overwriting
from archdsl.diagnostics import ArchError
from archdsl.graph import CheckedGraph, Node
from archdsl.layers.base import Facts, Layer, Shape, Torch, TorchFunction, TorchModule, squeeze
from archdsl.layers.sizes import Formula
from archdsl.layers.traced import (
    MOST_ITEMS,
    LeftOpen,
    Loop,
    Trace,
    TracedFloat,
    bare,
    formula_of,
    needed,
)

MOST_TRIED = 8  # sets of parameters, since each takes as long as to work out the network
NAMED = re.compile(r"(\w+)(?:\.\d+)*#0")  # an atom of the network
LONGEST_SHOWN = 24  # of a size in a comment

Atoms = Mapping[str, tuple[str, ...]]  # by the name of a parameter: of each item of a list


@dataclass(frozen=True, slots=True)
class Opened:
    """The parameters that the class of a network takes.

    Attributes:
        atoms: what a number depends on that depends on one of them.
        shapes: of what each node gives, with formulas in their names.
        values: those of parameters for which intricate shapes are written as numbers.
        least: of each parameter by which loops turn, the least that it may be, or each of a list.
        once: the same for all those loops to turn at least once.
    """

    atoms: frozenset[str] = frozenset()
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    values: Mapping[str, object] = field(default_factory=dict)
    least: Mapping[str, int] = field(default_factory=dict)
    once: Mapping[str, int] = field(default_factory=dict)


class _Needed(Exception):
    """More depends on parameters than numbers of layers."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__()
        self.names = frozenset(names)


def followed(checked: CheckedGraph, closed: Collection[str] = ()) -> tuple[CheckedGraph, Opened]:
    """Return the same graph with numbers that know how the spec makes them, if it has one.

    Second comes which parameters of the network may have any value; `closed` are none of those.
    """
    if checked.again is None or checked.trace is not None:
        return checked, Opened()
    waiting = {name: own for name, own in _candidates(checked).items() if name not in closed}
    for _ in range(MOST_TRIED):
        if not waiting:
            break
        try:
            general = _left_open(checked, waiting)
            traced = _traced(checked, waiting)
            return traced, _opened(checked, traced, general, waiting)
        except _Needed as error:
            # where nobody knows which it is, the others may well be open without the first
            lost = error.names & waiting.keys() or {next(iter(waiting))}
            waiting = {name: atoms for name, atoms in waiting.items() if name not in lost}
    try:
        return _traced(checked, {}), Opened()
    except _Needed:  # what follows numbers takes more steps, and there may be none left
        return checked, Opened()


def _candidates(checked: CheckedGraph) -> Atoms:
    """Return the parameters that are integers, lists of some, or floats."""
    free = {name for shape in checked.inputs.values() for name in _names(shape)}
    found: dict[str, tuple[str, ...]] = {}
    for name, value in checked.arguments.items():
        items = value if isinstance(value, tuple) else (value,)
        whole = 0 < len(items) <= MOST_ITEMS and all(type(item) is int for item in items)
        if (whole or isinstance(value, float)) and not free & {name, f"{name}#0"}:
            listed = (f"{name}.{at}#0" for at in range(len(items)))
            found[name] = tuple(listed) if isinstance(value, tuple) else (f"{name}#0",)
    return found


def _left_open(checked: CheckedGraph, atoms: Atoms) -> CheckedGraph:
    """Work a network out with parameters left open.

    Raises:
        _Needed: something is decided by one, or nothing follows from it.
    """
    assert checked.again is not None
    listed = {name: tuple(map(Formula.named, own)) for name, own in atoms.items()}
    alone = {name for name in atoms if not isinstance(checked.arguments[name], tuple)}
    others: dict[str, Any] = {
        name: own[0] if name in alone else own for name, own in listed.items()
    }
    floats = _floats(checked, atoms)
    others |= {name: LeftOpen(value, f"{name}#0") for name, value in floats.items()}
    try:
        general = checked.again(others, None)
    except ArchError as error:
        raise _Needed(NAMED.findall(str(error))) from None
    if not _alike(checked, general):
        raise _Needed(())
    if decided := _named(general.agreements):
        raise _Needed(decided)
    used = {name for value in _values(general) for name in _named(value)}
    used |= {name for atom in general.counts for name in NAMED.findall(atom)}
    if unused := atoms.keys() - used - floats.keys():
        raise _Needed(unused)
    return general


def _traced(checked: CheckedGraph, atoms: Atoms) -> CheckedGraph:
    """Work a network out with numbers that are followed, from those parameters on.

    Raises:
        _Needed: that can't be done.
    """
    assert checked.again is not None
    try:
        traced = checked.again({}, frozenset(atoms))
    except ArchError:
        raise _Needed(atoms) from None
    if not _alike(checked, traced):
        raise _Needed(atoms)
    return replace(traced, again=checked.again)


def _alike(checked: CheckedGraph, other: CheckedGraph) -> bool:
    return [*other.nodes] == [*checked.nodes] and [*other.scopes] == [*checked.scopes]


def _opened(
    checked: CheckedGraph, traced: CheckedGraph, general: CheckedGraph, atoms: Atoms
) -> Opened:
    """Make sure that all numbers are followed to the formula that they have.

    Raises:
        _Needed: one isn't, or depends on a parameter where no formula can stand.
    """
    assert traced.trace is not None
    floats = _floats(checked, atoms)
    names = {Formula.named(f"{name}#0"): name for name in floats}
    same = _Same(traced.trace, names, general.turns)
    pairs = zip(traced.nodes.values(), general.nodes.values(), strict=True)
    facts = {(id(one.facts), id(other.facts)): (one.facts, other.facts) for one, other in pairs}
    for one, other in facts.values():
        same.compare(one.torch, other.torch)
    taken = {name for node in traced.nodes.values() for name in same.taken(node.layer).values()}
    if unused := floats.keys() - taken:
        raise _Needed(unused)
    for name, value in floats.items():
        if not _is_handed_on(checked, traced, name, value, same):
            raise _Needed({name})
    least, once = _least(checked, traced, general.counts, same)
    own = {atom: Formula.named(_shown(atom)) for each in atoms.values() for atom in each}
    usual = {**own, **general.turns}
    shapes = {name: _evaluated(node.shape, usual) for name, node in general.nodes.items()}
    sizes = {size for shape in shapes.values() for size in shape if isinstance(size, Formula)}
    names_in = {name for size in sizes if _is_intricate(size) for name in size.names}
    intricate = [name for name in atoms if names_in & {*map(_shown, atoms[name])}]
    known = {
        _shown(atom): number for name in intricate for atom, number in _numbers(traced, name, atoms)
    }
    return Opened(
        frozenset(own),
        {name: _evaluated(shape, known) for name, shape in shapes.items()},
        {name: checked.arguments[name] for name in intricate},
        least,
        once,
    )


def _floats(checked: CheckedGraph, atoms: Atoms) -> dict[str, float]:
    """Return the usual values of the floats among some parameters."""
    values = ((name, checked.arguments[name]) for name in atoms)
    return {name: float(value) for name, value in values if isinstance(value, float)}


def _is_handed_on(
    checked: CheckedGraph, traced: CheckedGraph, name: str, usual: float, same: _Same
) -> bool:
    """Tell whether nothing but arguments of layers is another for other values of a float.

    The spec can't decide by it (`LeftOpen`); a layer may, for which zero may be a case of its own.
    """
    tried = 0
    for value in (0.0, usual / 2 + 0.125, usual / 4 + 0.25):
        try:
            assert checked.again is not None
            other = checked.again({name: value}, None)
        except ArchError:  # no layer takes such a value
            continue
        tried += 1
        mine = [
            (node.facts.output, node.facts.params, same.told(node, {name: value}))
            for node in traced.nodes.values()
        ]
        theirs = [
            (node.facts.output, node.facts.params, node.facts.torch)
            for node in other.nodes.values()
        ]
        if mine != theirs or overwriting(traced) != overwriting(other):
            return False
    return tried > 1


def _least(
    checked: CheckedGraph, traced: CheckedGraph, counts: Collection[str], same: _Same
) -> tuple[dict[str, int], dict[str, int]]:
    """Return the least that each parameter may be by which loops turn.

    Second comes the least for which all of them turn at least once. Where one doesn't turn at all,
    what follows it gets what came into it; that is right where nothing else is another then.

    Raises:
        _Needed: a number of turns isn't one that grows evenly with a single parameter.
    """
    assert traced.trace is not None
    least: dict[str, int] = {}
    once: dict[str, int] = {}
    loops: list[tuple[Loop, Formula]] = []
    for loop in (loop for each in traced.trace.loops.values() for loop in each):
        formula = same.whole(loop.count)
        if names := _named(formula):
            terms: dict[tuple[object, ...], int] = dict(formula.terms)
            more = terms.pop((), 0)
            grows = {atom: by for (atom, *others), by in terms.items() if not others and by > 0}
            if len(terms) != 1 or not grows.keys() & {*counts}:
                raise _Needed(names)
            (name,), (by,) = names, grows.values()
            fewest = int(loop.grows)  # without a turn it gives other sizes than with some
            least[name] = max(least.get(name, 1), -((more - fewest) // by))
            once[name] = max(once.get(name, 1), -((more - 1) // by))
            loops.append((loop, formula))
    if lost := _named(tuple(map(Formula.named, counts))) - once.keys():
        raise _Needed(lost)
    if least != once and not _goes_without(checked, traced, least, loops):
        least = once
    for name, number in least.items():
        if any(usual < number for usual in _items(checked.arguments[name])):
            raise _Needed({name})
    return least, once


def _goes_without(
    checked: CheckedGraph,
    traced: CheckedGraph,
    least: Mapping[str, int],
    loops: Sequence[tuple[Loop, Formula]],
) -> bool:
    """Tell whether a network is the same but for turns of loops where they turn rarely or never."""
    values = {name: _like(checked.arguments[name], number) for name, number in least.items()}
    try:
        assert checked.again is not None
        other = checked.again(values, None)
    except ArchError:
        return False
    gone: set[int] = set()
    for loop, formula in loops:
        turns = formula.evaluate({atom: least[NAMED.findall(atom)[0]] for atom in formula.names})
        if not isinstance(turns, int) or not 0 <= turns <= loop.turns:
            return False
        gone.update(range(loop.starts[turns], loop.starts[-1]))
    sets = [(each, overwriting(each)) for each in (traced, other)]
    said, found = (
        [
            (type(node.layer), node.facts.torch, node.facts.output, number in written)
            for number, node in enumerate(each.nodes.values())
            if each is other or number not in gone
        ]
        for each, written in sets
    )
    return said == found


def _items(value: Any) -> tuple[Any, ...]:
    return bare(value) if isinstance(value, tuple) else (bare(value),)


def _like(value: Any, number: int) -> Any:
    """Return a number, as often as a list has items where it stands for one."""
    return (number,) * len(value) if isinstance(value, tuple) else number


def _numbers(checked: CheckedGraph, name: str, atoms: Atoms) -> Iterator[tuple[str, int]]:
    yield from zip(atoms[name], _items(checked.arguments[name]), strict=True)


def _is_intricate(size: Formula) -> bool:
    return len(str(size)) > LONGEST_SHOWN or not size.plain or "//" in str(size)


def _evaluated(shape: Shape, values: Mapping[str, Any]) -> Shape:
    return tuple(size.evaluate(values) if isinstance(size, Formula) else size for size in shape)


class _Same:
    """Compares what layers become with the formulas that they have where parameters are open."""

    def __init__(
        self, trace: Trace, floats: Mapping[Formula, str], turns: Mapping[str, int]
    ) -> None:
        self.trace = trace
        self.floats = floats  # the names of those that are left open, by their formulas
        self.turns = turns  # which turn of an open loop it is, by the atom that stands for that
        self._taken: dict[int, dict[str, str]] = {}
        self._whole: dict[Formula, Any] = {}

    def compare(self, torch: Torch, general: Torch) -> None:
        if isinstance(torch, TorchModule) and isinstance(general, TorchModule):
            plain = general._replace(positional=torch.positional, keywords=torch.keywords)
            if plain != torch or [*torch.keywords] != [*general.keywords]:
                raise _Needed(NAMED.findall(str(general)))
            theirs = (*general.positional, *general.keywords.values())
            ours = (*torch.positional, *torch.keywords.values())
            for value, formula in zip(ours, theirs, strict=True):
                self.compare_values(value, formula)
        elif isinstance(torch, TorchFunction) and isinstance(general, TorchFunction):
            if general._replace(module=torch.module) != torch:
                raise _Needed(NAMED.findall(str(general)))
            if torch.module is not None and general.module is not None:
                self.compare(torch.module, general.module)
        elif torch != general:
            raise _Needed(NAMED.findall(str(general)))

    def compare_values(self, value: object, general: object) -> None:
        general = self.in_turn(general)
        one, other = (squeeze(v) if isinstance(v, tuple) else v for v in (value, general))
        formula = self.whole(formula_of(one))
        if isinstance(formula, Formula) and formula in self.floats and bare(value) == general:
            return  # which `_is_handed_on` looks at
        if isinstance(other, Formula):
            if formula != other:
                raise _Needed(_named(other))
        elif _named(other) or bare(value) != general or (formula != other and _named(formula)):
            raise _Needed(_named(other) | _named(formula))

    def in_turn(self, value: Any) -> Any:
        """Return a number in the turn of an open loop in which it is.

        It must grow evenly from turn to turn, as a loop in the source says.
        """
        if isinstance(value, tuple | list):
            return type(value)(map(self.in_turn, value))
        if not isinstance(value, Formula) or not self.turns.keys() & value.names:
            return value
        for turn in self.turns.keys() & value.names:
            start = value.evaluate({turn: 0})
            step = value.evaluate({turn: 1}) - start
            if value != start + step * Formula.named(turn):
                raise _Needed(_named(value))
        return value.evaluate(self.turns)

    def taken(self, layer: Layer) -> dict[str, str]:
        """Return which arguments of a layer are floats that are left open."""
        known = self._taken.get(id(layer))
        if known is None:
            floats = ((name, v) for name, v in vars(layer).items() if isinstance(v, TracedFloat))
            marked = {name: self.whole(value.formula) for name, value in floats}
            known = self._taken[id(layer)] = {
                name: self.floats[formula]
                for name, formula in marked.items()
                if formula in self.floats
            }
        return known

    def told(self, node: Node, values: Mapping[str, float]) -> Torch:
        """Return what a layer becomes where floats have other values."""
        torch = node.facts.torch
        module = torch.module if isinstance(torch, TorchFunction) else torch
        given = {
            name: values[float_]
            for name, float_ in self.taken(node.layer).items()
            if float_ in values
        }
        if not given or not isinstance(module, TorchModule):
            return torch
        module = module._replace(keywords={**module.keywords, **given})
        return torch._replace(module=module) if isinstance(torch, TorchFunction) else module

    def whole(self, formula: Any) -> Any:
        """Return a formula in the parameters of the network."""
        if isinstance(formula, tuple):
            return tuple(map(self.whole, formula))
        if not isinstance(formula, Formula):
            return formula
        if formula not in self._whole:
            self._whole[formula] = self.trace.seen(formula, 0)
        return self._whole[formula]


def _values(checked: CheckedGraph) -> Iterator[object]:
    """Yield what the modules of a network are given."""
    facts: dict[int, Facts] = {id(node.facts): node.facts for node in checked.nodes.values()}
    for each in facts.values():
        torch: Torch | None = each.torch
        torch = torch.module if isinstance(torch, TorchFunction) else torch
        if isinstance(torch, TorchModule):
            yield from (*torch.positional, *torch.keywords.values())


def _shown(atom: str) -> str:
    """Return what a reader knows an atom of the network as: `depths[1]`."""
    name, _, at = atom.rpartition("#")[0].partition(".")
    return f"{name}[{at}]" if at else name


def _names(value: object) -> frozenset[str]:
    """Return the free names that a size, or some of them, depend on."""
    if isinstance(value, Formula):
        return value.names
    if isinstance(value, tuple | list):
        return frozenset().union(*map(_names, value))
    return frozenset()


def _named(value: object) -> frozenset[str]:
    """Return the parameters of the network that a value depends on; all, if that isn't known."""
    needs = {need for atom in _names(value) for need in needed(atom)}
    return frozenset(name for need in needs for name in NAMED.findall(need)) | ({"*"} & needs)
