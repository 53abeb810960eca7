"""Compiles what was written and compares it with the module: names, shapes and outputs."""

from __future__ import annotations

import copy
import os
import tempfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from archdsl.diagnostics import ArchError
from archdsl.importing.free import STEP
from archdsl.importing.inputs import doubled
from archdsl.importing.randomness import seed
from archdsl.importing.recorder import no_hook
from archdsl.network import Network, load
from archdsl.output import write_whole
from archdsl.records import Record

# As much as another order of sums changes, relative to the largest number of an output.
TOLERANCE = 1e-5

MOST_ROUNDED = 1e-3  # that rounding may come to
MOST_OF_DRAWN = 0.1  # and with drawn weights, which make more of it, one layer after the other
EXACT = 1e-9  # as much as it does with 64 bits

# What draws random numbers has one of these in its name; recurrent layers drop between theirs.
DRAWING = (
    "dropout", "bernoulli", "rand", "rrelu", "normal_", "uniform_", "attention", "multinomial",
    "poisson", "exponential_", "lstm", "gru", "rnn",
)  # fmt: skip


MODES = ("evaluation", "training")
EACH = "each"  # how dropouts drew where batches are joined
NO_NUMBERS = "the module holds no numbers (the meta device)"


class Proof(Record):
    """What the comparison of a module with its spec gave.

    Attributes:
        missing, surplus, differing: names of the state_dict that the spec lacks, that the module
            lacks, and whose shapes differ. That names are missing matters where outputs differ:
            else no output needs them, or they are other names of what the spec has.
        ordered: whether the names stand in the same order.
        distance: for evaluation and training mode the largest difference of an output, relative
            to the largest number in it; None where outputs were not compared.
        reason: why outputs were not compared, or what is wrong with the text.
        besides: what else was compared, in words.
    """

    missing: tuple[str, ...] = ()
    surplus: tuple[str, ...] = ()
    differing: tuple[str, ...] = ()
    ordered: bool = True
    distance: Mapping[str, float] = {}
    reason: str = ""
    besides: str = ""

    @property
    def same(self) -> bool:
        """Whether the spec is the module."""
        return not self.sentence().startswith("not the same")

    def sentence(self) -> str:
        """Say in one line what came out."""
        lists: tuple[tuple[str, tuple[str, ...]], ...] = (
            ("the module lacks", self.surplus),
            ("of other shapes are", self.differing),
        )
        for what, names in lists:
            if names:
                return f"not the same: {what} {listed(names)}"
        if self.missing and not self.distance:
            return f"not the same: the spec lacks {listed(self.missing)}"
        if self.reason:
            return f"not compared: {self.reason}" + self._besides
        for mode, distance in self.distance.items():
            if not distance <= TOLERANCE:
                return f"not the same: outputs in {mode} mode differ by {distance:.1e}"
        said = "the same, name by name" + ("" if self.ordered else ", in another order")
        if self.missing:
            said += f", but for {listed(self.missing)}, which no output needs by that name"
        if not self.distance:
            return f"{said}; outputs not compared{self._besides}"
        most = max(self.distance.values())
        return f"{said}; outputs {'equal' if most == 0 else f'within {most:.1e}'}{self._besides}"

    @property
    def _besides(self) -> str:
        return f"; {self.besides}" if self.besides else ""


def listed(names: Sequence[str]) -> str:
    """List the first of some names, and say how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def load_text(text: str, name: str) -> Network:
    """Load a network from its text.

    Raises:
        ArchError: the text is wrong.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, f"{name}.arch")
        write_whole(path, text.encode())
        return load(path)


def prove(network: Network, module: nn.Module, inputs: Sequence[torch.Tensor]) -> Proof:
    """Compare a network with the module that it was written from."""
    ours = network.compile(device="meta").state_dict()
    theirs = module.state_dict()
    missing = tuple(name for name in theirs if name not in ours)
    surplus = tuple(name for name in ours if name not in theirs)
    differing = tuple(n for n in theirs if n in ours and theirs[n].shape != ours[n].shape)
    ordered = [*ours] == [name for name in theirs if name in ours]
    if surplus or differing:
        return Proof(missing, surplus, differing, ordered)
    if any(tensor.is_meta for tensor in theirs.values()):
        return Proof(missing, ordered=ordered, reason=NO_NUMBERS)
    made = network.compile(weights={name: theirs[name] for name in ours})
    was, begun = module.training, kept(module)
    distance: dict[str, float] = {}
    turned: set[str] = set()
    try:
        for mode in MODES:
            distance[mode] = _distance(module, made, inputs, mode, turned=turned)
        restore(module, drawn_anew(module))
        drawn = {
            "evaluation": _of_drawn(module, made, doubled(inputs), "evaluation"),
            "training": _of_drawn(module, made, inputs, "training", turned),
        }
        if drawn["evaluation"] is None:
            drawn["evaluation"] = _of_drawn(module, made, inputs, "evaluation")
            restore(module, begun)
            with suppress(DoesNotRun):  # else it is for so many samples alone
                apart = _distance(module, made, doubled(inputs), "evaluation")
                distance["evaluation"] = max(distance["evaluation"], apart)
        for mode in MODES:
            distance[mode] = max(distance[mode], drawn[mode] or 0.0)
    finally:
        restore(module, begun)
        module.train(was)
    besides = "; ".join(
        text
        for key, text in (
            ("training", "in training mode outputs come in another order"),
            (EACH, "in training mode dropouts of joined batches draw the same for each sample"),
        )
        if key in turned
    )
    return Proof(missing, ordered=ordered, distance=distance, besides=besides)


def joint(proofs: Sequence[Proof]) -> Proof:
    """Return what the comparisons at all sizes come to."""
    first = next((one for one in proofs if not one.same), proofs[0])
    if not first.same or not first.distance:
        return first
    most = {mode: max(one.distance[mode] for one in proofs) for mode in first.distance}
    return first._replace(distance=most)


def _of_drawn(
    module: nn.Module,
    made: nn.Module,
    inputs: Sequence[torch.Tensor],
    mode: str,
    turned: set[str] | None = None,
) -> float | None:
    """Compare with weights that were drawn; None if the module gives no numbers with them."""
    try:
        return _distance(module, made, inputs, mode, numbers=True, turned=turned)
    except DoesNotRun:
        return None


def _distance(
    module: nn.Module,
    made: nn.Module,
    inputs: Sequence[torch.Tensor],
    mode: str,
    numbers: bool = False,
    turned: set[str] | None = None,
    each: bool = False,
) -> float:
    """Return how far outputs are apart, with the weights that the module holds now.

    Where they come in another order, the mode is added to `turned`. Where a module drops numbers of
    batches that it joined, and the text those of each, `EACH` is: outputs are compared with
    dropouts that draw the same for `each` sample then.

    Raises:
        DoesNotRun: the module fails on these inputs, or gives no number where it is to.
    """
    before = kept(module)
    ours = {name: before[name] for name in made.state_dict()}
    restore(made, ours)
    results: list[Any] = []
    draws = Reseeded(each), Reseeded(each)
    try:
        for one, drawing in zip((module, made), draws, strict=True):
            put_into(one, mode == "training")
            with torch.no_grad(), drawing:
                results.append(one(*[tensor.clone() for tensor in inputs]))
    except Exception as error:
        if not results:
            raise DoesNotRun from error
        return float("inf")
    finally:
        restore(module, before)
        restore(made, ours)
    if numbers and not all(bool(one.isfinite().any()) for one in tensors_of(results[0])):
        raise DoesNotRun
    theirs, made_of = results
    apart = _apart(theirs, made_of, free=mode == "training")
    named = hasattr(theirs, "_fields") or hasattr(theirs, "keys")
    # other numbers fall on what is joined; one mask for all samples is no mask of each, so that
    # a dropout of fewer samples than came in is never compared so
    samples = min(one.shape[0] for one in inputs if one.dim())
    theirs_drop, ours_drop = (drawing.dropped for drawing in draws)
    joins = min(theirs_drop, default=0) >= samples and sum(theirs_drop) == sum(ours_drop)
    if mode == "training" and apart > TOLERANCE and joins and theirs_drop != ours_drop and not each:
        again = _distance(module, made, inputs, mode, numbers, turned, each=True)
        if again <= TOLERANCE and turned is not None:
            turned.add(EACH)
        return again if again <= TOLERANCE else apart
    if turned is not None and not named and apart < TOLERANCE < _apart(theirs, made_of):
        turned.add(mode)
    if TOLERANCE < apart < (MOST_OF_DRAWN if numbers else MOST_ROUNDED):
        return _unrounded(module, made, inputs, mode, apart)
    return apart


class DoesNotRun(Exception):
    """The module doesn't run with these weights, or on so many samples."""


def drawn_anew(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return other parameters, none of them zero, and numbers for buffers that hold none but zero.

    What begins with zero, or nearly so, hides all that it multiplies (LayerScale, the last
    normalization of a residual branch). Numbers keep about their size where that is enough, and
    those that are all positive stay so. Other buffers stay: they may be tables or places.
    """
    learned = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    found: dict[str, torch.Tensor] = {}
    for name, one in module.state_dict().items():
        if not isinstance(one, torch.Tensor) or not one.is_floating_point() or not one.numel():
            continue
        if name not in learned and bool(one.any()):
            continue
        generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
        least = (one.shape[0] / one.numel()) ** 0.5 if one.dim() > 1 else 0.5
        scale = max(float(one.abs().mean()), least)
        numbers = (torch.rand(one.shape, generator=generator) + 0.5) * scale
        if not (bool((one >= 0).all()) and bool(one.any())):
            numbers *= 1 - 2 * torch.randint(0, 2, one.shape, generator=generator)
        found[name] = numbers.to(one.device, one.dtype)
    return found


def _unrounded(
    module: nn.Module, made: nn.Module, inputs: Sequence[torch.Tensor], mode: str, apart: float
) -> float:
    """Compare once more with 64 bits, where sums in another order can't make such a difference.

    What statistics of few numbers divide by may be so small that rounding shows.
    """
    results = []
    try:
        for one in (module, made):
            copied = copy.deepcopy(one).double().train(mode == "training")
            given = [each.double() if each.is_floating_point() else each for each in inputs]
            with torch.no_grad(), Reseeded():
                results.append(copied(*given))
    except Exception:
        return apart  # it can't be copied, or is for numbers of 32 bits alone
    exact = _apart(results[0], results[1], free=mode == "training")
    return TOLERANCE if exact < EXACT else apart


class Reseeded(TorchFunctionMode):
    """Lets what is drawn depend on the layer alone, and not on which layer runs before which.

    Zeros and ones are drawn as `floor(chance + rand())` has them, which is another spelling.

    Attributes:
        each: whether a dropout draws the same for each sample, wherever that stands in a batch.
        dropped: how many samples each dropout was given.
    """

    def __init__(self, each: bool = False) -> None:
        super().__init__()
        self.each = each
        self.dropped: list[int] = []

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name = getattr(function, "__name__", "")
        if name == "register_hook":
            return no_hook()
        if not any(part in name for part in DRAWING):
            return function(*args, **(kwargs or {}))
        if "dropout" in name and args and args[0].dim():
            self.dropped.append(args[0].shape[0])
            if self.each:
                return torch.cat([self._alone(function, one, args, kwargs) for one in args[0]])
        seed()
        result = function(*args, **(kwargs or {}))
        if name in ("rand", "rand_like"):
            return 1 - result
        given = [*args, *(kwargs or {}).values()]
        if name == "bernoulli_" and isinstance(given[1], float):
            seed()
            return result.copy_(torch.rand(result.shape) < given[1])
        return result

    @staticmethod
    def _alone(function: Any, sample: torch.Tensor, args: tuple[Any, ...], kwargs: Any) -> Any:
        """Drop numbers of one sample."""
        seed()
        return function(sample.unsqueeze(0), *args[1:], **(kwargs or {}))


def put_into(module: nn.Module, training: bool) -> None:
    """Put a module into training or evaluation mode, from the other one.

    Where it keeps what it computes of its weights, it forgets that when its mode changes.
    """
    module.train(not training)
    module.train(training)


def held_by(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return the parameters and buffers of a module, also those that aren't stored."""
    held = {**dict(module.named_buffers()), **module.state_dict()}
    return {name: one for name, one in held.items() if isinstance(one, torch.Tensor)}


def kept(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return copies of what a module holds."""
    return {name: one.clone() for name, one in held_by(module).items()}


def restore(module: nn.Module, numbers: Mapping[str, torch.Tensor]) -> None:
    """Put numbers into what a module holds by these names.

    A buffer that it made anew in another shape, as a table for the size of an image, gives way.
    """
    held = held_by(module)
    with torch.no_grad():
        for name, tensor in numbers.items():
            if name not in held:
                continue
            if held[name].shape == tensor.shape:
                held[name].copy_(tensor)
                continue
            home, _, own = name.rpartition(".")
            setattr(module.get_submodule(home), own, tensor.clone())


def _apart(theirs: Any, ours: Any, free: bool = False) -> float:
    """Return how far outputs are apart.

    They come in the same order, or have the same names. Those of training mode are `free` to come
    in another: the ones that evaluation mode has are first in a spec, and all have names there.
    """
    left, right = [*tensors_of(theirs)], [*tensors_of(ours)]
    if len(left) != len(right):
        return float("inf")
    names, fields = (
        [*theirs.keys()] if hasattr(theirs, "keys") else [],
        getattr(ours, "_fields", ()),
    )
    if len(left) == len(fields) and sorted(names) == sorted(fields):
        return max(distance_of(theirs[name], getattr(ours, name)) for name in names)
    if not names and not free:
        return max(map(distance_of, left, right), default=0.0)
    worst = 0.0
    for one in left:
        apart = [distance_of(one, other) for other in right]
        worst = max(worst, min(apart))
        del right[apart.index(min(apart))]  # none stands for two
    return worst


def distance_of(one: torch.Tensor, other: torch.Tensor) -> float:
    """Return the largest difference of two tensors, relative to the largest number of the first."""
    if one.shape != other.shape:
        return float("inf")
    if torch.equal(one, other) and one.numel():
        return 0.0
    left, right = one.double(), other.double()
    known = left.isfinite()
    if not torch.equal(known, right.isfinite()) or not bool(known.any()):
        return float("inf")  # of outputs without a number nothing is known
    scale = float(left[known].abs().max()) or 1.0
    return float((left[known] - right[known]).abs().max()) / scale


def tensors_of(held: Any) -> list[torch.Tensor]:
    """Return the tensors in what a module gives."""
    if isinstance(held, torch.Tensor):
        return [held]
    if hasattr(held, "values") and callable(held.values):
        held = list(held.values())
    if isinstance(held, list | tuple):
        return [one for each in held for one in tensors_of(each)]
    return []


def elsewhere(
    module: nn.Module,
    loaded: Network,
    compared: Callable[[Network, Sequence[tuple[torch.Tensor, ...]]], Proof],
    runs: Sequence[tuple[torch.Tensor, ...]],
) -> tuple[str, str]:
    """Compare a network whose sizes are free where they leave other rests.

    Returns:
        why its sizes can't be free, and what wasn't compared; or "".
    """
    failing: list[str] = []
    was = module.training
    for run in runs:
        at = " and ".join("x".join(map(str, one.shape[1:])) for one in run)
        try:
            with torch.no_grad():
                module.eval()(*[one.clone() for one in run])
        except Exception:  # whatever the module says of sizes that it doesn't take
            failing.append(at)
            continue
        finally:
            module.train(was)
        try:
            agrees = compared(loaded, [run]).same
        except (ArchError, RuntimeError):
            agrees = False  # the text takes no such sizes
        if not agrees:
            return f"at {at} the module gives something else than formulas of its sizes do", ""
    if not failing:
        return "", ""
    return (
        "",
        f"compared at sizes that differ by {STEP}: the module fails at {' and '.join(failing)}",
    )
