"""Writes a deconvnet as Python: the network, and a class that leads back from one of its nodes."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import get_args

from archdsl.backends.deconvnet.errors import CannotProject
from archdsl.backends.deconvnet.way_back import (
    CHOSEN,
    CLASS,
    PROJECTION,
    RULES,
    WAYS,
    Rule,
)
from archdsl.backends.formulas import readable
from archdsl.backends.python_source import PythonSource, generate
from archdsl.backends.python_source.layout import docstring, statement
from archdsl.backends.python_source.names import (
    WORDS,
    argument,
    prose,
    quoted,
    unique,
    variable,
)
from archdsl.diagnostics import ArchError, printable
from archdsl.graph import CheckedGraph, Node
from archdsl.layers.base import Back, TorchFunction, TorchModule, TorchTensor
from archdsl.node_names import find_node
from archdsl.records import Record

TENSOR = "torch.Tensor"
PLACEHOLDER = re.compile(r"\{(\w*)\}")
MEANS: Mapping[Back, str] = {"rectified": "rectified at", "unchanged": "left as it is at"}
# What the methods of the class call their own variables
LOCALS = (
    "activations", "at", "best", "channel", "everything", "found", "kept", "layer", "left_out",
    "maps", "own", "place", "projected", "start", "values",
)  # fmt: skip


class Deconvnet(Record):
    """A generated deconvnet.

    Attributes:
        source: the file; its `network` is the class of the deconvnet.
        node: where it leads back from.
        inputs: those that its module takes, in order.
        ways: how often each kind of layer on the way doesn't go back by its gradient.
        others: the activations on the way that do.
    """

    source: PythonSource
    node: Node
    rule: Rule
    inputs: tuple[str, ...]
    ways: Sequence[tuple[Back, str, int]]
    others: Sequence[str]

    def told(self) -> str:
        """Say what becomes of what comes back, in a sentence."""
        return _told(self.rule, self.ways, self.others)


def deconvnet(
    checked: CheckedGraph,
    label: str,
    rule: str = "deconvnet",
    network: PythonSource | None = None,
) -> Deconvnet:
    """Write what leads from a node back to the inputs, as Python that needs torch alone.

    Args:
        network: its own source, if that was generated already.

    Raises:
        ArchError: no node, or several, are called so, there is no such rule, or nothing leads back
            from the node in evaluation mode.
        CompileError: the network can't be written.
    """
    if rule not in RULES:
        known = ", ".join(RULES[:-1]) + f" and {RULES[-1]}"
        reason = f"there is no rule `{printable(str(rule), 100)}`"
        raise ArchError(CannotProject(reason=reason, hint=f"there are {known}"))
    node = find_node(checked, label)
    needed = _needed(checked, node)
    _require_way_back(checked, node, needed)
    source = network or generate(checked)
    return _Writer(checked, source, node, needed, RULES[RULES.index(rule)]).written()


def _needed(checked: CheckedGraph, node: Node) -> list[str]:
    """Return the nodes that one is computed from, in order, and itself."""
    found = {node.name}
    left = [node.name]
    while left:
        for name in checked.nodes[left.pop()].inputs:
            if name not in found:
                found.add(name)
                left.append(name)
    return [name for name in checked.nodes if name in found]


def _require_way_back(checked: CheckedGraph, node: Node, needed: Sequence[str]) -> None:
    """Refuse nodes from which nothing leads back to numbers of an input."""
    name = f"`{printable(node.name, 100)}`"
    if node.name in checked.training_only:
        reason = f"{name} is there only in training, and activations are those of evaluation mode"
        raise ArchError(CannotProject(reason=reason))
    leads: set[str] = set()
    for other in needed:
        at = checked.nodes[other]
        read = {each for place, each in enumerate(at.inputs) if place not in at.facts.shape_only}
        if at.facts.back != "gradient":
            _require_one_input(checked, at)
        if checked.dtype(other) == "float" and (other in checked.inputs or leads & read):
            leads.add(other)
    if node.name not in leads:
        reason = f"nothing leads back from {name} to the numbers of an input"
        hint = "a gradient passes through floats, and through no integers"
        raise ArchError(CannotProject(reason=reason, hint=hint))


def _require_one_input(checked: CheckedGraph, node: Node) -> None:
    """Refuse a layer, which is a user's own, whose way back can't be what it says."""
    if [checked.nodes[name].shape for name in node.inputs] != [node.shape]:
        back, name = node.facts.back, printable(node.name, 100)
        reason = f'`{node.type}` (`{name}`) says back="{back}", and has not one input of its shape'
        hint = "leave that out in its facts, and it goes back by its gradient"
        raise ArchError(CannotProject(node.span, reason=reason, hint=hint))


class _Writer:
    """Writes the deconvnet of one node.

    Attributes:
        needed: the nodes that it is computed from, in order, and itself.
        floats: the inputs to which it leads back.
        taken: names that no variable may have.
        names: the variable of each node.
    """

    def __init__(
        self,
        checked: CheckedGraph,
        network: PythonSource,
        node: Node,
        needed: Sequence[str],
        rule: Rule,
    ) -> None:
        self.checked = checked
        self.network = network
        self.node = node
        self.needed = needed
        self.rule = rule
        self.inputs = [name for name in needed if name in checked.inputs]
        self.floats = [name for name in self.inputs if checked.dtype(name) == "float"]
        body = ast.parse(self.network.text).body
        self.imports = [each for each in body if isinstance(each, ast.Import | ast.ImportFrom)]
        self.taken = {*WORDS, *LOCALS, "Any", "Sequence"}
        self.taken |= {each.name for each in body if isinstance(each, ast.ClassDef)}
        self.taken |= {
            (alias.asname or alias.name).partition(".")[0]
            for each in self.imports
            for alias in each.names
        }
        self.name = self._own(f"{self.network.network}Deconvnet")
        self.projection, self.chosen = self._own("Projection"), self._own("chosen")
        backs = {checked.nodes[name].facts.back for name in needed}
        self.ways = {back: way for back, way in WAYS[rule].items() if back in backs}
        self.functions = {back: self._own(way.name) for back, way in self.ways.items()}
        self.names = self._variables()

    def _own(self, name: str) -> str:
        """Return a name that nothing else has from now on."""
        found = unique(name, self.taken)
        self.taken.add(found)
        return found

    def _variables(self) -> dict[str, str]:
        """Name the variables: `x` is what the next statement reads, and nothing else."""
        nodes = self.checked.nodes
        names = {name: self._own(argument(name)) for name in self.inputs}
        flow = self._own("x")
        readers = Counter(read for name in self.needed for read in {*nodes[name].inputs})
        counts: Counter[str] = Counter()
        for name, after in zip(self.needed, [*self.needed[1:], ""], strict=True):
            if name in names:
                continue
            if name == self.node.name:
                names[name] = "activations"
            elif readers[name] == 1 and name in nodes[after].inputs:
                names[name] = flow
            else:
                stem = variable(name) or variable(nodes[name].type) or "y"
                counts[stem] += 1  # of many that are called alike none is looked for twice
                names[name] = self._own(f"{stem}_{counts[stem]}" if counts[stem] > 1 else stem)
        return names

    def written(self) -> Deconvnet:
        """Return the whole."""
        parts = [
            PROJECTION.format(projection=self.projection, held=self._held),
            self._class(),
            *(way.source.format(name=self.functions[back]) for back, way in self.ways.items()),
            CHOSEN.format(chosen=self.chosen),
        ]
        text = "\n\n".join(parts).rstrip()
        lines = self.network.text.split("\n")
        head, rest = lines[: self.imports[0].lineno - 1], lines[self.imports[-1].end_lineno or 0 :]
        lines = [*head, *self._imports("Any" if self.ways else ""), "", "", text, *rest]
        source = PythonSource("\n".join(lines), self.name, self.network.moved)
        return Deconvnet(source, self.node, self.rule, tuple(self.inputs), *self._counts())

    def _imports(self, any_: str) -> Iterator[str]:
        """Yield the imports of the network with those of the deconvnet, as linters sort them."""
        lines = {ast.unparse(each) for each in self.imports}
        yield "import math"
        yield from lines & {"from collections import OrderedDict"}
        yield "from collections.abc import Sequence"
        yield f"from typing import {any_}{', ' if any_ else ''}NamedTuple"
        yield ""
        plain = {line for line in lines if line.startswith("import ")} - {"import math"}
        yield from sorted(plain | {"import torch"}, key=_import_order)
        yield "from torch import nn"

    def _counts(self) -> tuple[list[tuple[Back, str, int]], list[str]]:
        """Count the layers that the rule is about, and name the activations that it isn't."""
        found: Counter[tuple[Back, str]] = Counter()
        others: dict[str, None] = {}
        for name in self.needed:
            node = self.checked.nodes[name]
            if node.facts.back in self.ways:
                found[node.facts.back, node.type] += 1
            elif node.layer.family == "activation":
                others[node.type] = None
        order = get_args(Back)
        ways = sorted(found.items(), key=lambda item: order.index(item[0][0]))
        return [(back, kind, count) for (back, kind), count in ways], [*others]

    # --- the way forward -----------------------------------------------------------------------

    def _way_forward(self) -> Iterator[str]:
        """Yield the statements that compute the node, one a node; gradients lead back by them."""
        computed = [name for name in self.needed if name not in self.checked.inputs]
        made = {type(self.checked.nodes[name].facts.torch) for name in computed}
        if TorchModule in made:
            yield from statement("layer = dict(self.named_modules())", 2)
        if TorchTensor in made:
            yield from statement("own = self.state_dict(keep_vars=True)", 2)
        before = ""
        for name in computed:
            node = self.checked.nodes[name]
            top = name.partition(".")[0] if "." in name else ""
            if top != before:
                yield f"        # {prose(top)}" if top else ""
            before = top
            annotated = f": {TENSOR}" if node is self.node else ""
            yield from statement(f"{self.names[name]}{annotated} = {self._expression(node)}", 2)
        yield from statement(f"return {self.names[self.node.name]}", 2)

    def _expression(self, node: Node) -> str:
        """Return what a node is, with the way back that the rule gives it."""
        read = [self.names[name] for name in node.inputs]
        way = self.ways.get(node.facts.back)
        if way is None:
            return self._call(node, read)
        return way.call.format(
            name=self.functions[node.facts.back],
            input=read[0],
            output=self._call(node, read),
            beside=self._call(node, [f"{read[0]}.detach()"]),
        )

    def _call(self, node: Node, read: Sequence[str]) -> str:
        """Return what computes a node from tensors."""
        owner = self.checked.owner(node)
        made = node.facts.torch
        path = quoted(self.network.moved.get(owner.name, owner.name))
        values = {str(place): name for place, name in enumerate(read)}
        values |= {"inputs": ", ".join(read), "module": f"layer[{path}]", "tensor": f"own[{path}]"}
        values["batch"] = f"{self.names[self.inputs[0]]}.shape[0]"
        text = made.expression if isinstance(made, TorchFunction) else made.call
        return PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), text)

    # --- the class -----------------------------------------------------------------------------

    def _class(self) -> str:
        given = [self.names[name] for name in self.inputs]
        passed = ", ".join(given)
        taken = ", ".join(["self", *(f"{name}: {TENSOR}" for name in given)])
        back = [self.names[name] for name in self.floats]
        wanted = back[0] if len(back) == 1 else f"[{', '.join(back)}]"
        gives = "(projected,)" if len(back) == 1 else "projected"
        grad = f"torch.autograd.grad(maps, {wanted}, start, materialize_grads=True)"
        spread = "" if self.node.shape else ".unsqueeze(1)"
        made = f"{self.projection}(projected, values, at[:, 0], at[:, 1:])"
        asked = f"self.projection({passed}, channel, place, everything)"
        # a vector has no maps
        whole = " or (channel is not None and place is None)" if len(self.node.shape) > 1 else ""
        leaves = (f"{name} = {name}.detach().clone().requires_grad_()" for name in back)
        return CLASS.format(
            class_=_lines(f"class {self.name}(nn.Module):", 0),
            about="\n".join(docstring(self._summary(), 1, tuple(self._details()))),
            network=_lines(f"network = {self.network.network}()", 2),
            train=_lines(f'def train(self, mode: bool = True) -> "{self.name}":', 1),
            activations=_lines(f"def activations({taken}) -> {TENSOR}:", 1),
            shape="\n".join(docstring(f"Return {self._shape(self.node)} activations.", 2)),
            way_forward="\n".join(self._way_forward()),
            inputs="\n".join(f"        {name}: {TENSOR}," for name in given),
            leaves="\n".join(_lines(leaf, 3) for leaf in leaves),
            maps=_lines(f"maps = self.activations({passed}){spread}", 3),
            whole=f"everything{whole}",
            way_back=_lines(f"{gives} = {grad}", 3),
            result=_lines(f"return {made}", 2),
            answer=_lines(f"return {asked}.projected", 2),
            projection=self.projection,
            chosen=self.chosen,
            held=self._held,
        )

    @property
    def _held(self) -> str:
        return TENSOR if len(self.floats) == 1 else f"tuple[{TENSOR}, ...]"

    def _summary(self) -> str:
        name, network = prose(self.node.name), prose(self.checked.name)
        return f"Leads from `{name}` of the network `{network}` back to what comes in."

    def _details(self) -> Iterator[str]:
        taken = ", ".join(
            f"{self.names[name]} ({self._shape(self.checked.nodes[name])})" for name in self.inputs
        )
        yield f"Takes {taken}; N is the size of the batch."
        yield f"Rule {self.rule}: {_told(self.rule, *self._counts())}."

    def _shape(self, node: Node) -> str:
        sizes = readable(self.checked)
        return prose(" x ".join(["N", *(str(sizes.size(size)) for size in node.shape)]))


def _told(rule: Rule, ways: Sequence[tuple[Back, str, int]], others: Sequence[str]) -> str:
    beside = f", {', '.join(others)} among them" if others else ""
    parts: dict[Back, list[str]] = {}
    for back, kind, count in ways:
        parts.setdefault(back, []).append(f"{count} {kind}")
    listed = [f"{MEANS[back]} {', '.join(kinds)}" for back, kinds in parts.items()]
    said = "what comes back"
    if "rectified" not in parts and rule != "gradient":
        said = f"nothing on the way rectifies, and {said}"
    if not listed:
        return f"{said} takes the gradient of every layer{beside}"
    return f"{said} is {', '.join(listed)}, and takes the gradient of every other layer{beside}"


def _lines(text: str, depth: int) -> str:
    return "\n".join(statement(text, depth))


def _import_order(line: str) -> list[tuple[int, str]]:
    """Return what linters sort imports by: the name of the module, numbers in it as numbers."""
    parts = re.split(r"(\d+)", line.split()[1].lower())
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
