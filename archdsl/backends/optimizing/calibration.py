"""Inputs of a user, with which a network is led from floats to integers of 8 bits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import torch

from archdsl.backends.optimizing.errors import BadOptimization
from archdsl.diagnostics import ArchError
from archdsl.graph import CheckedGraph
from archdsl.records import Record

MOST = 512  # samples: the ranges of tensors hardly widen with more

# One sample, as the module takes it: a tensor for each input, with a batch of one.
Sample = Sequence[torch.Tensor]


class Calibration(Record):
    """Samples that say which numbers a network's tensors hold.

    Attributes:
        ranging: those that the ranges of the tensors are taken from.
        comparing: the others, on which outputs are compared: on those that it was fitted to, a
            network looks better than it is.
    """

    ranging: Sequence[Sample]
    comparing: Sequence[Sample]


def calibration(checked: CheckedGraph, given: Any) -> Calibration:
    """Return what to calibrate a network with.

    Args:
        given: batches: each a tensor, or one for each input in order; or one tensor. At most
            `MOST` samples of the first are used.

    Raises:
        ArchError: a batch is none, doesn't fit the inputs, or there are fewer than two samples.
    """
    batches = [given] if isinstance(given, torch.Tensor) else given
    if not isinstance(batches, Iterable):
        raise _bad(f"takes batches or a folder of images, and not {type(given).__name__}")
    samples = [*islice((each for batch in batches for each in _samples(checked, batch)), MOST)]
    if len(samples) < 2:
        found = "one is" if samples else "none are"
        reason = f"needs two samples or more, one to compare with, and {found} there"
        raise _bad(reason)
    return Calibration(samples[::2], samples[1::2])


def _samples(checked: CheckedGraph, batch: Any) -> Iterable[Sample]:
    tensors = [batch] if isinstance(batch, torch.Tensor) else batch
    shapes = checked.inputs
    takes = f"`{checked.name}` takes {', '.join(shapes)}"
    if not isinstance(tensors, list | tuple) or len(tensors) != len(shapes):
        held = (
            f"{len(tensors)} things" if isinstance(tensors, list | tuple) else type(batch).__name__
        )
        raise _bad(f"has a batch of {held}, and {takes}: a tensor for each, without labels")
    for (name, shape), tensor in zip(shapes.items(), tensors, strict=True):
        if not isinstance(tensor, torch.Tensor):
            raise _bad(f"has a {type(tensor).__name__} for `{name}`, where a tensor is expected")
        found = tuple(tensor.shape)
        fits = len(found) == len(shape) + 1 and all(
            wanted == size or not isinstance(wanted, int)
            for wanted, size in zip(shape, found[1:], strict=True)
        )
        if not fits or not found[0] or found[0] != tensors[0].shape[0]:
            wanted = " x ".join(map(str, ("batch", *shape)))
            has = " x ".join(map(str, found))
            raise _bad(f"has a tensor of {has} for `{name}`, where {wanted} is expected")
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise _bad(f"has NaN or infinity for `{name}`")
        kind = "floats" if checked.dtype(name) == "float" else "whole numbers"
        if tensor.is_floating_point() != (kind == "floats"):
            held = str(tensor.dtype).removeprefix("torch.")
            raise _bad(f"has {held} for `{name}`, where {kind} are expected")
    plain = [each.detach().cpu() for each in tensors]
    plain = [each.float() if each.is_floating_point() else each for each in plain]
    yield from zip(*(each.split(1) for each in plain), strict=True)


def _bad(reason: str) -> ArchError:
    return ArchError(BadOptimization(option="--calibrate", reason=reason))
