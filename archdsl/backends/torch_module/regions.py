"""`torch.compile` by blocks: what is used again and again is compiled once.

Torch compiles a function for each combination of what it is called with, and keeps what it made. A
whole network is one function, in which each use of a block is compiled anew; of a block that is
compiled by itself, another use with tensors of the same shapes finds what the first one made.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from archdsl.graph import CheckedGraph, Scope
from archdsl.records import Record


class Compiled(Record):
    """What runs under torch.compile.

    Attributes:
        runs: the network.
        blocks: how often each block that was compiled by itself is used; none for a whole network.
    """

    runs: Any  # as torch.compile declares what it returns
    blocks: Counter[str]


@contextmanager
def compiled(module: nn.Module, checked: CheckedGraph, by_block: bool) -> Iterator[Compiled]:
    """Let a network run under torch.compile, which ends where the context does.

    Args:
        by_block: whether each use of a block that is used more than once is compiled by itself; of
            blocks within each other the outermost of those. Without any it is the whole network.
    """
    uses = [*_regions(module, checked)] if by_block else []
    if not uses:
        yield Compiled(torch.compile(module), Counter())
        return
    # one for each class, so that uses of one class find what others made
    functions = {type(part): torch.compile(type(part).forward, dynamic=False) for _, part in uses}
    for _, part in uses:
        part.forward = _forward(functions[type(part)], part, len(uses))
    try:
        yield Compiled(module, Counter(block for block, _ in uses))
    finally:
        for _, part in uses:
            del part.forward


def _forward(compiled: Callable[..., Any], part: nn.Module, uses: int) -> Callable[..., Any]:
    """Return the forward pass of one use, by the compiled one of its class."""

    def forward(*inputs: Any) -> Any:
        # each use may have shapes of its own, for all of which there is to be room, in both modes
        with torch._dynamo.config.patch(recompile_limit=2 * uses + 8):
            return compiled(part, *inputs)

    return forward


def _regions(module: nn.Module, checked: CheckedGraph) -> Iterator[tuple[str, nn.Module]]:
    """Yield the uses of blocks to compile: the block and the module of each."""
    scopes = checked.scopes.values()
    times = Counter(scope.block for scope in scopes if scope.parent and scope.block)
    again = {block for block, used in times.items() if used > 1}
    modules = dict(module.named_modules())
    for scope in scopes:
        part = modules.get(scope.name)
        inside = any(around.block in again for around in _around(scope))
        # a list of modules, which what is around it calls one by one, has none
        has_forward = part is not None and type(part).forward is not nn.Module.forward
        if scope.block in again and not inside and part is not None and has_forward:
            yield scope.block, part


def _around(scope: Scope) -> Iterator[Scope]:
    """Yield the scopes around one, less the network."""
    around = scope.parent
    while around is not None and around.parent is not None:
        yield around
        around = around.parent


def times(run: Callable[[], Any]) -> tuple[float, float]:
    """Return the seconds of a first run, in which torch compiles, and of the one after it."""
    taken = []
    for _ in range(2):
        begun = time.perf_counter()
        run()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - begun)
    return taken[0], taken[1]
