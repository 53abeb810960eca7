"""Compares what an exported program gives with what torch gives, input by input."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from archdsl.backends.export.trials import Trial
from archdsl.backends.torch_module.devices import check_room_to_run
from archdsl.backends.torch_module.running import named, random_inputs
from archdsl.diagnostics import ArchError
from archdsl.graph import CheckedGraph
from archdsl.layers.sizes import substitute

# Gives the outputs of a program in order, of the inputs in order.
Program = Callable[[Sequence[torch.Tensor]], Sequence[torch.Tensor]]
Shapes = Mapping[str, tuple[int, ...]]

# How far the outputs may be apart, relative to the largest.
TOLERANCES = {torch.float16: 1e-2, torch.bfloat16: 1e-1}
TOLERANCE = 1e-4

# How an exported program begins to say which sizes it doesn't take, the second before torch 2.9.
GUARDS = ("Guard failed", "Expected input at")


class Refused(Exception):
    """A program that can't be written or run, or that gives something else than torch."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Inputs that the spec allows and that weren't compared.

    Attributes:
        why: what was said, in one line.
        torch: whether torch itself doesn't take them; else it is the file that refuses them.
    """

    shapes: Shapes
    why: str
    torch: bool


@dataclass(frozen=True, slots=True)
class Compared:
    """The shapes of the inputs that were tried, and the largest relative difference of any."""

    shapes: tuple[Shapes, ...]
    difference: float
    left_out: tuple[LeftOut, ...] = ()


def inputs_for(module: nn.Module, checked: CheckedGraph, trial: Trial) -> dict[str, torch.Tensor]:
    """Return random inputs of that batch and those sizes, by name."""
    place, kind = next(module.parameters(), torch.empty(0)).device, dtype_of(module)
    check_room_to_run(checked, place, kind, dict(trial.sizes), trial.batch, training=False)
    return random_inputs(checked, place, kind, trial.sizes, trial.batch)


def dtype_of(module: nn.Module) -> torch.dtype:
    """Return the kind of numbers of a module's parameters."""
    return next((parameter.dtype for parameter in module.parameters()), torch.float32)


def compared(
    module: nn.Module,
    checked: CheckedGraph,
    program: Program,
    tried: Sequence[Trial],
    larger: Callable[[], Iterable[Trial]] = tuple,
) -> Compared:
    """Compare a program with a module in evaluation mode.

    Sizes that torch itself doesn't take, or for which there is no room, are left out, but for the
    first. So are the smallest ones if a guard of the program refuses them.

    Args:
        larger: gives what is tried in place of the smallest sizes where torch or the program
            doesn't take them: the first that it takes is compared.

    Raises:
        Refused: the program can't run one of them, or gives something else.
    """
    worst = 0.0
    shapes: list[Shapes] = []
    left_out: list[LeftOut] = []
    waiting = deque(tried)
    while waiting:
        trial = waiting.popleft()
        try:
            inputs = inputs_for(module, checked, trial)
            expected = named(checked, module(*inputs.values()), False)
        except Exception as error:
            if trial is tried[0]:
                raise
            left_out.append(LeftOut(_shapes(checked, trial), said(error), torch=True))
            if trial.least:
                waiting.extend(_first_of_torch(module, checked, larger()))
            continue
        given = {name: tuple(tensor.shape) for name, tensor in inputs.items()}
        try:
            found = program(list(inputs.values()))
        except Exception as error:  # onnxruntime has its own kinds
            if trial.least and _is_guard(error):
                left_out.append(LeftOut(given, said(error), torch=False))
                waiting.extend(_first_taken(module, checked, program, larger()))
                continue
            raise Refused(f"{_for(given)} it fails: {said(error)}") from error
        for (name, ours), theirs in zip(expected.items(), found, strict=True):
            which = f"`{name}`" if len(expected) > 1 else "its output"
            if ours.shape != theirs.shape:
                raise Refused(
                    f"{_for(given)} {which} is {_times(theirs.shape)}, "
                    f"and {_times(ours.shape)} in torch"
                )
            if ours.dtype != theirs.dtype:
                kinds = (str(each.dtype).removeprefix("torch.") for each in (theirs, ours))
                raise Refused(f"{which} holds {next(kinds)}, and {next(kinds)} in torch")
            difference = apart(ours.cpu(), theirs.cpu())
            if not difference <= TOLERANCES.get(dtype_of(module), TOLERANCE):
                raise Refused(f"{_for(given)} {which} differs from torch's by {difference:.1e}")
            worst = max(worst, difference)
        shapes.append(given)
    return Compared(tuple(shapes), worst, tuple(left_out))


def _is_guard(error: Exception) -> bool:
    """Tell whether a program of torch.export says that it doesn't hold for these sizes.

    It is one that takes it for granted that a tensor within has more than one place.
    """
    return said(error).startswith(GUARDS)


def _first_taken(
    module: nn.Module, checked: CheckedGraph, program: Program, tried: Iterable[Trial]
) -> list[Trial]:
    """Return the first input that no guard of a program refuses; guards come before all else."""
    for trial in tried:
        try:
            program(list(inputs_for(module, checked, trial).values()))
        except Exception as error:
            if _is_guard(error):
                continue
        return [trial]
    return []


def _first_of_torch(
    module: nn.Module, checked: CheckedGraph, tried: Iterable[Trial]
) -> list[Trial]:
    """Return the first input that torch takes, as the smallest."""
    for trial in tried:
        try:
            module(*inputs_for(module, checked, trial).values())
        except Exception:  # as above, whatever torch says of what it doesn't take
            continue
        return [replace(trial, least=True)]
    return []


def _shapes(checked: CheckedGraph, trial: Trial) -> Shapes:
    given: dict[str, tuple[int, ...]] = {}
    for name, shape in checked.inputs.items():
        sizes = [substitute(size, trial.sizes) for size in shape]
        given[name] = (trial.batch, *(size for size in sizes if isinstance(size, int)))
    return given


def apart(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Return the largest difference of two tensors, relative to the largest number of the first.

    What is no number, or infinite, must be so in both; else they are infinitely apart.
    """
    if ours.is_complex():
        ours, theirs = torch.view_as_real(ours), torch.view_as_real(theirs)
    ours, theirs = ours.double(), theirs.double()  # of true and false there is no difference
    same = (ours == theirs) | (ours.isnan() & theirs.isnan())
    if bool(same.all()):
        return 0.0
    finite = ours.isfinite()
    if not bool((same | finite).all()) or not bool(theirs[finite].isfinite().all()):
        return float("inf")
    most = max(float(ours[finite].abs().max()), 1e-6)  # of all but zeros no ratio says anything
    return float((ours - theirs)[finite].abs().max()) / most


def said(error: BaseException) -> str:
    """Return the first line of what the innermost of an exception's causes says."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, ArchError):
        return error.diagnostics[0].message()
    first = str(error).strip().partition("\n")[0]
    if first.startswith("Constraints violated"):
        return "torch.export takes a size for fixed that is open"
    return first or type(error).__name__


def _for(shapes: Shapes) -> str:
    if len(shapes) == 1:
        return f"for an input of {_times(*shapes.values())}"
    return f"for {' and '.join(f'`{name}` of {_times(shape)}' for name, shape in shapes.items())}"


def _times(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
