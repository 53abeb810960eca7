"""Finds the state_dict in what somebody gives as weights, and says which tensors can't be used."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from archdsl.backends.torch_module.errors import wrong_weights
from archdsl.diagnostics import printable
from archdsl.patterns import renamed_one

DEPTH = 3  # levels of keys under which training code keeps it
MOST_NAMED = 8
STATE_DICT = "a state_dict holds tensors by their names, as `module.state_dict()` gives it"
PLAIN = (torch.Tensor, nn.Parameter)
FLOATS = {torch.bfloat16, torch.float16, torch.float32, torch.float64}
WHOLE = {torch.bool, torch.int8, torch.int16, torch.int32, torch.int64}
WHOLE |= {torch.uint8, torch.uint16, torch.uint32, torch.uint64}


def find_state_dict(
    found: Any,
    path: str,
    key: str,
    own: Collection[str],
    renames: Mapping[str, str],
    *,
    is_file: bool,
) -> tuple[str, Mapping[str, Any]]:
    """Return the state_dict in what training code saved, and the key that it was kept under.

    That is what was given if tensors are in it, or else what is under a key (or a key of a key)
    and is nothing but tensors. Of several it is the one with names of the network, if one is.

    Args:
        key: under which it is looked for, with dots between keys of keys; "" if none was given.
        own: the names that the network has.
        renames: what will be done to the names.
        is_file: whether `path` is the path of a file, and no name for what a caller gave.

    Raises:
        TorchError: there is none, or several may be meant.
    """

    def fits(state: Mapping[str, Any]) -> bool:
        return any(_after(name, renames) in own for name in state)

    if key:
        found = _under(found, path, key)
    if not isinstance(found, Mapping):
        raise wrong_weights(path, f"holds no state_dict: it is {_kind(found)}", STATE_DICT)
    direct = [name for name, value in found.items() if torch.is_tensor(value)]
    if (
        not found
        or len(direct) == len(found)
        or any(_after(str(n), renames) in own for n in direct)
    ):
        return key, _with_text(found, path)
    places = next((level for level in _levels(found) if level), {})
    meant = {place: state for place, state in places.items() if fits(state)} or places
    if len(meant) == 1:
        ((place, state),) = meant.items()
        return f"{key}.{place}".lstrip("."), state
    if len(meant) > 1:
        listed = ", ".join(f"`{printable(place, 100)}`" for place in list(meant)[:MOST_NAMED])
        first = printable(f"{path}:{next(iter(meant))}", 200)
        reason = f"holds several state_dicts: {listed}"
        how = f"say which is meant: `--weights '{first}'`" if is_file else "give one of them"
        raise wrong_weights(path, reason, how)
    if direct:
        return key, _with_text(found, path)  # and it will be said which are no tensors
    held = list(found.items())[:MOST_NAMED]
    listed = ", ".join(f"`{printable(str(name), 100)}` is {_kind(held)}" for name, held in held)
    raise wrong_weights(path, f"holds no state_dict: {listed}", STATE_DICT)


def _after(name: str, renames: Mapping[str, str]) -> str:
    for old, new in renames.items():
        name = renamed_one(name, old, new) or name
    return name


def _under(found: Any, path: str, key: str) -> Any:
    """Return what is under a key, or under a key of a key."""
    rest = key
    while rest:
        known = list(found) if isinstance(found, Mapping) else []
        # a key may have dots of its own
        parts = [one for one in known if rest == one or rest.startswith(f"{one}.")]
        if not parts:
            listed = ", ".join(f"`{printable(str(one), 100)}`" for one in known[:MOST_NAMED])
            hint = f"it has {listed}" if listed else ""
            raise wrong_weights(path, f"has no key `{printable(key, 100)}`", hint)
        part = max(parts, key=len)
        found, rest = found[part], rest[len(part) + 1 :]
    return found


def _levels(found: Mapping[Any, Any]) -> Iterator[dict[str, Mapping[str, Any]]]:
    """Yield the mappings of nothing but tensors that are one key away, then two, then three."""
    level: dict[str, Mapping[Any, Any]] = {"": found}
    seen = {id(found)}  # one may be in many others, and be gone through as often
    for _ in range(DEPTH):
        below: dict[str, Mapping[Any, Any]] = {}
        for place, mapping in level.items():
            for key, value in mapping.items():
                if isinstance(key, str) and isinstance(value, Mapping) and id(value) not in seen:
                    seen.add(id(value))
                    below[f"{place}.{key}".lstrip(".")] = value
        level = below
        yield {
            place: state
            for place, state in level.items()
            if state and all(isinstance(n, str) and torch.is_tensor(state[n]) for n in state)
        }


def _with_text(found: Mapping[Any, Any], path: str) -> Mapping[str, Any]:
    for name in found:
        if not isinstance(name, str):
            raise wrong_weights(path, f"has a name that is no text: {printable(repr(name), 100)}")
    return found


def unusable(tensor: Any, own: torch.Tensor) -> str:
    """Say why a network can't take a stored tensor as it is, or nothing if it can.

    What torch would take with a loss (the imaginary part of complex numbers), or could not copy.
    """
    if not isinstance(tensor, torch.Tensor):
        return f"is {_kind(tensor)}, and no tensor"
    if tensor.is_nested:
        return "is a nested tensor, which has no one shape"
    if type(tensor) not in PLAIN:
        return f"is {_kind(tensor)}, and no plain tensor"
    if tensor.is_meta:
        return "is on the meta device, which has no numbers"
    if tensor.is_quantized:
        return f"is quantized ({_name(tensor.dtype)}): store `tensor.dequantize()`"
    if tensor.layout != torch.strided:
        return f"is not stored densely ({_name(tensor.layout)}): store `tensor.to_dense()`"
    if tensor.is_complex() and not own.is_complex():
        return f"holds complex numbers ({_name(tensor.dtype)}), and the network real ones"
    if tensor.is_floating_point() and tensor.dtype not in FLOATS:
        return (
            f"holds numbers of few bits ({_name(tensor.dtype)}), which others scale: "
            "store them as float32"
        )
    if tensor.dtype not in FLOATS | WHOLE and not tensor.is_complex():
        return f"holds {_name(tensor.dtype)}, which are no numbers"
    if tensor.shape == own.shape and not torch.can_cast(tensor.dtype, own.dtype):
        kept = tensor.to(own.dtype).to(tensor.dtype)
        if not torch.equal(kept, tensor):
            return f"holds fractions, or more than fits into the {_name(own.dtype)} of the network"
    elif tensor.shape == own.shape and _becomes_infinite(tensor, own.dtype):
        return f"holds more than fits into the {_name(own.dtype)} of the network"
    return ""


def _becomes_infinite(tensor: torch.Tensor, kind: torch.dtype) -> bool:
    """Tell whether a finite number would be infinite as another kind, which torch says nothing of.

    Among floats a range that is as large needs no look at the numbers.
    """
    if not tensor.is_floating_point() or torch.finfo(tensor.dtype).max <= torch.finfo(kind).max:
        return False
    return bool((tensor.to(kind).isinf() & tensor.isfinite()).any())


def _kind(value: object) -> str:
    name = printable(type(value).__name__, 100)
    return f"{'an' if name[:1] in 'aeiouAEIOU' else 'a'} `{name}`"


def _name(kind: torch.dtype | torch.layout) -> str:
    return str(kind).removeprefix("torch.")
