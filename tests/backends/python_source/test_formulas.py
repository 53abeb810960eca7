"""Every relation that is written between the numbers of a class is the one of the spec.

Blocks with random formulas are used with a few arguments. The class that comes of it is then made
with others, and so is the block: both must make the same layers. What the class doesn't know, it
takes as an argument of its own; that is given what the spec makes of the others.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from compiled import load, parameters

from archdsl.backends.python_source import python_source
from archdsl.graph import CheckedGraph
from archdsl.layers.base import TorchModule, squeeze

PARAMETERS = ("a", "b", "c")
# Formulas whose value is positive for positive parameters, of which those are written as they are,
# and the others are arguments of their own.
EXACT = [
    "{0}",
    "{0} // 2 + 1",
    "2 * {0}",
    "{0} + {1}",
    "{0} * {1}",
    "{0} + 3",
    "{0} % 4 + 1",
    "3 * {0} // 2",
    "({0} + {1}) // 2 + {2}",
    "in.channels",
    "in.channels + {0}",
    "2 * in.channels",
    "5",
    "max({0}, {1})",
    "round(0.5 * {0}) + 1",
    "floor({0} / 3) + 1",
    "ceil({0} * 0.3 + in.channels / {1})",
    "{0} ** 2",
    "2 ** ({0} % 3)",
    "floor(sqrt({0} + 0.5 * {1}))",
    "max(4, {0} - 3) * min([{1}, 2, {2}])",
    "abs({0} - {1}) + 1",
    "floor(-0.5 * {0}) + 8",
    "{0} * 2 // {1} + 1",
    "({0} + {1}) % 3 + {2} % 5 * 2 + 1",
    "floor(7.5 % {0}) + 1",
    "floor({0} * {1} / ({2} + 1) / 2 * 3.0) + 1",
    "floor((0.5 * {0}) ** 2 + 2 ** -{1}) + 1",
    "twice({0}, {1})",
    "min(3, {0} + 7)",
    "[{0}, {1}][1]",
    "sum([{0}, 1, {1}])",
]
LOOSE = [
    "{0} if {1} > 2 else {1}",
    "4 if {0} > {1} else 4",
]


@dataclass
class Written:
    """A random block: its text, and how to use it."""

    text: str

    def network(self, *uses: tuple[int, ...]) -> str:
        lines = [f"u{at}: B({', '.join(map(str, use))})" for at, use in enumerate(uses)]
        lines = [line for each in lines for line in ("Conv2d(6, 1)", each)]
        return f"{self.text}\nnetwork net {{ input x: [6, 40, 40]\n" + "\n".join(lines) + "\n}"


class Writer:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.lets: list[str] = []
        self.labels = 0

    def formula(self) -> str:
        known = [*PARAMETERS, *self.lets]
        names = [self.random.choice(known) for _ in range(3)]
        return self.random.choice(EXACT * 2 + LOOSE).format(*names)

    def layer(self) -> str:
        self.labels += 1
        kind = self.random.choice(["conv", "conv", "group", "inner", "norm", "pad"])
        if kind == "norm":
            return f"n{self.labels}: BatchNorm2d(eps = 0.001 * {self.random.choice(PARAMETERS)})"
        if kind == "pad":
            return f"p{self.labels}: ZeroPad2d({self.formula()})"
        if kind == "inner":
            return f"i{self.labels}: Inner({self.formula()}, {self.formula()})"
        if kind == "group":
            inner = "; ".join(f"Conv2d({self.formula()}, 1)" for _ in range(2))
            merge = self.random.choice(["", "; residual { Conv2d(in.channels, 1) }"])
            return f"g{self.labels}: {{ {inner}{merge} }}"
        bias = self.random.choice(["", ", bias = flag"])
        padding = self.random.choice(["0", self.formula()])
        return f"l{self.labels}: Conv2d({self.formula()}, 1, padding = {padding}{bias})"

    def block(self) -> Written:
        lines: list[str] = []
        for _ in range(self.random.randint(2, 5)):
            if self.random.random() < 0.3:
                name = f"let{len(self.lets)}"
                lines.append(f"let {name} = {self.formula()}")
                self.lets.append(name)
            lines.append(self.layer())
        if self.random.random() < 0.5:
            lines.append(f"repeat {self.random.choice(['a', 'b', 'c', '4'])} {{ Conv2d(77, 1) }}")
        if self.random.random() < 0.3:
            lines.append("residual { last: Conv2d(a, 1) }" if "Conv2d(a," in lines[-1] else "ReLU")
        body = "\n  ".join(lines)
        return Written(
            "fn twice(n, m) = 2 * n + max(n, m)\n"
            "block Inner(width, more) { conv: Conv2d(width, 1, padding = more // 2)\n"
            "  other: Conv2d(more + in.channels, 1) }\n"
            f"block B(a, b, c, flag = true) {{\n  {body}\n}}"
        )


def modules(checked: CheckedGraph, scope: str) -> list[tuple[str, dict[str, Any]]]:
    """Return what the spec makes in a scope: the class of torch, and what it is given by name."""
    found: list[tuple[str, dict[str, Any]]] = []
    for name, node in checked.nodes.items():
        torch = node.facts.torch
        if not name.startswith(f"{scope}.") or not isinstance(torch, TorchModule):
            continue
        if torch.target != "nn.ReLU":
            given = {f"#{at}": value for at, value in enumerate(torch.positional)}
            keywords = {name: squeeze(value) for name, value in torch.keywords.items()}
            found.append((torch.target, {**given, **keywords}))
    return found


class Stub:
    """Stands for torch: remembers which modules are made, and with what."""

    def __init__(self) -> None:
        self.made: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        if name in ("Module", "ModuleDict", "Sequential", "ModuleList"):
            return self.container(name)

        def make(*given: Any, **named: Any) -> str:
            named = {**{f"#{at}": value for at, value in enumerate(given)}, **named}
            if name != "ReLU":
                self.made.append((f"nn.{name}", {k: squeeze(v) for k, v in named.items()}))
            return name

        return make

    def container(self, kind: str) -> type:
        class Container:
            def __init__(self, *children: Any) -> None: ...

            def __setitem__(self, name: str, child: Any) -> None: ...

            def add_module(self, name: str, child: Any) -> None: ...

        return type(kind, (Container,), {})


def made(text: str, name: str, arguments: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return what a class of generated source makes when it is given some arguments."""
    nn = Stub()
    code = re.sub(r"^(?:import|from) (?:torch|math).*$", "", text, flags=re.MULTILINE)
    scope: dict[str, Any] = {"nn": nn, "torch": Stub(), "math": SimpleNamespace(**MATH), **PLAIN}
    exec(compile(f"from __future__ import annotations\n{code}", "net.py", "exec"), scope)
    scope[name](**arguments)
    return nn.made


def agree(
    ours: list[tuple[str, dict[str, Any]]],
    theirs: list[tuple[str, dict[str, Any]]],
    own: dict[str, Any],
) -> bool:
    """Tell whether the same is made; an argument of the class's own may be anything, once."""
    if [kind for kind, _ in ours] != [kind for kind, _ in theirs]:
        return False
    for (_, left), (_, right) in zip(ours, theirs, strict=True):
        for key in left.keys() | right.keys():
            value = left.get(key, right.get(key))
            wanted = right.get(key, left.get(key))
            if isinstance(value, Unknown):
                if value.name and own.setdefault(value.name, wanted) != wanted:
                    return False
            elif value != wanted:
                return False
    return True


class Unknown:
    """An argument of the class's own: whatever it should be, it is that wherever it stands."""

    def __init__(self, name: str) -> None:
        self.name = name

    def computed(self, *others: Any) -> Unknown:
        return Unknown("")  # what follows from it is checked where that is known

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = computed
    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __truediv__ = __rtruediv__ = computed
    __pow__ = __rpow__ = __neg__ = computed

    def __index__(self) -> int:
        return 4


def knowing(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function for which what is made of something unknown is unknown."""

    def call(*values: Any) -> Any:
        return Unknown("") if any(isinstance(v, Unknown) for v in values) else function(*values)

    return call


MATH = {name: knowing(getattr(math, name)) for name in ("floor", "ceil", "sqrt")}
PLAIN = {each.__name__: knowing(each) for each in (max, min, round, abs)}


def check(seed: int, folder: Path) -> None:
    writer = Writer(seed)
    block = writer.block()
    chance = random.Random(f"arguments {seed}")
    uses = [tuple(chance.randint(1, 9) for _ in PARAMETERS) for _ in range(2)]
    if chance.random() < 0.5:  # what is equal in all uses says nothing
        uses = [(a, b, b) for a, b, _ in uses]
    text = python_source(load(folder, block.network(*uses)))
    names = re.findall(r"^class (B\w*)\(", text, re.MULTILINE)
    if len(names) != 1:
        return  # they differ in more than numbers
    other = tuple(chance.randint(1, 9) for _ in PARAMETERS)
    # what is the same in all uses is the class's own, and stays so
    columns = list(zip(*uses, strict=True))
    other = tuple(
        column[0] if len(set(column)) == 1 else value
        for column, value in zip(columns, other, strict=True)
    )
    values: dict[str, Any] = dict(zip(PARAMETERS, other, strict=True))
    values |= {"in_channels": 6, "flag": True}
    asked = parameters(text, names[0]) if "__init__" in class_text(text, names[0]) else []
    given = {name: values[name] if name in values else Unknown(name) for name in asked}
    spec = load(folder, block.network(other, *uses))

    ours, theirs = made(text, names[0], given), modules(spec, "u0")

    if any(name.startswith("num_") for name in asked):  # how often is the class's own
        ours, theirs = ([each for each in found if each != AGAIN] for found in (ours, theirs))
    assert agree(ours, theirs, {}), (block.text, uses, other, text, ours, theirs)


# What the second and all further turns of a loop make.
AGAIN = ("nn.Conv2d", {"#0": 77, "#1": 77, "kernel_size": 1})


def class_text(text: str, name: str) -> str:
    start = text.index(f"class {name}(")
    end = text.find("\n\n\nclass ", start)
    return text[start : end if end > 0 else None]


@pytest.mark.parametrize("seed", range(120))
def test_every_relation_is_that_of_the_spec(seed: int, tmp_path: Path) -> None:
    check(seed, tmp_path)
