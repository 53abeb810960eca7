"""`torch.compile` by blocks: what is used again and again is compiled once.

Torch compiles a function for each combination of what it is called with, and keeps what it made. A
whole network is one function, in which each use of a block is compiled anew; of a block that is
compiled by itself, another use with tensors of the same shapes finds what the first one made.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from archdsl.graph import CheckedGraph, Scope
from archdsl.records import Record


class Compiled(Record):
    """What runs under torch.compile.

    Attributes:
        module: that runs it.
        blocks: how often each block that was compiled by itself is used; none for a whole network.
    """

    module: Callable[..., Any]
    blocks: Counter[str]


def compiled_whole(module: nn.Module) -> Compiled:
    """Let a network run under torch.compile as a whole."""
    return Compiled(torch.compile(module), Counter())


def compiled_by_block(module: nn.Module, checked: CheckedGraph) -> Compiled:
    """Let each use of a block that is used more than once run under torch.compile by itself.

    Of blocks within each other the outermost of those is compiled. A network without any is
    compiled as a whole.
    """
    uses = [*_regions(module, checked)]
    if not uses:
        return compiled_whole(module)
    # one for each class, so that uses of one class find what others made
    functions = {kind: _Function(kind, len(uses)) for kind in {type(part) for _, part in uses}}
    for _, part in uses:
        part.forward = functions[type(part)].of(part)
    return Compiled(module, Counter(block for block, _ in uses))


class _Function:
    """The forward pass of a class, compiled."""

    def __init__(self, kind: type[nn.Module], most: int) -> None:
        self.compiled = torch.compile(kind.forward, dynamic=False)
        self.most = most

    def of(self, part: nn.Module) -> Callable[..., Any]:
        """Return the forward pass of one use."""

        def forward(*inputs: Any) -> Any:
            # each use may have other shapes, for all of which there is to be room
            with torch._dynamo.config.patch(recompile_limit=self.most + 8):
                return self.compiled(part, *inputs)

        return forward


def _regions(module: nn.Module, checked: CheckedGraph) -> Iterator[tuple[str, nn.Module]]:
    """Yield the uses of blocks to compile: the block and the module of each."""
    again = {block for block, times in _times(checked).items() if times > 1}
    modules = dict(module.named_modules())
    for name, scope in checked.scopes.items():
        part = modules.get(name)
        inside = any(around.block in again for around in _around(scope))
        has_forward = part is not None and type(part).forward is not nn.Module.forward
        if scope.block in again and not inside and part is not None and has_forward:
            yield scope.block, part


def _times(checked: CheckedGraph) -> Counter[str]:
    """Return how often each block is used."""
    return Counter(scope.block for scope in checked.scopes.values() if scope.parent and scope.block)


def _around(scope: Scope) -> Iterator[Scope]:
    """Yield the scopes around one, less the network."""
    around = scope.parent
    while around is not None and around.parent is not None:
        yield around
        around = around.parent


def times(runs: Callable[[], Any]) -> tuple[float, float]:
    """Return the seconds of a first run, in which torch compiles, and of the one after it."""
    taken = []
    for _ in range(2):
        begun = time.perf_counter()
        runs()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - begun)
    return taken[0], taken[1]
