"""What free sizes must be for the shapes of a network to agree and to be at least 1."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import cache
from math import lcm, prod

from archdsl.analysis.solving import Requirement, degree, period_of, solve
from archdsl.graph import CheckedGraph
from archdsl.layers.base import ArgumentErrors, Layer, LayerError, Shapes
from archdsl.layers.sizes import Formula, FormulaError, Size, substitute
from archdsl.layers.tensor import Formulas
from archdsl.records import Record

# every remainder is tried, so beyond this the equation is said as it is
LONGEST_PERIOD = 1_024
# no network needs larger images; a size that shrinks as a name grows never gets there
LARGEST_LEAST = 1 << 20


class Assumptions(Record):
    """What is taken for granted about the free sizes of a network.

    Attributes:
        requirements: for each free name, in the order of the inputs.
        equations: pairs of sizes that must be equal as well and were not solved, as they hold
            several names or powers of one.
    """

    requirements: Mapping[str, Requirement]
    equations: tuple[tuple[Size, Size], ...] = ()

    @property
    def possible(self) -> bool:
        """Whether any sizes are known that do, as far as the requirements go."""
        return all(each.possible for each in self.requirements.values())

    def sentences(self) -> tuple[str, ...]:
        """Return them in words: "H must be a multiple of 16"."""
        said = [str(each) for each in self.requirements.values()]
        said += [f"{left} must be equal to {right}" for left, right in self.equations]
        return tuple(text for text in said if text)


def assumptions(checked: CheckedGraph) -> Assumptions:
    """Find for which values of its free sizes the shapes of a network agree."""
    # in the order of the inputs: what is said of H comes before what is said of W
    names = _free_names(checked.inputs.values())
    if not names:
        return Assumptions({})
    solvable: dict[str, list[Formula]] = {name: [] for name in names}
    periods: dict[str, int] = {}
    equations: dict[tuple[Size, Size], None] = {}
    for left, right in checked.agreements:
        difference = left - right
        if isinstance(difference, int):  # no size changes that: it is said, as it never holds
            if difference:
                equations[left, right] = None
            continue
        name, *others = sorted(difference.names)
        period = lcm(periods.get(name, 1), period_of(difference))
        if others or degree(difference) > 1 or period > LONGEST_PERIOD:
            equations[left, right] = None
        else:
            solvable[name].append(difference)
            periods[name] = period
    looked_up = list(_looked_up(checked))
    # none of the indices is below 0
    least = _least(checked, names, [index + 1 for index, _ in looked_up])
    known = {name: solve(name, solvable[name], least[name]) for name in names}
    for index, count in looked_up:
        (name,) = index.names
        most = _most(index, count, known[name].smallest)
        if most is not None:
            known[name] = known[name].up_to(most)
    return Assumptions(_taken(checked, known), tuple(equations))


def without_floors(
    size: Formula, known: Assumptions
) -> Sequence[tuple[tuple[str, ...], Fraction]] | None:
    """Write a formula without floors, where every size that is assumed makes them exact.

    With H a multiple of 16, `4*(H//2)` is `2*H`. Returns the names of each product with its
    coefficient, or None where floors remain.
    """
    moduli = {
        name: each.modulus
        for name, each in known.requirements.items()
        if each.remainders == (0,) and not each.only
    }
    scaled = size.evaluate({name: n * Formula.named(name) for name, n in moduli.items()})
    if not isinstance(scaled, Formula):
        return None
    found: list[tuple[tuple[str, ...], Fraction]] = []
    for monomial, coefficient in scaled.terms:
        names = tuple(atom for atom in monomial if isinstance(atom, str))
        if len(names) < len(monomial):
            return None
        found.append((names, Fraction(coefficient, prod(moduli.get(name, 1) for name in names))))
    return found


def without_rounding(known: Assumptions, sizes: Iterable[Size]) -> Assumptions:
    """Return stronger assumptions under which no floor is left in any of the sizes, if need be.

    They take multiples of a power of two, mostly, and are for writing formulas that people read.
    Returns `known` itself where it leaves no floors, or nothing simple would.
    """
    formulas = {size for size in sizes if isinstance(size, Formula)}
    if all(without_floors(formula, known) is not None for formula in formulas):
        return known
    period = lcm(*map(period_of, formulas), *(r.modulus for r in known.requirements.values()))
    if period > LONGEST_PERIOD:
        return known
    # sizes that have few values, or may be no multiple, stay as they are
    requirements = {
        name: each._replace(modulus=period, remainders=(0,))
        for name, each in known.requirements.items()
        if 0 in each.remainders and not each.only
    }
    return known._replace(requirements={**known.requirements, **requirements})


def _free_names(shapes: Iterable[Sequence[Size]]) -> tuple[str, ...]:
    """Return the free names of shapes in the order in which they are first met."""
    sizes = [size for shape in shapes for size in shape if isinstance(size, Formula)]
    return tuple(dict.fromkeys(name for size in sizes for name in sorted(size.names)))


def _looked_up(checked: CheckedGraph) -> Iterator[tuple[Formula, int]]:
    """Yield indices that depend on one free name, with how many their table has."""
    for node in checked.nodes.values():
        count = node.layer.indices()
        if count is None or (source := checked.looked_up(node)) is None:
            continue
        value = vars(source.layer).get("value")
        for index in value.reached if isinstance(value, Formulas) else ():
            if isinstance(index, Formula) and len(index.names) == 1:
                yield index, count


def _most(index: Formula, count: int, start: int) -> int | None:
    """Return up to which value of its name an index is in its table; None where it always is."""
    (name,) = index.names

    def beyond(value: int) -> bool:
        found = index.evaluate({name: value})
        return isinstance(found, int) and found >= count

    high = start
    while not beyond(high):
        high *= 2
        if high > max(LARGEST_LEAST, 2 * count):
            return None
    return _first(beyond, high // 2, high) - 1 if high > start else start - 1


def _least(
    checked: CheckedGraph, names: Sequence[str], further: Sequence[Size]
) -> Mapping[str, int]:
    """Find the smallest value of each name for which every size of it alone is at least 1."""
    seen = {size for node in checked.nodes.values() for size in node.shape} | {*further}
    formulas = [size for size in seen if isinstance(size, Formula) and len(size.names) == 1]
    return {name: _least_of(name, [f for f in formulas if name in f.names]) for name in names}


def _least_of(name: str, formulas: Sequence[Formula]) -> int:
    @cache
    def does(value: int) -> bool:
        sizes = (formula.evaluate({name: value}) for formula in formulas)
        return all(isinstance(size, int) and size >= 1 for size in sizes)

    # sizes grow with their names, so doubling and halving find where they begin to do
    high = 1
    while not does(high):
        high *= 2
        if high > LARGEST_LEAST:
            return 1  # sizes that shrink as the name grows: nothing simple can be said
    return _first(does, high // 2, high)


def _first(does: Callable[[int], bool], low: int, high: int) -> int:
    """Return the first value that does, of those up to `high`, which does; `low` doesn't."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if does(middle) else (middle, high)
    return high


def _taken(checked: CheckedGraph, known: Mapping[str, Requirement]) -> Mapping[str, Requirement]:
    """Leave out the smallest values, which a layer refuses where they are given as they are.

    With a free size it can't: mirrored padding of a map that is no wider than what is added.
    """
    reading: dict[str, dict[tuple[Layer, Shapes], None]] = {name: {} for name in known}
    for node in checked.nodes.values():
        if all(checked.nodes[read].facts.batched for read in node.inputs):
            shapes = tuple(checked.nodes[read].shape for read in node.inputs)
            sizes = [size for shape in shapes for size in shape if isinstance(size, Formula)]
            for name in {name for size in sizes for name in size.names}:
                reading[name][node.layer, shapes] = None
    return {name: _taken_by(each, [*reading[name]]) for name, each in known.items()}


def _taken_by(known: Requirement, layers: Sequence[tuple[Layer, Shapes]]) -> Requirement:
    """Return a requirement that meets another one, and that layers of those inputs take."""
    if not known.possible:
        return known
    if known.only:
        only = tuple(one for one in known.only if not _refusing(known.name, one, layers))
        return known._replace(only=only, possible=bool(only))
    low = known.smallest
    # those that take the smallest take the larger ones, so few are asked again
    if not (refusing := _refusing(known.name, low, layers)):
        return known
    high = low
    while _refusing(known.name, known.value(high), refusing):
        low, high = high, 2 * high
        if high > LARGEST_LEAST:
            return known

    def does(value: int) -> bool:
        return not _refusing(known.name, known.value(value), refusing)

    return known._replace(least=known.value(_first(does, low, high)))


def _refusing(
    name: str, value: int, layers: Sequence[tuple[Layer, Shapes]]
) -> list[tuple[Layer, Shapes]]:
    """Return those of the layers that don't take their inputs where a size has that value."""
    refusing: list[tuple[Layer, Shapes]] = []
    for layer, shapes in layers:
        try:
            given = {each: _at(argument, name, value) for each, argument in vars(layer).items()}
            same = given == vars(layer)
            (layer if same else layer.model_copy(given)).infer(
                tuple(tuple(substitute(size, {name: value}) for size in shape) for shape in shapes)
            )
        except (LayerError, ArgumentErrors):
            refusing.append((layer, shapes))
        except FormulaError:  # it depends on other free sizes, so that nothing can be said
            continue
    return refusing


def _at(argument: object, name: str, value: int) -> object:
    """Return an argument of a layer where a size has that value: a kernel as large as its input."""
    if isinstance(argument, tuple):
        return tuple(_at(each, name, value) for each in argument)
    return substitute(argument, {name: value}) if isinstance(argument, Formula) else argument
