"""Runs a network once on random inputs of the stated shapes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from archdsl.analysis.agreement import assumptions
from archdsl.backends.torch_module.devices import check_room_to_run, device_of, dtype_of
from archdsl.backends.torch_module.errors import OutsideTable, SizeNotGiven, TorchError
from archdsl.graph import CheckedGraph
from archdsl.layers.sizes import substitute

BATCH = 2  # the least with which batch normalization of one place works in training mode
USUAL_SIZE = 64  # of an axis whose size is free
LEAST_INDICES = 2


@dataclass(frozen=True, slots=True)
class Run:
    """A forward pass that worked.

    Attributes:
        inputs, outputs: shapes by name, with the batch; the main output first.
        sizes: the values taken for free sizes.
    """

    inputs: Mapping[str, tuple[int, ...]]
    outputs: Mapping[str, tuple[int, ...]]
    sizes: Mapping[str, int]
    device: str
    dtype: str
    training: bool


def run_once(
    module: nn.Module,
    checked: CheckedGraph,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    *,
    training: bool = False,
    sizes: Mapping[str, int] | None = None,
    batch: int = BATCH,
) -> Run:
    """Run a network forward on random numbers, and leave its mode as it was.

    Raises:
        TorchError: the device isn't there or has too little memory, or no value of a free size
            is known to do.
    """
    place, kind = device_of(device), dtype_of(dtype)
    values = chosen_sizes(checked, sizes)
    # in training mode, too, nothing is kept for gradients
    check_room_to_run(checked, place, kind, values, batch, training=False)
    inputs = random_inputs(checked, place, kind, values, batch)
    before = module.training
    module.train(training)
    with torch.no_grad(), indices_of(checked):
        result = module(*inputs.values())
    module.train(before)
    return Run(
        {name: tuple(tensor.shape) for name, tensor in inputs.items()},
        {name: tuple(tensor.shape) for name, tensor in named(checked, result, training).items()},
        values,
        str(place),
        str(kind).removeprefix("torch."),
        training,
    )


def lead_back_once(
    module: nn.Module,
    checked: CheckedGraph,
    inputs: Sequence[str],
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
) -> Run:
    """Run a deconvnet once on random numbers, for those inputs that it takes.

    What it gives is called as the inputs that it leads back to.

    Raises:
        TorchError: as `run_once` does.
    """
    place, kind = device_of(device), dtype_of(dtype)
    values = chosen_sizes(checked)
    check_room_to_run(checked, place, kind, values, BATCH, training=True)
    given = random_inputs(checked, place, kind, values)
    with indices_of(checked):
        result = module(*(given[name] for name in inputs))
    tensors = (result,) if isinstance(result, torch.Tensor) else result
    floats = [name for name in inputs if given[name].is_floating_point()]
    return Run(
        {name: tuple(given[name].shape) for name in inputs},
        {name: tuple(one.shape) for name, one in zip(floats, tensors, strict=True)},
        values,
        str(place),
        str(kind).removeprefix("torch."),
        module.training,
    )


@contextmanager
def indices_of(checked: CheckedGraph) -> Iterator[None]:
    """Say what is wrong where an index isn't in its table, which torch finds when it runs."""
    try:
        yield
    except IndexError as error:
        if "out of range" not in str(error):
            raise
        raise TorchError(OutsideTable(checked.span)) from None


def named(checked: CheckedGraph, result: Any, training: bool) -> dict[str, torch.Tensor]:
    """Return what a module gave by the names of its outputs, in order."""
    names = [output.name for output in checked.outputs if training or not output.training_only]
    tensors = (result,) if isinstance(result, torch.Tensor) else tuple(result)
    return dict(zip(names, tensors, strict=True))


def chosen_sizes(checked: CheckedGraph, sizes: Mapping[str, int] | None = None) -> dict[str, int]:
    """Return a value for every free size: those given, and for the others one that does.

    Raises:
        TorchError: no value is known to do.
    """
    known = assumptions(checked)
    chosen = dict(sizes or {})
    for name, requirement in known.requirements.items():
        if name not in chosen and not requirement.possible:
            raise TorchError(SizeNotGiven(checked.span, names=(name,), reason=str(requirement)))
        # of a few values the largest, which most layers take
        chosen.setdefault(name, requirement.value(max(USUAL_SIZE, *requirement.only, 0)))
    return chosen


def random_inputs(
    checked: CheckedGraph,
    device: torch.device,
    dtype: torch.dtype,
    sizes: Mapping[str, int],
    batch: int = BATCH,
) -> dict[str, torch.Tensor]:
    """Return random tensors of the stated shapes, indices where layers look something up."""
    bounds = _bounds(checked)
    inputs: dict[str, torch.Tensor] = {}
    for name, shape in checked.inputs.items():
        full = [batch, *(_known(checked, size, sizes) for size in map(_size(sizes), shape))]
        held = checked.dtype(name)
        if held == "float":
            inputs[name] = torch.randn(full, device=device, dtype=dtype)
        else:
            kind = torch.bool if held == "bool" else torch.int64
            most = bounds.get(name, LEAST_INDICES)
            inputs[name] = torch.randint(0, most, full, device=device).to(kind)
    return inputs


def _size(sizes: Mapping[str, int]) -> Any:
    return lambda size: substitute(size, sizes)


def _known(checked: CheckedGraph, size: object, sizes: Mapping[str, int]) -> int:
    if not isinstance(size, int):
        names = tuple(sorted(getattr(size, "names", ())))
        raise TorchError(SizeNotGiven(checked.span, names=names, reason="it is free"))
    return size


def _bounds(checked: CheckedGraph) -> dict[str, int]:
    """Return below which number each tensor of integers must be that is looked up.

    What goes there by way of arithmetic is 0, since nobody knows what comes of other indices.
    """
    bounds: dict[str, int] = {}
    for name in reversed(list(checked.nodes)):
        node = checked.nodes[name]
        bound = None
        if "float" not in node.layer.takes:
            bound = node.layer.indices() or LEAST_INDICES
        elif name in bounds:
            bound = bounds[name] if node.facts.view else 1
        if bound is not None:
            for read in node.inputs:
                bounds[read] = min(bound, bounds.get(read, bound))
    return bounds
