"""How each child of a module is constructed: its text, and the numbers in that text.

Two uses of a block can share a class if all their children have the same `shape`; the `numbers`
are then what the class takes as arguments, where they differ.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from archdsl.backends.python_source.arguments import Argument
from archdsl.backends.python_source.errors import refuse_free
from archdsl.backends.python_source.names import literal, numbered, positional, quoted
from archdsl.backends.python_source.template import template
from archdsl.graph import Node
from archdsl.layers.base import Layer, TorchModule, TorchTensor, squeeze
from archdsl.layers.sizes import Formula

if TYPE_CHECKING:
    from archdsl.backends.python_source.classes import ModuleClass

NO_DEFAULT = object()


@dataclass(frozen=True, slots=True)
class Number:
    """A number in the text that constructs a module.

    Attributes:
        value: an int, float or bool, or a tuple of them.
        hint: what it would be called as an argument.
        default: the value for which the text may leave it out.
        from_input: whether it is likely the size of what comes into the class.
        in_forward: whether it stands in the forward pass, and not where the module is made.
    """

    value: object
    hint: str
    default: object = NO_DEFAULT
    from_input: bool = False
    in_forward: bool = False


@dataclass(frozen=True, slots=True)
class LayerMaker:
    """`nn.Conv2d(3, 64, kernel_size=7)`: arguments as (keyword, constant text or None)."""

    target: str
    arguments: tuple[tuple[str, str | None], ...]
    numbers: tuple[Number, ...]

    @property
    def shape(self) -> Hashable:
        return (self.target, self.arguments)

    def text(self, fill: Iterator[str | None]) -> str:
        """Write the call, taking the texts of its numbers; None leaves the argument out."""
        given: list[str] = []
        for keyword, constant in self.arguments:
            value = next(fill) if constant is None else constant
            if value is not None:
                given.append(f"{keyword}={value}" if keyword else value)
        return f"{self.target}({', '.join(given)})"


@dataclass(frozen=True, slots=True)
class TensorMaker:
    """`nn.Parameter(torch.zeros(96, 1, 1))`: a tensor that the module owns."""

    parts: tuple[str, ...]
    learnable: bool
    numbers: tuple[Number, ...]

    @property
    def shape(self) -> Hashable:
        return (self.parts, self.learnable)

    def text(self, fill: Iterator[str | None]) -> str:
        pieces = [self.parts[0]]
        for part in self.parts[1:]:
            pieces += [str(next(fill)), part]
        text = "".join(pieces)
        return f"nn.Parameter({text})" if self.learnable else text


@dataclass(frozen=True, slots=True)
class ClassMaker:
    """`ConvBN(192, 64, kernel=1)`: an instance of a class of the file."""

    made: ModuleClass
    numbers: tuple[Number, ...]

    @property
    def shape(self) -> Hashable:
        return ("class", self.made.number)

    def text(self, fill: Iterator[str | None]) -> str:
        given: list[str] = []
        for at, parameter in enumerate(self.made.parameters):
            value = next(fill)
            if value is not None:
                plain = at < 2 and parameter.default is NO_DEFAULT
                given.append(value if plain else f"{parameter.name}={value}")
        return f"{self.made.name}({', '.join(given)})"


@dataclass(frozen=True, slots=True)
class ListMaker:
    """`nn.Sequential(...)` or `nn.ModuleList([...])` with its children, by label."""

    target: str
    labels: tuple[str, ...]
    children: tuple[Maker, ...]

    @property
    def listed(self) -> bool:
        """Whether it takes its children as one list."""
        return self.target == "nn.ModuleList"

    @property
    def numbers(self) -> tuple[Number, ...]:
        return tuple(number for child in self.children for number in child.numbers)

    @property
    def shape(self) -> Hashable:
        return (self.target, self.labels, tuple(child.shape for child in self.children))

    def text(self, fill: Iterator[str | None]) -> str:
        items = [child.text(fill) for child in self.children]
        if not positional(self.labels):
            named = named_items(self.labels, items)
            if len(named) == 1 and named[0].startswith("*"):
                return f"{self.target}(OrderedDict({named[0][1:]}))"
            return f"{self.target}(OrderedDict([{', '.join(named)}]))"
        text = ", ".join(folded(items))
        return f"{self.target}([{text}])" if self.listed else f"{self.target}({text})"


Maker = LayerMaker | TensorMaker | ClassMaker | ListMaker


def folded(items: Sequence[str]) -> list[str]:
    """Write runs of equal items as comprehensions: `*[Block(64) for _ in range(3)]`."""
    folded: list[str] = []
    repeats = Repeats(items)
    at = 0
    while at < len(items):
        period, turns = repeats.at(at)
        if turns == 1:
            folded.append(items[at])
        elif period == 1:
            folded.append(f"*[{items[at]} for _ in range({turns})]")
        else:
            unit = ", ".join(items[at : at + period])
            folded.append(f"*[layer for _ in range({turns}) for layer in ({unit})]")
        at += period * turns
    return folded


def named_items(labels: Sequence[str], items: Sequence[str]) -> list[str]:
    """Write items with their labels, and evenly numbered runs of equal ones as comprehensions."""
    named: list[str] = []
    at = 0
    while at < len(items):
        prefix, first = numbered(labels[at])
        end = at + 1
        while end < len(items) and (items[end], numbered(labels[end])) == (
            items[at],
            (prefix, first + end - at),
        ):
            end += 1
        if end - at < FEWEST_NAMED:
            named.append(f"({quoted(labels[at])}, {items[at]})")
            at += 1
            continue
        counted = f"range({first}, {first + end - at})" if first else f"range({end - at})"
        named.append(f'*[(f"{prefix}{{i}}", {items[at]}) for i in {counted}]')
        at = end
    return named


FEWEST_NAMED = 3
LONGEST_PERIOD = 12


class Repeats:
    """Finds runs of items that repeat, from any place, in the same time for each."""

    def __init__(self, items: Sequence[Hashable]) -> None:
        numbers: dict[Hashable, int] = {}
        numbered = [numbers.setdefault(item, len(numbers)) for item in items]
        periods = range(1, min(LONGEST_PERIOD, len(items) // 2) + 1)
        # for each period and place, how many items from there on are as those a period later
        self.alike = [_alike(numbered, period) for period in periods]

    def at(self, at: int) -> tuple[int, int]:
        """Return the period and the number of turns of the run that begins at a place.

        Of all periods the one that covers most items wins, then the shortest. Two turns of a
        single item are no run: written out they are as short.
        """
        best = (1, 1)
        for period, alike in enumerate(self.alike, 1):
            turns = 1 + alike[at] // period if at < len(alike) else 1
            if period * turns >= 3 and turns > 1 and period * turns > best[0] * best[1]:
                best = (period, turns)
        return best


def _alike(items: Sequence[int], period: int) -> list[int]:
    """Return for each place how many items in a row equal those a period later."""
    found = [0] * (len(items) - period)
    row = 0
    for at in range(len(found) - 1, -1, -1):
        row = row + 1 if items[at] == items[at + period] else 0
        found[at] = row
    return found


def is_number(value: object) -> bool:
    """Tell whether a value is a number, or one for each axis, or stands for one."""
    if isinstance(value, tuple):
        return bool(value) and all(isinstance(item, int | float) for item in value)
    return isinstance(value, int | float | Argument)


@lru_cache
def optional_fields(kind: type[Layer]) -> dict[str, object]:
    """Return the arguments of a layer that may be left out, with the numbers they then are."""
    fields = kind.model_fields.items()
    defaults = {name: squeeze(field.default) for name, field in fields if not field.is_required()}
    return {name: default for name, default in defaults.items() if is_number(default)}


def layer_maker(node: Node, from_input: bool) -> LayerMaker:
    """Return how the module of a node is made.

    Raises:
        CompileError: an argument depends on a free size.
    """
    torch = node.facts.torch
    assert isinstance(torch, TorchModule)
    optional = optional_fields(type(node.layer))
    arguments: list[tuple[str, str | None]] = []
    numbers: list[Number] = []

    def add(keyword: str, value: object, hint: str, default: object = NO_DEFAULT) -> None:
        if is_number(value):
            first = not keyword and not arguments
            arguments.append((keyword, None))
            numbers.append(Number(value, hint, default, from_input and first))
        else:
            arguments.append((keyword, _constant(node, value)))

    for at, value in enumerate(torch.positional):
        add("", value, argument_name(node, value) if at else "channels")
    for keyword, value in torch.keywords.items():
        if keyword not in optional:
            add(keyword, value, keyword)
    for keyword, default in optional.items():
        add(keyword, torch.keywords.get(keyword, default), keyword, default)
    return LayerMaker(torch.target, tuple(arguments), tuple(numbers))


def argument_name(node: Node, value: object) -> str:
    """Find what a number of a layer is called, by the argument in the spec that it equals."""
    if isinstance(value, Argument):
        value = value.value
    names = [name for name in type(node.layer).model_fields if getattr(node.layer, name) == value]
    return names[0] if names else "size"


def _constant(node: Node, value: object) -> str:
    if (size := _free(value)) is not None:
        raise refuse_free(node, size)
    return literal(value)


def _free(value: object) -> Formula | None:
    """Return the first size in a value that is free."""
    if isinstance(value, Formula):
        return value
    if isinstance(value, tuple | list):
        return next((size for item in value if (size := _free(item)) is not None), None)
    return None


def tensor_maker(node: Node) -> TensorMaker:
    """Return how a tensor that the module owns is made."""
    torch = node.facts.torch
    assert isinstance(torch, TorchTensor)
    for shape in (*node.facts.params.values(), *node.facts.buffers.values()):
        if (size := _free(shape)) is not None:
            raise refuse_free(node, size)
    if torch.value.count(",") > 64:  # a table of values: nothing in it is an argument
        return TensorMaker((torch.value,), torch.learnable, ())
    found = template(torch.value)
    pairs = zip(found.numbers, found.hints, strict=True)
    return TensorMaker(
        found.parts, torch.learnable, tuple(Number(value, hint or "size") for value, hint in pairs)
    )
