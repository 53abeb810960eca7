"""Takes of each `If` of an ONNX file the branch of its condition, where that is known before.

The older exporter of torch asks of a size that it doesn't know whether it is 1, as before it takes
an axis away. To answer that, the nodes are computed on tensors without numbers as far as there,
and what the condition says is put into the place of the node.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from archdsl.importing.bounds import Bounded
from archdsl.importing.onnx.at import Array, At, Missing
from archdsl.importing.onnx.checks import require_no_more
from archdsl.importing.onnx.hierarchy import Leaf
from archdsl.importing.onnx.module import Computed, require_operators
from archdsl.importing.onnx.reading import BRANCHING, OnnxFile, OnnxNode, Subgraph, ordered

SIDES = ("else_branch", "then_branch")  # for a condition that isn't met, and for one that is
# What takes some of the numbers that it gets, and doesn't hang on the others.
SELECTING = ("Shape", "Size", "Gather", "Slice", "Split")


def decide(file: OnnxFile, title: str, runs: Sequence[Sequence[torch.Tensor]]) -> None:
    """Put into the place of each `If` the nodes of the branch that its condition takes.

    Args:
        runs: inputs on the meta device. Where there are several, they differ in all sizes that the
            file leaves open.

    Raises:
        ImportingError: a condition follows from numbers that come in, or from sizes that are open;
            or something before it can't be computed.
    """
    computed = Deciding(file, title)
    for inputs in runs:
        computed.decide(inputs)
    computed.require_independent()
    given = [*file.tensors, *(one.name for one in file.inputs)]
    file.nodes = ordered(computed.flat(file.nodes), given, file.outputs, file.bad)


class Deciding(Computed):
    """Computes nodes one after the other, in no scopes, with the branches that conditions take."""

    def __init__(self, file: OnnxFile, title: str) -> None:
        super().__init__(file, nn.Module(), title, [Leaf(one, "", True) for one in file.nodes])
        self.inlined: dict[OnnxNode, list[OnnxNode]] = {}
        self.ways: dict[OnnxNode, str] = {}
        self.fixed: list[dict[str, Array]] = []  # known values by name, of each run
        self.taken = {name for node in file.nodes for name in node.outputs}
        self.taken |= {*file.tensors, *(one.name for one in file.inputs)}
        self.everywhere = self.taken | {
            name for node in file.nodes for graph in node.graphs for name in graph.makes
        }
        self.number = 0

    def decide(self, inputs: Sequence[torch.Tensor]) -> None:
        """Compute all on tensors without numbers."""
        self.building = True
        self.fixed.append({})
        with torch.no_grad(), Bounded(self.spend):
            self.run(inputs)

    def compute(self, home: nn.Module, step: Leaf) -> None:
        """Compute a node; of one that branches, the nodes of the branch that is taken."""
        node = step.node
        if node.op != BRANCHING:
            super().compute(home, step)
            return
        side = SIDES[self.is_met(node)]
        if self.ways.setdefault(node, side) != side:
            raise self.open(node)
        if node not in self.inlined:
            self.inlined[node] = self.inline(node, node.attributes[side])
        self.steps_of(home, [Leaf(one, "", True) for one in self.inlined[node]])

    def is_met(self, node: OnnxNode) -> bool:
        """Tell whether a condition is met."""
        try:
            require_no_more(node, {*SIDES}, self.file.opset)
        except Missing as error:
            raise self.missing(str(error), node.shown) from None
        value = self.values[node.inputs[0]]
        if isinstance(value, torch.Tensor):
            text = f"`{node.op}` whose condition follows from the numbers that come in"
            raise self.missing(text, node.shown)
        if value.dtype != np.dtype("bool") or value.size != 1:
            raise self.file.bad(
                f"contradicts ONNX at {node.shown}: `{node.op}` takes {value.size} numbers of "
                f"{value.dtype} as its condition, and not one boolean"
            )
        return bool(value.reshape(-1)[0])

    def inline(self, node: OnnxNode, graph: Subgraph) -> list[OnnxNode]:
        """Return the nodes of a branch, called as what they stand for gives."""
        require_operators(graph.nodes, self.title)
        own = [*graph.tensors, *(name for one in graph.nodes for name in one.outputs if name)]
        made = {*own} - {*graph.tensors}
        names: dict[str, str] = {}
        more: list[OnnxNode] = []
        for given, inner in zip(node.outputs, graph.outputs, strict=True):
            if given and inner in made and inner not in names:
                names[inner] = given
        for name in own:
            if name not in names:
                names[name] = self.fresh(name)
        for given, inner in zip(node.outputs, graph.outputs, strict=True):
            if given and names.get(inner, inner) != given:
                inputs = (names.get(inner, inner),)
                more.append(OnnxNode("Identity", inputs, (given,), {}, node.name, node.metadata))
        for name, array in graph.tensors.items():
            self.file.tensors[names[name]] = self.values[names[name]] = array
            self.names[id(array)] = names[name]
        return [renamed(one, names) for one in graph.nodes] + more

    def fresh(self, name: str) -> str:
        """Return a name that nothing else in the file has."""
        found = name
        while found in self.taken or (found != name and found in self.everywhere):
            self.number += 1
            found = f"{name}@{self.number}"
        self.taken.add(found)
        return found

    def store(self, at: At, found: Any) -> None:
        """Keep what a node gives."""
        super().store(at, found)
        values = {name: self.values.get(name) for name in at.gives}
        self.fixed[-1].update(
            {name: one for name, one in values.items() if isinstance(one, np.ndarray)}
        )

    def require_independent(self) -> None:
        """Refuse conditions that follow from a size that isn't the same in all runs."""
        first, *others = self.fixed
        makers = {name: one for one in self.flat(self.file.nodes) for name in one.outputs}
        seen: set[str] = set()
        for node in self.ways:
            todo = [node.inputs[0]]
            while todo:
                name = todo.pop()
                if name in seen or name not in first:
                    continue
                seen.add(name)
                if not all(np.array_equal(first[name], one[name]) for one in others):
                    raise self.open(node)
                if makers[name].op not in SELECTING:
                    todo += makers[name].inputs

    def open(self, node: OnnxNode) -> Exception:
        """Return an error about a condition for which a size would have to be known."""
        text = f"`{node.op}` whose condition follows from a size that the file leaves open"
        return self.missing(text, node.shown)

    def flat(self, nodes: Sequence[OnnxNode]) -> list[OnnxNode]:
        """Return nodes with those of branches in the place of what branches."""
        found: list[OnnxNode] = []
        for one in nodes:
            found += self.flat(self.inlined[one]) if one in self.inlined else [one]
        return found


def renamed(node: OnnxNode, names: Mapping[str, str]) -> OnnxNode:
    """Return a node that reads and makes tensors of other names, and so do the graphs in it."""

    def called(given: Sequence[str]) -> tuple[str, ...]:
        return tuple(names.get(name, name) for name in given)

    attributes = {
        key: within(value, names, called) if isinstance(value, Subgraph) else value
        for key, value in node.attributes.items()
    }
    return replace(
        node,
        inputs=called(node.inputs),
        outputs=called(node.outputs),
        outer=called(node.outer),
        attributes=attributes,
    )


def within(
    graph: Subgraph, names: Mapping[str, str], called: Callable[[Sequence[str]], tuple[str, ...]]
) -> Subgraph:
    """Return a graph in a node that reads tensors of other names around it."""
    nodes = [renamed(one, names) for one in graph.nodes]
    return replace(graph, nodes=nodes, outputs=called(graph.outputs), reads=called(graph.reads))
