"""Puts stored weights into a network."""

from __future__ import annotations

import copy
import os
import shlex
import warnings
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Any, TypeAlias

import torch
from torch import nn

from archdsl.backends.escaping import html_text
from archdsl.backends.torch_module.errors import wrong_weights
from archdsl.backends.torch_module.proposals import fewest_patterns, fitting_renames
from archdsl.backends.torch_module.state_dicts import PLAIN, find_state_dict, unusable
from archdsl.backends.torch_module.weight_files import read_file
from archdsl.diagnostics import printable
from archdsl.patterns import listed, matches, renamed, written_rename

MOST_NAMED = 8
MOST_NAMES = 200  # in a notebook
LONGEST_HELP = 400  # more would be cut, and be no command any more

Stored: TypeAlias = str | PathLike[str] | Mapping[str, Any]
Renames: TypeAlias = Mapping[str, str]
Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True, repr=False)
class WeightReport:
    """What became of stored weights.

    Attributes:
        matched: names that were loaded.
        missing: names of the network that were not stored; they keep their first values.
        surplus: stored names that the network doesn't have.
        differing: names with another shape in the network: what it has, and what was stored.
        unusable: names of tensors that the network can't take, and why: complex, sparse, ...
        filled: names that were not stored and that torch, too, does without when it loads
            strictly: `num_batches_tracked` of files from before torch 0.4.1.
        key: the key under which the state_dict was found, or "".
    """

    matched: tuple[str, ...]
    missing: tuple[str, ...]
    surplus: tuple[str, ...]
    differing: Mapping[str, tuple[Shape, Shape]]
    unusable: Mapping[str, str] = field(default_factory=dict)
    filled: tuple[str, ...] = ()
    key: str = ""

    def __str__(self) -> str:
        parts = [f"{len(self.matched):,} matched"]
        for names, what in (
            (self.missing, "missing"),
            (self.surplus, "surplus"),
            (self.differing, "of another shape"),
            (self.unusable, "of another kind"),
            (self.filled, "not stored and not needed"),
        ):
            parts += [f"{len(names):,} {what}"] if names else []
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
            "of another kind": [f"{name} {reason}" for name, reason in self.unusable.items()],
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
        # what may be missing is, and all else was compared before
        module.load_state_dict(dict(self.tensors), strict=False)


def load_weights(
    module: nn.Module,
    weights: Stored,
    *,
    allow_mismatch: str | Iterable[str] = (),
    rename: Renames | None = None,
) -> WeightReport:
    """Put weights into a network, all of them or none.

    `weights` is a file (safetensors, or what `torch.save` wrote, read with `weights_only=True` and
    never otherwise) or a state_dict. A file that holds several is given with the key of one:
    "best.pt:model_ema". Names that match a pattern in `allow_mismatch`, such as "fc.*", may be
    missing, surplus, of another shape or of another kind; then they are left alone.

    Args:
        rename: new names for stored ones, `{"module.*": "*"}`, done in this order.

    Raises:
        ArchError: the file can't be read, a rename can't be done, or anything else doesn't fit.
    """
    fitting = fitting_weights(module, weights, allow_mismatch=allow_mismatch, rename=rename)
    fitting.put_into(module)
    return fitting.report


def fitting_weights(
    module: nn.Module,
    weights: Stored,
    *,
    allow_mismatch: str | Iterable[str] = (),
    rename: Renames | None = None,
) -> FittingWeights:
    """Return those of `weights` that fit a network, as `load_weights` does; the module stays.

    Those of a file may be mapped from it: they change as it does, unless they are copied.

    Raises:
        ArchError: the file can't be read, a rename can't be done, or anything else doesn't fit.
    """
    # a layer of a user's own may keep something else there (`get_extra_state`)
    own = {name: held for name, held in module.state_dict().items() if torch.is_tensor(held)}
    renames, key = rename or {}, ""
    found: Any = weights
    if is_file := isinstance(weights, str | PathLike):
        path, key = _path_and_key(os.fsdecode(weights))
        found = read_file(path, len(own))
    else:
        path = "the state_dict" if isinstance(weights, Mapping) else "what was given"
    key, state = find_state_dict(found, path, key, own, renames, is_file=is_file)
    stored = {new: state[old] for old, new in renamed(list(state), renames).items()}
    reasons = {
        name: reason
        for name in own
        if name in stored and (reason := unusable(stored[name], own[name]))
    }
    fits = {
        name: _as_shaped(stored[name], own[name])
        for name in own
        if name in stored and name not in reasons
    }
    shapes = {name: (tuple(own[name].shape), tuple(fits[name].shape)) for name in fits}
    differing = {name: pair for name, pair in shapes.items() if pair[0] != pair[1]}
    tensors = {name: tensor for name, tensor in fits.items() if name not in differing}
    first = _first_names(module)
    for name, other in first.items():
        if name in tensors and other in tensors and not torch.equal(tensors[name], tensors[other]):
            reasons[name] = f"holds other numbers than {other}, which is the same in the network"
            del tensors[name]
    missing = [name for name in own if name not in stored]
    # versions are kept by the names of modules, which renames don't change
    versions = None if renames else getattr(state, "_metadata", None)
    needed = _needed(module, tensors, versions) if missing else set()
    needed = {name for name in needed if not _is_there(name, first, tensors)}
    report = WeightReport(
        matched=tuple(tensors),
        missing=tuple(name for name in missing if name in needed),
        surplus=tuple(name for name in stored if name not in own),
        differing=differing,
        unusable=reasons,
        filled=tuple(name for name in missing if name not in needed),
        key=key,
    )
    _refuse(path, report, listed(allow_mismatch), own, stored)
    return FittingWeights(report, tensors)


def _first_names(module: nn.Module) -> dict[str, str]:
    """Return the first name of each parameter that has several, by its other names."""
    names: dict[int, str] = {}
    found = module.named_parameters(remove_duplicate=False)
    firsts = {name: names.setdefault(id(held), name) for name, held in found}
    return {name: first for name, first in firsts.items() if name != first}


def _is_there(name: str, first: Mapping[str, str], tensors: Mapping[str, torch.Tensor]) -> bool:
    """Tell whether a parameter is among others under one of its names."""
    one = first.get(name, name)
    return any(each in tensors for each in (one, *(n for n, of in first.items() if of == one)))


def _path_and_key(given: str) -> tuple[str, str]:
    """Take `best.pt:model` apart, unless a file is called so."""
    path, colon, key = given.rpartition(":")
    if colon and path and not os.path.lexists(given) and os.path.lexists(path):
        return path, key
    return given, ""


def _as_shaped(stored: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """Return one number without axes, which files from before torch 0.4 hold as a vector of one."""
    return stored[0] if own.dim() == 0 and stored.shape == (1,) else stored


def _needed(
    module: nn.Module, tensors: Mapping[str, torch.Tensor], versions: object
) -> Collection[str]:
    """Return the names that torch, too, would miss when it loads strictly.

    What a module does with states of its earlier versions it knows alone, so it is asked.
    """
    held = [*module.parameters(), *module.buffers()]
    memo: dict[int, Any] = {id(one): _without_numbers(one) for one in held}
    state: Any = OrderedDict(tensors)
    if versions is not None:
        state._metadata = versions
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that nothing is copied to "meta"
        try:
            asked = copy.deepcopy(module, memo)
        except Exception:  # a layer of a user's own may hold what can't be copied: then all are
            return set(module.state_dict())
        return set(asked.load_state_dict(state, strict=False).missing_keys)


def _without_numbers(tensor: torch.Tensor) -> torch.Tensor:
    empty = torch.empty_like(tensor, device="meta")
    return nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else empty


def _refuse(
    path: str,
    report: WeightReport,
    allowed: Sequence[str],
    own: Mapping[str, torch.Tensor],
    stored: Mapping[str, Any],
) -> None:
    """Raise TorchError if anything doesn't fit that isn't allowed not to."""

    def wrong(names: Iterable[str]) -> list[str]:
        return [name for name in names if not matches(name, allowed)]

    missing, surplus = wrong(report.missing), wrong(report.surplus)
    differing, kinds = wrong(report.differing), wrong(report.unusable)
    if not (missing or surplus or differing or kinds):
        return
    notes = [
        f"{what}: {_listed(names)}"
        for what, names in (("missing", missing), ("surplus", surplus))
        if names
    ]
    for name in differing[:MOST_NAMED]:
        has, there = report.differing[name]
        shown = printable(name, 100)
        turned = ", transposed" if has != there and has == there[::-1] else ""
        notes.append(f"{shown}: {_shape(has)} in the network, {_shape(there)} stored{turned}")
    notes += [f"{printable(name, 100)} {report.unusable[name]}" for name in kinds[:MOST_NAMED]]
    where = f" (what is under `{printable(report.key, 100)}`)" if report.key else ""
    reason = f"doesn't fit the network{where}: {report}"
    raise wrong_weights(path, reason, _help(own, stored, report, allowed), tuple(notes))


def _help(
    own: Mapping[str, torch.Tensor],
    stored: Mapping[str, Any],
    report: WeightReport,
    allowed: Sequence[str],
) -> str:
    """Say which renames and patterns would make the weights fit."""
    wanted = {name: _shape_of(held) for name, held in own.items() if not matches(name, allowed)}
    needed = {name: shape for name, shape in wanted.items() if name not in report.filled}
    renames = fitting_renames(needed, {name: _shape_of(held) for name, held in stored.items()})
    now = {new: stored[name] for name, new in renamed(list(stored), renames).items()}
    right = {
        name
        for name in wanted
        if name in now
        and not unusable(now[name], own[name])
        and _as_shaped(now[name], own[name]).shape == own[name].shape
    }
    if not right:
        return "no name fits: are these the weights of another network?"
    surplus = [name for name in now if name not in own and not matches(name, allowed)]
    left = [name for name in (*needed, *surplus) if name not in right]
    left += [name for name in wanted if name in now and name not in (*needed, *right)]
    patterns = fewest_patterns(left, right)
    leaves = _options("--allow-mismatch", patterns)
    if not renames:
        text = f"`{leaves}` leaves those out" if patterns else ""
    else:
        options = _options("--rename", [written_rename(*rename) for rename in renames.items()])
        text = f"`{options}` makes {len(right) if left else 'all'} names fit"
        text += f", and `{leaves}` leaves out the rest" if patterns else ""
    return text if len(text) <= LONGEST_HELP else ""


def _options(option: str, values: Iterable[str]) -> str:
    return " ".join(f"{option} {shlex.quote(value)}" for value in values)


def _shape_of(held: Any) -> Shape:
    """Return the shape of a tensor that has one, or one that no other has."""
    return tuple(held.shape) if type(held) in PLAIN and not held.is_nested else (-1,)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(printable(name, 100) for name in names[:MOST_NAMED]) + more


def _shape(shape: Shape) -> str:
    return " x ".join(map(str, shape)) or "one number"
