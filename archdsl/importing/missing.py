"""Lists what a module does and the language has no words for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import torch
from torch import nn

from archdsl.importing.bodies import Body
from archdsl.importing.errors import ImportingError, NotSayable
from archdsl.importing.lowering import Lowering
from archdsl.importing.making import Unsayable
from archdsl.importing.places import shown_place

MOST_LISTED = 12


def require_sayable(evaluation: Lowering, training: Lowering, name: str) -> None:
    """Raise where something that outputs need can't be said."""
    found: Counter[tuple[str, str]] = Counter()
    for one in (evaluation, training):
        times: Counter[tuple[str, str]] = Counter(one.lost)
        times.update((n.missing, n.place) for n in one.root.nodes() if n.missing)
        found |= times
    raise_if_lost(found, name)


def raise_if_lost(found: Counter[tuple[str, str]], name: str) -> None:
    """Raise with a list of what can't be said, given how often at which places."""
    if not found:
        return
    kinds: Counter[str] = Counter()
    for (text, _), count in found.items():
        kinds[text] += count
    listed: list[str] = []
    for text, count in kinds.most_common(MOST_LISTED):
        place = next(place for what, place in found if what == text)
        listed.append(
            f"{count} time{'s' * (count > 1)}: {text}"
            + (f", at {shown_place(place)}" if place else "")
        )
    raise ImportingError(NotSayable(what=f"`{name}`", missing=tuple(listed)))


def require_floats(module: nn.Module, name: str) -> None:
    """Raise where parameters aren't floats of 32 bits: a spec has no others.

    Raises:
        ImportingError: there are some.
    """
    for own, one in module.named_parameters():
        if one.is_floating_point() and one.dtype is not torch.float32:
            kind = str(one.dtype).removeprefix("torch.")
            text = f"parameters of {kind}, as `{own}`: `module.float()` makes them float32"
            raise_if_lost(Counter({(text, ""): 1}), name)


def require_used(body: Body, names: Mapping[int, str]) -> None:
    """Refuse inputs that no output needs: the language has none, as they would be a mistake there.

    Raises:
        Unsayable: there is one.
    """
    used = {value.input for value in body.inputs}
    for number, name in names.items():
        if number not in used:
            raise Unsayable(f"the input `{name}`, which no output needs")
