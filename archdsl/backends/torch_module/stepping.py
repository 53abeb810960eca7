"""Computes a network node by node, with the submodules of the compiled one.

Merges and other wiring are no modules, so hooks on a module don't see them. Here every node has
its tensor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from types import CodeType
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from archdsl.backends.python_source.template import substitute as put_in
from archdsl.graph import CheckedGraph, Node
from archdsl.layers.base import TorchFunction, TorchModule, TorchTensor

ENVIRONMENT = {"torch": torch, "nn": nn, "F": functional, "math": math}


class Steps:
    """Computes nodes of a network one by one.

    `moved` tells where modules are that are not where their node's name says, as `generate` gives
    it.
    """

    def __init__(self, module: nn.Module, checked: CheckedGraph, moved: Mapping[str, str]) -> None:
        self.module = module
        self.checked = checked
        self.moved = moved

    def owned(self, node: Node) -> Any:
        """Return the submodule or tensor that a node applies, or None where it has none."""
        if isinstance(node.facts.torch, TorchFunction):
            return None
        found: Any = self.module
        owner = self.checked.owner(node).name
        for part in self.moved.get(owner, owner).split("."):
            found = getattr(found, part)
        return found

    def step(
        self, node: Node, inputs: Sequence[torch.Tensor], batch: int
    ) -> Callable[[], torch.Tensor]:
        """Return what computes a node from the tensors that it reads, for so many samples."""
        code = _code(_call(node), len(inputs), batch)
        names = {f"x{place}": tensor for place, tensor in enumerate(inputs)}
        given = ENVIRONMENT | names | {"own": self.owned(node)}

        def run() -> torch.Tensor:
            output: torch.Tensor = eval(code, given)
            return output

        return run

    def run(
        self, given: Mapping[str, torch.Tensor], wanted: Collection[str]
    ) -> dict[str, torch.Tensor]:
        """Return the tensors of the nodes that are wanted, by name.

        Only what they need is computed, from the tensors that are given by the names of their
        nodes: those of the inputs, or of any others. Each tensor is freed after its last use. A
        module that works in place writes over what it reads; see `out_of_place`.
        """
        batch = len(next(iter(given.values())))
        needed = self._needed(given, wanted)
        last = {read: name for name in needed for read in self.checked.nodes[name].inputs}
        freed: dict[str, list[str]] = {}
        for read, reader in last.items():
            if read not in wanted:
                freed.setdefault(reader, []).append(read)
        tensors = dict(given)
        for name in needed:
            node = self.checked.nodes[name]
            tensors[name] = self.step(node, [tensors[read] for read in node.inputs], batch)()
            for read in freed.get(name, ()):
                del tensors[read]
        return {name: tensors[name] for name in wanted}

    def _needed(self, given: Collection[str], wanted: Collection[str]) -> list[str]:
        """Return the nodes to compute, in order."""
        nodes = self.checked.nodes
        needed: set[str] = set()
        waiting = [name for name in wanted if name not in given]
        while waiting:
            name = waiting.pop()
            if name not in needed:
                needed.add(name)
                waiting += [read for read in nodes[name].inputs if read not in given]
        numbers = self.checked.numbers
        return sorted(needed, key=numbers.__getitem__)


def out_of_place(module: nn.Module) -> None:
    """Have no module of a network write its result over its input, so that both are seen."""
    for part in module.modules():
        if getattr(part, "inplace", False) is True:
            vars(part)["inplace"] = False


@lru_cache(4096)
def _code(call: str, inputs: int, batch: int) -> CodeType:
    """Compile what a layer says of its call: its own text, in which a spec put numbers alone."""
    names = [f"x{place}" for place in range(inputs)]
    values = {str(place): name for place, name in enumerate(names)}
    values |= {"inputs": ", ".join(names), "batch": str(batch)}
    values |= {"module": "own", "tensor": "own"}
    return compile(put_in(call, values), "<node>", "eval", dont_inherit=True)


def _call(node: Node) -> str:
    torch_facts = node.facts.torch
    if isinstance(torch_facts, TorchModule | TorchTensor):
        return torch_facts.call
    return torch_facts.expression
