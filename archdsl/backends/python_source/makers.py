"""How each child of a module is constructed: its text, and the numbers in that text.

Two uses of a block can share a class if all their children have the same `shape`; the `numbers`
are then what the class takes as arguments, where they differ.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Container, Hashable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from archdsl.backends.python_source.errors import refuse_free
from archdsl.backends.python_source.names import literal, numbered, snake_case
from archdsl.backends.python_source.rows import Row, listed_items, named_items
from archdsl.backends.python_source.sight import Sight
from archdsl.backends.python_source.template import filled, template
from archdsl.graph import Node
from archdsl.layers.base import Layer, TorchModule, TorchTensor, squeeze
from archdsl.layers.sizes import Formula
from archdsl.layers.traced import bare, counted_of, formula_of

NO_DEFAULT = object()
ANY = object()  # a number that nothing depends on


@dataclass(frozen=True, slots=True)
class Number:
    """A number in the text that constructs a module.

    Attributes:
        value: an int, float or bool, or a tuple of them.
        hint: what it would be called as an argument.
        default: the value for which the text may leave it out; ANY says nothing on that.
        from_input: whether it is likely the size of what comes into the class.
        turns: whether it says how often something comes.
        is_size: whether it says how much comes in or goes out.
        formula: how it follows from what the class knows; itself if it follows from nothing.
        counted: how it follows from the variable of a loop, and from nothing else.
        text: how it is written in a comprehension that counts, or "".
    """

    value: object
    hint: str
    default: object = NO_DEFAULT
    from_input: bool = False
    turns: bool = False
    is_size: bool = False
    formula: object = None
    counted: Formula | None = None
    text: str = ""


class _One(ABC):
    """What makes a single member, in which nothing comes several times."""

    __slots__ = ()

    @property
    @abstractmethod
    def shape(self) -> Hashable: ...

    @property
    def outline(self) -> Hashable:
        return self.shape

    @property
    def counts(self) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class LayerMaker(_One):
    """`nn.Conv2d(3, 64, kernel_size=7)`: arguments as (keyword, constant text or None).

    Of a list there is whether its numbers are equal, and then one, and how many it has.
    """

    target: str
    arguments: tuple[tuple[str, str | tuple[bool, int] | None], ...]
    numbers: tuple[Number, ...]

    @property
    def shape(self) -> Hashable:
        return (self.target, self.arguments)

    def text(self, fill: Iterator[str | None]) -> str:
        """Write the call, taking the texts of its numbers; None leaves the argument out."""
        given: list[str] = []
        for keyword, constant in self.arguments:
            if isinstance(constant, tuple):
                alike, size = constant
                items = [str(next(fill)) for _ in range(1 if alike else size)]
                constant = f"[{', '.join(items * size if alike else items)}]"
            value = next(fill) if constant is None else constant
            if value is not None:
                given.append(f"{keyword}={value}" if keyword else value)
        return f"{self.target}({', '.join(given)})"


@dataclass(frozen=True, slots=True)
class TensorMaker(_One):
    """`nn.Parameter(torch.zeros(96, 1, 1))`: a tensor that the module owns."""

    parts: tuple[str, ...]
    learnable: bool
    numbers: tuple[Number, ...]
    stored: bool = True

    @property
    def shape(self) -> Hashable:
        return (self.parts, self.learnable, self.stored)

    def text(self, fill: Iterator[str | None]) -> str:
        text = filled(self.parts, (str(next(fill)) for _ in self.numbers))
        return f"nn.Parameter({text})" if self.learnable else text


@dataclass(frozen=True, slots=True)
class Parameter:
    """An argument of a class.

    Attributes:
        annotation: its type, as text.
        default: its value where a use doesn't give it.
        from_input: whether it is the size of what comes in.
        turns: whether it says how often something comes.
        is_size: whether it says how much comes in or goes out.
        least: the least that it may be, or each of a list, where loops turn by it.
    """

    name: str
    annotation: str
    default: object = NO_DEFAULT
    from_input: bool = False
    turns: bool = False
    is_size: bool = False
    least: int | None = None


class Made(Protocol):
    """A class of the file, as far as what makes instances of it must know."""

    number: int
    name: str
    parameters: tuple[Parameter, ...]

    @property
    def block(self) -> str:
        """Name of the block, or "" for a group."""


@dataclass(frozen=True, slots=True)
class ClassMaker(_One):
    """`ConvBN(192, 64, kernel=1)`: an instance of a class of the file."""

    made: Made
    numbers: tuple[Number, ...]

    @property
    def shape(self) -> Hashable:
        return ("class", self.made.number)

    def text(self, fill: Iterator[str | None]) -> str:
        given: list[str] = []
        plain = True  # up to two sizes in front tell what they are by their place
        for at, parameter in enumerate(self.made.parameters):
            is_size = parameter.is_size or parameter.from_input
            plain = plain and at < 2 and is_size and parameter.default is NO_DEFAULT
            value = next(fill)
            if value is not None:
                given.append(value if plain else f"{parameter.name}={value}")
        return f"{self.made.name}({', '.join(given)})"


@dataclass(frozen=True, slots=True)
class ListMaker:
    """`nn.Sequential(...)` or `nn.ModuleList([...])` with its children, by label.

    Attributes:
        target: what makes the list; "" for the arguments alone.
        positional: whether the children are numbered as those of a list.
        rows: which of the children come several times.
        loops: those that the spec makes in a loop whose number of turns the class takes.
    """

    target: str
    labels: tuple[str, ...]
    children: tuple[Maker, ...]
    positional: bool
    rows: tuple[Row, ...] = ()
    loops: tuple[Row, ...] = ()

    @property
    def numbers(self) -> tuple[Number, ...]:
        inner = [number for child in self.children for number in child.numbers]
        turns = (
            Number(row.turns, self._count(row), turns=True, formula=row.count) for row in self.rows
        )
        return (*inner, *turns)

    @property
    def shape(self) -> Hashable:
        rows = tuple((row.start, row.period) for row in self.rows)
        loops = tuple((row.start, row.period, row.turns) for row in self.loops)
        labels = () if self.positional else self.labels
        return (self.target, labels, rows, loops, tuple(child.shape for child in self.children))

    @property
    def outline(self) -> Hashable:
        """The same for lists that can be made alike but for how often something comes."""
        labels = () if self.positional else self.labels
        return (self.target, labels, tuple(child.outline for child in self.children))

    @property
    def counts(self) -> bool:
        """Whether the text counts with `i`, so that it can't stand in a loop that does."""
        counts = any(row.counted or not self.positional for row in self.rows)
        return counts or any(child.counts for child in self.children)

    def _count(self, row: Row) -> str:
        return count_name(self.labels[row.start], self.children[row.start])

    def text(self, fill: Iterator[str | None]) -> str:
        items = [child.text(fill) for child in self.children]
        turns = {row.start: (row, str(next(fill))) for row in self.rows}
        if not self.positional:
            named = named_items(self.labels, items, turns)
            if len(named) == 1 and named[0].startswith("*"):
                return f"{self.target}(OrderedDict({named[0][1:]}))"
            return f"{self.target}(OrderedDict([{', '.join(named)}]))"
        listed = listed_items(items, turns)
        text = ", ".join(listed)
        if self.target == MODULE_LIST:
            is_row = len(listed) == 1 and text.startswith("*")
            text = text[1:] if is_row else f"[{text}]"
        return f"{self.target}({text})" if self.target else text


MODULE_LIST = "nn.ModuleList"
Maker = LayerMaker | TensorMaker | ClassMaker | ListMaker


def count_name(label: str, maker: Maker) -> str:
    """Name the number of modules in a row after their class, else after their labels.

    `num_layers` for blocks called `DenseLayer`, `num_blocks` for `BasicBlock`.
    """
    block = maker.made.block if isinstance(maker, ClassMaker) else ""
    words = re.findall(r"[A-Z][a-z]{3,}", block)
    word = words[-1].lower() if words else re.sub(r"[^a-z]", "", snake_case(numbered(label)[0]))
    return f"num_{word or 'layer'}s"


def is_number(value: object) -> bool:
    """Tell whether a value is a number, or one for each axis."""
    if isinstance(value, tuple):
        return bool(value) and all(isinstance(item, int | float) for item in value)
    return isinstance(value, int | float)


@lru_cache
def _optional_fields(kind: type[Layer]) -> dict[str, object]:
    """Return the arguments of a layer that may be left out, with the numbers they then are.

    What the class behind a user's own layer takes for what is left out, nobody knows.
    """
    origin = kind.origin()
    fields = origin.model_fields.items() if origin else ()
    defaults = {name: squeeze(field.default) for name, field in fields if not field.is_required()}
    return {name: default for name, default in defaults.items() if is_number(default)}


def layer_maker(node: Node, from_input: bool, sight: Sight) -> LayerMaker:
    """Return how the module of a node is made, in the sight of the scope that makes it.

    Raises:
        CompileError: an argument depends on a free size.
    """
    torch = node.facts.torch
    assert isinstance(torch, TorchModule)
    optional = _optional_fields(type(node.layer))
    arguments: list[tuple[str, str | tuple[bool, int] | None]] = []
    numbers: list[Number] = []

    size_first = takes_size_first(node.layer, torch)

    def add(keyword: str, value: object, hint: str, default: object = NO_DEFAULT) -> None:
        if is_number(value):
            fed = from_input and size_first and not arguments
            arguments.append((keyword, None))
            formula = sight.formula(node, value, keyword)
            size = not keyword and not isinstance(value, float)
            counted = sight.counted(value, squeeze(counted_of(value)))
            numbers.append(Number(bare(value), hint, default, fed, False, size, formula, counted))
        elif isinstance(value, list) and is_number(given := tuple(value)):
            alike = len({(bare(item), formula_of(item)) for item in given}) == 1
            arguments.append((keyword, (alike, len(given))))
            for item in given[:1] if alike else given:
                formula = sight.of_value(item, formula_of(item))
                numbers.append(Number(bare(item), hint, formula=formula))
        else:
            arguments.append((keyword, _constant(node, value)))

    hints: list[str] = []  # of arguments that happen to be equal each is named once
    for at, value in enumerate(torch.positional):
        is_first = size_first and at == 0
        hints.append("channels" if is_first else argument_name(node, value, hints))
        add("", value, hints[-1])
    for keyword, value in torch.keywords.items():
        if keyword not in optional:
            add(keyword, value, keyword)
    for keyword, default in optional.items():
        add(
            keyword,
            torch.keywords.get(keyword, _left_out(node, keyword, default)),
            keyword,
            default,
        )
    return LayerMaker(torch.target, tuple(arguments), tuple(numbers))


def takes_size_first(layer: Layer, torch: TorchModule) -> bool:
    """Tell whether the first argument of a module is the size of what comes in.

    There is one more than the layer has then; `nn.GroupNorm` alone takes it behind its own.
    """
    fields = layer.model_fields.items()
    own = [
        squeeze(getattr(layer, name))
        for name, one in fields
        if one.is_required() and name not in torch.keywords
    ]
    if len(torch.positional) <= len(own):
        return False
    return not own or torch.positional[0] != own[0] or torch.positional[-1] == own[-1]


def _left_out(node: Node, keyword: str, default: object) -> object:
    """Return what a layer isn't told: the default, as the spec gives it if it does."""
    given = squeeze(getattr(node.layer, keyword))
    return given if given == default and type(bare(given)) is type(default) else default


def argument_name(node: Node, value: object, taken: Container[str] = ()) -> str:
    """Find what a number of a layer is called, by the argument in the spec that it equals."""
    given = squeeze(tuple(value)) if isinstance(value, list) else value
    for name in type(node.layer).model_fields:
        if name not in taken and squeeze(getattr(node.layer, name)) == given:
            return name
    return "size"


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


def tensor_maker(node: Node, sight: Sight) -> TensorMaker:
    """Return how a tensor that the module owns is made, in the sight of the module's scope."""
    torch = node.facts.torch
    assert isinstance(torch, TorchTensor)
    for shape in (*node.facts.params.values(), *node.facts.buffers.values()):
        if (size := _free(shape)) is not None:
            raise refuse_free(node, size)
    if torch.value.count(",") > 64:  # a table of values: nothing in it is an argument
        return TensorMaker((torch.value,), torch.learnable, (), torch.stored)
    found = template(torch.value)
    formulas = sight.spoken(node, torch.value)
    numbers = (
        Number(value, hint or "size", formula=formula)
        for value, hint, formula in zip(found.numbers, found.hints, formulas, strict=True)
    )
    return TensorMaker(found.parts, torch.learnable, tuple(numbers), torch.stored)
