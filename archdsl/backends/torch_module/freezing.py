"""Keeps parts of a module as they are while the rest of it learns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from torch import nn

from archdsl.analysis.cost import in_state
from archdsl.graph import CheckedGraph
from archdsl.patterns import matching


@dataclass(frozen=True, slots=True)
class Trainable:
    """How many parameters learn, and how many were frozen.

    Attributes:
        kept: names of the modules whose statistics training leaves as they are.
    """

    trainable: int
    frozen: int
    kept: tuple[str, ...] = ()


def freeze(
    module: nn.Module,
    checked: CheckedGraph,
    patterns: str | Iterable[str],
    but: str | Iterable[str] = (),
) -> Trainable:
    """Keep the parameters and statistics that match any pattern as they are.

    But for what a pattern of `but` means; with these alone all else is kept.

    A module with statistics, such as batch normalization, computes in training as in evaluation,
    and so leaves them alone, if a pattern means one of them or all of its parameters are frozen
    (unless `but` means its statistics).
    Dropout goes on in training, in frozen parts as well.

    Raises:
        ArchError: a pattern matches no parameter and no buffer.
    """
    # each name of a parameter that is tied means it
    parameters = dict(module.named_parameters(remove_duplicate=False))
    names = [*parameters, *(name for name, _ in module.named_buffers())]
    first = {id(one): name for name, one in module.named_parameters()}
    firsts = {name: first[id(one)] for name, one in parameters.items()}
    meant = matching(names, patterns, but, firsts)
    spared = matching(names, but)
    for name, parameter in parameters.items():
        if name in meant:
            parameter.requires_grad_(False)
    moving = _moving(checked)
    kept = []
    for path, inner in module.named_modules():
        named = (f"{path}.{name}" for name, _ in inner.named_buffers(recurse=False))
        if not (statistics := moving.intersection(named)):
            continue
        frozen = not _learns(inner) and any(True for _ in inner.parameters())
        frozen = frozen and not statistics & spared
        if frozen or statistics & meant:
            # An attribute of this one module, which goes wherever that is copied or pickled to;
            # and no function within this one, which could not be pickled.
            inner.__dict__["train"] = partial(_train, inner, frozen)
            inner.train(inner.training)
            kept.append(path)
    learning = sum(each.numel() for each in module.parameters() if each.requires_grad)
    total = sum(each.numel() for each in module.parameters())
    return Trainable(learning, total - learning, tuple(kept))


def _moving(checked: CheckedGraph) -> frozenset[str]:
    """Return the names of the buffers that training changes."""
    nodes = (node for node in checked.nodes.values() if node.layer.buffers_move)
    return frozenset(name for node in nodes for name in in_state(node, node.facts.buffers))


def _learns(module: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in module.parameters())


def _train(module: nn.Module, frozen: bool, mode: bool = True) -> nn.Module:
    """Stand for the `train` of a module that keeps its statistics.

    `frozen` are those whose parameters were frozen as well: once these learn again, so do the
    statistics.
    """
    type(module).train(module, mode)  # for what it is made of
    if not (frozen and _learns(module)):
        module.training = False
    return module
