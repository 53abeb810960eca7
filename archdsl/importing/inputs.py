"""Inputs of a module: their names, and others on which it is run, of other sizes and samples."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import torch
from torch import nn

from archdsl.importing.errors import ImportingError, NoModule
from archdsl.importing.free import other_shapes
from archdsl.importing.naming import valid


def sized(
    module: nn.Module,
    inputs: tuple[torch.Tensor, ...],
    shapes: Sequence[Sequence[int | str]],
) -> list[tuple[torch.Tensor, ...]]:
    """Return the inputs, and others where sizes are free, with numbers that stand in those given.

    Raises:
        ImportingError: the shapes aren't those of the inputs.
    """
    if not shapes:
        return [inputs]
    held = [tuple(one.shape[1:]) for one in inputs]
    fits = len(shapes) == len(held) and all(
        len(shape) == len(sizes)
        and all(isinstance(a, str) or a == b for a, b in zip(shape, sizes, strict=True))
        for shape, sizes in zip(shapes, held, strict=True)
    )
    if not fits:
        reason = f"has inputs of {held}, which are not of the shapes {[*map(list, shapes)]}"
        raise ImportingError(NoModule(what=f"`{type(module).__name__}`", reason=reason))
    return [inputs, *filled(inputs, other_shapes([tuple(shape) for shape in shapes], held))]


def filled(
    inputs: tuple[torch.Tensor, ...], rows: Sequence[Sequence[tuple[int, ...]]]
) -> list[tuple[torch.Tensor, ...]]:
    """Return inputs of other shapes, with numbers that stand in those given."""
    generator = torch.Generator().manual_seed(0)
    found: list[tuple[torch.Tensor, ...]] = []
    for row in rows:
        tensors: list[torch.Tensor] = []
        for one, shape in zip(inputs, row, strict=True):
            size = (one.shape[0], *shape)
            flat = one.flatten()
            if one.is_meta:
                tensors.append(torch.empty(size, dtype=one.dtype, device="meta"))
                continue
            places = torch.randint(0, len(flat), size, generator=generator)
            tensors.append(flat[places.to(flat.device)])
        found.append(tuple(tensors))
    return found


def of_samples(inputs: Sequence[torch.Tensor], count: int) -> tuple[torch.Tensor, ...]:
    """Return inputs of so many samples, which are those given one after the other."""
    batch = next(one.shape[0] for one in inputs if one.dim())
    places = torch.arange(count) % batch
    return tuple(one[places.to(one.device)] if one.dim() else one for one in inputs)


def doubled(inputs: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    """Return twice as many samples, half of them of other numbers.

    A number in the text may be that of the batch, and a constant follow from what came in.
    """
    return tuple(torch.cat([one, other(one)]) if one.dim() else one for one in inputs)


def other(tensor: torch.Tensor) -> torch.Tensor:
    """Return other numbers of the same kind and range.

    Of a mask other samples have each row: turned round, padding would come first, and hide all
    that a causal mask shows of the first places.
    """
    turned = tensor.flip([0])
    mask = not tensor.is_meta and len(torch.unique(tensor)) == 2
    if not mask or torch.equal(turned, tensor):
        turned = tensor.flip([*range(tensor.dim())])
    return turned * 0.75 if tensor.is_floating_point() else turned


def input_names(
    module: nn.Module, inputs: tuple[torch.Tensor, ...], wanted: Sequence[str] = ()
) -> dict[int, str]:
    """Return names for the inputs: those of `forward`, but `image` where only an `x` comes in."""
    try:
        names = [*inspect.signature(module.forward).parameters]
    except (TypeError, ValueError):
        names = []
    labels = {name for name, _ in module.named_children()}
    found: dict[int, str] = {}
    for number, one in enumerate(inputs):
        name = names[number] if number < len(names) else "input"
        if name in ("x", "input", "inputs", "args", "img", "input_"):
            name = "image" if one.dim() == 4 else "x"
        if number < len(wanted) and wanted[number]:
            name = wanted[number]
        name = valid(name)
        while name in found.values() or name in labels:
            name += "_in"
        found[number] = name
    return found
