"""Puts stored weights into a network."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from os import PathLike, fspath
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import nn

from archdsl.backends.escaping import html_text
from archdsl.backends.torch_module.problems import TorchError, WrongWeights
from archdsl.diagnostics import printable
from archdsl.freezing import matches

MOST_NAMED = 8
MOST_NAMES = 200  # in a notebook
WRAPPERS = ("state_dict", "model", "model_state_dict")  # keys under which training code puts it

Stored: TypeAlias = str | PathLike[str] | Mapping[str, torch.Tensor]


@dataclass(frozen=True, slots=True, repr=False)
class WeightReport:
    """What became of stored weights.

    Attributes:
        matched: names that were loaded.
        missing: names of the network that were not stored; they keep their first values.
        surplus: stored names that the network doesn't have.
        differing: names with another shape in the network: what it has, and what was stored.
    """

    matched: tuple[str, ...]
    missing: tuple[str, ...]
    surplus: tuple[str, ...]
    differing: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]

    def __str__(self) -> str:
        parts = [f"{len(self.matched):,} matched"]
        parts += [f"{len(self.missing):,} missing"] if self.missing else []
        parts += [f"{len(self.surplus):,} surplus"] if self.surplus else []
        parts += [f"{len(self.differing):,} of another shape"] if self.differing else []
        return ", ".join(parts)

    def __repr__(self) -> str:
        return f"<WeightReport: {self}>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: how many of each, and the names of what doesn't fit."""
        lists = {
            "missing": self.missing,
            "surplus": self.surplus,
            "of another shape": [
                f"{name}: {_shape(ours)} in the network, {_shape(theirs)} stored"
                for name, (ours, theirs) in self.differing.items()
            ],
        }
        shown = f"<p>{html_text(str(self))}</p>\n"
        for heading, names in lists.items():
            if names:
                more = len(names) - MOST_NAMES
                items = [*names[:MOST_NAMES], *([f"... and {more:,} more"] if more > 0 else [])]
                listed = "".join(f"<li>{html_text(printable(item))}</li>\n" for item in items)
                shown += f"<details><summary>{heading}</summary>\n<ul>\n{listed}</ul></details>\n"
        return shown


@dataclass(frozen=True, slots=True)
class FittingWeights:
    """Stored weights that fit a network.

    Attributes:
        tensors: those to load, by name; what was allowed not to fit isn't among them.
    """

    report: WeightReport
    tensors: Mapping[str, torch.Tensor]

    def copied(self) -> FittingWeights:
        """Return the same weights in memory of their own."""
        tensors = {name: tensor.detach().clone() for name, tensor in self.tensors.items()}
        return FittingWeights(self.report, tensors)

    def put_into(self, module: nn.Module) -> None:
        """Copy the tensors into a module; one on "meta" has no numbers and stays as it is."""
        if any(tensor.is_meta for tensor in module.state_dict().values()):
            return
        module.load_state_dict(dict(self.tensors), strict=False)


def load_weights(
    module: nn.Module, weights: Stored, *, allow_mismatch: Iterable[str] = ()
) -> WeightReport:
    """Put weights into a network, all of them or none.

    `weights` is a file (safetensors, or what `torch.save` wrote, read with `weights_only=True` and
    never otherwise) or a state_dict. Names that match a pattern in `allow_mismatch`, such as
    "fc.*", may be missing, surplus or of another shape; then they are left alone.

    Raises:
        TorchError: the file can't be read, or anything else doesn't fit.
    """
    fitting = fitting_weights(module, weights, allow_mismatch=allow_mismatch)
    fitting.put_into(module)
    return fitting.report


def fitting_weights(
    module: nn.Module, weights: Stored, *, allow_mismatch: Iterable[str] = ()
) -> FittingWeights:
    """Return those of `weights` that fit a network, as `load_weights` does; the module stays.

    Raises:
        TorchError: the file can't be read, or anything else doesn't fit.
    """
    if isinstance(weights, Mapping):
        path, stored = "the state_dict", _state_dict(weights, "the state_dict")
    else:
        path, stored = printable(fspath(weights)), read_weights(weights)
    own = module.state_dict()
    differing = {
        name: (tuple(own[name].shape), tuple(stored[name].shape))
        for name in own
        if name in stored and own[name].shape != stored[name].shape
    }
    report = WeightReport(
        matched=tuple(name for name in own if name in stored and name not in differing),
        missing=tuple(name for name in own if name not in stored),
        surplus=tuple(name for name in stored if name not in own),
        differing=differing,
    )
    _refuse(path, report, tuple(allow_mismatch))
    return FittingWeights(report, {name: stored[name] for name in report.matched})


def read_weights(path: str | PathLike[str]) -> dict[str, torch.Tensor]:
    """Read a state_dict from a file without running anything that it holds.

    Raises:
        TorchError: it is missing, damaged, or holds something else.
    """
    file = Path(path)
    if file.suffix == ".safetensors":
        return _read_safetensors(file)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found: Any = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        reason = "holds more than tensors, and only tensors are read from such a file"
        raise _wrong(file, reason, "save the state_dict alone, or as safetensors") from None
    except FileNotFoundError:
        raise _wrong(file, "does not exist") from None
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise _wrong(file, f"can't be read: {printable(str(error), 120)}") from None
    return _state_dict(found, file)


def _state_dict(found: Any, path: object) -> dict[str, torch.Tensor]:
    """Return the tensors by name; training code puts them one level down."""
    for key in WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not all(map(torch.is_tensor, found.values())):
        raise _wrong(path, "holds no state_dict")
    if any(tensor.is_meta for tensor in found.values()):
        raise _wrong(path, "is of a module on the meta device, which has no numbers")
    return {str(name): tensor for name, tensor in found.items()}


def _read_safetensors(file: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(file))
    except FileNotFoundError:
        raise _wrong(file, "does not exist") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise _wrong(file, f"can't be read: {printable(str(error), 120)}") from None


def _wrong(path: object, reason: str, hint: str = "") -> TorchError:
    problem = WrongWeights(span=None, path=printable(str(path)), reason=reason, hint=hint)
    return TorchError([problem])


def _refuse(path: str, report: WeightReport, allowed: Sequence[str]) -> None:
    """Raise TorchError if anything doesn't fit that isn't allowed not to."""

    def wrong(names: Iterable[str]) -> list[str]:
        return [name for name in names if not matches(name, allowed)]

    missing, surplus = wrong(report.missing), wrong(report.surplus)
    differing = wrong(report.differing)
    if not (missing or surplus or differing):
        return
    notes: list[str] = []
    for what, names in (("missing", missing), ("surplus", surplus)):
        if names:
            notes.append(f"{what}: {_listed(names)}")
    for name in differing[:MOST_NAMED]:
        has, stored = report.differing[name]
        notes.append(f"{name}: {_shape(has)} in the network, {_shape(stored)} stored")
    hint = ""
    if near := [get_close_matches(name, surplus, 1) for name in missing[:1]]:
        hint = f"is `{near[0][0]}` what the network calls `{missing[0]}`?" if near[0] else ""
    first = next(iter((*differing, *missing, *surplus))).partition(".")[0]
    problem = WrongWeights(
        span=None,
        path=path,
        reason=f"doesn't fit the network: {report}",
        more=tuple(notes),
        hint=hint or f"`--allow-mismatch '{first}.*'` leaves those out",
    )
    raise TorchError([problem])


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(printable(name, 100) for name in names[:MOST_NAMED]) + more


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "one number"
